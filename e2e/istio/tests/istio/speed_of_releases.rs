//! How soon a release of a Deployment is begun, is with everyone, and is promoted, without holds; and
//! what ten rollbacks cost whose pods exit at once. The figures are printed, not judged.

use std::time::{Duration, Instant};

use serde_json::json;
use sluice_e2e_istio::load::Load;

use crate::releases::{push, spec, taken_over, wait_for_rest};
use crate::rollouts::controller::{apply, ask, message, ramp, status, wait_for, wait_for_phase};
use crate::speed::print_figures;
use crate::workloads::{CHECKOUT, wait_for_ready};
use crate::world::World;

/// How often each is measured.
const TIMES: u64 = 10;

/// How often it is looked. Chosen: the figures are tenths of seconds.
const LOOK_EVERY: Duration = Duration::from_millis(20);

/// Since when something is so, in seconds, which is looked for until it is.
async fn until(began: Instant, mut is_so: impl AsyncFnMut() -> bool) -> f64 {
    while !is_so().await {
        tokio::time::sleep(LOOK_EVERY).await;
    }
    began.elapsed().as_secs_f64()
}

pub async fn a_release_and_ten_rollbacks(world: &mut World) {
    let (workloads, _controller, load) = taken_over(world, &ramp(&[20, 50, 100], "0s")).await;
    let mut took = [Vec::new(), Vec::new(), Vec::new()];
    for time in 0..TIMES {
        let version = format!("v{}", time + 2);
        // Whenever between two looks of a controller that is at rest: it looks each five seconds.
        tokio::time::sleep(Duration::from_millis(5_000 + 500 * time)).await;
        let began = Instant::now();
        push(world, &format!("registry.example/shop/ok:{version}")).await;
        let of_run = format!("ok:{version} (");
        let begun = until(began, async || {
            let status = status(world, "checkout").await;
            let run = status["run"]["version"].as_str();
            run.is_some_and(|run| run.starts_with(&of_run))
        });
        took[0].push(begun.await);
        let full = until(began, async || {
            world.weight("a", "/checkout/everyone/canary").await == Some(100.0)
        });
        took[1].push(full.await);
        let said = format!("Deployment checkout-stable serves everyone with {of_run}");
        let promoted = until(began, async || {
            let status = status(world, "checkout").await;
            message(&status).starts_with(&said)
        });
        took[2].push(promoted.await);
        wait_for_rest(world, &version).await;
    }
    let failed = load.end().await;
    let failed = failed.iter().filter(|seen| seen.status != 200).count();
    println!();
    let [begun, full, promoted] = took;
    print_figures(
        world,
        "a release: from another image to the run's begin",
        begun,
    );
    print_figures(world, "to everyone, three steps without holds", full);
    print_figures(
        world,
        "to the copy's version, ready, and no pods of the Deployment",
        promoted,
    );
    println!("failed requests in these releases, 100 a second: {failed}");

    workloads.kubelet.stop_takes(Duration::ZERO);
    let steps = json!([{"weight": 50, "approval": true}, {"weight": 100}]);
    apply(world, "checkout", &spec(&steps)).await;
    let load = Load::start(&world.caller_addresses(), CHECKOUT, 100, 100);
    for time in 1..=TIMES {
        push(world, &format!("registry.example/shop/ok:bad{time}")).await;
        wait_for(world, "checkout", "its approval", |status| {
            status["run"]["stage"] == "Approval"
        })
        .await;
        ask(world, "checkout", time, "abort").await;
        wait_for_phase(world, "checkout", "Aborted").await;
        wait_for_ready(world, "checkout", 0).await;
    }
    let seen = load.end().await;
    let failed = seen.iter().filter(|seen| seen.status != 200).count();
    println!(
        "failed requests in {TIMES} rollbacks whose pods exit at once, 100 a second: {failed} of {}",
        seen.len()
    );
}
