//! What surrounds a plugin in a cluster: routes, subsets and Gateways, as far as the account may see
//! them and the cluster knows the kinds.

use kube::api::{DynamicObject, ListParams};
use kube::core::ApiResource;
use serde_json::Value;

use super::Cluster;
use super::bounded::{Objects, kind_named};
use super::plugins::LivePlugin;
use crate::model::input::Input;
use crate::model::resources::{Spec, gateway, istio};

/// The routes and subsets in a plugin's namespace, as far as the account may see them and the
/// cluster knows the kinds.
pub async fn routes(cluster: &Cluster, live: &LivePlugin) -> Vec<Input> {
    let namespace = live.namespace();
    let (services, rules, routes) = tokio::join!(
        documents::<istio::VirtualService>(cluster, Some(namespace)),
        documents::<istio::DestinationRule>(cluster, Some(namespace)),
        documents::<gateway::HttpRoute>(cluster, Some(namespace)),
    );
    [services, rules, routes].concat()
}

/// The Gateways of both kinds. They may lie in other namespaces than the pods that serve them; an
/// account that may not list those sees the ones in the plugin's namespace.
pub async fn gateways(cluster: &Cluster, live: &LivePlugin) -> Vec<Input> {
    let namespace = live.object.metadata.namespace.as_deref();
    let (classic, newer) = tokio::join!(
        wherever::<istio::Gateway>(cluster, namespace),
        wherever::<gateway::Gateway>(cluster, namespace),
    );
    [classic, newer].concat()
}

async fn wherever<S: Spec>(cluster: &Cluster, namespace: Option<&str>) -> Vec<Input> {
    match documents::<S>(cluster, None).await {
        none if none.is_empty() => documents::<S>(cluster, namespace).await,
        everywhere => everywhere,
    }
}

/// Every resource of a kind, of one namespace or of all; none where the kind is unknown or hidden.
async fn documents<S: Spec>(cluster: &Cluster, namespace: Option<&str>) -> Vec<Input> {
    let resource = ApiResource::from_gvk(&kind_named(S::API_VERSION, S::KIND));
    let objects = Objects::of(cluster.client(), &resource, namespace);
    let (objects, _) = objects.list(ListParams::default()).await;
    let input = |object: DynamicObject| {
        let name = object.metadata.name.as_deref().unwrap_or_default();
        let namespace = object.metadata.namespace.as_deref().unwrap_or_default();
        let source = format!("{} {namespace}/{name}", S::KIND);
        let mut value = serde_json::to_value(&object).ok()?;
        // The API server leaves these two out of a list's items.
        value["kind"] = Value::from(S::KIND);
        value["apiVersion"] = Value::from(S::API_VERSION);
        Some(Input { source, value })
    };
    objects.into_iter().filter_map(input).collect()
}
