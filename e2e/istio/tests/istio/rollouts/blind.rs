//! Runs whose analysis sees nothing: no data yet, a Prometheus that is down, one that hangs.

use std::time::{Duration, Instant};

use serde_json::{Value, json};
use sluice_e2e_istio::load::Load;

use super::controller::{
    ASKED, apply, configure, message, quiet_plugin, ramp, start_seeing, wait_for, wait_for_phase,
};
use crate::speed::{last_canary, wait_for_quiet};
use crate::users::WEB_A;
use crate::world::World;

const WEB: &str = "/web/everyone/canary";

/// Within which users are back who need no Prometheus for it. Chosen: less than what one that hangs
/// is waited for, and much more than it takes.
const BACK_WITHIN: Duration = Duration::from_secs(8);

fn watched(steps: Value, analysis: Value) -> Value {
    json!({"split": "web", "version": "v2", "steps": steps, "analysis": analysis})
}

fn of_query(on_no_data: &str) -> Value {
    let check = json!({"name": "orders", "query": ASKED, "pass": "> 0"});
    json!({"interval": "1s", "onNoData": on_no_data, "checks": [check]})
}

fn of_errors() -> Value {
    let check = json!({"name": "errors", "metric": "errorRate", "fail": "> 5%"});
    json!({"interval": "1s", "window": "10s", "minRequests": 20, "checks": [check]})
}

fn load(world: &World) -> Load {
    Load::start(&world.caller_addresses(), WEB_A, 1_000, 200)
}

pub async fn a_check_without_data_holds_until_there_is_some(world: &mut World) {
    quiet_plugin(world).await;
    let _controller = start_seeing(world);
    apply(
        world,
        "web",
        &watched(ramp(&[20, 50], "1s"), of_query("hold")),
    )
    .await;
    let is_held =
        |status: &Value| message(status) == "step 1 is held: orders, passes at > 0: no data";
    wait_for(world, "web", "to be held", is_held).await;
    tokio::time::sleep(Duration::from_secs(3)).await;
    assert_eq!(world.weight("a", WEB).await, Some(20.0));
    let load = load(world);
    wait_for_phase(world, "web", "Succeeded").await;
    assert_eq!(world.weight("a", WEB).await, Some(50.0));
    load.end().await;
}

pub async fn a_check_without_data_fails_where_the_spec_says_so(world: &mut World) {
    quiet_plugin(world).await;
    let _controller = start_seeing(world);
    apply(
        world,
        "web",
        &watched(ramp(&[20, 50], "1s"), of_query("fail")),
    )
    .await;
    let ended = wait_for_phase(world, "web", "RolledBack").await;
    assert_eq!(message(&ended), "orders, passes at > 0: no data");
    assert_eq!(world.weight("a", WEB).await, Some(0.0));
}

pub async fn a_run_is_held_while_prometheus_is_down_and_goes_on_when_it_is_back(world: &mut World) {
    world.new_plugin("a").await;
    configure(world, &json!({"responseMetrics": true})).await;
    let _controller = start_seeing(world);
    let load = load(world);
    apply(world, "web", &watched(ramp(&[20, 60], "5s"), of_errors())).await;
    wait_for(world, "web", "a first round", |status| {
        status["run"]["round"].is_string()
    })
    .await;
    world.chain.stop_prometheus();
    let is_held = |status: &Value| {
        let words = "step 1 is held: errors, fails at > 5%: not measured: Prometheus at ";
        message(status).starts_with(words)
    };
    wait_for(world, "web", "to be held", is_held).await;
    tokio::time::sleep(Duration::from_secs(3)).await;
    assert_eq!(world.weight("a", WEB).await, Some(20.0));
    world.chain.restore().await;
    wait_for_phase(world, "web", "Succeeded").await;
    assert_eq!(world.weight("a", WEB).await, Some(60.0));
    load.end().await;
}

pub async fn an_abort_takes_users_back_while_prometheus_is_down_or_hangs(world: &mut World) {
    world.new_plugin("a").await;
    configure(world, &json!({"responseMetrics": true})).await;
    let _controller = start_seeing(world);
    let ways: [(&str, fn(&mut World)); 2] = [
        ("down", |world| world.chain.stop_prometheus()),
        ("hanging", |world| world.chain.freeze_prometheus()),
    ];
    for (way, take_away) in ways {
        apply(world, "web", &{
            let mut spec = watched(ramp(&[50, 100], "1h"), of_errors());
            spec["version"] = json!(way);
            spec
        })
        .await;
        wait_for(world, "web", "a round", |status| {
            status["run"]["version"] == way && status["run"]["round"].is_string()
        })
        .await;
        let load = load(world);
        take_away(world);
        // Looks of the controller meet it as it is.
        tokio::time::sleep(Duration::from_secs(2)).await;
        let began = Instant::now();
        let reason = format!("--reason {way}");
        let abort = format!("rollout abort web -n a {reason}");
        world.sluice(&abort).await.good();
        wait_for_quiet(&load).await;
        let last = last_canary(&load.end().await, None).expect("an answer of the canary");
        let took = last.saturating_duration_since(began);
        println!("Prometheus {way}: the last answer of the canary {took:?} after the abort began");
        assert!(took < BACK_WITHIN, "{way}: {took:?}");
        world.chain.restore().await;
        let ended = wait_for_phase(world, "web", "Aborted").await;
        assert!(message(&ended).contains(way), "{ended:#}");
    }
}
