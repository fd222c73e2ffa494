//! Controllers that die, and an API server that does.

use std::time::Duration;

use serde_json::json;
use sluice_e2e::wait::until;
use sluice_e2e_istio::process::Process;

use super::controller::{apply, ramp, start, start_as, wait_for_phase, wait_for_weight};
use crate::world::World;

const WEB: &str = "/web/everyone/canary";

/// Which of two controllers leads, once one does.
async fn leader(controllers: &[Process; 2]) -> usize {
    until("one of two controllers to lead", async || {
        let logs = controllers.each_ref().map(Process::log);
        let leads = |log: &String| log.lines().next_back() == Some("leads");
        logs.iter().position(leads).ok_or(logs.join("\n--\n"))
    })
    .await
}

pub async fn a_controller_killed_at_any_moment_is_replaced_by_its_standby(world: &mut World) {
    world.new_plugin("a").await;
    let steps = ramp(&[5, 10, 20, 40, 60, 80, 100], "500ms");
    apply(
        world,
        "web",
        &json!({"split": "web", "version": "v2", "steps": steps}),
    )
    .await;
    let start = |name: &str| start_as(world, &world.chain.sluice, name, "controller -n a");
    let mut controllers = [start("killed-0"), start("killed-1")];
    // Chosen: moments from before its first request to within a step.
    for (index, milliseconds) in [0, 60, 150, 310, 700].into_iter().enumerate() {
        let leads = leader(&controllers).await;
        tokio::time::sleep(Duration::from_millis(milliseconds)).await;
        controllers[leads].kill();
        controllers[leads] = start(&format!("killed-{}", index + 2));
    }
    let status = wait_for_phase(world, "web", "Succeeded").await;
    assert_eq!(status["run"]["number"], 1, "{status:#}");
    assert_eq!(world.weight("a", WEB).await, Some(100.0));
    // Each weight once, and in order.
    let history = world.sluice("history -n a -o json").await.good().out;
    let entries: serde_json::Value = serde_json::from_str(&history).unwrap();
    let entries = entries
        .as_array()
        .or_else(|| entries["entries"].as_array())
        .unwrap();
    let mut weights: Vec<f64> = entries
        .iter()
        .filter_map(|entry| {
            entry
                .pointer("/after/weights/web/everyone/canary")?
                .as_f64()
        })
        .collect();
    weights.dedup();
    let is_rising = weights.windows(2).all(|pair| pair[0] < pair[1])
        || weights.windows(2).all(|pair| pair[0] > pair[1]);
    assert!(is_rising, "{weights:?}");
}

pub async fn an_api_server_that_restarts_costs_a_run_nothing(world: &mut World) {
    world.new_plugin("a").await;
    let _controller = start(world);
    let spec = json!({"split": "web", "version": "v2", "steps": ramp(&[10, 50, 100], "2s")});
    apply(world, "web", &spec).await;
    wait_for_weight(world, WEB, 10.0).await;
    world.chain.kill_api_server();
    tokio::time::sleep(Duration::from_secs(3)).await;
    world.chain.restore().await;
    let status = wait_for_phase(world, "web", "Succeeded").await;
    assert_eq!(status["run"]["number"], 1);
    assert_eq!(world.weight("a", WEB).await, Some(100.0));
}
