//! What happens to Rollouts, as Kubernetes' Events on them: said one after another by a task of
//! their own, so that no run waits for them.

use k8s_openapi::api::core::v1::ObjectReference;
use kube::Client;
use kube::Resource as _;
use kube::runtime::events::{Event, EventType, Recorder, Reporter};
use tokio::sync::mpsc;

use crate::rollout::engine::EventKind;
use crate::rollout::ground::Happened;
use crate::rollout::object::Rollout;

/// How many Events wait to be said; what comes then is left out. Chosen: a hundred Rollouts that
/// all end a step at once.
const MAX_EVENTS_WAITING: usize = 1_000;

/// How those who say it call themselves.
const REPORTER: &str = "sluice-controller";

/// Where Events are handed to.
#[derive(Clone, Debug)]
pub(super) struct Events(mpsc::Sender<(Event, ObjectReference)>);

impl Events {
    /// And what says them, until every sender is gone.
    pub(super) fn new(client: Client, instance: String) -> (Self, impl Future<Output = ()>) {
        let (sender, receiver) = mpsc::channel(MAX_EVENTS_WAITING);
        let controller = REPORTER.to_owned();
        let instance = Some(instance);
        let reporter = Reporter {
            controller,
            instance,
        };
        let recorder = Recorder::new(client, reporter);
        (Self(sender), say(recorder, receiver))
    }

    /// Says what happened to a Rollout.
    pub(super) fn tell(&self, rollout: &Rollout, happened: &Happened<'_>) {
        let reason = format!("{:?}", happened.event);
        // Events of one reason and action are counted as one: each step has its own.
        let action = match happened.step {
            Some(step) => format!("Run{}Step{step}", happened.run),
            None => "Wait".to_owned(),
        };
        let event = Event {
            type_: kind(happened.event),
            reason,
            note: Some(happened.message.to_owned()),
            action,
            secondary: None,
        };
        // Where too many wait, the status still says it.
        let _ = self.0.try_send((event, rollout.object_ref(&())));
    }
}

async fn say(recorder: Recorder, mut events: mpsc::Receiver<(Event, ObjectReference)>) {
    while let Some((event, about)) = events.recv().await {
        // An Event that cannot be said must stop nothing; the status has the same words.
        let _ = recorder.publish(&event, &about).await;
    }
}

const fn kind(event: EventKind) -> EventType {
    match event {
        EventKind::Blocked
        | EventKind::Paused
        | EventKind::RollingBack
        | EventKind::RolledBack
        | EventKind::Aborted
        | EventKind::Refused
        | EventKind::Unkept => EventType::Warning,
        _ => EventType::Normal,
    }
}
