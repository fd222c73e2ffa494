//! How late steps are, with a hundred of ten thousand Rollouts under way. The analysis is a stub: a
//! real Prometheus is asked for a constant.

use std::collections::HashMap;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use futures::StreamExt as _;
use k8s_openapi::jiff::Timestamp;
use kube::api::{Api, DynamicObject, ListParams, WatchEvent, WatchParams};
use serde_json::{Value, json};
use sluice_e2e_istio::process::Process;
use sluice_e2e_istio::prometheus;

use super::{ACTIVE, NAMESPACE, figure, memory, rollouts, seconds, share_of_a_core};
use crate::world::World;

/// So many steps, held for so long each.
const STEPS: u32 = 5;
const HOLD: Duration = Duration::from_secs(10);

/// How long all of them may take before nothing more is waited for.
const PATIENCE: Duration = Duration::from_secs(300);

/// The last states of all Rollouts, and every state that one under way was in: what a watch tells.
pub struct Diary {
    kept: Arc<Mutex<Kept>>,
    task: tokio::task::JoinHandle<()>,
}

#[derive(Default)]
struct Kept {
    known: HashMap<String, bool>,
    runs: HashMap<String, Vec<Value>>,
}

impl Diary {
    pub async fn begin(world: &World) -> Self {
        let api = rollouts(world);
        let kept = Arc::new(Mutex::new(Kept::default()));
        let listed = api.list(&ListParams::default().limit(1)).await;
        let version = listed.unwrap().metadata.resource_version.unwrap();
        let task = tokio::spawn(write(api, version, Arc::clone(&kept)));
        Self { kept, task }
    }

    /// Waits until the controller has said something of so many.
    pub async fn until_known(&self, wanted: usize) {
        self.until("to be known", |kept| {
            kept.known.values().filter(|is_known| **is_known).count() >= wanted
        })
        .await;
    }

    async fn until(&self, what: &str, is_so: impl Fn(&Kept) -> bool) {
        let began = Instant::now();
        while !is_so(&self.kept.lock().unwrap()) {
            assert!(began.elapsed() < PATIENCE, "waited for {what}");
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    }
}

impl Drop for Diary {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn write(api: Api<DynamicObject>, mut version: String, kept: Arc<Mutex<Kept>>) {
    loop {
        let parameters = WatchParams::default().timeout(290);
        let Ok(changes) = api.watch(&parameters, &version).await else {
            version = read_all(&api, &kept).await;
            continue;
        };
        let mut changes = changes.boxed();
        while let Some(change) = changes.next().await {
            match change {
                Ok(WatchEvent::Added(object) | WatchEvent::Modified(object)) => {
                    version = object.metadata.resource_version.clone().unwrap();
                    kept.lock().unwrap().note(&object);
                }
                Ok(WatchEvent::Bookmark(bookmark)) => {
                    version = bookmark.metadata.resource_version;
                }
                Ok(WatchEvent::Deleted(_)) => {}
                Ok(WatchEvent::Error(_)) | Err(_) => {
                    version = read_all(&api, &kept).await;
                    break;
                }
            }
        }
    }
}

/// A watch that was cut, or was too slow, begins anew; the states between are lost, and said.
async fn read_all(api: &Api<DynamicObject>, kept: &Mutex<Kept>) -> String {
    println!("the watch began anew; some steps are not counted");
    tokio::time::sleep(Duration::from_secs(1)).await;
    let all = api.list(&ListParams::default()).await.unwrap();
    for object in &all.items {
        kept.lock().unwrap().note(object);
    }
    all.metadata.resource_version.unwrap()
}

impl Kept {
    fn note(&mut self, object: &DynamicObject) {
        let name = object.metadata.name.clone().unwrap();
        let status = &object.data["status"];
        let is_known = status["observedGeneration"].is_i64();
        self.known.insert(name.clone(), is_known);
        if status["run"].is_object() {
            self.runs
                .entry(name)
                .or_default()
                .push(status["run"].clone());
        }
    }
}

fn time(run: &Value, field: &str) -> Option<Timestamp> {
    run[field].as_str()?.parse().ok()
}

fn since(former: Timestamp, later: Timestamp) -> Duration {
    Duration::try_from(later.duration_since(former)).unwrap_or_default()
}

/// How late each step of a run was: its successor's weight, or the run's end, was to be there when
/// its hold was over.
fn lateness(states: &[Value]) -> Vec<Duration> {
    let of_step = |step: u32| {
        let held = states
            .iter()
            .find(|run| run["step"] == step && run["stage"] == "Holding")?;
        let due =
            time(held, "converged")? + k8s_openapi::jiff::SignedDuration::try_from(HOLD).ok()?;
        let next = states.iter().find(|run| {
            (run["step"] == step + 1 && run["stage"] == "Converging") || run["stage"] == "Over"
        })?;
        Some(since(due, time(next, "since")?))
    };
    (0..STEPS).filter_map(of_step).collect()
}

/// How long after it was wanted a run's first weight was there.
fn beginning(wanted: Timestamp, states: &[Value]) -> Option<Duration> {
    let first = states.iter().find(|run| run["stage"] == "Converging")?;
    Some(since(wanted, time(first, "since")?))
}

/// Prints the middle, the 99th of a hundred, and the worst.
fn print(what: &str, mut times: Vec<Duration>) {
    times.sort();
    let at = |share: usize| times.get(times.len() * share / 100).copied();
    let [median, late] = [50, 99].map(|share| seconds(at(share).unwrap_or_default()));
    let worst = seconds(times.last().copied().unwrap_or_default());
    let of = times.len();
    figure(
        what,
        format!("median {median}, p99 {late}, worst {worst} of {of}"),
        "not measured",
    );
}

/// Brings a version with all of them at once.
pub async fn measure(world: &World, diary: &Diary, controller: &Process) {
    let steps = (1..=STEPS)
        .map(|step| json!({"weight": step * 20, "hold": format!("{}s", HOLD.as_secs())}));
    let check = json!({"name": "stub", "query": "vector(1)", "pass": "> 0"});
    let analysis = json!({
        "prometheus": {"address": prometheus::URL}, "interval": "5s", "checks": [check],
    });
    let spec = json!({"spec": {
        "version": "v2", "preset": null, "steps": steps.collect::<Value>(), "analysis": analysis,
    }});
    let mut wanted = HashMap::new();
    for index in 0..ACTIVE {
        let name = format!("r{index}-0");
        let kubernetes = &world.chain.kubernetes;
        kubernetes
            .merge("Rollout", NAMESPACE, &name, &spec)
            .await
            .unwrap();
        wanted.insert(name, Timestamp::now());
    }
    tokio::time::sleep(HOLD).await;
    let cpu = share_of_a_core(controller, HOLD).await;
    figure("CPU, 100 under way", cpu, "not measured");
    figure(
        "memory, 100 under way",
        memory(controller),
        "515 MiB with 8,000",
    );
    diary
        .until("the ends of the runs", |kept| {
            let is_over =
                |states: &Vec<Value>| states.last().is_some_and(|run| run["stage"] == "Over");
            kept.runs.values().filter(|states| is_over(states)).count() >= ACTIVE
        })
        .await;
    let kept = diary.kept.lock().unwrap();
    let first = kept
        .runs
        .iter()
        .filter_map(|(name, states)| beginning(wanted[name], states));
    print("a run's first weight, 100 at once", first.collect());
    let late = kept.runs.values().flat_map(|states| lateness(states));
    print("lateness of a due step, 100 at once", late.collect());
    let succeeded = |states: &&Vec<Value>| {
        states
            .last()
            .is_some_and(|run| run["ending"]["as"] == "Succeeded")
    };
    println!(
        "{} of {ACTIVE} succeeded",
        kept.runs.values().filter(succeeded).count()
    );
}
