//! How soon a bad answer of the canary ends the canary, once Prometheus has it. The figures are
//! printed, not judged.

use std::time::{Duration, Instant};

use serde_json::json;
use sluice::cluster::prometheus::Prometheus;
use sluice_e2e_istio::load::Load;
use sluice_e2e_istio::prometheus;

use crate::rollouts::controller::{apply, configure, start_seeing, wait_for, wait_for_phase};
use crate::speed::{last_canary, pause, print_figures};
use crate::users::WEB_A;
use crate::world::World;

/// The intervals of the analysis, in seconds, and how often each is measured.
const INTERVALS: [(u64, usize); 2] = [(1, 20), (5, 10)];

/// What the canary failed, all proxies together, as Prometheus has it now.
const FAILED: &str =
    "sum(sluice_responses_total{sluice_variant=\"canary\",sluice_class=\"5xx\"}) or vector(0)";

/// How often Prometheus is asked for it.
const LOOK_EVERY: Duration = Duration::from_millis(10);

/// What is longer is no rollback.
const BOUND: Duration = Duration::from_secs(60);

async fn failed(prometheus: &Prometheus) -> f64 {
    let series = prometheus.query(FAILED).await.unwrap();
    series
        .first()
        .and_then(|one| one.last())
        .map_or(0.0, |(_, value)| value)
}

/// When Prometheus has more failures than before.
async fn first_visible(prometheus: &Prometheus, before: f64) -> Instant {
    loop {
        if failed(prometheus).await > before {
            return Instant::now();
        }
        tokio::time::sleep(LOOK_EVERY).await;
    }
}

/// A run from its first step to its rollback: from the first bad answer that Prometheus has, to the
/// canary's last answer of all proxies and to the end that the status says.
async fn rollback(world: &World, interval: u64, time: usize) -> [Duration; 2] {
    let version = format!("{interval}-{time}");
    let check = json!({"name": "errors", "metric": "errorRate", "fail": "> 0%"});
    let spec = json!({
        "split": "web", "version": version, "steps": [{"weight": 50, "hold": "1h"}],
        "analysis": {
            "interval": format!("{interval}s"), "window": "10s", "minRequests": 1, "checks": [check],
        },
    });
    apply(world, "web", &spec).await;
    let is_watched = |status: &serde_json::Value| {
        status["run"]["version"] == version && status["run"]["round"].is_string()
    };
    wait_for(world, "web", "a round", is_watched).await;
    let load = Load::start(&world.caller_addresses(), WEB_A, 1_000, 200);
    // In every phase of scrapes and rounds.
    pause(2_000, time * 37).await;
    let prometheus = Prometheus::new(prometheus::URL).unwrap();
    let before = failed(&prometheus).await;
    world.fail("canary", 500);
    let seen = tokio::time::timeout(BOUND, first_visible(&prometheus, before)).await;
    let seen = seen.expect("a bad answer in Prometheus");
    wait_for_phase(world, "web", "RolledBack").await;
    let ended = Instant::now();
    world.wait_for_convergence("a").await;
    let last = last_canary(&load.end().await, None).expect("an answer of the canary");
    world.fail("canary", 0);
    [last, ended].map(|at| at.saturating_duration_since(seen))
}

pub async fn a_bad_answer_that_prometheus_has_ends_the_canary(world: &mut World) {
    world.new_plugin("a").await;
    configure(world, &json!({"responseMetrics": true})).await;
    let _controller = start_seeing(world);
    println!();
    for (interval, times) in INTERVALS {
        let (mut last, mut told) = (Vec::new(), Vec::new());
        for time in 0..times {
            let [answer, ended] = rollback(world, interval, time).await;
            last.push(answer.as_secs_f64());
            told.push(ended.as_secs_f64());
        }
        let what = format!(
            "interval {interval} s: first bad answer in Prometheus to the canary's last answer of 6 proxies, 200 requests/s"
        );
        print_figures(world, &what, last);
        print_figures(world, "the same to phase RolledBack", told);
    }
}
