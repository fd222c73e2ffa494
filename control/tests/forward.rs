//! What a run asks of other people's servers on its way, and what it tells them: gates, and
//! messages, in a directory and with a server on loopback.
#![allow(clippy::unwrap_used, reason = "helpers of tests fail like tests")]

use std::collections::BTreeMap;
use std::convert::Infallible;
use std::net::SocketAddr;
use std::path::Path;
use std::sync::{Arc, Mutex};

use http_body_util::{BodyExt as _, Full};
use hyper::body::{Bytes, Incoming};
use hyper::service::service_fn;
use hyper::{Request, Response};
use hyper_util::rt::{TokioExecutor, TokioIo};
use serde_json::{Value, json};
use sluice::model::input::Input;
use sluice::model::reach::Reach;
use sluice::operations::Caller;
use sluice::operations::abort::{Abort, abort};
use sluice::rollout::commands::Verb;
use sluice::rollout::ground;
use sluice::rollout::host::directory as host;
use sluice::rollout::kept::Keeper;
use sluice::rollout::manifest::{Manifest, manifest};
use sluice::rollout::status::{Phase, Status};
use sluice::store::directory::Directory;
use tokio::net::TcpListener;

/// A server that says what it is told to, and keeps what it was asked.
#[derive(Clone, Default)]
struct Server {
    /// The statuses of the next answers, the last of them for ever.
    statuses: Arc<Mutex<Vec<u16>>>,
    asked: Arc<Mutex<Vec<Asked>>>,
}

#[derive(Clone, Debug)]
struct Asked {
    path: String,
    headers: BTreeMap<String, String>,
    body: Value,
}

impl Server {
    async fn start(statuses: &[u16]) -> (Self, SocketAddr) {
        sluice::tls::set_up();
        let listener = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
        let address = listener.local_addr().unwrap();
        let server = Self::default();
        *server.statuses.lock().unwrap() = statuses.to_vec();
        let serving = server.clone();
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let server = serving.clone();
                let answer = service_fn(move |request| server.clone().answer(request));
                tokio::spawn(async move {
                    let builder =
                        hyper_util::server::conn::auto::Builder::new(TokioExecutor::new());
                    let _ = builder.serve_connection(TokioIo::new(stream), answer).await;
                });
            }
        });
        (server, address)
    }

    async fn answer(self, request: Request<Incoming>) -> Result<Response<Full<Bytes>>, Infallible> {
        let path = request.uri().path().to_owned();
        let headers = request.headers().iter();
        let headers = headers.map(|(name, value)| {
            let value = String::from_utf8_lossy(value.as_bytes()).into_owned();
            (name.to_string(), value)
        });
        let headers = headers.collect();
        let body = request.into_body().collect().await.unwrap().to_bytes();
        self.asked.lock().unwrap().push(Asked {
            path,
            headers,
            body: serde_json::from_slice(&body).unwrap(),
        });
        let mut statuses = self.statuses.lock().unwrap();
        let status = match statuses.len() {
            0 | 1 => statuses.first().copied().unwrap_or(200),
            _ => statuses.remove(0),
        };
        let answer = Response::builder()
            .status(status)
            .body(Full::new(Bytes::from_static(b"no")));
        Ok(answer.unwrap())
    }

    fn asked(&self) -> Vec<Asked> {
        self.asked.lock().unwrap().clone()
    }
}

fn caller() -> Caller {
    Caller {
        name: "ann".to_owned(),
        clock: jiff::Timestamp::now,
    }
}

fn directory(folder: &Path) -> Directory {
    std::fs::write(folder.join("plugin.yaml"), "splits: {web: {}}").unwrap();
    Directory::open(folder).unwrap()
}

fn rollout(mut spec: Value) -> Manifest {
    spec["split"] = json!("web");
    spec["version"] = json!("v1");
    let value = json!({
        "apiVersion": "sluice.dev/v1alpha1", "kind": "Rollout", "metadata": {"name": "web"}, "spec": spec,
    });
    let input = Input {
        source: "r.yaml".to_owned(),
        value,
    };
    manifest(&input).unwrap()
}

async fn run(directory: &Directory, manifest: &Manifest) -> Status {
    let manifests = std::slice::from_ref(manifest);
    let ended = host::run(directory, &caller(), manifests, &|_| {}).await;
    ended.unwrap().remove(0)
}

#[tokio::test]
async fn a_gate_that_says_yes_is_asked_once_for_each_step_with_what_it_is_about() {
    let (server, address) = Server::start(&[200]).await;
    let folder = tempfile::tempdir().unwrap();
    let gate =
        |before: &str| json!({"webhook": format!("http://{address}/{before}"), "before": before});
    let manifest = rollout(json!({
        "steps": [{"weight": 5}, {"weight": 100}],
        "gates": [gate("start"), gate("step"), gate("finish")],
    }));
    let status = run(&directory(folder.path()), &manifest).await;
    assert_eq!(status.phase, Phase::Succeeded);
    let mut asked: Vec<(String, Value, Value)> = server
        .asked()
        .into_iter()
        .map(|asked| {
            (
                asked.path,
                asked.body["step"].clone(),
                asked.body["weight"].clone(),
            )
        })
        .collect();
    asked.sort_by_key(|(path, step, _)| (step.as_u64(), path.clone()));
    let expected = [
        ("/start", 1, 5.0),
        ("/step", 1, 5.0),
        ("/finish", 2, 100.0),
        ("/step", 2, 100.0),
    ];
    let expected =
        expected.map(|(path, step, weight)| (path.to_owned(), json!(step), json!(weight)));
    assert_eq!(asked, expected);
}

#[tokio::test]
async fn a_gate_that_says_no_holds_the_run_before_anybody_is_moved() {
    let (server, address) = Server::start(&[403]).await;
    let folder = tempfile::tempdir().unwrap();
    let directory = directory(folder.path());
    let manifest = rollout(json!({
        "steps": [{"weight": 5}],
        "gates": [{"webhook": format!("http://{address}/gate")}],
    }));
    let said = Mutex::new(Vec::new());
    let tell =
        |happened: &ground::Happened<'_>| said.lock().unwrap().push(happened.message.to_owned());
    let caller = caller();
    let manifests = [manifest];
    let running = host::run(&directory, &caller, &manifests, &tell);
    let is_held = async {
        while !said
            .lock()
            .unwrap()
            .iter()
            .any(|said| said.contains("step 1 waits"))
        {
            tokio::task::yield_now().await;
        }
    };
    tokio::select! {
        ended = running => panic!("{ended:?}"),
        () = is_held => {}
    }
    assert!(!folder.path().join("weights.yaml").exists());
    let last = said.lock().unwrap().last().unwrap().clone();
    assert!(last.starts_with("step 1 waits: gate 127.0.0.1"), "{last}");
    assert_eq!(server.asked().len(), 1, "it is asked again after a pause");
}

#[tokio::test]
async fn each_event_is_told_once_also_when_the_run_is_taken_over() {
    let (server, address) = Server::start(&[200]).await;
    let folder = tempfile::tempdir().unwrap();
    let directory = directory(folder.path());
    let manifest = rollout(json!({
        "steps": [{"weight": 5, "hold": "300ms"}, {"weight": 50, "hold": "300ms"}, {"weight": 100}],
        "notify": [{"webhook": {"url": format!("http://{address}/told")},
                    "on": ["started", "stepped", "succeeded"]}],
    }));
    let caller = caller();
    let manifests = [manifest.clone()];
    // Dropped in the middle, as a process that is killed; what is kept is all that the next one has.
    for _ in 0..3 {
        let some = std::time::Duration::from_millis(150);
        let _ =
            tokio::time::timeout(some, host::run(&directory, &caller, &manifests, &|_| {})).await;
    }
    let status = run(&directory, &manifest).await;
    assert_eq!(status.phase, Phase::Succeeded);
    let mut told: BTreeMap<String, Value> = BTreeMap::new();
    for asked in server.asked() {
        let key = asked.headers["webhook-id"].clone();
        told.insert(key, asked.body["type"].clone());
    }
    let mut events: Vec<String> = told
        .values()
        .map(|event| event.as_str().unwrap().to_owned())
        .collect();
    events.sort();
    let expected = ["started", "stepped", "stepped", "stepped", "succeeded"];
    assert_eq!(events, expected.map(|event| format!("rollout.{event}")));
}

#[tokio::test]
async fn a_prometheus_that_hangs_holds_up_neither_an_abort_nor_a_command() {
    sluice::tls::set_up();
    let hanging = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
    let address = hanging.local_addr().unwrap();
    let mut connections = Vec::new();
    tokio::spawn(async move {
        while let Ok((stream, _)) = hanging.accept().await {
            connections.push(stream);
        }
    });
    for verb in [None, Some(Verb::Abort)] {
        let folder = tempfile::tempdir().unwrap();
        let directory = directory(folder.path());
        let manifest = rollout(json!({
            "steps": [{"weight": 5, "hold": "1h"}],
            "analysis": {
                "prometheus": {"address": format!("http://{address}"), "timeout": "1m"},
                "checks": [{"name": "up", "query": "up", "pass": "> 0"}],
            },
        }));
        let running = run(&directory, &manifest);
        let stop = async {
            while !folder.path().join("weights.yaml").exists() {
                tokio::time::sleep(std::time::Duration::from_millis(20)).await;
            }
            match verb {
                Some(verb) => {
                    let keeper = Keeper::new(&directory);
                    keeper.ask("web", verb, "ann", None).unwrap();
                }
                None => {
                    let order = Abort {
                        reach: Reach::of_split("web"),
                        reason: None,
                    };
                    abort(&directory, &caller(), &order).await.unwrap();
                }
            }
        };
        let ended = async { tokio::join!(running, stop).0 };
        // Half of what the Prometheus would take.
        let most = std::time::Duration::from_secs(30);
        let status = tokio::time::timeout(most, ended).await.unwrap();
        assert_eq!(status.phase, Phase::Aborted, "{verb:?}");
    }
}
