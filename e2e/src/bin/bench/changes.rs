//! What a change costs: memory and CPU time of the VMs, and the time until it is in force.

use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use sluice::local::process::Envoy;
use sluice_core::revision::canonical;
use sluice_e2e::dev::Dev;
use sluice_e2e::mesh::{envoy_binary, sluice};

use crate::configurations::config;
use crate::processes::{cpu_seconds, linear_memories};
use crate::statistics::quantile;

/// Memory of a VM with 1 and with 1,000 splits, and what a weight change costs with 1,000.
pub(crate) async fn memory_and_changes(folder: &Path, module: &Path) {
    for number in [1, 1_000] {
        let files = folder.join(format!("ecds-{number}"));
        std::fs::create_dir_all(&files).unwrap();
        let settings = sluice::local::files::Settings {
            listen: ([127, 0, 0, 1], 0).into(),
            node_id: "bench".to_owned(),
            namespace: None,
            upstreams: Vec::new(),
            filters_before: Vec::new(),
            clusters: Vec::new(),
            trusted_hops: 0,
            adapter: sluice::local::adapter::Adapter::Wasm(module.to_owned()),
        };
        let files = sluice::local::files::Files::new(&files, settings).unwrap();
        let mut config = config(number);
        for (_, split) in config["splits"].as_object_mut().unwrap() {
            split.as_object_mut().unwrap().remove("header");
        }
        files
            .deliver_routes(&sluice_e2e::mesh::plan(&json!({})))
            .unwrap();
        files.deliver_plugin(&canonical(&config)).unwrap();
        let envoy = Envoy::start(&sluice(), &envoy_binary(), &files.bootstrap_path(), 1)
            .await
            .unwrap();
        let memories = linear_memories(envoy.id());
        println!(
            "| VM memory, {number} splits ({} bytes of configuration) | {:.1} MiB in each of {} VMs |",
            canonical(&config).len(),
            memories.iter().copied().max().unwrap_or(0) as f64 / 1048576.0,
            memories.len()
        );
        if number == 1_000 {
            changes(&envoy, &files, config).await;
            let memories = linear_memories(envoy.id());
            println!(
                "| VM memory after 20 more configurations | {:.1} MiB |",
                memories.iter().copied().max().unwrap_or(0) as f64 / 1048576.0
            );
        }
    }
}

/// From typing `sluice set` to the first request that shows it, through a running `sluice dev`.
pub(crate) async fn effect_of_changes(folder: &Path, changes: u32) {
    let folder = folder.join("effect");
    let mut dev = Dev::start(sluice_e2e::adapter::Adapter::Wasm, &folder);
    let mut connection = sluice_e2e::client::Connection::open(dev.address)
        .await
        .unwrap();
    // bucket("web", "bob") is 45061: on the canary at 50 %, not at 25 %.
    let request = sluice_e2e::client::get("/", "localhost", &[b"cookie: sluice=bob"]);
    let mut took = Vec::new();
    for change in 0..changes {
        let (share, variant) =
            [("canary=50", "canary"), ("canary=25", "stable")][change as usize % 2];
        let began = Instant::now();
        let mut set = Command::new(sluice())
            .args(["set", "web", share, "--dir"])
            .arg(&folder)
            .stdout(std::process::Stdio::null())
            .spawn()
            .unwrap();
        while connection.send(&request).await.unwrap().variant() != variant {
            assert!(began.elapsed() < Duration::from_secs(10));
        }
        took.push(began.elapsed().as_secs_f64());
        set.wait().unwrap();
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    assert!(dev.interrupt(), "sluice dev ends when it is told to");
    let (median, worst) = (quantile(&took, 0.5), quantile(&took, 1.0));
    println!(
        "| `sluice set` to its effect, local Envoy | {median:.3} s median, {worst:.3} s worst of {changes} |"
    );
}

/// Envoy configures three VMs a change (a throw-away one, the main thread's, the worker's), so a
/// third of its CPU time is an upper bound of one VM's.
async fn changes(envoy: &Envoy, files: &sluice::local::files::Files, mut config: Value) {
    let mut costs = Vec::new();
    for change in 0..20 {
        config["weights"]["web"]["everyone"]["canary"] = json!(change + 6);
        let revision = sluice_core::revision::Revision::of(&config).as_gauge() as f64;
        let before = cpu_seconds(envoy.id());
        files.deliver_plugin(&canonical(&config)).unwrap();
        let began = Instant::now();
        tokio::time::sleep(Duration::from_millis(400)).await;
        costs.push((cpu_seconds(envoy.id()) - before) * 1e3 / 3.0);
        let samples = envoy.admin().samples().await.unwrap();
        assert_eq!(
            sluice::local::metrics::sum(&samples, "sluice_config_revision", &[]),
            revision,
            "after {:?}",
            began.elapsed()
        );
    }
    println!(
        "| a weight change with 1,000 splits, CPU a VM | {:.1} ms median, {:.1} ms worst of 20 |",
        quantile(&costs, 0.5),
        quantile(&costs, 1.0)
    );
}
