//! What happens to Rollouts, as Kubernetes' Events on them and in the log: said one after another by
//! a task of their own, so that no run waits for them.

use k8s_openapi::api::core::v1::ObjectReference;
use kube::Client;
use kube::Resource as _;
use kube::runtime::events::{Event, EventType, Recorder, Reporter};
use tokio::sync::mpsc;

use crate::rollout::engine::EventKind;
use crate::rollout::ground::Happened;
use crate::rollout::logged::{Entry, Occasion};
use crate::rollout::object::Rollout;

/// How many Events wait to be said; what comes then is left out. Chosen: a hundred Rollouts that
/// all end a step at once.
const MAX_EVENTS_WAITING: usize = 1_000;

/// How those who say it call themselves.
const REPORTER: &str = "sluice-controller";

/// Where Events are handed to.
#[derive(Clone, Debug)]
pub(super) struct Events(mpsc::Sender<Waiting>);

/// An Event that waits to be said.
struct Waiting {
    event: Event,
    about: ObjectReference,
    kind: EventKind,
    run: u64,
    step: Option<usize>,
}

/// What says Events.
pub(super) struct Saying {
    recorder: Recorder,
    waiting: mpsc::Receiver<Waiting>,
}

impl Events {
    /// And what says them.
    pub(super) fn new(client: Client, instance: String) -> (Self, Saying) {
        let (sender, waiting) = mpsc::channel(MAX_EVENTS_WAITING);
        let controller = REPORTER.to_owned();
        let instance = Some(instance);
        let reporter = Reporter {
            controller,
            instance,
        };
        let recorder = Recorder::new(client, reporter);
        (Self(sender), Saying { recorder, waiting })
    }

    /// Says what happened to a Rollout.
    pub(super) fn tell(&self, rollout: &Rollout, happened: &Happened<'_>) {
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
        let _ = self.0.try_send(Waiting {
            event,
            about: rollout.object_ref(&()),
            kind: happened.event,
            run: happened.run,
            step: happened.step,
        });
    }
}

impl Saying {
    /// Says them, and logs each, until every sender is gone.
    pub(super) async fn say(mut self, log: impl Fn(Entry<'_>)) {
        while let Some(waiting) = self.waiting.recv().await {
            let about = &waiting.about;
            let named = (about.namespace.as_deref(), about.name.as_deref());
            log(Entry {
                occasion: Occasion::Rollout(waiting.kind),
                rollout: Some((named.0.unwrap_or_default(), named.1.unwrap_or_default())),
                run: waiting.run,
                step: waiting.step,
                message: waiting.event.note.as_deref().unwrap_or_default(),
            });
            // An Event that cannot be said must stop nothing; the status has the same words.
            let _ = self.recorder.publish(&waiting.event, about).await;
        }
    }
}
