//! Instant queries to Prometheus' HTTP API (`/api/v1/query`), which returns vectors and, for
//! `metric[5m]`, raw samples.
//!
//! What is asked and what the answers mean is the status operation's. Why no crate does it stands
//! in ARCHITECTURE.md.

use std::collections::BTreeMap;
use std::time::Duration;

use anyhow::{Context as _, bail};
use serde::Deserialize;

use super::pods::Proxy;
use crate::model::redacted;

/// How long an answer may take. Chosen: a query here reads some hundred series.
const PATIENCE: Duration = Duration::from_secs(10);

/// How long an answer may be. Chosen: ten samples each of a hundred thousand series.
const MAX_PROMETHEUS_BYTES: usize = 64 * 1024 * 1024;

/// A Prometheus server.
#[derive(Clone, Debug)]
pub struct Prometheus {
    url: reqwest::Url,
    /// The URL without a password, for messages.
    shown: String,
    client: reqwest::Client,
}

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

    /// Its samples.
    pub fn samples(&self) -> Vec<(f64, f64)> {
        let all = self.values.iter().chain(&self.value);
        all.filter_map(|(at, value)| Some((*at, value.parse().ok()?)))
            .collect()
    }

    /// Its last sample.
    pub fn last(&self) -> Option<(f64, f64)> {
        self.samples().last().copied()
    }
}

#[derive(Deserialize)]
struct Answer {
    #[serde(default)]
    data: Option<Data>,
    #[serde(default)]
    error: Option<String>,
}

#[derive(Deserialize)]
struct Data {
    result: Vec<Series>,
}

impl Prometheus {
    /// The server at a URL, such as `http://prometheus.monitoring:9090`.
    ///
    /// # Errors
    /// When it is no URL.
    pub fn new(url: &str) -> anyhow::Result<Self> {
        let parsed = reqwest::Url::parse(url).ok().filter(|url| url.has_host());
        let Some(mut parsed) = parsed else {
            bail!(
                "--prometheus {:?}: not a URL; accepted: one such as http://prometheus.monitoring:9090",
                redacted::url(url)
            );
        };
        // Joining a path replaces the last one, unless the URL ends in a slash.
        parsed.set_path(&format!("{}/", parsed.path().trim_end_matches('/')));
        Ok(Self {
            shown: redacted::url(parsed.as_str()),
            url: parsed,
            client: reqwest::Client::builder().timeout(PATIENCE).build()?,
        })
    }

    /// What a query gives now.
    ///
    /// # Errors
    /// When Prometheus cannot be reached, or refuses the query.
    pub async fn query(&self, query: &str) -> anyhow::Result<Vec<Series>> {
        let url = self.url.join("api/v1/query")?;
        let sent = self.client.get(url).query(&[("query", query)]).send().await;
        let answer =
            sent.with_context(|| format!("Prometheus at {} cannot be reached", self.shown))?;
        let status = answer.status();
        let body = bounded(answer).await;
        let answer: Answer = body
            .and_then(|body| Ok(serde_json::from_slice(&body)?))
            .with_context(|| format!("{} answered {status}: not Prometheus' API", self.shown))?;
        match (answer.data, answer.error) {
            (Some(data), None) => Ok(data.result),
            (_, error) => bail!(
                "Prometheus at {} refused {query}: {}",
                self.shown,
                error.unwrap_or_default()
            ),
        }
    }
}

async fn bounded(mut answer: reqwest::Response) -> anyhow::Result<Vec<u8>> {
    let mut body = Vec::new();
    while let Some(chunk) = answer.chunk().await? {
        body.extend_from_slice(&chunk);
        if body.len() > MAX_PROMETHEUS_BYTES {
            bail!("more than {MAX_PROMETHEUS_BYTES} bytes");
        }
    }
    Ok(body)
}
/// Whether a series is one of a proxy's.
pub fn is_of(series: &Series, proxy: &Proxy) -> bool {
    series.label("pod") == proxy.pod && series.label("namespace") == proxy.namespace
}
