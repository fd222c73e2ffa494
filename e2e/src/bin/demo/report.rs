//! What was measured, and whether the promises were kept.

use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use crate::ramp::{PATIENCE, Step};
use crate::rollouts::Rollout;
use crate::world::{USERS, World};

/// What became of the ramp by hand.
pub(super) struct Ramp {
    /// The users.
    pub(super) world: Arc<World>,
    /// Each step.
    pub(super) steps: Vec<Step>,
    /// From the abort to the last answer of the canary.
    pub(super) abort: Option<Duration>,
    /// Whether `sluice dev` ended well.
    pub(super) is_ended: bool,
}

/// Prints it all; exit code 1 if a promise was broken.
pub(super) fn report(ramp: &Ramp, rollouts: &[Rollout]) -> ExitCode {
    let Ramp {
        world,
        steps,
        abort,
        is_ended,
    } = ramp;
    println!(
        "\n{:<18} {:>8} {:>10} {:>8} {:>12}",
        "STEP", "WEIGHT", "MEASURED", "USERS", "EFFECT AFTER"
    );
    for step in steps {
        let effect = format!("{:.3} s", step.effect.as_secs_f64());
        println!(
            "{:<18} {:>6} % {:>8.2} % {:>8} {:>12}",
            step.name, step.wanted, step.measured, step.users, effect
        );
    }
    let (left, failed) = (
        world.left_while_growing.load(Ordering::SeqCst),
        world.failed.load(Ordering::SeqCst),
    );
    let abort_text = abort.map_or("never ended".to_owned(), |took| {
        format!("{:.3} s", took.as_secs_f64())
    });
    println!("\nabort to the last canary answer                  {abort_text}");
    println!("users that left the canary while its weight grew {left}");
    println!(
        "failed requests                                  {failed} of {}",
        world.sent.load(Ordering::SeqCst)
    );
    println!(
        "cookies issued                                   {}",
        world.cookies.load(Ordering::SeqCst)
    );
    println!(
        "\n{:<22} {:>6} {:>12} {:>14}  END",
        "ROLLOUT OF", "TOOK", "USERS FAILED", "FIRST TO LAST"
    );
    for rollout in rollouts {
        let took = format!("{:.1} s", rollout.took.as_secs_f64());
        let errors = format!("{:.1} s", rollout.errors.as_secs_f64());
        let users = format!("{} of {USERS}", rollout.users);
        println!(
            "{:<22} {took:>6} {users:>12} {errors:>14}  {}",
            rollout.name, rollout.end
        );
    }
    let promises = [
        (
            "a good version is rolled out, bad ones are taken back",
            rollouts.iter().all(|rollout| rollout.is_as_promised),
        ),
        ("nobody leaves the canary while its weight grows", left == 0),
        ("no request fails", failed == 0),
        (
            "every share is within 4 sigma of its weight",
            steps.iter().all(|step| step.is_close),
        ),
        (
            "every change takes effect",
            steps.iter().all(|step| step.effect < PATIENCE),
        ),
        ("an abort empties the canary", abort.is_some()),
        ("Ctrl-C ends everything", *is_ended),
    ];
    let broken: Vec<&str> = promises
        .iter()
        .filter(|(_, is_kept)| !is_kept)
        .map(|(promise, _)| *promise)
        .collect();
    for promise in &broken {
        println!("BROKEN: {promise}");
    }
    if broken.is_empty() {
        println!("\nevery promise was kept");
        ExitCode::SUCCESS
    } else {
        ExitCode::from(1)
    }
}
