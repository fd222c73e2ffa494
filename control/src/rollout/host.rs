//! Running Rollouts: look, ask the engine, keep its status, act; again and again until every run
//! has ended. The foreground's host; what it keeps is all that another process needs to go on.

use std::path::Path;
use std::time::Duration;

use futures::future::join_all;
use jiff::Timestamp;
use serde::Serialize;

use super::act::act;
use super::definition::Definition;
use super::engine::{self, Event, EventKind, Wants};
use super::kept::{Keeper, Kept};
use super::look::{Looked, look};
use super::manifest::Manifest;
use super::peers::{Summary, peers};
use super::status::{Phase, Stage, Status};
use super::world::{Command, Failure, ProxiesSeen, Verb, World};
use crate::operations::Caller;
use crate::operations::status::directory;
use crate::store::directory::Directory;

/// The shortest time between two looks. Chosen: a tenth of what people notice.
const BREATH: Duration = Duration::from_millis(100);

/// The most turns of the engine without a breath between them: a step has fewer transitions.
const MAX_TURNS: usize = 16;

/// What happened, with where and when.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Happened<'h> {
    /// When.
    pub at: Timestamp,
    /// The Rollout.
    pub rollout: &'h str,
    /// What kind of thing.
    pub event: EventKind,
    /// The run's number; 0 before the first.
    pub run: u64,
    /// What the Rollout does now.
    pub phase: Phase,
    /// The step, counting from 1.
    pub step: Option<usize>,
    /// In a sentence.
    pub message: &'h str,
}

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
        runners.push(Runner::new(directory, caller, manifest, &keeper, tell)?);
    }
    let ended = join_all(runners.iter_mut().map(Runner::until_the_end)).await;
    ended.into_iter().collect()
}

/// One Rollout that is run.
struct Runner<'r> {
    directory: &'r Directory,
    caller: &'r Caller,
    keeper: &'r Keeper<'r>,
    name: &'r str,
    definition: &'r Definition,
    summary: Summary,
    tell: &'r Tell<'r>,
    status: Status,
    failure: Option<Failure>,
    /// Whether a run is to begin although no version says so.
    is_start_wanted: bool,
    _lock: std::fs::File,
}

impl<'r> Runner<'r> {
    fn new(
        directory: &'r Directory,
        caller: &'r Caller,
        manifest: &'r Manifest,
        keeper: &'r Keeper<'r>,
        tell: &'r Tell<'r>,
    ) -> anyhow::Result<Self> {
        let lock = keeper.hold(&manifest.name)?;
        let kept = keeper.kept(&manifest.name)?;
        let status = kept.map(|kept| kept.status).unwrap_or_default();
        let is_start_wanted = manifest.definition.version.is_none() && !status.phase.is_under_way();
        let runner = Self {
            directory,
            caller,
            keeper,
            name: &manifest.name,
            definition: &manifest.definition,
            summary: Summary::of(&manifest.name, &manifest.definition),
            tell,
            status,
            failure: None,
            is_start_wanted,
            _lock: lock,
        };
        // Others of a group wait for it from now on.
        runner.keep()?;
        Ok(runner)
    }

    fn keep(&self) -> anyhow::Result<()> {
        self.keeper.keep(&Kept {
            rollout: self.summary.clone(),
            status: self.status.clone(),
        })
    }

    async fn until_the_end(&mut self) -> anyhow::Result<Status> {
        if self.is_start_wanted {
            self.status.is_start_wanted = true;
        }
        loop {
            let wants = self.turns().await?;
            if self.has_ended() {
                return Ok(self.status.clone());
            }
            tokio::time::sleep(self.pause(&wants)).await;
        }
    }

    /// Turns of the engine until it wants to wait.
    async fn turns(&mut self) -> anyhow::Result<Wants> {
        for _ in 0..MAX_TURNS {
            let now = self.caller.now();
            let wants = engine::wants(self.definition, &self.status, None, now);
            let looked = look(self.directory, self.definition).await;
            let world = self.world(&wants, &looked, now).await?;
            let advance = engine::advance(self.definition, &self.status, &world);
            if advance.status != self.status {
                self.status = advance.status;
                self.keep()?;
            }
            for event in &advance.events {
                self.tell(now, event);
            }
            let mut has_acted = false;
            for action in &advance.actions {
                let reason = self.reason();
                let acted = act(
                    self.directory,
                    self.caller,
                    self.definition,
                    &reason,
                    &looked,
                    action,
                );
                self.failure = acted.await.err();
                has_acted = self.failure.is_none();
                if !has_acted {
                    break;
                }
            }
            if !(advance.is_to_repeat || has_acted) {
                return Ok(wants);
            }
        }
        Ok(Wants::default())
    }

    /// Why a weight is set, for the history.
    fn reason(&self) -> String {
        let run = self.status.run.as_ref();
        run.map_or_else(
            || format!("Rollout {}", self.name),
            |run| {
                let of = self.definition.steps.len();
                let (number, step) = (run.number, run.step + 1);
                format!("Rollout {}, run {number}, step {step} of {of}", self.name)
            },
        )
    }

    async fn world(
        &mut self,
        wants: &Wants,
        looked: &Looked,
        now: Timestamp,
    ) -> anyhow::Result<World> {
        let others = self.keeper.all()?.into_iter();
        let others: Vec<_> = others.map(|kept| (kept.rollout, kept.status)).collect();
        let (proxies, tripped) = if wants.proxies {
            self.proxies().await
        } else {
            (ProxiesSeen::NotAsked, None)
        };
        Ok(World {
            now,
            split: looked.seen.clone(),
            proxies,
            tripped,
            is_analysed: false,
            verdict: None,
            closed: None,
            commands: self.commands()?,
            peers: peers(&self.summary, &self.status, &others),
            failure: self.failure.take(),
        })
    }

    fn commands(&self) -> anyhow::Result<Vec<Command>> {
        self.keeper.commands(self.name)
    }

    async fn proxies(&self) -> (ProxiesSeen, Option<String>) {
        let status = match directory::status(self.directory).await {
            Ok(status) => status,
            Err(error) => {
                let why = format!("{error:#}");
                return (ProxiesSeen::Unknown { why }, None);
            }
        };
        let tripped = status.tripped.first().map(ToString::to_string);
        let seen = match &status.revision_in_force {
            None => ProxiesSeen::Nobody,
            Some(_) => ProxiesSeen::Seen {
                converged: usize::from(status.is_converged()),
                total: 1,
                lagging: "Envoy".to_owned(),
            },
        };
        (seen, tripped)
    }

    fn tell(&self, at: Timestamp, event: &Event) {
        let run = self.status.run.as_ref();
        (self.tell)(&Happened {
            at,
            rollout: self.name,
            event: event.kind,
            run: event.run,
            phase: self.status.phase,
            step: run.map(|run| run.step + 1),
            message: &event.message,
        });
    }

    /// Whether there is nothing left to run.
    fn has_ended(&self) -> bool {
        let run = self.status.run.as_ref();
        let is_over = run
            .is_some_and(|run| run.stage == Stage::Over && run.version == self.definition.version);
        is_over && !self.status.is_start_wanted && !self.status.is_finishing
    }

    fn pause(&self, wants: &Wants) -> Duration {
        let now = self.caller.now();
        let until = wants.look_again.map(|at| at.duration_since(now));
        let until = until.and_then(|until| Duration::try_from(until).ok());
        until
            .unwrap_or(engine::LOOK_EVERY)
            .clamp(BREATH, engine::LOOK_EVERY)
    }
}

/// Asks something of a Rollout that a directory keeps.
///
/// # Errors
/// When the directory has no such Rollout, or cannot be written.
pub fn ask(
    directory: &Directory,
    name: &str,
    verb: Verb,
    caller: &Caller,
    reason: Option<&str>,
) -> anyhow::Result<u64> {
    let keeper = Keeper::new(directory);
    if keeper.kept(name)?.is_none() {
        anyhow::bail!(
            "{} has no Rollout {name}; `sluice rollout run -f FILE --dir {}` begins one",
            directory.title(),
            Path::new(directory.path()).display()
        );
    }
    keeper.ask(name, verb, &caller.name, reason)
}
