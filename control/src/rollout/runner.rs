//! One Rollout that is run, wherever it is kept: look, ask the engine, keep its status, act; until
//! the engine wants to wait. The foreground and the controller run the same. `sight` is how it looks,
//! `glance` what it need not look at twice.

mod glance;
mod sight;

use std::time::Duration;

use jiff::Timestamp;

use super::act::{Told, act};
use super::definition::Definition;
use super::engine::{self, Event, EventKind};
use super::entry::Entry;
use super::ground::{Ground, Happened};
use super::letters::{self, Letters};
use super::look::{self, Looked, look};
use super::notifications::Receiver;
use super::notifications::message::Subject;
use super::outbound::Outbound;
use super::peers::Summary;
use super::sources::Source;
use super::status::{Stage, Status, sentence};
use super::workload::kept::Kept;
use super::workload::seen::{Asked, WorkloadSeen};
use super::workload::services;
use super::world::Failure;
use crate::operations::Caller;
use glance::Glance;

/// The shortest time between two looks. Chosen: a tenth of what people notice.
const BREATH: Duration = Duration::from_millis(100);

/// The most turns of the engine without a breath between them: a step has fewer transitions.
const MAX_TURNS: usize = 16;

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
    source: Option<Source>,
    entry: Entry,
    letters: Letters,
    outbound: Outbound,
    trouble: String,
}

impl<G: Ground> Runner<G> {
    /// A Rollout as far as it was kept.
    pub fn new(
        ground: G,
        name: String,
        definition: Definition,
        status: Status,
        outbound: Outbound,
    ) -> Self {
        Self {
            ground,
            name,
            definition,
            status,
            failure: None,
            source: None,
            entry: Entry::default(),
            letters: Letters::default(),
            outbound,
            trouble: String::new(),
        }
    }

    /// Turns of the engine until it wants to wait, and how long.
    ///
    /// # Errors
    /// When a status cannot be kept: then nothing but a rollback was done since.
    pub async fn turns(&mut self, caller: &Caller) -> anyhow::Result<Option<Duration>> {
        let mut former = None;
        for _ in 0..MAX_TURNS {
            let now = caller.now();
            let subject = self.subject();
            let mut glance = Glance::fresh(former.take(), &subject, self.ground.store()).await;
            let workload = self.workload(&glance.looked).await;
            let services = self.services(&glance.looked, workload.as_ref()).await;
            let following = following(&self.definition, workload.as_ref());
            let definition = following.as_ref().unwrap_or(&self.definition);
            let wants = engine::wants(definition, &self.status, now);
            let mut world = self.world(&wants, &mut glance, now, workload).await;
            world.services = services;
            if wants.asks_somebody() {
                glance.last(self.ground.store()).await;
                world.split = glance.looked.seen.clone();
            }
            let looked = &glance.looked;
            let definition = following.as_ref().unwrap_or(&self.definition);
            let mut advance = engine::advance(definition, &self.status, &world);
            letters::put(&mut advance.status, &self.definition, &advance.events, now);
            let is_beginning =
                self.status.under_way().is_none() && advance.status.under_way().is_some();
            let is_taking_back = advance.actions.iter().any(engine::Action::is_taking_back);
            if is_taking_back {
                // Users go back first: nothing that is kept must hold that up.
                self.act(caller, &subject, looked, &advance.actions).await;
            }
            self.keep(advance.status).await?;
            for event in &advance.events {
                self.tell(now, event);
            }
            let has_acted = match is_taking_back {
                true => self.failure.is_none(),
                false => self.act(caller, &subject, looked, &advance.actions).await,
            };
            if is_beginning {
                // Whom it waits for it asks in the next look, which counts as that of a run.
                return Ok(Some(BREATH));
            }
            if !(advance.is_to_repeat || has_acted) {
                self.deliver(looked, caller.now()).await?;
                let letters = self.status.messages.next();
                // What was refused is said in the next look.
                let failed = self.failure.as_ref().map(|_| caller.now());
                let failed = failed.and_then(|now| now.checked_add(engine::LOOK_EVERY).ok());
                let next = [wants.look_again, letters, failed];
                let next = next.into_iter().flatten().min();
                return Ok(next.map(|at| pause(at, caller.now())));
            }
            former = advance.actions.is_empty().then_some(glance);
        }
        Ok(Some(BREATH))
    }

    /// Keeps a status if it is another one.
    async fn keep(&mut self, status: Status) -> anyhow::Result<()> {
        if status != self.status {
            self.ground.keep(&status).await?;
            self.status = status;
        }
        Ok(())
    }

    /// Notes which messages were received, and sends those that are due.
    async fn deliver(&mut self, looked: &Looked, now: Timestamp) -> anyhow::Result<()> {
        let mut status = self.status.clone();
        self.letters.settle(&mut status.messages, now);
        let named: Vec<String> = self.definition.receivers.iter().map(Receiver::id).collect();
        status
            .messages
            .retain(|id| named.iter().any(|named| named == id));
        // A message that is on its way is not sent once more.
        let due = match self.letters.are_underway() {
            true => Vec::new(),
            false => status.messages.take_due(now),
        };
        self.keep(status).await?;
        if due.is_empty() {
            return Ok(());
        }
        let [namespace, _] = self.ground.plugin();
        let variants = looked.variants.as_ref();
        let subject = Subject {
            uid: self.ground.uid(),
            namespace,
            rollout: self.name.clone(),
            split: looked.split.clone(),
            challenger: variants.map_or_else(String::new, |both| both.challenger.clone()),
        };
        let secrets = self.ground.secrets();
        let Self {
            definition,
            outbound,
            letters,
            ..
        } = self;
        letters.send(due, definition, &subject, outbound, &secrets, now);
        Ok(())
    }

    /// Sends the messages that wait, as long as any does and no longer than so long.
    ///
    /// # Errors
    /// When the status cannot be kept.
    pub async fn last_letters(&mut self, caller: &Caller, most: Duration) -> anyhow::Result<()> {
        let subject = self.subject();
        let looked = look(self.ground.store(), &subject).await;
        let until = tokio::time::Instant::now() + most;
        while self.status.messages.next().is_some() && tokio::time::Instant::now() < until {
            self.deliver(&looked, caller.now()).await?;
            tokio::time::sleep(BREATH).await;
        }
        Ok(())
    }

    /// The Deployments of its workload, where it has one.
    async fn workload(&self, looked: &Looked) -> Option<WorkloadSeen> {
        let workload = self.definition.workload.as_ref()?;
        let run = self.status.run.as_ref();
        let is_going_back = run.is_some_and(|run| run.stage == Stage::GoingBack);
        if is_going_back && !looked.seen.is_empty() {
            // Users go back whatever becomes of Deployments.
            return None;
        }
        let kept = self.status.workload.as_ref();
        if kept.is_some_and(|kept| kept.was_handed_back(&workload.deployment)) {
            // It is nobody's but Git's.
            return None;
        }
        let asked = Asked {
            routes: engine::routes(&self.definition, &self.status),
            rightful: kept.and_then(Kept::rightful),
        };
        Some(self.ground.workload(workload, looked, asked).await)
    }

    /// The Services of its workload, where it has some and its Deployments are looked at, or users go back.
    async fn services(&self, looked: &Looked, seen: Option<&WorkloadSeen>) -> services::Seen {
        let run = self.status.run.as_ref();
        // Their clients go back whether a weight can be taken back or not.
        let is_looked = seen.is_some() || run.is_some_and(|run| run.stage == Stage::GoingBack);
        let workload = self.definition.workload.as_ref();
        match workload.filter(|workload| is_looked && !workload.services.is_empty()) {
            Some(workload) => self.ground.services(workload, looked).await,
            None => services::Seen::default(),
        }
    }

    /// Whether anything was done of which more follows at once.
    async fn act(
        &mut self,
        caller: &Caller,
        subject: &look::Subject,
        looked: &Looked,
        actions: &[engine::Action],
    ) -> bool {
        let number = self.status.run.as_ref().map_or(0, |run| run.number);
        let told = Told {
            reason: &self.reason(),
            run: &format!("{} {} {number}", self.ground.uid(), self.name),
        };
        let store = self.ground.store();
        let mut failed = None;
        for action in actions {
            let acted = match action {
                engine::Action::Select(selection) => {
                    // Clients that are not routed by a header go back whatever becomes of the others.
                    let selected = self.ground.select(selection).await;
                    self.failure = self.failure.take().or(selected.err());
                    continue;
                }
                _ if failed.is_some() => continue,
                engine::Action::Workload(action) => self.ground.tend(action).await,
                _ => act(store, caller, subject, &told, looked, action).await,
            };
            failed = acted.err();
        }
        let has_failed = failed.is_some() || self.failure.is_some();
        self.failure = failed.or_else(|| self.failure.take());
        // What becomes of a Deployment is seen in the next look, and done again no sooner.
        let is_slow = |action: &engine::Action| {
            matches!(
                action,
                engine::Action::Workload(_) | engine::Action::Select(_)
            )
        };
        !has_failed && !actions.iter().all(is_slow)
    }

    /// Why a weight is set, for the history.
    fn reason(&self) -> String {
        let Some(run) = &self.status.run else {
            return format!("Rollout {}", self.name);
        };
        let of = self.definition.steps.len();
        let (number, step) = (run.number, run.step + 1);
        let overridden = run.overridden.as_ref();
        let overridden = overridden.filter(|overridden| overridden.step == run.step);
        let overridden = overridden.map_or_else(String::new, |one| format!("; {}", one.by));
        format!(
            "Rollout {}, run {number}, step {step} of {of}{overridden}",
            self.name
        )
    }

    fn summary(&self) -> Summary {
        Summary::of(&self.name, &self.definition)
    }

    fn subject(&self) -> look::Subject {
        look::Subject::of(&self.summary(), &self.status)
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

    /// Says that something of the ground could not be read or kept, once until it is another.
    pub fn trouble(&mut self, caller: &Caller, kind: EventKind, error: &anyhow::Error) {
        let message = sentence(format!("{error:#}; it is tried again"));
        if self.trouble != message {
            let run = self.status.run.as_ref().map_or(0, |run| run.number);
            self.trouble.clone_from(&message);
            self.tell(caller.now(), &Event { kind, run, message });
        }
    }

    /// Whether there is nothing left to run.
    pub fn has_ended(&self) -> bool {
        let run = self.status.run.as_ref();
        let is_over = run
            .is_some_and(|run| run.stage == Stage::Over && run.version == self.definition.version);
        is_over && !self.status.is_start_wanted && !self.status.is_finishing
    }
}

/// A definition whose version is the template of its workload; `None`: as it is written.
fn following(definition: &Definition, seen: Option<&WorkloadSeen>) -> Option<Definition> {
    match seen {
        Some(WorkloadSeen::Seen(both)) => Some(Definition {
            version: Some(both.wanted.version.clone()),
            ..definition.clone()
        }),
        _ => None,
    }
}

fn pause(until: Timestamp, now: Timestamp) -> Duration {
    let left = Duration::try_from(until.duration_since(now)).unwrap_or_default();
    left.clamp(BREATH, engine::LOOK_EVERY)
}

#[cfg(test)]
mod tests;
