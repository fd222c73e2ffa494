//! What proxies ask: `POST /v1/brakes`, and nothing else.
//!
//! A question is held until its plugin's brakes are others than those that the proxy has, or its time
//! is over. Bounded: so many connections, so long a question, and so long an idle connection.

use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use http_body_util::{BodyExt as _, Full, Limited};
use hyper::body::{Bytes, Incoming};
use hyper::header::{CONTENT_TYPE, HeaderValue};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Method, Request, Response, StatusCode};
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::server::graceful::GracefulShutdown;
use sluice_core::brake::Question;
use sluice_core::brake::question::{MAX_QUESTION_BYTES, MAX_WAIT_SECONDS};
use tokio::net::TcpListener;
use tokio::sync::{Semaphore, watch};
use tokio::time::{Instant, timeout, timeout_at};

use super::desk::Desk;
use super::plugin::PluginName;

/// How many proxies may ask at once; others wait for a place. Chosen: twice what one replica is
/// measured with.
pub const MAX_QUESTIONS: usize = 20_000;

/// The longest head of a question, in bytes: the least that hyper takes.
const HEAD_BYTES: usize = 8_192;

/// How long a connection may be idle between two questions, and a question may take to arrive.
const PATIENCE: Duration = Duration::from_secs(60);

/// How long what is being answered at the end may take.
const LAST_ANSWERS: Duration = Duration::from_secs(2);

/// Answers on a listener until `ended`; whoever is held then is answered at once.
pub async fn serve(listener: TcpListener, desk: Arc<Desk>, ended: watch::Receiver<bool>) {
    let places = Arc::new(Semaphore::new(MAX_QUESTIONS));
    let graceful = GracefulShutdown::new();
    let mut stop = ended.clone();
    let accepting = async {
        loop {
            // Never closed, so this is always a place.
            let place = Arc::clone(&places).acquire_owned().await;
            let Ok((stream, _)) = listener.accept().await else {
                // No file is left for it: one that ends gives its own back.
                tokio::time::sleep(Duration::from_millis(100)).await;
                continue;
            };
            let (desk, ended) = (Arc::clone(&desk), ended.clone());
            let service = service_fn(move |request| {
                let (desk, ended) = (Arc::clone(&desk), ended.clone());
                async move { Ok::<_, Infallible>(answer(request, &desk, ended).await) }
            });
            let connection = http1::Builder::new()
                .timer(TokioTimer::new())
                .header_read_timeout(PATIENCE)
                .max_buf_size(HEAD_BYTES)
                .serve_connection(TokioIo::new(stream), service);
            let connection = graceful.watch(connection);
            tokio::spawn(async move {
                // Whoever asked has gone, or asked nonsense: hyper has told them.
                let _ = connection.await;
                drop(place);
            });
        }
    };
    tokio::select! {
        () = accepting => {}
        _ = stop.wait_for(|has_ended| *has_ended) => {}
    }
    drop(listener);
    let _ = timeout(LAST_ANSWERS, graceful.shutdown()).await;
}

async fn answer(
    request: Request<Incoming>,
    desk: &Desk,
    ended: watch::Receiver<bool>,
) -> Response<Full<Bytes>> {
    if request.uri().path() != "/v1/brakes" {
        return said(StatusCode::NOT_FOUND, "accepted: /v1/brakes\n");
    }
    if request.method() != Method::POST {
        return said(StatusCode::METHOD_NOT_ALLOWED, "accepted: POST\n");
    }
    let body = Limited::new(request.into_body(), MAX_QUESTION_BYTES).collect();
    let Ok(Ok(body)) = timeout(PATIENCE, body).await else {
        let most = format!("accepted: a question of at most {MAX_QUESTION_BYTES} bytes\n");
        return said(StatusCode::PAYLOAD_TOO_LARGE, most);
    };
    let mut problems = Vec::new();
    let Some(question) = Question::read(&body.to_bytes(), &mut problems) else {
        let problems: Vec<String> = problems
            .iter()
            .map(|problem| format!("{problem}\n"))
            .collect();
        return said(StatusCode::BAD_REQUEST, problems.concat());
    };
    let Some(plugin) = PluginName::of_envoy(&question.plugin) else {
        let named = &question.plugin;
        return said(
            StatusCode::BAD_REQUEST,
            format!("plugin: {named:?}; accepted: NAMESPACE.NAME\n"),
        );
    };
    desk.note(&plugin, &question);
    held(&question, &plugin, desk, ended).await
}

/// The answer once there is one that the proxy does not have; nothing after so long.
async fn held(
    question: &Question,
    plugin: &PluginName,
    desk: &Desk,
    mut ended: watch::Receiver<bool>,
) -> Response<Full<Bytes>> {
    let wait = Duration::from_secs(u64::from(question.wait.min(MAX_WAIT_SECONDS)));
    let until = Instant::now() + wait;
    let mut table = desk.table();
    loop {
        table.mark_unchanged();
        match desk.page(plugin) {
            None => {
                return said(
                    StatusCode::SERVICE_UNAVAILABLE,
                    "the brakes are not read yet\n",
                );
            }
            Some(page) if question.version.as_ref() != Some(&page.version) => {
                desk.told(plugin, &question.node);
                let mut response = Response::new(Full::new(page.json.clone()));
                let kind = HeaderValue::from_static("application/json");
                response.headers_mut().insert(CONTENT_TYPE, kind);
                return response;
            }
            Some(_) => {}
        }
        let is_changed = tokio::select! {
            changed = timeout_at(until, table.changed()) => matches!(changed, Ok(Ok(()))),
            _ = ended.wait_for(|has_ended| *has_ended) => false,
        };
        if !is_changed {
            return said(StatusCode::NO_CONTENT, "");
        }
    }
}

fn said(status: StatusCode, text: impl Into<Bytes>) -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::new(text.into()));
    *response.status_mut() = status;
    response
}
