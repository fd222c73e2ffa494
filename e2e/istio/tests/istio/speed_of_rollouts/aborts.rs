//! How soon the canary of a Rollout that is aborted answers nobody: from the command's start to the
//! last answer over six sidecars, beside ten thousand other Rollouts and while more are made.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use futures::StreamExt as _;
use kube::api::{DeleteParams, ListParams};
use serde_json::json;
use sluice_e2e_istio::load::Load;

use super::{PLUGINS, figure, rollout, rollouts};
use crate::brake;
use crate::rollouts::controller::{apply, wait_for};
use crate::speed::{last_canary, wait_for_quiet};
use crate::users::{WEB_A, assert_no_failures};
use crate::world::World;

/// How often each is measured.
const TIMES: usize = 30;

/// How many more are made while somebody aborts, and after how many of them.
const BURST: usize = 1_500;
const MIDST: usize = 300;

/// What one abort took.
struct Took {
    /// The command itself.
    command: f64,
    /// To the last answer of the canary.
    canary: f64,
    /// Until the Rollout said that it was aborted.
    said: f64,
}

/// A run with half of the users, under load.
async fn begin(world: &World, of: &str, number: usize) -> Load {
    let spec = json!({
        "split": "web", "version": format!("{of}-{number}"), "steps": [{"weight": 50, "hold": "1h"}],
    });
    apply(world, "web", &spec).await;
    wait_for(world, "web", "half of the users", |status| {
        status["run"]["version"] == spec["version"] && status["run"]["stage"] == "Holding"
    })
    .await;
    world.wait_for_convergence("a").await;
    let load = Load::start(&world.caller_addresses(), WEB_A, 1_000, 200);
    tokio::time::sleep(Duration::from_millis(400 + 7 * number as u64)).await;
    load
}

async fn abort(world: &World, load: Load) -> Took {
    let began = Instant::now();
    let command = world.sluice("rollout abort web -n a").await.good().took;
    let said = async {
        wait_for(world, "web", "aborted", |status| {
            status["phase"] == "Aborted"
        })
        .await;
        began.elapsed().as_secs_f64()
    };
    let (said, ()) = tokio::join!(said, wait_for_quiet(&load));
    let seen = load.end().await;
    assert_no_failures(&seen);
    let last = last_canary(&seen, None).expect("a canary answer before the abort");
    Took {
        command: command.as_secs_f64(),
        canary: last.saturating_duration_since(began).as_secs_f64(),
        said,
    }
}

/// Makes Rollouts until there are enough, and counts them.
async fn burst(world: &World, made: &AtomicUsize) {
    let all = (0..BURST).map(|index| {
        let mut rollout = rollout(&format!("more{index}"), index % PLUGINS, 1);
        rollout["metadata"]["labels"] = json!({"more": "1"});
        let kubernetes = world.chain.kubernetes.clone();
        async move { kubernetes.create(&rollout).await.unwrap() }
    });
    futures::stream::iter(all)
        .buffer_unordered(16)
        .for_each(async |_| {
            made.fetch_add(1, Ordering::Relaxed);
        })
        .await;
}

/// An abort in the midst of a burst; the rest of the burst is left out.
async fn abort_beside(world: &World, load: Load) -> (Took, usize) {
    let made = AtomicUsize::new(0);
    let aborted = async {
        while made.load(Ordering::Relaxed) < MIDST {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        abort(world, load).await
    };
    let mut aborted = std::pin::pin!(aborted);
    let took = tokio::select! {
        took = &mut aborted => took,
        () = burst(world, &made) => aborted.await,
    };
    (took, made.load(Ordering::Relaxed))
}

async fn forget_burst(world: &World) {
    let parameters = (
        DeleteParams::default(),
        ListParams::default().labels("more=1"),
    );
    rollouts(world)
        .delete_collection(&parameters.0, &parameters.1)
        .await
        .unwrap();
}

fn print(what: &str, argos: &str, took: &[Took]) {
    let rows: [(&str, &str, fn(&Took) -> f64); 3] = [
        ("to the last canary answer", argos, |took| took.canary),
        ("the command itself", "not measured", |took| took.command),
        ("until its Rollout says so", "not measured", |took| {
            took.said
        }),
    ];
    for (row, argos, of) in rows {
        let mut times: Vec<f64> = took.iter().map(of).collect();
        times.sort_by(f64::total_cmp);
        let (median, worst) = (times[times.len() / 2], times[times.len() - 1]);
        let ours = format!(
            "median {median:.3} s, worst {worst:.3} s of {}",
            times.len()
        );
        figure(&format!("{what}, {row}"), ours, argos);
    }
}

/// Aborts of one Rollout while nothing else happens, and while others are made.
async fn measure_both(world: &World, by: &str) {
    let mut idle = Vec::new();
    for number in 0..TIMES {
        let load = begin(world, &format!("{by}-idle"), number).await;
        idle.push(abort(world, load).await);
    }
    let what = format!("abort by the {by}, all idle");
    print(&what, "worst 0.143 s of 10", &idle);
    let mut busy = Vec::new();
    for number in 0..TIMES {
        let load = begin(world, &format!("{by}-busy"), number).await;
        let (took, made) = abort_beside(world, load).await;
        if number == 0 {
            println!("{made} Rollouts were made until the first such abort was over");
        }
        busy.push(took);
        forget_burst(world).await;
    }
    let what = format!("abort by the {by} while 1,500 more are made");
    print(&what, "69.4 s, with raised limits 18.7 s", &busy);
}

/// By the plugin alone; then by a plugin whose proxies ask for brakes as well.
pub async fn measure(world: &World) {
    measure_both(world, "plugin").await;
    brake::ask_for_brakes(world).await;
    brake::connected(world).await;
    measure_both(world, "brake").await;
}
