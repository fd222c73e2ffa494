//! Servers that are asked whether a run may go forward.
//!
//! A gate is asked by POST. An answer of class 2xx opens it; whatever else comes, or does not come,
//! keeps it closed, and it is asked again. Which gates are asked, and when a run stands still for
//! one, the engine's host says; a rollback asks nobody.

use std::fmt;
use std::time::Duration;

use reqwest::header::HeaderMap;
use secrecy::{ExposeSecret as _, SecretString};
use serde::Serialize;
use sluice_core::problem::{Accepted, Problem};

use super::checking;
use super::cut::cut;
use super::outbound::{Outbound, Parcel, Reply, Silence, repeats};
use super::resource::{self, Before, Endpoint, MAX_GATES, Span};
use super::secrets::{Place, SecretReader, Shape, Written};

/// The longest that a gate's answer may take, in seconds. Chosen: a step waits for it.
pub const MAX_GATE_SECONDS: u64 = 30;

/// How long a gate's answer may take where nothing is written, as Flagger's webhooks have it.
const PATIENCE: Duration = Duration::from_secs(10);

/// A gate, checked.
#[derive(Clone, Debug, PartialEq)]
pub struct Gate {
    /// What it is asked about.
    pub before: Before,
    url: Endpoint,
    patience: Duration,
    token: Option<Place>,
}

/// The host that is asked.
impl fmt::Display for Gate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "gate {}", self.url)
    }
}

/// What a gate is asked, as JSON.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Question {
    /// What is to happen if it is open.
    pub before: Before,
    /// The Rollout's namespace; empty where there is none.
    pub namespace: String,
    /// The Rollout.
    pub rollout: String,
    /// Its split.
    pub split: String,
    /// The run's number.
    pub run: u64,
    /// The version that it brings.
    pub version: Option<String>,
    /// The step, counting from 1.
    pub step: usize,
    /// Whose weight.
    pub audience: String,
    /// The step's weight in percent.
    pub weight: f64,
}

/// What a gate says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Answer {
    /// The run may go forward.
    Open,
    /// It may not.
    Closed {
        /// Who says so, and why.
        why: String,
    },
}

/// Checks gates as they stand at `path`, collecting what is wrong with them.
pub fn checked(path: &str, written: &[resource::Gate], problems: &mut Vec<Problem>) -> Vec<Gate> {
    if !checking::is_short_list(path, written, MAX_GATES, problems) {
        return Vec::new();
    }
    let gates = written.iter().enumerate();
    gates
        .filter_map(|(index, gate)| one(&format!("{path}[{index}]"), gate, problems))
        .collect()
}

fn one(path: &str, written: &resource::Gate, problems: &mut Vec<Problem>) -> Option<Gate> {
    let token = Written {
        fields: ["bearerTokenFrom", "bearerTokenFile", "bearerTokenEnv"],
        secret: written.bearer_token_from.as_ref(),
        key: "token",
        file: written.bearer_token_file.as_ref(),
        variable: written.bearer_token_env.as_ref(),
    };
    let token = token.place(path, problems);
    let patience = written.timeout.map_or(PATIENCE, Span::as_duration);
    if !(Duration::from_millis(100)..=Duration::from_secs(MAX_GATE_SECONDS)).contains(&patience) {
        let found = written.timeout.unwrap_or_default().to_string();
        let accepted = Accepted::value("100ms to 30s");
        checking::report(&format!("{path}.timeout"), found, accepted, problems);
    }
    let Some(url) = written.webhook.clone() else {
        let accepted = Accepted::value("a URL such as https://ci.example.com/gate");
        checking::report(&format!("{path}.webhook"), "missing", accepted, problems);
        return None;
    };
    Some(Gate {
        before: written.before,
        url,
        patience,
        token,
    })
}

/// Asks one gate.
pub async fn ask(
    gate: &Gate,
    question: &Question,
    outbound: &Outbound,
    secrets: &dyn SecretReader,
) -> Answer {
    let token = match &gate.token {
        None => None,
        Some(place) => match secrets.read(place, Shape::Line).await {
            Ok(token) => Some(token),
            Err(error) => return closed(gate, &format!("its token: {error}")),
        },
    };
    let answer = outbound
        .post(Parcel {
            url: gate.url.url(),
            headers: HeaderMap::new(),
            bearer: token.as_ref().map(|token| token.expose_secret()),
            body: serde_json::to_vec(question).unwrap_or_default(),
            patience: gate.patience,
        })
        .await;
    read(gate, answer, token.as_ref())
}

fn read(gate: &Gate, answer: Result<Reply, Silence>, token: Option<&SecretString>) -> Answer {
    let Reply { status, text, .. } = match answer {
        Ok(reply) if (200..300).contains(&reply.status) => return Answer::Open,
        Ok(reply) => reply,
        Err(silence) => return closed(gate, &silence.to_string()),
    };
    let text = match token {
        // A server may repeat what it was sent.
        Some(token) if repeats(&text, token.expose_secret()) => String::new(),
        _ => text,
    };
    match text.as_str() {
        "" => closed(gate, &format!("answered {status}")),
        text => closed(gate, &format!("answered {status}: {text}")),
    }
}

/// The longest reason, in bytes: an answer, and who gave it.
const LONGEST_REASON: usize = 400;

fn closed(gate: &Gate, why: &str) -> Answer {
    let why = cut(&format!("{gate} {why}"), LONGEST_REASON);
    Answer::Closed { why }
}

/// How long a gate that was asked so many times is left alone: 5 s, doubled up to 60 s.
pub fn pause(asked: u32) -> Duration {
    let doubled = 5_u64.saturating_mul(1 << asked.saturating_sub(1).min(4));
    Duration::from_secs(doubled.min(60))
}

#[cfg(test)]
mod tests;
