//! What was braked by the key becomes an object as soon as the API server takes it; from then on that is
//! what counts, and whoever releases or deletes it ends the brake.

use std::sync::Arc;
use std::time::Duration;

use futures::future::join_all;
use k8s_openapi::api::core::v1::ObjectReference;
use kube::Resource as _;
use kube::api::{Api, PostParams};
use kube::runtime::events::{Event, EventType, Recorder, Reporter};

use super::held::Shelf;
use super::uses::Use;
use crate::brake::object::Brake;
use crate::brake::watching::brakes;
use crate::cluster::{Cluster, code, words};
use crate::operations::Caller;

/// The shortest and the longest pause between two tries.
const PAUSES: [Duration; 2] = [Duration::from_secs(1), Duration::from_secs(5)];

/// How many are written at once.
const AT_ONCE: usize = 8;

/// The longest words of an Event, in characters: they may have a kilobyte.
const LONGEST_NOTE: usize = 250;

/// How those who say Events call themselves.
const REPORTER: &str = "sluice-controller";

/// What writes them.
#[derive(Debug)]
pub struct Writer {
    /// The cluster.
    pub cluster: Cluster,
    /// What is held.
    pub shelf: Arc<Shelf>,
    /// By whose clock.
    pub caller: Caller,
    /// What tells this process from other replicas.
    pub instance: String,
}

/// What became of a try.
enum Tried {
    /// There is an object of it, or there cannot be one.
    Settled,
    /// The API server refuses; why.
    Refused(String),
    /// It does not answer; why.
    Silent(String),
}

impl Writer {
    /// Writes until it is no longer awaited.
    pub async fn write(self, say: impl Fn(&str)) {
        let reporter = Reporter {
            controller: REPORTER.to_owned(),
            instance: Some(self.instance.clone()),
        };
        let recorder = Recorder::new(self.cluster.client().clone(), reporter);
        let [shortest, longest] = PAUSES;
        let mut given = self.shelf.given();
        let (mut pause, mut said) = (shortest, String::new());
        loop {
            tokio::select! {
                // Never closed: the shelf is held here.
                _ = given.changed() => {}
                () = tokio::time::sleep(pause) => {}
            }
            let trouble = self.round(&recorder, &say).await;
            pause = match trouble {
                None => shortest,
                Some(_) => (pause * 2).min(longest),
            };
            let trouble = trouble.unwrap_or_default();
            if trouble != said && !trouble.is_empty() {
                say(&format!(
                    "what the key braked is not written yet: {trouble}"
                ));
            }
            said = trouble;
        }
    }

    /// Tries each once; the first trouble.
    async fn round(&self, recorder: &Recorder, say: &impl Fn(&str)) -> Option<String> {
        let mut trouble = None;
        for waiting in self.shelf.waiting().chunks(AT_ONCE) {
            let tries = waiting
                .iter()
                .map(|(brake, used)| self.create(brake, used, recorder, say));
            for tried in join_all(tries).await {
                match tried {
                    Tried::Settled => {}
                    Tried::Refused(why) => trouble = trouble.or(Some(why)),
                    // It will not answer the others either.
                    Tried::Silent(why) => return Some(why),
                }
            }
        }
        for brake in self.shelf.unseen(self.caller.now()) {
            self.look_for(&brake).await;
        }
        trouble
    }

    async fn create(
        &self,
        brake: &Brake,
        used: &Use,
        recorder: &Recorder,
        say: &impl Fn(&str),
    ) -> Tried {
        let mut object = brake.clone();
        object.metadata.creation_timestamp = None;
        let name = &used.name;
        let created = self
            .api(brake)
            .create(&PostParams::default(), &object)
            .await;
        let now = self.caller.now();
        match created {
            Ok(created) => {
                self.shelf.written(name, now);
                say(&format!(
                    "what the key braked is written: Brake {name} of {}",
                    used.pull.what()
                ));
                tell(recorder, used, &created.object_ref(&())).await;
                Tried::Settled
            }
            // Another replica was faster.
            Err(error) if code(&error) == Some(409) => {
                self.shelf.written(name, now);
                Tried::Settled
            }
            Err(error) if lacks_namespace(&error) => {
                self.shelf.end(name, now);
                say(&format!(
                    "the key's brake {name} is over: {}",
                    words(&error)
                ));
                Tried::Settled
            }
            Err(error @ kube::Error::Api(_)) => Tried::Refused(words(&error)),
            Err(error) => Tried::Silent(error.to_string()),
        }
    }

    /// What was written and is not there was deleted before the watch saw it.
    async fn look_for(&self, brake: &Brake) {
        let name = brake.metadata.name.as_deref().unwrap_or_default();
        if let Ok(None) = self.api(brake).get_opt(name).await {
            self.shelf.end(name, self.caller.now());
        }
    }

    fn api(&self, brake: &Brake) -> Api<Brake> {
        brakes(&self.cluster, brake.metadata.namespace.as_deref())
    }
}

/// Whether there is no namespace to write it to, and so no plugin that it could brake.
fn lacks_namespace(error: &kube::Error) -> bool {
    let kube::Error::Api(status) = error else {
        return false;
    };
    let details = status.details.as_ref();
    status.code == 404 && details.is_some_and(|details| details.kind == "namespaces")
}

async fn tell(recorder: &Recorder, used: &Use, about: &ObjectReference) {
    let event = Event {
        type_: EventType::Warning,
        reason: "BrakedByKey".to_owned(),
        note: Some(used.line().chars().take(LONGEST_NOTE).collect()),
        action: "Pull".to_owned(),
        secondary: None,
    };
    // An Event that cannot be said must stop nothing; the log has the same words.
    let _ = recorder.publish(&event, about).await;
}
