//! The proxies that a plugin selects: running pods with Istio's proxy container.
//!
//! From a plugin's labels, or from the Gateways that it names; whatever else it names only Istio
//! can resolve. The status operation sets them beside what Prometheus scraped.

use k8s_openapi::api::core::v1::Pod;
use kube::api::{Api, ListParams};

use super::Cluster;
use super::plugins::LivePlugin;
use crate::model::plugin::Kind;
use crate::model::resources::plugin::Scope;

/// The container that Istio's injection, its gateways and its waypoints have in common.
const PROXY_CONTAINER: &str = "istio-proxy";

/// The label that Istio gives the pods of a Kubernetes Gateway (waypoints too).
const GATEWAY_NAME: &str = "gateway.networking.k8s.io/gateway-name";

/// A pod with a proxy.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Proxy {
    /// Its namespace.
    pub namespace: String,
    /// Its pod's name.
    pub pod: String,
}

/// What a plugin selects.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Selection {
    /// Pods with these labels, in its namespace.
    Labels(String),
    /// What targetRefs name, which only Istio can resolve in full.
    Other(String),
}

/// What a plugin selects, from its `selector` and `targetRefs`.
pub fn selection(live: &LivePlugin) -> Selection {
    let scope = match Scope::read(&live.object.data) {
        Ok(scope) => scope,
        Err(error) => return Selection::Other(format!("a resource with {error}")),
    };
    let targets = scope.targets();
    if targets.is_empty() {
        let pairs = scope.labels().into_iter();
        let pairs = pairs.map(|(name, value)| format!("{name}={value}"));
        return Selection::Labels(pairs.collect::<Vec<_>>().join(","));
    }
    if targets
        .iter()
        .all(|target| target.kind.as_deref() == Some("Gateway"))
    {
        let names = targets.iter().filter_map(|target| target.name.as_deref());
        let names = names.collect::<Vec<_>>().join(",");
        return Selection::Labels(format!("{GATEWAY_NAME} in ({names})"));
    }
    let text = |field: &Option<String>| field.clone().unwrap_or_else(|| "?".to_owned());
    let named = targets
        .iter()
        .map(|target| format!("{} {}", text(&target.kind), text(&target.name)));
    Selection::Other(named.collect::<Vec<_>>().join(", "))
}

/// The running proxies that a plugin selects; in Istio's root namespace, those of the whole
/// cluster.
///
/// # Errors
/// The API server's.
pub async fn selected(
    cluster: &Cluster,
    live: &LivePlugin,
    labels: &str,
    root_namespace: &str,
) -> kube::Result<Vec<Proxy>> {
    let namespace = live.namespace();
    let api: Api<Pod> = if namespace == root_namespace {
        Api::all(cluster.client().clone())
    } else {
        Api::namespaced(cluster.client().clone(), namespace)
    };
    let pods = api
        .list(
            &ListParams::default()
                .labels(labels)
                .fields("status.phase=Running"),
        )
        .await?;
    let mut proxies: Vec<Proxy> = pods.into_iter().filter(has_proxy).map(proxy).collect();
    proxies.sort();
    Ok(proxies)
}

fn has_proxy(pod: &Pod) -> bool {
    let Some(spec) = &pod.spec else { return false };
    // Native sidecars are init containers that keep running.
    let mut containers = spec
        .containers
        .iter()
        .chain(spec.init_containers.iter().flatten());
    pod.metadata.deletion_timestamp.is_none()
        && containers.any(|container| container.name == PROXY_CONTAINER)
}

fn proxy(pod: Pod) -> Proxy {
    Proxy {
        namespace: pod.metadata.namespace.unwrap_or_default(),
        pod: pod.metadata.name.unwrap_or_default(),
    }
}

/// The name that Envoy knows a plugin by, which our metrics carry as `sluice_plugin`: Istio 1.30
/// and newer translate WasmPlugins.
pub fn plugin_names(live: &LivePlugin) -> [String; 2] {
    let plain = format!("{}.{}", live.namespace(), live.name());
    match live.plugin.kind {
        Kind::WasmPlugin => [format!("{plain}~istio-translated-wasmplugin"), plain],
        _ => [plain.clone(), plain],
    }
}
