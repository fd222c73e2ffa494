//! How a brake ends where nobody releases it: its zeros are undone before proxies have them, or its
//! plugin goes.

use serde_json::json;
use sluice_e2e::wait::until;
use sluice_e2e_istio::istiod::Settings;

use crate::brake::{begin, connected, wait_for_brakes};
use crate::debounce::restart_istiod;
use crate::rollouts::controller::wait_for_weight;
use crate::users::WEB_A;
use crate::world::World;

const WEB: &str = "/web/everyone/canary";

/// An istiod that pushes some seconds after a change.
const SLOW: Settings = &[("PILOT_DEBOUNCE_AFTER", "4s"), ("PILOT_DEBOUNCE_MAX", "4s")];

/// Waits until the only brake is listed as this.
async fn wait_for_brake(world: &World, text: &str) {
    until(text, async || {
        let listed = world.sluice("brake list -n a").await.good().out;
        listed.contains(text).then_some(()).ok_or(listed)
    })
    .await;
}

/// How many of a hundred users the first caller sends to the canary.
async fn users_of_the_canary(world: &World) -> usize {
    let mut users = 0;
    for user in 0..100 {
        let cookie = format!("cookie: uid=user-{user}");
        let answer = world.callers[0].get(WEB_A, &[cookie.as_bytes()]).await;
        users += usize::from(answer.variant() == "canary");
    }
    users
}

pub async fn an_abort_that_is_undone_before_istiod_pushes_leaves_no_brake(world: &mut World) {
    let controller = begin(world, 50).await;
    // As it is after an earlier abort, which writes a zero for every audience.
    let staff = "set web canary=0 --audience staff -n a";
    world.sluice(staff).await.good();
    world.wait_for_convergence("a").await;
    restart_istiod(world, SLOW).await;
    connected(world).await;
    let before = users_of_the_canary(world).await;
    let said = world.sluice("abort web -n a").await.ended_with(0);
    assert!(said.err.contains("in force in 6 of 6"), "{said:?}");
    wait_for_brakes(world, 1).await;
    assert_eq!(users_of_the_canary(world).await, 0);
    // What istiod pushes then is what it pushed before.
    world.set("web", 50).await;
    wait_for_brake(world, ": released since").await;
    wait_for_brakes(world, 0).await;
    // A slow machine may have had the zeros pushed first.
    world.wait_for_convergence("a").await;
    assert_eq!(users_of_the_canary(world).await, before);
    world.chain.restart_istiod(&[]).await;
    drop(controller);
}

pub async fn a_brake_of_a_plugin_that_is_gone_is_over(world: &mut World) {
    let controller = begin(world, 25).await;
    world.chain.stop_istiod();
    world.sluice("abort web -n a").await.ended_with(0);
    wait_for_brake(world, ": on since").await;
    let kubernetes = &world.chain.kubernetes;
    kubernetes.delete("WasmPlugin", "a", "sluice").await;
    wait_for_brake(world, ": over since").await;
    let brakes = kubernetes.list("Brake", "a").await.unwrap();
    let message = &brakes[0].data["status"]["message"];
    let gone = json!("namespace a has no plugin \"sluice\"; there are none");
    assert_eq!(message, &gone);
    world.chain.restart_istiod(&[]).await;
    world.fresh_plugin("a", 25).await;
    wait_for_weight(world, WEB, 25.0).await;
    drop(controller);
}
