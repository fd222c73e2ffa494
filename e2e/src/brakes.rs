//! A service that proxies ask for brakes, which may also be down, silent or wrong.

use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use http_body_util::{BodyExt as _, Full};
use hyper::body::{Bytes, Incoming};
use hyper::service::service_fn;
use hyper::{Request, Response};
use hyper_util::rt::TokioIo;
use serde_json::{Value, json};
use sluice_core::brake::{Answer, Listed, Question};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::{JoinHandle, JoinSet};

/// How a service answers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Manner {
    /// As it should.
    Well,
    /// With a status.
    Status(u16),
    /// With something that is no answer.
    Garbage,
    /// With more than is read.
    TooLarge,
    /// It closes the connection.
    Closes,
    /// Never.
    Never,
}

#[derive(Debug)]
struct State {
    answer: watch::Sender<Answer>,
    manner: watch::Sender<Manner>,
    questions: Mutex<Vec<(Instant, Question)>>,
}

/// A running service; it ends with the runtime.
#[derive(Debug)]
pub struct Brakes {
    address: SocketAddr,
    state: Arc<State>,
    serving: Option<JoinHandle<()>>,
}

impl Brakes {
    /// Starts one on a free port of 127.0.0.1, without brakes.
    pub async fn start() -> Self {
        let answer = Answer {
            version: "0".to_owned(),
            ..Answer::default()
        };
        let mut brakes = Self {
            address: ([127, 0, 0, 1], 0).into(),
            state: Arc::new(State {
                answer: watch::channel(answer).0,
                manner: watch::channel(Manner::Well).0,
                questions: Mutex::default(),
            }),
            serving: None,
        };
        brakes.resume().await;
        brakes
    }

    /// Is there again, at the same address.
    pub async fn resume(&mut self) {
        let listener = TcpListener::bind(self.address).await.unwrap();
        self.address = listener.local_addr().unwrap();
        let state = Arc::clone(&self.state);
        self.serving = Some(tokio::spawn(async move {
            // Dropped with this task, and so is every connection.
            let mut connections = JoinSet::new();
            while let Ok((stream, _)) = listener.accept().await {
                let _ = stream.set_nodelay(true);
                connections.spawn(connection(stream, Arc::clone(&state)));
            }
        }));
    }

    /// Is gone: no connection is left, and none is taken.
    pub async fn stop(&mut self) {
        if let Some(serving) = self.serving.take() {
            serving.abort();
            let _ = serving.await;
        }
    }

    /// Envoy's cluster for it, named as istiod names that of `sluice.sluice-system`.
    pub fn cluster(&self) -> Value {
        let address =
            json!({"socket_address": {"address": "127.0.0.1", "port_value": self.address.port()}});
        let name = "outbound|8085||sluice.sluice-system.svc.cluster.local";
        json!({
            "name": name,
            "type": "STATIC",
            "connect_timeout": "1s",
            "load_assignment": {"cluster_name": name, "endpoints": [{"lb_endpoints": [{"endpoint": {"address": address}}]}]},
        })
    }

    /// Answers differently from now on, also what is asked already.
    pub fn behave(&self, manner: Manner) {
        self.state.manner.send_replace(manner);
    }

    /// Lists these brakes, and these released ones, from now on.
    pub fn list(&self, version: &str, brakes: &[(&str, &str, Option<&str>)], released: &[&str]) {
        let listed = |&(id, split, challenger): &(&str, &str, Option<&str>)| Listed {
            id: id.to_owned(),
            split: split.to_owned(),
            challenger: challenger.map(str::to_owned),
        };
        self.state.answer.send_replace(Answer {
            version: version.to_owned(),
            brakes: brakes.iter().map(listed).collect(),
            released: released.iter().map(|&id| id.to_owned()).collect(),
        });
    }

    /// Every question since an instant, and when it came.
    pub fn questions_since(&self, since: Instant) -> Vec<(Instant, Question)> {
        let questions = self.state.questions.lock().unwrap();
        let late = questions.iter().filter(|(at, _)| *at >= since);
        late.cloned().collect()
    }
}

async fn connection(stream: TcpStream, state: Arc<State>) {
    let answer = service_fn(|request| answer(request, &state));
    let _ = hyper::server::conn::http1::Builder::new()
        .serve_connection(TokioIo::new(stream), answer)
        .await;
}

async fn answer(
    request: Request<Incoming>,
    state: &State,
) -> Result<Response<Full<Bytes>>, std::io::Error> {
    assert_eq!(request.method(), "POST");
    assert_eq!(request.uri().path(), "/v1/brakes");
    let body = request
        .into_body()
        .collect()
        .await
        .map_err(std::io::Error::other)?;
    let mut problems = Vec::new();
    let question = Question::read(&body.to_bytes(), &mut problems).expect("a question");
    assert_eq!(problems, []);
    let asked = (Instant::now(), question.clone());
    state.questions.lock().unwrap().push(asked);
    let (mut answers, mut manners) = (state.answer.subscribe(), state.manner.subscribe());
    let manner = *manners.borrow_and_update();
    if manner == Manner::Well {
        let is_news = |answer: &Answer| question.version.as_ref() != Some(&answer.version);
        let wait = Duration::from_secs(question.wait.into());
        tokio::select! {
            Ok(answer) = answers.wait_for(is_news) => return Ok(respond(200, answer.to_json())),
            () = tokio::time::sleep(wait) => return Ok(respond(204, String::new())),
            _ = manners.changed() => {}
        }
    }
    let manner = *manners.borrow();
    match manner {
        Manner::Well => Ok(respond(204, String::new())),
        Manner::Status(status) => Ok(respond(status, "{}".to_owned())),
        Manner::Garbage => Ok(respond(200, "<html>no</html>".to_owned())),
        Manner::TooLarge => Ok(respond(200, " ".repeat(1 << 20))),
        Manner::Closes => Err(std::io::Error::other("closes")),
        Manner::Never => match std::future::pending::<Infallible>().await {},
    }
}

fn respond(status: u16, body: String) -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::new(Bytes::from(body)));
    *response.status_mut() = hyper::StatusCode::from_u16(status).unwrap();
    response
}
