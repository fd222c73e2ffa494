use super::*;
use crate::analyze::{self, ProxyKinds, ROOT_NAMESPACE, Surroundings};
use crate::model::{input, plugin};

/// The splits that move nobody, of every plugin of a text, when its pods are of these kinds.
fn found(yaml: &str, kinds: &[NodeKind]) -> Vec<Unserved> {
    let documents = input::parse("f", yaml).unwrap();
    let plugins = plugin::plugins(documents.clone()).unwrap();
    let mut proxies = ProxyKinds::new();
    if !kinds.is_empty() {
        proxies.insert("f".to_owned(), kinds.to_vec());
    }
    let surroundings = Surroundings {
        documents: &documents,
        proxies: &proxies,
        root_namespace: ROOT_NAMESPACE,
    };
    analyze::unserved(&plugins, &surroundings)
}

fn plugin(scope: &str, split: &str) -> String {
    format!(
        "
kind: WasmPlugin
metadata: {{name: sluice, namespace: shop}}
spec: {{{scope}pluginConfig: {{splits: {{web: {split}}}}}}}
"
    )
}

/// A VirtualService that matches the split's header.
fn route(gateways: &str) -> String {
    format!(
        "
---
kind: VirtualService
metadata: {{name: web, namespace: shop}}
spec:
  hosts: [shop.example.com]
  gateways: [{gateways}]
  http:
  - match: [{{headers: {{x-sluice-web: {{exact: canary}}}}}}]
"
    )
}

const HOST: &str = "{hosts: [shop.example.com]}";
const CLASSIC: &str = "
---
apiVersion: networking.istio.io/v1
kind: Gateway
metadata: {name: main, namespace: shop}
spec: {selector: {app: edge}}
";
const WAYPOINT: &str = "
---
apiVersion: gateway.networking.k8s.io/v1
kind: Gateway
metadata: {name: way, namespace: shop}
spec: {gatewayClassName: istio-waypoint}
";

#[test]
fn what_tells_that_no_gateway_decides_a_split() {
    let target = |kind: &str, name: &str| format!("targetRefs: [{{kind: {kind}, name: {name}}}], ");
    let services = || plugin("", "{services: [web.shop]}");
    let cases: Vec<(&str, String, &[NodeKind], NodeKind, &str)> = vec![
        (
            "services alone",
            services(),
            &[],
            NodeKind::Sidecar,
            "the split has services and no hosts, which callers in the mesh use",
        ),
        (
            "a bare configuration",
            "splits: {web: {services: [web.shop]}}".to_owned(),
            &[],
            NodeKind::Sidecar,
            "the split has services and no hosts, which callers in the mesh use",
        ),
        (
            "pods",
            plugin("", HOST),
            &[NodeKind::Sidecar],
            NodeKind::Sidecar,
            "the pods that its plugin selects say so",
        ),
        (
            "pods that contradict a label",
            plugin("selector: {matchLabels: {istio: ingressgateway}}, ", HOST),
            &[NodeKind::Sidecar],
            NodeKind::Sidecar,
            "the pods that its plugin selects say so",
        ),
        (
            "a service with a waypoint",
            plugin(&target("Service", "web"), HOST),
            &[],
            NodeKind::Waypoint,
            "its plugin targets a Service",
        ),
        (
            "a Gateway that is a waypoint",
            plugin(&target("Gateway", "way"), HOST) + WAYPOINT,
            &[],
            NodeKind::Waypoint,
            "its plugin targets a Gateway",
        ),
        (
            "the class of waypoints",
            plugin(&target("GatewayClass", "istio-waypoint"), HOST),
            &[],
            NodeKind::Waypoint,
            "its plugin targets a GatewayClass",
        ),
        (
            "the callee's side",
            plugin("match: [{mode: SERVER}], ", HOST),
            &[],
            NodeKind::Sidecar,
            "its plugin has only mode SERVER",
        ),
        (
            "a route in the mesh",
            plugin("", HOST) + &route("mesh"),
            &[],
            NodeKind::Sidecar,
            "VirtualService shop/web routes by its header there",
        ),
    ];
    for (label, yaml, kinds, kind, why) in cases {
        let found = found(&yaml, kinds);
        let found: Vec<_> = found
            .iter()
            .map(|found| (found.decider.kind, found.decider.evidence.to_string()))
            .collect();
        assert_eq!(found, [(kind, why.to_owned())], "{label}");
    }
}

#[test]
fn a_split_that_a_gateway_decides_is_served() {
    let gateways_plugin = plugin("targetRefs: [{kind: Gateway, name: main}], ", HOST)
        .replace("name: sluice,", "name: sluice-main,");
    let cases: Vec<(&str, String, &[NodeKind])> = vec![
        (
            "pods",
            plugin("", HOST),
            &[NodeKind::Sidecar, NodeKind::Gateway],
        ),
        (
            "a Gateway as the target",
            plugin("targetRefs: [{kind: Gateway, name: main}], ", HOST),
            &[],
        ),
        (
            "the label of Istio's gateways",
            plugin("selector: {matchLabels: {istio: ingressgateway}}, ", HOST),
            &[],
        ),
        (
            "the label of a Gateway's pods",
            plugin(
                "selector: {matchLabels: {gateway.networking.k8s.io/gateway-name: main}}, ",
                HOST,
            ),
            &[],
        ),
        (
            "the labels of a Gateway beside it",
            plugin("selector: {matchLabels: {app: edge}}, ", HOST) + CLASSIC,
            &[],
        ),
        (
            "a route at a gateway of its namespace",
            plugin("", HOST) + &route("shop/main, mesh"),
            &[],
        ),
        (
            "claims behind the check of tokens",
            plugin(
                "phase: AUTHZ, ",
                "{hosts: [shop.example.com], \
                 rules: [{name: gold, match: [{claims: {tier: {exact: gold}}}]}]}",
            ),
            &[],
        ),
        (
            "another plugin has it at a gateway",
            format!(
                "{}---{gateways_plugin}",
                plugin("", "{services: [web.shop]}")
            ),
            &[],
        ),
    ];
    for (label, yaml, kinds) in cases {
        assert_eq!(found(&yaml, kinds), [], "{label}");
    }
}

#[test]
fn where_nothing_tells_who_decides_nothing_is_said() {
    let cases = [
        ("a bare host", format!("splits: {{web: {HOST}}}")),
        ("a plugin alone", plugin("", HOST)),
        (
            "a gateway of another namespace",
            plugin("", HOST) + &route("ingress/main"),
        ),
        (
            "labels of somebody's",
            plugin("selector: {matchLabels: {app: edge}}, ", HOST),
        ),
    ];
    for (label, yaml) in cases {
        assert_eq!(found(&yaml, &[]), [], "{label}");
    }
}

#[test]
fn only_a_split_that_leaves_its_users_to_the_cookie_moves_nobody() {
    let cases = [
        ("services: [web.shop]", 1),
        ("services: [web.shop], identity: [{source: anonymous}]", 1),
        ("services: [web.shop], identity: [{cookie: uid}]", 0),
        (
            "services: [web.shop], identity: [{source: anonymous}, {header: x-user-id}]",
            0,
        ),
        ("services: [web.shop], anonymous: fallback", 0),
        ("services: [web.shop], anonymous: perRequest", 0),
        ("services: [web.shop], inherit: true", 0),
        ("services: [web.shop], colour: red", 0),
    ];
    for (split, expected) in cases {
        let found = found(&plugin("", &format!("{{{split}}}")), &[]);
        assert_eq!(found.len(), expected, "{split}: {found:?}");
    }
}

#[test]
fn the_warning_says_what_is_wrong_why_and_what_is_accepted() {
    let found = found(&plugin("", "{services: [web.shop]}"), &[]);
    assert_eq!(
        found[0].to_string(),
        "splits.web moves nobody: its only identity is the anonymous cookie, which only gateways \
         issue, and sidecars decide it (the split has services and no hosts, which callers in the \
         mesh use); at every weight between 0 and 100 everybody gets stable. Accepted: an identity \
         that callers send, such as identity: [{cookie: uid}] or [{header: x-user-id}]; or \
         anonymous: fallback, if that is meant"
    );
}
