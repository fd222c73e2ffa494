//! What is wanted and what is so: weights, the revision that proxies run, the shares that users
//! got.
//!
//! [`directory`] asks the Envoy of a running `sluice dev`, [`cluster`] the API server and
//! Prometheus; [`proxies`], [`delivery`], [`pushes`] and [`cookies`] judge what the latter said,
//! [`following`] says which proxies run one split as it is wanted, [`at_once`] asks them themselves
//! what their guards took out, [`measured`] sets shares beside weights, [`observed`] joins users and
//! names tripped guards, [`summary`] counts plugins. All of it is data; tables,
//! sentences and how often one looks are the command's.

pub mod at_once;
pub mod cluster;
pub mod cookies;
pub mod delivery;
pub mod directory;
pub mod following;
pub mod measured;
pub mod observed;
pub mod proxies;
pub mod pushes;
mod scraped;
pub mod summary;
mod text;
