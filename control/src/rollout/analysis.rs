//! How a run is watched: what is written, checked ([`plan`]), and what is observed, judged.

pub mod plan;
