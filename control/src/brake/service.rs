//! What proxies ask: `POST /v1/brakes`, and nothing else.
//!
//! A question is held until its plugin's brakes are others than those that the proxy has, or its time
//! is over. Bounded: so many connections, so long a question, and so long a time without one.

use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use http_body_util::{BodyExt as _, Full, Limited};
use hyper::body::{Bytes, Incoming};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Method, Request, Response, StatusCode};
use hyper_util::rt::TokioIo;
use hyper_util::server::graceful::{GracefulShutdown, Watcher};
use sluice_core::brake::Question;
use sluice_core::brake::question::{MAX_QUESTION_BYTES, MAX_WAIT_SECONDS};
use tokio::net::{TcpListener, TcpSocket, TcpStream};
use tokio::sync::watch;
use tokio::time::{Instant, MissedTickBehavior, interval, sleep, timeout};

use super::askers::Number;
use super::counts::Said;
use super::desk::Desk;
use super::plugin::PluginName;
use super::responses::{json, said};
use super::seats::{Seat, Seats};

/// How many proxies may ask at once; others are refused. Chosen: twice what one replica is measured
/// with.
pub const MAX_QUESTIONS: usize = 20_000;

/// How many files are left for everything else than proxies.
const OTHER_FILES: usize = 256;

/// How many connections may wait until they are accepted. Chosen: as many as Linux lets wait by
/// default (`net.core.somaxconn`), since all proxies of a replica that ended may come at once.
const BACKLOG: u32 = 4_096;

/// The longest head of a question, in bytes: the least that hyper takes.
const HEAD_BYTES: usize = 8_192;

/// How often it is looked who is idle for too long.
const LOOK_EVERY: Duration = Duration::from_secs(1);

/// How long it is waited where no file is left for a connection.
const FILE_PAUSE: Duration = Duration::from_millis(100);

/// How long what is being answered at the end may take.
const LAST_ANSWERS: Duration = Duration::from_secs(2);

/// What the service bounds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Bounds {
    /// Connections at once.
    pub connections: usize,
    /// How long a connection may go without a whole question, from its begin or its last answer on.
    pub idle: Duration,
    /// How long a question may wait for the brakes to be read.
    pub reading: Duration,
}

impl Bounds {
    /// Of a process that may have so many files open.
    pub fn within(files: usize) -> Self {
        Self {
            connections: files.saturating_sub(OTHER_FILES).clamp(1, MAX_QUESTIONS),
            idle: Duration::from_secs(60),
            // A short question is waited for two seconds.
            reading: Duration::from_secs(1),
        }
    }
}

/// Where proxies ask.
///
/// # Errors
/// When it cannot be listened there.
pub fn listen(address: SocketAddr) -> std::io::Result<TcpListener> {
    let socket = match address {
        SocketAddr::V4(_) => TcpSocket::new_v4()?,
        SocketAddr::V6(_) => TcpSocket::new_v6()?,
    };
    // The connections of a process that ended just now do not hold the address.
    socket.set_reuseaddr(true)?;
    socket.bind(address)?;
    socket.listen(BACKLOG)
}

/// Answers on a listener until `ended`; whoever is held then is answered at once.
pub async fn serve(
    listener: TcpListener,
    desk: Arc<Desk>,
    bounds: Bounds,
    mut ended: watch::Receiver<bool>,
) {
    let seats = Seats::new(bounds.connections, desk.counts().clone());
    let graceful = GracefulShutdown::new();
    let asked = Asked {
        desk,
        ended: ended.clone(),
        reading: bounds.reading,
    };
    tokio::select! {
        () = accept(&listener, &seats, &graceful, asked) => {}
        () = dismiss_idle(&seats, bounds.idle) => {}
        _ = ended.wait_for(|has_ended| *has_ended) => {}
    }
    drop(listener);
    let _ = timeout(LAST_ANSWERS, graceful.shutdown()).await;
}

/// What every question is answered from.
#[derive(Clone, Debug)]
struct Asked {
    desk: Arc<Desk>,
    ended: watch::Receiver<bool>,
    reading: Duration,
}

async fn accept(
    listener: &TcpListener,
    seats: &Arc<Seats>,
    graceful: &GracefulShutdown,
    asked: Asked,
) {
    loop {
        let Ok((stream, _)) = listener.accept().await else {
            // No file is left for it: one that is idle gives its own back, or one that ends.
            seats.dismiss_one();
            sleep(FILE_PAUSE).await;
            continue;
        };
        // Where there is none it is closed, and asks again later, or another replica.
        if let Some(seat) = seats.take().await {
            let serving = serve_one(stream, seat, graceful.watcher(), asked.clone());
            tokio::spawn(serving);
        }
    }
}

async fn dismiss_idle(seats: &Seats, long: Duration) {
    let mut looks = interval(LOOK_EVERY.min(long));
    looks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        looks.tick().await;
        seats.dismiss_idle(long, Instant::now());
    }
}

/// Answers on one connection until it is closed.
async fn serve_one(stream: TcpStream, seat: Seat, watcher: Watcher, asked: Asked) {
    let _counted = asked.desk.counts().connection();
    let (own, from) = (&seat, &asked);
    let service =
        service_fn(
            move |request| async move { Ok::<_, Infallible>(answer(request, own, from).await) },
        );
    let connection = http1::Builder::new()
        // A connection that asks nothing is dismissed from its seat.
        .header_read_timeout(None)
        .max_buf_size(HEAD_BYTES)
        .serve_connection(TokioIo::new(stream), service);
    tokio::select! {
        // Whoever asked has gone, or asked nonsense: hyper has told them.
        _ = watcher.watch(connection) => {}
        () = seat.dismissed() => {}
    }
}

async fn answer(request: Request<Incoming>, seat: &Seat, asked: &Asked) -> Response<Full<Bytes>> {
    let (response, said) = match read(request).await {
        Ok((question, plugin)) => {
            let _busy = seat.busy();
            let answered = held(&question, &plugin, asked).await;
            match answered {
                Answered::Page(page) => (json(page), Said::Changed),
                Answered::Nothing => (said(StatusCode::NO_CONTENT, ""), Said::Unchanged),
                Answered::NotRead => {
                    let why = "the brakes are not read yet\n";
                    (said(StatusCode::SERVICE_UNAVAILABLE, why), Said::NotReady)
                }
            }
        }
        Err(refusal) => (refusal, Said::Refused),
    };
    asked.desk.counts().said(said);
    response
}

/// The question, or why it is none.
async fn read(request: Request<Incoming>) -> Result<(Question, PluginName), Response<Full<Bytes>>> {
    if request.uri().path() != "/v1/brakes" {
        return Err(said(StatusCode::NOT_FOUND, "accepted: /v1/brakes\n"));
    }
    if request.method() != Method::POST {
        return Err(said(StatusCode::METHOD_NOT_ALLOWED, "accepted: POST\n"));
    }
    let body = Limited::new(request.into_body(), MAX_QUESTION_BYTES).collect();
    let Ok(body) = body.await else {
        let most = format!("accepted: a question of at most {MAX_QUESTION_BYTES} bytes\n");
        return Err(said(StatusCode::PAYLOAD_TOO_LARGE, most));
    };
    let mut problems = Vec::new();
    let Some(question) = Question::read(&body.to_bytes(), &mut problems) else {
        let problems: Vec<String> = problems
            .iter()
            .map(|problem| format!("{problem}\n"))
            .collect();
        return Err(said(StatusCode::BAD_REQUEST, problems.concat()));
    };
    let Some(plugin) = PluginName::of_envoy(&question.plugin) else {
        let named = &question.plugin;
        let why = format!("plugin: {named:?}; accepted: NAMESPACE.NAME\n");
        return Err(said(StatusCode::BAD_REQUEST, why));
    };
    Ok((question, plugin))
}

/// What became of a question.
enum Answered {
    /// There is something that the proxy does not have.
    Page(Bytes),
    /// There was nothing in its time.
    Nothing,
    /// The brakes were not read in time.
    NotRead,
}

/// Who asks, until the question is answered: whoever goes away before that has left.
struct Asking<'q> {
    desk: &'q Desk,
    plugin: &'q PluginName,
    node: &'q str,
    question: Option<Number>,
}

impl Drop for Asking<'_> {
    fn drop(&mut self) {
        if let Some(question) = self.question {
            self.desk.left(self.plugin, self.node, question);
        }
    }
}

async fn held(question: &Question, plugin: &PluginName, asked: &Asked) -> Answered {
    let desk = &asked.desk;
    let _counted = desk.counts().held();
    let mut asking = Asking {
        desk,
        plugin,
        node: &question.node,
        question: Some(desk.note(plugin, question)),
    };
    let answered = awaited(question, plugin, asked).await;
    let number = asking.question.take();
    if let (Answered::Nothing, Some(number)) = (&answered, number) {
        desk.rests(plugin, &question.node, number);
    }
    answered
}

/// The answer once there is one that the proxy does not have; nothing after so long.
async fn awaited(question: &Question, plugin: &PluginName, asked: &Asked) -> Answered {
    let began = Instant::now();
    let wait = Duration::from_secs(u64::from(question.wait.min(MAX_WAIT_SECONDS)));
    let (mut pages, mut ended) = (asked.desk.pages(plugin), asked.ended.clone());
    loop {
        let (until, otherwise) = match pages.page() {
            None => (began + asked.reading, Answered::NotRead),
            Some(page) if question.version.as_ref() != Some(&page.version) => {
                asked.desk.told(plugin, &question.node);
                return Answered::Page(page.json.clone());
            }
            Some(_) => (began + wait, Answered::Nothing),
        };
        tokio::select! {
            biased;
            _ = ended.wait_for(|has_ended| *has_ended) => return otherwise,
            () = pages.turned() => {}
            () = tokio::time::sleep_until(until) => return otherwise,
        }
    }
}

#[cfg(test)]
mod tests;
