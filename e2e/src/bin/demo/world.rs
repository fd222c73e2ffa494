//! The users and their requests: 2,000 with cookie jars, a fifth of them staff, and what they saw.

use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, AtomicU8, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use sluice_e2e::client::{Connection, get};
use tokio::task::JoinHandle;

pub(super) const USERS: usize = 2_000;
pub(super) const STAFF: usize = 400;
const WORKERS: usize = 16;
/// Chosen: every user comes about five times a step, and two cores stay responsive.
const REQUESTS_PER_SECOND: f64 = 1_500.0;

pub(super) const UNSEEN: u8 = 0;
pub(super) const STABLE: u8 = 1;
pub(super) const CANARY: u8 = 2;

/// A user: the jar, and what they saw last.
#[derive(Default)]
pub(super) struct User {
    pub(super) jar: Mutex<String>,
    pub(super) saw: AtomicU8,
    pub(super) visits_this_step: AtomicU64,
    pub(super) saw_an_error: AtomicBool,
}

/// Everything that the load and the story share.
#[derive(Default)]
pub(super) struct World {
    pub(super) users: Vec<User>,
    /// The canary's weight for this audience only grows now; index 0 staff, 1 everyone.
    pub(super) grows: AtomicBool,
    pub(super) left_while_growing: AtomicU64,
    pub(super) failed: AtomicU64,
    pub(super) first_failed: Mutex<Option<Instant>>,
    pub(super) last_failed: Mutex<Option<Instant>>,
    pub(super) sent: AtomicU64,
    pub(super) cookies: AtomicU64,
    pub(super) last_canary: Mutex<Option<Instant>>,
    pub(super) ended: AtomicBool,
}

impl World {
    /// Nobody has seen anything yet.
    pub(super) fn new() -> Arc<Self> {
        Arc::new(Self {
            users: (0..USERS).map(user).collect(),
            ..Self::default()
        })
    }

    /// Lets every user come again and again, until [`World::end`].
    pub(super) fn load(self: &Arc<Self>, address: SocketAddr) -> Vec<JoinHandle<()>> {
        let visits = |worker| tokio::spawn(visits(Arc::clone(self), address, worker));
        (0..WORKERS).map(visits).collect()
    }

    /// Ends the load.
    pub(super) async fn end(&self, load: Vec<JoinHandle<()>>) {
        self.ended.store(true, Ordering::SeqCst);
        for task in load {
            task.await.unwrap();
        }
    }

    /// How many users saw an error.
    pub(super) fn users_with_errors(&self) -> usize {
        let users = self.users.iter();
        users
            .filter(|user| user.saw_an_error.load(Ordering::Relaxed))
            .count()
    }

    /// From the first error to the last, and how long that is ago; `None` without any.
    pub(super) fn errors(&self) -> Option<(Duration, Duration)> {
        let [first, last] = [&self.first_failed, &self.last_failed].map(|at| *at.lock().unwrap());
        let (first, last) = first.zip(last)?;
        Some((last - first, last.elapsed()))
    }
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

/// The part of the users that saw the canary last, in percent.
pub(super) fn share(users: &[User]) -> f64 {
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
