//! Making the agents of a plugin's proxies fetch the module again.
//!
//! Agents do not retry a failed fetch by themselves; any push of the plugin makes them (measured on
//! Istio 1.31).

use super::{Caller, OperationError};
use crate::store::kubernetes::Kubernetes;

/// Makes istiod push a plugin again; answers which one it was: its kind, namespace and name.
///
/// # Errors
/// When there is no such plugin, or it may not be written.
pub async fn refetch(store: &Kubernetes, caller: &Caller) -> Result<String, OperationError> {
    Ok(store.touch(caller.now()).await?.plugin.source)
}
