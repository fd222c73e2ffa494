//! Which messages wait for whom: part of a Rollout's status, bounded, and pure.
//!
//! A message gets its number when it is put in, together with the change of the status that it is
//! about: whoever repeats that change after a crash puts it in under the same number. What is taken
//! out to be sent counts as tried from then on.

use std::hash::{DefaultHasher, Hash as _, Hasher as _};
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};

use super::message::{Message, Subject};
use crate::rollout::cut::cut;
use crate::rollout::resource::Event;

/// How many messages of a Rollout may wait; beyond it the oldest is given up. Chosen: their place in
/// a status.
pub const MAX_WAITING: usize = 6;

/// How often a message is tried. Chosen: with the pauses between, for one and a half hours.
pub const MAX_ATTEMPTS: u32 = 16;

/// The longest pause that a receiver may ask for, in seconds. Chosen: an alert of yesterday is none.
pub const MAX_RETRY_AFTER_SECONDS: u64 = 3_600;

/// The longest pause between two tries: what a receiver may ask for, which is more than ours.
const LONGEST_PAUSE: Duration = Duration::from_secs(MAX_RETRY_AFTER_SECONDS);

/// The longest sentence about a failure, in bytes.
const LONGEST_TROUBLE: usize = 200;

/// The messages of a Rollout that were not received yet.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Queue {
    /// The number of the last message.
    last: u64,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    waiting: Vec<Waiting>,
    /// How many messages a receiver never got.
    #[serde(skip_serializing_if = "is_zero")]
    lost: u64,
    /// Why a message was not received; empty once all were.
    #[serde(skip_serializing_if = "String::is_empty")]
    trouble: String,
}

fn is_zero(number: &u64) -> bool {
    *number == 0
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Waiting {
    number: u64,
    message: Message,
    to: Vec<Addressee>,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Addressee {
    id: String,
    #[serde(default)]
    attempts: u32,
    next: Timestamp,
}

/// A message to be sent to one receiver.
#[derive(Clone, Debug, PartialEq)]
pub struct Due {
    /// The message's number.
    pub number: u64,
    /// The receiver's id.
    pub to: String,
    /// The message.
    pub message: Message,
}

impl Due {
    /// What tells this message from all others, however often it is sent: uid, run, event, and its
    /// number, since a run may pause twice. Without full stops, which separate what is signed.
    pub fn key(&self, subject: &Subject) -> String {
        let Message { run, event, .. } = &self.message;
        let key = format!("{}-{run}-{}-{}", subject.uid, event.as_str(), self.number);
        key.replace(|one: char| !one.is_ascii_alphanumeric() && one != '-', "_")
    }
}

/// What became of a message that was sent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// It was received.
    Sent,
    /// It may be received another time.
    Later {
        /// Why it was not.
        why: String,
        /// How long the receiver wants to be left alone.
        after: Option<Duration>,
    },
    /// It will not be received.
    Never {
        /// Why not.
        why: String,
    },
}

impl Outcome {
    pub(super) const fn later(why: String) -> Self {
        Self::Later { why, after: None }
    }

    /// The same, with whom it is about.
    pub(super) fn said_by(self, who: &str) -> Self {
        let with = |why: String| cut(&format!("{who}: {why}"), LONGEST_TROUBLE);
        match self {
            Self::Sent => Self::Sent,
            Self::Later { why, after } => Self::Later {
                why: with(why),
                after,
            },
            Self::Never { why } => Self::Never { why: with(why) },
        }
    }
}

impl Queue {
    /// Puts a message in for receivers, which are named by their ids.
    pub fn put(&mut self, message: &Message, to: impl IntoIterator<Item = String>) {
        self.last += 1;
        let mut ids: Vec<String> = to.into_iter().collect();
        ids.sort_unstable();
        ids.dedup();
        let to: Vec<Addressee> = ids
            .into_iter()
            .map(|id| Addressee {
                id,
                attempts: 0,
                next: message.at,
            })
            .collect();
        if to.is_empty() {
            return;
        }
        if self.waiting.len() >= MAX_WAITING {
            self.give_up_one();
        }
        self.waiting.push(Waiting {
            number: self.last,
            message: message.bounded(),
            to,
        });
    }

    /// The oldest step goes first, since the next one says more; else the oldest.
    fn give_up_one(&mut self) {
        let step = |one: &Waiting| one.message.event == Event::Stepped;
        let index = self.waiting.iter().position(step).unwrap_or(0);
        let given_up = self.waiting.remove(index);
        self.lost += given_up.to.len() as u64;
        self.trouble = "too many messages wait; the oldest was given up".to_owned();
    }

    /// What is to be sent now. It counts as tried: keep the status before it is sent.
    pub fn take_due(&mut self, now: Timestamp) -> Vec<Due> {
        let mut due = Vec::new();
        for waiting in &mut self.waiting {
            let Waiting {
                number,
                message,
                to,
            } = waiting;
            // What is further away than any pause was written by a clock that was ahead.
            let longest = later(now, LONGEST_PAUSE);
            let is_due = |one: &&mut Addressee| one.next <= now || one.next > longest;
            for addressee in to.iter_mut().filter(is_due) {
                addressee.attempts += 1;
                let pause = pause(addressee, *number);
                addressee.next = later(now, pause);
                due.push(Due {
                    number: *number,
                    to: addressee.id.clone(),
                    message: message.clone(),
                });
            }
        }
        due
    }

    /// When something is due next.
    pub fn next(&self) -> Option<Timestamp> {
        let all = self.waiting.iter().flat_map(|waiting| &waiting.to);
        all.map(|addressee| addressee.next).min()
    }

    /// Takes note of what became of a message.
    pub fn settle(&mut self, due: &Due, outcome: &Outcome, now: Timestamp) {
        let waiting = self.waiting.iter_mut();
        for waiting in waiting.filter(|waiting| waiting.number == due.number) {
            let Some(index) = waiting.to.iter().position(|one| one.id == due.to) else {
                continue;
            };
            let tried = waiting.to.get(index).map_or(0, |one| one.attempts);
            let (is_over, is_lost, trouble) = match outcome {
                Outcome::Sent => (true, false, ""),
                Outcome::Later { why, .. } if tried < MAX_ATTEMPTS => (false, false, &**why),
                Outcome::Later { why, .. } | Outcome::Never { why } => (true, true, &**why),
            };
            if is_over {
                waiting.to.remove(index);
            } else if let Outcome::Later {
                after: Some(after), ..
            } = outcome
                && let Some(addressee) = waiting.to.get_mut(index)
            {
                let after = (*after).min(Duration::from_secs(MAX_RETRY_AFTER_SECONDS));
                addressee.next = addressee.next.max(later(now, after));
            }
            self.lost += u64::from(is_lost);
            if !trouble.is_empty() {
                self.trouble = cut(trouble, LONGEST_TROUBLE);
            }
        }
        self.waiting.retain(|waiting| !waiting.to.is_empty());
        if *outcome == Outcome::Sent && self.waiting.is_empty() {
            self.trouble.clear();
        }
    }

    /// Forgets what waits for receivers that are no longer named.
    pub fn retain(&mut self, is_named: impl Fn(&str) -> bool) {
        for waiting in &mut self.waiting {
            waiting.to.retain(|one| is_named(&one.id));
        }
        self.waiting.retain(|waiting| !waiting.to.is_empty());
    }

    /// How many messages some receiver never got.
    pub const fn lost(&self) -> u64 {
        self.lost
    }

    /// Why a message was not received; `None` once all were that were sent since.
    pub fn trouble(&self) -> Option<&str> {
        Some(self.trouble.as_str()).filter(|trouble| !trouble.is_empty())
    }
}

/// 5 s, doubled up to 10 minutes; and up to a quarter more, so that those who failed together do not
/// come back together.
fn pause(addressee: &Addressee, number: u64) -> Duration {
    let doubled = 5_000 << addressee.attempts.saturating_sub(1).min(7);
    let milliseconds: u64 = std::cmp::min(doubled, 600_000);
    let mut hasher = DefaultHasher::new();
    (&addressee.id, addressee.attempts, number).hash(&mut hasher);
    let chance = hasher.finish() % 256;
    Duration::from_millis(milliseconds + milliseconds * chance / 1_024)
}

fn later(time: Timestamp, pause: Duration) -> Timestamp {
    let pause = SignedDuration::try_from(pause).unwrap_or(SignedDuration::MAX);
    time.saturating_add(pause).unwrap_or(Timestamp::MAX)
}

#[cfg(test)]
mod tests;
