use crate::analyze::{Findings, ProxyKinds, ROOT_NAMESPACE, Surroundings, check};
use crate::model::{input, plugin};

const SHOP: &str = "
kind: WasmPlugin
apiVersion: extensions.istio.io/v1alpha1
metadata: {name: sluice, namespace: shop}
spec:
  url: oci://r/sluice:1
  sha256: aa
  failStrategy: FAIL_OPEN
  phase: AUTHN
  match: [{mode: CLIENT}]
  pluginConfig: {splits: {web: {services: [web.shop], identity: [{cookie: uid}]}}}
---
kind: Rollout
apiVersion: sluice.dev/v1alpha1
metadata: {name: web, namespace: shop}
spec: {split: web, workload: {deployment: web}, preset: progressive}
---
kind: Deployment
apiVersion: apps/v1
metadata: {name: web, namespace: shop}
spec: {template: {metadata: {labels: {app: web, sluice.dev/variant: canary}}}}
---
kind: Service
apiVersion: v1
metadata: {name: web, namespace: shop}
spec: {selector: {app: web}}
---
kind: DestinationRule
apiVersion: networking.istio.io/v1
metadata: {name: web, namespace: shop}
spec:
  host: web.shop.svc.cluster.local
  subsets:
  - {name: stable, labels: {sluice.dev/variant: stable}}
  - {name: canary, labels: {sluice.dev/variant: canary}}
---
kind: VirtualService
apiVersion: networking.istio.io/v1
metadata: {name: web, namespace: shop}
spec:
  hosts: [web.shop.svc.cluster.local]
  http:
  - match: [{headers: {x-sluice-web: {exact: canary}}}]
    route: [{destination: {host: web.shop.svc.cluster.local, subset: canary}}]
  - route: [{destination: {host: web.shop.svc.cluster.local, subset: stable}}]
";

fn found(yaml: &str) -> Findings {
    let documents = input::parse("f", yaml).unwrap();
    let plugins = plugin::plugins(documents.clone()).unwrap();
    let surroundings = Surroundings {
        documents: &documents,
        proxies: &ProxyKinds::new(),
        root_namespace: ROOT_NAMESPACE,
    };
    check(&plugins, &surroundings)
}

/// The shop with one text in another's place.
fn with(text: &str, other: &str) -> Findings {
    assert!(SHOP.contains(text), "{text}");
    found(&SHOP.replace(text, other))
}

#[test]
fn a_deployment_that_a_rollout_can_follow_is_good() {
    assert_eq!(found(SHOP), Findings::default());
}

#[test]
fn what_a_rollout_cannot_follow_is_a_problem() {
    let cases = [
        (
            "no label",
            (", sluice.dev/variant: canary}}}}", "}}}}"),
            "Deployment shop/web: spec.template.metadata.labels.sluice.dev/variant: missing; accepted: canary, for Rollout \
             shop/web",
        ),
        (
            "another label",
            ("variant: canary}}}}", "variant: stable}}}}"),
            "Deployment shop/web: spec.template.metadata.labels.sluice.dev/variant: \"stable\"; accepted: canary, as \
             Rollout shop/web moves users to it",
        ),
        (
            "a Service of the challenger alone",
            (
                "{selector: {app: web}}",
                "{selector: {app: web, sluice.dev/variant: canary}}",
            ),
            "Deployment shop/web: no Service among these documents selects its pods and those of web-stable: a selector of \
             labels that both have, without sluice.dev/variant",
        ),
        (
            "a Service of others",
            ("{selector: {app: web}}", "{selector: {app: api}}"),
            "Deployment shop/web: no Service among these documents selects its pods and those of web-stable: a selector of \
             labels that both have, without sluice.dev/variant",
        ),
        (
            "subsets by another label",
            ("{sluice.dev/variant: canary}}\n", "{version: canary}}\n"),
            "DestinationRule shop/web: spec.subsets: none with the label sluice.dev/variant: canary, by which Rollout \
             shop/web tells pods of Deployment shop/web apart",
        ),
        (
            "the copy in Git",
            (
                "---\nkind: Service",
                "---\nkind: Deployment\napiVersion: apps/v1\nmetadata: {name: web-stable, namespace: shop}\n---\n\
                 kind: Service",
            ),
            "Deployment shop/web-stable: Rollout shop/web keeps a copy of Deployment web by this name; leave it out of Git",
        ),
    ];
    for (label, (text, other), expected) in cases {
        let found = with(text, other);
        assert_eq!(found.problems, [expected], "{label}");
        assert_eq!(found.warnings, [""; 0], "{label}");
    }
}

#[test]
fn what_git_and_a_rollout_would_fight_about_or_miss_is_warned_of() {
    let cases = [
        (
            "replicas",
            ("spec: {template", "spec: {replicas: 3, template"),
            "Deployment shop/web: spec.replicas: 3: Rollout shop/web scales it, and whoever applies this again undoes that; \
             once its copy has its pods, leave it out",
        ),
        (
            "no Rollout",
            (", workload: {deployment: web}", ""),
            "Deployment shop/web: its pods have sluice.dev/variant: canary, and no Rollout among these documents follows it",
        ),
    ];
    for (label, (text, other), expected) in cases {
        let found = with(text, other);
        assert_eq!(found.warnings, [expected], "{label}");
        assert_eq!(found.problems, [""; 0], "{label}");
    }
    assert_eq!(
        with("{deployment: web}", "{deployment: wep}").warnings,
        [
            "Rollout shop/web: spec.workload.deployment: Deployment wep is not among these documents",
            "Deployment shop/web: its pods have sluice.dev/variant: canary, and no Rollout among these documents follows it",
        ]
    );
}

/// The shop without some kinds.
fn without(kinds: &[&str]) -> Findings {
    let documents = SHOP.split("---\n");
    let is_of = |document: &&str| {
        let mut kinds = kinds.iter();
        kinds.any(|kind| document.contains(&format!("kind: {kind}\n")))
    };
    let documents = documents.filter(|document| !is_of(document));
    found(&documents.collect::<Vec<_>>().join("---\n"))
}

#[test]
fn what_is_not_among_the_documents_is_no_problem_where_none_of_its_kind_is() {
    for kinds in [
        &["Deployment"][..],
        &["Service", "DestinationRule", "VirtualService"],
        // Without its split, whose pods they are to be is not known.
        &["WasmPlugin"],
        &["WasmPlugin", "DestinationRule", "VirtualService"],
    ] {
        assert_eq!(without(kinds), Findings::default(), "without {kinds:?}");
    }
}

#[test]
fn a_rollout_beside_its_service_without_anything_that_tells_variants_apart_is_warned_of() {
    let no_subset = "Rollout shop/web: among these documents is no subset of a DestinationRule and no Service with the \
                     label sluice.dev/variant: stable: no run begins before there is one";
    let no_route = "Rollout shop/web: among these documents is no VirtualService or HTTPRoute: without one every request \
                    meets either version, whatever the weight";
    for (kinds, expected) in [
        (&["DestinationRule", "VirtualService"][..], no_subset),
        (&["VirtualService"], no_route),
    ] {
        let found = without(kinds);
        assert_eq!(found.warnings, [expected], "without {kinds:?}");
        assert_eq!(found.problems, [""; 0], "without {kinds:?}");
    }
}

#[test]
fn services_of_one_variant_each_tell_them_apart_as_subsets_do() {
    let (before, _) = SHOP.split_once("---\nkind: DestinationRule").unwrap();
    let yaml = format!(
        "{before}---\nkind: Service\napiVersion: v1\nmetadata: {{name: web-stable, namespace: shop}}\n\
         spec: {{selector: {{app: web, sluice.dev/variant: stable}}}}\n---\nkind: HTTPRoute\n\
         apiVersion: gateway.networking.k8s.io/v1\nmetadata: {{name: web, namespace: shop}}\nspec:\n  rules:\n  \
         - matches: [{{headers: [{{name: x-sluice-web, value: canary}}]}}]\n    backendRefs: [{{name: web-canary, port: 80}}]\n  \
         - backendRefs: [{{name: web-stable, port: 80}}]\n"
    );
    assert_eq!(found(&yaml).warnings, [""; 0]);
}

#[test]
fn a_plugin_that_a_rollout_names_with_its_kind_is_the_one() {
    let with_plugin = |plugin: &str| {
        let shop = SHOP.replace("{split: web,", &format!("{{split: web, plugin: {plugin},"));
        found(&shop.replace("variant: canary}}}}", "variant: beta}}}}")).problems
    };
    let expected = "Deployment shop/web: spec.template.metadata.labels.sluice.dev/variant: \"beta\"; accepted: canary, as \
                    Rollout shop/web moves users to it";
    for plugin in ["sluice", "WasmPlugin/sluice", "wasmplugins/sluice"] {
        assert_eq!(with_plugin(plugin), [expected], "{plugin}");
    }
    for plugin in ["other", "TrafficExtension/sluice"] {
        assert_eq!(with_plugin(plugin), [""; 0], "{plugin}");
    }
}

#[test]
fn a_challenger_that_the_rollout_names_is_the_one() {
    let found = with("{split: web,", "{split: web, challenger: beta,");
    assert_eq!(
        found.problems[0],
        "Deployment shop/web: spec.template.metadata.labels.sluice.dev/variant: \"canary\"; accepted: beta, as Rollout \
         shop/web moves users to it"
    );
}

#[test]
fn a_copy_that_a_rollout_made_is_no_ones_mistake() {
    let made = "---\nkind: Deployment\napiVersion: apps/v1\nmetadata: {name: web-stable, namespace: shop, \
                labels: {sluice.dev/rollout: web}}\nspec: {replicas: 3, template: {metadata: {labels: {app: web, \
                sluice.dev/variant: stable}}}}\n---\nkind: Service";
    assert_eq!(with("---\nkind: Service", made), Findings::default());
}
