//! What an abort and a change of very much costs. The figures are printed, not judged.

use std::process::Stdio;
use std::time::{Duration, Instant};

use futures::StreamExt as _;
use serde_json::{Value, json};

use crate::world::World;

/// How many plugins, or splits of one.
const MANY: usize = 1_000;

/// How long a command took, and the most memory that it had.
struct Figures {
    took: Duration,
    kilobytes: u64,
}

/// Runs `sluice` and looks at its memory meanwhile.
async fn measured(world: &World, arguments: &str) -> Figures {
    let mut command = world.chain.sluice.command(arguments);
    let began = Instant::now();
    let mut child = command.stdout(Stdio::null()).spawn().unwrap();
    let status = format!("/proc/{}/status", child.id());
    let mut kilobytes = 0;
    let ended = loop {
        let text = std::fs::read_to_string(&status).unwrap_or_default();
        let line = text.lines().find_map(|line| line.strip_prefix("VmHWM:"));
        let most = line.and_then(|line| line.trim().strip_suffix(" kB")?.parse().ok());
        kilobytes = kilobytes.max(most.unwrap_or(0));
        if let Some(ended) = child.try_wait().unwrap() {
            break ended;
        }
        tokio::time::sleep(Duration::from_millis(2)).await;
    };
    let took = began.elapsed();
    assert!(ended.success(), "{arguments}: {ended}");
    Figures { took, kilobytes }
}

fn print(what: &str, figures: &Figures) {
    println!(
        "figure: {what}: {:.2} s, {} MiB",
        figures.took.as_secs_f64(),
        figures.kilobytes / 1024
    );
}

/// A plugin that no proxy runs.
fn plugin(name: &str, config: &Value) -> Value {
    json!({
        "apiVersion": "extensions.istio.io/v1alpha1",
        "kind": "WasmPlugin",
        "metadata": {"name": name, "namespace": "b"},
        "spec": {
            "selector": {"matchLabels": {"app": "nobody"}},
            "url": "oci://registry.example.com/sluice-module:1",
            "pluginConfig": config,
        },
    })
}

pub async fn an_abort_and_a_change_of_a_thousand_plugins(world: &mut World) {
    let kubernetes = &world.chain.kubernetes;
    let rules = json!([{"name": "staff", "match": [{"headers": {"x-a": {"present": true}}}]}]);
    let config = json!({"splits": {"web": {"rules": rules}, "shop": {}}});
    let plugins = (0..MANY).map(|number| plugin(&format!("p{number}"), &config));
    let applied = futures::stream::iter(plugins).map(async |plugin| {
        kubernetes.try_apply("gitops", &plugin).await.unwrap();
    });
    applied.buffer_unordered(16).collect::<Vec<()>>().await;
    println!();
    for percent in [5, 6] {
        let set = measured(world, &format!("set web canary={percent} -A")).await;
        print("sluice set -A over 1,000 plugins", &set);
        let abort = measured(world, "abort --all -A").await;
        print("sluice abort --all -A over 1,000 plugins", &abort);
    }
    let all = kubernetes.list("WasmPlugin", "b").await.unwrap();
    let weight = |plugin: &kube::api::DynamicObject| {
        let weights = &plugin.data["spec"]["pluginConfig"]["weights"];
        weights["web"]["everyone"]["canary"].as_f64()
    };
    assert_eq!(all.len(), MANY);
    assert!(all.iter().all(|plugin| weight(plugin) == Some(0.0)));
}

/// What a manager `sluice/<split>` owns after a `set`.
fn managed_by(split: &str) -> Value {
    let weight = json!({format!("f:{split}"): {"f:everyone": {"f:canary": {}}}});
    json!({
        "manager": format!("sluice/{split}"),
        "operation": "Apply",
        "apiVersion": "extensions.istio.io/v1alpha1",
        "time": "2026-11-20T10:00:00Z",
        "fieldsType": "FieldsV1",
        "fieldsV1": {"f:spec": {"f:pluginConfig": {"f:weights": weight}}},
    })
}

pub async fn an_abort_of_a_thousand_splits(world: &mut World) {
    let names: Vec<String> = (0..MANY).map(|number| format!("s{number}")).collect();
    let of = |value: Value| -> Value {
        names
            .iter()
            .map(|name| (name.clone(), value.clone()))
            .collect()
    };
    let splits = of(json!({}));
    let splits: Value = splits
        .as_object()
        .unwrap()
        .keys()
        .map(|name| {
            (
                name.clone(),
                json!({"hosts": [format!("{name}.example.com")]}),
            )
        })
        .collect();
    let config = json!({"splits": splits, "weights": of(json!({"everyone": {"canary": 5}}))});
    println!();
    for (what, managers) in [
        (
            "a manager each",
            names.iter().map(|name| managed_by(name)).collect(),
        ),
        ("one manager", Vec::new()),
    ] {
        let mut plugin = plugin("many", &config);
        plugin["metadata"]["managedFields"] = Value::Array(managers);
        let kubernetes = &world.chain.kubernetes;
        kubernetes.delete("WasmPlugin", "b", "many").await;
        kubernetes.create(&plugin).await.unwrap();
        let abort = measured(world, "abort --all -n b").await;
        print(
            &format!("sluice abort of 1,000 splits of one plugin, {what}"),
            &abort,
        );
        let aborted = kubernetes.get("WasmPlugin", "b", "many").await.unwrap();
        let weights = &aborted.data["spec"]["pluginConfig"]["weights"];
        for name in &names {
            assert_eq!(
                weights[name]["everyone"]["canary"].as_f64(),
                Some(0.0),
                "{name}"
            );
        }
    }
}
