//! Rollouts of a cluster that `sluice rollout run` runs, without a controller.

use std::path::{Path, PathBuf};

use serde_json::{Value, json};
use sluice_e2e::wait::until;
use sluice_e2e_istio::command::Tool;
use sluice_e2e_istio::kubernetes::documents;
use sluice_e2e_istio::process::Process;

use super::controller::{apply, ramp, start, wait_for_weight};
use crate::access::{checkout, manifest};
use crate::world::World;

const WEB: &str = "/web/everyone/canary";
const KEPT: &str = "sluice-rollout-web";

/// A plugin, and nothing left of earlier runs; the file of a Rollout `web` with this spec.
async fn fresh(world: &World, spec: &Value) -> PathBuf {
    for kind in ["ConfigMap", "Lease"] {
        world.chain.kubernetes.delete(kind, "a", KEPT).await;
    }
    world.new_plugin("a").await;
    let rollout = json!({
        "apiVersion": "sluice.dev/v1alpha1", "kind": "Rollout", "metadata": {"name": "web"}, "spec": spec,
    });
    let file = world.chain.folder().join("foreground.json");
    std::fs::write(&file, rollout.to_string()).unwrap();
    file
}

fn arguments(file: &Path) -> String {
    format!("rollout run -n a -f {}", file.display())
}

fn begin(world: &World, sluice: &Tool, name: &str, file: &Path) -> Process {
    Process::start(
        name,
        world.chain.folder(),
        &mut sluice.command(&arguments(file)),
    )
}

/// Every weight that everyone's canary was given by a run, in order.
async fn weights(world: &World) -> Vec<f64> {
    let history = world.sluice("history -n a -o json").await.good().out;
    let entries: Value = serde_json::from_str(&history).unwrap();
    let of_runs = |entry: &&Value| {
        entry["reason"]
            .as_str()
            .is_some_and(|why| why.contains("Rollout web"))
    };
    let entries = entries.as_array().unwrap().iter().filter(of_runs);
    let mut weights: Vec<f64> = entries
        .flat_map(|entry| entry["changes"].as_array().unwrap())
        .map(|change| change["to"].as_f64().unwrap())
        .collect();
    weights.dedup();
    weights
}

async fn ended(process: &mut Process) -> String {
    let log = until("the run to end", async || match process.has_ended() {
        true => Ok(()),
        false => Err(process.log()),
    });
    log.await;
    process.log()
}

pub async fn a_foreground_run_reaches_everybody_without_a_controller(world: &mut World) {
    let spec = json!({"split": "web", "version": "v2", "steps": ramp(&[5, 50, 100], "1s")});
    let file = fresh(world, &spec).await;
    let said = world.sluice(&arguments(&file)).await.good();
    assert!(said.err.contains("web: Succeeded"), "{said:?}");
    assert_eq!(world.weight("a", WEB).await, Some(100.0));
    assert_eq!(weights(world).await, [5.0, 50.0, 100.0]);
    // It is found where others look for it, and is not run twice.
    let status = world.sluice("rollout status web -n a").await.good();
    assert!(status.out.contains("Succeeded"), "{status:?}");
    let listed = world.sluice("rollout status -A").await.good();
    assert!(listed.out.contains("Succeeded"), "{listed:?}");
    let again = world.sluice(&arguments(&file)).await.good();
    assert_eq!(again.out, "", "{again:?}");
    assert_eq!(weights(world).await, [5.0, 50.0, 100.0]);
}

pub async fn a_foreground_run_obeys_commands_and_is_one_process(world: &mut World) {
    let spec = json!({"split": "web", "version": "v2", "steps": ramp(&[10, 100], "1h")});
    let file = fresh(world, &spec).await;
    let mut first = begin(world, &world.chain.sluice, "foreground-one", &file);
    wait_for_weight(world, WEB, 10.0).await;
    let second = world.sluice(&arguments(&file)).await.ended_with(2);
    assert!(
        second
            .err
            .contains("Rollout web is run by another process, ")
            && second.err.contains("Lease sluice-rollout-web"),
        "{second:?}"
    );
    let paused = world
        .sluice("rollout pause web -n a --reason lunch")
        .await
        .good();
    assert!(paused.out.contains("web: paused by"), "{paused:?}");
    let status = world.sluice("rollout status web -n a").await.good();
    assert!(
        status.out.contains("Paused") && status.out.contains("lunch"),
        "{status:?}"
    );
    world.sluice("rollout resume web -n a").await.good();
    let aborted = world.sluice("rollout abort web -n a").await.good();
    assert!(
        aborted.out.contains("its run ends as aborted"),
        "{aborted:?}"
    );
    wait_for_weight(world, WEB, 0.0).await;
    let log = ended(&mut first).await;
    assert!(log.contains("web: Aborted"), "{log}");
    let file = fresh(world, &spec).await;
    let mut other = begin(world, &world.chain.sluice, "foreground-other", &file);
    wait_for_weight(world, WEB, 10.0).await;
    world.sluice("rollout promote web --full -n a").await.good();
    let log = ended(&mut other).await;
    assert!(log.contains("web: Succeeded"), "{log}");
    assert_eq!(world.weight("a", WEB).await, Some(100.0));
}

pub async fn a_foreground_run_that_is_killed_goes_on_where_it_was(world: &mut World) {
    let spec = json!({"split": "web", "version": "v2", "steps": ramp(&[10, 50, 100], "2s")});
    let file = fresh(world, &spec).await;
    let mut killed = begin(world, &world.chain.sluice, "foreground-killed", &file);
    wait_for_weight(world, WEB, 50.0).await;
    killed.kill();
    // An API server that is away for some seconds ends nothing either.
    let mut next = begin(world, &world.chain.sluice, "foreground-next", &file);
    next.wait_until("it waits for the Lease", async || {
        world.chain.folder().join("foreground-next.log").exists()
    })
    .await;
    let log = ended(&mut next).await;
    assert!(
        log.contains("still runs it") && log.contains("web: Succeeded"),
        "{log}"
    );
    assert_eq!(weights(world).await, [10.0, 50.0, 100.0]);
    let runs = world
        .sluice("rollout history web -n a -o json")
        .await
        .good()
        .out;
    let runs: Vec<Value> = runs
        .lines()
        .map(|run| serde_json::from_str(run).unwrap())
        .collect();
    assert_eq!(runs.len(), 1, "{runs:?}");
}

pub async fn a_foreground_run_takes_its_users_back(world: &mut World) {
    let spec = json!({
        "split": "web", "version": "v2", "steps": ramp(&[10, 100], "1h"),
        "analysis": {
            "prometheus": {"address": sluice_e2e_istio::prometheus::URL},
            "interval": "1s",
            "checks": [{"name": "orders", "query": "vector(7)", "fail": "> 5"}],
        },
    });
    let file = fresh(world, &spec).await;
    let said = world.sluice(&arguments(&file)).await.ended_with(1);
    assert!(
        said.out.contains("orders") && said.err.contains("web: RolledBack"),
        "{said:?}"
    );
    assert_eq!(world.weight("a", WEB).await, Some(0.0));
}

pub async fn a_foreground_run_leaves_a_controller_alone(world: &mut World) {
    let spec = json!({"split": "web", "version": "v2", "steps": ramp(&[10, 100], "1h")});
    let file = fresh(world, &spec).await;
    let mut controller = start(world);
    apply(world, "web", &spec).await;
    wait_for_weight(world, WEB, 10.0).await;
    let said = world.sluice(&arguments(&file)).await.ended_with(2);
    assert!(
        said.err
            .contains("the cluster has a Rollout web, which a controller runs: ")
            && said
                .err
                .contains("`sluice rollout start web` asks a controller"),
        "{said:?}"
    );
    assert!(
        world
            .chain
            .kubernetes
            .get("ConfigMap", "a", KEPT)
            .await
            .is_none()
    );
    // Without one, and without a resource, it is nobody else's.
    controller.stop();
    world.sluice("rollout abort web -n a").await.good();
    world.chain.kubernetes.delete("Rollout", "a", "web").await;
    let spec = json!({"split": "web", "version": "v2", "preset": "emergency"});
    let file = fresh(world, &spec).await;
    world.sluice(&arguments(&file)).await.good();
    assert_eq!(world.weight("a", WEB).await, Some(100.0));
}

pub async fn an_account_for_foreground_runs_needs_no_more_than_its_roles(world: &mut World) {
    let spec = json!({"split": "web", "version": "v2", "steps": ramp(&[10, 100], "1s")});
    let file = fresh(world, &spec).await;
    let account = "
apiVersion: v1
kind: ServiceAccount
metadata: {name: runner, namespace: a}
";
    world.chain.kubernetes.apply(account).await;
    let kubeconfig = world.chain.kubeconfig("a", "runner").await;
    let sluice = world.chain.sluice.with_kubeconfig(&kubeconfig);
    let denied = sluice.run_beside(&arguments(&file)).await.ended_with(2);
    assert!(
        denied.err.contains("not allowed")
            && denied.err.contains("wasmplugin/controller/foreground.yaml"),
        "{denied:?}"
    );
    let run = std::fs::read_to_string(checkout("wasmplugin/controller/foreground.yaml")).unwrap();
    let roles = documents(&manifest("rbac.yaml")).into_iter();
    for mut resource in roles.chain(documents(&run)) {
        resource["metadata"]["namespace"] = json!("a");
        if resource["kind"] == "RoleBinding" {
            resource["subjects"] =
                json!([{"kind": "ServiceAccount", "name": "runner", "namespace": "a"}]);
        }
        let kubernetes = &world.chain.kubernetes;
        kubernetes
            .try_apply_by_force("gitops", &resource)
            .await
            .unwrap();
    }
    until("the account to have its rights", async || {
        let listed = sluice.run_beside("rollout status -n a").await;
        let plugin = sluice.run_beside("get -n a").await;
        (listed.code == 0 && plugin.code == 0)
            .then_some(())
            .ok_or(format!("{listed:?} {plugin:?}"))
    })
    .await;
    let said = sluice.run_beside(&arguments(&file)).await.good();
    assert!(!said.err.contains("not allowed"), "{said:?}");
    assert_eq!(world.weight("a", WEB).await, Some(100.0));
    for name in ["sluice-weights", "sluice-rollout-run"] {
        world
            .chain
            .kubernetes
            .delete("RoleBinding", "a", name)
            .await;
    }
}
