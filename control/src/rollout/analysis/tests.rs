//! Rounds, and what an analysis makes of them.

mod evidence;
mod memory;
mod round;
mod thresholds;
mod whatever;

pub(in crate::rollout) use memory::greatest_memory;
