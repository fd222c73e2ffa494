//! Somebody between `sluice` and the API server who interferes with writes of plugins: a proxy that
//! is killed, a network that breaks, another writer who is faster.
//!
//! Plain HTTP comes in and goes out as the administrator's HTTPS. Each write gets the next fate;
//! with none left, it is passed on like everything else.

use std::collections::VecDeque;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use hyper::Method;
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use kube::client::Body;
use tokio::net::{TcpListener, TcpStream};

use crate::api_server;
use crate::command::Tool;
use crate::kubernetes::Kubernetes;

/// What happens to a write.
#[derive(Clone, Debug)]
pub enum Fate {
    /// The connection ends before it is passed on.
    LostBefore,
    /// The connection ends after it was passed on and answered.
    LostAfter,
    /// The same, and from then on every connection ends.
    LostForGood,
    /// It is passed on after a command has ended.
    Behind(Tool, String),
}

/// The one between.
#[derive(Clone, Debug)]
pub struct Between {
    kubernetes: Kubernetes,
    fates: Arc<Mutex<VecDeque<Fate>>>,
    is_gone: Arc<AtomicBool>,
}

impl Between {
    /// Starts it with the fates of the next writes, and gives the kubeconfig that leads to it.
    pub async fn start(
        kubernetes: &Kubernetes,
        folder: &Path,
        fates: impl IntoIterator<Item = Fate>,
    ) -> PathBuf {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let between = Self {
            kubernetes: kubernetes.clone(),
            fates: Arc::new(Mutex::new(fates.into_iter().collect())),
            is_gone: Arc::default(),
        };
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                tokio::spawn(between.clone().serve(stream));
            }
        });
        kubeconfig_through(address, folder)
    }

    async fn serve(self, stream: TcpStream) {
        let answer = service_fn(|request| self.answer(request));
        let http = hyper::server::conn::http1::Builder::new();
        // An error of the answer ends the connection, which is what it is for.
        let _ = http.serve_connection(TokioIo::new(stream), answer).await;
    }

    async fn answer(
        &self,
        request: hyper::Request<Incoming>,
    ) -> Result<hyper::Response<Body>, std::io::Error> {
        let lost = || std::io::Error::from(std::io::ErrorKind::ConnectionReset);
        if self.is_gone.load(Ordering::Relaxed) {
            return Err(lost());
        }
        let is_write = *request.method() == Method::PATCH;
        match self.next_fate(is_write) {
            None => Ok(self.kubernetes.pass(request).await),
            Some(Fate::LostBefore) => Err(lost()),
            Some(Fate::LostAfter) => {
                self.kubernetes.pass(request).await;
                Err(lost())
            }
            Some(Fate::LostForGood) => {
                self.kubernetes.pass(request).await;
                self.is_gone.store(true, Ordering::Relaxed);
                Err(lost())
            }
            Some(Fate::Behind(tool, arguments)) => {
                tool.run_beside(&arguments).await.good();
                Ok(self.kubernetes.pass(request).await)
            }
        }
    }

    fn next_fate(&self, is_write: bool) -> Option<Fate> {
        let mut fates = self.fates.lock().unwrap_or_else(PoisonError::into_inner);
        if is_write { fates.pop_front() } else { None }
    }
}

/// A kubeconfig of the administrator by way of an address.
pub(crate) fn kubeconfig_through(address: SocketAddr, folder: &Path) -> PathBuf {
    let admin = std::fs::read_to_string(folder.join("admin.kubeconfig")).unwrap();
    let kubeconfig = folder.join(format!("between-{}.kubeconfig", address.port()));
    let through = admin.replace(api_server::URL, &format!("http://{address}"));
    std::fs::write(&kubeconfig, through).unwrap();
    kubeconfig
}
