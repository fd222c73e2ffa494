//! What one configuration is to all threads: the plan that workers serve, what they saw, and what the
//! main thread makes of it.
//!
//! Listeners that get the same configuration share one state: Envoy makes an object for each of them.

use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwap;
use parking_lot::Mutex;
use sluice_core::host::{Host, Level};
use sluice_core::lifecycle::{self, Ticking};
use sluice_core::observed::Observed;
use sluice_core::plan::{Node, Plan};

use crate::counted::{Counted, Read};
use crate::ring::Ring;
use crate::seen::SeenUsers;

/// What one worker saw.
pub(crate) struct Worker {
    /// Its numbers.
    pub(crate) counted: Counted,
    /// Responses of guarded splits, where there are any.
    pub(crate) guarded: Option<Ring>,
    /// How many of those had no identity.
    pub(crate) nameless: std::sync::atomic::AtomicU32,
}

/// One configuration.
pub(crate) struct State {
    /// The plugin's name.
    pub(crate) plugin: String,
    /// The bytes that were received, and where: whoever gets the same shares the state.
    received: Vec<u8>,
    node: Node,
    served: Served,
    /// By their number.
    pub(crate) workers: Box<[Worker]>,
    /// The users of all workers.
    pub(crate) users: SeenUsers,
    main: Mutex<Main>,
}

/// What workers serve.
enum Served {
    /// There never was a readable configuration: traffic passes untouched.
    Nothing,
    /// No guard and no brake changes it.
    Fixed(Box<Plan>),
    /// What guards and brakes leave of it.
    Changing(ArcSwap<Plan>),
}

impl Served {
    fn of(plan: Option<&Plan>) -> Self {
        match plan {
            None => Self::Nothing,
            Some(plan) if plan.is_guarded() || plan.has_brake() => {
                Self::Changing(ArcSwap::from_pointee(plan.clone()))
            }
            Some(plan) => Self::Fixed(Box::new(plan.clone())),
        }
    }
}

/// The main thread's part.
struct Main {
    /// What is changed by guards and brakes; workers serve a copy.
    plan: Option<Plan>,
    observed: Observed,
    read: Vec<Read>,
    /// How many responses of guarded splits found no room in a worker's queue.
    left_out: u64,
}

impl State {
    /// Takes a configuration, as [`lifecycle::configure`] says.
    pub(crate) fn new<H: Host>(
        host: &H,
        plugin: &str,
        received: &[u8],
        node: &Node,
        previous: Option<&Self>,
        workers: usize,
    ) -> Self {
        let previous = previous.map(|state| state.main.lock());
        let previous = previous.as_ref().and_then(|main| main.plan.as_ref());
        let plan = lifecycle::configure(host, plugin, received.to_vec(), node, previous);
        let splits = plan.as_ref().map_or(0, |plan| plan.splits().len());
        let is_guarded = plan.as_ref().is_some_and(Plan::is_guarded);
        let worker = || Worker {
            counted: Counted::new(splits),
            guarded: is_guarded.then(Ring::default),
            nameless: 0.into(),
        };
        Self {
            plugin: plugin.to_owned(),
            received: received.to_vec(),
            node: node.clone(),
            served: Served::of(plan.as_ref()),
            workers: std::iter::repeat_with(worker).take(workers).collect(),
            users: SeenUsers::new(splits),
            main: Mutex::new(Main {
                plan,
                observed: Observed::default(),
                read: Vec::new(),
                left_out: 0,
            }),
        }
    }

    /// Serves a request by the plan, if there is one. By any thread, without a lock.
    #[inline]
    pub(crate) fn serve<T>(&self, serve: impl FnOnce(&Plan) -> T) -> Option<T> {
        match &self.served {
            Served::Nothing => None,
            Served::Fixed(plan) => Some(serve(plan)),
            Served::Changing(plan) => Some(serve(&plan.load())),
        }
    }

    /// Whether it is what this configuration would be.
    pub(crate) fn is_of(&self, received: &[u8], node: &Node) -> bool {
        self.received == received && self.node == *node
    }

    /// Joins what the workers saw, hands it over, and serves what changes by it. Whether the guard took
    /// a challenger out that others do not know of yet.
    pub(crate) fn tick<H: Host>(&self, host: &H, ticking: Ticking, now: Duration) -> bool {
        let mut main = self.main.lock();
        main.collect(self);
        main.say_left_out(host, &self.plugin);
        let Main { plan, observed, .. } = &mut *main;
        let plan = plan.as_mut();
        let has_tripped = lifecycle::tick(host, &self.plugin, plan, observed, ticking, now);
        self.publish(&main);
        has_tripped
    }

    /// Hands over what was seen last, when it has ended. Whether the guard took a challenger out.
    pub(crate) fn flush<H: Host>(&self, host: &H) -> bool {
        let mut main = self.main.lock();
        main.collect(self);
        let Main { plan, observed, .. } = &mut *main;
        plan.as_ref()
            .is_some_and(|plan| observed.flush(host, &self.plugin, plan))
    }

    /// Looks at its plan, and may change it.
    pub(crate) fn with_plan<T>(&self, change: impl FnOnce(Option<&mut Plan>) -> T) -> T {
        let mut main = self.main.lock();
        let changed = change(main.plan.as_mut());
        self.publish(&main);
        changed
    }

    /// Has the workers serve the plan as it is now, where it has changed.
    fn publish(&self, main: &Main) {
        if let (Served::Changing(served), Some(plan)) = (&self.served, &main.plan)
            && served.load().changes() != plan.changes()
        {
            served.store(Arc::new(plan.clone()));
        }
    }
}

impl Main {
    fn say_left_out<H: Host>(&mut self, host: &H, plugin: &str) {
        let number = std::mem::take(&mut self.left_out);
        if number > 0 {
            let line = format!(
                "sluice {plugin}: its guards did not see {number} responses: more than {} of a \
                 worker between two ticks",
                crate::ring::MAX_GUARDED_RESPONSES
            );
            host.log(Level::Warning, &line);
        }
    }

    fn collect(&mut self, state: &State) {
        let Self {
            observed,
            read,
            left_out,
            ..
        } = self;
        read.resize_with(state.workers.len(), Read::default);
        for (worker, read) in state.workers.iter().zip(read) {
            worker.counted.read(read, &mut observed.tally);
            if let Some(ring) = &worker.guarded {
                ring.drain(|words| observed.add_guarded(words));
                *left_out += ring.left_out();
            }
        }
        state.users.read(observed);
    }
}
