//! Rollouts of a directory: kept beside the weights, and run by the process that holds the lock.

use std::fs::File;
use std::sync::Arc;

use anyhow::bail;
use futures::future::join_all;
use parking_lot::Mutex;

use super::{Hopeless, Tell, until_the_end, wanted};
use crate::local::files::PLUGIN;
use crate::operations::Caller;
use crate::rollout::analysis::plan::Plan;
use crate::rollout::commands::{Command, next_number};
use crate::rollout::ground::{Followed, Ground, Happened};
use crate::rollout::kept::{Keeper, Kept};
use crate::rollout::look::Looked;
use crate::rollout::manifest::Manifest;
use crate::rollout::outbound::Outbound;
use crate::rollout::outline::{CheckLine, StepLine};
use crate::rollout::peers::Summary;
use crate::rollout::proxies::{Mesh, proxies};
use crate::rollout::runner::Runner;
use crate::rollout::secrets::{OfThisMachine, SecretReader};
use crate::rollout::sources::Source;
use crate::rollout::status::Status;
use crate::store::AnyStore;
use crate::store::directory::Directory;

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
    let kept = keeper.kept(name)?.map(|kept| kept.status);
    let is_first = kept.is_none();
    let mut status = wanted(definition, kept);
    if is_first {
        // Nobody asks of what is not kept: these were for runs whose file is gone.
        let left = keeper.commands(name).unwrap_or_default();
        status.handled_command = next_number(&left, 0) - 1;
    }
    let ground = Beside {
        directory,
        keeper,
        summary: Summary::of(name, definition),
        steps: definition.steps.iter().map(StepLine::of).collect(),
        analysis: definition.analysis.clone(),
        tell,
        held: Mutex::new((lock, status.clone())),
    };
    // Others of a group wait for it from now on.
    ground.kept(&status)?;
    let outbound = Outbound::new()?;
    let (name, definition) = (name.clone(), definition.clone());
    Ok(Runner::new(ground, name, definition, status, outbound))
}

/// A Rollout beside the weights of a directory.
struct Beside<'b> {
    directory: &'b Directory,
    keeper: &'b Keeper<'b>,
    summary: Summary,
    steps: Vec<StepLine>,
    analysis: Option<Plan>,
    tell: &'b Tell<'b>,
    /// The lock, and what was kept last.
    held: Mutex<(File, Status)>,
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
        let name = &self.summary.name;
        let mut held = self.held.lock();
        let (lock, last) = &mut *held;
        if self.keeper.is_lost(name, lock, last)? {
            bail!(Hopeless(self.keeper.run_by_another(name)));
        }
        self.kept(status)?;
        last.clone_from(status);
        Ok(())
    }

    fn commands(&self) -> anyhow::Result<Vec<Command>> {
        self.keeper.commands(&self.summary.name)
    }

    fn others(&self) -> anyhow::Result<Vec<(Summary, Status)>> {
        let all = self.keeper.all()?.into_iter();
        Ok(all.map(|kept| (kept.rollout, kept.status)).collect())
    }

    async fn proxies(&self, looked: &Looked) -> Followed {
        let Some(watched) = looked.watched() else {
            return Followed::not_asked();
        };
        let mesh = Mesh {
            prometheus: None,
            root_namespace: "",
        };
        let store = AnyStore::Directory(self.directory.clone());
        Followed::of(proxies(&store, mesh, watched).await)
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
