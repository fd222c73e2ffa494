//! The resources of a split, as one applies them: routes first, the plugin last, so that no request carries a header to
//! a subset that does not exist yet (DESIGN section 1; istiod orders its own pushes, not ours). Pure.

use serde_json::{Map, Value, json};
use sluice_core::definition::Definition;
use sluice_core::identity::Source;
use sluice_core::matching::Subject;

use crate::model::plugin::{API_VERSION, Kind};

/// How requests reach a variant.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Routing {
    /// VirtualService to the subsets of one service, by this label.
    Subsets,
    /// VirtualService to a service of its own for each variant, `<service>-<variant>`.
    Services,
    /// HTTPRoute to the same; it knows no subsets.
    HttpRoute,
}

/// A Kubernetes service, `web.shop`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Service {
    /// `web`.
    pub name: String,
    /// `shop`.
    pub namespace: String,
}

impl Service {
    /// `web.shop.svc.cluster.local`.
    pub fn host(&self) -> String {
        format!("{}.{}.svc.cluster.local", self.name, self.namespace)
    }
}

impl std::str::FromStr for Service {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let short = text
            .strip_suffix(".svc.cluster.local")
            .or_else(|| text.strip_suffix(".svc"))
            .unwrap_or(text);
        match short.split_once('.') {
            Some((name, namespace))
                if !name.is_empty() && !namespace.is_empty() && !namespace.contains('.') =>
            {
                Ok(Self {
                    name: name.to_owned(),
                    namespace: namespace.to_owned(),
                })
            }
            _ => Err("write SERVICE.NAMESPACE, such as web.shop".to_owned()),
        }
    }
}

/// What the resources are made of.
#[derive(Clone, Debug)]
pub struct Rendering<'a> {
    /// The split whose routes are rendered.
    pub split: &'a Definition,
    /// Whether any split of the configuration asks for claims.
    pub asks_for_claims: bool,
    /// The split's hosts, as typed.
    pub hosts: Vec<String>,
    /// The plugin's configuration: splits and cookie, without weights and draws.
    pub config: Value,
    /// Which kind the plugin is.
    pub kind: Kind,
    /// The plugin's name.
    pub name: String,
    /// The plugin's namespace: that of the proxies.
    pub namespace: String,
    /// Labels of the proxies; none: every proxy of the namespace.
    pub selector: Vec<(String, String)>,
    /// `oci://…`
    pub image: String,
    /// 64 hex digits.
    pub sha256: String,
    /// What is routed to.
    pub service: Service,
    /// The service's port; needed by HTTPRoute.
    pub port: Option<u16>,
    /// The label that tells the variants' pods apart.
    pub subset_label: String,
    /// How.
    pub routing: Routing,
    /// `NAMESPACE/NAME` of the gateway where requests come in; none: callers in the mesh.
    pub gateway: Option<(String, String)>,
}

/// The documents, in the order in which they are applied.
pub fn documents(rendering: &Rendering<'_>) -> Vec<Value> {
    match rendering.routing {
        Routing::Subsets => vec![
            destination_rule(rendering),
            virtual_service(rendering),
            plugin(rendering),
        ],
        Routing::Services => vec![virtual_service(rendering), plugin(rendering)],
        Routing::HttpRoute => vec![http_route(rendering), plugin(rendering)],
    }
}

/// Whether a split asks for claims: then it needs a gateway, and a phase behind the JWT's check.
pub fn needs_claims(definition: &Definition) -> bool {
    let mut conditions = definition
        .rules
        .iter()
        .flat_map(|rule| rule.alternatives.iter().flatten());
    conditions.any(|condition| matches!(condition.subject, Subject::Claim(_)))
        || definition
            .identity
            .iter()
            .any(|source| matches!(source, Source::Claim(_)))
}

fn fallback(definition: &Definition) -> &str {
    definition.variants.first().map_or("stable", AsRef::as_ref)
}

fn metadata(rendering: &Rendering<'_>) -> Value {
    json!({"name": rendering.service.name, "namespace": rendering.service.namespace})
}

/// A service may be routed to in the mesh and at several gateways: each has routes of its own.
fn route_metadata(rendering: &Rendering<'_>) -> Value {
    let service = &rendering.service.name;
    let name = match &rendering.gateway {
        Some((_, gateway)) => format!("{service}-{gateway}"),
        None => service.clone(),
    };
    json!({"name": name, "namespace": rendering.service.namespace})
}

fn destination_rule(rendering: &Rendering<'_>) -> Value {
    let subsets = rendering.split.variants.iter();
    let subsets = subsets
        .map(|variant| json!({"name": **variant, "labels": {&rendering.subset_label: **variant}}));
    json!({
        "apiVersion": "networking.istio.io/v1", "kind": "DestinationRule", "metadata": metadata(rendering),
        "spec": {"host": rendering.service.host(), "subsets": subsets.collect::<Vec<_>>()},
    })
}

fn virtual_service(rendering: &Rendering<'_>) -> Value {
    let header = rendering.split.header.to_string();
    let mut routes: Vec<Value> = rendering
        .split
        .challengers()
        .iter()
        .map(|variant| {
            json!({
                "name": **variant, "match": [{"headers": {&header: {"exact": **variant}}}],
                "route": [{"destination": destination(rendering, variant)}],
            })
        })
        .collect();
    let fallback = fallback(rendering.split);
    routes.push(
        json!({"name": fallback, "route": [{"destination": destination(rendering, fallback)}]}),
    );
    let mut spec = json!({"hosts": hosts(rendering), "http": routes});
    if let Some((namespace, name)) = &rendering.gateway {
        spec["gateways"] = json!([format!("{namespace}/{name}")]);
    }
    json!({"apiVersion": "networking.istio.io/v1", "kind": "VirtualService", "metadata": route_metadata(rendering), "spec": spec})
}

fn destination(rendering: &Rendering<'_>, variant: &str) -> Value {
    let service = &rendering.service;
    let mut destination = match rendering.routing {
        Routing::Subsets => json!({"host": service.host(), "subset": variant}),
        _ => {
            json!({"host": format!("{}-{variant}.{}.svc.cluster.local", service.name, service.namespace)})
        }
    };
    if let Some(port) = rendering.port {
        destination["port"] = json!({"number": port});
    }
    destination
}

/// At a gateway, the split's own hosts; in the mesh, the service.
fn hosts(rendering: &Rendering<'_>) -> Vec<String> {
    match rendering.gateway {
        Some(_) => rendering.hosts.clone(),
        None => vec![rendering.service.host()],
    }
}

fn http_route(rendering: &Rendering<'_>) -> Value {
    let header = rendering.split.header.to_string();
    let backend = |variant: &str| json!([{"name": format!("{}-{variant}", rendering.service.name), "port": rendering.port}]);
    let mut rules: Vec<Value> = rendering
        .split
        .challengers()
        .iter()
        .map(|variant| {
            json!({"matches": [{"headers": [{"name": header, "value": **variant}]}], "backendRefs": backend(variant)})
        })
        .collect();
    rules.push(json!({"backendRefs": backend(fallback(rendering.split))}));
    let parent = match &rendering.gateway {
        Some((namespace, name)) => {
            json!({"group": "gateway.networking.k8s.io", "kind": "Gateway", "name": name, "namespace": namespace})
        }
        None => {
            json!({"group": "", "kind": "Service", "name": rendering.service.name, "port": rendering.port})
        }
    };
    let mut spec = json!({"parentRefs": [parent], "rules": rules});
    if rendering.gateway.is_some() {
        spec["hostnames"] = json!(hosts(rendering));
    }
    json!({"apiVersion": "gateway.networking.k8s.io/v1", "kind": "HTTPRoute", "metadata": route_metadata(rendering), "spec": spec})
}

fn plugin(rendering: &Rendering<'_>) -> Value {
    let wasm = json!({
        "url": rendering.image, "sha256": rendering.sha256, "imagePullPolicy": "IfNotPresent",
        // Every other strategy answers 403 to everything where the module cannot be fetched (DESIGN section 4).
        "failStrategy": "FAIL_OPEN", "pluginConfig": rendering.config,
    });
    // Where the route is chosen: on the caller's side, and on gateways, which count as callers.
    let phase = if rendering.asks_for_claims {
        "AUTHZ"
    } else {
        "AUTHN"
    };
    let mut spec = Map::from_iter([
        ("match".to_owned(), json!([{"mode": "CLIENT"}])),
        ("phase".to_owned(), Value::from(phase)),
    ]);
    let is_api_gateway = rendering.routing == Routing::HttpRoute && rendering.selector.is_empty();
    match &rendering.gateway {
        Some((_, name)) if is_api_gateway => {
            let target =
                json!({"group": "gateway.networking.k8s.io", "kind": "Gateway", "name": name});
            spec.insert("targetRefs".to_owned(), json!([target]));
        }
        _ if rendering.selector.is_empty() => {}
        _ => {
            let labels: Map<String, Value> = rendering
                .selector
                .iter()
                .map(|(name, value)| (name.clone(), Value::from(value.as_str())))
                .collect();
            spec.insert("selector".to_owned(), json!({"matchLabels": labels}));
        }
    }
    match rendering.kind {
        Kind::TrafficExtension => {
            spec.insert("wasm".to_owned(), wasm);
        }
        _ => spec.extend(wasm.as_object().cloned().unwrap_or_default()),
    }
    json!({
        "apiVersion": API_VERSION, "kind": rendering.kind.name(),
        "metadata": {"name": rendering.name, "namespace": rendering.namespace}, "spec": spec,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_service_is_named_by_any_of_its_names() {
        let web = Ok(Service {
            name: "web".to_owned(),
            namespace: "shop".to_owned(),
        });
        for name in ["web.shop", "web.shop.svc", "web.shop.svc.cluster.local"] {
            assert_eq!(name.parse(), web);
        }
        for name in ["web", "web.", "web.shop.example.com"] {
            assert_eq!(
                name.parse::<Service>(),
                Err("write SERVICE.NAMESPACE, such as web.shop".to_owned())
            );
        }
    }
}
