//! What ten thousand Rollouts cost one controller. The figures are printed beside those of Argo
//! Rollouts, and not judged.

use std::time::{Duration, Instant};

use futures::StreamExt as _;
use k8s_openapi::jiff::Timestamp;
use serde_json::{Value, json};
use sluice_e2e_istio::process::Process;

use crate::world::World;

const PLUGINS: usize = 1_000;
const SPLITS: usize = 10;
/// How many of the Rollouts run at once, and how often an abort is measured.
const ACTIVE: usize = 100;
const ABORTS: usize = 15;
/// How many more are made while somebody aborts.
const BURST: usize = 1_500;
/// Of the 100: so many steps, held for so long each.
const STEPS: u32 = 5;
const HOLD: Duration = Duration::from_secs(2);

fn plugin(index: usize) -> Value {
    let split = |split: usize| {
        let config = json!({"services": [format!("s{split}.b")], "identity": [{"cookie": "uid"}]});
        (format!("s{split}"), config)
    };
    let splits: serde_json::Map<String, Value> = (0..SPLITS).map(split).collect();
    json!({
        "apiVersion": "extensions.istio.io/v1alpha1", "kind": "WasmPlugin",
        "metadata": {"name": format!("p{index}"), "namespace": "b"},
        "spec": {
            "selector": {"matchLabels": {"app": "nobody"}}, "url": "oci://registry.example.com/sluice:1",
            "pluginConfig": {"splits": splits},
        },
    })
}

/// A Rollout of a plugin's split that has nothing to do yet.
fn rollout(name: &str, plugin: usize, split: usize) -> Value {
    json!({
        "apiVersion": "sluice.dev/v1alpha1", "kind": "Rollout", "metadata": {"name": name, "namespace": "b"},
        "spec": {"plugin": format!("p{plugin}"), "split": format!("s{split}"), "preset": "progressive"},
    })
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

/// Waits until so many Rollouts are as wanted; how long it took.
async fn count(world: &World, wanted: usize, is_so: impl Fn(&Value) -> bool) -> Duration {
    let began = Instant::now();
    loop {
        let all = world.chain.kubernetes.list("Rollout", "b").await.unwrap();
        let found = all
            .iter()
            .filter(|rollout| is_so(&rollout.data["status"]))
            .count();
        if found >= wanted {
            return began.elapsed();
        }
        assert!(
            began.elapsed() < Duration::from_secs(600),
            "{found} of {wanted}"
        );
        tokio::time::sleep(Duration::from_millis(500)).await;
    }
}

async fn begin(world: &World, index: usize, steps: &Value) {
    let spec = json!({"spec": {"version": "v2", "preset": null, "steps": steps}});
    let kubernetes = &world.chain.kubernetes;
    kubernetes
        .merge("Rollout", "b", &format!("r{index}-0"), &spec)
        .await
        .unwrap();
}

/// How much later than its holds alone a run ended.
fn lateness(run: &Value) -> Duration {
    let time = |field: &str| run[field].as_str().unwrap().parse::<Timestamp>().unwrap();
    let took = Duration::try_from(time("ended").duration_since(time("began"))).unwrap();
    took.saturating_sub(HOLD * STEPS)
}

/// The longest of some aborts, and of how long their Rollouts took to say so.
async fn aborts(world: &World, indices: std::ops::Range<usize>) -> (Duration, Duration) {
    let mut worst = (Duration::ZERO, Duration::ZERO);
    for index in indices {
        let began = Instant::now();
        world
            .sluice(&format!("abort s0 --plugin p{index} -n b"))
            .await
            .good();
        worst.0 = worst.0.max(began.elapsed());
        let name = format!("r{index}-0");
        loop {
            let rollout = world
                .chain
                .kubernetes
                .get("Rollout", "b", &name)
                .await
                .unwrap();
            if rollout.data["status"]["phase"] == "Aborted" {
                break;
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        worst.1 = worst.1.max(began.elapsed());
    }
    worst
}

fn figure(what: &str, ours: impl std::fmt::Display, argos: &str) {
    println!("figure: {what}: {ours} (Argo Rollouts: {argos})");
}

pub async fn ten_thousand_rollouts_of_one_controller(world: &mut World) {
    create(world, (0..PLUGINS).map(plugin)).await;
    let all = (0..PLUGINS).flat_map(|plugin| {
        (0..SPLITS).map(move |split| rollout(&format!("r{plugin}-{split}"), plugin, split))
    });
    create(world, all).await;
    let arguments = "controller -n b --listen 127.0.0.1:0 --lease-seconds 3";
    let mut command = world.chain.sluice.command(arguments);
    let controller = Process::start("controller", world.chain.folder(), &mut command);
    let is_known = |status: &Value| status["observedGeneration"].is_i64();
    let took = count(world, PLUGINS * SPLITS, is_known).await;
    figure(
        "10,000 Rollouts, seen and said so",
        format!("{:.0} s", took.as_secs_f64()),
        "not measured",
    );
    tokio::time::sleep(Duration::from_secs(10)).await;
    let (cpu, began) = (controller.cpu(), Instant::now());
    tokio::time::sleep(Duration::from_secs(10)).await;
    let share = (controller.cpu() - cpu).as_secs_f64() / began.elapsed().as_secs_f64();
    figure(
        "memory, steady",
        format!("{} MiB", controller.resident_mebibytes()),
        "515 MiB with 8,000",
    );
    figure(
        "CPU, all idle",
        format!("{:.1} % of a core", share * 100.0),
        "not measured",
    );

    let percents = (1..=STEPS).map(|step| json!({"weight": step * 20, "hold": "2s"}));
    let steps: Value = percents.collect();
    for index in 0..ACTIVE {
        begin(world, index, &steps).await;
    }
    count(world, ACTIVE, |status| status["phase"] == "Succeeded").await;
    let mut late = Vec::new();
    for index in 0..ACTIVE {
        let name = format!("r{index}-0");
        let rollout = world
            .chain
            .kubernetes
            .get("Rollout", "b", &name)
            .await
            .unwrap();
        late.push(lateness(&rollout.data["status"]["run"]));
    }
    let worst = late.iter().max().unwrap().as_secs_f64();
    let mean = late.iter().sum::<Duration>().as_secs_f64() / late.len() as f64;
    let per_step = format!(
        "{:.2} s, worst run {:.2} s",
        mean / f64::from(STEPS),
        worst / f64::from(STEPS)
    );
    figure(
        "100 at once, lateness of a step, mean",
        per_step,
        "not measured",
    );

    let held = json!([{"weight": 50, "hold": "1h"}]);
    for index in ACTIVE..ACTIVE + 2 * ABORTS {
        begin(world, index, &held).await;
    }
    count(world, 2 * ABORTS, |status| {
        status["run"]["stage"] == "Holding"
    })
    .await;
    let shown = |(weights, said): (Duration, Duration)| {
        format!(
            "{:.2} s, its Rollout says so after {:.2} s",
            weights.as_secs_f64(),
            said.as_secs_f64()
        )
    };
    let idle = aborts(world, ACTIVE..ACTIVE + ABORTS).await;
    figure("abort, all idle, worst of 15", shown(idle), "0.14 s");
    let more = (0..BURST).map(|index| rollout(&format!("more{index}"), index % PLUGINS, 1));
    let (burst, ()) = tokio::join!(
        aborts(world, ACTIVE + ABORTS..ACTIVE + 2 * ABORTS),
        create(world, more)
    );
    figure(
        "abort while 1,500 more are made, worst of 15",
        shown(burst),
        "69 s",
    );
    figure(
        "memory, at the end",
        format!("{} MiB", controller.resident_mebibytes()),
        "not measured",
    );
    drop(controller);
    for kind in ["Rollout", "WasmPlugin", "ControllerRevision"] {
        world.chain.kubernetes.delete_all(kind, "b").await;
    }
}
