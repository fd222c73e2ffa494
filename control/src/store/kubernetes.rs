//! A plugin in a cluster as a store: server-side apply of weights and draws, one field manager a
//! split.
//!
//! A write carries the resourceVersion that it was decided on; where another writer came first
//! (409), it is decided again on what that one wrote. An abort is `at_once`. The last change stands
//! in an annotation of the same patch (`note`); the history is that of `revisions`.

mod at_once;
mod doubt;
mod note;
mod pauses;
mod revisions;
mod split_change;

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::time::{Duration, Instant};

pub use doubt::Doubt;
use doubt::{Found, is_doubtful};
use kube::api::{ObjectMeta, Patch, PatchParams};
use pauses::pauses;
pub use split_change::conflicting;
use split_change::{SplitChange, changes, conflict};
use tower::retry::backoff::Backoff as _;

use super::history::{Remembered, unrecorded};
use super::{
    Decide, Manner, Note, OthersFields, Snapshot, Store, Updated, Urgency, Write, WriteError,
};
use crate::cluster::authors::authors;
use crate::cluster::plugins::{self, LivePlugin, Unlisted};
use crate::cluster::{Cluster, managed_fields};
use crate::model::plugin::Kind;

/// How long a write tries to get its turn among other writers. Chosen: a turn takes some
/// milliseconds.
const PATIENCE: Duration = Duration::from_secs(20);

/// How long a write that was overtaken waits before it reads again: at first, and at most. Chosen:
/// about a write, and short of what a person notices.
const MIN_PAUSE: Duration = Duration::from_millis(5);
const MAX_PAUSE: Duration = Duration::from_millis(250);

/// How long an abort waits for its own name; the weights matter more. Chosen: one answer of a
/// healthy API server.
const NAME_PATIENCE: Duration = Duration::from_millis(40);

/// The annotation whose edit makes agents fetch the module again.
pub const REFETCH: &str = "sluice.dev/refetch";

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
        let listed = store.seen.listed.lock();
        *listed.unwrap_or_else(PoisonError::into_inner) = Some(live);
        store
    }

    fn take_listed(&self) -> Option<LivePlugin> {
        let listed = self.seen.listed.lock();
        listed.unwrap_or_else(PoisonError::into_inner).take()
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

    /// The resource now.
    ///
    /// # Errors
    /// When there is none, or it cannot be read.
    pub async fn read(&self) -> anyhow::Result<LivePlugin> {
        let (live, unlisted) = self.read_at_least().await?;
        match unlisted.into_iter().next() {
            None => Ok(live),
            Some(unlisted) => Err(unlisted.error.into()),
        }
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

    /// Edits an annotation, which makes istiod push the plugin again, and its agents fetch the
    /// module if they lack it.
    ///
    /// # Errors
    /// When there is no such plugin, or it may not be written.
    pub async fn touch(&self, now: jiff::Timestamp) -> anyhow::Result<LivePlugin> {
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
        sent.map_err(|error| self.cluster.explain(live.plugin.source.clone(), error))?;
        Ok(live)
    }

    /// The same resource as it is now.
    async fn read_again(&self, live: &LivePlugin) -> kube::Result<LivePlugin> {
        let (kind, namespace) = (live.plugin.kind, live.namespace());
        plugins::read(&self.cluster, namespace, kind, live.name()).await
    }

    /// The plugin, and who asks where that is known in time, read at once.
    async fn read_as(&self) -> anyhow::Result<(LivePlugin, Option<String>)> {
        let name = tokio::time::timeout(PATIENCE, self.cluster.caller());
        let (live, name) = tokio::join!(self.read(), name);
        Ok((live?, name.ok().flatten()))
    }

    /// Applies a write split by split, and remembers what was applied, also where another split's
    /// part was not.
    async fn write(
        &self,
        live: &LivePlugin,
        before: &Snapshot,
        write: &Write,
        manner: Manner,
    ) -> Result<Vec<Note>, Failure> {
        let changes = changes(before, write);
        let (results, found) = self
            .apply_in_turn(live, &changes, manner.others_fields)
            .await;
        let applied: Vec<(&SplitChange, Option<i64>)> = changes
            .iter()
            .zip(&results)
            .filter_map(|(change, result)| Some((change, *result.as_ref().ok()?)))
            .collect();
        let client = self.cluster.client();
        let mut notes = revisions::record(client, live, before, &applied).await;
        notes.extend(found);
        match worst(results) {
            None => Ok(notes),
            Some(Failure::Refused(source)) if !applied.is_empty() => {
                let written = applied.iter().map(|(change, _)| change.split.clone());
                let written = written.collect();
                Err(Failure::Refused(
                    WriteError::Partial { written, source }.into(),
                ))
            }
            Some(failure) => Err(failure),
        }
    }

    /// One split after another, each on what the one before it left. Several are tried without
    /// effect first, so that a refusal of one changes none.
    async fn apply_in_turn(
        &self,
        live: &LivePlugin,
        changes: &[SplitChange],
        others_fields: OthersFields,
    ) -> (Vec<Result<Option<i64>, Failure>>, Vec<Note>) {
        if changes.len() > 1 {
            for change in changes {
                if let Err(failure) = self.apply(live, change, others_fields, Effect::None).await {
                    return (vec![Err(failure)], Vec::new());
                }
            }
        }
        let (mut results, mut notes) = (Vec::new(), Vec::new());
        let mut last = None;
        for change in changes {
            let live = last.as_ref().unwrap_or(live);
            match self
                .apply(live, change, others_fields, Effect::Written)
                .await
            {
                Ok(applied) => {
                    results.push(Ok(applied.generation));
                    notes.extend(applied.note);
                    last = Some(applied.live);
                }
                Err(failure) => {
                    results.push(Err(failure));
                    break;
                }
            }
        }
        (results, notes)
    }

    async fn apply(
        &self,
        live: &LivePlugin,
        change: &SplitChange,
        others_fields: OthersFields,
        effect: Effect,
    ) -> Result<Applied, Failure> {
        let patch = change
            .patch(live)
            .map_err(|error| Failure::Refused(error.into()))?;
        let mut parameters =
            PatchParams::apply(&format!("{}{}", managed_fields::MANAGER, change.split));
        parameters.force = change.takes_over(others_fields);
        parameters.dry_run = effect == Effect::None;
        let sent = plugins::patch(&self.cluster, live, &parameters, &Patch::Apply(&patch)).await;
        match sent {
            Ok(patched) => Ok(Applied {
                generation: patched.object.metadata.generation,
                live: patched,
                note: None,
            }),
            Err(kube::Error::Api(status)) if status.code == 409 => {
                Err(match conflicting(&status) {
                    fields if fields.is_empty() => Failure::Overtaken,
                    fields => Failure::Refused(conflict(live, change, fields).into()),
                })
            }
            Err(lost) if effect == Effect::Written && is_doubtful(&lost) => {
                match self.look(live, change, &lost).await {
                    Found::Made(now, generation, note) => Ok(Applied {
                        generation: Some(generation),
                        live: *now,
                        note: Some(note),
                    }),
                    Found::Other(error) => Err(Failure::Refused(error.into())),
                }
            }
            Err(error) => Err(Failure::Refused(
                self.cluster
                    .explain(live.plugin.source.clone(), error)
                    .into(),
            )),
        }
    }
}

impl Store for Kubernetes {
    async fn snapshot(&self) -> anyhow::Result<Snapshot> {
        Ok(snapshot(&self.read().await?))
    }

    async fn history(&self) -> anyhow::Result<Remembered> {
        let live = self.read().await?;
        let remembered = revisions::read(self.cluster.client(), &live).await;
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
        if manner.urgency == Urgency::Now {
            return self.update_at_once(manner.extent, decide).await;
        }
        let began = Instant::now();
        let mut pauses = pauses(MIN_PAUSE, MAX_PAUSE);
        loop {
            let (live, name) = self.read_as().await?;
            let before = snapshot(&live);
            let Some(mut write) = decide(&before)? else {
                return Ok(Updated {
                    before,
                    written: None,
                    after: None,
                    notes: Vec::new(),
                });
            };
            write.by = name.unwrap_or(write.by);
            match self.write(&live, &before, &write, manner).await {
                Ok(notes) => {
                    return Ok(Updated {
                        before,
                        written: Some(write),
                        after: None,
                        notes,
                    });
                }
                Err(Failure::Overtaken) if began.elapsed() < PATIENCE => {
                    // Others are writing; apart by chance, everybody gets a turn.
                    pauses.next_backoff().await;
                }
                Err(Failure::Overtaken) => {
                    let (plugin, seconds) = (live.plugin.source, PATIENCE.as_secs());
                    return Err(WriteError::Overtaken { plugin, seconds }.into());
                }
                Err(Failure::Refused(error)) => return Err(error),
            }
        }
    }
}

fn snapshot(live: &LivePlugin) -> Snapshot {
    let managed =
        managed_fields::managed(&live.object.metadata, live.plugin.kind, &live.plugin.config);
    Snapshot {
        plugin: live.plugin.clone(),
        managed,
        noted: note::noted(live),
        authors: authors(&live.object.metadata, live.plugin.kind),
    }
}

/// What a patch led to.
struct Applied {
    /// The plugin with it.
    live: LivePlugin,
    /// Its generation after the patch, which others may have changed since.
    generation: Option<i64>,
    note: Option<Note>,
}

/// Why a patch came to nothing.
enum Failure {
    /// Another writer was first.
    Overtaken,
    /// It will not be accepted as it is.
    Refused(anyhow::Error),
}

/// The failure that decides what happens next: a refusal before an overtaking.
fn worst(results: Vec<Result<Option<i64>, Failure>>) -> Option<Failure> {
    let mut failures: Vec<Failure> = results.into_iter().filter_map(Result::err).collect();
    let refused = failures
        .iter()
        .position(|failure| matches!(failure, Failure::Refused(_)));
    if failures.is_empty() {
        None
    } else {
        Some(failures.swap_remove(refused.unwrap_or(0)))
    }
}

/// Whether a patch is only tried.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Effect {
    None,
    Written,
}
