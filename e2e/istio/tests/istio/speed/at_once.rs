//! A split's resources applied at once, as `kubectl apply -f` does, and by `sluice apply`: how many
//! requests fail. Which of them do is luck; the figures are printed, not judged.

use sluice_e2e_istio::load::{Load, Seen};
use sluice_e2e_istio::prometheus;

use crate::apply::apply_command;
use crate::late::wait_for_convergence_with_refetch;
use crate::late::{CONFIG, LATE, forget_split, start_late_service, wait_for_canary_everywhere};
use crate::world::World;

/// How often each way is taken, in turn.
const TIMES: usize = 12;

/// How many requests a second.
const PER_SECOND: u32 = 600;

/// What became of requests.
#[derive(Default)]
struct Tally {
    requests: usize,
    failed: usize,
    runs_with_failures: usize,
}

impl Tally {
    fn add(&mut self, seen: &[Seen]) {
        let failed = seen.iter().filter(|seen| seen.status != 200).count();
        self.requests += seen.len();
        self.failed += failed;
        self.runs_with_failures += usize::from(failed > 0);
    }

    fn print(&self, what: &str) {
        println!(
            "figure: {what}: {} of {} requests failed, in {} of {TIMES} runs",
            self.failed, self.requests, self.runs_with_failures
        );
    }
}

async fn under_load(world: &World, apply: impl AsyncFnOnce()) -> Vec<Seen> {
    let load = Load::of_a_client_that_retries(&world.caller_addresses(), LATE, 100, PER_SECOND);
    apply().await;
    world.sluice("set late canary=100 -n a").await.good();
    wait_for_convergence_with_refetch(world).await;
    wait_for_canary_everywhere(world, &load).await;
    let seen = load.end().await;
    forget_split(world).await;
    seen
}

pub async fn resources_applied_at_once_or_by_sluice(world: &mut World) {
    start_late_service(world).await;
    let rendered = world.render("late", CONFIG, "--service late.a --selector app=client");
    let path = world.chain.folder().join("at-once.yaml");
    std::fs::write(&path, rendered).unwrap();
    let kubectl = format!("apply --server-side -f {}", path.display());
    let sluice = apply_command(world, &format!("--prometheus {}", prometheus::URL));
    let (mut at_once, mut in_order) = (Tally::default(), Tally::default());
    for _ in 0..TIMES {
        let seen = under_load(world, async || {
            world.kubectl(&kubectl).await.good();
        })
        .await;
        at_once.add(&seen);
        let seen = under_load(world, async || {
            world.sluice(&sluice).await.good();
        })
        .await;
        in_order.add(&seen);
    }
    println!();
    at_once.print("kubectl apply of everything at once");
    in_order.print("sluice apply");
}
