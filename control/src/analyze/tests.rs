use super::*;
use crate::model::{input, plugin};

fn found(yaml: &str) -> Findings {
    let documents = input::parse("f", yaml).unwrap();
    let plugins = plugin::plugins(documents.clone()).unwrap();
    check(&plugins, &surroundings(&documents, &ProxyKinds::new()))
}

fn surroundings<'a>(documents: &'a [Input], proxies: &'a ProxyKinds) -> Surroundings<'a> {
    Surroundings {
        documents,
        proxies,
        root_namespace: ROOT_NAMESPACE,
    }
}

const PLUGIN: &str = "
kind: WasmPlugin
metadata: {name: sluice, namespace: shop}
spec:
  url: oci://r/sluice:1
  sha256: aa
  failStrategy: FAIL_OPEN
  phase: AUTHN
  match: [{mode: CLIENT}]
  pluginConfig: {splits: {web: {services: [web.shop], identity: [{cookie: uid}]}}}
";

const ROUTES: &str = "
---
kind: DestinationRule
metadata: {name: web, namespace: shop}
spec: {host: web, subsets: [{name: stable}, {name: canary}]}
---
kind: VirtualService
metadata: {name: web, namespace: shop}
spec:
  hosts: [web]
  http:
  - match: [{headers: {x-sluice-web: {exact: canary}}}]
    route: [{destination: {host: web, subset: canary}}]
  - route: [{destination: {host: web, subset: stable}}]
";

#[test]
fn what_fits_is_good() {
    assert_eq!(found(&format!("{PLUGIN}{ROUTES}")), Findings::default());
}

#[test]
fn what_does_not_fit_is_a_problem() {
    let cases = [
        (
            "another header",
            ("x-sluice-web:", "x-sluice-wep:"),
            "VirtualService shop/web: spec.http[0].match[0].headers.x-sluice-wep: no split sets this header; did you mean \"x-sluice-web\"?",
        ),
        (
            "no variant",
            ("exact: canary", "exact: canari"),
            "VirtualService shop/web: spec.http[0].match[0].headers.x-sluice-web: \"canari\" is no variant of split web; did you mean \"canary\"?",
        ),
        (
            "a match that is null",
            ("{exact: canary}", "null"),
            "VirtualService shop/web: spec.http[0].match[0].headers.x-sluice-web: null, which the API server refuses in a server-side apply and otherwise takes away: the match then asks for nothing, and every request takes this route; accepted: a match such as {exact: canary}",
        ),
        (
            "a match that is null beside another",
            (
                "{x-sluice-web: {exact: canary}}",
                "{x-sluice-web: {exact: canary}, x-a: null}",
            ),
            "VirtualService shop/web: spec.http[0].match[0].headers.x-a: null, which the API server refuses in a server-side apply and otherwise takes away: the match then does not ask for it; accepted: a match such as {exact: canary}",
        ),
        (
            "a host the split does not have",
            ("hosts: [web]", "hosts: [other]"),
            "VirtualService shop/web: spec.hosts: other.shop.svc.cluster.local is none of the hosts of split web: nobody sets x-sluice-web there, and a client's own would be routed on",
        ),
        (
            "a subset that is not there",
            ("{name: canary}]", "{name: kanary}]"),
            "VirtualService shop/web: spec.http[0]: web.shop.svc.cluster.local has no subset \"canary\"; did you mean \"kanary\"?",
        ),
        (
            "one route with CORS",
            ("- route:", "- corsPolicy: {maxAge: 1h}\n    route:"),
            "VirtualService shop/web: spec.http: the routes have different corsPolicy: a preflight carries no cookie, so it takes the fallback's; accepted: the same one on every route",
        ),
        (
            "the callee's side",
            ("mode: CLIENT", "mode: SERVER"),
            "WasmPlugin shop/sluice: mode SERVER runs where the route is chosen already; accepted: CLIENT (callers and gateways), or targetRefs to a service with a waypoint",
        ),
        (
            "a waypoint's caller side",
            ("phase: AUTHN", "targetRefs: [{kind: Service, name: web}]"),
            "WasmPlugin shop/sluice: mode CLIENT never matches on a waypoint; accepted with such targetRefs: SERVER",
        ),
        (
            "claims too early",
            ("identity: [{cookie: uid}]", "identity: [{claim: sub}]"),
            "WasmPlugin shop/sluice: splits.web asks for claims, which phase AUTHN runs before; accepted: AUTHZ",
        ),
    ];
    for (label, (text, instead), expected) in cases {
        let yaml = format!("{PLUGIN}{ROUTES}").replace(text, instead);
        assert_eq!(found(&yaml).problems, [expected], "{label}");
    }
}

#[test]
fn a_gateways_routes_are_its_own_plugins() {
    let gateway = ROUTES.replace(
        "hosts: [web]",
        "hosts: [shop.example.com]\n  gateways: [ingress/main]",
    );
    assert_eq!(found(&format!("{PLUGIN}{gateway}")), Findings::default());
    let there = PLUGIN.replace("namespace: shop", "namespace: ingress");
    assert_eq!(
        found(&format!("{there}{gateway}")).problems,
        [
            "VirtualService shop/web: spec.hosts: shop.example.com is none of the hosts of split web: nobody sets x-sluice-web there, and a client's own would be routed on"
        ]
    );
}

#[test]
fn a_second_plugin_on_the_same_proxies_is_a_problem() {
    let root = PLUGIN.replace("namespace: shop", "namespace: istio-system");
    let expected = "WasmPlugin shop/sluice: splits.web sets x-sluice-web, and so does splits.web of WasmPlugin istio-system/sluice, which runs on the same proxies: the one that runs last wins; accepted: one plugin, or headers of their own";
    let tie = "WasmPlugin shop/sluice: phase and priority are those of WasmPlugin istio-system/sluice, on the same proxies: which runs first depends on their age";
    let both = found(&format!("{PLUGIN}---{root}{ROUTES}"));
    assert_eq!(
        (both.problems, both.warnings),
        (vec![expected.to_owned()], vec![tie.to_owned()])
    );
    let apart = |app: &str| {
        PLUGIN.replace(
            "spec:",
            &format!("spec:\n  selector: {{matchLabels: {{app: {app}}}}}"),
        )
    };
    assert_eq!(
        found(&format!(
            "{}---{}",
            apart("one"),
            apart("two").replace("name: sluice", "name: two")
        )),
        Findings::default()
    );
}

#[test]
fn what_works_but_bites_is_a_warning() {
    let cases = [
        (
            "a match that was null, as the API server leaves it",
            (
                "- match: [{headers: {x-sluice-web: {exact: canary}}}]",
                "- match: [{headers: {x-sluice-web: {exact: canary}}}, {headers: {}}]",
            ),
            "VirtualService shop/web: spec.http[0].match[1].headers: empty, as the API server leaves it where a match was null: the match then asks for nothing, and every request takes this route",
        ),
        (
            "unpinned",
            ("sha256: aa", "priority: 1"),
            "WasmPlugin shop/sluice: oci://r/sluice:1 is not pinned: whoever pushes that tag runs code in every proxy; add the sha256 that `sluice push` printed",
        ),
        (
            "a file",
            ("oci://r/sluice:1", "file:///sluice.wasm"),
            "WasmPlugin shop/sluice: a file:// module: agents do not handle it, so every edit of the resource, also of a label, makes new VMs",
        ),
        (
            "not open",
            ("FAIL_OPEN", "FAIL_RELOAD"),
            "WasmPlugin shop/sluice: failStrategy FAIL_RELOAD: where the module cannot be fetched, every request is answered 403; accepted: FAIL_OPEN",
        ),
        (
            "weights in Git",
            (
                "{splits:",
                "{weights: {web: {everyone: {canary: 5}}}, splits:",
            ),
            "WasmPlugin shop/sluice: weights beside the splits: whoever applies this again undoes what `sluice` did since, an abort too; leave weights to `sluice set`",
        ),
    ];
    for (label, (text, instead), expected) in cases {
        let found = found(&format!("{PLUGIN}{ROUTES}").replace(text, instead));
        assert_eq!(
            (found.problems, found.warnings),
            (vec![], vec![expected.to_owned()]),
            "{label}"
        );
    }
}

#[test]
fn a_field_of_another_type_is_a_problem() {
    let cases = [
        (
            ("hosts: [web]", "hosts: web"),
            "VirtualService shop/web: spec.hosts: string \"web\", expected a list",
        ),
        (
            ("{name: canary}]", "canary]"),
            "DestinationRule shop/web: spec.subsets[1]: string \"canary\", expected a map",
        ),
        (
            ("phase: AUTHN", "phase: [AUTHN]"),
            "WasmPlugin shop/sluice: spec.phase: a list, expected a string",
        ),
    ];
    for ((text, instead), expected) in cases {
        let yaml = format!("{PLUGIN}{ROUTES}").replace(text, instead);
        assert_eq!(found(&yaml).problems, [expected]);
    }
}
