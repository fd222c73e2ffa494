//! The foreground: runs the Rollouts of a directory until each has ended. What is kept beside the
//! weights is all that another process needs to go on.

use std::fs::File;
use std::sync::Arc;
use std::time::Duration;

use futures::future::join_all;
use sluice_core::plan::EVERYONE;

use super::analysis::plan::Plan;
use super::commands::Command;
use super::engine::{EventKind, LOOK_EVERY};
use super::ground::{Followed, Ground, Happened};
use super::kept::{Keeper, Kept};
use super::look::Looked;
use super::manifest::Manifest;
use super::outbound::Outbound;
use super::outline::{CheckLine, StepLine};
use super::peers::Summary;
use super::proxies;
use super::runner::Runner;
use super::secrets::{OfThisMachine, SecretReader};
use super::sources::Source;
use super::status::Status;
use crate::local::files::PLUGIN;
use crate::operations::Caller;
use crate::store::AnyStore;
use crate::store::directory::Directory;

/// How long the end of a run waits for its messages. Chosen: two repetitions; beyond that the
/// process that waits for the run matters more than who is told of it.
const LAST_LETTERS: Duration = Duration::from_secs(20);

/// How often in all a run's status may fail to be kept. Chosen: five minutes, a look a second.
const MAX_TROUBLES: usize = 300;

/// How Rollouts are told of.
pub type Tell<'t> = dyn Fn(&Happened<'_>) + Send + Sync + 't;

/// Runs the Rollouts of a directory until each has ended, and answers how each did, in order.
///
/// # Errors
/// When the status of one cannot be read or kept, or another process runs one.
pub async fn run(
    directory: &Directory,
    caller: &Caller,
    manifests: &[Manifest],
    tell: &Tell<'_>,
) -> anyhow::Result<Vec<Status>> {
    let keeper = Keeper::new(directory);
    let mut runners = Vec::with_capacity(manifests.len());
    for manifest in manifests {
        runners.push(runner(directory, &keeper, manifest, tell).await?);
    }
    let ended = runners
        .iter_mut()
        .map(|runner| until_the_end(runner, caller));
    join_all(ended).await.into_iter().collect()
}

async fn runner<'r>(
    directory: &'r Directory,
    keeper: &'r Keeper<'r>,
    manifest: &Manifest,
    tell: &'r Tell<'r>,
) -> anyhow::Result<Runner<Beside<'r>>> {
    let Manifest {
        name, definition, ..
    } = manifest;
    let lock = keeper.hold(name).await?;
    let kept = keeper.kept(name)?;
    let mut status = kept.map(|kept| kept.status).unwrap_or_default();
    if definition.version.is_none() && !status.phase.is_under_way() {
        // Whoever runs it wants a run.
        status.is_start_wanted = true;
    }
    let ground = Beside {
        directory,
        keeper,
        summary: Summary::of(name, definition),
        steps: definition.steps.iter().map(StepLine::of).collect(),
        analysis: definition.analysis.clone(),
        tell,
        _lock: lock,
    };
    // Others of a group wait for it from now on.
    ground.kept(&status)?;
    let outbound = Outbound::new()?;
    let (name, definition) = (name.clone(), definition.clone());
    Ok(Runner::new(ground, name, definition, status, outbound))
}

async fn until_the_end(runner: &mut Runner<Beside<'_>>, caller: &Caller) -> anyhow::Result<Status> {
    let mut troubles = 0;
    loop {
        let pause: Option<Duration> = match runner.turns(caller).await {
            Ok(pause) => pause,
            // A full disk, or a file that somebody spoilt: the run goes on from memory.
            Err(error) if troubles < MAX_TROUBLES => {
                troubles += 1;
                runner.trouble(caller, EventKind::Waiting, &error);
                Some(LOOK_EVERY)
            }
            Err(error) => return Err(error),
        };
        if runner.has_ended() {
            runner.last_letters(caller, LAST_LETTERS).await?;
            return Ok(runner.status.clone());
        }
        tokio::time::sleep(pause.unwrap_or(LOOK_EVERY)).await;
    }
}

/// A Rollout beside the weights of a directory.
struct Beside<'b> {
    directory: &'b Directory,
    keeper: &'b Keeper<'b>,
    summary: Summary,
    steps: Vec<StepLine>,
    analysis: Option<Plan>,
    tell: &'b Tell<'b>,
    _lock: File,
}

impl Beside<'_> {
    fn kept(&self, status: &Status) -> anyhow::Result<()> {
        self.keeper.keep(&Kept {
            rollout: self.summary.clone(),
            steps: self.steps.clone(),
            checks: CheckLine::all(self.analysis.as_ref(), status),
            status: status.clone(),
        })
    }
}

impl Ground for Beside<'_> {
    type Store = Directory;

    fn store(&self) -> &Directory {
        self.directory
    }

    async fn keep(&self, status: &Status) -> anyhow::Result<()> {
        self.kept(status)
    }

    fn commands(&self) -> anyhow::Result<Vec<Command>> {
        self.keeper.commands(&self.summary.name)
    }

    fn others(&self) -> anyhow::Result<Vec<(Summary, Status)>> {
        let all = self.keeper.all()?.into_iter();
        Ok(all.map(|kept| (kept.rollout, kept.status)).collect())
    }

    async fn proxies(&self, looked: &Looked) -> Followed {
        let Some(variants) = &looked.variants else {
            return Followed::not_asked();
        };
        let watched = proxies::Watched {
            split: &self.summary.split,
            // Only whom it reached depends on it.
            audience: EVERYONE,
            challenger: &variants.challenger,
        };
        let mesh = proxies::Mesh {
            prometheus: None,
            root_namespace: "",
        };
        let store = AnyStore::Directory(self.directory.clone());
        Followed::of(proxies::proxies(&store, mesh, watched).await)
    }

    fn plugin(&self) -> [String; 2] {
        [String::new(), String::new()]
    }

    fn plugin_names(&self) -> Vec<String> {
        vec![PLUGIN.to_owned()]
    }

    fn uid(&self) -> String {
        self.summary.name.clone()
    }

    fn secrets(&self) -> Arc<dyn SecretReader> {
        Arc::new(OfThisMachine)
    }

    fn own_source(&self) -> Result<Source, String> {
        Ok(Source::of_envoy(self.directory.clone()))
    }

    fn tell(&self, happened: &Happened<'_>) {
        (self.tell)(happened);
    }
}
