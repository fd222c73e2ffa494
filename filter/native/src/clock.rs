//! When the main thread looks at each state: one thread sleeps, and asks Envoy for the main thread.
//!
//! Envoy gives dynamic modules no timer. The thread touches nothing of Envoy but the scheduler.

use std::sync::{Arc, LazyLock, Weak};
use std::time::{Duration, Instant};

use parking_lot::{Condvar, Mutex};

use crate::abi::{Scheduler, log};
use crate::state::State;
use sluice_core::host::Level;

/// How long it sleeps where there is nothing to do.
pub(crate) const LONGEST_SLEEP: Duration = Duration::from_secs(3_600);

/// How long the main thread may take to come: then it is asked again.
const PATIENCE: Duration = Duration::from_secs(10);

/// One state.
struct Ticked {
    state: Weak<State>,
    /// Of its configurations, by their numbers; the first one's is asked.
    schedulers: Vec<(u64, Arc<Scheduler>)>,
    due: Instant,
}

#[derive(Default)]
struct Clock {
    ticked: Mutex<Vec<Ticked>>,
    is_changed: Condvar,
}

static CLOCK: LazyLock<Clock> = LazyLock::new(|| {
    let started = std::thread::Builder::new()
        .name("sluice".to_owned())
        .spawn(|| run(&CLOCK));
    if started.is_err() {
        let line = "sluice: no thread can be started: counters and gauges stand still";
        log(Level::Error, line);
    }
    Clock::default()
});

fn run(clock: &Clock) {
    let mut ticked = clock.ticked.lock();
    loop {
        let now = Instant::now();
        ticked.retain(|one| !one.schedulers.is_empty());
        for one in &mut *ticked {
            if one.due <= now {
                one.due = now + PATIENCE;
                if let Some((_, scheduler)) = one.schedulers.first() {
                    scheduler.commit();
                }
            }
        }
        let next = ticked.iter().map(|one| one.due).min();
        let next = next.unwrap_or(now + LONGEST_SLEEP);
        clock.is_changed.wait_until(&mut ticked, next);
    }
}

/// Adds a configuration of a state, by its number. Where it is the first, the main thread looks after so
/// long.
pub(crate) fn add(state: &Arc<State>, number: u64, scheduler: Scheduler, delay: Duration) {
    let mut ticked = CLOCK.ticked.lock();
    let scheduler = (number, Arc::new(scheduler));
    match ticked.iter_mut().find(|one| is_of(one, state)) {
        Some(one) => one.schedulers.push(scheduler),
        None => ticked.push(Ticked {
            state: Arc::downgrade(state),
            schedulers: vec![scheduler],
            due: Instant::now() + delay,
        }),
    }
    CLOCK.is_changed.notify_one();
}

/// Has the main thread look at the other configurations of a state at once.
pub(crate) fn tick_others(state: &Arc<State>, number: u64) {
    let ticked = CLOCK.ticked.lock();
    let one = ticked.iter().find(|one| is_of(one, state));
    let schedulers = one.map_or(&[][..], |one| &one.schedulers);
    for (_, scheduler) in schedulers.iter().filter(|(other, _)| *other != number) {
        scheduler.commit();
    }
}

/// Has the main thread look at a state after so long.
pub(crate) fn tick_after(state: &Arc<State>, delay: Duration) {
    let mut ticked = CLOCK.ticked.lock();
    if let Some(one) = ticked.iter_mut().find(|one| is_of(one, state)) {
        one.due = Instant::now() + delay;
        CLOCK.is_changed.notify_one();
    }
}

/// Whether the state is asked for by this configuration.
pub(crate) fn is_first(state: &Arc<State>, number: u64) -> bool {
    let ticked = CLOCK.ticked.lock();
    let one = ticked.iter().find(|one| is_of(one, state));
    one.and_then(|one| one.schedulers.first())
        .is_some_and(|(first, _)| *first == number)
}

/// A configuration has ended; another one of the state is asked at once. Whether none is left.
pub(crate) fn remove(state: &Arc<State>, number: u64) -> bool {
    let mut ticked = CLOCK.ticked.lock();
    let Some(one) = ticked.iter_mut().find(|one| is_of(one, state)) else {
        return true;
    };
    one.schedulers.retain(|(other, _)| *other != number);
    one.due = Instant::now();
    let is_last = one.schedulers.is_empty();
    CLOCK.is_changed.notify_one();
    is_last
}

fn is_of(one: &Ticked, state: &Arc<State>) -> bool {
    std::ptr::eq(one.state.as_ptr(), Arc::as_ptr(state))
}
