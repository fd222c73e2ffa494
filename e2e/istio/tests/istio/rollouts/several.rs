//! Rollouts that mean something to each other: of one group, or of one audience.

use serde_json::{Value, json};
use sluice_e2e::wait::until;

use super::controller::{
    apply, ask, message, ramp, start, status, wait_for, wait_for_phase, wait_for_weight,
};
use crate::world::World;

const WEB: &str = "/web/everyone/canary";
const CHECKOUT: &str = "/checkout/everyone/canary";

fn of_group(split: &str, percents: &[u32]) -> Value {
    json!({"split": split, "version": "v2", "group": "spring", "steps": ramp(percents, "2s")})
}

pub async fn two_services_step_together_and_go_back_together(world: &mut World) {
    world.new_plugin("a").await;
    let _controller = start(world);
    apply(world, "web", &of_group("web", &[10, 100])).await;
    // The first one waits for the second one's version.
    let waiting = of_group("checkout", &[20, 100]);
    let mut unversioned = waiting.clone();
    unversioned["steps"][0]["approval"] = json!(true);
    apply(world, "checkout", &unversioned).await;
    wait_for_weight(world, WEB, 10.0).await;
    wait_for_weight(world, CHECKOUT, 20.0).await;
    let is_behind =
        |status: &Value| message(status).contains("Rollout checkout of the group is behind");
    wait_for(world, "web", "to wait for checkout", is_behind).await;
    assert_eq!(world.weight("a", WEB).await, Some(10.0));
    ask(world, "checkout", 1, "abort").await;
    wait_for_phase(world, "checkout", "Aborted").await;
    let back = wait_for_phase(world, "web", "RolledBack").await;
    assert_eq!(message(&back), "Rollout checkout of the group failed");
    assert_eq!(world.weight("a", WEB).await, Some(0.0));
    assert_eq!(world.weight("a", CHECKOUT).await, Some(0.0));
}

pub async fn of_two_rollouts_on_one_audience_one_waits(world: &mut World) {
    world.new_plugin("a").await;
    let spec =
        |version: &str| json!({"split": "web", "version": version, "steps": ramp(&[10, 20], "2s")});
    // Both are there before anybody looks.
    apply(world, "one", &spec("v2")).await;
    apply(world, "other", &spec("v3")).await;
    let _controller = start(world);
    let is_waiting = |status: &Value| message(status).ends_with("moves the same weights");
    let (first, second) = until("one of them to wait for the other", async || {
        match (status(world, "one").await, status(world, "other").await) {
            (one, other) if is_waiting(&one) && !is_waiting(&other) => Ok(("other", "one")),
            (one, other) if is_waiting(&other) && !is_waiting(&one) => Ok(("one", "other")),
            (one, other) => Err(format!("{one:#}\n{other:#}")),
        }
    })
    .await;
    wait_for_phase(world, first, "Succeeded").await;
    // The first one's users keep its version: nobody is sent back because another run would begin.
    wait_for_phase(world, second, "Blocked").await;
    assert_eq!(world.weight("a", WEB).await, Some(20.0));
}
