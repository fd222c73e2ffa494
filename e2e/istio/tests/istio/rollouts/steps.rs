//! Runs that go well: step by step, ring by ring, approved, at once.

use serde_json::json;

use super::controller::{
    apply, ask, condition, history, message, ramp, start, start_seeing, wait_for, wait_for_phase,
    wait_for_weight,
};
use crate::world::World;

const WEB: &str = "/web/everyone/canary";

pub async fn a_rollout_reaches_everybody_and_says_how(world: &mut World) {
    world.new_plugin("a").await;
    let _controller = start_seeing(world);
    let spec = json!({"split": "web", "version": "v2", "steps": ramp(&[5, 50, 100], "1s")});
    apply(world, "web", &spec).await;
    let status = wait_for_phase(world, "web", "Succeeded").await;
    assert_eq!(world.weight("a", WEB).await, Some(100.0));
    assert_eq!(
        ["Ready", "Reconciling", "Stalled"].map(|kind| condition(&status, kind)),
        ["True", "False", "False"]
    );
    assert_eq!(
        status["shown"],
        json!({"version": "v2", "step": "3/3", "weight": "100% of everyone"})
    );
    assert_eq!(status["observedGeneration"], json!(1));
    world
        .kubectl("wait rollout web -n a --for=condition=Ready --timeout=5s")
        .await
        .good();
    let listed = world.kubectl("get rollouts -n a").await.good().out;
    assert!(
        listed.contains("Succeeded") && listed.contains("3/3"),
        "{listed}"
    );
    let history = history(world).await;
    for step in ["step 1 of 3", "step 2 of 3", "step 3 of 3"] {
        assert!(
            history.contains(&format!("Rollout web, run 1, {step}")),
            "{history}"
        );
    }
    let events = world
        .kubectl("events -n a --for rollout/web")
        .await
        .good()
        .out;
    for event in [
        "Started",
        "Stepped",
        "Converged",
        "Succeeded",
        "step 2 of 3: 50 % of everyone",
        "6 of 6 proxies follow",
    ] {
        assert!(events.contains(event), "{event}: {events}");
    }
    // It is written when nothing of the run changes any more, and the status says so.
    wait_for(world, "web", "its revision", |status| {
        status["remembered"] == 1
    })
    .await;
    let kubernetes = &world.chain.kubernetes;
    let revisions = kubernetes.list("ControllerRevision", "a").await.unwrap();
    let runs = revisions
        .iter()
        .map(|revision| &revision.data["data"])
        .filter(|data| data["rollout"] == "web");
    let runs: Vec<_> = runs
        .map(|data| {
            (
                &data["run"]["ending"]["as"],
                &data["run"]["spec"]["version"],
            )
        })
        .collect();
    assert_eq!(runs, [(&json!("Succeeded"), &json!("v2"))]);
}

pub async fn a_run_begins_only_where_nobody_would_go_back(world: &mut World) {
    world.fresh_plugin("a", 30).await;
    let _controller = start(world);
    let mut spec = json!({"split": "web", "version": "v2", "steps": ramp(&[50, 100], "1s")});
    apply(world, "web", &spec).await;
    let status = wait_for_phase(world, "web", "Blocked").await;
    assert!(
        message(&status).contains("still has 30 % of everyone"),
        "{status:#}"
    );
    assert_eq!(world.weight("a", WEB).await, Some(30.0));
    spec["from"] = json!("current");
    apply(world, "web", &spec).await;
    wait_for_phase(world, "web", "Succeeded").await;
    // Its users have version 2 now; once the fallback has it too, somebody says so.
    ask(world, "web", 1, "finish").await;
    wait_for_phase(world, "web", "Idle").await;
    assert_eq!(world.weight("a", WEB).await, Some(0.0));
}

pub async fn a_step_waits_until_somebody_approves_it(world: &mut World) {
    world.new_plugin("a").await;
    let _controller = start(world);
    let steps = json!([{"weight": 20, "approval": true}, {"weight": 100}]);
    apply(
        world,
        "web",
        &json!({"split": "web", "version": "v2", "steps": steps}),
    )
    .await;
    let is_asked =
        |status: &serde_json::Value| message(status).contains("waits for `sluice rollout approve`");
    wait_for(world, "web", "approval wanted", is_asked).await;
    tokio::time::sleep(std::time::Duration::from_secs(2)).await;
    assert_eq!(world.weight("a", WEB).await, Some(20.0));
    ask(world, "web", 1, "approve").await;
    wait_for_phase(world, "web", "Succeeded").await;
    assert_eq!(world.weight("a", WEB).await, Some(100.0));
}

pub async fn rings_get_it_one_after_the_other(world: &mut World) {
    world.new_plugin("a").await;
    let _controller = start(world);
    let steps =
        json!([{"audience": "staff", "weight": 100, "hold": "2s"}, {"weight": 10, "hold": "2s"}]);
    apply(
        world,
        "web",
        &json!({"split": "web", "version": "v2", "steps": steps}),
    )
    .await;
    wait_for_weight(world, "/web/staff/canary", 100.0).await;
    assert!(matches!(world.weight("a", WEB).await, None | Some(0.0)));
    wait_for_phase(world, "web", "Succeeded").await;
    assert_eq!(world.weight("a", "/web/staff/canary").await, Some(100.0));
    assert_eq!(world.weight("a", WEB).await, Some(10.0));
}

pub async fn blue_green_previews_and_moves_everybody_at_once(world: &mut World) {
    world.new_plugin("a").await;
    let _controller = start(world);
    let spec =
        json!({"split": "web", "version": "v2", "preset": "blueGreen", "previewAudience": "staff"});
    apply(world, "web", &spec).await;
    let is_asked =
        |status: &serde_json::Value| message(status).contains("waits for `sluice rollout approve`");
    wait_for(world, "web", "approval wanted", is_asked).await;
    assert_eq!(world.weight("a", "/web/staff/canary").await, Some(100.0));
    assert!(matches!(world.weight("a", WEB).await, None | Some(0.0)));
    ask(world, "web", 1, "approve").await;
    wait_for_weight(world, WEB, 100.0).await;
    // Everybody is watched for ten minutes; going back is one change.
    ask(world, "web", 2, "abort").await;
    wait_for_phase(world, "web", "Aborted").await;
    assert_eq!(world.weight("a", WEB).await, Some(0.0));
    assert_eq!(world.weight("a", "/web/staff/canary").await, Some(0.0));
}

pub async fn an_emergency_is_one_step(world: &mut World) {
    world.new_plugin("a").await;
    let _controller = start(world);
    apply(
        world,
        "web",
        &json!({"split": "web", "version": "hotfix", "preset": "emergency"}),
    )
    .await;
    let status = wait_for_phase(world, "web", "Succeeded").await;
    assert_eq!(world.weight("a", WEB).await, Some(100.0));
    assert_eq!(status["runs"].as_array().unwrap().len(), 1);
}
