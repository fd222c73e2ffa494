//! Writes that wait for their turn: split by split by server-side apply, each on what it was decided
//! on; where another writer came first (409), it is decided again on what that one wrote.

use std::time::{Duration, Instant};

use futures::future::OptionFuture;
use kube::api::{Patch, PatchParams};
use tower::retry::backoff::Backoff as _;

use super::doubt::{Found, is_doubtful};
use super::native::follow;
use super::pauses::pauses;
use super::split_change::{SplitChange, changes, conflict, conflicting};
use super::{Kubernetes, MAX_PAUSE, MIN_PAUSE, nothing_written, revisions, snapshot};
use crate::cluster::managed_fields;
use crate::cluster::plugins::{self, LivePlugin};
use crate::store::{Decide, Manner, Note, OthersFields, Snapshot, Updated, Write, WriteError};

/// How long a write tries to get its turn among other writers. Chosen: a turn takes some
/// milliseconds.
const PATIENCE: Duration = Duration::from_secs(20);

impl Kubernetes {
    /// Reads, decides, writes, as often as it takes until nobody writes in between.
    pub(super) async fn update_in_turn(
        &self,
        manner: Manner,
        decide: &mut Decide<'_>,
    ) -> anyhow::Result<Updated> {
        let began = Instant::now();
        let mut pauses = pauses(MIN_PAUSE, MAX_PAUSE);
        loop {
            let (live, name, unlisted) = self.seen(PATIENCE).await?;
            let live = plugins::certain((live, unlisted))?;
            let before = snapshot(&live);
            let Some(mut write) = decide(&before)? else {
                return Ok(nothing_written(before, Vec::new()));
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
        let (results, found, last) = self
            .apply_in_turn(live, &changes, manner.others_fields)
            .await;
        let applied: Vec<(&SplitChange, Option<i64>)> = changes
            .iter()
            .zip(&results)
            .filter_map(|(change, result)| Some((change, *result.as_ref().ok()?)))
            .collect();
        let remembering = revisions::record(&self.cluster, live, before, &applied);
        let following = OptionFuture::from(last.as_ref().map(|now| follow(&self.cluster, now)));
        let (mut notes, followed) = tokio::join!(remembering, following);
        notes.extend(found);
        notes.extend(followed.into_iter().flatten());
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
    /// effect first, so that a refusal of one changes none. Also says what the plugin is then.
    async fn apply_in_turn(
        &self,
        live: &LivePlugin,
        changes: &[SplitChange],
        others_fields: OthersFields,
    ) -> (
        Vec<Result<Option<i64>, Failure>>,
        Vec<Note>,
        Option<LivePlugin>,
    ) {
        if changes.len() > 1 {
            for change in changes {
                if let Err(failure) = self.apply(live, change, others_fields, Effect::None).await {
                    return (vec![Err(failure)], Vec::new(), None);
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
        (results, notes, last)
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
