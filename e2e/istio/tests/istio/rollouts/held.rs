//! What holds a run forward, and never back: windows, and servers that are asked.

use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};

use http_body_util::{BodyExt as _, Full};
use hyper::body::{Bytes, Incoming};
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use jiff::{Timestamp, ToSpan as _};
use serde_json::{Value, json};
use tokio::net::TcpListener;
use tokio::task::JoinHandle;

use super::controller::{
    apply, history, message, ramp, start, wait_for, wait_for_phase, wait_for_weight,
};
use crate::world::World;

const WEB: &str = "/web/everyone/canary";

/// A window of now that denies, and when it ends.
fn freeze() -> (Value, Timestamp) {
    let now = Timestamp::now();
    let edge = |at: Timestamp| at.strftime("%Y-%m-%d %H:%M").to_string();
    let end: Timestamp = now.checked_add(48.hours()).unwrap();
    // An edge has no seconds.
    let end = Timestamp::from_second(end.as_second() / 60 * 60).unwrap();
    let begin = now.checked_sub(1.hours()).unwrap();
    let deny = json!([{"from": edge(begin), "to": edge(end), "reason": "freeze of the sale"}]);
    (json!({"deny": deny}), end)
}

/// What a person may not wait for: neither a window nor a gate.
async fn abort_is_at_once(world: &World) {
    let said = world.sluice("rollout abort web -n a").await.good();
    assert_eq!(world.weight("a", WEB).await, Some(0.0), "{said:?}");
    wait_for_phase(world, "web", "Aborted").await;
}

pub async fn a_window_holds_the_run_until_somebody_overrides_it(world: &mut World) {
    world.new_plugin("a").await;
    let _controller = start(world);
    let (windows, end) = freeze();
    let mut spec = json!({"split": "web", "version": "v2", "steps": ramp(&[10, 100], "2s")});
    spec["windows"] = windows;
    apply(world, "web", &spec).await;
    let held = format!("step 1 waits: freeze of the sale until {end}");
    let is_held = |status: &Value| message(status) == held;
    wait_for(world, "web", "to be held by the window", is_held).await;
    tokio::time::sleep(std::time::Duration::from_secs(3)).await;
    assert!(matches!(world.weight("a", WEB).await, None | Some(0.0)));
    spec["windows"]["override"] = json!({"by": "INC-4711 hotfix"});
    apply(world, "web", &spec).await;
    wait_for_weight(world, WEB, 10.0).await;
    let by = "freeze of the sale, overridden by INC-4711 hotfix";
    // Each step of it is recorded: in its Event, in the history of the weights, in the run.
    let status = wait_for_phase(world, "web", "Succeeded").await;
    assert_eq!(
        status["run"]["overridden"],
        json!({"step": 1, "by": by}),
        "{status:#}"
    );
    let history = history(world).await;
    for step in 1..=2 {
        let reason = format!("Rollout web, run 1, step {step} of 2; {by}");
        assert!(history.contains(&reason), "{history}");
    }
    let events = world.kubectl("events -n a --for rollout/web").await.good();
    let stepped = format!("step 1 of 2: 10 % of everyone; {by}");
    assert!(events.out.contains(&stepped), "{events:?}");
    let tree = world.sluice("rollout status web -n a").await.good().out;
    assert!(tree.contains(&format!("step 2: {by}")), "{tree}");
}

pub async fn a_window_holds_no_rollback(world: &mut World) {
    world.new_plugin("a").await;
    let _controller = start(world);
    let mut spec = json!({"split": "web", "version": "v2", "steps": ramp(&[10, 100], "1s")});
    spec["steps"][0]["approval"] = json!(true);
    spec["onHandEdit"] = json!("abort");
    apply(world, "web", &spec).await;
    wait_for_weight(world, WEB, 10.0).await;
    // The freeze begins in the middle of the run: its users stay, and no step more is made.
    let (windows, end) = freeze();
    spec["windows"] = windows.clone();
    apply(world, "web", &spec).await;
    let said = world.sluice("rollout approve web -n a").await.good();
    assert!(said.out.contains("approved by"), "{said:?}");
    let held = format!("step 2 waits: freeze of the sale until {end}");
    wait_for(world, "web", "to be held by the window", |status| {
        message(status) == held
    })
    .await;
    assert_eq!(world.weight("a", WEB).await, Some(10.0));
    // What the controller takes back by itself does not wait either.
    world.sluice("set web canary=20 -n a").await.good();
    wait_for_phase(world, "web", "RolledBack").await;
    assert_eq!(world.weight("a", WEB).await, Some(0.0));
    spec["version"] = json!("v3");
    spec["windows"]["override"] = json!({"by": "ann"});
    apply(world, "web", &spec).await;
    wait_for_weight(world, WEB, 10.0).await;
    spec["windows"] = windows;
    apply(world, "web", &spec).await;
    abort_is_at_once(world).await;
}

/// A server that is asked whether a run may go forward, or told of something.
pub struct Gate {
    pub address: SocketAddr,
    answer: Arc<Mutex<(u16, &'static str)>>,
    asked: Arc<Mutex<Vec<Value>>>,
    serving: JoinHandle<()>,
}

impl Gate {
    pub async fn open_at(address: &str, status: u16, text: &'static str) -> Self {
        let listener = TcpListener::bind(address).await.unwrap();
        let address = listener.local_addr().unwrap();
        let answer = Arc::new(Mutex::new((status, text)));
        let asked: Arc<Mutex<Vec<Value>>> = Arc::default();
        let (answers, asking) = (Arc::clone(&answer), Arc::clone(&asked));
        let serving = tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let service = service_fn(|request: hyper::Request<Incoming>| async {
                    let body = request.into_body().collect().await.unwrap().to_bytes();
                    asking
                        .lock()
                        .unwrap()
                        .push(serde_json::from_slice(&body).unwrap());
                    let (status, text) = *answers.lock().unwrap();
                    let answer = hyper::Response::builder().status(status);
                    let answer = answer.header("connection", "close");
                    Ok::<_, Infallible>(answer.body(Full::new(Bytes::from(text))).unwrap())
                });
                let http = hyper::server::conn::http1::Builder::new();
                let _ = http.serve_connection(TokioIo::new(stream), service).await;
            }
        });
        Self {
            address,
            answer,
            asked,
            serving,
        }
    }

    fn says(&self, status: u16, text: &'static str) {
        *self.answer.lock().unwrap() = (status, text);
    }

    /// What it was asked.
    pub fn asked(&self) -> Vec<Value> {
        self.asked.lock().unwrap().clone()
    }

    /// The steps that it was asked about.
    fn steps(&self) -> Vec<Value> {
        let asked = self.asked.lock().unwrap();
        asked.iter().map(|asked| asked["step"].clone()).collect()
    }

    /// As a server that ends.
    async fn end(self) {
        self.serving.abort();
        let _ = self.serving.await;
    }
}

pub async fn a_gate_is_asked_before_each_step_and_holds_no_rollback(world: &mut World) {
    world.new_plugin("a").await;
    let _controller = start(world);
    let gate = Gate::open_at("127.0.0.1:0", 409, "the build of v2 is red").await;
    let mut spec = json!({"split": "web", "version": "v2", "steps": ramp(&[10, 100], "1s")});
    spec["gates"] = json!([{"webhook": format!("http://{}/gate", gate.address)}]);
    apply(world, "web", &spec).await;
    let name = format!("gate {}", gate.address);
    let waits = |step: u64, why: &str| format!("step {step} waits: {name} {why}");
    let held = waits(1, "answered 409: the build of v2 is red");
    wait_for(world, "web", "the gate's no", |status| {
        message(status) == held
    })
    .await;
    assert!(matches!(world.weight("a", WEB).await, None | Some(0.0)));
    let question = gate.asked.lock().unwrap()[0].clone();
    assert_eq!(
        question,
        json!({
            "before": "step", "namespace": "a", "rollout": "web", "split": "web", "run": 1, "version": "v2",
            "step": 1, "audience": "everyone", "weight": 10.0,
        })
    );
    gate.says(200, "");
    wait_for_weight(world, WEB, 10.0).await;
    // Whoever said no to the first step is not asked about it once more.
    gate.says(503, "maintenance");
    let held = waits(2, "answered 503: maintenance");
    wait_for(world, "web", "the second step's no", |status| {
        message(status) == held
    })
    .await;
    let address = gate.address.to_string();
    let steps = gate.steps();
    assert!(steps.is_sorted_by_key(|step| step.as_u64()), "{steps:?}");
    gate.end().await;
    let is_down = |status: &Value| message(status).starts_with(&waits(2, "cannot be reached"));
    wait_for(world, "web", "the gate to be down", is_down).await;
    assert_eq!(world.weight("a", WEB).await, Some(10.0));
    abort_is_at_once(world).await;
    // Back again, it lets the next run through.
    let gate = Gate::open_at(&address, 204, "").await;
    world.sluice("rollout retry web -n a").await.good();
    wait_for_phase(world, "web", "Succeeded").await;
    assert_eq!(gate.steps(), [json!(1), json!(2)]);
    gate.end().await;
}
