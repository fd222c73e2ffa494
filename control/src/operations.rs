//! What happens to a cluster or a directory, whoever asks for it: takes the store, the clock and the caller as
//! arguments and returns data; how it is printed is the command's.

mod caller;
pub mod described;
pub mod explain;
pub mod image;
pub mod import;
pub mod push;
pub mod simulate;

pub use caller::Caller;
