//! What outlives configurations in this process, by plugin: series of metrics, and which states there
//! are. What the core shares outlives the library too: [`crate::abi::shared`].
//!
//! Behind locks that no request takes: the main thread uses them, and for a moment whoever ends the last
//! stream of a configuration.

use std::collections::HashMap;
use std::sync::{Arc, LazyLock, Weak};

use fnv::FnvBuildHasher;
use parking_lot::Mutex;
use sluice_core::plan::Node;

use crate::series::Series;
use crate::state::State;

/// Everything of one plugin.
#[derive(Default)]
pub(crate) struct Plugin {
    /// Its series.
    pub(crate) series: Mutex<Series>,
    states: Mutex<States>,
}

/// The states of one plugin.
#[derive(Default)]
struct States {
    /// In the order in which they were given.
    living: Vec<Weak<State>>,
    /// Those that ended since the last tick: what they counted is still to be flushed.
    ended: Vec<Arc<State>>,
}

impl Plugin {
    /// The newest that lives.
    pub(crate) fn newest(&self) -> Option<Arc<State>> {
        self.states.lock().newest()
    }

    /// The newest, if it is what a configuration would be; `join` makes the configuration one of its
    /// own, before anybody can end it.
    pub(crate) fn share(
        &self,
        received: &[u8],
        node: &Node,
        join: impl FnOnce(&Arc<State>),
    ) -> Option<Arc<State>> {
        let mut states = self.states.lock();
        let same = states.newest().filter(|state| state.is_of(received, node));
        same.inspect(join)
    }

    /// Adds the newest.
    pub(crate) fn add(&self, state: &Arc<State>) {
        self.states.lock().living.push(Arc::downgrade(state));
    }

    /// Those that live, but for one.
    pub(crate) fn living_but(&self, other: Option<&Arc<State>>) -> Vec<Arc<State>> {
        let states = self.states.lock();
        let living = states.living.iter().filter_map(Weak::upgrade);
        let is_other = |state: &Arc<State>| other.is_some_and(|other| Arc::ptr_eq(state, other));
        living.filter(|state| !is_other(state)).collect()
    }

    /// Whether a state is the newest.
    pub(crate) fn is_newest(&self, state: &Arc<State>) -> bool {
        self.newest()
            .is_some_and(|newest| Arc::ptr_eq(&newest, state))
    }

    /// A configuration of a state ends: `leave` says whether it was the state's last. Whether it was
    /// also the plugin's last.
    pub(crate) fn end(&self, state: Arc<State>, leave: impl FnOnce() -> bool) -> bool {
        let mut states = self.states.lock();
        if !leave() {
            return false;
        }
        let is_it = |other: &Weak<State>| std::ptr::eq(other.as_ptr(), Arc::as_ptr(&state));
        states.living.retain(|other| !is_it(other));
        states.ended.push(state);
        states.living.is_empty()
    }

    /// Those that ended since this was asked last.
    pub(crate) fn ended(&self) -> Vec<Arc<State>> {
        std::mem::take(&mut self.states.lock().ended)
    }
}

impl States {
    fn newest(&mut self) -> Option<Arc<State>> {
        self.living.retain(|state| state.strong_count() > 0);
        self.living.iter().rev().find_map(Weak::upgrade)
    }
}

type Plugins = HashMap<String, Arc<Plugin>, FnvBuildHasher>;

static PLUGINS: LazyLock<Mutex<Plugins>> = LazyLock::new(Mutex::default);

/// The plugin of this name, which is kept as long as the process: a configuration that comes back finds
/// what there was.
pub(crate) fn plugin(name: &str) -> Arc<Plugin> {
    let mut plugins = PLUGINS.lock();
    Arc::clone(plugins.entry(name.to_owned()).or_default())
}
