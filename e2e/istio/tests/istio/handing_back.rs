//! What a Rollout leaves behind that followed a Deployment: handed back by `sluice rollout release`, or
//! deleted.

use std::collections::BTreeSet;
use std::time::Duration;

use serde_json::{Value, json};
use sluice_e2e::wait::until;
use sluice_e2e_istio::prometheus;

use crate::releases::{SUBSETS, push, running, spec, taken_over, taken_over_by, wait_for_rest};
use crate::rollouts::account;
use crate::rollouts::controller::{apply, message, ramp, start_as, wait_for, wait_for_phase};
use crate::users::assert_no_failures;
use crate::workloads::{deployment, wait_for_ready};
use crate::world::World;

/// Routes of whoever has handed back: everybody to the Deployment, header or none.
pub const ROUTES_BACK: &str = "
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: {name: checkout, namespace: a}
spec:
  hosts: [checkout.a.svc.cluster.local]
  http:
  - route: [{destination: {host: checkout.a.svc.cluster.local, subset: canary}}]
";

/// Its subset alone.
pub const SUBSETS_BACK: &str = "
apiVersion: networking.istio.io/v1
kind: DestinationRule
metadata: {name: checkout, namespace: a}
spec:
  host: checkout.a.svc.cluster.local
  subsets:
  - {name: canary, labels: {sluice.dev/variant: canary}}
";

/// Waits until no caller has a route to a cluster of Envoy's any more.
pub async fn wait_for_no_route(world: &World, cluster: &str) {
    for caller in &world.callers {
        caller
            .wait_for("the routes without it", async |caller| {
                let routes = "/config_dump?resource=dynamic_route_configs";
                let has = caller.admin(routes).await.contains(cluster);
                (!has)
                    .then_some(())
                    .ok_or(format!("{cluster} is routed to"))
            })
            .await;
    }
}

pub async fn everything_is_handed_back_to_one_deployment_and_costs_no_request(world: &mut World) {
    world.new_plugin("a").await;
    let roles = ["account.yaml", "namespaced.yaml", "workloads.yaml"];
    let (sluice, _) = account(world, &roles).await;
    let command = format!("controller -n a --prometheus {}", prometheus::URL);
    let steps = ramp(&[50, 100], "1s");
    let (workloads, controller, load) = taken_over_by(world, &sluice, &command, &steps).await;
    workloads.kubelet.stop_takes(Duration::ZERO);

    push(world, "registry.example/shop/ok:v2").await;
    let refused = async || {
        let said = world.sluice("rollout release checkout -n a").await;
        said.ended_with(1).err
    };
    wait_for(world, "checkout", "a run", |status| {
        status["run"]["stage"] == "Entering"
    })
    .await;
    let why = refused().await;
    assert!(why.contains("a run is under way"), "{why}");
    wait_for_phase(world, "checkout", "Succeeded").await;
    wait_for_rest(world, "v2").await;

    let asked = world.sluice("rollout release checkout -n a").await.good();
    assert!(
        asked.out.contains("Deployment checkout gets its pods"),
        "{asked:?}"
    );
    // Whoever takes over goes on.
    drop(controller);
    let controller = start_as(world, &sluice, "controller", &command);
    let said = "subset stable of DestinationRule checkout";
    let status = wait_for(world, "checkout", said, |status| {
        message(status).contains(said)
    })
    .await;
    assert_eq!(status["phase"], "Waiting");
    assert_eq!(
        world.weight("a", "/checkout/everyone/canary").await,
        Some(100.0)
    );
    wait_for_ready(world, "checkout", 3).await;
    wait_for_ready(world, "checkout-stable", 3).await;
    world.sluice("rollout release checkout -n a").await.good();

    // As the Rollout says: first the routes, then what they named.
    let kubernetes = &world.chain.kubernetes;
    kubernetes.apply(ROUTES_BACK).await;
    wait_for_no_route(world, "|stable|checkout.a").await;
    kubernetes.apply(SUBSETS_BACK).await;
    let waited = world
        .sluice("rollout release checkout -n a --wait")
        .await
        .good();
    let said = "Deployment checkout alone serves everyone";
    assert!(waited.err.contains(said), "{waited:?}");
    assert!(
        kubernetes
            .get("Deployment", "a", "checkout-stable")
            .await
            .is_none()
    );
    let templates = kubernetes.list("PodTemplate", "a").await.unwrap();
    assert!(templates.is_empty(), "{templates:?}");
    until("the copy's pods to be gone", async || {
        let running = running(&workloads);
        let is_so = running == [("v2".to_owned(), 3)];
        is_so.then_some(()).ok_or(format!("{running:?}"))
    })
    .await;

    // The rest of it.
    kubernetes.delete("VirtualService", "a", "checkout").await;
    wait_for_no_route(world, "|canary|checkout.a").await;
    kubernetes.delete("DestinationRule", "a", "checkout").await;
    let before = as_it_is(world).await;
    kubernetes.delete("Rollout", "a", "checkout").await;
    tokio::time::sleep(Duration::from_secs(6)).await;
    assert_eq!(as_it_is(world).await, before);
    let seen = load.end().await;
    assert_no_failures(&seen);
    assert_eq!(seen.last().unwrap().variant, "v2");
    let log = controller.log();
    assert!(!log.contains("forbidden"), "{log}");
}

/// What users depend on: both Deployments, and everyone's weight.
async fn as_it_is(world: &World) -> Value {
    let kubernetes = &world.chain.kubernetes;
    let mut all = Vec::new();
    for name in ["checkout", "checkout-stable"] {
        let found = kubernetes.get("Deployment", "a", name).await;
        let found = found.map(|found| {
            let metadata = found.metadata;
            json!([
                metadata.uid,
                metadata.generation,
                found.data["status"]["readyReplicas"]
            ])
        });
        all.push(json!(found));
    }
    let weight = world.weight("a", "/checkout/everyone/canary").await;
    json!({"deployments": all, "weight": weight})
}

/// Deletes the Rollout, and looks whether anything becomes of it while a controller runs.
async fn delete_and_watch(world: &World) {
    let before = as_it_is(world).await;
    let kubernetes = &world.chain.kubernetes;
    kubernetes.delete("Rollout", "a", "checkout").await;
    // A controller would have looked again several times.
    tokio::time::sleep(Duration::from_secs(12)).await;
    assert_eq!(as_it_is(world).await, before);
}

pub async fn a_rollout_that_is_deleted_changes_nothing(world: &mut World) {
    let steps = json!([{"weight": 50, "approval": true}, {"weight": 100}]);
    let (workloads, _controller, load) = taken_over(world, &steps).await;
    workloads.kubelet.stop_takes(Duration::ZERO);
    delete_and_watch(world).await;
    apply(world, "checkout", &spec(&steps)).await;
    wait_for_rest(world, "v1").await;

    push(world, "registry.example/shop/ok:v2").await;
    let status = wait_for(world, "checkout", "its approval", |status| {
        status["run"]["stage"] == "Approval"
    })
    .await;
    assert_eq!(status["run"]["number"], 1);
    delete_and_watch(world).await;
    assert_eq!(
        world.weight("a", "/checkout/everyone/canary").await,
        Some(50.0)
    );
    let seen = load.end().await;
    assert_no_failures(&seen);
    let last = &seen[seen.len() - 300..];
    let variants: BTreeSet<&str> = last.iter().map(|seen| &*seen.variant).collect();
    assert_eq!(variants, ["v1", "v2"].into());
}

pub async fn a_run_waits_for_its_routes_and_replicas_taken_out_of_git_cost_nobody(
    world: &mut World,
) {
    let (_workloads, _controller, load) = taken_over(world, &ramp(&[50, 100], "1s")).await;
    // A manifest that says replicas, and then does not, as `kubectl apply` does it.
    let file = world.chain.folder().join("checkout.json");
    let mut git = deployment("checkout", "registry.example/shop/ok:v1", "canary", 3);
    let apply = async |git: &Value| {
        std::fs::write(&file, git.to_string()).unwrap();
        let command = format!("apply -f {}", file.display());
        world.kubectl(&command).await.good();
    };
    let given = |status: &Value| message(status).contains("pods that nobody uses");
    apply(&git).await;
    wait_for(world, "checkout", "pods that nobody uses", given).await;
    wait_for_rest(world, "v1").await;
    git["spec"].as_object_mut().unwrap().remove("replicas");
    apply(&git).await;
    let said = "Deployment checkout was given 1 pods that nobody uses, again: nobody fights whoever does that";
    wait_for(world, "checkout", said, |status| {
        message(status).contains(said)
    })
    .await;

    let kubernetes = &world.chain.kubernetes;
    kubernetes.delete("VirtualService", "a", "checkout").await;
    wait_for_no_route(world, "|stable|checkout.a").await;
    kubernetes.delete("DestinationRule", "a", "checkout").await;
    push(world, "registry.example/shop/ok:v2").await;
    let said = "there is one, the Deployment keeps its pods and no run begins";
    let status = wait_for(world, "checkout", said, |status| {
        message(status).contains(said)
    })
    .await;
    assert_eq!(status["run"], Value::Null);
    kubernetes.apply(SUBSETS).await;
    // Its routes are where nobody here can see them.
    let annotate = "annotate destinationrule checkout -n a sluice.dev/routed-from=gateways";
    world.kubectl(annotate).await.good();
    wait_for_phase(world, "checkout", "Succeeded").await;
    wait_for_rest(world, "v2").await;
    load.end().await;
}
