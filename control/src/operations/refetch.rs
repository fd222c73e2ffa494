//! Making the agents of a plugin's proxies fetch the module again.
//!
//! Agents do not retry a failed fetch by themselves; any push of the plugin makes them (measured on
//! Istio 1.31).

use super::{Caller, OperationError};
use crate::store::Note;
use crate::store::kubernetes::Kubernetes;

/// A plugin that was pushed again.
#[derive(Clone, Debug)]
pub struct Refetched {
    /// Its kind, namespace and name.
    pub plugin: String,
    /// What went wrong beside it.
    pub notes: Vec<Note>,
}

/// Makes istiod push a plugin again, and native proxies follow it.
///
/// # Errors
/// When there is no such plugin, or it may not be written.
pub async fn refetch(store: &Kubernetes, caller: &Caller) -> Result<Refetched, OperationError> {
    let (live, notes) = store.touch(caller.now()).await?;
    let plugin = live.plugin.source;
    Ok(Refetched { plugin, notes })
}
