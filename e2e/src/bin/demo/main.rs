//! `make demo`: about a minute of real traffic through `sluice dev --demo`, and a table of what it
//! measured.
//!
//! 2,000 users with cookie jars, a fifth of them staff with an email cookie. Exit code 1 if a
//! promise was broken.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a demonstration fails loudly"
)]

use std::io::{IsTerminal as _, Write as _};
use std::net::SocketAddr;
use std::path::Path;
use std::process::{Child, Command, ExitCode, Stdio};
use std::sync::atomic::{AtomicBool, AtomicU8, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use sluice_core::bucket::{BUCKETS, bucket};
use sluice_e2e::client::{Connection, get};
use sluice_e2e::dev::Dev;
use sluice_e2e::mesh::sluice;

const USERS: usize = 2_000;
const STAFF: usize = 400;
const WORKERS: usize = 16;
/// Chosen: every user comes about five times a step, and two cores stay responsive.
const REQUESTS_PER_SECOND: f64 = 1_500.0;
const STEP: Duration = Duration::from_secs(8);
/// Longer than this, and a change counts as not taken.
const PATIENCE: Duration = Duration::from_secs(10);

const UNSEEN: u8 = 0;
const STABLE: u8 = 1;
const CANARY: u8 = 2;

/// A user: the jar, and what they saw last.
#[derive(Default)]
struct User {
    jar: Mutex<String>,
    saw: AtomicU8,
    visits_this_step: AtomicU64,
    saw_an_error: AtomicBool,
}

/// Everything that the load and the story share.
#[derive(Default)]
struct World {
    users: Vec<User>,
    /// The canary's weight for this audience only grows now; index 0 staff, 1 everyone.
    grows: AtomicBool,
    left_while_growing: AtomicU64,
    failed: AtomicU64,
    first_failed: Mutex<Option<Instant>>,
    last_failed: Mutex<Option<Instant>>,
    sent: AtomicU64,
    cookies: AtomicU64,
    last_canary: Mutex<Option<Instant>>,
    ended: AtomicBool,
}

struct Step {
    name: String,
    wanted: f64,
    measured: f64,
    users: usize,
    effect: Duration,
    is_close: bool,
}

#[tokio::main]
async fn main() -> ExitCode {
    let folder = tempfile::Builder::new()
        .prefix("sluice-demo-")
        .tempdir()
        .unwrap();
    let mut dev = Dev::start(folder.path());
    let address = dev.address;
    println!(
        "2,000 users with cookie jars, {STAFF} of them staff, at http://{address} (open it in a browser)"
    );
    println!("plain HTTP, so the demo runs with `secure: false` and the cookie name `sluice`\n");
    let world = Arc::new(World {
        users: (0..USERS).map(user).collect(),
        ..World::default()
    });
    let load: Vec<_> = (0..WORKERS)
        .map(|worker| tokio::spawn(visits(Arc::clone(&world), address, worker)))
        .collect();

    let mut steps = Vec::new();
    world.grows.store(true, Ordering::SeqCst);
    steps.push(step(&world, folder.path(), address, "staff", 0.0, 50.0).await);
    let mut before = 0.0;
    for percent in [1.0, 5.0, 25.0, 50.0, 100.0] {
        steps.push(step(&world, folder.path(), address, "everyone", before, percent).await);
        before = percent;
    }
    world.grows.store(false, Ordering::SeqCst);
    let abort = abort(&world, folder.path()).await;
    world.ended.store(true, Ordering::SeqCst);
    for task in load {
        task.await.unwrap();
    }
    let is_ended = dev.interrupt();
    let trip = trip().await;
    report(&world, &steps, abort, trip, is_ended)
}

fn user(number: usize) -> User {
    let jar = if number < STAFF {
        format!("email=staff{number}@some-company-name.com")
    } else {
        String::new()
    };
    User {
        jar: Mutex::new(jar),
        ..User::default()
    }
}

/// One worker's users, in turn, at its share of the pace, on one connection.
async fn visits(world: Arc<World>, address: SocketAddr, worker: usize) {
    let mut connection = Connection::open(address).await.unwrap();
    let period = Duration::from_secs_f64(WORKERS as f64 / REQUESTS_PER_SECOND);
    // Staggered: workers in step would look at a change only once a period.
    let first = tokio::time::Instant::now()
        + period * u32::try_from(worker).unwrap() / u32::try_from(WORKERS).unwrap();
    let mut pace = tokio::time::interval_at(first, period);
    for user in (worker..USERS).step_by(WORKERS).cycle() {
        pace.tick().await;
        if world.ended.load(Ordering::Relaxed) {
            return;
        }
        if !visit(&world, &world.users[user], &mut connection).await {
            world.failed.fetch_add(1, Ordering::Relaxed);
            connection = Connection::open(address).await.unwrap();
        }
    }
}

/// One request of a user; false when it failed.
async fn visit(world: &World, user: &User, connection: &mut Connection) -> bool {
    let jar = user.jar.lock().unwrap().clone();
    let cookie = format!("cookie: {jar}");
    let lines: Vec<&[u8]> = if jar.is_empty() {
        vec![]
    } else {
        vec![cookie.as_bytes()]
    };
    let grew = world.grows.load(Ordering::SeqCst);
    world.sent.fetch_add(1, Ordering::Relaxed);
    let Some(answer) = connection.send(&get("/", "shop.example.com", &lines)).await else {
        return false;
    };
    if let Some(cookie) = answer.set_cookie() {
        world.cookies.fetch_add(1, Ordering::Relaxed);
        let mut jar = user.jar.lock().unwrap();
        *jar = if jar.is_empty() {
            cookie
        } else {
            format!("{jar}; {cookie}")
        };
    }
    let now = if answer.variant() == "canary" {
        CANARY
    } else {
        STABLE
    };
    if now == CANARY {
        *world.last_canary.lock().unwrap() = Some(Instant::now());
    }
    let before = user.saw.swap(now, Ordering::Relaxed);
    user.visits_this_step.fetch_add(1, Ordering::Relaxed);
    if grew && world.grows.load(Ordering::SeqCst) && before == CANARY && now == STABLE {
        world.left_while_growing.fetch_add(1, Ordering::Relaxed);
    }
    let is_good = answer.status == 200;
    if !is_good {
        user.saw_an_error.store(true, Ordering::Relaxed);
        let now = Some(Instant::now());
        world
            .first_failed
            .lock()
            .unwrap()
            .get_or_insert_with(Instant::now);
        *world.last_failed.lock().unwrap() = now;
    }
    is_good
}

/// Raises one audience's weight, waits until it takes effect, and counts who sees the canary
/// afterwards.
async fn step(
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

fn share(users: &[User]) -> f64 {
    let seen = users
        .iter()
        .filter(|user| user.saw.load(Ordering::Relaxed) != UNSEEN)
        .count();
    let canary = users
        .iter()
        .filter(|user| user.saw.load(Ordering::Relaxed) == CANARY)
        .count();
    if seen == 0 {
        0.0
    } else {
        canary as f64 * 100.0 / seen as f64
    }
}

/// What a canary that fails outright did before the proxy's own guard took it out.
struct Trip {
    /// How many users saw an error.
    users: usize,
    /// How many requests failed.
    failed: u64,
    /// From the first error to the last.
    took: Duration,
    is_over: bool,
}

/// Gives 25 % of the users a canary that answers 500 to everything, and nobody aborts.
async fn trip() -> Trip {
    let folder = tempfile::Builder::new()
        .prefix("sluice-demo-")
        .tempdir()
        .unwrap();
    let mut dev = Dev::start_with(folder.path(), &["--fail", "canary=100"]);
    let world = Arc::new(World {
        users: (0..USERS).map(user).collect(),
        ..World::default()
    });
    let load: Vec<_> = (0..WORKERS)
        .map(|worker| tokio::spawn(visits(Arc::clone(&world), dev.address, worker)))
        .collect();
    tokio::time::sleep(STEP / 2).await;
    let set = run_sluice(
        folder.path(),
        &["set", "web", "canary=25", "--reason", "demo"],
    );
    end_well(set);
    tokio::time::sleep(STEP).await;
    world.ended.store(true, Ordering::SeqCst);
    for task in load {
        task.await.unwrap();
    }
    let (first, last) = (
        *world.first_failed.lock().unwrap(),
        *world.last_failed.lock().unwrap(),
    );
    let is_over = last.is_some_and(|last| last.elapsed() > Duration::from_secs(2));
    let status = Command::new(sluice())
        .args(["status", "--dir"])
        .arg(folder.path())
        .output()
        .unwrap();
    let is_tripped = String::from_utf8_lossy(&status.stdout).contains("took canary out");
    let is_ended = dev.interrupt();
    let trip = Trip {
        users: world
            .users
            .iter()
            .filter(|user| user.saw_an_error.load(Ordering::Relaxed))
            .count(),
        failed: world.failed.load(Ordering::SeqCst),
        took: last
            .zip(first)
            .map_or(Duration::ZERO, |(last, first)| last - first),
        is_over: is_over && is_tripped && is_ended,
    };
    done(&format!(
        "a canary that fails taken out by the guard after {:.3} s; {} of {USERS} users saw an error",
        trip.took.as_secs_f64(),
        trip.users,
    ));
    trip
}

/// Aborts at full load; the time from the command's start to the last answer of the canary.
async fn abort(world: &World, folder: &Path) -> Option<Duration> {
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

fn run_sluice(folder: &Path, arguments: &[&str]) -> Child {
    Command::new(sluice())
        .args(arguments)
        .arg("--dir")
        .arg(folder)
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap()
}

/// Waits for a command's end; what it says is shown where it fails.
fn end_well(command: Child) {
    let output = command.wait_with_output().unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{said}");
}

fn progress(name: &str, share: f64, world: &World) {
    if !std::io::stdout().is_terminal() {
        return;
    }
    let bar = "█".repeat((share / 2.5).round() as usize);
    print!(
        "\r\x1b[K{name:<18} {share:>7.2} % {bar:<40} {} requests",
        world.sent.load(Ordering::Relaxed)
    );
    let _ = std::io::stdout().flush();
}

fn done(line: &str) {
    let start = if std::io::stdout().is_terminal() {
        "\r\x1b[K"
    } else {
        ""
    };
    println!("{start}{line}");
}

fn report(
    world: &World,
    steps: &[Step],
    abort: Option<Duration>,
    trip: Trip,
    is_ended: bool,
) -> ExitCode {
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
    println!("\na canary at 25 % that answers only 500, and nobody aborts:");
    println!(
        "first error to the last                          {:.3} s",
        trip.took.as_secs_f64()
    );
    println!(
        "users that saw an error                          {} of {USERS}",
        trip.users
    );
    println!(
        "requests that failed                             {}",
        trip.failed
    );
    let promises = [
        (
            "a proxy takes a canary that fails out by itself",
            trip.is_over && trip.users > 0,
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
        ("Ctrl-C ends everything", is_ended),
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
