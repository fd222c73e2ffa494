//! The ramp by hand: each step, when it takes effect and who sees the canary then; and the abort.

use std::net::SocketAddr;
use std::path::Path;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use sluice_core::bucket::{BUCKETS, bucket};
use sluice_e2e::client::{Connection, get};

use crate::shown::{done, end_well, progress, run_sluice};
use crate::world::{STAFF, User, World, share};

const STEP: Duration = Duration::from_secs(8);
/// Longer than this, and a change counts as not taken.
pub(super) const PATIENCE: Duration = Duration::from_secs(10);

/// One step, and what became of it.
pub(super) struct Step {
    pub(super) name: String,
    pub(super) wanted: f64,
    pub(super) measured: f64,
    pub(super) users: usize,
    pub(super) effect: Duration,
    pub(super) is_close: bool,
}

/// Raises one audience's weight, waits until it takes effect, and counts who sees the canary
/// afterwards.
pub(super) async fn step(
    world: &World,
    folder: &Path,
    address: SocketAddr,
    audience: &str,
    from: f64,
    to: f64,
) -> Step {
    let name = format!("{audience} at {to} %");
    // Somebody who is on the canary at the new weight and was not at the old one: the witness of
    // the change.
    let mut witness = Connection::open(address).await.unwrap();
    let line = format!("cookie: {}", witness_cookie(audience, from, to));
    let began = Instant::now();
    let set = run_sluice(
        folder,
        &[
            "set",
            "web",
            &format!("canary={to}"),
            "--audience",
            audience,
            "--reason",
            "demo",
        ],
    );
    let effect = loop {
        let answer = witness
            .send(&get("/", "shop.example.com", &[line.as_bytes()]))
            .await
            .expect("an answer");
        if answer.variant() == "canary" || began.elapsed() > PATIENCE {
            break began.elapsed();
        }
        tokio::time::sleep(Duration::from_millis(1)).await;
    };
    end_well(set);
    for user in &world.users {
        user.visits_this_step.store(0, Ordering::Relaxed);
    }
    let members = if audience == "staff" {
        &world.users[..STAFF]
    } else {
        &world.users[STAFF..]
    };
    let is_counted = |user: &&User| user.visits_this_step.load(Ordering::Relaxed) > 0;
    while began.elapsed() < STEP || members.iter().filter(is_counted).count() < members.len() {
        progress(&name, share(members), world);
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
    let measured = share(members);
    let sigma = (to / 100.0 * (1.0 - to / 100.0) / members.len() as f64).sqrt() * 100.0;
    let step = Step {
        name,
        wanted: to,
        measured,
        users: members.len(),
        effect,
        is_close: (measured - to).abs() <= 4.0 * sigma + 1e-9,
    };
    done(&format!(
        "{:<18} {:>7.2} % of {} users see the canary, effect after {:.3} s",
        step.name,
        step.measured,
        step.users,
        effect.as_secs_f64()
    ));
    step
}

/// A cookie whose user changes sides between two weights; salts are the split's name.
fn witness_cookie(audience: &str, from: f64, to: f64) -> String {
    let (from, to) = (
        (from / 100.0 * f64::from(BUCKETS)) as u32,
        (to / 100.0 * f64::from(BUCKETS)) as u32,
    );
    let (cookie, end) = if audience == "staff" {
        ("email", "@some-company-name.com")
    } else {
        ("sluice", "")
    };
    let ids = (0..).map(|number| format!("witness{number}{end}"));
    let id = ids
        .into_iter()
        .find(|id| (from..to).contains(&bucket("web", None, id.as_bytes())))
        .unwrap();
    format!("{cookie}={id}")
}

/// Aborts at full load; the time from the command's start to the last answer of the canary.
pub(super) async fn abort(world: &World, folder: &Path) -> Option<Duration> {
    let began = Instant::now();
    let command = run_sluice(folder, &["abort", "web", "--reason", "demo"]);
    tokio::time::sleep(Duration::from_secs(4)).await;
    end_well(command);
    let last = world.last_canary.lock().unwrap().unwrap();
    let took = last.saturating_duration_since(began);
    let is_over = share(&world.users) == 0.0 && last.elapsed() > Duration::from_secs(2);
    done(&format!(
        "abort              last canary answer after {:.3} s",
        took.as_secs_f64()
    ));
    is_over.then_some(took)
}
