//! The messages of a Rollout on their way: which events become messages, and sending them beside
//! the run, which never waits for a receiver.

use std::sync::Arc;

use jiff::Timestamp;
use tokio::task::JoinSet;

use super::definition::Definition;
use super::engine::{Event, EventKind};
use super::notifications::message::{Message, Subject};
use super::notifications::queue::{Due, Outcome, Queue};
use super::notifications::{Receiver, Sender};
use super::outbound::Outbound;
use super::resource;
use super::secrets::SecretReader;
use super::status::Status;

/// Messages that are being sent.
#[derive(Debug, Default)]
pub struct Letters(JoinSet<(Due, Outcome)>);

impl Letters {
    /// Sends what is due; the status is kept before the first of them leaves.
    pub fn send(
        &mut self,
        due: Vec<Due>,
        definition: &Definition,
        subject: &Subject,
        outbound: &Outbound,
        secrets: &Arc<dyn SecretReader>,
        now: Timestamp,
    ) {
        for due in due {
            let receivers = definition.receivers.iter();
            let mut receivers = receivers.filter(|receiver| receiver.id() == due.to);
            let Some(receiver) = receivers.next().cloned() else {
                continue;
            };
            let (subject, outbound) = (subject.clone(), outbound.clone());
            let secrets = Arc::clone(secrets);
            self.0.spawn(async move {
                let sender = Sender::new(&outbound, &*secrets);
                let outcome = sender.send(&receiver, &subject, &due, now).await;
                (due, outcome)
            });
        }
    }

    /// Whether any has left and is not settled yet.
    pub fn are_underway(&self) -> bool {
        !self.0.is_empty()
    }

    /// Takes note of what was sent meanwhile.
    pub fn settle(&mut self, queue: &mut Queue, now: Timestamp) {
        while let Some(sent) = self.0.try_join_next() {
            if let Ok((due, outcome)) = sent {
                queue.settle(&due, &outcome, now);
            }
        }
    }
}

/// Puts messages of events in for whoever wants to be told.
pub fn put(status: &mut Status, definition: &Definition, events: &[Event], now: Timestamp) {
    for event in events {
        let Some(kind) = kind(event.kind) else {
            continue;
        };
        let told = definition
            .receivers
            .iter()
            .filter(|receiver| receiver.is_told(kind));
        let told: Vec<String> = told.map(Receiver::id).collect();
        if told.is_empty() {
            continue;
        }
        let run = status.run.as_ref();
        let step = run.and_then(|run| definition.steps.get(run.step));
        let message = Message {
            event: kind,
            at: now,
            run: event.run,
            version: run.and_then(|run| run.version.clone()),
            step: run.map(|run| run.step + 1),
            steps: Some(definition.steps.len()),
            weight: step.map(|step| step.weight.as_f64()),
            text: event.message.clone(),
        };
        status.messages.put(&message, told);
    }
}

/// As whom people are told of an event, if they are.
const fn kind(kind: EventKind) -> Option<resource::Event> {
    match kind {
        EventKind::Started => Some(resource::Event::Started),
        EventKind::Stepped => Some(resource::Event::Stepped),
        EventKind::Paused => Some(resource::Event::Paused),
        EventKind::Resumed => Some(resource::Event::Resumed),
        EventKind::Blocked => Some(resource::Event::Blocked),
        EventKind::ApprovalWanted => Some(resource::Event::Waiting),
        EventKind::RolledBack => Some(resource::Event::RolledBack),
        EventKind::Aborted => Some(resource::Event::Aborted),
        EventKind::Superseded => Some(resource::Event::Superseded),
        EventKind::Succeeded => Some(resource::Event::Succeeded),
        EventKind::Unfollowed => Some(resource::Event::Failed),
        EventKind::Converged
        | EventKind::Passed
        | EventKind::Waiting
        | EventKind::RollingBack
        | EventKind::Refused
        | EventKind::Unkept => None,
    }
}
