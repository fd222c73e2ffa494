//! What outlives configurations in this process, by plugin: series of metrics, and which states there
//! are. What the core shares outlives the library too: [`crate::abi::shared`].
//!
//! Behind locks that no request takes: the main thread uses them, and for a moment whoever ends the last
//! stream of a configuration.

use std::collections::HashMap;
use std::sync::{Arc, LazyLock, Weak};

use fnv::FnvBuildHasher;
use parking_lot::Mutex;

use crate::abi::Config;
use crate::series::{Metrics, Series};
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
    /// Uses all series of the plugin of this name in a configuration.
    pub(crate) fn revive(&self, name: &str, config: &Config<'_>, metrics: &Metrics) {
        let mut series = self.series.lock();
        series.learn(name);
        series.revive(config, metrics);
    }

    /// The newest that lives.
    pub(crate) fn newest(&self) -> Option<Arc<State>> {
        let mut states = self.states.lock();
        states.living.retain(|state| state.strong_count() > 0);
        states.living.iter().rev().find_map(Weak::upgrade)
    }

    /// Those that some requests have not ended on, and not the newest.
    pub(crate) fn former(&self, newest: &Arc<State>) -> Vec<Arc<State>> {
        let states = self.states.lock();
        let living = states.living.iter().filter_map(Weak::upgrade);
        living.filter(|state| !Arc::ptr_eq(state, newest)).collect()
    }

    /// Adds the newest.
    pub(crate) fn add(&self, state: &Arc<State>) {
        self.states.lock().living.push(Arc::downgrade(state));
    }

    /// Whether a state is the newest.
    pub(crate) fn is_newest(&self, state: &Arc<State>) -> bool {
        self.newest()
            .is_some_and(|newest| Arc::ptr_eq(&newest, state))
    }

    /// Takes leave of a state that no configuration has any more. Whether it was the last one.
    pub(crate) fn end(&self, state: Arc<State>) -> bool {
        let mut states = self.states.lock();
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

type Plugins = HashMap<String, Arc<Plugin>, FnvBuildHasher>;

static PLUGINS: LazyLock<Mutex<Plugins>> = LazyLock::new(Mutex::default);

/// The plugin of this name, which is kept as long as the process: a configuration that comes back finds
/// what there was.
pub(crate) fn plugin(name: &str) -> Arc<Plugin> {
    let mut plugins = PLUGINS.lock();
    Arc::clone(plugins.entry(name.to_owned()).or_default())
}
