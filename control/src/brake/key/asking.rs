//! Asking every replica of a controller for a brake by the key: at each address of each URL.
//!
//! The same signed request goes to all, so that they give one brake; where a connection breaks, it may
//! go again.

use std::error::Error;
use std::net::SocketAddr;
use std::time::Duration;

use futures::StreamExt as _;
use reqwest::redirect::Policy;
use reqwest::{Client, Url};
use tokio::time::timeout;

use super::request::{Answered, PATH, Signed};
use crate::model::signature::{ID, SIGNATURE, TIMESTAMP};

/// The most URLs of one command; see docs/limits.md.
pub const MAX_AT: usize = 16;

/// The most addresses that they may have together; see docs/limits.md.
pub const MAX_ADDRESSES: usize = 64;

/// How much of an answer is read, in bytes; see docs/limits.md. Chosen: ours have some hundred.
pub const MAX_ANSWERED_BYTES: usize = 4_096;

/// How long names may take to be found, and a connection to come about.
const CONNECTING: Duration = Duration::from_secs(3);

/// How long an answer may take: longer than a replica waits for its proxies.
const ANSWERING: Duration = Duration::from_secs(8);

/// How often a replica is asked that checks no more requests just now, or whose connection broke.
const TRIES: u32 = 5;

/// The pause between two tries.
const PAUSE: Duration = Duration::from_millis(300);

/// Where a controller takes requests: `http://HOST:PORT`, or `https`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct At(Url);

/// A replica's address, and what came of asking there.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Asked {
    /// The address; the host, where it has none.
    pub address: String,
    /// What it answered.
    pub answer: Result<Answered, Unanswered>,
}

/// Why nothing was braked at an address.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Unanswered {
    /// It refused.
    #[error("refused ({status}): {text}")]
    Refused {
        /// The HTTP status.
        status: u16,
        /// Its words.
        text: String,
    },
    /// There was no answer.
    #[error("no answer: {0}")]
    Silent(String),
}

impl At {
    /// The place, when a text names one.
    pub fn new(text: &str) -> Option<Self> {
        let mut url = Url::parse(text).ok().filter(Url::has_host)?;
        let is_plain = matches!(url.scheme(), "http" | "https")
            && url.username().is_empty()
            && url.password().is_none()
            && url.query().is_none()
            && url.fragment().is_none()
            && matches!(url.path(), "/" | PATH);
        url.set_path(PATH);
        is_plain.then_some(Self(url))
    }

    fn host(&self) -> &str {
        self.0.host_str().unwrap_or_default()
    }

    /// Every address of the host.
    async fn addresses(&self) -> Result<Vec<SocketAddr>, String> {
        let port = self.0.port_or_known_default().unwrap_or_default();
        let host = self.host().trim_matches(['[', ']']);
        let found = timeout(CONNECTING, tokio::net::lookup_host((host, port))).await;
        let found = found.map_err(|_| "its name is not found in time".to_owned())?;
        let mut found: Vec<_> = found.map_err(|error| error.to_string())?.collect();
        found.sort_unstable();
        found.dedup();
        Ok(found)
    }
}

/// Asks at every address of every URL, at once.
pub async fn ask(urls: &[At], signed: &Signed) -> Vec<Asked> {
    let mut places: Vec<(At, SocketAddr)> = Vec::new();
    let mut all = Vec::new();
    for at in urls {
        match at.addresses().await {
            Ok(found) => places.extend(found.into_iter().map(|address| (at.clone(), address))),
            Err(why) => all.push(Asked {
                address: at.host().to_owned(),
                answer: Err(Unanswered::Silent(why)),
            }),
        }
    }
    // Names may stand for the same replica.
    places.sort_by_key(|(_, address)| *address);
    places.dedup_by_key(|(_, address)| *address);
    places.truncate(MAX_ADDRESSES);
    let asking = places.into_iter().map(|(at, address)| async move {
        Asked {
            address: address.to_string(),
            answer: ask_one(&at, address, signed).await,
        }
    });
    let mut asking = futures::stream::iter(asking).buffered(MAX_ADDRESSES);
    while let Some(asked) = asking.next().await {
        all.push(asked);
    }
    all
}

async fn ask_one(at: &At, address: SocketAddr, signed: &Signed) -> Result<Answered, Unanswered> {
    let client = Client::builder()
        .no_proxy()
        .redirect(Policy::none())
        .connect_timeout(CONNECTING)
        .timeout(ANSWERING)
        .resolve(at.host(), address)
        .user_agent(concat!("sluice/", env!("CARGO_PKG_VERSION")))
        .build()
        .map_err(|error| Unanswered::Silent(cause(&error)))?;
    let mut tried = 1;
    loop {
        let answer = send(&client, at, signed).await;
        let may_try = match &answer {
            Err(Unanswered::Refused { status, .. }) => *status == 429,
            Err(Unanswered::Silent(_)) => tried == 1,
            Ok(_) => false,
        };
        if !may_try || tried >= TRIES {
            return answer;
        }
        tried += 1;
        tokio::time::sleep(PAUSE).await;
    }
}

async fn send(client: &Client, at: &At, signed: &Signed) -> Result<Answered, Unanswered> {
    let silent = |error: reqwest::Error| Unanswered::Silent(cause(&error));
    let request = client
        .post(at.0.clone())
        .header(ID, &signed.id)
        .header(TIMESTAMP, &signed.timestamp)
        .header(SIGNATURE, &signed.signature)
        .header("content-type", "application/json")
        .body(signed.body.clone());
    let mut answer = request.send().await.map_err(silent)?;
    let status = answer.status().as_u16();
    let mut bytes = Vec::new();
    while let Some(chunk) = answer.chunk().await.map_err(silent)? {
        bytes.extend_from_slice(&chunk);
        if bytes.len() > MAX_ANSWERED_BYTES {
            break;
        }
    }
    bytes.truncate(MAX_ANSWERED_BYTES);
    let refused = || Unanswered::Refused {
        status,
        text: String::from_utf8_lossy(&bytes).trim().to_owned(),
    };
    match status {
        200 => serde_json::from_slice(&bytes).map_err(|_| refused()),
        _ => Err(refused()),
    }
}

/// The deepest reason: those above it repeat the address.
fn cause(error: &reqwest::Error) -> String {
    if error.is_timeout() {
        return "none in time".to_owned();
    }
    let mut cause: &dyn Error = error;
    while let Some(deeper) = cause.source() {
        cause = deeper;
    }
    cause.to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_place_is_a_scheme_a_host_and_a_port() {
        let url = |text: &str| At::new(text).map(|at| at.0.to_string());
        let cases = [
            ("http://10.0.0.7:8086", Some("http://10.0.0.7:8086/v1/pull")),
            (
                "https://pull.example.com/",
                Some("https://pull.example.com/v1/pull"),
            ),
            (
                "http://[::1]:8086/v1/pull",
                Some("http://[::1]:8086/v1/pull"),
            ),
            ("http://ann:secret@a", None),
            ("http://a/other", None),
            ("http://a?x", None),
            ("ftp://a", None),
            ("10.0.0.7:8086", None),
            ("", None),
        ];
        for (text, expected) in cases {
            assert_eq!(url(text).as_deref(), expected, "{text}");
        }
    }
}
