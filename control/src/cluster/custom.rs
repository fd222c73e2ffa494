//! Resources of a kind that is named: read and listed within bounds, made, and changed on what was
//! read of them.

use kube::api::{
    DeleteParams, DynamicObject, ListParams, Patch, PatchParams, PostParams, Preconditions,
};
use kube::core::ApiResource;
use serde_json::{Value, json};

use super::bounded::{Objects, kind_named};
pub use super::plugins::Scope;
use super::{Cluster, code};

/// The field manager of what is written to such a resource.
const MANAGER: &str = "sluice";

/// A kind.
#[derive(Clone, Copy, Debug)]
pub struct Kind {
    /// Group and version.
    pub api_version: &'static str,
    /// Its name.
    pub kind: &'static str,
    /// Its name in paths.
    pub plural: &'static str,
}

fn objects<'c>(cluster: &'c Cluster, kind: &Kind, namespace: Option<&str>) -> Objects<'c> {
    let known = kind_named(kind.api_version, kind.kind);
    let resource = ApiResource::from_gvk_with_plural(&known, kind.plural);
    Objects::of(cluster.client(), &resource, namespace)
}

/// One resource; `None` where there is none of the name.
///
/// # Errors
/// The API server's.
pub async fn get(
    cluster: &Cluster,
    kind: &Kind,
    namespace: &str,
    name: &str,
) -> kube::Result<Option<DynamicObject>> {
    match objects(cluster, kind, Some(namespace)).get(name).await {
        Err(error) if code(&error) == Some(404) => Ok(None),
        found => found.map(Some),
    }
}

/// Every resource of a scope.
///
/// # Errors
/// The API server's, also where only some could be listed.
pub async fn list(
    cluster: &Cluster,
    kind: &Kind,
    scope: &Scope,
) -> kube::Result<Vec<DynamicObject>> {
    selected(cluster, kind, scope, &ListParams::default()).await
}

/// Every resource of a scope that the parameters select.
///
/// # Errors
/// As [`list`].
pub async fn selected(
    cluster: &Cluster,
    kind: &Kind,
    scope: &Scope,
    parameters: &ListParams,
) -> kube::Result<Vec<DynamicObject>> {
    let namespace = match scope {
        Scope::Namespace(namespace) => Some(namespace.as_str()),
        Scope::Everywhere => None,
    };
    let objects = objects(cluster, kind, namespace);
    match objects.list(parameters.clone()).await {
        (listed, None) => Ok(listed),
        (_, Some(error)) => Err(error),
    }
}

/// Makes a resource; what it is then.
///
/// # Errors
/// The API server's: 409 where there is one of its name.
pub async fn create(
    cluster: &Cluster,
    kind: &Kind,
    namespace: &str,
    object: &Value,
) -> kube::Result<DynamicObject> {
    let parameters = PostParams {
        field_manager: Some(MANAGER.to_owned()),
        ..PostParams::default()
    };
    let objects = objects(cluster, kind, Some(namespace));
    objects.create(&parameters, object).await
}

/// Deletes a resource if it is still what was read.
///
/// # Errors
/// The API server's: 409 where it is not, 404 where it is gone.
pub async fn delete(cluster: &Cluster, kind: &Kind, read: &DynamicObject) -> kube::Result<()> {
    let metadata = &read.metadata;
    let parameters = DeleteParams {
        preconditions: Some(Preconditions {
            uid: metadata.uid.clone(),
            resource_version: metadata.resource_version.clone(),
        }),
        ..DeleteParams::default()
    };
    let objects = objects(cluster, kind, metadata.namespace.as_deref());
    let own_name = metadata.name.as_deref().unwrap_or_default();
    objects.delete(own_name, &parameters).await
}

/// Gives a resource an annotation if it is still what was read; what it is then.
///
/// # Errors
/// The API server's: 409 where it is not.
pub async fn annotate(
    cluster: &Cluster,
    kind: &Kind,
    read: &DynamicObject,
    (name, value): (&str, &str),
) -> kube::Result<DynamicObject> {
    let change = json!({"metadata": {"annotations": {name: value}}});
    merge(cluster, kind, read, change).await
}

/// Merges a change into a resource if it is still what was read; what it is then.
///
/// # Errors
/// The API server's: 409 where it is not.
pub async fn merge(
    cluster: &Cluster,
    kind: &Kind,
    read: &DynamicObject,
    mut change: Value,
) -> kube::Result<DynamicObject> {
    let metadata = &read.metadata;
    change["metadata"]["uid"] = json!(metadata.uid);
    change["metadata"]["resourceVersion"] = json!(metadata.resource_version);
    let namespace = metadata.namespace.as_deref();
    let objects = objects(cluster, kind, namespace);
    let own_name = metadata.name.as_deref().unwrap_or_default();
    let parameters = PatchParams {
        field_manager: Some(MANAGER.to_owned()),
        ..PatchParams::default()
    };
    objects
        .patch(own_name, &parameters, &Patch::Merge(&change))
        .await
}
