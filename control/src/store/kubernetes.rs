//! A plugin in a cluster as a store: server-side apply of weights and draws, one field manager a
//! split.
//!
//! Here is what is read. A change waits for its turn (`in_turn`), an abort does not (`at_once`); which
//! it was stands in an annotation of the same patch (`note`), and the history is that of `revisions`.

mod at_once;
mod doubt;
mod in_turn;
pub mod native;
mod note;
mod pauses;
mod revisions;
mod split_change;

use std::collections::BTreeMap;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

pub use doubt::Doubt;
use kube::api::{ObjectMeta, Patch, PatchParams};
use parking_lot::Mutex;
pub use split_change::conflicting;

use super::history::{Entry, Remembered, unrecorded};
use super::{Decide, Manner, Note, Snapshot, Store, Updated, Urgency};
use crate::cluster::authors::authors;
use crate::cluster::plugins::{self, LivePlugin, Unlisted};
use crate::cluster::{Cluster, managed_fields};
use crate::model::native::annotations::REFETCH;
use crate::model::plugin::Kind;

/// How long a write that was overtaken waits before it reads again: at first, and at most. Chosen:
/// about a write, and short of what a person notices.
const MIN_PAUSE: Duration = Duration::from_millis(5);
const MAX_PAUSE: Duration = Duration::from_millis(250);

/// The field manager of what belongs to no split.
const OWN_MANAGER: &str = "sluice";

/// Which plugin is meant.
#[derive(Clone, Debug)]
enum Target {
    /// The only one of ours in the namespace, or this one in it.
    Named(Option<String>),
    /// This one.
    Known(Kind, String, String),
}

/// A plugin in a cluster.
#[derive(Clone, Debug)]
pub struct Kubernetes {
    cluster: Cluster,
    target: Target,
    seen: Arc<Seen>,
    /// Says at once what only later is certain.
    tell: fn(&Doubt<'_>),
}

/// What is known of a plugin before it is read.
#[derive(Debug, Default)]
struct Seen {
    /// How people call it, once it was found.
    title: OnceLock<String>,
    /// What a listing saw of it just now, for a first write at once: an abort of many plugins reads
    /// each of them once, and what changed since is noticed when the result is read back.
    listed: Mutex<Option<LivePlugin>>,
}

impl Kubernetes {
    /// The plugin of the cluster's namespace with this name, or the only one of ours in it.
    pub fn new(cluster: Cluster, plugin: Option<String>) -> Self {
        Self {
            cluster,
            target: Target::Named(plugin),
            seen: Arc::default(),
            tell: |_| {},
        }
    }

    /// A plugin that was found.
    pub fn of(cluster: Cluster, live: &LivePlugin) -> Self {
        let (namespace, name) = (live.namespace().to_owned(), live.name().to_owned());
        let seen = Seen {
            title: OnceLock::from(live.plugin.source.clone()),
            listed: Mutex::default(),
        };
        Self {
            cluster,
            target: Target::Known(live.plugin.kind, namespace, name),
            seen: Arc::new(seen),
            tell: |_| {},
        }
    }

    /// The same, but it tells at once when it becomes unknown whether a write was made: finding out
    /// may take some seconds.
    pub fn telling(mut self, tell: fn(&Doubt<'_>)) -> Self {
        self.tell = tell;
        self
    }

    /// A plugin that a listing saw just now.
    pub fn listed(cluster: Cluster, live: LivePlugin) -> Self {
        let store = Self::of(cluster, &live);
        *store.seen.listed.lock() = Some(live);
        store
    }

    fn take_listed(&self) -> Option<LivePlugin> {
        self.seen.listed.lock().take()
    }

    /// How people call it: `context kind, WasmPlugin shop/sluice`; until the plugin was read, only
    /// its namespace.
    pub fn title(&self) -> String {
        let cluster = self.cluster.title();
        match self.seen.title.get() {
            Some(plugin) => format!("{cluster}, {plugin}"),
            None => format!("{cluster}, namespace {}", self.cluster.namespace()),
        }
    }

    /// The cluster that it is in.
    pub const fn cluster(&self) -> &Cluster {
        &self.cluster
    }

    /// The namespace of the plugin.
    pub fn namespace(&self) -> &str {
        match &self.target {
            Target::Named(_) => self.cluster.namespace(),
            Target::Known(_, namespace, _) => namespace,
        }
    }

    /// The resource now.
    ///
    /// # Errors
    /// When there is none, or it cannot be read.
    pub async fn read(&self) -> anyhow::Result<LivePlugin> {
        Ok(plugins::certain(self.read_at_least().await?)?)
    }

    /// The same, also where it is not certain to be the only one: with what could not be listed.
    async fn read_at_least(&self) -> anyhow::Result<(LivePlugin, Vec<Unlisted>)> {
        match &self.target {
            Target::Named(named) => {
                let found = plugins::one_at_least(&self.cluster, named.as_deref()).await?;
                let title = || found.0.plugin.source.clone();
                self.seen.title.get_or_init(title);
                Ok(found)
            }
            Target::Known(kind, namespace, name) => {
                let live = plugins::read(&self.cluster, namespace, *kind, name).await;
                let explained = |error| self.cluster.explain(kind.title(namespace, name), error);
                Ok((live.map_err(explained)?, Vec::new()))
            }
        }
    }

    /// The plugin as a listing saw it, if that was only just now, and else as it is; who asks,
    /// where that is known in time; and what could not be listed beside it.
    async fn seen(
        &self,
        patience: Duration,
    ) -> anyhow::Result<(LivePlugin, Option<String>, Vec<Unlisted>)> {
        let listed = self.take_listed();
        let read = async {
            match listed {
                Some(listed) => Ok((listed, Vec::new())),
                None => self.read_at_least().await,
            }
        };
        let name = tokio::time::timeout(patience, self.cluster.caller());
        let (read, name) = tokio::join!(read, name);
        let (live, unlisted) = read?;
        Ok((live, name.ok().flatten(), unlisted))
    }

    /// Edits an annotation, which makes istiod push the plugin again, and its agents fetch the
    /// module if they lack it. Where the plugin says that it is native, or not any more, its
    /// EnvoyFilter is made so; what a person should know of that.
    ///
    /// # Errors
    /// When there is no such plugin, or it may not be written.
    pub async fn touch(&self, now: jiff::Timestamp) -> anyhow::Result<(LivePlugin, Vec<Note>)> {
        let live = self.read().await?;
        let annotation = (REFETCH.to_owned(), now.to_string());
        let metadata = ObjectMeta {
            annotations: Some(BTreeMap::from([annotation])),
            uid: live.object.metadata.uid.clone(),
            ..ObjectMeta::default()
        };
        let patch = live.plugin.patch(metadata, None)?;
        let parameters = PatchParams::apply(OWN_MANAGER).force();
        let sent = plugins::patch(&self.cluster, &live, &parameters, &Patch::Apply(&patch)).await;
        let explained = |error| self.cluster.explain(live.plugin.source.clone(), error);
        let touched = sent.map_err(explained)?;
        let notes = native::follow(&self.cluster, &touched).await;
        Ok((touched, notes))
    }

    /// The same resource as it is now.
    async fn read_again(&self, live: &LivePlugin) -> kube::Result<LivePlugin> {
        let (kind, namespace) = (live.plugin.kind, live.namespace());
        plugins::read(&self.cluster, namespace, kind, live.name()).await
    }
}

impl Kubernetes {
    /// Gives the history entries that it has lost, each under its own number. Numbers that the
    /// plugin has not reached, as those of a former one of its name, are left out and said.
    pub async fn remember_again(&self, entries: &[Entry]) -> Vec<Note> {
        match self.read().await {
            Ok(live) => revisions::remember_again(&self.cluster, &live, entries).await,
            Err(error) => vec![Note::NotRestored {
                count: entries.len(),
                why: format!("{error:#}"),
            }],
        }
    }
}

impl Store for Kubernetes {
    async fn snapshot(&self) -> anyhow::Result<Snapshot> {
        let live = Arc::new(self.read().await?);
        Ok(Snapshot {
            live: Some(Arc::clone(&live)),
            ..snapshot(&live)
        })
    }

    fn named(&self, snapshot: &Snapshot) -> Option<String> {
        let plugin = &snapshot.plugin;
        let kind = plugin.kind.name().to_ascii_lowercase();
        Some(format!("{kind}/{}", plugin.name.as_deref()?))
    }

    fn in_cluster(&self) -> Option<&Kubernetes> {
        Some(self)
    }

    async fn history(&self) -> anyhow::Result<Remembered> {
        let live = self.read().await?;
        let remembered = revisions::read(&self.cluster, &live).await;
        let mut remembered = remembered.map_err(|error| {
            self.cluster
                .explain(format!("history of {}", live.plugin.source), error)
        })?;
        let last = remembered.entries.last();
        if let Some(mut entry) = last.and_then(|last| unrecorded(last, &snapshot(&live))) {
            entry.revision = live.generation().unsigned_abs();
            remembered.entries.push(entry);
        }
        Ok(remembered)
    }

    async fn update(&self, manner: Manner, decide: &mut Decide<'_>) -> anyhow::Result<Updated> {
        match manner.urgency {
            Urgency::Now => self.update_at_once(manner.extent, decide).await,
            Urgency::InTurn => self.update_in_turn(manner, decide).await,
        }
    }
}

fn nothing_written(before: Snapshot, notes: Vec<Note>) -> Updated {
    Updated {
        after: Some(Ok(before.plugin.clone())),
        before,
        written: None,
        notes,
    }
}

fn snapshot(live: &LivePlugin) -> Snapshot {
    let managed =
        managed_fields::managed(&live.object.metadata, live.plugin.kind, &live.plugin.config);
    Snapshot {
        live: None,
        plugin: live.plugin.clone(),
        managed,
        noted: note::noted(live),
        authors: authors(&live.object.metadata, live.plugin.kind),
    }
}
