//! One object of Envoy's for one configuration, on the main thread: taking it, its ticks, its questions.
//!
//! Envoy makes one for each listener, and lets streams under way end on the old one. What they share is
//! [`State`]'s; the first of them that lives ticks for all.

use std::sync::Arc;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::thread::ThreadId;
use std::time::Duration;

use parking_lot::{Condvar, Mutex};
use sluice_core::brake::lease;
use sluice_core::brake::poll::{FIRST_TICK, Poll, Reply};
use sluice_core::host::Host;
use sluice_core::lifecycle::{Ticking, period};
use sluice_core::plan::Plan;

use crate::abi::{Answer, Config, concurrency};
use crate::clock;
use crate::envoy::{Envoy, Process, Shown, now};
use crate::instance::{self, instance};
use crate::left::{self, Leaving};
use crate::node::Name;
use crate::process::{self, Plugin};
use crate::series::Metrics;
use crate::state::State;

/// In how many configurations of one state all gauges are shown from the beginning: with thousands of
/// gauges and fifty listeners, all of them would keep the main thread for long.
const KEEPERS: usize = 2;

/// How long the end of a configuration waits for the answer to its question: longer than Envoy does.
const PATIENCE: Duration = Duration::from_secs(3);

/// Envoy's main thread.
static MAIN: OnceLock<ThreadId> = OnceLock::new();

/// One configuration.
pub(crate) struct Configuration {
    number: u64,
    /// Its metrics.
    pub(crate) metrics: Metrics,
    /// What it shares; `None`: it passes everything, since it could not even be taken.
    shared: Option<Shared>,
    /// Questions are short: where a configuration ends on a worker, Envoy would take one under way back
    /// there, although it is the main thread's.
    poll: Mutex<Poll>,
    is_answered: Condvar,
    /// How many counters are used in it.
    counters: AtomicUsize,
    /// Whether all gauges are shown in it.
    is_keeper: AtomicBool,
}

struct Shared {
    plugin: Arc<Plugin>,
    state: Arc<State>,
}

impl Configuration {
    /// Takes a configuration as it was received for the filter of this name.
    pub(crate) fn new(config: &Config<'_>, name: &[u8], received: &[u8]) -> Self {
        let Name { plugin: name, node } = Name::read(name);
        let plugin = process::plugin(&name);
        let mut own = Self::passing();
        own.metrics = Metrics::define(config);
        instance::claim(&name);
        own.use_counters(config, &plugin, &name);
        let (number, mut scheduler) = (own.number, Some(config.scheduler()));
        let mut join = |state: &Arc<State>, delay| {
            if let Some(scheduler) = scheduler.take() {
                clock::add(state, number, scheduler, delay);
            }
        };
        let same = plugin.share(received, &node, |state| join(state, Duration::ZERO));
        let is_keeper = same
            .as_ref()
            .is_none_or(|state| Arc::strong_count(state) <= KEEPERS);
        if is_keeper {
            plugin.series.lock().show_gauges(config, &own.metrics);
        }
        own.is_keeper = is_keeper.into();
        let state = same.unwrap_or_else(|| {
            let host = own.host(config, &plugin, &name);
            // What was seen so far: configurations may come more often than ticks.
            left::take_over(&host, &name);
            flush(&host, &plugin, None);
            let (previous, workers) = (plugin.newest(), concurrency());
            let previous = previous.as_deref();
            let state = State::new(&host, &name, received, &node, previous, workers);
            let state = Arc::new(state);
            let delay = state.with_plan(|plan| {
                let plan = plan.as_deref();
                match plan.and_then(Plan::brake) {
                    Some(_) => FIRST_TICK,
                    None => period(plan),
                }
            });
            join(&state, delay);
            plugin.add(&state);
            state
        });
        own.shared = Some(Shared { plugin, state });
        own
    }

    /// One that serves what the newest of this name does, or lets everything pass: where a
    /// configuration could not even be taken.
    pub(crate) fn last_good(config: &Config<'_>, name: &[u8]) -> Self {
        let plugin = process::plugin(&Name::read(name).plugin);
        let mut own = Self::passing();
        own.shared = plugin.newest().map(|state| {
            clock::add(&state, own.number, config.scheduler(), Duration::ZERO);
            Shared { plugin, state }
        });
        own
    }

    /// One that lets everything pass.
    pub(crate) fn passing() -> Self {
        static NUMBER: AtomicU64 = AtomicU64::new(0);
        let _ = MAIN.set(std::thread::current().id());
        Self {
            number: NUMBER.fetch_add(1, Ordering::Relaxed),
            metrics: Metrics::NONE,
            shared: None,
            poll: Mutex::new(Poll::short()),
            is_answered: Condvar::new(),
            counters: AtomicUsize::new(0),
            is_keeper: true.into(),
        }
    }

    /// What requests are decided by.
    #[inline]
    pub(crate) fn state(&self) -> Option<&State> {
        self.shared.as_ref().map(|shared| &*shared.state)
    }

    /// The main thread, when the clock asked for it. The newest state's configuration ticks for former
    /// ones too: what it uses of metrics outlives theirs.
    pub(crate) fn tick(&self, config: &Config<'_>) {
        let Some(Shared { plugin, state }) = &self.shared else {
            return;
        };
        self.use_counters(config, plugin, &state.plugin);
        if !clock::is_first(state, self.number) {
            return;
        }
        if !plugin.is_newest(state) {
            return clock::tick_after(state, clock::LONGEST_SLEEP);
        }
        if !self.is_keeper.swap(true, Ordering::Relaxed) {
            plugin.series.lock().show_gauges(config, &self.metrics);
        }
        let host = self.host(config, plugin, &state.plugin);
        if instance::is_superseded(&state.plugin) {
            let host = Process(Leaving {
                plugin: &state.plugin,
            });
            flush(&host, plugin, Some(state));
            lease::release(&host, &state.plugin, instance());
            return clock::tick_after(state, state.with_plan(|plan| period(plan.as_deref())));
        }
        left::take_over(&host, &state.plugin);
        let has_tripped = flush(&host, plugin, Some(state));
        if self.use_counters(config, plugin, &state.plugin) {
            clock::tick_others(state, self.number);
        }
        let delay = state.with_plan(|plan| {
            let (plan, now) = (plan.as_deref(), now());
            let mut poll = self.poll.lock();
            if has_tripped {
                poll.tell_of_trip(&host, &state.plugin, plan, now);
            }
            let of = (&*state.plugin, instance());
            poll.tick(&host, of, plan, now, period(plan))
        });
        clock::tick_after(state, delay);
    }

    /// The answer to one of its questions, on the main thread. Asks nothing: Envoy may be about to end,
    /// and the main thread comes again if it is not.
    pub(crate) fn answered(&self, config: &Config<'_>, token: u64, answer: Option<Answer>) {
        let Some(Shared { plugin, state }) = &self.shared else {
            return;
        };
        let host = self.host(config, plugin, &state.plugin);
        let newest = plugin.newest();
        let newest = newest.as_ref().unwrap_or(state);
        let reply = answer.as_ref().map(|answer| Reply {
            status: &answer.status,
            body: &answer.body,
            body_size: answer.body_size,
        });
        newest.with_plan(|plan| {
            let of = (&*newest.plugin, instance());
            let mut poll = self.poll.lock();
            poll.answered(&host, of, plan, token, reply, now());
        });
        self.is_answered.notify_all();
        clock::tick_after(newest, FIRST_TICK);
    }

    /// This Envoy, in a hook of this configuration.
    fn host<'a>(&'a self, config: &'a Config<'a>, plugin: &'a Plugin, name: &'a str) -> Envoy<'a> {
        Process(Shown {
            config,
            metrics: &self.metrics,
            plugin,
            name,
        })
    }

    /// Uses the counters that have come since it last did. Whether any had.
    fn use_counters(&self, config: &Config<'_>, plugin: &Plugin, name: &str) -> bool {
        let mut series = plugin.series.lock();
        series.learn(name);
        let former = self.counters.load(Ordering::Relaxed);
        let used = series.use_counters(config, &self.metrics, former);
        self.counters.store(used, Ordering::Relaxed);
        used > former
    }

    /// Waits for the answer to its question, where this is not the main thread.
    fn wait_for_answer(&self) {
        if MAIN.get() == Some(&std::thread::current().id()) {
            return;
        }
        let mut poll = self.poll.lock();
        while poll.is_under_way() {
            if self.is_answered.wait_for(&mut poll, PATIENCE).timed_out() {
                return;
            }
        }
    }
}

/// Hands over what was seen under all states of a plugin, of which `newest` ticks as such. Whether a
/// guard took a challenger out.
fn flush<H: Host>(host: &H, plugin: &Plugin, newest: Option<&Arc<State>>) -> bool {
    let now = now();
    let mut has_tripped = false;
    for ended in plugin.ended() {
        has_tripped |= ended.flush(host);
    }
    for former in plugin.living_but(newest) {
        has_tripped |= former.tick(host, Ticking::Former, now);
    }
    if let Some(newest) = newest {
        has_tripped |= newest.tick(host, Ticking::Newest, now);
    }
    has_tripped
}

/// On any thread. What was counted last is flushed at the next tick of whoever is the newest then; where
/// nobody is left in this library, it is left to one of another version, which may ask for brakes at once.
impl Drop for Configuration {
    fn drop(&mut self) {
        let Some(Shared { plugin, state }) = self.shared.take() else {
            return;
        };
        self.wait_for_answer();
        let name = state.plugin.clone();
        let ending = Arc::clone(&state);
        if plugin.end(state, || clock::remove(&ending, self.number)) {
            let host = Process(Leaving { plugin: &name });
            for ended in plugin.ended() {
                ended.flush(&host);
            }
            plugin.series.lock().forget_gauges();
            lease::release(&host, &name, instance());
            instance::release(&name);
        } else if let Some(newest) = plugin.newest() {
            clock::tick_after(&newest, FIRST_TICK);
        }
    }
}
