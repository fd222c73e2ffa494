//! A resource of whatever kind, as `sluice apply` sends it: read, and applied server-side as a
//! whole.
//!
//! Weights never pass here; they are the store's.

use kube::api::{Api, DynamicObject, Patch, PatchParams};
use kube::core::ApiResource;

use super::bounded::kind_named;
use super::{Cluster, plugins};
use crate::model::manifest::Manifest;

fn api(cluster: &Cluster, manifest: &Manifest) -> Api<DynamicObject> {
    let resource = match manifest.plugin_kind() {
        Some(kind) => plugins::resource(kind),
        None => ApiResource::from_gvk(&kind_named(&manifest.api_version, manifest.kind)),
    };
    Api::namespaced_with(cluster.client().clone(), &manifest.namespace, &resource)
}

/// The resource as it is; `None` where there is none.
///
/// # Errors
/// The API server's.
pub async fn live(cluster: &Cluster, manifest: &Manifest) -> kube::Result<Option<DynamicObject>> {
    api(cluster, manifest).get_opt(&manifest.name).await
}

/// Applies it, or tries to: what it is then.
///
/// # Errors
/// The API server's.
pub async fn apply(
    cluster: &Cluster,
    manifest: &Manifest,
    parameters: &PatchParams,
) -> kube::Result<DynamicObject> {
    let patch = Patch::Apply(&manifest.document);
    api(cluster, manifest)
        .patch(&manifest.name, parameters, &patch)
        .await
}
