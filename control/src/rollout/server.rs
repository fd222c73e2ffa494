//! What the controller answers to who watches it: `/metrics` for Prometheus, `/healthz` and
//! `/readyz` for the kubelet.
//!
//! Bounded: so many connections at once, each for one request and some seconds. What is measured and
//! when one is ready, the controller says.

mod metrics_page;

use std::convert::Infallible;
use std::sync::Arc;
use std::time::{Duration, Instant};

use http_body_util::Full;
use hyper::body::{Bytes, Incoming};
use hyper::header::CONTENT_TYPE;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Method, Request, Response, StatusCode};
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Semaphore, watch};
use tokio::task::JoinSet;
use tokio::time::timeout;

pub use self::metrics_page::MetricsPage;

/// How many connections are served at once; others wait. Chosen: a Prometheus pair and a kubelet need
/// three.
pub const MAX_CONNECTIONS: usize = 64;

/// How long a connection may take from its begin to its end, in seconds. Chosen: as long as Prometheus
/// waits by default.
pub const MAX_CONNECTION_SECONDS: u64 = 10;

/// The longest head of a request, in bytes: the least that hyper takes.
pub const MAX_HEAD_BYTES: usize = 8_192;

/// How long the head of a request may take.
const HEAD_PATIENCE: Duration = Duration::from_secs(5);

/// Whether the controller is ready.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Readiness {
    /// It is.
    Ready,
    /// It is not.
    NotYet {
        /// Why not.
        why: String,
    },
}

/// What is answered.
#[derive(Clone, Debug)]
pub struct Pages {
    /// What `/metrics` shows.
    pub metrics: Arc<MetricsPage>,
    /// What `/readyz` says.
    pub readiness: watch::Receiver<Readiness>,
}

/// Answers on a listener until `ended`; what was being answered then is answered to its end.
pub async fn serve(listener: TcpListener, pages: Pages, ended: impl Future<Output = ()>) {
    let places = Arc::new(Semaphore::new(MAX_CONNECTIONS));
    let mut connections = JoinSet::new();
    let accepting = async {
        loop {
            // Never closed, so this is always a place.
            let place = places.clone().acquire_owned().await;
            while connections.try_join_next().is_some() {}
            match listener.accept().await {
                Ok((stream, _)) => {
                    let answering = answer_one(stream, pages.clone());
                    connections.spawn(async move {
                        let _ =
                            timeout(Duration::from_secs(MAX_CONNECTION_SECONDS), answering).await;
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
        () = ended => {}
    }
    drop(listener);
    while connections.join_next().await.is_some() {}
}

async fn answer_one(stream: TcpStream, pages: Pages) {
    let service = service_fn(|request: Request<Incoming>| {
        let answer = answer(request.method(), request.uri().path(), &pages);
        async { Ok::<_, Infallible>(answer) }
    });
    // Whoever asked has gone, or asked nonsense: hyper has told them.
    let _ = http1::Builder::new()
        .keep_alive(false)
        .timer(TokioTimer::new())
        .header_read_timeout(HEAD_PATIENCE)
        .max_buf_size(MAX_HEAD_BYTES)
        .serve_connection(TokioIo::new(stream), service)
        .await;
}

const TEXT: &str = "text/plain; charset=utf-8";
/// By the OpenMetrics specification.
const METRICS: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

fn answer(method: &Method, path: &str, pages: &Pages) -> Response<Full<Bytes>> {
    if !matches!(*method, Method::GET | Method::HEAD) {
        return page(
            StatusCode::METHOD_NOT_ALLOWED,
            TEXT,
            "accepted: GET, HEAD\n",
        );
    }
    match path {
        "/healthz" => page(StatusCode::OK, TEXT, "ok\n"),
        "/readyz" => match &*pages.readiness.borrow() {
            Readiness::Ready => page(StatusCode::OK, TEXT, "ok\n"),
            Readiness::NotYet { why } => page(
                StatusCode::SERVICE_UNAVAILABLE,
                TEXT,
                format!("not ready: {why}\n"),
            ),
        },
        "/metrics" => match pages.metrics.at(Instant::now()) {
            Ok(text) => page(StatusCode::OK, METRICS, text),
            Err(error) => page(
                StatusCode::INTERNAL_SERVER_ERROR,
                TEXT,
                format!("{error}\n"),
            ),
        },
        _ => page(
            StatusCode::NOT_FOUND,
            TEXT,
            "accepted: /healthz, /readyz, /metrics\n",
        ),
    }
}

fn page(status: StatusCode, kind: &'static str, text: impl Into<Bytes>) -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::new(text.into()));
    *response.status_mut() = status;
    let kind = hyper::header::HeaderValue::from_static(kind);
    response.headers_mut().insert(CONTENT_TYPE, kind);
    response
}

#[cfg(test)]
mod tests;
