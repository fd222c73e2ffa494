//! What the controller's account may do, by the roles and policies that we ship: its work, and
//! nothing else.

use serde_json::{Value, json};
use sluice_e2e::wait::until;
use sluice_e2e_istio::command::Tool;
use sluice_e2e_istio::kubernetes::documents;

use super::controller::{apply, ramp, start_as, wait_for, wait_for_phase};
use crate::access::{checkout, manifest};
use crate::world::World;

/// The files of what one applies for the controller, in namespace a instead of its own, and for the
/// Deployment checkout.
fn resources(files: &[&str]) -> Vec<Value> {
    let folder = checkout("wasmplugin/controller");
    let texts = files
        .iter()
        .map(|file| std::fs::read_to_string(folder.join(file)).unwrap());
    let mut resources: Vec<Value> = texts.flat_map(|text| documents(&text)).collect();
    for resource in &mut resources {
        if !resource["kind"].as_str().unwrap().starts_with("Cluster") {
            resource["metadata"]["namespace"] = json!("a");
        }
        let rules = resource.get_mut("rules").and_then(Value::as_array_mut);
        for rule in rules.into_iter().flatten() {
            let names = rule.get_mut("resourceNames").and_then(Value::as_array_mut);
            for name in names.into_iter().flatten() {
                // The example names the Deployments of a team.
                *name = json!(name.as_str().unwrap().replace("web", "checkout"));
            }
        }
        let subjects = resource.get_mut("subjects");
        let subjects = subjects.and_then(Value::as_array_mut);
        for subject in subjects.into_iter().flatten() {
            subject["namespace"] = json!("a");
        }
    }
    resources
}

/// The controller's account with the rights of these files: what it runs as, and kubectl.
pub async fn account(world: &World, files: &[&str]) -> (Tool, Tool) {
    let kubernetes = &world.chain.kubernetes;
    for resource in resources(files) {
        kubernetes
            .try_apply_by_force("gitops", &resource)
            .await
            .unwrap();
    }
    for policy in ["policy.yaml", "history.yaml", "brakes.yaml"] {
        kubernetes.apply(&manifest(policy)).await;
    }
    let kubeconfig = world.chain.kubeconfig("a", "sluice-controller").await;
    let tools = (&world.chain.sluice, &world.chain.kubectl);
    let (sluice, kubectl) = (
        tools.0.with_kubeconfig(&kubeconfig),
        tools.1.with_kubeconfig(&kubeconfig),
    );
    until("the account to have its rights, and the policies to be in force", async || {
        let listed = kubectl.run_beside("get rollouts -n a").await;
        let label = "patch wasmplugin sluice -n a --type merge --dry-run=server -p '{\"metadata\":{\"labels\":{\"x\":\"y\"}}}'";
        let refused = kubectl.run_beside(label).await;
        let is_so = listed.code == 0 && refused.err.contains("ValidatingAdmissionPolicy");
        is_so.then_some(()).ok_or(format!("{listed:?} {refused:?}"))
    })
    .await;
    (sluice, kubectl)
}

/// What it may not do, tried without effect.
const DENIED: [&str; 10] = [
    "create -f ROLLOUT --dry-run=server",
    "delete rollout web -n a --dry-run=server",
    "patch rollout web -n a --type merge --dry-run=server -p '{\"spec\":{\"split\":\"api\"}}'",
    "delete wasmplugin sluice -n a --dry-run=server",
    "patch wasmplugin sluice -n a --type merge --dry-run=server -p '{\"spec\":{\"url\":\"oci://evil.example.com/x:1\"}}'",
    "get secrets -n a",
    "get configmaps -n a",
    "get rollouts -n a --as system:admin",
    "delete pod x -n a --dry-run=server",
    "get leases -n b",
];

async fn assert_denied(world: &World, kubectl: &Tool) {
    let file = world.chain.folder().join("denied.json");
    let rollout = json!({
        "apiVersion": "sluice.dev/v1alpha1", "kind": "Rollout", "metadata": {"name": "mine", "namespace": "a"},
        "spec": {"split": "web", "preset": "emergency"},
    });
    std::fs::write(&file, rollout.to_string()).unwrap();
    for command in DENIED {
        let command = command.replace("ROLLOUT", &file.display().to_string());
        let said = kubectl.run_beside(&command).await.ended_with(1);
        let denials = ["forbidden", "Forbidden", "denied request"];
        let is_denied = denials.iter().any(|denial| said.err.contains(denial));
        assert!(is_denied, "{command}: {said:?}");
    }
}

/// An abort of the controller's gives a brake beside the zeros.
async fn assert_may_brake(world: &World, kubectl: &Tool) {
    let file = world.chain.folder().join("brake.json");
    let brake = json!({
        "apiVersion": "sluice.dev/v1alpha1", "kind": "Brake", "metadata": {"generateName": "web-", "namespace": "a"},
        "spec": {"plugin": "sluice", "split": "web", "challenger": "canary", "by": "system:serviceaccount:a:sluice-controller"},
    });
    std::fs::write(&file, brake.to_string()).unwrap();
    let command = format!("create --dry-run=server -f {}", file.display());
    kubectl.run_beside(&command).await.ended_with(0);
}

/// What an account may create as a ControllerRevision: none that could be a StatefulSet's.
async fn assert_revisions_are_ours(world: &World, kubectl: &Tool) {
    let file = world.chain.folder().join("forged.json");
    let forged = json!({
        "apiVersion": "apps/v1", "kind": "ControllerRevision", "revision": 1, "data": {"spec": {"template": {}}},
        "metadata": {
            "name": "web-00000000-run-1", "namespace": "a",
            "labels": {"sluice.dev/rollout-uid": "00000000-0000-0000-0000-000000000000"},
        },
    });
    std::fs::write(&file, forged.to_string()).unwrap();
    let command = format!("create --dry-run=server -f {}", file.display());
    let said = kubectl.run_beside(&command).await.ended_with(1);
    assert!(said.err.contains("sluice-history"), "{said:?}");
}

/// Each line is an object; which of them are warnings, and what happened to which Rollout, can be
/// told without reading words.
fn assert_is_logged(log: &str) {
    let lines = log.lines().map(|line| {
        let parsed: Result<Value, _> = serde_json::from_str(line);
        parsed.unwrap_or_else(|error| panic!("{line}: {error}"))
    });
    let lines: Vec<Value> = lines.collect();
    assert!(
        lines.iter().any(|line| line["occasion"] == "leads"),
        "{log}"
    );
    let started = lines.iter().find(|line| line["event"] == "Started");
    let started = started.unwrap_or_else(|| panic!("{log}"));
    let expected = json!({
        "time": started["time"], "level": "info", "occasion": "rollout-event", "namespace": "a",
        "rollout": "web", "event": "Started", "run": 1, "step": 1, "message": started["message"],
    });
    assert_eq!(started, &expected);
}

pub async fn the_controllers_account_may_do_its_work_and_nothing_more(world: &mut World) {
    world.new_plugin("a").await;
    let (sluice, kubectl) = account(world, &["account.yaml", "cluster.yaml"]).await;
    let controller = start_as(world, &sluice, "controller", "controller --log-format json");
    let spec = json!({"split": "web", "version": "v2", "steps": ramp(&[10, 100], "1s")});
    apply(world, "web", &spec).await;
    wait_for_phase(world, "web", "Succeeded").await;
    let log = controller.log();
    assert_is_logged(&log);
    assert!(
        !log.contains("not allowed") && !log.contains("forbidden"),
        "{log}"
    );
    let history = world.sluice("history -n a").await.good().out;
    assert!(
        history.contains("system:serviceaccount:a:sluice-controller"),
        "{history}"
    );
    wait_for(world, "web", "its revision", |status| {
        status["remembered"] == 1
    })
    .await;
    let runs = world
        .kubectl("get controllerrevisions -n a -l sluice.dev/rollout-uid")
        .await
        .good();
    assert!(runs.out.contains("-run-1"), "{runs:?}");
    let events = world
        .kubectl("events -n a --for rollout/web")
        .await
        .good()
        .out;
    assert!(events.contains("Succeeded"), "{events}");
    assert_may_brake(world, &kubectl).await;
    assert_denied(world, &kubectl).await;
    assert_revisions_are_ours(world, &kubectl).await;
}

pub async fn an_account_of_one_namespace_suffices_for_it(world: &mut World) {
    world.new_plugin("a").await;
    let (sluice, kubectl) = account(world, &["account.yaml", "namespaced.yaml"]).await;
    let controller = start_as(world, &sluice, "controller", "controller -n a");
    apply(
        world,
        "web",
        &json!({"split": "web", "version": "v2", "preset": "emergency"}),
    )
    .await;
    wait_for_phase(world, "web", "Succeeded").await;
    let log = controller.log();
    assert!(
        !log.contains("not allowed") && !log.contains("forbidden"),
        "{log}"
    );
    assert_may_brake(world, &kubectl).await;
    for elsewhere in [
        "get rollouts -n b",
        "get wasmplugins -n b",
        "get rollouts -A",
    ] {
        let said = kubectl.run_beside(elsewhere).await.ended_with(1);
        assert!(said.err.contains("forbidden"), "{said:?}");
    }
    for resource in resources(&["namespaced.yaml"]) {
        let (kind, name) = (
            resource["kind"].as_str().unwrap(),
            resource["metadata"]["name"].as_str().unwrap(),
        );
        world.chain.kubernetes.delete(kind, "a", name).await;
    }
}
