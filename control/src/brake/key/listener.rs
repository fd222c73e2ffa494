//! Where requests with the key are taken: `POST /v1/pull`, and nothing else; a listener of its own.
//!
//! Bounded: so many connections, each for one request and some seconds. Whoever lacks the key learns
//! that, and nothing more.

use std::convert::Infallible;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use http_body_util::{BodyExt as _, Full, Limited};
use hyper::body::{Bytes, Incoming};
use hyper::header::HeaderMap;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Method, Request, Response, StatusCode};
use hyper_util::rt::{TokioIo, TokioTimer};
use jiff::Timestamp;
use kube::runtime::reflector::{ObjectRef, Store};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Semaphore, mpsc, watch};
use tokio::task::JoinSet;
use tokio::time::{Instant, timeout};

use super::held::{Given, Shelf};
use super::request::{Answered, Counted, MAX_PULL_BYTES, PATH, Refused, Signed};
use super::uses::{Outcome, Use, Uses};
use super::{Key, KeyError};
use crate::brake::desk::Desk;
use crate::brake::object::{Brake, Heard};
use crate::brake::responses::{json, said};
use crate::model::signature::{ID, SIGNATURE, TIMESTAMP};

/// How many connections are served at once; others wait; see docs/limits.md. Chosen: people and their
/// scripts need one each.
pub const MAX_PULL_CONNECTIONS: usize = 64;

/// How long a connection may take from its begin to its end, in seconds; see docs/limits.md.
pub const MAX_PULL_SECONDS: u64 = 10;

/// How long a request may take to arrive.
const ARRIVING: Duration = Duration::from_secs(4);

/// How long proxies are waited for, as after `sluice abort`.
pub const FOLLOWING: Duration = Duration::from_secs(3);

/// How often it is looked how many have heard.
const LOOK_EVERY: Duration = Duration::from_millis(20);

/// The longest head of a request, in bytes: the least that hyper takes.
const HEAD_BYTES: usize = 8_192;

/// What says something to who runs the controller.
pub type Say = Arc<dyn Fn(&str) + Send + Sync>;

/// What answers.
pub struct Pulls {
    /// The key's file, read at each use: it may be exchanged.
    pub key_file: PathBuf,
    /// The namespace that the controller is confined to; `None`: all.
    pub namespace: Option<String>,
    /// Every Brake that the watch has.
    pub known: Store<Brake>,
    /// Who asks for brakes.
    pub desk: Arc<Desk>,
    /// What is held.
    pub shelf: Arc<Shelf>,
    /// What is counted.
    pub uses: Arc<Uses>,
    /// Who is told of each use.
    pub told: mpsc::Sender<Use>,
    /// How long proxies are waited for: [`FOLLOWING`].
    pub patience: Duration,
    /// The time.
    pub clock: fn() -> Timestamp,
    /// The log.
    pub say: Say,
}

impl std::fmt::Debug for Pulls {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter
            .debug_struct("Pulls")
            .field("key_file", &self.key_file)
            .finish_non_exhaustive()
    }
}

/// Answers on a listener until `ended`; what was being answered then is answered to its end.
pub async fn serve(listener: TcpListener, pulls: Arc<Pulls>, mut ended: watch::Receiver<bool>) {
    let places = Arc::new(Semaphore::new(MAX_PULL_CONNECTIONS));
    let mut connections = JoinSet::new();
    let accepting = async {
        loop {
            // Never closed, so this is always a place.
            let place = Arc::clone(&places).acquire_owned().await;
            while connections.try_join_next().is_some() {}
            match listener.accept().await {
                Ok((stream, peer)) => {
                    let answering = answer_one(stream, peer, Arc::clone(&pulls));
                    connections.spawn(async move {
                        let _ = timeout(Duration::from_secs(MAX_PULL_SECONDS), answering).await;
                        drop(place);
                    });
                }
                // No file is left for it: one that ends gives its own back.
                Err(_) => tokio::time::sleep(Duration::from_millis(100)).await,
            }
        }
    };
    tokio::select! {
        () = accepting => {}
        _ = ended.wait_for(|has_ended| *has_ended) => {}
    }
    drop(listener);
    while connections.join_next().await.is_some() {}
}

async fn answer_one(stream: TcpStream, peer: SocketAddr, pulls: Arc<Pulls>) {
    let service = service_fn(move |request| {
        let pulls = Arc::clone(&pulls);
        async move { Ok::<_, Infallible>(answer(request, peer, &pulls).await) }
    });
    // Whoever asked has gone, or asked nonsense: hyper has told them.
    let _ = http1::Builder::new()
        .keep_alive(false)
        .timer(TokioTimer::new())
        .header_read_timeout(ARRIVING)
        .max_buf_size(HEAD_BYTES)
        .serve_connection(TokioIo::new(stream), service)
        .await;
}

async fn answer(
    request: Request<Incoming>,
    peer: SocketAddr,
    pulls: &Pulls,
) -> Response<Full<Bytes>> {
    if request.uri().path() != PATH {
        return said(StatusCode::NOT_FOUND, format!("accepted: {PATH}\n"));
    }
    if request.method() != Method::POST {
        return said(StatusCode::METHOD_NOT_ALLOWED, "accepted: POST\n");
    }
    let (head, body) = request.into_parts();
    let body = Limited::new(body, MAX_PULL_BYTES).collect();
    let Ok(Ok(body)) = timeout(ARRIVING, body).await else {
        let most = format!("accepted: a request of at most {MAX_PULL_BYTES} bytes\n");
        return said(StatusCode::PAYLOAD_TOO_LARGE, most);
    };
    let signed = signed(&head.headers, body.to_bytes().to_vec());
    let counted = match pulls.counted(&signed) {
        Ok(counted) => counted,
        Err(refusal) => return pulls.refuse(refusal, peer),
    };
    match pulls.pull(&counted, peer).await {
        Ok(answered) => json(answered.to_json()),
        Err(refusal) => pulls.refuse(refusal, peer),
    }
}

/// What a request says of itself; nothing where a header is missing.
fn signed(headers: &HeaderMap, body: Vec<u8>) -> Signed {
    let text = |name| {
        let value = headers.get(name).and_then(|value| value.to_str().ok());
        value.unwrap_or_default().to_owned()
    };
    Signed {
        id: text(ID),
        timestamp: text(TIMESTAMP),
        signature: text(SIGNATURE),
        body,
    }
}

/// Why nothing was braked.
#[derive(Debug)]
enum Refusal {
    Many,
    Keyless(KeyError),
    Not(Refused),
    Full,
}

impl Pulls {
    /// What is asked, if it counts.
    fn counted(&self, signed: &Signed) -> Result<Counted, Refusal> {
        if !self.uses.may_check(Instant::now()) {
            return Err(Refusal::Many);
        }
        let key = Key::read(&self.key_file).map_err(Refusal::Keyless)?;
        let counted = signed.check(&key, (self.clock)()).map_err(Refusal::Not)?;
        match &self.namespace {
            Some(own) if *own != counted.pull.namespace => {
                let found = &counted.pull.namespace;
                let wrong = format!(
                    "namespace: {found:?}; accepted: {own}, which alone this controller is for"
                );
                Err(Refusal::Not(Refused::Wrong(vec![wrong])))
            }
            _ => Ok(counted),
        }
    }

    /// Brakes, and waits until proxies have heard.
    async fn pull(&self, counted: &Counted, peer: SocketAddr) -> Result<Answered, Refusal> {
        let Counted { pull, name, .. } = counted;
        let plugin = pull.plugin();
        let asking = self.heard(counted).asking;
        let used = Use {
            pull: pull.clone(),
            name: name.clone(),
            peer: peer.to_string(),
            at: (self.clock)(),
        };
        let mut are_told = true;
        let given = match self.object(counted) {
            Some(_) => Given::Before,
            None => self.shelf.give(counted, &used, used.at),
        };
        match given {
            Given::New(number) => {
                self.uses.count(Outcome::Braked);
                (self.say)(&used.line());
                if self.told.try_send(used).is_err() {
                    (self.say)(&format!("nobody is told of {name}: too many messages wait"));
                }
                are_told = self.shelf.until_told(number, self.patience).await;
            }
            Given::Before => {
                self.uses.count(Outcome::Repeated);
                self.say_bounded(format!(
                    "the key's request for {plugin} came again, from {peer}"
                ));
            }
            Given::Full => return Err(Refusal::Full),
        }
        let heard = match are_told {
            true => self.followed(counted, asking).await,
            // Who has what was told before has not heard of this.
            false => Heard {
                asking: self.heard(counted).asking.max(asking),
                following: 0,
            },
        };
        let held = || self.shelf.find(name).map(Arc::new);
        let brake = self.object(counted).or_else(held);
        let state = brake.map(|brake| brake.state());
        Ok(Answered {
            brake: name.clone(),
            state: Answered::state(state).to_owned(),
            asking: heard.asking,
            following: heard.following,
        })
    }

    /// Waits until every proxy that asked before has the present answer, or too long.
    async fn followed(&self, counted: &Counted, before: u32) -> Heard {
        let until = Instant::now() + self.patience;
        loop {
            let heard = self.heard(counted);
            let asking = heard.asking.max(before);
            let has_followed = asking > 0 && heard.following == asking;
            if has_followed || Instant::now() >= until {
                return Heard { asking, ..heard };
            }
            tokio::time::sleep(LOOK_EVERY).await;
        }
    }

    fn heard(&self, counted: &Counted) -> Heard {
        let plugin = counted.pull.plugin();
        let page = self.desk.page(&plugin);
        let version = page.as_ref().map_or("", |page| page.version.as_str());
        self.desk.heard(&plugin, version)
    }

    /// The object that a request has led to.
    fn object(&self, counted: &Counted) -> Option<Arc<Brake>> {
        let named = ObjectRef::new(&counted.name).within(&counted.pull.namespace);
        self.known.get(&named)
    }

    fn refuse(&self, refusal: Refusal, peer: SocketAddr) -> Response<Full<Bytes>> {
        let (status, outcome, text, line) = match refusal {
            Refusal::Many => (
                StatusCode::TOO_MANY_REQUESTS,
                Outcome::Unchecked,
                "too many requests; ask again\n".to_owned(),
                "too many requests".to_owned(),
            ),
            Refusal::Keyless(error) => (
                StatusCode::SERVICE_UNAVAILABLE,
                Outcome::Keyless,
                "the controller cannot read its key; its log says why\n".to_owned(),
                format!("--pull-key-file {}", why(error)),
            ),
            Refusal::Full => (
                StatusCode::SERVICE_UNAVAILABLE,
                Outcome::Full,
                "no room: as many brakes of the key are held as may be\n".to_owned(),
                "no room".to_owned(),
            ),
            Refusal::Not(refused) => {
                let (status, outcome) = match refused {
                    Refused::Signature => (StatusCode::UNAUTHORIZED, Outcome::Unsigned),
                    Refused::Clock { .. } => (StatusCode::UNAUTHORIZED, Outcome::Untimely),
                    Refused::Wrong(_) => (StatusCode::BAD_REQUEST, Outcome::Wrong),
                };
                (status, outcome, format!("{refused}\n"), refused.to_string())
            }
        };
        self.uses.count(outcome);
        self.say_bounded(format!(
            "a request with the key is refused, from {peer}: {line}"
        ));
        said(status, text)
    }

    fn say_bounded(&self, line: String) {
        if let Some(line) = self.uses.refusal(line, Instant::now()) {
            (self.say)(&line);
        }
    }
}

fn why(error: KeyError) -> String {
    format!("{:#}", anyhow::Error::from(error))
}

#[cfg(test)]
mod tests;
