//! What ten thousand Rollouts cost one controller, how late their steps are, and how soon an abort of
//! one of them is over. The figures are printed beside those of Argo Rollouts, and not judged.

mod aborts;
mod steps;

use std::fmt::Display;
use std::time::{Duration, Instant};

use futures::StreamExt as _;
use kube::api::{Api, DynamicObject};
use kube::core::{ApiResource, GroupVersionKind};
use serde_json::{Value, json};
use sluice_e2e_istio::process::Process;
use sluice_e2e_istio::prometheus;

use crate::brake;
use crate::world::World;
use steps::Diary;

/// Where they are. It has no proxy but one, which no plugin of theirs selects.
const NAMESPACE: &str = "b";

const PLUGINS: usize = 1_000;
/// Splits of a plugin.
pub const SPLITS: usize = 10;

/// How many of the Rollouts run at once.
const ACTIVE: usize = 100;

/// What the whole measurement may take. What it needs is printed at its end.
const BOUND: Duration = Duration::from_secs(30 * 60);

/// How long the controller is left alone before its memory and CPU are read, and how long that
/// takes.
const REST: Duration = Duration::from_secs(10);

/// A plugin in namespace b, which no proxy runs.
pub fn plugin_of_nobody(index: usize) -> Value {
    let split = |split: usize| {
        let config = json!({"services": [format!("s{split}.b")], "identity": [{"cookie": "uid"}]});
        (format!("s{split}"), config)
    };
    let splits: serde_json::Map<String, Value> = (0..SPLITS).map(split).collect();
    json!({
        "apiVersion": "extensions.istio.io/v1alpha1", "kind": "WasmPlugin",
        "metadata": {"name": format!("p{index}"), "namespace": NAMESPACE},
        "spec": {
            "selector": {"matchLabels": {"app": "nobody"}}, "url": "oci://registry.example.com/sluice-module:1",
            "pluginConfig": {"splits": splits},
        },
    })
}

/// A Rollout of a plugin's split that has nothing to do yet.
fn rollout(name: &str, plugin: usize, split: usize) -> Value {
    json!({
        "apiVersion": "sluice.dev/v1alpha1", "kind": "Rollout",
        "metadata": {"name": name, "namespace": NAMESPACE},
        "spec": {"plugin": format!("p{plugin}"), "split": format!("s{split}"), "preset": "progressive"},
    })
}

/// Every Rollout of theirs.
fn rollouts(world: &World) -> Api<DynamicObject> {
    let kind = GroupVersionKind::gvk("sluice.dev", "v1alpha1", "Rollout");
    let client = world.chain.kubernetes.client();
    Api::namespaced_with(client, NAMESPACE, &ApiResource::from_gvk(&kind))
}

async fn create(world: &World, documents: impl Iterator<Item = Value>) {
    let made = documents.map(|document| {
        let kubernetes = world.chain.kubernetes.clone();
        async move { kubernetes.create(&document).await.unwrap() }
    });
    futures::stream::iter(made)
        .buffer_unordered(16)
        .for_each(async |_| {})
        .await;
}

/// Prints what was measured, at once: whoever stops the rest has this.
fn figure(what: &str, ours: impl Display, argos: &str) {
    println!("figure: {what}: {ours} (Argo Rollouts: {argos})");
}

fn seconds(time: Duration) -> String {
    format!("{:.2} s", time.as_secs_f64())
}

/// What the process used of a core meanwhile, in percent.
async fn share_of_a_core(process: &Process, time: Duration) -> String {
    let (cpu, began) = (process.cpu(), Instant::now());
    tokio::time::sleep(time).await;
    let share = (process.cpu() - cpu).as_secs_f64() / began.elapsed().as_secs_f64();
    format!("{:.1} % of a core", share * 100.0)
}

fn memory(process: &Process) -> String {
    format!("{} MiB", process.resident_mebibytes())
}

pub async fn ten_thousand_rollouts_of_one_controller(world: &mut World) {
    let began = Instant::now();
    tokio::time::timeout(BOUND, measure(world))
        .await
        .expect("every figure within 30 minutes");
    println!("took {:.1} minutes", began.elapsed().as_secs_f64() / 60.0);
}

async fn measure(world: &World) {
    let diary = Diary::begin(world).await;
    world.new_plugin("a").await;
    println!();
    let began = Instant::now();
    create(world, (0..PLUGINS).map(plugin_of_nobody)).await;
    let all = (0..PLUGINS).flat_map(|plugin| {
        (0..SPLITS).map(move |split| rollout(&format!("r{plugin}-{split}"), plugin, split))
    });
    create(world, all).await;
    println!(
        "{PLUGINS} plugins and {} Rollouts made in {}",
        PLUGINS * SPLITS,
        seconds(began.elapsed())
    );
    let arguments = format!(
        "controller --listen 127.0.0.1:0 --brake-listen {} --lease-seconds 3 --prometheus {}",
        brake::ADDRESS,
        prometheus::URL
    );
    let mut command = world.chain.sluice.command(&arguments);
    let began = Instant::now();
    let controller = Process::start("controller", world.chain.folder(), &mut command);
    diary.until_known(PLUGINS * SPLITS).await;
    figure(
        "10,000 Rollouts seen, and each said so",
        seconds(began.elapsed()),
        "not measured",
    );
    tokio::time::sleep(REST).await;
    let idle = share_of_a_core(&controller, REST).await;
    figure("CPU, all idle", idle, "0.1 % with 8,000");
    figure(
        "memory, all idle",
        memory(&controller),
        "515 MiB with 8,000",
    );
    steps::measure(world, &diary, &controller).await;
    aborts::measure(world).await;
    figure(
        "memory, at the end",
        memory(&controller),
        "515 MiB with 8,000",
    );
    drop(controller);
    for kind in ["Rollout", "WasmPlugin", "ControllerRevision"] {
        world.chain.kubernetes.delete_all(kind, NAMESPACE).await;
    }
}
