//! An abort while others change Istio's configuration, with istiod's debounce as it is and as an
//! operator may set it: how long the canary still answers, and what it costs istiod.
//!
//! All settings are measured in turn, round after round, so that whatever else the machine does
//! meets each of them. The figures are printed, not judged.

use std::time::{Duration, Instant};

use serde_json::json;
use sluice_e2e_istio::istiod::Settings;
use sluice_e2e_istio::kubernetes::Kubernetes;
use sluice_e2e_istio::load::Load;
use tokio::task::{JoinHandle, JoinSet};
use tokio::time::{MissedTickBehavior, interval};

use super::{last_canary, print_figures, wait_for_quiet};
use crate::users::{WEB_A, assert_no_failures};
use crate::world::World;

/// How often each setting is measured.
const ROUNDS: usize = 4;

/// The namespace in which others work. It has no proxy.
pub const ELSEWHERE: &str = "elsewhere";

/// How many plugins a burst creates, and how many a second, if the API server is that fast.
pub const BURST: u32 = 1_500;
const BURST_A_SECOND: u32 = 430;

/// How many changes a second there are for ever.
const STEADY_A_SECOND: u32 = 100;

/// How many plugins those are changes of.
const STEADY_PLUGINS: u32 = 100;

/// When in the midst of it the abort comes.
pub const MIDST: Duration = Duration::from_millis(1_500);

const SETTINGS: [(&str, Settings); 5] = [
    ("as Istio ships it (AFTER=100ms, MAX=10s)", &[]),
    ("MAX=1s", &[("PILOT_DEBOUNCE_MAX", "1s")]),
    ("MAX=300ms", &[("PILOT_DEBOUNCE_MAX", "300ms")]),
    (
        "AFTER=20ms, MAX=200ms",
        &[
            ("PILOT_DEBOUNCE_AFTER", "20ms"),
            ("PILOT_DEBOUNCE_MAX", "200ms"),
        ],
    ),
    (
        "MAX=300ms, PILOT_PUSH_THROTTLE=1, PILOT_ENABLE_EDS_DEBOUNCE=false",
        &[
            ("PILOT_DEBOUNCE_MAX", "300ms"),
            ("PILOT_PUSH_THROTTLE", "1"),
            ("PILOT_ENABLE_EDS_DEBOUNCE", "false"),
        ],
    ),
];

/// What one setting was measured with.
#[derive(Default)]
struct Measured {
    burst: Vec<f64>,
    burst_cpu: Vec<f64>,
    steady: Vec<f64>,
    steady_cpu: Vec<f64>,
}

fn plugin(number: u32, priority: u64) -> serde_json::Value {
    json!({
        "apiVersion": "extensions.istio.io/v1alpha1", "kind": "WasmPlugin",
        "metadata": {"name": format!("other-{number}"), "namespace": ELSEWHERE},
        "spec": {"selector": {"matchLabels": {"app": "nobody"}}, "url": "oci://127.0.0.1:5000/none:1", "priority": priority},
    })
}

/// Applies so many plugins a second, each as a client of its own; answers how long it took.
async fn change(kubernetes: Kubernetes, count: u32, per_second: u32, of: u32) -> Duration {
    let began = Instant::now();
    let mut ticks = interval(Duration::from_secs(1) / per_second);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Burst);
    let mut sent = JoinSet::new();
    for number in 0..count {
        ticks.tick().await;
        // No more at once than an API server takes without queueing.
        while sent.len() >= 32 {
            sent.join_next().await;
        }
        let kubernetes = kubernetes.clone();
        sent.spawn(async move {
            let plugin = plugin(number % of, u64::from(number));
            kubernetes.try_apply("others", &plugin).await.unwrap();
        });
    }
    while sent.join_next().await.is_some() {}
    began.elapsed()
}

/// Creates plugins, as fast as the API server takes them.
pub async fn change_in_a_burst(kubernetes: Kubernetes) -> Duration {
    change(kubernetes, BURST, BURST_A_SECOND, BURST).await
}

/// Aborts in the midst of what others do; from the abort to the last canary answer, in seconds.
async fn abort_beside(world: &World, others: JoinHandle<Duration>, load: Load) -> (f64, Duration) {
    tokio::time::sleep(MIDST).await;
    let began = Instant::now();
    world.sluice("abort web -n a").await.good();
    wait_for_quiet(&load).await;
    let took = others.await.unwrap();
    let seen = load.end().await;
    assert_no_failures(&seen);
    let last = last_canary(&seen, None).expect("a canary answer before the abort");
    (last.saturating_duration_since(began).as_secs_f64(), took)
}

/// A weight of 50 % in force everywhere, and load.
async fn begin(world: &World) -> Load {
    world.set("web", 50).await;
    world.wait_for_convergence("a").await;
    Load::start(&world.caller_addresses(), WEB_A, 1_000, 200)
}

/// How long istiod is given to finish what it was given, within its measured time.
const AFTERWARDS: Duration = Duration::from_millis(1_500);

async fn measure(world: &World, measured: &mut Measured) {
    let kubernetes = &world.chain.kubernetes;
    let load = begin(world).await;
    let cpu = world.chain.istiod_cpu();
    let others = tokio::spawn(change_in_a_burst(kubernetes.clone()));
    let (seconds, took) = abort_beside(world, others, load).await;
    tokio::time::sleep(AFTERWARDS).await;
    let cpu = world.chain.istiod_cpu() - cpu;
    println!("a burst of {BURST} in {:.1} s", took.as_secs_f64());
    measured.burst.push(seconds);
    measured.burst_cpu.push(cpu.as_secs_f64());
    kubernetes.delete_all("WasmPlugin", ELSEWHERE).await;

    let load = begin(world).await;
    let cpu = world.chain.istiod_cpu();
    let count = 5 * STEADY_A_SECOND;
    let others = change(kubernetes.clone(), count, STEADY_A_SECOND, STEADY_PLUGINS);
    let (seconds, took) = abort_beside(world, tokio::spawn(others), load).await;
    let cpu = world.chain.istiod_cpu() - cpu;
    measured.steady.push(seconds);
    measured
        .steady_cpu
        .push(cpu.as_secs_f64() / took.as_secs_f64());
    kubernetes.delete_all("WasmPlugin", ELSEWHERE).await;
}

pub async fn an_abort_in_a_burst_of_other_changes(world: &mut World) {
    let namespace = format!("{{apiVersion: v1, kind: Namespace, metadata: {{name: {ELSEWHERE}}}}}");
    world.chain.kubernetes.apply(&namespace).await;
    world.fresh_plugin("a", 50).await;
    let mut all: Vec<Measured> = SETTINGS.iter().map(|_| Measured::default()).collect();
    for _ in 0..ROUNDS {
        for ((_, settings), measured) in SETTINGS.iter().zip(&mut all) {
            world.chain.restart_istiod(settings).await;
            measure(world, measured).await;
        }
    }
    world.chain.restart_istiod(&[]).await;
    for ((name, _), measured) in SETTINGS.iter().zip(all) {
        println!("\nistiod {name}");
        print_figures(
            world,
            "abort in a burst to the last canary answer",
            measured.burst,
        );
        print_figures(world, "istiod's CPU for a burst", measured.burst_cpu);
        print_figures(
            world,
            "abort under steady changes to the last canary answer",
            measured.steady,
        );
        print_figures(
            world,
            "istiod's CPU for a second of steady changes",
            measured.steady_cpu,
        );
    }
}
