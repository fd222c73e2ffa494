//! `sluice doctor` and `sluice version` on a real cluster: a good one has nothing broken, and what is
//! wrong with it is named, each in its turn, and is gone once it is mended.

use std::net::SocketAddr;

use serde_json::{Value, json};
use sluice_e2e::wait::until;
use sluice_e2e_istio::command::{Said, Tool};
use sluice_e2e_istio::istiod::WEBHOOK_NAME;
use sluice_e2e_istio::kubernetes::documents;
use sluice_e2e_istio::process::Process;
use sluice_e2e_istio::prometheus::{self, Target};

use crate::access::{checkout, manifest};
use crate::world::World;

/// The labels of the filter's metrics.
const TAGS: &str = "sluice_split, sluice_audience, sluice_variant, sluice_source, sluice_class, sluice_plugin, \
                    sluice_word";

/// istiod and the mesh's configuration as an installation by Helm has them: here istiod is a process,
/// and its Deployment only says what one would.
fn istiod(image: &str, replicas: u32, max: &str) -> Value {
    let env = json!([
        {"name": "PILOT_DEBOUNCE_AFTER", "value": "20ms"}, {"name": "PILOT_DEBOUNCE_MAX", "value": max},
    ]);
    let labels = json!({"app": "istiod"});
    json!({
        "apiVersion": "apps/v1", "kind": "Deployment",
        "metadata": {"name": "istiod", "namespace": "istio-system", "labels": labels},
        "spec": {
            "replicas": replicas, "selector": {"matchLabels": labels},
            "template": {
                "metadata": {"labels": labels},
                "spec": {"containers": [{"name": "discovery", "image": image, "env": env}]},
            },
        },
    })
}

fn good_istiod() -> Value {
    istiod("docker.io/istio/pilot:1.31.1", 2, "200ms")
}

fn mesh(tags: &str) -> Value {
    json!({
        "apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "istio", "namespace": "istio-system"},
        "data": {"mesh": format!("defaultConfig: {{extraStatTags: [{tags}]}}")},
    })
}

/// The controller as it is shipped, but in namespace a and confined to it.
fn controller_deployment(replicas: u32) -> Value {
    let text = std::fs::read_to_string(checkout("wasmplugin/controller").join("deployment.yaml"));
    let mut deployment = documents(&text.unwrap()).remove(0);
    deployment["metadata"]["namespace"] = json!("a");
    deployment["spec"]["replicas"] = json!(replicas);
    deployment["spec"]["template"]["spec"]["containers"][0]["args"] =
        json!(["controller", "-n", "a"]);
    deployment
}

/// The controller's account in namespace a, its rights there, and its Service.
fn controller_resources() -> Vec<Value> {
    let files = ["account.yaml", "namespaced.yaml", "brake.yaml"];
    let read =
        |file| std::fs::read_to_string(checkout("wasmplugin/controller").join(file)).unwrap();
    let texts = files.into_iter().map(read);
    let mut resources: Vec<Value> = texts.flat_map(|text| documents(&text)).collect();
    resources.retain(|resource| {
        let kind = resource["kind"].as_str().unwrap_or_default();
        !["NetworkPolicy", "AuthorizationPolicy"].contains(&kind)
    });
    for resource in &mut resources {
        resource["metadata"]["namespace"] = json!("a");
        for subject in resource
            .get_mut("subjects")
            .and_then(Value::as_array_mut)
            .into_iter()
            .flatten()
        {
            subject["namespace"] = json!("a");
        }
    }
    resources
}

async fn apply(world: &World, resource: &Value) {
    let applied = world
        .chain
        .kubernetes
        .try_apply_by_force("gitops", resource)
        .await;
    applied.unwrap();
}

async fn ready(world: &World, namespace: &str, name: &str, replicas: u32) {
    let status = json!({"replicas": 2, "readyReplicas": replicas});
    world
        .chain
        .kubernetes
        .set_status("Deployment", namespace, name, &status)
        .await;
}

async fn patch(world: &World, patch: Value) {
    let patched = world
        .chain
        .kubernetes
        .merge("WasmPlugin", "a", "sluice", &patch)
        .await;
    patched.unwrap();
}

/// Everything as it should be: istiod, mesh, controller, and a plugin in a that asks it for brakes.
async fn good_cluster(world: &World) -> Process {
    let kubernetes = &world.chain.kubernetes;
    apply(world, &good_istiod()).await;
    ready(world, "istio-system", "istiod", 2).await;
    apply(world, &mesh(TAGS)).await;
    for resource in controller_resources() {
        apply(world, &resource).await;
    }
    apply(world, &controller_deployment(2)).await;
    ready(world, "a", "sluice-controller", 2).await;
    for policy in ["policy.yaml", "history.yaml", "brakes.yaml"] {
        kubernetes.apply(&manifest(policy)).await;
    }
    let controller = crate::rollouts::controller::start(world);
    world.new_plugin("a").await;
    let brake = json!({"spec": {"pluginConfig": {"brake": {"service": "sluice-controller.a"}}}});
    patch(world, brake).await;
    world.wait_for_convergence("a").await;
    controller
}

/// Takes away what the next test does not find there.
async fn tidy(world: &World) {
    let kubernetes = &world.chain.kubernetes;
    kubernetes
        .delete("Deployment", "istio-system", "istiod")
        .await;
    kubernetes
        .delete("ConfigMap", "istio-system", "istio")
        .await;
    kubernetes.delete("Lease", "a", "sluice-controller").await;
    kubernetes
        .delete("Lease", "shop", "sluice-controller")
        .await;
}

const ALL: &str = "-n a --prometheus http://127.0.0.1:9090";

/// A report, and how the command ended.
async fn report(sluice: &Tool, arguments: &str) -> (Value, Said) {
    let said = sluice
        .run_beside(&format!("doctor {arguments} -o json"))
        .await;
    let report = serde_json::from_str(&said.out);
    (report.unwrap_or_else(|_| panic!("{said:#?}")), said)
}

fn codes(report: &Value) -> Vec<String> {
    let findings = report["findings"].as_array().unwrap();
    let codes = findings
        .iter()
        .map(|found| found["code"].as_str().unwrap().to_owned());
    codes.collect()
}

/// Waits until the doctor finds all of these, and ends with the code that goes with the worst of all
/// that it finds.
async fn finds(world: &World, arguments: &str, expected: &[&str]) -> Value {
    let what = format!("{expected:?} of doctor {arguments}");
    let report = until(&what, async || {
        let (report, said) = report(&world.chain.sluice, arguments).await;
        assert_eq!(said.code, i32::from(report["isGood"] == false), "{said:#?}");
        let found = codes(&report);
        let is_all = expected
            .iter()
            .all(|code| found.iter().any(|one| one == code));
        is_all.then_some(report).ok_or(said.out)
    });
    let report = report.await;
    for finding in report["findings"].as_array().unwrap() {
        assert!(!finding["mend"].as_str().unwrap().is_empty(), "{finding}");
    }
    report
}

/// Waits until the doctor finds none of these any more.
async fn finds_none(world: &World, arguments: &str, of: &[&str]) {
    until(&format!("no {of:?} of doctor {arguments}"), async || {
        let (report, said) = report(&world.chain.sluice, arguments).await;
        let found = codes(&report);
        let is_any = of.iter().any(|code| found.iter().any(|one| one == code));
        (!is_any).then_some(()).ok_or(said.out)
    })
    .await;
}

pub async fn in_a_good_cluster_nothing_is_broken_and_versions_fit(world: &mut World) {
    let controller = good_cluster(world).await;
    let (report, said) = until("nothing broken", async || {
        let (report, said) = report(&world.chain.sluice, ALL).await;
        let is_good = report["counts"]["broken"] == 0 && report["counts"]["warnings"] == 0;
        is_good.then_some((report, said.clone())).ok_or(said.out)
    })
    .await;
    assert_eq!(said.code, 0);
    let notes = codes(&report);
    assert!(
        notes
            .iter()
            .all(|code| ["plugin-doubts"].contains(&code.as_str())),
        "{report:#}"
    );
    let good: Vec<&str> = report["good"]
        .as_array()
        .unwrap()
        .iter()
        .map(|of| of["subject"].as_str().unwrap())
        .collect();
    let all = [
        "istio",
        "definitions",
        "rights",
        "plugins",
        "proxies",
        "prometheus",
        "clocks",
        "webhooks",
        "controller",
    ];
    assert_eq!(good, all, "{report:#}");
    let said = world.sluice(&format!("doctor {ALL}")).await.good().out;
    assert!(said.contains("0 broken, 0 warnings"), "{said}");
    let own = env!("CARGO_PKG_VERSION");
    let said = world.sluice(&format!("version {ALL}")).await.good().out;
    let rows = [
        format!("sluice       {own}"),
        "istiod       1.31.1".to_owned(),
        format!("controller   {own}"),
        format!("module       {own}     6 proxies of WasmPlugin a/sluice"),
    ];
    for row in rows {
        assert!(said.contains(&row), "{row}: {said}");
    }
    // Another holder's version, and one that says none.
    let lease = |version: Value| {
        json!({
            "apiVersion": "coordination.k8s.io/v1", "kind": "Lease",
            "metadata": {"name": "sluice-controller", "namespace": "shop", "annotations": version},
            "spec": {
                "holderIdentity": "x", "leaseDurationSeconds": 3600, "renewTime": "2096-01-01T00:00:00.000000Z",
            },
        })
    };
    apply(world, &lease(json!({"sluice.dev/version": "9.0.0 x"}))).await;
    finds(world, ALL, &["controller-of-other-version"]).await;
    let said = world.sluice("version -n a").await.ended_with(1).out;
    assert!(
        said.contains("the controller is 9.0.0, newer than this sluice"),
        "{said}"
    );
    apply(world, &lease(json!({"sluice.dev/version": "9.0.0 y"}))).await;
    finds(world, ALL, &["controller-version-unknown"]).await;
    drop(controller);
    tidy(world).await;
}

pub async fn what_is_wrong_with_an_istio_is_named(world: &mut World) {
    let controller = good_cluster(world).await;
    let kubernetes = world.chain.kubernetes.clone();
    apply(world, &istiod("pilot:1.29.0", 1, "200ms")).await;
    finds(world, ALL, &["istio-untested", "istiod-alone"]).await;
    apply(world, &istiod("pilot:1.31.0", 2, "20s")).await;
    finds(world, ALL, &["debounce-long"]).await;
    apply(world, &istiod("pilot:1.31.0", 2, "10s")).await;
    ready(world, "istio-system", "istiod", 0).await;
    finds(world, ALL, &["istio-missing"]).await;
    ready(world, "istio-system", "istiod", 2).await;
    patch(world, json!({"spec": {"pluginConfig": {"brake": null}}})).await;
    // Without a brake, an abort waits for istiod's pauses and its webhook.
    finds(world, ALL, &["debounce-default", "webhook-guards-aborts"]).await;
    let extension = json!({
        "apiVersion": "extensions.istio.io/v1alpha1", "kind": "TrafficExtension",
        "metadata": {"name": "newer", "namespace": "b"},
        "spec": {
            "selector": {"matchLabels": {"app": "nobody"}}, "phase": "AUTHN", "match": [{"mode": "CLIENT"}],
            "wasm": {"url": "oci://127.0.0.1:5000/sluice:e2e", "pluginConfig": {"splits": {"web": {}}}},
        },
    });
    apply(world, &extension).await;
    apply(world, &istiod("pilot:1.29.0", 2, "200ms")).await;
    finds(
        world,
        "-n b",
        &[
            "istio-too-old",
            "proxies-none",
            "plugin-unpinned",
            "plugin-fails-closed",
        ],
    )
    .await;
    // What Prometheus does not show, the mesh configuration must say.
    apply(world, &mesh("sluice_split")).await;
    finds(world, "-n a", &["stat-tags-missing", "prometheus-unnamed"]).await;
    finds_none(world, ALL, &["stat-tags-missing"]).await;
    kubernetes
        .delete("ConfigMap", "istio-system", "istio")
        .await;
    kubernetes
        .delete("Deployment", "istio-system", "istiod")
        .await;
    finds(world, ALL, &["istiod-unseen", "mesh-unreadable"]).await;
    drop(controller);
    tidy(world).await;
}

pub async fn what_is_wrong_with_plugins_and_proxies_is_named(world: &mut World) {
    let controller = good_cluster(world).await;
    let kubernetes = world.chain.kubernetes.clone();
    finds(world, "-n gw", &["plugin-none"]).await;
    let other = json!({
        "apiVersion": "extensions.istio.io/v1alpha1", "kind": "WasmPlugin",
        "metadata": {"name": "other", "namespace": "a"},
        "spec": {
            "selector": {"matchLabels": {"tier": "front"}}, "phase": "AUTHN",
            "url": "oci://127.0.0.1:5000/other:1",
        },
    });
    apply(world, &other).await;
    let careless = json!({"spec": {
        "sha256": null, "failStrategy": "FAIL_CLOSE", "imagePullPolicy": "Always", "match": [{"mode": "SERVER"}],
        "pluginConfig": {"brake": {"service": "nobody.a"}, "splits": {"checkout": {"hosts": 5}}},
    }});
    patch(world, careless).await;
    finds(
        world,
        ALL,
        &[
            "plugin-unpinned",
            "plugin-fails-closed",
            "plugin-pulls-always",
            "plugins-do-not-fit",
            "plugin-problems",
            "plugin-order-open",
            "brake-service-missing",
        ],
    )
    .await;
    kubernetes.delete("WasmPlugin", "a", "other").await;
    kubernetes.delete("WasmPlugin", "a", "sluice").await;
    world.new_plugin("a").await;
    let weights = json!({
        "apiVersion": "extensions.istio.io/v1alpha1", "kind": "WasmPlugin",
        "metadata": {"name": "sluice", "namespace": "a"},
        "spec": {"pluginConfig": {"weights": {"web": {"everyone": {"canary": 5}}}}},
    });
    kubernetes
        .try_apply_by_force("somebody", &weights)
        .await
        .unwrap();
    finds(world, ALL, &["weights-of-others"]).await;
    patch(world, json!({"spec": {"pluginConfig": {"version": 2}}})).await;
    finds(world, ALL, &["plugin-unreadable", "proxies-refused"]).await;
    patch(
        world,
        json!({"spec": {"pluginConfig": {"version": null}, "sha256": "0".repeat(64)}}),
    )
    .await;
    let report = finds(world, ALL, &["proxies-without-filter"]).await;
    let mend = report["findings"]
        .as_array()
        .unwrap()
        .iter()
        .find(|found| found["code"] == "proxies-without-filter");
    assert!(
        mend.unwrap()["mend"]
            .as_str()
            .unwrap()
            .contains("sluice refetch -n a"),
        "{report:#}"
    );
    drop(controller);
    tidy(world).await;
}

/// Has the API server treat istiod's webhook so.
async fn webhook(world: &World, policy: &str, seconds: u32) {
    let change = json!([
        {"op": "replace", "path": "/webhooks/0/failurePolicy", "value": policy},
        {"op": "add", "path": "/webhooks/0/timeoutSeconds", "value": seconds},
    ]);
    let command =
        format!("patch validatingwebhookconfiguration {WEBHOOK_NAME} --type json -p '{change}'");
    world.kubectl(&command).await.good();
}

pub async fn what_would_refuse_an_abort_is_named(world: &mut World) {
    let controller = good_cluster(world).await;
    let kubernetes = world.chain.kubernetes.clone();
    let nobody = json!({
        "apiVersion": "admissionregistration.k8s.io/v1", "kind": "ValidatingAdmissionPolicy",
        "metadata": {"name": "sluice-history"},
        "spec": {
            "matchConstraints": {"resourceRules": [{
                "apiGroups": ["extensions.istio.io"], "apiVersions": ["*"], "operations": ["UPDATE"],
                "resources": ["wasmplugins"],
            }]},
            "validations": [{"expression": "false", "message": "nobody changes anything today"}],
        },
    });
    apply(world, &nobody).await;
    let report = finds(world, ALL, &["change-refused"]).await;
    assert!(
        report.to_string().contains("nobody changes anything today"),
        "{report:#}"
    );
    kubernetes
        .delete("ValidatingAdmissionPolicy", "", "sluice-history")
        .await;
    finds_none(world, ALL, &["change-refused"]).await;
    world.chain.freeze_istiod();
    webhook(world, "Ignore", 2).await;
    finds(world, ALL, &["admission-slow"]).await;
    webhook(world, "Fail", 2).await;
    finds(world, ALL, &["webhook-refuses-now"]).await;
    // A weight that istiod does not push.
    webhook(world, "Ignore", 1).await;
    world.set("web", 20).await;
    finds(world, ALL, &["proxies-behind"]).await;
    webhook(world, "Fail", 10).await;
    world.chain.restart_istiod(&[]).await;
    finds_none(
        world,
        ALL,
        &["webhook-refuses-now", "admission-slow", "proxies-behind"],
    )
    .await;
    drop(controller);
    tidy(world).await;
}

pub async fn what_rollouts_lack_is_named(world: &mut World) {
    let controller = good_cluster(world).await;
    let kubernetes = world.chain.kubernetes.clone();
    let mut resource = json!({
        "apiVersion": "sluice.dev/v1alpha1", "kind": "Rollout", "metadata": {"name": "web", "namespace": "a"},
        "spec": {
            "split": "web", "version": "v1", "steps": [{"weight": 5, "hold": "1h"}],
            "analysis": {
                "prometheus": {"address": prometheus::URL}, "window": "5s",
                "checks": [{"name": "errors", "metric": "errorRate", "pass": "<= 1%"}],
            },
        },
    });
    kubernetes
        .try_apply_by_force("gitops", &resource)
        .await
        .unwrap();
    finds(world, ALL, &["response-metrics-off", "prometheus-seldom"]).await;
    resource["spec"]["analysis"]["istio"] = json!({"service": "web.a"});
    resource["spec"]["analysis"]["window"] = json!("1m");
    kubernetes
        .try_apply_by_force("gitops", &resource)
        .await
        .unwrap();
    finds(world, ALL, &["istio-metrics-missing"]).await;
    finds_none(world, ALL, &["response-metrics-off", "prometheus-seldom"]).await;
    // The controller, piece by piece.
    let binding = controller_resources();
    let binding = binding
        .iter()
        .find(|resource| resource["kind"] == "RoleBinding")
        .unwrap();
    kubernetes
        .delete("RoleBinding", "a", "sluice-controller")
        .await;
    finds(world, ALL, &["controller-right-missing"]).await;
    apply(world, binding).await;
    apply(world, &controller_deployment(1)).await;
    finds(world, ALL, &["controller-alone"]).await;
    ready(world, "a", "sluice-controller", 0).await;
    finds(world, ALL, &["controller-not-ready"]).await;
    drop(controller);
    finds(world, ALL, &["controller-without-leader"]).await;
    kubernetes
        .delete("Deployment", "a", "sluice-controller")
        .await;
    finds(world, ALL, &["controller-needed"]).await;
    definitions(world).await;
    tidy(world).await;
}

/// Definitions that are older, newer, or gone.
async fn definitions(world: &World) {
    let crd = "customresourcedefinition brakes.sluice.dev";
    let found = world
        .kubectl(&format!("get {crd} -o json"))
        .await
        .good()
        .out;
    let found: Value = serde_json::from_str(&found).unwrap();
    let file = world.chain.folder().join("definition.json");
    let replace = async |change: &dyn Fn(&mut serde_json::Map<String, Value>)| {
        let mut changed = found.clone();
        changed["metadata"]
            .as_object_mut()
            .unwrap()
            .remove("resourceVersion");
        let path = "/spec/versions/0/schema/openAPIV3Schema/properties/spec/properties";
        change(changed.pointer_mut(path).unwrap().as_object_mut().unwrap());
        std::fs::write(&file, changed.to_string()).unwrap();
        world
            .kubectl(&format!("replace -f {}", file.display()))
            .await
            .good();
    };
    replace(&|fields| {
        fields.remove("reason");
    })
    .await;
    let report = finds(world, ALL, &["definition-older"]).await;
    assert!(
        report.to_string().contains("it lacks v1alpha1.spec.reason"),
        "{report:#}"
    );
    replace(&|fields| {
        fields.insert("later".to_owned(), json!({"type": "string"}));
    })
    .await;
    finds(world, ALL, &["definition-newer"]).await;
    let said = world.sluice("version -n a").await.ended_with(1).out;
    assert!(said.contains("definition-newer"), "{said}");
    world.kubectl(&format!("delete {crd}")).await.good();
    finds(world, ALL, &["definition-needed"]).await;
    let crds = world.sluice("crds").await.good().out;
    world.chain.kubernetes.apply(&crds).await;
    finds_none(
        world,
        ALL,
        &[
            "definition-needed",
            "definition-newer",
            "definition-not-established",
        ],
    )
    .await;
}

pub async fn what_a_prometheus_lacks_is_named(world: &mut World) {
    let controller = good_cluster(world).await;
    finds(
        world,
        "-n a --prometheus http://127.0.0.1:1",
        &["prometheus-unanswered"],
    )
    .await;
    let named = |number: usize| world.callers[number].envoy_target();
    let ask = format!("-n a --prometheus {}", prometheus::ENVOYS_URL);
    // What one has stored, the next still has: this one comes first.
    let nowhere = Target {
        metrics: SocketAddr::from(([127, 0, 0, 1], 1)),
        ..named(0)
    };
    let envoys = world.chain.start_prometheus_of_envoys(&[nowhere]).await;
    finds(world, &ask, &["prometheus-without-filter"]).await;
    drop(envoys);
    let again = |target: &Target| Target {
        metrics: SocketAddr::from(([127, 0, 0, 2], target.metrics.port())),
        ..target.clone()
    };
    let nobodys = |target: Target| Target {
        namespace: String::new(),
        pod: String::new(),
        ..target
    };
    let targets = [named(0), again(&named(0)), nobodys(named(1))];
    let envoys = world.chain.start_prometheus_of_envoys(&targets).await;
    finds(
        world,
        &ask,
        &[
            "prometheus-without-agents",
            "prometheus-twice",
            "prometheus-without-pods",
            "proxies-unknown",
        ],
    )
    .await;
    drop(envoys);
    drop(controller);
    tidy(world).await;
}

pub async fn an_account_that_may_little_is_told_what_it_cannot_see(world: &mut World) {
    world.new_plugin("a").await;
    let resources = "
apiVersion: v1
kind: ServiceAccount
metadata: {name: looker, namespace: a}
---
apiVersion: rbac.authorization.k8s.io/v1
kind: Role
metadata: {name: looker, namespace: a}
rules:
- {apiGroups: [extensions.istio.io], resources: [wasmplugins], verbs: [get, list]}
---
apiVersion: rbac.authorization.k8s.io/v1
kind: RoleBinding
metadata: {name: looker, namespace: a}
roleRef: {apiGroup: rbac.authorization.k8s.io, kind: Role, name: looker}
subjects: [{kind: ServiceAccount, name: looker, namespace: a}]
";
    world.chain.kubernetes.apply(resources).await;
    let mut role = documents(&manifest("rbac.yaml")).remove(0);
    role["metadata"]["namespace"] = json!("a");
    apply(world, &role).await;
    finds(world, "-n a", &["policy-missing"]).await;
    let kubeconfig = world.chain.kubeconfig("a", "looker").await;
    let looker = world.chain.sluice.with_kubeconfig(&kubeconfig);
    until("the rights that are missing", async || {
        let (report, said) = report(&looker, "-n a").await;
        let found = codes(&report);
        let has = |code: &str| found.iter().any(|found| found == code);
        let is_said = has("right-missing") && has("not-looked-at") && said.code == 0;
        is_said.then_some(()).ok_or(said.out)
    })
    .await;
    let said = world.sluice("version -n a").await;
    assert!(said.out.contains("wants oci://"), "{said:?}");
    // With the rights that the documentation names, it sees everything.
    let page = std::fs::read_to_string(checkout("docs").join("doctor.md")).unwrap();
    let (_, role) = page.split_once("```yaml\n").unwrap();
    let (role, _) = role.split_once("```").unwrap();
    let binding = "
apiVersion: rbac.authorization.k8s.io/v1
kind: ClusterRoleBinding
metadata: {name: plugin-viewer}
roleRef: {apiGroup: rbac.authorization.k8s.io, kind: ClusterRole, name: sluice-doctor}
subjects: [{kind: ServiceAccount, name: looker, namespace: a}]
";
    world.chain.kubernetes.apply(role).await;
    world.chain.kubernetes.apply(binding).await;
    until("everything to be looked at", async || {
        let (report, said) = report(&looker, ALL).await;
        let is_blind = codes(&report).iter().any(|code| code == "not-looked-at");
        (!is_blind).then_some(()).ok_or(said.out)
    })
    .await;
    let kubernetes = &world.chain.kubernetes;
    kubernetes.delete("ClusterRole", "", "sluice-doctor").await;
    // Nobody answers: there is nothing to look at.
    world.chain.kill_api_server();
    let said = world.sluice("doctor -n a").await.ended_with(2);
    assert!(said.err.contains("cannot be reached"), "{said:?}");
    let said = world.sluice("version -n a").await.ended_with(2);
    assert!(said.out.contains(env!("CARGO_PKG_VERSION")), "{said:?}");
    world.chain.restart_api_server().await;
}
