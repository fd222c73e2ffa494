//! A canary that begins to fail while there is neither istiod nor Prometheus: proxies help
//! themselves, and the run follows as soon as anybody can see and write.

use std::time::{Duration, Instant};

use serde_json::{Value, json};
use sluice_e2e::wait::until;
use sluice_e2e_istio::load::{Load, Seen};

use super::controller::{apply, message, ramp, start_seeing, wait_for, wait_for_phase};
use crate::users::{WEB_A, assert_no_failures};
use crate::world::World;

const WEB: &str = "/web/everyone/canary";

/// How long a proxy may go on with a challenger that answers nothing but errors.
const OUT_WITHIN: Duration = Duration::from_secs(2);

/// Between the first and the last failed answer of each proxy.
fn failing(seen: &[Seen], proxies: usize) -> Vec<Duration> {
    let of = |proxy: usize| {
        let failed = seen
            .iter()
            .filter(|seen| seen.proxy == proxy && seen.status != 200);
        let at: Vec<Instant> = failed.map(|seen| seen.at).collect();
        let first = at.first().zip(at.last());
        first.map_or(Duration::ZERO, |(first, last)| *last - *first)
    };
    (0..proxies).map(of).collect()
}

async fn start_guarded_run(world: &World) {
    world.new_plugin("a").await;
    let guard = json!({"spec": {"pluginConfig": {"splits": {"web": {"guard": {}}}}}});
    let kubernetes = &world.chain.kubernetes;
    kubernetes
        .merge("WasmPlugin", "a", "sluice", &guard)
        .await
        .unwrap();
    world.wait_for_convergence("a").await;
    let spec = json!({"split": "web", "version": "v2", "steps": ramp(&[25, 100], "1h")});
    apply(world, "web", &spec).await;
    let is_held = |status: &Value| status["run"]["stage"] == "Holding";
    wait_for(world, "web", "to hold its first step", is_held).await;
    assert_eq!(world.weight("a", WEB).await, Some(25.0));
}

pub async fn without_istiod_and_prometheus_proxies_take_a_failing_canary_out(world: &mut World) {
    let _controller = start_seeing(world);
    start_guarded_run(world).await;
    world.chain.stop_istiod();
    world.chain.stop_prometheus();
    let load = Load::start(&world.caller_addresses(), WEB_A, 400, 1_200);
    until("four hundred answers", async || {
        let seen = load.seen().len();
        (seen >= 400).then_some(()).ok_or(format!("{seen}"))
    })
    .await;
    world.fail("canary", 503);
    tokio::time::sleep(OUT_WITHIN * 2).await;
    let seen = load.end().await;
    let failing = failing(&seen, world.callers.len());
    println!("each proxy from its first failed answer to its last: {failing:?}");
    assert!(
        failing
            .iter()
            .all(|long| !long.is_zero() && *long < OUT_WITHIN),
        "{failing:?}"
    );
    // The load goes on, and nobody meets the canary: whoever was on it has the fallback.
    let load = Load::start(&world.caller_addresses(), WEB_A, 400, 400);

    // Nobody sees yet what the proxies did, and the run neither ends nor goes on.
    let held = super::controller::status(world, "web").await;
    assert_eq!(
        (&held["phase"], &held["run"]["step"]),
        (&json!("Progressing"), &json!(0))
    );

    // Prometheus tells; the API server asks istiod before it writes, and there is none.
    world.chain.restart_prometheus().await;
    let is_said = |status: &Value| {
        message(status).contains("the guard took the challenger out")
            && message(status).contains("the weight is not 0 yet")
            && message(status).contains("istiod does not answer the API server")
    };
    let waiting = wait_for(world, "web", "to say that it cannot write", is_said).await;
    assert_eq!(waiting["phase"], "RollingBack", "{waiting:#}");
    assert_eq!(world.weight("a", WEB).await, Some(25.0));
    let said = world
        .sluice("rollout status web -n a --wait --timeout 2s")
        .await;
    let said = said.ended_with(1);
    assert!(said.err.contains("the weight is not 0 yet"), "{said:?}");

    world.chain.restore().await;
    let ended = wait_for_phase(world, "web", "RolledBack").await;
    assert!(
        message(&ended).contains("the guard took the challenger out"),
        "{ended:#}"
    );
    assert_eq!(world.weight("a", WEB).await, Some(0.0));
    // The zeros are in force in every proxy, and no longer because of a trip.
    world.wait_for_convergence("a").await;
    world
        .wait_for_status(&["6 of 6 proxies at revision"])
        .await
        .good();
    let seen = load.end().await;
    assert_no_failures(&seen);
    assert!(
        seen.iter().all(|seen| seen.variant == "stable"),
        "somebody met the canary"
    );
}
