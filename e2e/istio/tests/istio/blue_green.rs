//! The Services of a Rollout's clients that are not routed by a header: the active one goes with
//! everyone, the preview one has the new version before.

use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use sluice_e2e::client::{Connection, get};
use sluice_e2e::wait::until;
use sluice_e2e_istio::kubernetes::Kubernetes;
use sluice_e2e_istio::load::{Load, Seen};
use sluice_e2e_istio::process::Process;
use sluice_e2e_istio::prometheus;
use tokio::task::JoinHandle;

use crate::handing_back::{ROUTES_BACK, SUBSETS_BACK, wait_for_no_route};
use crate::releases::{ROUTES, SUBSETS, push, wait_for_pods, wait_for_rest};
use crate::rollouts::account;
use crate::rollouts::controller::{
    apply, condition, message, start_as, start_seeing, status, wait_for, wait_for_phase,
};
use crate::users::assert_no_failures;
use crate::workloads::{self, CHECKOUT, Workloads, deployment, wait_for_ready};
use crate::world::World;

const ACTIVE: &str = "checkout-active";
const PREVIEW: &str = "checkout-preview";

/// A route by which everybody who asks for the preview gets it: it passes no split by.
const PREVIEW_ROUTE: &str = "
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: {name: checkout-preview, namespace: a}
spec:
  hosts: [checkout-preview.a.svc.cluster.local]
  http:
  - route: [{destination: {host: checkout-preview.a.svc.cluster.local}}]
";

/// How late a node hears of endpoints at most. Chosen: half of the drain of these tests.
const LATE: Duration = Duration::from_millis(1_500);

/// A Service as Git has it: of both variants.
fn service(name: &str) -> Value {
    json!({
        "apiVersion": "v1", "kind": "Service",
        "metadata": {"name": name, "namespace": "a"},
        "spec": {
            "selector": {"app": "checkout"},
            "ports": [{"name": "http", "port": 8080, "targetPort": 8080}],
        },
    })
}

/// Clients of a Service that no proxy of Istio's routes: each request is a connection to one of the
/// endpoints that are ready, as a node that is a little late knows them.
struct Plain {
    stop: Arc<AtomicBool>,
    seen: Arc<Mutex<Vec<Seen>>>,
    tasks: Vec<JoinHandle<()>>,
}

impl Plain {
    /// A hundred requests a second.
    async fn start(world: &World, name: &'static str) -> Self {
        let kubernetes = world.chain.kubernetes.clone();
        let known = Arc::new(Mutex::new(ready(&kubernetes, name).await));
        assert!(!known.lock().unwrap().is_empty(), "{name} has endpoints");
        let stop = Arc::new(AtomicBool::new(false));
        let seen = Arc::new(Mutex::new(Vec::new()));
        let follow = {
            let (known, stop) = (Arc::clone(&known), Arc::clone(&stop));
            async move {
                while !stop.load(Ordering::Relaxed) {
                    tokio::time::sleep(LATE).await;
                    let found = ready(&kubernetes, name).await;
                    *known.lock().unwrap() = found;
                }
            }
        };
        let ask = {
            let (seen, stop) = (Arc::clone(&seen), Arc::clone(&stop));
            async move {
                let mut ticks = tokio::time::interval(Duration::from_millis(10));
                for user in 0.. {
                    if stop.load(Ordering::Relaxed) {
                        return;
                    }
                    ticks.tick().await;
                    let endpoint = {
                        let known = known.lock().unwrap();
                        let index = user as usize % known.len().max(1);
                        known.get(index).copied()
                    };
                    let (status, variant) = match endpoint {
                        Some(endpoint) => answer(endpoint).await,
                        None => (0, String::new()),
                    };
                    seen.lock().unwrap().push(Seen {
                        at: Instant::now(),
                        proxy: 0,
                        user,
                        status,
                        variant,
                    });
                }
            }
        };
        Self {
            stop,
            seen,
            tasks: vec![tokio::spawn(follow), tokio::spawn(ask)],
        }
    }

    fn seen(&self) -> Vec<Seen> {
        self.seen.lock().unwrap().clone()
    }

    async fn wait_for(&self, version: &str) {
        until(&format!("a client to have {version}"), async || {
            let last = self.seen().last().map(|seen| seen.variant.clone());
            (last.as_deref() == Some(version))
                .then_some(())
                .ok_or(format!("{last:?}"))
        })
        .await;
    }

    async fn end(mut self) -> Vec<Seen> {
        self.stop.store(true, Ordering::Relaxed);
        for task in std::mem::take(&mut self.tasks) {
            task.await.unwrap();
        }
        self.seen()
    }
}

/// A test that fails leaves no traffic to those after it.
impl Drop for Plain {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
    }
}

/// The endpoints of a Service in a that are ready.
async fn ready(kubernetes: &Kubernetes, name: &str) -> Vec<SocketAddr> {
    let Ok(slices) = kubernetes.list("EndpointSlice", "a").await else {
        return Vec::new();
    };
    let slices = slices.into_iter().filter(|slice| {
        let labels = slice.metadata.labels.clone().unwrap_or_default();
        labels.get("kubernetes.io/service-name").map(String::as_str) == Some(name)
    });
    let endpoints = slices.flat_map(|slice| {
        let endpoints = slice.data["endpoints"].as_array().cloned();
        endpoints.unwrap_or_default()
    });
    let ready = endpoints.filter(|endpoint| endpoint["conditions"]["ready"] == true);
    let addresses = ready.filter_map(|endpoint| endpoint["addresses"][0].as_str()?.parse().ok());
    addresses
        .map(|address| SocketAddr::new(address, 8080))
        .collect()
}

async fn answer(endpoint: SocketAddr) -> (u16, String) {
    let Ok(mut connection) = Connection::open(endpoint).await else {
        return (0, String::new());
    };
    let answer = connection.send(&get("/", ACTIVE, &[])).await;
    answer.map_or((0, String::new()), |answer| {
        (answer.status, answer.variant())
    })
}

/// What a Service selects its variant by, and who set that.
async fn selected(world: &World, name: &str) -> (Option<String>, Option<String>) {
    let found = world
        .chain
        .kubernetes
        .get("Service", "a", name)
        .await
        .unwrap();
    let variant = found.data["spec"]["selector"]["sluice.dev/variant"].as_str();
    let annotations = found.metadata.annotations.unwrap_or_default();
    let by = annotations.get("sluice.dev/selected-by").cloned();
    (variant.map(str::to_owned), by)
}

async fn wait_for_selected(world: &World, name: &str, variant: Option<&str>) {
    let wanted = variant.map(str::to_owned);
    until(&format!("{name} to select {variant:?}"), async || {
        let found = selected(world, name).await;
        (found.0 == wanted)
            .then_some(())
            .ok_or(format!("{found:?}"))
    })
    .await;
}

/// Waits until every endpoint that is ready answers with a version, and there is one.
async fn wait_for_answers(world: &World, name: &str, version: &str) {
    until(&format!("{name} to answer with {version}"), async || {
        let endpoints = ready(&world.chain.kubernetes, name).await;
        let mut seen = Vec::new();
        for endpoint in &endpoints {
            seen.push(answer(*endpoint).await);
        }
        let is_so = |answer: &(u16, String)| *answer == (200, version.to_owned());
        (!seen.is_empty() && seen.iter().all(is_so))
            .then_some(())
            .ok_or(format!("{seen:?}"))
    })
    .await;
}

/// A preview, an approval, and everyone.
fn steps(hold: &str) -> Value {
    json!([{"weight": 0, "approval": true}, {"weight": 100, "hold": hold}])
}

/// Users of v1 of both kinds, a Rollout that has just taken their Deployment over, and its routes.
async fn taken_over(world: &World, steps: &Value) -> (Workloads, Process, Load, Plain) {
    world.new_plugin("a").await;
    let roles = ["account.yaml", "namespaced.yaml", "workloads.yaml"];
    let (sluice, _) = account(world, &roles).await;
    let workloads = workloads::start(world).await;
    let kubernetes = &world.chain.kubernetes;
    for object in [
        deployment("checkout", "registry.example/shop/ok:v1", "canary", 3),
        service(ACTIVE),
    ] {
        kubernetes.apply(&object.to_string()).await;
    }
    wait_for_ready(world, "checkout", 3).await;
    wait_for_pods(world, "outbound|8080||checkout.a.svc.cluster.local").await;
    wait_for_answers(world, ACTIVE, "v1").await;
    let load = Load::start(&world.caller_addresses(), CHECKOUT, 100, 100);
    let plain = Plain::start(world, ACTIVE).await;
    workloads.kubelet.stop_takes(Duration::ZERO);
    let command = format!("controller -n a --prometheus {}", prometheus::URL);
    let controller = start_as(world, &sluice, "controller", &command);
    let workload = json!({
        "deployment": "checkout", "drain": "3s", "activeService": ACTIVE, "previewService": PREVIEW,
    });
    let spec = json!({"split": "checkout", "workload": workload, "steps": steps});
    apply(world, "checkout", &spec).await;
    wait_for_ready(world, "checkout-stable", 3).await;
    kubernetes.apply(SUBSETS).await;
    wait_for_pods(world, "outbound|8080|stable|checkout.a.svc.cluster.local").await;
    kubernetes.apply(ROUTES).await;
    // Of the two Services one is not there: nothing is done to the other.
    let why = format!("there is no Service {PREVIEW}");
    let said = wait_for(world, "checkout", &why, |status| {
        condition(status, "ServicesNotSelected") == "True"
    })
    .await;
    assert_eq!(said["workload"]["services"]["trouble"], why);
    assert_eq!(selected(world, ACTIVE).await, (None, None));
    wait_for_ready(world, "checkout", 3).await;
    kubernetes.apply(&service(PREVIEW).to_string()).await;
    kubernetes.apply(PREVIEW_ROUTE).await;
    wait_for_rest(world, "v1").await;
    let by = Some("checkout".to_owned());
    for (name, variant) in [(ACTIVE, "stable"), (PREVIEW, "canary")] {
        let expected = (Some(variant.to_owned()), by.clone());
        assert_eq!(selected(world, name).await, expected);
    }
    let status = status(world, "checkout").await;
    assert_eq!(
        condition(&status, "ServicesNotSelected"),
        "absent",
        "{status:#}"
    );
    assert_no_failures(&load.seen());
    assert_no_failures(&plain.seen());
    (workloads, controller, load, plain)
}

/// A version whose run waits for its approval, looked at by the preview Service.
async fn previewed(world: &World, version: &str, former: &str) {
    push(world, &format!("registry.example/shop/ok:{version}")).await;
    wait_for(world, "checkout", "its approval", |status| {
        let run = &status["run"];
        let is_of_it = run["version"]
            .as_str()
            .is_some_and(|own| own.contains(version));
        is_of_it && run["stage"] == "Approval"
    })
    .await;
    wait_for_answers(world, PREVIEW, version).await;
    wait_for_answers(world, ACTIVE, former).await;
}

async fn approve(world: &World) {
    world.sluice("rollout approve checkout -n a").await.good();
}

/// The time from the first answer of a version to the last one of the former.
fn overlap(seen: &[Seen], former: &str, version: &str) -> Duration {
    let first = seen.iter().find(|seen| seen.variant == version).unwrap();
    let last = seen.iter().rfind(|seen| seen.variant == former).unwrap();
    last.at.saturating_duration_since(first.at)
}

pub async fn clients_without_a_header_change_over_with_everyone_and_lose_no_request(
    world: &mut World,
) {
    let (_workloads, controller, load, plain) = taken_over(world, &steps("20s")).await;

    previewed(world, "v2", "v1").await;
    for seen in [load.seen(), plain.seen()] {
        assert!(
            seen.iter().all(|seen| seen.variant == "v1"),
            "nobody is moved"
        );
    }
    approve(world).await;
    plain.wait_for("v2").await;
    assert_eq!(selected(world, ACTIVE).await.0.as_deref(), Some("canary"));
    wait_for_phase(world, "checkout", "Succeeded").await;
    wait_for_rest(world, "v2").await;
    assert_eq!(selected(world, ACTIVE).await.0.as_deref(), Some("stable"));
    for (kind, seen) in [("plain", plain.seen()), ("routed", load.seen())] {
        assert_no_failures(&seen);
        let overlap = overlap(&seen, "v1", "v2");
        println!("{kind}: both versions answered for {overlap:?}");
        assert!(overlap < Duration::from_secs(5), "{kind}: {overlap:?}");
    }

    previewed(world, "v3", "v2").await;
    approve(world).await;
    plain.wait_for("v3").await;
    wait_for(world, "checkout", "its hold", |status| {
        status["run"]["stage"] == "Holding"
    })
    .await;
    // By the command line: it writes the weight, and the controller sees that.
    let began = Instant::now();
    world.sluice("abort checkout -n a").await.good();
    wait_for_selected(world, ACTIVE, Some("stable")).await;
    println!(
        "abort: the active Service followed in {:?}",
        began.elapsed()
    );
    wait_for_phase(world, "checkout", "Aborted").await;
    wait_for_ready(world, "checkout", 0).await;
    let (load, plain) = (load.end().await, plain.end().await);
    for (kind, seen) in [("plain", plain), ("routed", load)] {
        assert_no_failures(&seen);
        assert!(seen.iter().any(|seen| seen.variant == "v3"), "{kind}");
        assert_eq!(seen.last().unwrap().variant, "v2", "{kind}");
        let last = seen.iter().rfind(|seen| seen.variant == "v3").unwrap();
        let left = last.at.saturating_duration_since(began);
        println!("{kind}: the last answer of v3 came {left:?} after the abort");
        assert!(left < Duration::from_secs(5), "{kind}: {left:?}");
    }
    let log = controller.log();
    assert!(!log.contains("forbidden"), "{log}");
}

pub async fn a_service_that_git_sets_back_is_left_so_and_said(world: &mut World) {
    let (_workloads, _controller, load, plain) = taken_over(world, &steps("1s")).await;
    let kubernetes = &world.chain.kubernetes;
    let set_back = async || {
        let set = kubernetes
            .try_apply_by_force("gitops", &service(ACTIVE))
            .await;
        set.unwrap();
        assert_eq!(selected(world, ACTIVE).await.0, None);
    };
    // Whoever applies on the client's side leaves the key alone.
    let file = world.chain.folder().join("active.json");
    for team in ["one", "two"] {
        let mut stated = service(ACTIVE);
        stated["metadata"]["labels"] = json!({"team": team});
        std::fs::write(&file, stated.to_string()).unwrap();
        world
            .kubectl(&format!("apply -f {}", file.display()))
            .await
            .good();
        let found = kubernetes.get("Service", "a", ACTIVE).await.unwrap();
        assert_eq!(found.metadata.labels.unwrap()["team"], team);
        assert_eq!(selected(world, ACTIVE).await.0.as_deref(), Some("stable"));
    }
    for _ in 0..2 {
        set_back().await;
        wait_for_selected(world, ACTIVE, Some("stable")).await;
        // Until the controller has seen it.
        wait_for_rest(world, "v1").await;
        tokio::time::sleep(Duration::from_secs(6)).await;
    }
    set_back().await;
    let status = wait_for(world, "checkout", "its condition", |status| {
        condition(status, "ServicesNotSelected") == "True"
    })
    .await;
    let said = "Service checkout-active was set back 3 times and is left so";
    assert!(message(&status).starts_with(said), "{status:#}");
    tokio::time::sleep(Duration::from_secs(8)).await;
    assert_eq!(selected(world, ACTIVE).await.0, None);

    // Another template asks for it anew.
    previewed(world, "v2", "v1").await;
    assert_eq!(selected(world, ACTIVE).await.0.as_deref(), Some("stable"));
    assert_no_failures(&load.end().await);
    let seen = plain.end().await;
    assert_no_failures(&seen);
    assert!(seen.iter().all(|seen| seen.variant == "v1"));
}

pub async fn handing_back_gives_both_services_every_pod_again(world: &mut World) {
    let (_workloads, _controller, load, plain) = taken_over(world, &steps("1s")).await;
    world.sluice("rollout release checkout -n a").await.good();
    let said = "subset stable of DestinationRule checkout";
    wait_for(world, "checkout", said, |status| {
        message(status).contains(said)
    })
    .await;
    assert_eq!(selected(world, ACTIVE).await.0.as_deref(), Some("canary"));
    let kubernetes = &world.chain.kubernetes;
    kubernetes.apply(ROUTES_BACK).await;
    wait_for_no_route(world, "|stable|checkout.a").await;
    kubernetes.apply(SUBSETS_BACK).await;
    let waited = world.sluice("rollout release checkout -n a --wait").await;
    waited.good();
    for name in [ACTIVE, PREVIEW] {
        assert_eq!(selected(world, name).await, (None, None), "{name}");
    }
    let gone = kubernetes.get("Deployment", "a", "checkout-stable").await;
    assert!(gone.is_none());
    wait_for_answers(world, ACTIVE, "v1").await;
    assert_no_failures(&load.end().await);
    assert_no_failures(&plain.end().await);
}

pub async fn a_controller_that_is_killed_again_and_again_moves_every_client(world: &mut World) {
    let steps = json!([{"weight": 100, "hold": "1s"}]);
    let (_workloads, controller, load, plain) = taken_over(world, &steps).await;
    drop(controller);
    push(world, "registry.example/shop/ok:v2").await;
    let is_over = async || {
        let status = status(world, "checkout").await;
        message(&status).starts_with("Deployment checkout-stable serves everyone with ok:v2 (")
    };
    let mut kills = 0;
    while !is_over().await {
        let controller = start_seeing(world);
        // Long enough to lead, and to do something.
        tokio::time::sleep(Duration::from_millis(2_500 + 700 * (kills % 5))).await;
        drop(controller);
        kills += 1;
        assert!(kills < 40, "{}", message(&status(world, "checkout").await));
    }
    println!("it was killed {kills} times");
    wait_for_ready(world, "checkout", 0).await;
    assert_eq!(selected(world, ACTIVE).await.0.as_deref(), Some("stable"));
    for (kind, seen) in [("plain", plain.end().await), ("routed", load.end().await)] {
        assert_no_failures(&seen);
        assert_eq!(seen.last().unwrap().variant, "v2", "{kind}");
    }
}
