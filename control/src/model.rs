//! What a plugin holds, what a change of it would mean, and what may be refused: pure, and below
//! everything else here.

pub mod change;
pub mod churn;
pub mod document;
pub mod in_force;
pub mod input;
pub mod manifest;
pub mod native;
pub mod object_names;
pub mod plugin;
pub mod reach;
pub mod redacted;
pub mod refusal;
pub mod resources;
pub mod schema;
pub mod selected_service;
pub mod service;
pub mod signature;
pub mod statistics;
pub mod suggest;
pub mod weights;
pub mod workload;
