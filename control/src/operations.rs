//! What happens to a cluster or a directory, whoever asks for it: takes the stores, the clock and
//! the caller as arguments and returns data; how it is printed is the command's.

pub mod abort;
pub mod apply;
pub mod backup;
mod caller;
pub mod change;
pub mod described;
pub mod diff;
mod error;
pub mod explain;
pub mod history;
pub mod image;
pub mod import;
pub mod libraries;
pub mod meanwhile;
pub mod oci;
pub mod plugins;
pub mod promote;
pub mod push;
pub mod redraw;
pub mod refetch;
pub mod render;
pub mod restore;
pub mod rollback;
pub mod set;
pub mod sign;
pub mod simulate;
pub mod status;
pub mod unserved;
pub mod validate;
pub mod verify;
pub mod weights;

/// How many plugins are changed at once. Chosen: the requests of one are a handful, and API servers
/// queue more.
pub const MAX_AT_ONCE: usize = 32;

pub use caller::Caller;
pub use error::OperationError;

#[cfg(test)]
mod tests;
