//! Messages about runs: who gets them, and how one is sent.
//!
//! [`queue`] is what the host keeps in a Rollout's status: which messages wait for whom. A host keeps
//! the status before it sends, and settles afterwards. A message whose answer is lost is sent again:
//! a webhook's receiver knows it by its `webhook-id`; in Slack and WeCom, which know no such thing,
//! it may stand twice, since an alert that nobody sees is worse.

pub mod message;
pub mod queue;
mod slack;
mod webhook;
mod wecom;

use std::fmt;
use std::path::PathBuf;
use std::time::Duration;

use jiff::Timestamp;
use reqwest::header::HeaderMap;
use secrecy::{ExposeSecret as _, SecretString};
use sha2::{Digest as _, Sha256};
use sluice_core::problem::{Accepted, Problem};

use super::checking;
use super::outbound::{Outbound, Parcel, Reply, Silence};
use super::resource::{self, Endpoint, Event, KeyOf, MAX_RECEIVERS, Notify};
use super::secrets::{Place, SecretReader, Shape, Written};
use message::{Letter, Subject};
use queue::{Due, Outcome};

/// How long a receiver may take to answer; the Standard Webhooks specification recommends 15 to 30 s.
const PATIENCE: Duration = Duration::from_secs(15);

/// A receiver, checked.
#[derive(Clone, Debug, PartialEq)]
pub struct Receiver {
    to: To,
    on: Option<Vec<Event>>,
}

#[derive(Clone, Debug, PartialEq)]
enum To {
    Slack(Place),
    WeCom(Place),
    Webhook {
        url: Address,
        signing: Option<Place>,
    },
}

#[derive(Clone, Debug, PartialEq)]
enum Address {
    Written(Endpoint),
    Kept(Place),
}

/// A kind of receiver whose URL a file of this machine holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Slack, or what takes its incoming webhooks.
    Slack,
    /// A group robot of WeCom.
    WeCom,
    /// A server of one's own.
    Webhook,
}

impl fmt::Display for Receiver {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.to {
            To::Slack(place) => write!(f, "Slack ({place})"),
            To::WeCom(place) => write!(f, "WeCom ({place})"),
            To::Webhook { url, .. } => match url {
                Address::Written(url) => write!(f, "webhook {url}"),
                Address::Kept(place) => write!(f, "webhook ({place})"),
            },
        }
    }
}

impl Receiver {
    /// One whose URL a file of this machine holds, told of everything.
    pub fn of_file(kind: Kind, file: PathBuf) -> Self {
        let url = Place::File(file);
        let to = match kind {
            Kind::Slack => To::Slack(url),
            Kind::WeCom => To::WeCom(url),
            Kind::Webhook => To::Webhook {
                url: Address::Kept(url),
                signing: None,
            },
        };
        Self { to, on: None }
    }

    /// Whether it is told of an event.
    pub fn is_told(&self, event: Event) -> bool {
        match &self.on {
            Some(events) => events.contains(&event),
            None => event != Event::Stepped,
        }
    }

    /// What it is known by in a status: the same for as long as its address is written the same.
    pub fn id(&self) -> String {
        let written = match &self.to {
            To::Webhook {
                url: Address::Written(url),
                ..
            } => url.url().to_string(),
            _ => self.to_string(),
        };
        let digest = Sha256::digest(written);
        digest
            .iter()
            .take(4)
            .map(|byte| format!("{byte:02x}"))
            .collect()
    }
}

/// Checks receivers as they stand at `path`, collecting what is wrong with them.
pub fn checked(path: &str, written: &[Notify], problems: &mut Vec<Problem>) -> Vec<Receiver> {
    if !checking::is_short_list(path, written, MAX_RECEIVERS, problems) {
        return Vec::new();
    }
    let receivers = written.iter().enumerate();
    receivers
        .filter_map(|(index, one)| receiver(&format!("{path}[{index}]"), one, problems))
        .collect()
}

fn receiver(path: &str, written: &Notify, problems: &mut Vec<Problem>) -> Option<Receiver> {
    if written.on.as_ref().is_some_and(Vec::is_empty) {
        let accepted = Accepted::rule("at least one event, or no such field");
        checking::report(&format!("{path}.on"), "an empty list", accepted, problems);
    }
    let to = match (&written.slack, &written.we_com, &written.webhook) {
        (Some(robot), None, None) => {
            To::Slack(robot_url(&format!("{path}.slack"), robot, problems)?)
        }
        (None, Some(robot), None) => {
            To::WeCom(robot_url(&format!("{path}.weCom"), robot, problems)?)
        }
        (None, None, Some(webhook)) => own(&format!("{path}.webhook"), webhook, problems)?,
        (None, None, None) => {
            let one = Accepted::value("slack, weCom or webhook");
            checking::report(path, "no receiver", one, problems);
            return None;
        }
        _ => {
            let one = Accepted::rule("one of slack, weCom, webhook; write another item");
            checking::report(path, "several receivers", one, problems);
            return None;
        }
    };
    let on = written.on.clone();
    Some(Receiver { to, on })
}

fn robot_url(path: &str, written: &resource::Robot, problems: &mut Vec<Problem>) -> Option<Place> {
    let place = kept_url(
        written.secret_ref.as_ref(),
        written.url_file.as_ref(),
        written.url_env.as_ref(),
    );
    let place = place.place(path, problems);
    if place.is_none() {
        let accepted = Accepted::value("secretRef, urlFile or urlEnv");
        checking::report(path, "no URL", accepted, problems);
    }
    place
}

fn own(path: &str, written: &resource::Webhook, problems: &mut Vec<Problem>) -> Option<To> {
    let signing = Written {
        fields: ["signingSecretRef", "signingSecretFile", "signingSecretEnv"],
        secret: written.signing_secret_ref.as_ref(),
        key: "secret",
        file: written.signing_secret_file.as_ref(),
        variable: written.signing_secret_env.as_ref(),
    };
    let signing = signing.place(path, problems);
    let kept = kept_url(
        written.secret_ref.as_ref(),
        written.url_file.as_ref(),
        written.url_env.as_ref(),
    );
    let kept = kept.place(path, problems);
    let url = match (written.url.clone(), kept) {
        (Some(url), None) => Address::Written(url),
        (None, Some(place)) => Address::Kept(place),
        (Some(_), Some(_)) => {
            let one = Accepted::rule("one of url, secretRef, urlFile, urlEnv");
            checking::report(path, "several URLs", one, problems);
            return None;
        }
        (None, None) => {
            let accepted = Accepted::value("url, secretRef, urlFile or urlEnv");
            checking::report(path, "no URL", accepted, problems);
            return None;
        }
    };
    Some(To::Webhook { url, signing })
}

/// Where a URL is kept, as it is written of either kind of receiver.
const fn kept_url<'w>(
    secret: Option<&'w KeyOf>,
    file: Option<&'w String>,
    variable: Option<&'w String>,
) -> Written<'w> {
    Written {
        fields: ["secretRef", "urlFile", "urlEnv"],
        secret,
        key: "url",
        file,
        variable,
    }
}

/// What sends messages.
pub struct Sender<'s> {
    outbound: &'s Outbound,
    secrets: &'s dyn SecretReader,
    patience: Duration,
}

impl<'s> Sender<'s> {
    /// Sends through a client, with secrets that a reader reads.
    pub const fn new(outbound: &'s Outbound, secrets: &'s dyn SecretReader) -> Self {
        Self {
            outbound,
            secrets,
            patience: PATIENCE,
        }
    }

    /// Sends one message about a Rollout to one receiver.
    pub async fn send(
        &self,
        receiver: &Receiver,
        subject: &Subject,
        due: &Due,
        now: Timestamp,
    ) -> Outcome {
        let letter = due.message.letter(subject);
        self.post(receiver, &letter, &due.key(subject), now).await
    }

    /// Sends one message to one receiver, under a key that tells it from all others.
    pub async fn post(
        &self,
        receiver: &Receiver,
        letter: &Letter,
        key: &str,
        now: Timestamp,
    ) -> Outcome {
        let outcome = match self.parcel(receiver, letter, key, now).await {
            Err(why) => Outcome::later(why),
            Ok((url, headers, body)) => {
                let parcel = Parcel {
                    url: url.url(),
                    headers,
                    bearer: None,
                    body,
                    patience: self.patience,
                };
                outcome(&receiver.to, self.outbound.post(parcel).await)
            }
        };
        outcome.said_by(&receiver.to_string())
    }

    /// Where a message goes, and what; or what somebody has to mend first.
    async fn parcel(
        &self,
        receiver: &Receiver,
        letter: &Letter,
        key: &str,
        now: Timestamp,
    ) -> Result<(Endpoint, HeaderMap, Vec<u8>), String> {
        match &receiver.to {
            To::Slack(place) => {
                let body = slack::body(letter);
                Ok((self.endpoint(place).await?, HeaderMap::new(), body))
            }
            To::WeCom(place) => {
                let body = wecom::body(letter);
                Ok((self.endpoint(place).await?, HeaderMap::new(), body))
            }
            To::Webhook { url, signing } => {
                let url = match url {
                    Address::Written(url) => url.clone(),
                    Address::Kept(place) => self.endpoint(place).await?,
                };
                let secret = match signing {
                    Some(place) => Some(self.secret(place).await?),
                    None => None,
                };
                let body = webhook::body(letter);
                let headers = webhook::headers(key, now, &body, secret.as_ref())?;
                Ok((url, headers, body))
            }
        }
    }

    async fn secret(&self, place: &Place) -> Result<SecretString, String> {
        let secret = self.secrets.read(place, Shape::Line).await;
        secret.map_err(|error| error.to_string())
    }

    async fn endpoint(&self, place: &Place) -> Result<Endpoint, String> {
        let secret = self.secret(place).await?;
        Endpoint::new(secret.expose_secret())
            .ok_or_else(|| "what is kept there is no URL".to_owned())
    }
}

/// What an answer means. Its text is never repeated as it is: it may hold the address.
fn outcome(to: &To, reply: Result<Reply, Silence>) -> Outcome {
    let reply = match reply {
        Ok(reply) => reply,
        Err(Silence::Forbidden(why)) => {
            return Outcome::Never {
                why: why.to_string(),
            };
        }
        Err(silence) => return Outcome::later(silence.to_string()),
    };
    let word = match to {
        To::Slack(_) => slack::word(&reply.text),
        To::WeCom(_) | To::Webhook { .. } => None,
    };
    let status = reply.status;
    let why = match word {
        Some(word) => format!("answered {status}: {word}"),
        None => format!("answered {status}"),
    };
    match (status, to) {
        (200..300, To::WeCom(_)) => wecom::outcome(&reply.text),
        (200..300, _) => Outcome::Sent,
        (429 | 500..600, _) => Outcome::Later {
            why,
            after: reply.retry_after,
        },
        _ => Outcome::Never { why },
    }
}

#[cfg(test)]
mod tests;
