//! Three rollouts that run by themselves under the same load: a good version, one that begins to
//! fail for a tenth of its users, and one that fails for everybody.

use std::convert::Infallible;
use std::io::{BufRead as _, BufReader};
use std::net::SocketAddr;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering};
use std::time::{Duration, Instant};

use http_body_util::Full;
use hyper::body::{Bytes, Incoming};
use hyper::service::service_fn;
use hyper::{Request, Response};
use hyper_util::rt::{TokioExecutor, TokioIo};
use serde_json::Value;
use sluice_core::bucket::bucket;
use sluice_e2e::adapter::Adapter;
use sluice_e2e::dev::Dev;
use sluice_e2e::mesh::sluice;
use sluice_e2e::prometheus::{self, Options, Prometheus, Target};
use tokio::net::TcpListener;

use crate::shown::done;
use crate::world::{USERS, World};

const PLUGIN: &str = "splits:
  web:
    identity: [{cookie: email}]
    guard: {failures: 50, responses: 20, within: 10s}
cookie: {name: sluice, secure: false}
responseMetrics: true
";

/// For whom the canary fails.
const NOBODY: u8 = 0;
const A_TENTH: u8 = 1;
const EVERYBODY: u8 = 2;

/// What became of a rollout.
pub(super) struct Rollout {
    /// Which version it was.
    pub(super) name: &'static str,
    /// How it ended, in its own words.
    pub(super) end: String,
    /// From its begin to its end.
    pub(super) took: Duration,
    /// How many users saw an error.
    pub(super) users: usize,
    /// From the first error to the last.
    pub(super) errors: Duration,
    /// Whether it did what was promised.
    pub(super) is_as_promised: bool,
}

/// All three, one after another.
pub(super) async fn all(adapter: Adapter) -> Vec<Rollout> {
    let observed = if prometheus::is_there() {
        "a Prometheus that scrapes Envoy each 200 ms"
    } else {
        "Envoy's own figures, since there is no Prometheus here"
    };
    println!("\nthree rollouts, 5, 25, 50, 100 %, watched through {observed}:");
    let good = rollout(adapter, "a good version", NOBODY, NOBODY, "Succeeded").await;
    let bad = rollout(
        adapter,
        "fails a tenth at 25 %",
        NOBODY,
        A_TENTH,
        "RolledBack",
    )
    .await;
    let broken = rollout(
        adapter,
        "fails everybody",
        EVERYBODY,
        EVERYBODY,
        "RolledBack",
    )
    .await;
    vec![good, bad, broken]
}

/// One rollout of a canary that fails from the beginning for some, and from 25 % on for others.
async fn rollout(
    adapter: Adapter,
    name: &'static str,
    first: u8,
    then: u8,
    expected: &str,
) -> Rollout {
    let folder = tempfile::Builder::new()
        .prefix("sluice-demo-")
        .tempdir()
        .unwrap();
    std::fs::write(folder.path().join("plugin.yaml"), PLUGIN).unwrap();
    let failing = Arc::new(AtomicU8::new(first));
    let [stable, canary] = [
        server("stable", Arc::default()).await,
        server("canary", Arc::clone(&failing)).await,
    ];
    let mut dev = Dev::start_on(
        adapter,
        folder.path(),
        &[("web/stable", stable), ("web/canary", canary)],
    );
    let scraped = prometheus(&dev, folder.path()).await;
    let world = World::new();
    let load = world.load(dev.address);
    tokio::time::sleep(Duration::from_secs(2)).await;
    let began = Instant::now();
    let file = folder.path().join("rollout.yaml.txt");
    std::fs::write(&file, manifest(name, scraped.as_ref())).unwrap();
    let mut run = run(&file, folder.path());
    let end = follow(&mut run, &failing, then).await;
    let is_expected = run.wait().unwrap().success() == (expected == "Succeeded");
    let took = began.elapsed();
    tokio::time::sleep(Duration::from_secs(1)).await;
    let is_over = expected == "Succeeded" || crate::world::share(&world.users) == 0.0;
    world.end(load).await;
    let is_ended = dev.interrupt();
    let users = world.users_with_errors();
    let errors = world.errors().map_or(Duration::ZERO, |(took, _)| took);
    let rollout = Rollout {
        name,
        is_as_promised: is_expected
            && is_over
            && is_ended
            && end.starts_with(expected)
            && (users == 0) == (expected == "Succeeded"),
        end,
        took,
        users,
        errors,
    };
    done(&format!(
        "{:<22} {} after {:.1} s; {users} of {USERS} users saw an error, for {:.1} s",
        rollout.name,
        rollout.end,
        rollout.took.as_secs_f64(),
        rollout.errors.as_secs_f64()
    ));
    rollout
}

fn manifest(version: &str, prometheus: Option<&Prometheus>) -> String {
    let server = prometheus.map_or_else(String::new, |prometheus| {
        format!("    prometheus: {{address: \"{}\"}}\n", prometheus.url())
    });
    format!(
        "apiVersion: sluice.dev/v1alpha1
kind: Rollout
metadata: {{name: web}}
spec:
  split: web
  version: {version}
  steps: [{{weight: 5, hold: 3s}}, {{weight: 25, hold: 6s}}, {{weight: 50, hold: 3s}}, {{weight: 100, hold: 1s}}]
  analysis:
{server}    interval: 1s
    window: 10s
    minRequests: 20
    checks:
    - {{name: success rate, metric: successRate, pass: \">= 99%\", fail: \"< 80%\"}}
    - {{name: failed users, metric: failedUsers, against: fallback, fail: \"> +50%\", confidence: 0.99}}
"
    )
}

fn run(file: &Path, folder: &Path) -> Child {
    Command::new(sluice())
        .args(["rollout", "run", "-o", "json", "-f"])
        .arg(file)
        .arg("--dir")
        .arg(folder)
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .unwrap()
}

/// Follows a run to its end, and lets the canary fail once it has 25 %.
async fn follow(run: &mut Child, failing: &AtomicU8, then: u8) -> String {
    let (sender, mut lines) = tokio::sync::mpsc::unbounded_channel();
    let stdout = BufReader::new(run.stdout.take().unwrap());
    std::thread::spawn(move || {
        for line in stdout.lines().map_while(Result::ok) {
            let _ = sender.send(line);
        }
    });
    let mut end = "it said nothing".to_owned();
    while let Some(line) = lines.recv().await {
        let said: Value = serde_json::from_str(&line).unwrap();
        let message = said["message"].as_str().unwrap_or_default();
        if said["event"] == "converged" && said["step"] == 2 {
            tokio::time::sleep(Duration::from_secs(1)).await;
            failing.store(then, Ordering::SeqCst);
        }
        end = format!("{}: {message}", said["phase"].as_str().unwrap_or_default());
    }
    end
}

/// A Prometheus that scrapes the Envoy of a `sluice dev`, where there is one.
async fn prometheus(dev: &Dev, folder: &Path) -> Option<Prometheus> {
    if !prometheus::is_there() {
        return None;
    }
    let targets = vec![Target {
        address: dev.admin(folder),
        pod: None,
    }];
    let options = Options {
        targets,
        ..Options::default()
    };
    Some(Prometheus::start(&options).await)
}

/// A variant's server; it ends with this process.
async fn server(variant: &'static str, failing: Arc<AtomicU8>) -> SocketAddr {
    let listener = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            let failing = Arc::clone(&failing);
            let answer = service_fn(move |request: Request<Incoming>| {
                let fails = fails(&request, failing.load(Ordering::SeqCst));
                let response = Response::builder()
                    .status(if fails { 500 } else { 200 })
                    .header("x-variant", variant)
                    .body(Full::new(Bytes::from_static(b"ok")));
                async move { Ok::<_, Infallible>(response.unwrap()) }
            });
            tokio::spawn(async move {
                let builder = hyper_util::server::conn::auto::Builder::new(TokioExecutor::new());
                let _ = builder.serve_connection(TokioIo::new(stream), answer).await;
            });
        }
    });
    address
}

/// A user is known by the cookies; a tenth of them by another hash than the split's.
fn fails(request: &Request<Incoming>, failing: u8) -> bool {
    let cookie = request.headers().get("cookie");
    let user = cookie.map_or(&b""[..], |cookie| cookie.as_bytes());
    match failing {
        NOBODY => false,
        A_TENTH => bucket("demo", None, user).is_multiple_of(10),
        _ => true,
    }
}
