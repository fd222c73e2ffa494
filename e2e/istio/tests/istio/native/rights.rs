//! What the chart gives a controller that writes EnvoyFilters: those of native plugins, of places
//! that are listed, and no others.

use kube::api::DynamicObject;
use serde_json::{Value, json};
use sluice_e2e::wait::until;
use sluice_e2e_istio::api_server::{self, ISSUER};
use sluice_e2e_istio::command::Tool;
use sluice_e2e_istio::kubernetes::{Kubernetes, documents};

use super::{installed, wait_for_filters, wait_for_native};
use crate::chart::{chart, helm};
use crate::rollouts::controller::start_as;
use crate::world::World;

/// The kinds of the chart that say who may do what.
const KINDS: [&str; 7] = [
    "ServiceAccount",
    "Role",
    "RoleBinding",
    "ClusterRole",
    "ClusterRoleBinding",
    "ValidatingAdmissionPolicy",
    "ValidatingAdmissionPolicyBinding",
];

const POLICY: &str = "sluice-native";

/// The controller's account in a, as a client and for `sluice`; modules may be below the tests'
/// folder.
async fn account(world: &World) -> (Kubernetes, Tool) {
    let folder = world.chain.folder().display().to_string();
    let command = format!(
        "template sluice {} -n a --set native.enabled=true,native.libraries={{{folder}/}}",
        chart().display()
    );
    let rendered = helm(world).run_beside(&command).await.good().out;
    let kubernetes = &world.chain.kubernetes;
    for document in documents(&rendered) {
        if KINDS.contains(&document["kind"].as_str().unwrap()) {
            kubernetes
                .try_apply_by_force("gitops", &document)
                .await
                .unwrap();
        }
    }
    let token = kubernetes.token("a", "sluice-controller", ISSUER).await;
    let kubeconfig = world.chain.kubeconfig("a", "sluice-controller").await;
    let client = Kubernetes::new(api_server::URL, &token);
    (client, world.chain.sluice.with_kubeconfig(&kubeconfig))
}

/// The EnvoyFilter of a's plugin, with claims, as the controller would write it.
fn good(world: &World) -> Value {
    let plugin = world.chain.folder().join("plugin.yaml");
    let text = world
        .plugin("a")
        .replace("identity: [{cookie: uid}]", "identity: [{claim: sub}]");
    std::fs::write(&plugin, text).unwrap();
    // One that proxies can load: a listener whose module they cannot load takes no other change.
    let library = installed(world, "policy");
    let render = format!(
        "render --native -f {} --library {}",
        plugin.display(),
        library.display()
    );
    documents(&world.chain.sluice.run(&render).good().out).remove(0)
}

/// Something that is not good at a place of the document.
fn with(good: &Value, path: &str, value: Value) -> Value {
    let mut bad = good.clone();
    let (parent, field) = path.rsplit_once('/').unwrap();
    match bad.pointer_mut(parent).unwrap() {
        Value::Array(items) => items.push(value),
        parent => parent[field] = value,
    }
    bad
}

async fn create(client: &Kubernetes, document: &Value) -> Result<DynamicObject, String> {
    client
        .create(document)
        .await
        .map_err(|error| error.to_string())
}

pub async fn a_controller_may_write_no_other_envoy_filter(world: &mut World) {
    world.fresh_plugin("a", 50).await;
    let (client, sluice) = account(world).await;
    let good = good(world);
    let patches = "/spec/configPatches";
    let configuration = good["spec"]["configPatches"].as_array().unwrap().len() - 1;
    let module =
        format!("{patches}/{configuration}/patch/value/typed_config/dynamic_module_config");
    let lua = json!({
        "applyTo": "HTTP_FILTER", "match": {"context": "SIDECAR_OUTBOUND"},
        "patch": {"operation": "INSERT_FIRST", "value": {"name": "x"}},
    });
    let cluster =
        json!({"applyTo": "CLUSTER", "patch": {"operation": "ADD", "value": {"name": "x"}}});
    let bad = [
        (
            "another name",
            with(&good, "/metadata/name", json!("other")),
        ),
        (
            "another plugin's",
            with(&good, "/metadata/name", json!("other-native")),
        ),
        ("no label", with(&good, "/metadata/labels", json!({}))),
        (
            "every pod",
            with(&good, "/spec/workloadSelector", json!({"labels": {}})),
        ),
        (
            "other pods",
            with(&good, "/spec/workloadSelector/labels", json!({"app": "x"})),
        ),
        ("a priority", with(&good, "/spec/priority", json!(5))),
        ("one more filter", with(&good, &format!("{patches}/-"), lua)),
        ("a cluster", with(&good, &format!("{patches}/-"), cluster)),
        (
            "elsewhere",
            with(
                &good,
                &format!("{patches}/1/match"),
                json!({"context": "GATEWAY"}),
            ),
        ),
        (
            "by another operation",
            with(
                &good,
                &format!("{patches}/1/patch/operation"),
                json!("MERGE"),
            ),
        ),
        (
            "another filter",
            with(
                &good,
                &format!("{patches}/1/patch/value"),
                json!({"name": "envoy.filters.http.lua"}),
            ),
        ),
        (
            "another value before it",
            with(
                &good,
                &format!(
                    "{patches}/0/patch/value/typed_config/on_request_headers/0/format_string/text_format_source/inline_string"
                ),
                json!("%ENVIRONMENT(SECRET)%"),
            ),
        ),
        (
            "a route's metadata",
            with(
                &good,
                &format!("{patches}/0/patch/value/typed_config/on_request_headers/0/object_key"),
                json!("envoy.network.upstream_server_name"),
            ),
        ),
        (
            "a file elsewhere",
            with(
                &good,
                &format!("{module}/module"),
                json!({"local": {"filename": "/tmp/x.so"}}),
            ),
        ),
        (
            "a way out",
            with(
                &good,
                &format!("{module}/module"),
                json!({"local": {"filename": format!("{}/../x.so", world.chain.folder().display())}}),
            ),
        ),
        (
            "one that is unloaded",
            with(&good, &format!("{module}/do_not_close"), json!(false)),
        ),
        (
            "one that is fetched",
            with(
                &good,
                &format!("{module}/module"),
                json!({"remote": {"http_uri": {"uri": "http://x/", "cluster": "x", "timeout": "1s"}, "sha256": "0".repeat(64)}}),
            ),
        ),
    ];
    until("the policy to be in force", async || {
        let refused = create(&client, &bad[0].1).await;
        let why = refused.err().unwrap_or_default();
        why.contains(POLICY).then_some(()).ok_or(why)
    })
    .await;
    // Before it was, one may have been made.
    let kubernetes = &world.chain.kubernetes;
    kubernetes.delete("EnvoyFilter", "a", "other").await;
    for (label, document) in &bad {
        let why = create(&client, document).await.expect_err(label);
        assert!(why.contains(POLICY), "{label}: {why}");
    }
    // What others made is not changed either.
    let others = with(&good, "/metadata/labels", json!({}));
    create(kubernetes, &others).await.unwrap();
    let change = json!({"metadata": {"labels": good["metadata"]["labels"]}});
    let changed = client
        .merge("EnvoyFilter", "a", "sluice-native", &change)
        .await;
    assert!(changed.unwrap_err().to_string().contains(POLICY));
    let deleted = client.try_delete("EnvoyFilter", "a", "sluice-native").await;
    assert!(deleted.unwrap_err().to_string().contains(POLICY));
    kubernetes.delete("EnvoyFilter", "a", "sluice-native").await;
    create(&client, &good).await.unwrap();
    client
        .try_delete("EnvoyFilter", "a", "sluice-native")
        .await
        .unwrap();
    // And with that, a controller does its work.
    let controller = start_as(world, &sluice, "controller", "controller --native -n a");
    let annotations = json!({
        "sluice.dev/native": "true", "sluice.dev/native-library": installed(world, "rights"),
    });
    let change = json!({"metadata": {"annotations": annotations}});
    kubernetes
        .merge("WasmPlugin", "a", "sluice", &change)
        .await
        .unwrap();
    until("the EnvoyFilter", async || {
        let found = kubernetes.get("EnvoyFilter", "a", "sluice-native").await;
        found.ok_or_else(|| controller.log())
    })
    .await;
    wait_for_native(world).await;
    wait_for_filters(world, true).await;
    world.set("web", 20).await;
    wait_for_native(world).await;
    let change = json!({"metadata": {"annotations": {"sluice.dev/native": null}}});
    kubernetes
        .merge("WasmPlugin", "a", "sluice", &change)
        .await
        .unwrap();
    wait_for_filters(world, false).await;
    world.stop_native_proxies();
}
