//! One object of Envoy's for one configuration, on the main thread: taking it, its ticks, its questions.
//!
//! Envoy makes one for each listener, and lets streams under way end on the old one. What they share is
//! [`State`]'s; the first of them that lives ticks for all.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use parking_lot::Mutex;
use sluice_core::brake::lease;
use sluice_core::brake::poll::{FIRST_TICK, Poll, Reply};
use sluice_core::lifecycle::{Ticking, period};
use sluice_core::plan::Plan;

use crate::abi::{Answer, Config, concurrency};
use crate::brake::instance;
use crate::clock;
use crate::envoy::{Envoy, now};
use crate::left::{self, Leaving};
use crate::node::Name;
use crate::process::{self, Plugin};
use crate::series::Metrics;
use crate::state::State;

/// In how many configurations of one state all series are used from the beginning: with a thousand
/// series and fifty listeners, all of them would keep the main thread for long. One is not enough, since
/// it may be the first to go.
const KEEPERS: usize = 2;

/// One configuration.
pub(crate) struct Configuration {
    number: u64,
    /// Its metrics.
    pub(crate) metrics: Metrics,
    /// What it shares; `None`: it passes everything, since it could not even be taken.
    shared: Option<Shared>,
    poll: Mutex<Poll>,
    /// Whether all series are used in it.
    is_keeper: AtomicBool,
}

struct Shared {
    plugin: Arc<Plugin>,
    state: Arc<State>,
}

impl Configuration {
    /// Takes a configuration as it was received for the filter of this name.
    pub(crate) fn new(config: &Config<'_>, name: &[u8], received: &[u8]) -> Self {
        let name = Name::read(name);
        let plugin = process::plugin(&name.plugin);
        let metrics = Metrics::define(config);
        let newest = plugin.newest();
        let same = newest.filter(|state| state.is_of(received, &name.node));
        let is_keeper = same
            .as_ref()
            .is_none_or(|state| Arc::strong_count(state) <= KEEPERS);
        if is_keeper {
            plugin.revive(&name.plugin, config, &metrics);
        }
        let state = same.unwrap_or_else(|| {
            let host = Envoy {
                config,
                metrics: &metrics,
                plugin: &plugin,
                name: &name.plugin,
            };
            let (previous, workers) = (plugin.newest(), concurrency());
            let previous = previous.as_deref();
            let Name { plugin: own, node } = &name;
            let state = State::new(&host, own, received, node, previous, workers);
            let state = Arc::new(state);
            plugin.add(&state);
            state
        });
        Self::of(config, metrics, Some(Shared { plugin, state }), is_keeper)
    }

    /// One that serves what the newest of this name does, or lets everything pass: where a
    /// configuration could not even be taken.
    pub(crate) fn last_good(config: &Config<'_>, name: &[u8]) -> Self {
        let plugin = process::plugin(&Name::read(name).plugin);
        let newest = plugin.newest();
        let shared = newest.map(|state| Shared { plugin, state });
        Self::of(config, Metrics::define(config), shared, false)
    }

    /// One that lets everything pass.
    pub(crate) fn passing() -> Self {
        Self {
            number: u64::MAX,
            metrics: Metrics::NONE,
            shared: None,
            poll: Mutex::default(),
            is_keeper: true.into(),
        }
    }

    fn of(config: &Config<'_>, metrics: Metrics, shared: Option<Shared>, is_keeper: bool) -> Self {
        static NUMBER: AtomicU64 = AtomicU64::new(0);
        let number = NUMBER.fetch_add(1, Ordering::Relaxed);
        if let Some(Shared { state, .. }) = &shared {
            let first = state.with_plan(|plan| {
                let plan = plan.as_deref();
                match plan.and_then(Plan::brake) {
                    Some(_) => FIRST_TICK,
                    None => period(plan),
                }
            });
            clock::add(state, number, config.scheduler());
            clock::tick_after(state, first);
        }
        Self {
            number,
            metrics,
            shared,
            poll: Mutex::default(),
            is_keeper: is_keeper.into(),
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
        if !clock::is_first(state, self.number) {
            return;
        }
        if !plugin.is_newest(state) {
            return clock::tick_after(state, state.with_plan(|plan| period(plan.as_deref())));
        }
        if !self.is_keeper.swap(true, Ordering::Relaxed) {
            plugin.revive(&state.plugin, config, &self.metrics);
        }
        let host = Envoy {
            config,
            metrics: &self.metrics,
            plugin,
            name: &state.plugin,
        };
        let now = now();
        left::take_over(&host, &state.plugin);
        let mut has_tripped = false;
        for ended in plugin.ended() {
            has_tripped |= ended.flush(&host);
        }
        for former in plugin.former(state) {
            has_tripped |= former.tick(&host, Ticking::Former, now);
        }
        has_tripped |= state.tick(&host, Ticking::Newest, now);
        if has_tripped {
            let mut poll = self.poll.lock();
            state.with_plan(|plan| {
                poll.tell_of_trip(&host, &state.plugin, plan.as_deref(), now);
            });
        }
        self.ask(&host, state);
    }

    /// The answer to one of its questions, on the main thread.
    pub(crate) fn answered(&self, config: &Config<'_>, token: u64, answer: Option<Answer>) {
        let Some(Shared { plugin, state }) = &self.shared else {
            return;
        };
        let host = Envoy {
            config,
            metrics: &self.metrics,
            plugin,
            name: &state.plugin,
        };
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
        if clock::is_first(state, self.number) && plugin.is_newest(state) {
            self.ask(&host, state);
        }
    }

    /// Asks for brakes where it is time for it, and says when the next tick is.
    fn ask(&self, host: &Envoy<'_>, state: &Arc<State>) {
        let delay = state.with_plan(|plan| {
            let (plan, of) = (plan.as_deref(), (&*state.plugin, instance()));
            self.poll.lock().tick(host, of, plan, now(), period(plan))
        });
        clock::tick_after(state, delay);
    }
}

/// On any thread. What was counted last is flushed at the next tick of whoever is the newest then; where
/// nobody is left in this library, it is left to one of another version, which may ask for brakes at once.
impl Drop for Configuration {
    fn drop(&mut self) {
        if let Some(Shared { plugin, state }) = self.shared.take()
            && clock::remove(&state, self.number)
        {
            let name = state.plugin.clone();
            if plugin.end(state) {
                let host = Leaving { plugin: &name };
                for ended in plugin.ended() {
                    ended.flush(&host);
                }
                lease::release(&host, &name, instance());
            }
        }
    }
}
