//! Messages about uses of the controller's key: each to every receiver that the controller was started
//! with, tried again as a Rollout's messages are, but kept in memory alone.

use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use serde_json::json;
use tokio::sync::mpsc;
use tokio::task::JoinSet;

use super::notifications::message::{Letter, Mood};
use super::notifications::queue::{MAX_ATTEMPTS, MAX_RETRY_AFTER_SECONDS, Outcome};
use super::notifications::{Receiver, Sender};
use super::outbound::Outbound;
use super::secrets::OfThisMachine;
use crate::brake::key::uses::Use;

/// How many uses of the key wait to be told of; of more, only the log says them; see docs/limits.md.
pub const MAX_ALARMS: usize = 64;

/// The first pause between two tries; the next ones are twice as long each, up to the longest.
const FIRST_PAUSE: Duration = Duration::from_secs(5);

/// The longest pause of ours.
const LONGEST_PAUSE: Duration = Duration::from_secs(600);

/// What tells of uses.
#[derive(Debug)]
pub struct Alarms {
    /// Who is told.
    pub receivers: Vec<Receiver>,
    /// By what.
    pub outbound: Outbound,
    /// By whose clock.
    pub clock: fn() -> Timestamp,
}

impl Alarms {
    /// Tells of each use until no more can come.
    pub async fn tell(self, mut uses: mpsc::Receiver<Use>, say: impl Fn(&str)) {
        let all = Arc::new(self);
        let mut underway = JoinSet::new();
        loop {
            // While so many are on their way, others wait in the channel.
            let may_take = underway.len() < MAX_ALARMS;
            let used = tokio::select! {
                Some(told) = underway.join_next() => {
                    if let Ok(Err(why)) = told {
                        say(&format!("nobody is told of a use of the key: {why}"));
                    }
                    continue;
                }
                used = uses.recv(), if may_take => used,
            };
            let Some(used) = used else {
                return;
            };
            for receiver in all.receivers.clone() {
                let (all, letter, key) = (Arc::clone(&all), letter(&used), used.name.clone());
                underway.spawn(async move { all.deliver(&receiver, &letter, &key).await });
            }
        }
    }

    /// Sends one message until it is received, or never will be.
    async fn deliver(&self, receiver: &Receiver, letter: &Letter, key: &str) -> Result<(), String> {
        let sender = Sender::new(&self.outbound, &OfThisMachine);
        let mut pause = FIRST_PAUSE;
        let mut tried = 1;
        loop {
            let outcome = sender.post(receiver, letter, key, (self.clock)()).await;
            let after = match outcome {
                Outcome::Sent => return Ok(()),
                Outcome::Never { why } => return Err(why),
                Outcome::Later { why, .. } if tried >= MAX_ATTEMPTS => return Err(why),
                Outcome::Later { after, .. } => after.unwrap_or_default(),
            };
            let after = after.min(Duration::from_secs(MAX_RETRY_AFTER_SECONDS));
            tokio::time::sleep(pause.max(after)).await;
            pause = (pause * 2).min(LONGEST_PAUSE);
            tried += 1;
        }
    }
}

/// What is told of a use.
fn letter(used: &Use) -> Letter {
    let Use {
        pull,
        name,
        peer,
        at,
    } = used;
    let challenger = pull.challenger.as_deref().unwrap_or("every challenger");
    Letter {
        word: "Braked by the controller's key",
        name: pull.plugin().to_string(),
        text: pull.reason.clone().unwrap_or_default(),
        facts: format!(
            "split {}, {challenger}, by {} from {peer}",
            pull.split, pull.by
        ),
        mood: Mood::Bad,
        kind: "brake.pulled".to_owned(),
        at: *at,
        data: json!({
            "brake": name,
            "namespace": pull.namespace,
            "plugin": pull.plugin,
            "split": pull.split,
            "challenger": pull.challenger,
            "by": pull.by,
            "from": peer,
            "reason": pull.reason,
        }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::brake::key::request::Pull;
    use crate::rollout::notifications::Kind;
    use crate::rollout::outbound::receiver::{Does, Server};
    use serde_json::Value;

    fn used() -> Use {
        Use {
            pull: Pull {
                namespace: "shop".to_owned(),
                plugin: "sluice".to_owned(),
                split: "web".to_owned(),
                challenger: Some("canary".to_owned()),
                by: "ann".to_owned(),
                reason: Some("errors".to_owned()),
            },
            name: "key-0".to_owned(),
            peer: "10.0.0.9:4000".to_owned(),
            at: "2026-01-01T00:00:30Z".parse().unwrap(),
        }
    }

    /// Tells of one use until everybody is told or nobody will be; what is said of that.
    async fn told(kind: Kind, url: &str) -> Vec<String> {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("url");
        std::fs::write(&file, url).unwrap();
        let alarms = Alarms {
            receivers: vec![Receiver::of_file(kind, file)],
            outbound: Outbound::new().unwrap(),
            clock: || Timestamp::UNIX_EPOCH,
        };
        let letter = letter(&used());
        let told = alarms.deliver(&alarms.receivers[0], &letter, "key-0").await;
        told.err().into_iter().collect()
    }

    fn answers(status: u16, text: &str) -> Does {
        Does::Answers(status, "", text.to_owned())
    }

    #[tokio::test]
    async fn each_kind_of_receiver_is_told_who_braked_what_and_why() {
        let good = [answers(200, r#"{"errcode":0}"#)];
        let mut bodies = Vec::new();
        for kind in [Kind::Slack, Kind::WeCom, Kind::Webhook] {
            let server = Server::that(&good).await;
            assert_eq!(
                told(kind, &server.url("s3cret")).await,
                Vec::<String>::new()
            );
            let received = server.received().remove(0);
            bodies.push(serde_json::from_str::<Value>(&received.body).unwrap());
        }
        let facts = "split web, canary, by ann from 10.0.0.9:4000";
        assert_eq!(
            bodies[0]["text"],
            "Braked by the controller's key: shop/sluice: errors"
        );
        assert_eq!(
            bodies[1]["markdown"]["content"],
            format!(
                "**<font color=\"warning\">Braked by the controller's key</font>** shop/sluice\nerrors\n> {facts}"
            )
        );
        assert_eq!(
            bodies[2],
            json!({
                "type": "brake.pulled",
                "timestamp": "2026-01-01T00:00:30Z",
                "data": {
                    "brake": "key-0", "namespace": "shop", "plugin": "sluice", "split": "web",
                    "challenger": "canary", "by": "ann", "from": "10.0.0.9:4000", "reason": "errors",
                },
            })
        );
    }

    #[tokio::test]
    async fn who_cannot_be_told_is_said_without_the_address() {
        let server = Server::that(&[answers(404, "no_service")]).await;
        let said = told(Kind::Slack, &server.url("s3cret")).await.concat();
        assert!(said.ends_with("/url): answered 404: no_service"), "{said}");
        assert!(!said.contains("s3cret"), "{said}");
    }

    #[tokio::test]
    async fn uses_are_told_of_until_no_more_can_come() {
        let server = Server::that(&[answers(400, "")]).await;
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("url");
        std::fs::write(&file, server.url("s3cret")).unwrap();
        let alarms = Alarms {
            receivers: vec![Receiver::of_file(Kind::Webhook, file)],
            outbound: Outbound::new().unwrap(),
            clock: || Timestamp::UNIX_EPOCH,
        };
        let (sender, uses) = mpsc::channel(MAX_ALARMS);
        let said = std::sync::Mutex::new(Vec::new());
        let (heard, mut lines) = mpsc::unbounded_channel();
        sender.send(used()).await.unwrap();
        let ending = async move {
            lines.recv().await.unwrap();
            drop(sender);
        };
        let say = |line: &str| {
            said.lock().unwrap().push(line.to_owned());
            heard.send(()).unwrap();
        };
        tokio::join!(alarms.tell(uses, say), ending);
        let said = said.into_inner().unwrap();
        assert_eq!((said.len(), server.received().len()), (1, 1));
        assert!(
            said[0].starts_with("nobody is told of a use of the key: webhook (file "),
            "{said:?}"
        );
    }
}
