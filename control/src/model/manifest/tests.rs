use serde_json::json;

use super::*;
use crate::model::input::parse;

fn manifests(yaml: &str, namespace: Namespace<'_>) -> Result<Manifests, ManifestError> {
    Manifests::of(parse("web.yaml", yaml).unwrap(), namespace)
}

const PLUGIN: &str = "
apiVersion: extensions.istio.io/v1alpha1
kind: WasmPlugin
metadata: {name: sluice, namespace: shop}
spec: {url: oci://r/s, pluginConfig: {splits: {web: {}}, weights: {web: {everyone: {canary: 5}}}}}
";

const ROUTES: &str = "
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: {name: web}
spec: {}
";

const SUBSETS: &str = "
apiVersion: networking.istio.io/v1beta1
kind: DestinationRule
metadata: {name: web}
spec: {}
";

#[test]
fn subsets_come_before_routes_and_the_plugin_comes_last_whatever_the_stream_says() {
    let stream = [PLUGIN, ROUTES, SUBSETS].join("---");
    let manifests = manifests(&stream, Namespace::Default("shop")).unwrap();
    let titles: Vec<String> = manifests.all.iter().map(Manifest::title).collect();
    let expected = [
        "DestinationRule shop/web",
        "VirtualService shop/web",
        "WasmPlugin shop/sluice",
    ];
    assert_eq!(titles, expected);
    let namespaces = manifests
        .all
        .iter()
        .map(|manifest| &manifest.document["metadata"]["namespace"]);
    assert!(namespaces.into_iter().all(|namespace| namespace == "shop"));
}

#[test]
fn weights_and_draws_are_left_out_also_where_they_stand_in_a_document_of_their_own() {
    let weights = "
apiVersion: extensions.istio.io/v1alpha1
kind: WasmPlugin
metadata: {name: sluice, namespace: shop}
spec: {pluginConfig: {weights: {web: {everyone: {canary: 9}}}, draws: {web: x}}}
";
    for stream in [PLUGIN.to_owned(), [PLUGIN, weights].join("---")] {
        let manifests = manifests(&stream, Namespace::Default("a")).unwrap();
        assert!(manifests.left_weights_out);
        assert_eq!(manifests.all.len(), 1);
        assert_eq!(
            manifests.all[0].document["spec"],
            json!({"url": "oci://r/s", "pluginConfig": {"splits": {"web": {}}}})
        );
    }
    let routes = manifests(ROUTES, Namespace::Default("a")).unwrap();
    assert!(!routes.left_weights_out);
}

#[test]
fn what_is_no_part_of_a_split_is_refused_with_what_is_accepted() {
    let accepted = "accepted: DestinationRule, VirtualService, HTTPRoute, WasmPlugin, TrafficExtension, \
                    of which `sluice render` writes some";
    let many: Vec<String> = (0..=MAX_APPLIED)
        .map(|number| ROUTES.replace("name: web", &format!("name: web-{number}")))
        .collect();
    let cases = [
        (
            "apiVersion: v1\nkind: Secret\nmetadata: {name: s}".to_owned(),
            format!("web.yaml: a Secret of v1; {accepted}"),
        ),
        (
            "splits: {web: {}}".to_owned(),
            format!("web.yaml: no resource with kind and apiVersion; {accepted}"),
        ),
        (
            ROUTES.replace("networking.istio.io/v1", "example.com/v1"),
            format!("web.yaml: a VirtualService of example.com/v1; {accepted}"),
        ),
        (
            ROUTES.replace("name: web", ""),
            "web.yaml: a VirtualService without metadata.name".to_owned(),
        ),
        (
            PLUGIN.to_owned(),
            "WasmPlugin shop/sluice: not in the namespace qa of -n; accepted: one of them"
                .to_owned(),
        ),
        (
            many.join("---"),
            "201 resources; accepted: at most 200".to_owned(),
        ),
        (
            String::new(),
            "no resource to apply; accepted: what `sluice render` writes".to_owned(),
        ),
    ];
    for (stream, expected) in cases {
        let error = manifests(&stream, Namespace::Only("qa")).unwrap_err();
        assert_eq!(error.to_string(), expected);
    }
}
