//! Ways to the API server on which the one who writes is ended: just before a write of a kind is
//! made, and just after it was made, before it is answered.
//!
//! Plain HTTP comes in and goes out as the administrator's HTTPS. Who ends the process is the test:
//! a write waits until it has. Which kinds of writes there are, the test says too.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};

use http_body_util::BodyExt as _;
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper::{Method, Request, Response};
use hyper_util::rt::TokioIo;
use kube::client::Body;
use serde_json::Value;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{mpsc, oneshot};

use crate::between::kubeconfig_through;
use crate::chain::Chain;
use crate::kubernetes::Kubernetes;

/// A write that is about to be made.
#[derive(Clone, Debug)]
pub struct Write {
    /// How.
    pub method: Method,
    /// What is written.
    pub path: String,
    /// What is said besides, such as the field manager.
    pub query: String,
    /// What it shall be.
    pub body: Value,
}

/// On which side of a write its sender ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Side {
    /// The write is not made.
    Before,
    /// It is made, and never answered.
    After,
}

/// The kind of a write and where its senders end: at the first write of the kind on the first of
/// these sides, at the second one on the second. `None`: such a write is none of the test's.
pub type Kinds = fn(&Write) -> Option<(String, &'static [Side])>;

/// Somebody who is to be ended now.
#[derive(Debug)]
pub struct Doomed {
    /// The number of the way on which they wrote.
    pub way: usize,
    /// Told once they are.
    pub ended: oneshot::Sender<()>,
}

/// The ways.
#[derive(Clone)]
pub struct Ways {
    kubernetes: Kubernetes,
    kinds: Kinds,
    met: Arc<Mutex<BTreeMap<String, Vec<Side>>>>,
    made: Arc<Mutex<Vec<Write>>>,
    doom: mpsc::UnboundedSender<Doomed>,
}

impl std::fmt::Debug for Ways {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.debug_struct("Ways").finish_non_exhaustive()
    }
}

impl Ways {
    /// None yet, and those who are to be ended on them.
    pub fn new(kubernetes: &Kubernetes, kinds: Kinds) -> (Self, mpsc::UnboundedReceiver<Doomed>) {
        let (doom, doomed) = mpsc::unbounded_channel();
        let ways = Self {
            kubernetes: kubernetes.clone(),
            kinds,
            met: Arc::default(),
            made: Arc::default(),
            doom,
        };
        (ways, doomed)
    }

    /// Opens one, and gives the kubeconfig that leads to it.
    pub async fn open(&self, way: usize, chain: &Chain) -> PathBuf {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address: SocketAddr = listener.local_addr().unwrap();
        let ways = self.clone();
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                tokio::spawn(ways.clone().serve(way, stream));
            }
        });
        kubeconfig_through(address, chain.folder())
    }

    /// At which kinds of writes somebody was ended, and on which sides.
    pub fn met(&self) -> BTreeMap<String, Vec<Side>> {
        let met = self.met.lock().unwrap_or_else(PoisonError::into_inner);
        met.clone()
    }

    /// Every write of the test's that was made, in order.
    pub fn made(&self) -> Vec<Write> {
        let made = self.made.lock().unwrap_or_else(PoisonError::into_inner);
        made.clone()
    }

    async fn serve(self, way: usize, stream: TcpStream) {
        let answer = service_fn(|request| self.answer(way, request));
        let http = hyper::server::conn::http1::Builder::new();
        // An error of the answer ends the connection, which is what it is for.
        let _ = http.serve_connection(TokioIo::new(stream), answer).await;
    }

    async fn answer(
        &self,
        way: usize,
        request: Request<Incoming>,
    ) -> Result<Response<Body>, std::io::Error> {
        let lost = || std::io::Error::from(std::io::ErrorKind::ConnectionReset);
        let (head, body) = request.into_parts();
        let body = body.collect().await.map_err(|_| lost())?.to_bytes();
        let write = Write {
            method: head.method.clone(),
            path: head.uri.path().to_owned(),
            query: head.uri.query().unwrap_or_default().to_owned(),
            body: serde_json::from_slice(&body).unwrap_or_default(),
        };
        let request = Request::from_parts(head, body.to_vec());
        // Apart from its connection: a write of somebody who is ended at another of theirs is made
        // all the same once it is under way, and known here.
        let ways = self.clone();
        let passing = tokio::spawn(async move { ways.pass(way, write, request).await });
        passing.await.ok().flatten().ok_or_else(lost)
    }

    /// Passes a write on, unless its sender ends at it; `None` where nobody is to be answered.
    async fn pass(
        &self,
        way: usize,
        write: Write,
        request: Request<Vec<u8>>,
    ) -> Option<Response<Body>> {
        let is_tried = write.query.contains("dryRun");
        let kind = (self.kinds)(&write).filter(|_| !is_tried);
        let is_counted = kind.is_some();
        let side = kind.and_then(|(kind, sides)| self.next(kind, sides));
        if side == Some(Side::Before) {
            self.end(way).await;
            return None;
        }
        let answer = self.kubernetes.pass_whole(request).await.ok()?;
        if is_counted && answer.status().is_success() {
            let mut made = self.made.lock().unwrap_or_else(PoisonError::into_inner);
            made.push(write);
        }
        if side == Some(Side::After) {
            self.end(way).await;
            return None;
        }
        Some(answer)
    }

    /// Where the sender of the next write of a kind ends.
    fn next(&self, kind: String, sides: &[Side]) -> Option<Side> {
        let mut met = self.met.lock().unwrap_or_else(PoisonError::into_inner);
        let met = met.entry(kind).or_default();
        let side = sides.get(met.len()).copied()?;
        met.push(side);
        Some(side)
    }

    async fn end(&self, way: usize) {
        let (ended, end) = oneshot::channel();
        if self.doom.send(Doomed { way, ended }).is_ok() {
            let _ = end.await;
        }
    }
}
