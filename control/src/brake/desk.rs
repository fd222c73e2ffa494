//! Who asks, and what they are to be told: what the service and those who watch it share.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use sluice_core::brake::Question;
use sluice_core::brake::question::MAX_WAIT_SECONDS;
use tokio::sync::watch;
use tokio::time::Instant;

use super::object::Heard;
use super::plugin::PluginName;
use super::table::{Page, Table};

/// The most proxies that are remembered. Chosen: twice the connections that are served.
pub const MAX_PROXIES: usize = 40_000;

/// How long a proxy that does not ask again is remembered. Chosen: the longest wait, and a reconnection.
const REMEMBERED: Duration = Duration::from_secs(MAX_WAIT_SECONDS as u64 + 10);

/// What the service answers from, and whom it has heard of.
#[derive(Debug)]
pub struct Desk {
    table: watch::Sender<Option<Arc<Table>>>,
    heard: Mutex<HashMap<(PluginName, String), Proxy>>,
}

/// A proxy that asked.
#[derive(Clone, Debug)]
struct Proxy {
    at: Instant,
    /// The version that it said it has.
    version: Option<String>,
}

impl Default for Desk {
    fn default() -> Self {
        Self {
            table: watch::Sender::new(None),
            heard: Mutex::default(),
        }
    }
}

impl Desk {
    /// Answers from now on by this table.
    pub fn lay(&self, table: Table) {
        self.table.send_if_modified(|former| {
            let is_other = former.as_deref() != Some(&table);
            if is_other {
                *former = Some(Arc::new(table));
            }
            is_other
        });
    }

    /// What is answered by; `None` until it is known.
    pub fn table(&self) -> watch::Receiver<Option<Arc<Table>>> {
        self.table.subscribe()
    }

    /// What a plugin's proxies are answered now.
    pub fn page(&self, plugin: &PluginName) -> Option<Arc<Page>> {
        let table = self.table.borrow();
        let table = table.as_ref().filter(|table| table.is_of(plugin));
        table.map(|table| Arc::clone(table.page(plugin)))
    }

    /// Remembers who asked. Of more than [`MAX_PROXIES`], those who come later are not counted.
    pub fn note(&self, plugin: &PluginName, question: &Question) {
        let now = Instant::now();
        let mut heard = self.heard.lock().unwrap_or_else(PoisonError::into_inner);
        let key = (plugin.clone(), question.node.clone());
        if heard.len() >= MAX_PROXIES && !heard.contains_key(&key) {
            heard.retain(|_, proxy| is_remembered(proxy, now));
            if heard.len() >= MAX_PROXIES {
                return;
            }
        }
        let proxy = Proxy {
            at: now,
            version: question.version.clone(),
        };
        heard.insert(key, proxy);
    }

    /// How many proxies of a plugin ask, and how many of them have this version.
    pub fn heard(&self, plugin: &PluginName, version: &str) -> Heard {
        let now = Instant::now();
        let heard = self.heard.lock().unwrap_or_else(PoisonError::into_inner);
        let of_plugin = heard
            .iter()
            .filter(|((named, _), proxy)| named == plugin && is_remembered(proxy, now));
        of_plugin.fold(Heard::default(), |sum, (_, proxy)| {
            let is_following = proxy.version.as_deref() == Some(version);
            Heard {
                asking: sum.asking.saturating_add(1),
                following: sum.following.saturating_add(u32::from(is_following)),
            }
        })
    }

    /// Forgets a proxy that was told something new: it asks again, here or elsewhere.
    pub fn told(&self, plugin: &PluginName, node: &str) {
        let mut heard = self.heard.lock().unwrap_or_else(PoisonError::into_inner);
        heard.remove(&(plugin.clone(), node.to_owned()));
    }

    /// Forgets whoever has not asked for long.
    pub fn forget(&self) {
        let now = Instant::now();
        let mut heard = self.heard.lock().unwrap_or_else(PoisonError::into_inner);
        heard.retain(|_, proxy| is_remembered(proxy, now));
    }
}

fn is_remembered(proxy: &Proxy, now: Instant) -> bool {
    now.duration_since(proxy.at) < REMEMBERED
}
