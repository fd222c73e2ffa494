//! What Prometheus answers, as types.

use std::collections::BTreeMap;

use serde::Deserialize;

/// A series' labels and its samples, oldest first: seconds since 1970, value.
#[derive(Clone, Debug, Deserialize)]
pub struct Series {
    metric: BTreeMap<String, String>,
    #[serde(default)]
    value: Option<(f64, String)>,
    #[serde(default)]
    values: Vec<(f64, String)>,
}

impl Series {
    /// A label's value; empty when it has none.
    pub fn label(&self, name: &str) -> &str {
        self.metric.get(name).map_or("", String::as_str)
    }

    /// Its labels, with its name as `__name__`.
    pub const fn labels(&self) -> &BTreeMap<String, String> {
        &self.metric
    }

    /// Its samples. Those of native histograms are none.
    pub fn samples(&self) -> Vec<(f64, f64)> {
        let all = self.values.iter().chain(&self.value);
        all.filter_map(|(at, value)| Some((*at, value.parse().ok()?)))
            .collect()
    }

    /// Its last sample.
    pub fn last(&self) -> Option<(f64, f64)> {
        self.samples().last().copied()
    }

    /// When a counter last changed; when it first appeared, if it never did since.
    pub fn last_change(&self) -> Option<f64> {
        let samples = self.samples();
        let changed = samples.windows(2).rev().find_map(|pair| match pair {
            [(_, before), (at, after)] if before != after => Some(*at),
            _ => None,
        });
        changed.or_else(|| {
            let first = samples.first().filter(|(_, value)| *value > 0.0);
            first.map(|(at, _)| *at)
        })
    }
}

/// What a query gives.
#[derive(Clone, Debug, Deserialize)]
#[serde(tag = "resultType", content = "result", rename_all = "lowercase")]
pub enum Outcome {
    /// A sample of each series.
    Vector(Vec<Series>),
    /// All samples of each series within a range.
    Matrix(Vec<Series>),
    /// One number: when, in seconds since 1970, and which.
    Scalar((f64, String)),
    /// One text.
    String((f64, String)),
}

/// An answer.
#[derive(Clone, Debug)]
pub struct Answer {
    /// What the query gives.
    pub outcome: Outcome,
    /// Why some of it may be missing or wrong, in the server's words.
    pub warnings: Vec<String>,
}

/// Why a server does not answer, in its words.
#[derive(Clone, Debug)]
pub(super) struct Refusal {
    pub(super) kind: String,
    pub(super) words: String,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Envelope {
    status: String,
    #[serde(default)]
    data: Option<Outcome>,
    #[serde(default)]
    error_type: String,
    #[serde(default)]
    error: String,
    #[serde(default)]
    warnings: Vec<String>,
}

/// Reads an answer's body; the outer error is that it is none of the API's.
pub(super) fn read(body: &[u8]) -> Result<Result<Answer, Refusal>, serde_json::Error> {
    let envelope: Envelope = serde_json::from_slice(body)?;
    Ok(match (envelope.status.as_str(), envelope.data) {
        ("success", Some(outcome)) => Ok(Answer {
            outcome,
            // Prometheus has `infos` of their own for what is only remarked since 2.54; before, such
            // remarks stood among the warnings.
            warnings: envelope
                .warnings
                .into_iter()
                .filter(|warning| !warning.starts_with("PromQL info:"))
                .collect(),
        }),
        _ => Err(Refusal {
            kind: envelope.error_type,
            words: envelope.error,
        }),
    })
}
