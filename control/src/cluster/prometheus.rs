//! Instant queries to Prometheus' HTTP API (`/api/v1/query`), which returns vectors, scalars and,
//! for `metric[5m]`, raw samples.
//!
//! What is asked and what the answers mean is the callers'. Credentials go to the server that was
//! named and nowhere else, and no error or debugging output holds them. Why no crate does it stands
//! in ARCHITECTURE.md.

mod access;
mod answer;
mod error;
mod lately;
mod words;

use std::fmt;
use std::sync::Arc;

use reqwest::header::{AUTHORIZATION, LOCATION};
use reqwest::{Request, Response, StatusCode, Url};

pub use access::{Access, Credentials, DEFAULT_TIMEOUT, Trust};
pub use answer::{Answer, Outcome, Series};
pub use error::PrometheusError;
pub use lately::Told;

use super::pods::Proxy;
use crate::model::redacted;
use lately::{Lately, fresh};
use tokio::time::Instant;
use words::Words;

/// How long an answer may be. Chosen: ten samples each of a hundred thousand series.
const MAX_PROMETHEUS_BYTES: usize = 64 * 1024 * 1024;

/// How long an answer may be that is one number. Chosen: room for some thousand series, of which an
/// error says how many there are.
const MAX_NUMBER_BYTES: usize = 1024 * 1024;

/// A Prometheus server.
#[derive(Clone)]
pub struct Prometheus {
    url: Url,
    /// The URL without a password, for messages.
    shown: String,
    access: Access,
    client: reqwest::Client,
    lately: Arc<Lately>,
}

/// Without the URL, which may hold a password.
impl fmt::Debug for Prometheus {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut shown = formatter.debug_struct("Prometheus");
        shown.field("url", &self.shown);
        shown.field("access", &self.access).finish_non_exhaustive()
    }
}

impl Prometheus {
    /// The server at a URL, such as `http://prometheus.monitoring:9090`, that asks for no
    /// credentials but those of the URL.
    ///
    /// # Errors
    /// When it is no URL.
    pub fn new(url: &str) -> Result<Self, PrometheusError> {
        Self::with(url, Access::default())
    }

    /// The server at a URL, and how it is reached.
    ///
    /// # Errors
    /// When it is no URL of HTTP, or a credential or certificate cannot be used.
    pub fn with(url: &str, access: Access) -> Result<Self, PrometheusError> {
        let is_http = |url: &Url| url.has_host() && matches!(url.scheme(), "http" | "https");
        let Some(mut parsed) = Url::parse(url).ok().filter(is_http) else {
            return Err(PrometheusError::NoUrl(redacted::url(url)));
        };
        // Joining a path replaces the last one, unless the URL ends in a slash.
        parsed.set_path(&format!("{}/", parsed.path().trim_end_matches('/')));
        Ok(Self {
            shown: redacted::url(parsed.as_str()),
            url: parsed,
            client: access.client()?,
            access,
            lately: Arc::default(),
        })
    }

    /// Whether the server has refused the credentials of this client, or of one that it was cloned
    /// from: they may be others meanwhile.
    pub fn was_denied(&self) -> bool {
        self.lately.is_denied()
    }

    /// Whether anybody else has a clone of it.
    pub fn is_shared(&self) -> bool {
        Arc::strong_count(&self.lately) > 1
    }

    /// The URL without a password.
    pub fn title(&self) -> &str {
        &self.shown
    }

    /// The series that a query gives now, though some may be missing where the server has warnings.
    ///
    /// # Errors
    /// As of [`Self::ask`]; and where the query gives no series.
    pub async fn query(&self, query: &str) -> Result<Vec<Series>, PrometheusError> {
        match self.ask(query).await?.outcome {
            Outcome::Vector(series) | Outcome::Matrix(series) => Ok(series),
            Outcome::Scalar(_) | Outcome::String(_) => Err(PrometheusError::NoSeries {
                query: query.to_owned(),
            }),
        }
    }

    /// The series that a query gave within the last second, or gives now: clones that ask the same at
    /// once are told the same, and the server is asked once.
    ///
    /// # Errors
    /// As of [`Self::query`].
    pub async fn query_lately(&self, query: &str) -> Told {
        let place = self.lately.place(query);
        let mut kept = place.lock().await;
        if let Some(told) = fresh(&kept) {
            return told;
        }
        let told = self.query(query).await.map(Arc::new).map_err(Arc::new);
        *kept = Some((Instant::now(), told.clone()));
        told
    }

    /// What a query gives now, with what the server warns of.
    ///
    /// # Errors
    /// When Prometheus cannot be reached, does not answer in time, refuses the query or the
    /// credentials, sends elsewhere, or what answers is not Prometheus' API.
    pub async fn ask(&self, query: &str) -> Result<Answer, PrometheusError> {
        self.ask_within(query, MAX_PROMETHEUS_BYTES).await
    }

    /// The same of a query that gives one number: a short answer, so that many may be asked at once.
    ///
    /// # Errors
    /// As [`Self::ask`].
    pub async fn ask_number(&self, query: &str) -> Result<Answer, PrometheusError> {
        self.ask_within(query, MAX_NUMBER_BYTES).await
    }

    async fn ask_within(&self, query: &str, most: usize) -> Result<Answer, PrometheusError> {
        let asked = Instant::now();
        if self.lately.is_silent() {
            return Err(self.timed_out());
        }
        let answer = self.asked(query, most).await;
        self.lately.note(asked, &answer);
        answer
    }

    async fn asked(&self, query: &str, most: usize) -> Result<Answer, PrometheusError> {
        let request = self.request(query)?;
        let words = Words::without(authorization(&request), &self.access);
        let sent = self.client.execute(request).await;
        let answer = sent.map_err(|error| self.unreachable(error))?;
        let status = answer.status();
        if status.is_redirection() {
            return Err(self.elsewhere(&answer, &words));
        }
        let body = self.bounded(answer, most).await?;
        if matches!(status, StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN) {
            return Err(PrometheusError::Denied {
                shown: self.shown.clone(),
                status,
                sent: self.access.sent(&self.url),
                words: words.of_body(&body),
            });
        }
        let read = answer::read(&body);
        let read = read.map_err(|_| PrometheusError::NotTheApi {
            shown: self.shown.clone(),
            status,
            words: words.of_body(&body),
        })?;
        read.map_err(|refusal| PrometheusError::Refused {
            shown: self.shown.clone(),
            query: query.to_owned(),
            kind: words.of(&refusal.kind),
            words: words.of(&refusal.words),
        })
    }

    fn request(&self, query: &str) -> Result<Request, PrometheusError> {
        let patience = format!("{}ms", self.access.timeout.as_millis());
        let url = self.url.join("api/v1/query");
        let url = url.map_err(|_| PrometheusError::NoUrl(self.shown.clone()))?;
        let parameters = [("query", query), ("timeout", &patience)];
        let request = self.client.get(url).query(&parameters);
        let built = self.access.authorize(request).build();
        built.map_err(|error| self.unreachable(error))
    }

    fn unreachable(&self, error: reqwest::Error) -> PrometheusError {
        match error.is_timeout() {
            true => self.timed_out(),
            false => PrometheusError::Unreachable {
                shown: self.shown.clone(),
                source: error.without_url(),
            },
        }
    }

    fn timed_out(&self) -> PrometheusError {
        PrometheusError::TimedOut {
            shown: self.shown.clone(),
            after: self.access.timeout,
        }
    }

    fn elsewhere(&self, answer: &Response, words: &Words) -> PrometheusError {
        let to = answer.headers().get(LOCATION);
        let to = to.map(|to| String::from_utf8_lossy(to.as_bytes()));
        let to = to.and_then(|to| answer.url().join(&to).ok());
        PrometheusError::Elsewhere {
            shown: self.shown.clone(),
            status: answer.status(),
            to: words.of(to.as_ref().map_or("nowhere", Url::as_str)),
        }
    }

    async fn bounded(&self, mut answer: Response, most: usize) -> Result<Vec<u8>, PrometheusError> {
        let mut body = Vec::new();
        let next = async |answer: &mut Response| {
            let chunk = answer.chunk().await;
            chunk.map_err(|error| self.unreachable(error))
        };
        while let Some(chunk) = next(&mut answer).await? {
            body.extend_from_slice(&chunk);
            if body.len() > most {
                return Err(PrometheusError::TooLong {
                    shown: self.shown.clone(),
                    bytes: most,
                });
            }
        }
        Ok(body)
    }
}

/// What a request's header says of who asks, without its scheme.
fn authorization(request: &Request) -> Option<String> {
    let header = request.headers().get(AUTHORIZATION)?.to_str().ok()?;
    let (_, credentials) = header.split_once(' ')?;
    Some(credentials.to_owned())
}

/// Whether a series is one of a proxy's.
pub fn is_of(series: &Series, proxy: &Proxy) -> bool {
    series.label("pod") == proxy.pod && series.label("namespace") == proxy.namespace
}

#[cfg(test)]
mod tests;
