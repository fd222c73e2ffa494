//! A Rollout that follows a Deployment which a HorizontalPodAutoscaler scales, by Kubernetes' own
//! controllers.

use serde_json::{Value, json};
use sluice_e2e::wait::until;
use sluice_e2e_istio::prometheus;

use crate::releases::{push, taken_over, taken_over_by};
use crate::rollouts::account;
use crate::rollouts::controller::{message, ramp, wait_for, wait_for_phase};
use crate::users::assert_no_failures;
use crate::workloads::wait_for_ready;
use crate::world::World;

/// An autoscaler as a team has it in Git.
fn autoscaler(name: &str, deployment: &str, least: u32, most: u32) -> String {
    let target = json!({"apiVersion": "apps/v1", "kind": "Deployment", "name": deployment});
    let scaler = json!({
        "apiVersion": "autoscaling/v2", "kind": "HorizontalPodAutoscaler",
        "metadata": {"name": name, "namespace": "a"},
        "spec": {"scaleTargetRef": target, "minReplicas": least, "maxReplicas": most},
    });
    scaler.to_string()
}

/// The spec of one.
async fn spec_of(world: &World, name: &str) -> Option<Value> {
    let kubernetes = &world.chain.kubernetes;
    let found = kubernetes.get("HorizontalPodAutoscaler", "a", name).await;
    Some(found?.data["spec"].clone())
}

/// Waits until the copy's is so.
async fn wait_for_own(world: &World, what: &str, is_so: impl Fn(Option<&Value>) -> bool) {
    until(&format!("the copy's autoscaler: {what}"), async || {
        let spec = spec_of(world, "checkout-stable").await;
        is_so(spec.as_ref())
            .then_some(())
            .ok_or(format!("{spec:?}"))
    })
    .await;
}

/// Waits until everyone is at the copy with a version.
async fn wait_for_copy(world: &World, version: &str) {
    let said = format!("Deployment checkout-stable serves everyone with ok:{version} (");
    wait_for(world, "checkout", &said, |status| {
        message(status).starts_with(&said)
    })
    .await;
    wait_for_ready(world, "checkout", 0).await;
}

pub async fn the_copy_is_scaled_as_the_deployment_is_and_a_release_costs_no_request(
    world: &mut World,
) {
    world.new_plugin("a").await;
    let roles = ["account.yaml", "namespaced.yaml", "workloads.yaml"];
    let (sluice, _) = account(world, &roles).await;
    let command = format!("controller -n a --prometheus {}", prometheus::URL);
    let kubernetes = &world.chain.kubernetes;
    kubernetes.apply(&autoscaler("web", "checkout", 2, 5)).await;
    let budget = json!({
        "apiVersion": "policy/v1", "kind": "PodDisruptionBudget",
        "metadata": {"name": "checkout", "namespace": "a"},
        "spec": {"minAvailable": 3, "selector": {"matchLabels": {"app": "checkout"}}},
    });
    kubernetes.apply(&budget.to_string()).await;
    let steps = ramp(&[25, 100], "2s");
    let (_workloads, controller, load) = taken_over_by(world, &sluice, &command, &steps).await;

    wait_for_own(world, "is there", |spec| spec.is_some()).await;
    let mut git = spec_of(world, "web").await.unwrap();
    git["scaleTargetRef"]["name"] = json!("checkout-stable");
    assert_eq!(spec_of(world, "checkout-stable").await, Some(git));
    kubernetes.apply(&autoscaler("web", "checkout", 4, 5)).await;
    wait_for_own(world, "as Git's is now", |spec| {
        spec.is_some_and(|spec| spec["minReplicas"] == 4)
    })
    .await;
    wait_for_ready(world, "checkout-stable", 4).await;

    push(world, "registry.example/shop/ok:v2").await;
    // The step needs one; the autoscaler wants four of whatever has pods at all.
    wait_for_ready(world, "checkout", 4).await;
    wait_for_phase(world, "checkout", "Succeeded").await;
    wait_for_copy(world, "v2").await;
    wait_for_ready(world, "checkout-stable", 4).await;

    kubernetes
        .delete("HorizontalPodAutoscaler", "a", "web")
        .await;
    wait_for_own(world, "is gone", |spec| spec.is_none()).await;
    wait_for_ready(world, "checkout-stable", 4).await;
    let seen = load.end().await;
    assert_no_failures(&seen);
    assert_eq!(seen.last().unwrap().variant, "v2");
    let log = controller.log();
    assert!(!log.contains("forbidden"), "{log}");
}

pub async fn an_autoscaler_that_allows_less_is_left_alone_and_nobody_is_moved(world: &mut World) {
    let kubernetes = &world.chain.kubernetes;
    let (_workloads, _controller, load) = taken_over(world, &ramp(&[100], "5s")).await;
    kubernetes
        .apply(&autoscaler("mine", "checkout-stable", 3, 3))
        .await;
    kubernetes.apply(&autoscaler("web", "checkout", 1, 1)).await;
    push(world, "registry.example/shop/ok:v2").await;
    let said = "Deployment checkout was scaled down 3 times in this step, which needs 3 pods";
    wait_for(world, "checkout", said, |status| {
        message(status).contains(said)
    })
    .await;
    // One pod does not bear everyone.
    let status = wait_for_phase(world, "checkout", "RolledBack").await;
    let why = message(&status);
    assert!(
        why.contains("1 of 3 pods of Deployment checkout are ready"),
        "{why}"
    );
    assert!(why.contains(said), "{why}");
    wait_for_ready(world, "checkout-stable", 3).await;
    assert_eq!(spec_of(world, "checkout-stable").await, None);
    let seen = load.end().await;
    assert_no_failures(&seen);
    assert!(seen.iter().all(|seen| seen.variant == "v1"));
}
