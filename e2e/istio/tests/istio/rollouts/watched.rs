//! Canaries that become bad at a step, and are taken back by what the real Prometheus has of the
//! real proxies.

use serde_json::{Value, json};
use sluice_e2e::wait::until;
use sluice_e2e_istio::load::{Load, Seen};

use super::controller::{
    apply, configure, message, quiet_plugin, start_seeing, wait_for_phase, wait_for_weight,
};
use crate::users::{WEB_A, assert_everyone_gets_stable, variant};
use crate::world::World;

const WEB: &str = "/web/everyone/canary";

/// What the bad step gives the canary.
const PERCENT: u32 = 60;

/// A Rollout whose first step is short, and whose second one is the bad one. Its users are drawn as
/// the tests' own arithmetic draws them.
fn spec(check: &Value) -> Value {
    let analysis = json!({"interval": "1s", "window": "10s", "minRequests": 20, "checks": [check]});
    let steps = json!([{"weight": 20, "hold": "1s"}, {"weight": PERCENT, "hold": "1h"}]);
    json!({"split": "web", "version": "v2", "redraw": false, "steps": steps, "analysis": analysis})
}

/// Runs a Rollout whose canary is good at the first step and becomes bad at the second; what it
/// ended with.
async fn taken_back(world: &World, check: Value, spoil: impl Fn(&World)) -> Value {
    // A query of one's own looks back to before the run.
    quiet_plugin(world).await;
    configure(world, &json!({"responseMetrics": true})).await;
    let _controller = start_seeing(world);
    // Several clients of each proxy, so that slow answers leave enough of them.
    let load = Load::start(&world.caller_addresses().repeat(4), WEB_A, 1_000, 300);
    apply(world, "web", &spec(&check)).await;
    // The same check let the good canary through the first step.
    wait_for_weight(world, WEB, f64::from(PERCENT)).await;
    until("the canary to answer", async || {
        let seen = load.seen();
        let canaries = seen.iter().filter(|seen| seen.variant == "canary").count();
        (canaries >= 50).then_some(()).ok_or(format!("{canaries}"))
    })
    .await;
    spoil(world);
    let ended = wait_for_phase(world, "web", "RolledBack").await;
    assert_eq!(world.weight("a", WEB).await, Some(0.0), "{ended:#}");
    world.wait_for_convergence("a").await;
    assert_fallback_is_untouched(&load.end().await);
    // The canary is still as bad.
    assert_everyone_gets_stable(&world.callers).await;
    let name = check["name"].as_str().unwrap();
    assert!(
        message(&ended).starts_with(&format!("{name}: ")),
        "{ended:#}"
    );
    assert_eq!(ended["run"]["step"], 1, "{ended:#}");
    let events = world.kubectl("events -n a --for rollout/web").await;
    let events = events.good().out;
    let is_said = |line: &str| line.contains("RolledBack") && line.contains(name);
    assert!(events.lines().any(is_said), "{events}");
    ended
}

/// Whoever was never given to the canary was answered by the fallback alone, and well.
fn assert_fallback_is_untouched(seen: &[Seen]) {
    let never = seen
        .iter()
        .filter(|seen| variant(seen.user, PERCENT) == "stable");
    for Seen {
        user,
        status,
        variant,
        ..
    } in never
    {
        assert_eq!((*status, variant.as_str()), (200, "stable"), "user {user}");
    }
}

pub async fn a_canary_that_fails_some_requests_is_taken_back(world: &mut World) {
    let check = json!({"name": "errors", "metric": "errorRate", "pass": "<= 1%", "fail": "> 5%"});
    let ended = taken_back(world, check, |world| world.fail_one_in(4, "canary", 500)).await;
    let value = ended["run"]["analysis"]["checks"][0]["value"].as_f64();
    // Found before all of the window's answers were bad ones, and never more than one in four.
    let is_between = value.is_some_and(|value| value > 0.05 && value < 0.35);
    assert!(is_between, "{ended:#}");
}

pub async fn users_who_fail_take_a_canary_back(world: &mut World) {
    let check = json!({
        "name": "failed users", "metric": "failedUsers", "against": "fallback", "fail": "> +50%",
        "confidence": 0.99,
    });
    let ended = taken_back(world, check, |world| world.fail_one_in(4, "canary", 500)).await;
    assert!(message(&ended).contains("not by chance"), "{ended:#}");
}

pub async fn a_canary_that_becomes_slow_is_taken_back(world: &mut World) {
    let check = json!({
        "name": "p90", "metric": "latency", "quantile": 0.9, "pass": "<= 500ms", "fail": "> 1s",
    });
    taken_back(world, check, |world| world.delay("canary", 1_500)).await;
}

pub async fn a_query_of_ones_own_takes_a_slow_canary_back(world: &mut World) {
    // A quantile of no answers is NaN, an error; compared, it is no data.
    let query = "histogram_quantile(0.9, sum by (le) (rate(sluice_response_time_milliseconds_bucket\
                 {sluice_split=\"{{split}}\",sluice_variant=\"{{challenger}}\"}[{{window}}]))) >= 0";
    let check = json!({"name": "p90 of ours", "query": query, "pass": "<= 500", "fail": "> 1000"});
    taken_back(world, check, |world| world.delay("canary", 1_500)).await;
}
