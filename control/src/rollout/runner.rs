//! One Rollout that is run, wherever it is kept: look, ask the engine, keep its status, act; until
//! the engine wants to wait. The foreground and the controller run the same.

use std::time::Duration;

use jiff::Timestamp;
use serde::Serialize;

use super::act::act;
use super::definition::Definition;
use super::engine::{self, Event, EventKind, Wants};
use super::look::{Looked, look};
use super::peers::{Summary, peers};
use super::status::{Phase, Stage, Status};
use super::world::{Command, Failure, ProxiesSeen, World};
use crate::operations::Caller;
use crate::store::Store;

/// The shortest time between two looks. Chosen: a tenth of what people notice.
const BREATH: Duration = Duration::from_millis(100);

/// The most turns of the engine without a breath between them: a step has fewer transitions.
const MAX_TURNS: usize = 16;

/// Where a Rollout is run: its store, and everything else that is looked at or kept.
pub trait Ground: Send + Sync {
    /// The store of the split.
    type Store: Store;

    /// The store of the split.
    fn store(&self) -> &Self::Store;

    /// Keeps a status; once this returns, another host would go on from it.
    ///
    /// # Errors
    /// When it cannot be kept: then nothing is done either.
    fn keep(&self, status: &Status) -> impl Future<Output = anyhow::Result<()>> + Send;

    /// What people asked for.
    ///
    /// # Errors
    /// When it cannot be read.
    fn commands(&self) -> anyhow::Result<Vec<Command>>;

    /// The other Rollouts of the namespace or directory.
    ///
    /// # Errors
    /// When they cannot be read.
    fn others(&self) -> anyhow::Result<Vec<(Summary, Status)>>;

    /// Which proxies follow, and what their guards took out.
    fn proxies(&self, looked: &Looked) -> impl Future<Output = Followed> + Send;

    /// Says what happened.
    fn tell(&self, happened: &Happened<'_>);
}

/// Which proxies follow, and what their guards took out, in words.
#[derive(Clone, Debug, PartialEq)]
pub struct Followed {
    /// Which follow.
    pub seen: ProxiesSeen,
    /// Which took the challenger out.
    pub tripped: Option<String>,
}

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

/// One Rollout that is run.
#[derive(Debug)]
pub struct Runner<G> {
    /// Where it is run.
    pub ground: G,
    /// Its name.
    pub name: String,
    /// What it wants.
    pub definition: Definition,
    /// How far it is.
    pub status: Status,
    failure: Option<Failure>,
}

impl<G: Ground> Runner<G> {
    /// A Rollout as far as it was kept.
    pub const fn new(ground: G, name: String, definition: Definition, status: Status) -> Self {
        Self {
            ground,
            name,
            definition,
            status,
            failure: None,
        }
    }

    /// Turns of the engine until it wants to wait, and how long.
    ///
    /// # Errors
    /// When something of the ground cannot be read or kept; then nothing was done since.
    pub async fn turns(&mut self, caller: &Caller) -> anyhow::Result<Option<Duration>> {
        for _ in 0..MAX_TURNS {
            let now = caller.now();
            let wants = engine::wants(&self.definition, &self.status, now);
            let looked = look(self.ground.store(), &self.definition).await;
            let world = self.world(&wants, &looked, now).await?;
            let advance = engine::advance(&self.definition, &self.status, &world);
            if advance.status != self.status {
                self.ground.keep(&advance.status).await?;
                self.status = advance.status;
            }
            for event in &advance.events {
                self.tell(now, event);
            }
            let has_acted = self.act(caller, &looked, &advance.actions).await;
            if !(advance.is_to_repeat || has_acted) {
                return Ok(wants.look_again.map(|at| pause(at, caller.now())));
            }
        }
        Ok(Some(BREATH))
    }

    /// Whether anything was done.
    async fn act(&mut self, caller: &Caller, looked: &Looked, actions: &[engine::Action]) -> bool {
        let reason = self.reason();
        let (store, definition) = (self.ground.store(), &self.definition);
        for action in actions {
            let acted = act(store, caller, definition, &reason, looked, action).await;
            if let Err(failure) = acted {
                self.failure = Some(failure);
                return false;
            }
        }
        !actions.is_empty()
    }

    /// Why a weight is set, for the history.
    fn reason(&self) -> String {
        let Some(run) = &self.status.run else {
            return format!("Rollout {}", self.name);
        };
        let of = self.definition.steps.len();
        let (number, step) = (run.number, run.step + 1);
        format!("Rollout {}, run {number}, step {step} of {of}", self.name)
    }

    async fn world(
        &mut self,
        wants: &Wants,
        looked: &Looked,
        now: Timestamp,
    ) -> anyhow::Result<World> {
        let followed = if wants.proxies {
            self.ground.proxies(looked).await
        } else {
            Followed {
                seen: ProxiesSeen::NotAsked,
                tripped: None,
            }
        };
        let summary = Summary::of(&self.name, &self.definition);
        Ok(World {
            now,
            split: looked.seen.clone(),
            proxies: followed.seen,
            tripped: followed.tripped,
            round: None,
            closed: None,
            commands: self.ground.commands()?,
            peers: peers(&summary, &self.status, &self.ground.others()?),
            failure: self.failure.take(),
        })
    }

    fn tell(&self, at: Timestamp, event: &Event) {
        let run = self.status.run.as_ref();
        self.ground.tell(&Happened {
            at,
            rollout: &self.name,
            event: event.kind,
            run: event.run,
            phase: self.status.phase,
            step: run.map(|run| run.step + 1),
            message: &event.message,
        });
    }

    /// Whether there is nothing left to run.
    pub fn has_ended(&self) -> bool {
        let run = self.status.run.as_ref();
        let is_over = run
            .is_some_and(|run| run.stage == Stage::Over && run.version == self.definition.version);
        is_over && !self.status.is_start_wanted && !self.status.is_finishing
    }
}

fn pause(until: Timestamp, now: Timestamp) -> Duration {
    let left = Duration::try_from(until.duration_since(now)).unwrap_or_default();
    left.clamp(BREATH, engine::LOOK_EVERY)
}
