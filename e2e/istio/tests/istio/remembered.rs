//! A Rollout that follows a Deployment remembers what it promoted: what is deleted by hand, or taken
//! back at the last moment, comes back as it was.

use std::time::Duration;

use serde_json::{Value, json};
use sluice_e2e::wait::until;
use sluice_e2e_istio::load::{Load, Seen};
use sluice_e2e_istio::prometheus;

use crate::releases::{
    ROUTES, SUBSETS, push, running, spec, taken_over, taken_over_by, wait_for_rest,
};
use crate::rollouts::account;
use crate::rollouts::controller::{
    apply, ask, message, ramp, start_seeing, status, wait_for, wait_for_phase,
};
use crate::users::assert_no_failures;
use crate::workloads::{self, CHECKOUT, Workloads, deployment, wait_for_ready};
use crate::world::World;

/// The versions whose templates are kept, by their images' tags, in the order of their names.
async fn kept(world: &World) -> Vec<String> {
    let kept = world.chain.kubernetes.list("PodTemplate", "a").await;
    let kept = kept.unwrap().into_iter().map(|one| {
        assert_eq!(
            one.metadata.labels.unwrap()["sluice.dev/rollout"],
            "checkout"
        );
        let image = &one.data["template"]["spec"]["containers"][0]["image"];
        let (_, tag) = image.as_str().unwrap().rsplit_once(':').unwrap();
        tag.to_owned()
    });
    let mut kept: Vec<String> = kept.collect();
    kept.sort();
    kept
}

async fn wait_for_stage(world: &World, stage: &str) -> Value {
    wait_for(world, "checkout", stage, |status| {
        status["run"]["stage"] == stage
    })
    .await
}

/// Waits until all pods in a are of one version.
async fn wait_for_only(workloads: &Workloads, version: &str, pods: usize) {
    until("pods of one version", async || {
        let running = running(workloads);
        let is_so = running == [(version.to_owned(), pods)];
        is_so.then_some(()).ok_or(format!("{running:?}"))
    })
    .await;
}

/// Asserts that whoever failed did so while pods were gone, and nobody any more at the end.
fn assert_served_again(seen: &[Seen]) -> usize {
    let failed = seen.iter().filter(|seen| seen.status != 200).count();
    let last = seen.iter().rev().take(100);
    assert_eq!(last.filter(|seen| seen.status != 200).count(), 0);
    failed
}

pub async fn a_copy_that_is_deleted_is_made_again_of_what_was_promoted(world: &mut World) {
    world.new_plugin("a").await;
    let roles = ["account.yaml", "namespaced.yaml", "workloads.yaml"];
    let (sluice, _) = account(world, &roles).await;
    let command = format!("controller -n a --prometheus {}", prometheus::URL);
    let steps = json!([{"weight": 50, "approval": true}, {"weight": 100}]);
    let (workloads, controller, load) = taken_over_by(world, &sluice, &command, &steps).await;
    until("the template of v1 to be kept", async || {
        let kept = kept(world).await;
        (kept == ["v1"]).then_some(()).ok_or(format!("{kept:?}"))
    })
    .await;
    push(world, "registry.example/shop/ok:v2").await;
    wait_for_stage(world, "Approval").await;
    assert_no_failures(&load.end().await);

    // In a run: its users wait for new pods and no longer, and the run waits for them.
    let kubernetes = &world.chain.kubernetes;
    workloads.kubelet.start_takes(Duration::from_secs(2));
    kubernetes
        .delete("Deployment", "a", "checkout-stable")
        .await;
    let status = wait_for(world, "checkout", "to wait", |status| {
        message(status).starts_with("the run waits: ")
    })
    .await;
    let why = message(&status);
    assert!(why.contains("Deployment checkout-stable"), "{why}");
    wait_for_ready(world, "checkout-stable", 3).await;
    workloads.kubelet.start_takes(Duration::ZERO);
    ask(world, "checkout", 1, "abort").await;
    wait_for_phase(world, "checkout", "Aborted").await;
    wait_for_ready(world, "checkout", 0).await;

    // Between two runs, while Git states a version that failed.
    kubernetes
        .delete("Deployment", "a", "checkout-stable")
        .await;
    wait_for_ready(world, "checkout-stable", 3).await;
    wait_for_only(&workloads, "v1", 3).await;
    assert_eq!(kept(world).await, ["v1"]);

    // Of more promotions the last ones are kept.
    for (number, version) in ["v3", "v4", "v5"].into_iter().enumerate() {
        push(world, &format!("registry.example/shop/ok:{version}")).await;
        wait_for_stage(world, "Approval").await;
        ask(world, "checkout", number as u64 + 2, "approve").await;
        wait_for_rest(world, version).await;
    }
    assert_eq!(kept(world).await, ["v3", "v4", "v5"]);
    let log = controller.log();
    assert!(!log.contains("forbidden"), "{log}");
}

/// A run of v2 is over, and the copy takes its template: one pod has it, two have v1.
async fn promoting(world: &World, workloads: &Workloads) {
    workloads.kubelet.stop_takes(Duration::from_secs(2));
    push(world, "registry.example/shop/ok:v2").await;
    wait_for_stage(world, "Approval").await;
    // Slow enough to be met in the middle of it.
    workloads.kubelet.start_takes(Duration::from_secs(2));
    ask(world, "checkout", 1, "approve").await;
    until("the copy to take v2", async || {
        let running = running(workloads);
        let of_v2 = running.iter().find(|(version, _)| version == "v2");
        let is_so = of_v2.is_some_and(|(_, pods)| *pods == 4);
        is_so.then_some(()).ok_or(format!("{running:?}"))
    })
    .await;
}

pub async fn an_abort_while_the_copy_takes_the_new_version_loses_no_request(world: &mut World) {
    let steps = json!([{"weight": 50, "hold": "1s"}, {"weight": 100, "approval": true}]);
    let (workloads, _controller, load) = taken_over(world, &steps).await;
    promoting(world, &workloads).await;
    ask(world, "checkout", 2, "abort").await;
    let status = wait_for_phase(world, "checkout", "Aborted").await;
    let said = message(&status);
    assert!(
        said.starts_with("aborted by ann, before ok:v2 (")
            && said.contains("Deployment checkout-stable is given ok:v1 ("),
        "{said}"
    );
    assert_eq!(
        world.weight("a", "/checkout/everyone/canary").await,
        Some(0.0)
    );
    wait_for_ready(world, "checkout", 0).await;
    wait_for_ready(world, "checkout-stable", 3).await;
    wait_for_only(&workloads, "v1", 3).await;
    let seen = load.end().await;
    assert_no_failures(&seen);
    assert!(seen.iter().any(|seen| seen.variant == "v2"));
    assert_eq!(seen.last().unwrap().variant, "v1");
    // Nothing is promoted until somebody says so.
    workloads.kubelet.start_takes(Duration::ZERO);
    ask(world, "checkout", 3, "retry").await;
    wait_for_stage(world, "Approval").await;
    ask(world, "checkout", 4, "approve").await;
    wait_for_rest(world, "v2").await;
}

pub async fn a_split_that_is_aborted_before_the_copy_takes_the_new_version_is_not_promoted(
    world: &mut World,
) {
    let steps = json!([{"weight": 50, "hold": "1s"}, {"weight": 100, "approval": true}]);
    let (workloads, _controller, load) = taken_over(world, &steps).await;
    promoting(world, &workloads).await;
    world.sluice("abort checkout -n a").await.good();
    let status = wait_for_phase(world, "checkout", "Aborted").await;
    assert!(
        message(&status).contains("before ok:v2 ("),
        "{}",
        message(&status)
    );
    wait_for_ready(world, "checkout", 0).await;
    wait_for_only(&workloads, "v1", 3).await;
    let seen = load.end().await;
    assert_no_failures(&seen);
    assert_eq!(seen.last().unwrap().variant, "v1");
}

pub async fn a_deployment_that_is_deleted_in_a_run_gives_its_users_back(world: &mut World) {
    let (workloads, _controller, load) = taken_over(world, &ramp(&[50, 100], "1h")).await;
    push(world, "registry.example/shop/ok:v2").await;
    wait_for_stage(world, "Holding").await;
    until("v2 to answer", async || {
        let is_there = load.seen().iter().any(|seen| seen.variant == "v2");
        is_there.then_some(()).ok_or("it does not".to_owned())
    })
    .await;
    world
        .chain
        .kubernetes
        .delete("Deployment", "a", "checkout")
        .await;
    let status = wait_for_phase(world, "checkout", "RolledBack").await;
    assert!(
        message(&status).contains("there is no Deployment checkout"),
        "{}",
        message(&status)
    );
    let before = load.seen().len();
    until("five hundred answers more", async || {
        let more = load.seen().len() - before;
        (more >= 500).then_some(()).ok_or(format!("{more}"))
    })
    .await;
    let seen = load.end().await;
    let failed = assert_served_again(&seen);
    println!("{failed} of {} requests failed", seen.len());
    wait_for_only(&workloads, "v1", 3).await;
}

pub async fn a_former_template_goes_straight_to_everyone_and_costs_no_request(world: &mut World) {
    let steps = json!([{"weight": 50, "approval": true}, {"weight": 100, "hold": "1h"}]);
    let (workloads, _controller, load) = taken_over(world, &steps).await;
    let window = json!({"spec": {"workload": {"rollbackWindow": {"runs": 2}}}});
    let kubernetes = &world.chain.kubernetes;
    kubernetes
        .merge("Rollout", "a", "checkout", &window)
        .await
        .unwrap();
    workloads.kubelet.stop_takes(Duration::ZERO);
    push(world, "registry.example/shop/ok:v2").await;
    wait_for_stage(world, "Approval").await;
    ask(world, "checkout", 1, "approve").await;
    wait_for(world, "checkout", "the last step", |status| {
        status["run"]["stage"] == "Holding" && status["run"]["step"] == 1
    })
    .await;
    ask(world, "checkout", 2, "skip").await;
    wait_for_rest(world, "v2").await;

    push(world, "registry.example/shop/ok:v1").await;
    wait_for_rest(world, "v1").await;
    let status = status(world, "checkout").await;
    assert_eq!(
        (&status["run"]["number"], &status["run"]["straight"]),
        (&json!(2), &json!(0)),
        "{status:#}"
    );
    let told = world
        .sluice("rollout status checkout -n a")
        .await
        .good()
        .out;
    let says = "the copy was made of this version: straight at the last step, nothing is measured";
    assert!(told.contains(says), "{told}");
    let seen = load.end().await;
    assert_no_failures(&seen);
    assert!(seen.iter().any(|seen| seen.variant == "v2"));
    assert_eq!(seen.last().unwrap().variant, "v1");
}

pub async fn a_cluster_that_is_made_anew_from_git_judges_the_only_template_by_a_run(
    world: &mut World,
) {
    world.new_plugin("a").await;
    let workloads = workloads::start(world).await;
    let kubernetes = &world.chain.kubernetes;
    let first = deployment("checkout", "registry.example/shop/ok:v1", "canary", 3);
    kubernetes.apply(&first.to_string()).await;
    kubernetes.apply(SUBSETS).await;
    kubernetes.apply(ROUTES).await;
    wait_for_ready(world, "checkout", 3).await;
    let _controller = start_seeing(world);
    let mut spec = spec(&json!([{"weight": 50, "approval": true}, {"weight": 100}]));
    spec["workload"]["onFirstSight"] = json!("run");
    apply(world, "checkout", &spec).await;
    let status = wait_for_stage(world, "Approval").await;
    assert_eq!(status["workload"]["isUnjudged"], true, "{status:#}");
    wait_for_ready(world, "checkout-stable", 3).await;

    // Users come, and the run is given up: the copy serves on.
    let load = Load::start(&world.caller_addresses(), CHECKOUT, 100, 100);
    ask(world, "checkout", 1, "abort").await;
    let status = wait_for_phase(world, "checkout", "Aborted").await;
    let said = "aborted by ann; Deployment checkout-stable serves on with the same version: there is no other";
    assert_eq!(message(&status), said);
    wait_for_ready(world, "checkout", 0).await;
    ask(world, "checkout", 2, "retry").await;
    wait_for_stage(world, "Approval").await;
    ask(world, "checkout", 3, "approve").await;
    wait_for_rest(world, "v1").await;
    let seen = load.end().await;
    assert_no_failures(&seen);
    wait_for_only(&workloads, "v1", 3).await;
}
