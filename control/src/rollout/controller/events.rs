//! What happens to Rollouts, in the log and as Kubernetes' Events on them. A line is written at once;
//! Events are said one after another by a task of their own, so that nothing waits for the API
//! server.

use k8s_openapi::api::core::v1::ObjectReference;
use kube::Client;
use kube::Resource as _;
use kube::runtime::events::{Event, EventType, Recorder, Reporter};
use tokio::sync::mpsc;

use crate::rollout::ground::Happened;
use crate::rollout::logged::{Entry, Log, Occasion};
use crate::rollout::object::Rollout;

/// How many Events wait to be said; what comes then is left out. Chosen: a hundred Rollouts that
/// all end a step at once.
const MAX_EVENTS_WAITING: usize = 1_000;

/// How those who say it call themselves.
const REPORTER: &str = "sluice-controller";

/// Where what happened is handed to.
#[derive(Clone, Debug)]
pub(super) struct Events {
    waiting: mpsc::Sender<(Event, ObjectReference)>,
    log: Log,
}

/// What says Events.
pub(super) struct Saying {
    recorder: Recorder,
    waiting: mpsc::Receiver<(Event, ObjectReference)>,
}

impl Events {
    /// And what says them.
    pub(super) fn new(client: Client, instance: String, log: Log) -> (Self, Saying) {
        let (sender, receiver) = mpsc::channel(MAX_EVENTS_WAITING);
        let controller = REPORTER.to_owned();
        let instance = Some(instance);
        let reporter = Reporter {
            controller,
            instance,
        };
        let recorder = Recorder::new(client, reporter);
        let events = Self {
            waiting: sender,
            log,
        };
        let waiting = receiver;
        (events, Saying { recorder, waiting })
    }

    /// Logs what happened to a Rollout, and has it said.
    pub(super) fn tell(&self, rollout: &Rollout, happened: &Happened<'_>) {
        let namespace = rollout.metadata.namespace.as_deref().unwrap_or_default();
        self.log.write(Entry {
            occasion: Occasion::Rollout(happened.event),
            rollout: Some((namespace, happened.rollout)),
            run: happened.run,
            step: happened.step,
            message: happened.message,
        });
        let reason = happened.event.reason();
        // Events of one reason and action are counted as one: each step has its own.
        let action = match happened.step {
            Some(step) => format!("Run{}Step{step}", happened.run),
            None => "Wait".to_owned(),
        };
        let event = Event {
            type_: match happened.event.is_warning() {
                true => EventType::Warning,
                false => EventType::Normal,
            },
            reason,
            note: Some(happened.message.to_owned()),
            action,
            secondary: None,
        };
        // Where too many wait, the status still says it.
        let _ = self.waiting.try_send((event, rollout.object_ref(&())));
    }
}

impl Events {
    /// Logs what is about no Rollout.
    pub(super) fn log(&self, entry: Entry<'_>) {
        self.log.write(entry);
    }

    /// Has an Event said of anything.
    pub(super) fn say_of(&self, event: Event, about: ObjectReference) {
        // Where too many wait, the log still says it.
        let _ = self.waiting.try_send((event, about));
    }
}

impl Saying {
    /// Says them until every sender is gone.
    pub(super) async fn say(mut self) {
        while let Some((event, about)) = self.waiting.recv().await {
            // An Event that cannot be said must stop nothing; the status has the same words.
            let _ = self.recorder.publish(&event, &about).await;
        }
    }
}
