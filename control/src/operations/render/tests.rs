use std::collections::BTreeSet;

use serde_json::json;
use sluice_core::plan::Node;

use super::*;
use crate::model::{input, plugin};

const CONFIG: &str =
    "splits: {web: {hosts: [shop.example.com]}, beta: {hosts: [beta.example.com]}}";

/// A request for a split's resources, as one makes it who asks for nothing besides.
fn request(split: &str, service: &str, gateway: Option<&str>, routing: Routing) -> Request {
    Request {
        split: split.to_owned(),
        image: "oci://r/sluice:1".to_owned(),
        digest: "0".repeat(64),
        service: service.parse().unwrap(),
        port: Some(80),
        subset_label: "version".to_owned(),
        gateway: gateway.map(str::to_owned),
        routing,
        kind: Kind::WasmPlugin,
        name: None,
        namespace: None,
        selector: Vec::new(),
        workload: None,
        mirror: 0.0,
    }
}

fn rendered(config: &str, request: &Request) -> Result<Rendered, RenderError> {
    let inputs = input::parse("f", config).unwrap();
    let plugin = plugin::plugins(inputs).unwrap().remove(0);
    let plan = plugin.plan(&Node::default()).unwrap();
    render(&plugin, &plan, request)
}

/// Kind, namespace and name of everything that is rendered.
fn names(split: &str, service: &str, gateway: Option<&str>, routing: Routing) -> Vec<String> {
    let request = request(split, service, gateway, routing);
    let rendered = rendered(CONFIG, &request).unwrap();
    let documents = rendered.subsets.iter().chain(&rendered.documents);
    let text =
        |document: &Value, path: &str| document.pointer(path).unwrap().as_str().unwrap().to_owned();
    let name = |document: &Value| {
        let [kind, namespace, name] =
            ["/kind", "/metadata/namespace", "/metadata/name"].map(|path| text(document, path));
        format!("{kind} {namespace}/{name}")
    };
    documents.map(name).collect()
}

#[test]
fn a_gateways_resources_have_names_of_their_own() {
    let cases = [
        (
            "in the mesh, the service's name",
            names("web", "web.shop", None, Routing::Subsets),
            vec![
                "DestinationRule shop/web",
                "VirtualService shop/web",
                "WasmPlugin shop/sluice",
            ],
        ),
        (
            "at a gateway, the split's and the gateway's",
            names("web", "web.shop", Some("ingress/main"), Routing::Subsets),
            vec![
                "DestinationRule shop/web.ingress.main",
                "VirtualService shop/web.ingress.main",
                "WasmPlugin ingress/sluice-main",
            ],
        ),
        (
            "at a gateway of the Gateway API",
            names("web", "web.shop", Some("shop/main"), Routing::HttpRoute),
            vec![
                "HTTPRoute shop/web.shop.main",
                "WasmPlugin shop/sluice-main",
            ],
        ),
    ];
    for (label, found, expected) in cases {
        assert_eq!(found, expected, "{label}");
    }
}

#[test]
fn what_is_rendered_for_a_gateway_is_nobody_elses() {
    for routing in [Routing::Subsets, Routing::Services, Routing::HttpRoute] {
        let renders = [
            ("web", "web.shop", None),
            ("web", "web-main.shop", None),
            ("web", "web.shop", Some("shop/main")),
            ("web", "web.shop", Some("other/main")),
            ("web", "web.shop", Some("shop-main/x")),
            ("web", "web.shop", Some("shop/main-x")),
            ("web", "web.shop", Some("shop/main.x")),
            ("beta", "web.shop", Some("partner/beta")),
        ];
        let mut known = BTreeSet::new();
        let mut meshs_plugin = 0;
        for (split, service, gateway) in renders {
            for name in names(split, service, gateway, routing) {
                // One configuration is one plugin, whichever of its splits is rendered.
                if name == "WasmPlugin shop/sluice" {
                    meshs_plugin += 1;
                } else {
                    assert!(
                        known.insert(name.clone()),
                        "{name} twice: {split} {service} {gateway:?}"
                    );
                }
            }
        }
        assert_eq!(meshs_plugin, 2);
    }
}

/// The routes of a VirtualService that has the challenger get copies.
fn mirrored(routing: Routing, mirror: f64) -> Value {
    let request = Request {
        mirror,
        ..request("web", "web.shop", None, routing)
    };
    let mut rendered = rendered(CONFIG, &request).unwrap();
    rendered.documents.remove(0)["spec"]["http"].take()
}

#[test]
fn the_fallbacks_route_alone_sends_the_challenger_copies() {
    let host = "web.shop.svc.cluster.local";
    let subset = json!({"host": host, "subset": "canary", "port": {"number": 80}});
    let service = json!({"host": "web-canary.shop.svc.cluster.local", "port": {"number": 80}});
    for (routing, expected) in [(Routing::Subsets, subset), (Routing::Services, service)] {
        let routes = mirrored(routing, 10.0);
        assert_eq!(routes[0].get("mirror"), None, "{routes:#}");
        assert_eq!(routes[1]["mirror"], expected, "{routes:#}");
        assert_eq!(routes[1]["mirrorPercentage"], json!({"value": 10.0}));
    }
    let routes = mirrored(Routing::Subsets, 0.0);
    assert_eq!(routes[1].get("mirror"), None, "{routes:#}");
    assert_eq!(routes[1].get("mirrorPercentage"), None, "{routes:#}");
}

#[test]
fn of_two_challengers_none_is_guessed_to_get_copies() {
    let config = "splits: {web: {variants: [v1, v2, v3]}}";
    let request = Request {
        mirror: 10.0,
        ..request("web", "web.shop", None, Routing::Subsets)
    };
    let error = rendered(config, &request).unwrap_err().to_string();
    let expected = "splits.web.variants: 3; accepted with --mirror: two, a fallback and the challenger that gets the copies";
    assert_eq!(error, expected);
}
