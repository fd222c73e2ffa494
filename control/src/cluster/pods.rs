//! The proxies that a plugin selects: running pods with Istio's proxy container.
//!
//! From a plugin's labels, or from the Gateways that it names; whatever else it names only Istio
//! can resolve. The status operation sets them beside what Prometheus scraped.

use std::fmt::Display;
use std::net::{IpAddr, SocketAddr};

use k8s_openapi::api::core::v1::{Container, Pod, PodSpec};
use kube::api::{Api, ApiResource, DynamicObject, ListParams};
use sluice_core::plan::NodeKind;

use super::Cluster;
use super::bounded::{Objects, kind_named};
use super::plugins::LivePlugin;
use crate::model::plugin::Kind;
use crate::model::resources::gateway::GATEWAY_NAME;
use crate::model::resources::istio::Gateway;
use crate::model::resources::plugin::Scope;
use crate::model::resources::{Resource, Spec as _};

/// The container that Istio's injection, its gateways and its waypoints have in common.
const PROXY_CONTAINER: &str = "istio-proxy";

/// What that container's port with Envoy's own metrics is called, and its number where it has none of
/// the name: as all of Istio's templates write it.
const METRICS_PORT_NAME: &str = "http-envoy-prom";
const METRICS_PORT: u16 = 15_090;

/// A pod with a proxy.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Proxy {
    /// Its namespace.
    pub namespace: String,
    /// Its pod's name.
    pub pod: String,
    /// What its agent was started as, `sidecar`, `router` or `waypoint`; `None` where the pod does
    /// not say.
    pub role: Option<String>,
}

impl Proxy {
    /// What kind of proxy it is.
    pub fn kind(&self) -> Option<NodeKind> {
        match self.role.as_deref()? {
            "sidecar" => Some(NodeKind::Sidecar),
            "router" => Some(NodeKind::Gateway),
            "waypoint" => Some(NodeKind::Waypoint),
            _ => None,
        }
    }
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
        return Selection::Labels(label_selector(scope.labels()));
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

/// Labels as the API server takes them, `app=web,version=v1`.
pub fn label_selector(labels: impl IntoIterator<Item = (impl Display, impl Display)>) -> String {
    let pairs = labels.into_iter();
    let pairs = pairs.map(|(name, value)| format!("{name}={value}"));
    pairs.collect::<Vec<_>>().join(",")
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
    let namespace = Some(namespace).filter(|namespace| *namespace != root_namespace);
    running(cluster, namespace, labels).await
}

/// The running proxies that serve one of Istio's Gateways, in whatever namespace they are: Istio looks
/// for its `selector` in all of them. `None` where there is no such Gateway, it selects nothing by name,
/// or one may not see it or them.
pub async fn of_gateway(cluster: &Cluster, namespace: &str, name: &str) -> Option<Vec<Proxy>> {
    let resource = ApiResource::from_gvk(&kind_named(Gateway::API_VERSION, Gateway::KIND));
    let gateways: Api<DynamicObject> =
        Api::namespaced_with(cluster.client().clone(), namespace, &resource);
    let gateway = gateways.get(name).await.ok()?;
    let selector = Resource::<Gateway>::read(&gateway.data).ok()?.spec.selector;
    let labels = label_selector(&selector);
    if labels.is_empty() {
        return None;
    }
    running(cluster, None, &labels).await.ok()
}

/// The running proxies with these labels, in one namespace or in all of them.
async fn running(
    cluster: &Cluster,
    namespace: Option<&str>,
    labels: &str,
) -> kube::Result<Vec<Proxy>> {
    let resource = ApiResource::erase::<Pod>(&());
    let objects = Objects::of(cluster.client(), &resource, namespace);
    let parameters = ListParams::default().labels(labels);
    let parameters = parameters.fields("status.phase=Running");
    let (pods, error) = objects.list(parameters).await;
    if let Some(error) = error {
        return Err(error);
    }
    let pods = pods.into_iter();
    let pods = pods.filter_map(|object| object.try_parse::<Pod>().ok());
    let mut proxies: Vec<Proxy> = pods.filter_map(proxy).collect();
    proxies.sort();
    Ok(proxies)
}

/// Where the Envoy of a pod serves its own metrics, if the plugin selects the pod and it runs. Where
/// only Istio can say what a plugin selects, any proxy of its namespace may be it.
///
/// # Errors
/// The API server's.
pub async fn metrics_address(
    cluster: &Cluster,
    live: &LivePlugin,
    root_namespace: &str,
    (namespace, pod): (&str, &str),
) -> kube::Result<Option<SocketAddr>> {
    if ![namespace, root_namespace].contains(&live.namespace()) {
        return Ok(None);
    }
    let parameters = match selection(live) {
        Selection::Labels(labels) => ListParams::default().labels(&labels),
        Selection::Other(_) => ListParams::default(),
    };
    let named = format!("metadata.name={pod},status.phase=Running");
    let resource = ApiResource::erase::<Pod>(&());
    let objects = Objects::of(cluster.client(), &resource, Some(namespace));
    let (pods, error) = objects.list(parameters.fields(&named)).await;
    if let Some(error) = error {
        return Err(error);
    }
    let pods = pods.into_iter();
    let mut pods = pods.filter_map(|object| object.try_parse::<Pod>().ok());
    Ok(pods.find_map(metrics))
}

/// The kinds of the running proxies that a plugin selects, each once; `None` where there are none,
/// or none says its kind, or they cannot be seen.
pub async fn kinds(
    cluster: &Cluster,
    live: &LivePlugin,
    root_namespace: &str,
) -> Option<Vec<NodeKind>> {
    let Selection::Labels(labels) = selection(live) else {
        return None;
    };
    let proxies = selected(cluster, live, &labels, root_namespace).await;
    distinct_kinds(&proxies.ok()?)
}

/// The kinds of some proxies, each once; `None` where none says its kind.
pub fn distinct_kinds(proxies: &[Proxy]) -> Option<Vec<NodeKind>> {
    let mut kinds: Vec<NodeKind> = Vec::new();
    for kind in proxies.iter().filter_map(Proxy::kind) {
        if !kinds.contains(&kind) {
            kinds.push(kind);
        }
    }
    (!kinds.is_empty()).then_some(kinds)
}

/// The proxy of a pod that has one and does not end.
fn proxy(pod: Pod) -> Option<Proxy> {
    let container = proxy_container(pod.spec?)?;
    pod.metadata.deletion_timestamp.is_none().then(|| Proxy {
        namespace: pod.metadata.namespace.unwrap_or_default(),
        pod: pod.metadata.name.unwrap_or_default(),
        role: role(container.args.unwrap_or_default()),
    })
}

/// Where the proxy of a pod that does not end serves Envoy's metrics.
fn metrics(pod: Pod) -> Option<SocketAddr> {
    let address: IpAddr = pod.status?.pod_ip?.parse().ok()?;
    let mut ports = proxy_container(pod.spec?)?.ports.into_iter().flatten();
    let named = ports.find(|port| port.name.as_deref() == Some(METRICS_PORT_NAME));
    let port = named.and_then(|port| u16::try_from(port.container_port).ok());
    let address = SocketAddr::new(address, port.unwrap_or(METRICS_PORT));
    pod.metadata.deletion_timestamp.is_none().then_some(address)
}

fn proxy_container(spec: PodSpec) -> Option<Container> {
    // Native sidecars are init containers that keep running.
    let mut containers = spec
        .containers
        .into_iter()
        .chain(spec.init_containers.into_iter().flatten());
    containers.find(|container| container.name == PROXY_CONTAINER)
}

/// What an agent is started as: `proxy sidecar`, `proxy router` or `proxy waypoint`, as Istio's
/// injection templates and those of its gateways have it.
fn role(arguments: Vec<String>) -> Option<String> {
    let mut arguments = arguments.into_iter();
    arguments.find(|argument| argument == "proxy")?;
    arguments.next()
}

/// The name that Envoy knows a plugin by, which our metrics carry as `sluice_plugin`: Istio 1.30
/// and newer translate WasmPlugins.
pub fn plugin_names(live: &LivePlugin) -> [String; 2] {
    names_of(live.plugin.kind, live.namespace(), live.name())
}

/// The same of a plugin that is known by its kind and name.
pub fn names_of(kind: Kind, namespace: &str, name: &str) -> [String; 2] {
    let plain = format!("{namespace}.{name}");
    match kind {
        Kind::WasmPlugin => [format!("{plain}~istio-translated-wasmplugin"), plain],
        _ => [plain.clone(), plain],
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn a_pod_says_what_kind_of_proxy_it_has() {
        let cases = [
            (
                json!(["proxy", "sidecar", "--domain", "a.svc"]),
                Some(NodeKind::Sidecar),
            ),
            (json!(["proxy", "router"]), Some(NodeKind::Gateway)),
            (json!(["proxy", "waypoint"]), Some(NodeKind::Waypoint)),
            (json!(["proxy"]), None),
            (json!([]), None),
        ];
        for (arguments, expected) in cases {
            let pod = json!({
                "metadata": {"namespace": "a", "name": "p"},
                "spec": {"containers": [{"name": "app"}, {"name": "istio-proxy", "args": arguments}]},
            });
            let found = proxy(serde_json::from_value(pod).unwrap()).unwrap();
            assert_eq!((found.pod.as_str(), found.kind()), ("p", expected));
        }
    }

    #[test]
    fn a_pod_without_a_proxy_or_one_that_ends_counts_for_none() {
        let without = json!({"spec": {"containers": [{"name": "app"}]}});
        let ending = json!({
            "metadata": {"deletionTimestamp": "2026-01-01T00:00:00Z"},
            "spec": {"containers": [{"name": "istio-proxy"}]},
        });
        for pod in [without, ending] {
            assert_eq!(proxy(serde_json::from_value(pod).unwrap()), None);
        }
    }

    #[test]
    fn a_pod_says_where_its_envoy_has_metrics() {
        let ports = |name: &str| json!([{"name": "http", "containerPort": 80}, {"name": name, "containerPort": 15_390}]);
        let cases = [
            (
                ports("http-envoy-prom"),
                json!("10.0.0.7"),
                Some("10.0.0.7:15390"),
            ),
            (ports("other"), json!("fd00::7"), Some("[fd00::7]:15090")),
            (json!(null), json!("10.0.0.7"), Some("10.0.0.7:15090")),
            (json!(null), json!(null), None),
        ];
        for (ports, ip, expected) in cases {
            let pod = json!({
                "metadata": {"namespace": "a", "name": "p"}, "status": {"podIP": ip},
                "spec": {"containers": [{"name": "istio-proxy", "ports": ports}]},
            });
            let found = metrics(serde_json::from_value(pod).unwrap());
            let found = found.map(|address| address.to_string());
            assert_eq!(found.as_deref(), expected);
        }
    }
}
