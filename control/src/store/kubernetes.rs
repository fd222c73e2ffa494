//! A plugin in a cluster as a store: server-side apply of weights and draws, one field manager a split.
//!
//! A write carries the resourceVersion that it was decided on; where another writer came first (409), it is decided
//! again on what that one wrote. An abort carries none and takes over every field it sets. The last change stands in an
//! annotation of the same patch; the history is [`revisions`]'s.

pub mod revisions;

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use anyhow::bail;
use k8s_openapi::api::authentication::v1::SelfSubjectReview;
use kube::api::{Api, DynamicObject, Patch, PatchParams, PostParams};
use serde_json::{Value, json};

use super::history::Entry;
use super::{Decide, Manner, OthersFields, Snapshot, Store, Updated, Urgency, Write};
use crate::cluster::plugins::{self, Found};
use crate::cluster::{Cluster, code, owned};
use crate::document::Kind;
use crate::weights::Owned;

/// How long a write tries to get its turn among other writers. Chosen: a turn takes some milliseconds.
const PATIENCE: Duration = Duration::from_secs(20);

/// How long an abort waits for its own name; the weights matter more. Chosen: one answer of a healthy API server.
const NAME_PATIENCE: Duration = Duration::from_millis(40);

/// The annotation of a split's last change is `change.sluice.dev/<split>`.
pub const CHANGE: &str = "change.sluice.dev/";

/// The annotation whose edit makes agents fetch the module again.
pub const REFETCH: &str = "sluice.dev/refetch";

/// The field manager of what belongs to no split.
const OWN_MANAGER: &str = "sluice";

/// Which plugin is meant.
#[derive(Clone, Debug)]
enum Target {
    /// The only one of ours in the namespace, or this one in it.
    Found(Option<String>),
    /// This one.
    Known(Kind, String, String),
}

/// A plugin in a cluster.
#[derive(Clone, Debug)]
pub struct Kubernetes {
    cluster: Cluster,
    target: Target,
}

impl Kubernetes {
    /// The plugin of the cluster's namespace with this name, or the only one of ours in it.
    pub const fn new(cluster: Cluster, plugin: Option<String>) -> Self {
        Self { cluster, target: Target::Found(plugin) }
    }

    /// A plugin that was found.
    pub fn of(cluster: Cluster, found: &Found) -> Self {
        let metadata = &found.object.metadata;
        let (namespace, name) = (metadata.namespace.clone(), metadata.name.clone());
        let target = Target::Known(found.plugin.kind, namespace.unwrap_or_default(), name.unwrap_or_default());
        Self { cluster, target }
    }

    /// The cluster that it is in.
    pub const fn cluster(&self) -> &Cluster {
        &self.cluster
    }

    /// The resource now.
    ///
    /// # Errors
    /// When there is none, or it cannot be read.
    pub fn read(&self) -> anyhow::Result<Found> {
        self.cluster.wait(self.find())
    }

    async fn find(&self) -> anyhow::Result<Found> {
        match &self.target {
            Target::Found(named) => plugins::the_one(&self.cluster, named.as_deref()).await,
            Target::Known(kind, namespace, name) => plugins::read(&self.cluster, namespace, *kind, name)
                .await
                .map_err(|error| self.cluster.explain(plugins::title(*kind, namespace, name), error).into()),
        }
    }

    /// Edits an annotation, which makes istiod push the plugin again, and its agents fetch the module if they lack it.
    ///
    /// # Errors
    /// When there is no such plugin, or it may not be written.
    pub fn touch(&self, now: jiff::Timestamp) -> anyhow::Result<Found> {
        self.cluster.wait(async {
            let found = self.find().await?;
            let mut patch = found.plugin.patch(json!({}));
            if let Some(patch) = patch.as_object_mut() {
                patch.remove("spec");
            }
            patch["metadata"]["annotations"] = json!({REFETCH: now.to_string()});
            patch["metadata"]["uid"] = json!(found.object.metadata.uid);
            let parameters = PatchParams::apply(OWN_MANAGER).force();
            let sent = self.api(&found).patch(&name(&found), &parameters, &Patch::Apply(patch)).await;
            sent.map_err(|error| self.cluster.explain(found.plugin.source.clone(), error))?;
            Ok(found)
        })
    }

    fn api(&self, found: &Found) -> Api<DynamicObject> {
        let namespace = found.object.metadata.namespace.as_deref().unwrap_or_default();
        Api::namespaced_with(self.cluster.client().clone(), namespace, &plugins::resource(found.plugin.kind))
    }

    async fn whoami(&self) -> String {
        let api: Api<SelfSubjectReview> = Api::all(self.cluster.client().clone());
        let review = api.create(&PostParams::default(), &SelfSubjectReview::default()).await;
        let name = review.ok().and_then(|review| review.status?.user_info?.username);
        name.or_else(|| std::env::var("USER").ok()).unwrap_or_else(|| "unknown".to_owned())
    }

    /// The plugin, and who asks, read at once.
    async fn read_as(&self, urgency: Urgency) -> anyhow::Result<(Found, String)> {
        let patience = if urgency == Urgency::Now { NAME_PATIENCE } else { PATIENCE };
        let name =
            async { tokio::time::timeout(patience, self.whoami()).await.unwrap_or_else(|_| "unknown".to_owned()) };
        let (found, by) = tokio::join!(self.find(), name);
        Ok((found?, by))
    }

    async fn update_in_cluster(&self, manner: Manner, decide: &mut Decide<'_>) -> anyhow::Result<Updated> {
        let began = Instant::now();
        loop {
            let (found, by) = self.read_as(manner.urgency).await?;
            let before = snapshot(&found);
            let Some(write) = decide(&before)? else {
                return Ok(Updated { before, written: None, notes: Vec::new() });
            };
            let at = jiff::Timestamp::now().round(jiff::Unit::Second)?.to_string();
            let changes = changes(&found, &before, &write, &by, &at);
            let results = match manner.urgency {
                Urgency::Now => self.apply_at_once(&found, &changes).await,
                Urgency::InTurn => self.apply_in_turn(&found, &changes, manner.others_fields).await,
            };
            // Whatever was written is remembered, also where another split's part was not.
            let applied: Vec<(&SplitChange, Option<i64>)> = changes
                .iter()
                .zip(&results)
                .filter_map(|(change, result)| Some((change, *result.as_ref().ok()?)))
                .collect();
            let notes = revisions::record(self.cluster.client(), &found, &applied).await;
            let written: Vec<String> = applied.iter().map(|(change, _)| change.split.clone()).collect();
            match worst(results) {
                None => return Ok(Updated { before, written: Some(write), notes }),
                Some(Failure::Overtaken) if began.elapsed() < PATIENCE => {
                    // Others are writing; a few milliseconds apart, everybody gets a turn.
                    tokio::time::sleep(Duration::from_millis(5 + u64::from(std::process::id() % 20))).await;
                }
                Some(Failure::Overtaken) => bail!(
                    "{}: others have been writing for {} s; nothing was changed, try again",
                    found.plugin.source,
                    PATIENCE.as_secs()
                ),
                Some(Failure::Refused(error)) if written.is_empty() => return Err(error),
                Some(Failure::Refused(error)) => {
                    return Err(
                        error.context(format!("of several splits, only these were changed: {}", written.join(", ")))
                    );
                }
            }
        }
    }

    /// One split after another, each on what the one before it left. Several are tried without effect first, so that a
    /// refusal of one changes none.
    async fn apply_in_turn(
        &self,
        found: &Found,
        changes: &[SplitChange],
        others_fields: OthersFields,
    ) -> Vec<Result<Option<i64>, Failure>> {
        let mut version = found.object.metadata.resource_version.clone();
        let patch_on = |change: &SplitChange, version: &Option<String>| {
            let mut patch = change.patch(found);
            patch["metadata"]["resourceVersion"] = json!(version);
            patch
        };
        if changes.len() > 1 {
            for change in changes {
                let patch = patch_on(change, &version);
                if let Err(failure) = self.apply(found, change, patch, others_fields, Effect::None).await {
                    return vec![Err(failure)];
                }
            }
        }
        let mut results = Vec::new();
        for change in changes {
            let patch = patch_on(change, &version);
            match self.apply(found, change, patch, others_fields, Effect::Written).await {
                Ok(object) => {
                    version.clone_from(&object.metadata.resource_version);
                    results.push(Ok(object.metadata.generation));
                }
                Err(failure) => {
                    results.push(Err(failure));
                    break;
                }
            }
        }
        results
    }

    /// Every split at once, on whatever is there; all are tried.
    async fn apply_at_once(&self, found: &Found, changes: &[SplitChange]) -> Vec<Result<Option<i64>, Failure>> {
        use futures::StreamExt as _;
        let sent = futures::stream::iter(changes)
            .map(|change| self.apply(found, change, change.patch(found), OthersFields::TakeOver, Effect::Written))
            .buffered(8);
        sent.map(|result| result.map(|object| object.metadata.generation)).collect().await
    }

    async fn apply(
        &self,
        found: &Found,
        change: &SplitChange,
        patch: Value,
        others_fields: OthersFields,
        effect: Effect,
    ) -> Result<DynamicObject, Failure> {
        let mut parameters = PatchParams::apply(&format!("{}{}", owned::MANAGER, change.split));
        parameters.force = others_fields == OthersFields::TakeOver;
        parameters.dry_run = effect == Effect::None;
        let sent = self.api(found).patch(&name(found), &parameters, &Patch::Apply(&patch)).await;
        sent.map_err(|error| match error {
            kube::Error::Api(status) if status.code == 409 => match conflicts(&status) {
                conflicts if conflicts.is_empty() => Failure::Overtaken,
                conflicts => Failure::Refused(conflict(found, change, &conflicts)),
            },
            error => Failure::Refused(self.cluster.explain(found.plugin.source.clone(), error).into()),
        })
    }
}

impl Store for Kubernetes {
    fn snapshot(&self) -> anyhow::Result<Snapshot> {
        Ok(snapshot(&self.read()?))
    }

    fn history(&self) -> anyhow::Result<Vec<Entry>> {
        self.cluster.wait(async {
            let found = self.find().await?;
            let entries = revisions::read(self.cluster.client(), &found).await;
            entries.map_err(|error| self.cluster.explain(format!("history of {}", found.plugin.source), error).into())
        })
    }

    fn update(&self, manner: Manner, decide: &mut Decide<'_>) -> anyhow::Result<Updated> {
        self.cluster.wait(self.update_in_cluster(manner, decide))
    }
}

fn snapshot(found: &Found) -> Snapshot {
    let owned = owned::owned(&found.object.metadata, found.plugin.kind, &found.plugin.config);
    Snapshot { plugin: found.plugin.clone(), owned }
}

fn name(found: &Found) -> String {
    found.object.metadata.name.clone().unwrap_or_default()
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
    let refused = failures.iter().position(|failure| matches!(failure, Failure::Refused(_)));
    if failures.is_empty() { None } else { Some(failures.swap_remove(refused.unwrap_or(0))) }
}

/// Whether a patch is only tried.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Effect {
    None,
    Written,
}

/// One split's part of a write.
#[derive(Clone, Debug)]
pub struct SplitChange {
    split: String,
    /// What becomes ours of this split.
    part: Owned,
    /// What is remembered, but for its number.
    entry: Entry,
    /// What was changed since our last change of it, without `sluice`.
    foreign: Option<Entry>,
}

impl SplitChange {
    fn patch(&self, found: &Found) -> Value {
        let mut patch = found.plugin.patch(self.part.to_config());
        let noted = json!({
            "at": self.entry.at, "by": self.entry.by, "command": self.entry.command, "reason": self.entry.reason,
            "changes": self.entry.changes, "after": self.part,
        });
        patch["metadata"]["annotations"] = json!({format!("{CHANGE}{}", self.split): noted.to_string()});
        // Without it, applying to a plugin that is gone would make one.
        patch["metadata"]["uid"] = json!(found.object.metadata.uid);
        patch
    }
}

/// The parts of a write, split by split.
fn changes(found: &Found, before: &Snapshot, write: &Write, by: &str, at: &str) -> Vec<SplitChange> {
    let effective = Owned::of_config(&before.plugin.config);
    let splits: BTreeSet<&String> = write.splits.iter().collect();
    let mut so_far = before.owned.clone();
    let part_of = |owned: &Owned, split: &str| owned.only(split);
    splits
        .into_iter()
        .map(|split| {
            let part = part_of(&write.owned, split);
            so_far.replace(split, &part);
            let after = Owned::of_config(&before.state().with(&so_far));
            let entry = Entry {
                revision: 0,
                at: at.to_owned(),
                by: by.to_owned(),
                command: write.command.clone(),
                reason: write.reason.clone(),
                changes: crate::change::differences(&part_of(&effective, split), &part_of(&after, split)),
                after: so_far.clone(),
            };
            let foreign = foreign(found, split, &before.owned, &effective, at);
            SplitChange { split: split.clone(), part, entry, foreign }
        })
        .collect()
}

/// What the split's annotation says of its last change, against what is in force.
fn foreign(found: &Found, split: &str, owned: &Owned, effective: &Owned, at: &str) -> Option<Entry> {
    let noted = found.object.metadata.annotations.as_ref()?.get(&format!("{CHANGE}{split}"))?;
    let noted: Value = serde_json::from_str(noted).ok()?;
    let recorded: Owned = serde_json::from_value(noted.get("after")?.clone()).ok()?;
    let differs = |change: &crate::change::WeightChange| {
        // Only what we set once: weights of Git's own were never ours to follow.
        recorded.weights.get(split).is_some_and(|split| {
            split.get(&change.audience).is_some_and(|audience| audience.contains_key(&change.challenger))
        })
    };
    let mut changes = crate::change::differences(&recorded, &effective.only(split));
    changes.retain(differs);
    (!changes.is_empty()).then(|| Entry {
        revision: 0,
        at: at.to_owned(),
        by: "unknown".to_owned(),
        command: "(changed without sluice)".to_owned(),
        reason: None,
        changes,
        after: owned.clone(),
    })
}

/// Field and manager of every conflict that a server-side apply met; empty when the resourceVersion was the reason.
fn conflicts(status: &kube::core::Status) -> Vec<(String, String)> {
    let causes = status.details.iter().flat_map(|details| &details.causes);
    let conflicting = causes.filter(|cause| cause.reason == "FieldManagerConflict");
    conflicting
        .map(|cause| {
            let manager = cause.message.split('"').nth(1).unwrap_or(&cause.message);
            (cause.field.trim_start_matches('.').to_owned(), manager.to_owned())
        })
        .collect()
}

fn conflict(found: &Found, change: &SplitChange, conflicts: &[(String, String)]) -> anyhow::Error {
    let lines: Vec<String> = conflicts
        .iter()
        .map(|(field, manager)| format!("{}: {field} was set by field manager {manager:?}", found.plugin.source))
        .collect();
    let changes: Vec<String> = change
        .entry
        .changes
        .iter()
        .map(|change| format!("{}/{} {} -> {}", change.audience, change.challenger, change.from, change.to))
        .collect();
    anyhow::anyhow!(
        "{}; nothing was changed. --force would set it all the same ({}) and take the field over: {} would then get \
         this conflict in turn",
        lines.join("\n"),
        changes.join(", "),
        conflicts.first().map_or("the other", |(_, manager)| manager),
    )
}

/// Whether the account lacks a right, from an API server's answer.
pub(crate) fn is_forbidden(error: &kube::Error) -> bool {
    code(error) == Some(403)
}
