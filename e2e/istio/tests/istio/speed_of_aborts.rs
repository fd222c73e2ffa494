//! How soon an abort by the brake is in force, whatever else goes on: from the command's start to the
//! last answer of the canary over six proxies. The figures are printed, not judged.

use std::time::Instant;

use sluice_e2e_istio::load::Load;

use crate::brake::{begin, wait_for_brakes};
use crate::speed::burst::{BURST, ELSEWHERE, MIDST, change_in_a_burst};
use crate::speed::{last_canary, pause, print_figures, wait_for_quiet};
use crate::users::{WEB_A, assert_no_failures};
use crate::world::World;

/// How often each is measured.
const TIMES: usize = 30;

/// How often with an istiod that hangs: each time the API server waits for it.
const TIMES_HANGING: usize = 5;

/// What one abort took, in seconds.
#[derive(Default)]
struct Took {
    canary: Vec<f64>,
    command: Vec<f64>,
}

impl Took {
    /// Aborts under load and notes how long it took.
    async fn abort(&mut self, world: &World, load: Load) {
        let began = Instant::now();
        let abort = world.sluice("abort web -n a");
        let (abort, ()) = tokio::join!(abort, wait_for_quiet(&load));
        let said = abort.ended_with(0);
        assert!(said.err.contains("braked: in force in 6 of 6"), "{said:?}");
        let seen = load.end().await;
        assert_no_failures(&seen);
        let last = last_canary(&seen, None).expect("a canary answer before the abort");
        self.canary
            .push(last.saturating_duration_since(began).as_secs_f64());
        self.command.push(said.took.as_secs_f64());
    }

    fn print(self, world: &World, what: &str) {
        print_figures(
            world,
            &format!("abort by the brake to the last canary answer, {what}"),
            self.canary,
        );
        print_figures(world, "the same, the command itself", self.command);
    }
}

async fn load(world: &World, time: usize) -> Load {
    let load = Load::start(&world.caller_addresses(), WEB_A, 1_000, 200);
    pause(400, time).await;
    load
}

/// Half of the users, in force everywhere.
async fn half(world: &World) {
    world.set("web", 50).await;
    world.wait_for_convergence("a").await;
    wait_for_brakes(world, 0).await;
}

async fn with_istiod(world: &World) -> Took {
    let mut took = Took::default();
    for time in 0..TIMES {
        half(world).await;
        took.abort(world, load(world, time).await).await;
    }
    took
}

async fn in_a_burst(world: &World) -> Took {
    let mut took = Took::default();
    for time in 0..TIMES {
        half(world).await;
        let load = load(world, time).await;
        let others = tokio::spawn(change_in_a_burst(world.chain.kubernetes.clone()));
        tokio::time::sleep(MIDST).await;
        took.abort(world, load).await;
        others.await.unwrap();
        world
            .chain
            .kubernetes
            .delete_all("WasmPlugin", ELSEWHERE)
            .await;
    }
    took
}

/// The zeros are not written meanwhile: whoever releases the brake has the canary back.
async fn without_istiod(world: &World, times: usize) -> Took {
    let mut took = Took::default();
    for time in 0..times {
        took.abort(world, load(world, time).await).await;
        world.sluice("brake release web -n a").await.good();
        wait_for_brakes(world, 0).await;
    }
    took
}

pub async fn an_abort_by_the_brake(world: &mut World) {
    let namespace = format!("{{apiVersion: v1, kind: Namespace, metadata: {{name: {ELSEWHERE}}}}}");
    world.chain.kubernetes.apply(&namespace).await;
    let controller = begin(world, 50).await;
    println!();
    with_istiod(world).await.print(world, "all idle");
    world.chain.stop_prometheus();
    with_istiod(world).await.print(world, "Prometheus off");
    world.chain.restart_prometheus().await;
    let what = format!("in a burst of {BURST} creations");
    in_a_burst(world).await.print(world, &what);
    half(world).await;
    world.chain.stop_istiod();
    let took = without_istiod(world, TIMES).await;
    took.print(world, "istiod killed");
    world.chain.restart_istiod(&[]).await;
    half(world).await;
    world.chain.freeze_istiod();
    let took = without_istiod(world, TIMES_HANGING).await;
    took.print(world, "istiod hangs");
    drop(controller);
    world.chain.restart_istiod(&[]).await;
}
