//! What a message says, before it takes the form that its receiver reads.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use crate::rollout::cut::cut;
use crate::rollout::resource::Event;

/// The longest sentence of a message, in bytes. Chosen: a few of them wait in a status of 8 KB.
pub const MAX_MESSAGE_BYTES: usize = 200;

/// A message as every receiver's form is made of it, whatever it is about.
#[derive(Clone, Debug, PartialEq)]
pub struct Letter {
    /// What happened, in a word or two: `Rolled back`.
    pub word: &'static str,
    /// To what: `shop/web`.
    pub name: String,
    /// Why, in a sentence; empty where there is nothing to say.
    pub text: String,
    /// What else is to be known, in a line.
    pub facts: String,
    /// How people should feel about it.
    pub mood: Mood,
    /// What happened, for programs: `rollout.rolledBack`.
    pub kind: String,
    /// When.
    pub at: Timestamp,
    /// All of it, for programs.
    pub data: Value,
}

/// How people should feel about a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mood {
    /// It went well.
    Good,
    /// Somebody should look.
    Bad,
    /// Neither.
    Plain,
}

/// Whom messages are about: the same for all of a Rollout's.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Subject {
    /// The Rollout's uid, or what else tells it from all others, also of the same name.
    pub uid: String,
    /// Its namespace; empty where there is none.
    pub namespace: String,
    /// Its name.
    pub rollout: String,
    /// Its split.
    pub split: String,
    /// Its challenger.
    pub challenger: String,
}

impl Subject {
    /// `shop/web`.
    pub fn name(&self) -> String {
        match self.namespace.as_str() {
            "" => self.rollout.clone(),
            namespace => format!("{namespace}/{}", self.rollout),
        }
    }
}

/// What happened.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Message {
    /// What.
    pub event: Event,
    /// When.
    pub at: Timestamp,
    /// In which run.
    pub run: u64,
    /// Which version it brings.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub version: Option<String>,
    /// At which step, counting from 1.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub step: Option<usize>,
    /// Of how many.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub steps: Option<usize>,
    /// The challenger's weight in percent.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub weight: Option<f64>,
    /// Why, or what else is to be known, in a sentence.
    #[serde(skip_serializing_if = "String::is_empty", default)]
    pub text: String,
}

impl Message {
    /// The same, with a text that a status has room for.
    pub(super) fn bounded(&self) -> Self {
        Self {
            version: self.version.as_ref().map(|one| cut(one, 128)),
            text: cut(&self.text, MAX_MESSAGE_BYTES),
            ..self.clone()
        }
    }

    /// The same, about a Rollout.
    pub(super) fn letter(&self, subject: &Subject) -> Letter {
        Letter {
            word: self.word(),
            name: subject.name(),
            text: self.text.clone(),
            facts: self.facts(subject),
            mood: match self.event {
                Event::Succeeded => Mood::Good,
                Event::Blocked | Event::RolledBack | Event::Aborted | Event::Failed => Mood::Bad,
                _ => Mood::Plain,
            },
            kind: format!("rollout.{}", self.event.as_str()),
            at: self.at,
            data: json!({
                "uid": subject.uid,
                "namespace": subject.namespace,
                "rollout": subject.rollout,
                "split": subject.split,
                "challenger": subject.challenger,
                "run": self.run,
                "version": self.version,
                "step": self.step,
                "steps": self.steps,
                "weight": self.weight,
                "message": self.text,
            }),
        }
    }

    /// `Rolled back`.
    const fn word(&self) -> &'static str {
        match self.event {
            Event::Started => "Started",
            Event::Stepped => "Stepped",
            Event::Paused => "Paused",
            Event::Resumed => "Resumed",
            Event::Blocked => "Blocked",
            Event::Waiting => "Waiting for an approval",
            Event::RolledBack => "Rolled back",
            Event::Aborted => "Aborted",
            Event::Superseded => "Superseded",
            Event::Succeeded => "Succeeded",
            Event::Failed => "Failed",
        }
    }

    /// `split web, canary v1.2.3, run 4, step 3 of 7, 25 %`.
    fn facts(&self, subject: &Subject) -> String {
        let version = self.version.as_ref();
        let version = version.map_or_else(String::new, |version| format!(" {version}"));
        let mut facts = vec![
            format!("split {}", subject.split),
            format!("{}{version}", subject.challenger),
            format!("run {}", self.run),
        ];
        match (self.step, self.steps) {
            (Some(step), Some(steps)) => facts.push(format!("step {step} of {steps}")),
            (Some(step), None) => facts.push(format!("step {step}")),
            (None, _) => {}
        }
        facts.extend(self.weight.map(|weight| format!("{weight} %")));
        facts.join(", ")
    }
}
