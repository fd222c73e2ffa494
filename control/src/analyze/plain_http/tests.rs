use super::may_meet;
use crate::analyze::{Findings, ProxyKinds, ROOT_NAMESPACE, Surroundings, check};
use crate::model::{input, plugin};

const PLUGIN: &str = "
kind: WasmPlugin
metadata: {name: sluice-main, namespace: gw}
spec:
  url: oci://r/sluice:1
  sha256: aa
  failStrategy: FAIL_OPEN
  phase: AUTHN
  match: [{mode: CLIENT}]
  selector: {matchLabels: {app: ingress}}
  pluginConfig: {splits: {web: {hosts: [web.example]}}}
";

const CLASSIC: &str = "
---
apiVersion: networking.istio.io/v1
kind: Gateway
metadata: {name: main, namespace: gw}
spec:
  selector: {app: ingress}
  servers:
  - {port: {number: 443, protocol: HTTPS}, hosts: ['*/web.example'], tls: {mode: SIMPLE}}
  - {port: {number: 80, protocol: HTTP}, hosts: ['*/web.example']}
";

const NEWER: &str = "
---
apiVersion: gateway.networking.k8s.io/v1
kind: Gateway
metadata: {name: main, namespace: gw}
spec:
  gatewayClassName: istio
  listeners:
  - {name: tls, port: 443, protocol: HTTPS, hostname: '*.example'}
  - {name: plain, port: 80, protocol: HTTP, hostname: '*.example'}
---
apiVersion: gateway.networking.k8s.io/v1
kind: HTTPRoute
metadata: {name: web, namespace: shop}
spec:
  parentRefs: [{group: gateway.networking.k8s.io, kind: Gateway, name: main, namespace: gw}]
  hostnames: [web.example]
  rules: [{matches: [{headers: [{name: x-sluice-web, value: canary}]}]}]
";

fn warnings(yaml: &str) -> Vec<String> {
    let documents = input::parse("f", yaml).unwrap();
    let plugins = plugin::plugins(documents.clone()).unwrap();
    let surroundings = Surroundings {
        documents: &documents,
        proxies: &ProxyKinds::new(),
        root_namespace: ROOT_NAMESPACE,
    };
    let Findings {
        problems, warnings, ..
    } = check(&plugins, &surroundings);
    assert_eq!(problems, Vec::<String>::new());
    warnings
}

fn newer() -> String {
    let target = "targetRefs: [{kind: Gateway, name: main}]";
    PLUGIN.replace("selector: {matchLabels: {app: ingress}}", target) + NEWER
}

#[test]
fn a_gateway_without_tls_is_named_with_what_would_mend_it() {
    assert_eq!(
        warnings(&format!("{PLUGIN}{CLASSIC}")),
        [
            "Gateway gw/main: spec.servers[1]: takes requests of split web without TLS, and WasmPlugin gw/sluice-main \
             issues the cookie __Host-sluice there, which is Secure: clients drop it, and every request draws a new user. \
             Accepted: tls: {httpsRedirect: true}; or cookie: {name: sluice, secure: false}; or, where a balancer in front \
             ends TLS, the annotation sluice.dev/tls: in-front on the Gateway"
        ]
    );
    assert_eq!(
        warnings(&newer()),
        [
            "Gateway gw/main: spec.listeners[1]: takes requests of split web without TLS, and WasmPlugin gw/sluice-main \
             issues the cookie __Host-sluice there, which is Secure: clients drop it, and every request draws a new user. \
             Accepted: an HTTPRoute there that only redirects; or cookie: {name: sluice, secure: false}; or, where a \
             balancer in front ends TLS, the annotation sluice.dev/tls: in-front on the Gateway"
        ]
    );
}

#[test]
fn what_is_mended_or_none_of_the_splits_is_good() {
    let classic = |text: &str, instead: &str| {
        let yaml = format!("{PLUGIN}{CLASSIC}");
        assert!(yaml.contains(text), "{text}");
        yaml.replace(text, instead)
    };
    let newer = |text: &str, instead: &str| {
        let yaml = newer();
        assert!(yaml.contains(text), "{text}");
        yaml.replace(text, instead)
    };
    let cookie = "pluginConfig: {cookie: {name: sluice, secure: false}, splits";
    let marked = "name: main, namespace: gw, annotations: {sluice.dev/tls: in-front}}";
    let cases = [
        (
            "a redirect",
            classic(
                "protocol: HTTP}, hosts: ['*/web.example']",
                "protocol: HTTP}, hosts: ['*/web.example'], tls: {httpsRedirect: true}",
            ),
        ),
        (
            "a cookie that is not Secure",
            classic("pluginConfig: {splits", cookie),
        ),
        (
            "a balancer in front",
            classic("name: main, namespace: gw}", marked),
        ),
        (
            "other hosts",
            classic(
                "protocol: HTTP}, hosts: ['*/web.example']",
                "protocol: HTTP}, hosts: ['*/other.example']",
            ),
        ),
        (
            "other pods",
            classic("selector: {app: ingress}", "selector: {app: other}"),
        ),
        (
            "nobody gets a cookie",
            classic(
                "hosts: [web.example]",
                "hosts: [web.example], anonymous: fallback",
            ),
        ),
        (
            "a redirect's listener",
            newer(
                "name: main, namespace: gw}]",
                "name: main, namespace: gw, sectionName: tls}]",
            ),
        ),
        (
            "another Gateway",
            newer(
                "targetRefs: [{kind: Gateway, name: main}]",
                "targetRefs: [{kind: Gateway, name: x}]",
            ),
        ),
        (
            "a balancer before a newer one",
            newer(
                "metadata: {name: main, namespace: gw}",
                &format!("metadata: {{{marked}"),
            ),
        ),
    ];
    for (label, yaml) in cases {
        let found = warnings(&yaml);
        let found: Vec<_> = found
            .iter()
            .filter(|text| text.contains("without TLS"))
            .collect();
        assert_eq!(found, Vec::<&String>::new(), "{label}");
    }
}

#[test]
fn a_gateway_of_another_namespace_counts_by_its_labels() {
    let elsewhere = format!("{PLUGIN}{CLASSIC}")
        .replace("name: main, namespace: gw", "name: main, namespace: shop");
    assert_eq!(warnings(&elsewhere).len(), 1);
    let everywhere = elsewhere.replace("selector: {matchLabels: {app: ingress}}", "priority: 1");
    assert_eq!(warnings(&everywhere).len(), 0);
}

#[test]
fn hosts_meet_where_one_request_may_be_for_both() {
    let cases = [
        ("a.example.com", "a.example.com", true),
        ("a.example.com", "A.Example.com", true),
        ("a.example.com", "*", true),
        ("a.example.com", "*.example.com", true),
        ("*.b.example.com", "*.example.com", true),
        ("*.example.com", "*.b.example.com", true),
        ("a.example.com", "b.example.com", false),
        ("example.com", "*.example.com", false),
        ("a.example.org", "*.example.com", false),
    ];
    for (one, other, expected) in cases {
        assert_eq!(may_meet(one, other), expected, "{one} {other}");
    }
}
