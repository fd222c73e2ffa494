//! What a run sends to other people's servers: one POST, bounded in time and in what is read of the
//! answer, by no redirect, and described without its address, since whoever knows a webhook's path
//! may often write to it.
//!
//! Called by [`super::gates`] and [`super::notifications`]. What an answer means is theirs.

pub mod bounds;

use std::error::Error;
use std::time::Duration;

use reqwest::header::{HeaderMap, RETRY_AFTER};
use reqwest::redirect::Policy;
use reqwest::{Client, Url};

use super::cut::cut;
use bounds::{Bounds, Forbidden};

/// How much of an answer is read. Chosen: a sentence for people.
pub const MAX_REPLY_BYTES: usize = 256;

/// How long a connection may take to come about. Chosen: a lost packet and its repetition.
const CONNECTING: Duration = Duration::from_secs(5);

/// How much of an error's text is kept.
const LONGEST_CAUSE: usize = 128;

/// A client that sends to addresses that are secrets.
#[derive(Clone, Debug)]
pub struct Outbound {
    client: Client,
    bounds: Bounds,
}

/// One message.
pub(super) struct Parcel<'p> {
    pub(super) url: &'p Url,
    pub(super) headers: HeaderMap,
    pub(super) bearer: Option<&'p str>,
    /// JSON.
    pub(super) body: Vec<u8>,
    /// How long its answer may take, to the last byte that is read.
    pub(super) patience: Duration,
}

/// An answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Reply {
    pub(super) status: u16,
    /// When one may ask again.
    pub(super) retry_after: Option<Duration>,
    /// The beginning of its text, in one line.
    pub(super) text: String,
}

/// Why there is no answer.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum Silence {
    #[error("no answer within {0:?}")]
    Late(Duration),
    #[error("cannot be reached: {0}")]
    Unreachable(String),
    #[error("the connection broke: {0}")]
    Broken(String),
    #[error("not sent: {0}")]
    Forbidden(#[from] Forbidden),
}

impl Outbound {
    /// A client that sends anywhere.
    ///
    /// # Errors
    /// When TLS cannot be set up.
    pub fn new() -> Result<Self, reqwest::Error> {
        Self::within(Bounds::Anywhere)
    }

    /// A client that sends where it may.
    ///
    /// # Errors
    /// When TLS cannot be set up.
    pub fn within(bounds: Bounds) -> Result<Self, reqwest::Error> {
        let mut builder = Client::builder()
            .connect_timeout(CONNECTING)
            .redirect(Policy::none())
            // A connection that was kept may be closed just when it is used again: then nobody knows
            // whether a message has arrived.
            .pool_max_idle_per_host(0)
            .user_agent(concat!("sluice/", env!("CARGO_PKG_VERSION")));
        if let Some(resolver) = bounds.resolver() {
            builder = builder.dns_resolver(resolver);
        }
        let client = builder.build()?;
        Ok(Self { client, bounds })
    }

    pub(super) async fn post(&self, parcel: Parcel<'_>) -> Result<Reply, Silence> {
        self.bounds.check(parcel.url)?;
        let patience = parcel.patience;
        let mut request = self
            .client
            .post(parcel.url.clone())
            .headers(parcel.headers)
            .header("content-type", "application/json")
            .body(parcel.body)
            .timeout(patience);
        if let Some(token) = parcel.bearer {
            request = request.bearer_auth(token);
        }
        let sent = request.send().await;
        let mut answer = sent.map_err(|error| silence(error, patience))?;
        let mut text = Vec::new();
        while text.len() < MAX_REPLY_BYTES {
            match answer.chunk().await {
                Ok(Some(chunk)) => text.extend_from_slice(&chunk),
                // The status has come; what was read of the text explains it.
                Ok(None) | Err(_) => break,
            }
        }
        text.truncate(MAX_REPLY_BYTES);
        let after = answer.headers().get(RETRY_AFTER);
        let after = after.and_then(|after| after.to_str().ok()?.trim().parse().ok());
        Ok(Reply {
            status: answer.status().as_u16(),
            retry_after: after.map(Duration::from_secs),
            text: line(&String::from_utf8_lossy(&text)),
        })
    }
}

fn silence(error: reqwest::Error, patience: Duration) -> Silence {
    if error.is_timeout() && !error.is_connect() {
        return Silence::Late(patience);
    }
    let is_connect = error.is_connect();
    let error = error.without_url();
    let mut cause: &dyn Error = &error;
    while let Some(deeper) = cause.source() {
        cause = deeper;
    }
    if let Some(forbidden) = cause.downcast_ref::<Forbidden>() {
        return Silence::Forbidden(forbidden.clone());
    }
    let cause = cut(&line(&cause.to_string()), LONGEST_CAUSE);
    match is_connect {
        true => Silence::Unreachable(cause),
        false => Silence::Broken(cause),
    }
}

/// A text in one line that no terminal obeys.
fn line(text: &str) -> String {
    let words = text.split(|one: char| one.is_whitespace() || one.is_control());
    let words: Vec<&str> = words.filter(|word| !word.is_empty()).collect();
    words.join(" ")
}

/// Whether a text repeats a secret, wholly or, at its end where it was cut, in part.
pub(super) fn repeats(text: &str, secret: &str) -> bool {
    let parts = (4..secret.len()).filter_map(|end| secret.get(..end));
    text.contains(secret) || parts.into_iter().any(|part| text.ends_with(part))
}

#[cfg(test)]
pub(super) mod receiver;
