//! Many Rollouts of one namespace, and what others have of the controller meanwhile.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Instant;

use serde_json::json;
use sluice_e2e::wait::until;
use tokio::net::TcpListener;

use super::controller::{apply, apply_in, ramp, start_as, wait_for_phase};
use crate::world::World;

/// More than a controller looks at at once of one namespace, or did of all.
const CROWD: usize = 96;

pub async fn a_namespace_whose_prometheus_hangs_holds_up_no_other(world: &mut World) {
    world.new_plugin("a").await;
    let kubernetes = &world.chain.kubernetes;
    let splits = (0..CROWD).map(|split| {
        let config = json!({"services": [format!("s{split}.b")], "identity": [{"cookie": "uid"}]});
        (format!("s{split}"), config)
    });
    let splits: serde_json::Map<String, serde_json::Value> = splits.collect();
    let plugin = json!({
        "apiVersion": "extensions.istio.io/v1alpha1", "kind": "WasmPlugin",
        "metadata": {"name": "crowd", "namespace": "b"},
        "spec": {
            "selector": {"matchLabels": {"app": "nobody"}},
            "url": "oci://registry.example.com/sluice-module:1", "pluginConfig": {"splits": splits},
        },
    });
    kubernetes.create(&plugin).await.unwrap();
    // It takes every question and answers none.
    let silent = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = format!("http://{}", silent.local_addr().unwrap());
    let asked = Arc::new(AtomicUsize::new(0));
    let count = Arc::clone(&asked);
    let keeping = tokio::spawn(async move {
        let mut all = Vec::new();
        while let Ok((stream, _)) = silent.accept().await {
            count.fetch_add(1, Ordering::Relaxed);
            all.push(stream);
        }
    });
    let check = json!({"name": "stub", "query": "vector(1)", "pass": "> 0"});
    for split in 0..CROWD {
        // A server of its own for each, as far as a client can tell.
        let prometheus = json!({"address": format!("{address}/{split}")});
        let analysis = json!({"prometheus": prometheus, "interval": "5s", "checks": [check]});
        let spec = json!({
            "plugin": "crowd", "split": format!("s{split}"), "version": "v2",
            "steps": ramp(&[10], "1h"), "analysis": analysis,
        });
        apply_in(world, "b", &format!("crowd-{split}"), &spec).await;
    }
    let _controller = start_as(world, &world.chain.sluice, "controller", "controller");
    until("the crowd to hang", async || {
        let asked = asked.load(Ordering::Relaxed);
        (asked >= CROWD / 2).then_some(()).ok_or(asked.to_string())
    })
    .await;
    let began = Instant::now();
    let spec =
        json!({"split": "web", "version": "v2", "steps": ramp(&[10, 20, 30, 50, 100], "1s")});
    apply(world, "web", &spec).await;
    wait_for_phase(world, "web", "Succeeded").await;
    let took = began.elapsed();
    println!("five steps of a second took {took:.1?} beside {CROWD} that hang");
    keeping.abort();
}
