//! On which hosts a split applies.

use serde_json::{Value, json};
use sluice_e2e::adapter::Adapter;
use sluice_e2e::client::Answer;
use sluice_e2e::mesh::{Mesh, Options};

use crate::BOB;

async fn the_namespace_is_envoy_s_and_names_services_by_their_bare_name(adapter: Adapter) {
    let config = json!({
        "splits": {"web": {"services": ["web.shop"], "identity": [{"cookie": "uid"}]}},
        "weights": {"web": {"everyone": {"canary": 50}}},
    });
    for (namespace, expected) in [("shop", "canary"), ("other", "")] {
        let options = Options {
            namespace: Some(namespace.to_owned()),
            ..Options::on(adapter)
        };
        let mesh = Mesh::start(&config, options).await;
        assert_eq!(
            mesh.get("/", "web", &[BOB]).await.variant(),
            expected,
            "{namespace}"
        );
        assert_eq!(
            mesh.get("/", "web.shop.svc.cluster.local:8080", &[BOB])
                .await
                .variant(),
            "canary",
            "{namespace}"
        );
    }
}

/// A virtual host that tells the upstream its name.
fn virtual_host(name: &str, domains: &[&str]) -> Value {
    json!({
        "name": name,
        "domains": domains,
        "request_headers_to_add": [{"header": {"key": "x-virtual-host", "value": name}}],
        "routes": [{"match": {"prefix": "/"}, "route": {"cluster": "default"}}],
    })
}

/// Splits for an exact host, a wildcard and an address, and an Envoy that has a virtual host for
/// each.
async fn mesh_of_hosts(adapter: Adapter, shop: &[&str], ports: &str) -> Mesh {
    let split = |host: &str| json!({"hosts": [host], "identity": [{"header": "x-user-id"}]});
    let config = json!({"splits": {
        "shop": split("shop.example.com"), "wild": split("*.example.com"), "six": split("[::1]"),
    }});
    let hosts = [
        virtual_host("shop", shop),
        virtual_host("wild", &["*.example.com"]),
        virtual_host("six", &["[::1]"]),
        virtual_host("none", &["*"]),
    ];
    let routes =
        json!({"virtual_hosts": hosts, "ignore_port_in_host_matching": ports == "ignored"});
    let options = Options {
        routes: Some(routes),
        ..Options::on(adapter)
    };
    Mesh::start(&config, options).await
}

/// The virtual host that Envoy chose, and the values of the splits' headers that the upstream got.
async fn chosen(mesh: &Mesh, authority: &str) -> (String, Answer) {
    let lines: [&[u8]; 4] = [
        b"x-user-id: alice",
        b"x-sluice-shop: spoofed",
        b"x-sluice-wild: spoofed",
        b"x-sluice-six: spoofed",
    ];
    let answer = mesh.get("/", authority, &lines).await;
    (answer.received("x-virtual-host").join(","), answer)
}

async fn an_authority_is_read_as_envoy_reads_it_for_istio_s_routes(adapter: Adapter) {
    let mesh = mesh_of_hosts(adapter, &["shop.example.com"], "ignored").await;
    let long = format!("{}.example.com", "a".repeat(300));
    let cases = [
        ("shop.example.com", "shop"),
        ("SHOP.example.com:8443", "shop"),
        ("shop.example.com:", "shop"),
        ("shop.example.com:http", "shop"),
        ("shop.example.com:x.other.org", "shop"),
        ("a.example.com:80", "wild"),
        (&long, "wild"),
        ("[x].example.com", "wild"),
        ("[x.example.com", "wild"),
        ("[::1].example.com", "wild"),
        ("user:pw@a.example.com:80", "wild"),
        ("a:b.example.com:80", "wild"),
        ("a.example.com:80:90", "none"),
        ("a:b.example.com", "none"),
        ("[::1]", "six"),
        ("[::1]:80", "six"),
        (".example.com", "none"),
        ("example.com", "none"),
    ];
    for (authority, expected) in cases {
        let (host, answer) = chosen(&mesh, authority).await;
        assert_eq!(
            (answer.status, host.as_str()),
            (200, expected),
            "{authority}"
        );
        if host != "none" {
            let header = format!("x-sluice-{host}");
            assert_eq!(answer.received(&header), ["stable"], "{authority}");
        }
    }
}

async fn where_envoy_may_read_an_authority_otherwise_no_header_of_a_client_survives(
    adapter: Adapter,
) {
    let names = [
        "shop.example.com",
        "a.example.com",
        "[::1]",
        "other.org",
        "x",
    ];
    let ends = [
        "",
        ":",
        ":80",
        ":80:90",
        ":x",
        ":80]",
        "]",
        ".",
        ":shop.example.com",
        ":a.example.com",
    ];
    let mut met = std::collections::BTreeSet::new();
    for ports in ["ignored", "compared"] {
        let shop: &[&str] = match ports {
            "ignored" => &["shop.example.com"],
            _ => &["shop.example.com", "shop.example.com:*"],
        };
        let mesh = mesh_of_hosts(adapter, shop, ports).await;
        for start in ["", "user@", "user:pw@", "[", "[x]", "[::1]", "a:", "a."] {
            for (name, end) in names.iter().flat_map(|name| ends.map(|end| (name, end))) {
                let authority = format!("{start}{name}{end}");
                let (host, answer) = chosen(&mesh, &authority).await;
                let values = answer.received(&format!("x-sluice-{host}"));
                assert!(
                    !values.contains(&"spoofed".to_owned()),
                    "{ports} {host} {authority}"
                );
                met.insert((ports, host));
            }
        }
    }
    let hosts = ["none", "shop", "six", "wild"];
    let expected = ["compared", "ignored"].map(|ports| hosts.map(|host| (ports, host.to_owned())));
    assert!(
        expected
            .as_flattened()
            .iter()
            .all(|pair| met.contains(pair)),
        "{met:?}"
    );
}

async fn a_service_is_known_by_its_virtual_host_whatever_it_is_called(adapter: Adapter) {
    let config = json!({"splits": {
        "web": {"services": ["web.shop"], "identity": [{"header": "x-user-id"}]},
        "wild": {"hosts": ["*.example.com"], "identity": [{"header": "x-user-id"}]},
    }});
    // The names and domains that istiod gives: cluster IPs, aliases, pods of headless services, and
    // any host at all where it knows the service by the address.
    let domains = [
        "10.0.0.7",
        "[fd00::7]",
        "old.shop.svc.cluster.local",
        "*.web.shop",
        "a.example.com",
    ];
    let web = virtual_host("web.shop.svc.corp.example:8080", &domains);
    let api = virtual_host("api.shop.svc.corp.example:8080", &["10.0.0.8"]);
    let routes = json!({"virtual_hosts": [web, api, virtual_host("allow_any", &["*"])], "ignore_port_in_host_matching": true});
    let options = Options {
        routes: Some(routes),
        ..Options::on(adapter)
    };
    let mesh = Mesh::start(&config, options).await;
    let cases: [(&str, &[&str], &[&str]); 8] = [
        ("10.0.0.7:8080", &["stable"], &["spoofed"]),
        ("[fd00::7]:8080", &["stable"], &["spoofed"]),
        ("old.shop.svc.cluster.local", &["stable"], &["spoofed"]),
        ("web-0.web.shop:8080", &["stable"], &["spoofed"]),
        ("web.shop.svc.cluster.local", &["stable"], &["spoofed"]),
        ("a.example.com", &["stable"], &[]),
        ("10.0.0.8:8080", &["spoofed"], &["spoofed"]),
        ("other.org", &["spoofed"], &["spoofed"]),
    ];
    for (authority, web, wild) in cases {
        let lines: [&[u8]; 3] = [
            b"x-user-id: alice",
            b"x-sluice-web: spoofed",
            b"x-sluice-wild: spoofed",
        ];
        let answer = mesh.get("/", authority, &lines).await;
        assert_eq!(answer.received("x-sluice-web"), web, "{authority}");
        assert_eq!(answer.received("x-sluice-wild"), wild, "{authority}");
    }
}

sluice_e2e::over_both_adapters![
    the_namespace_is_envoy_s_and_names_services_by_their_bare_name,
    an_authority_is_read_as_envoy_reads_it_for_istio_s_routes,
    where_envoy_may_read_an_authority_otherwise_no_header_of_a_client_survives,
    a_service_is_known_by_its_virtual_host_whatever_it_is_called,
];
