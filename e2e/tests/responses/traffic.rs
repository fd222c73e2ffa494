//! The traffic files through the core and through a real Envoy.

use std::time::Duration;

use sluice_e2e::adapter::Adapter;
use sluice_e2e::client::get;
use sluice_e2e::mesh::Mesh;
use sluice_e2e::traffic::{self, Step, Traffic, seen};

use crate::start;

fn expected(traffic: &Traffic) -> String {
    std::fs::read_to_string(traffic.folder.join("seen.txt")).unwrap_or_default()
}

/// What seen.txt says after a step.
fn expected_after(traffic: &Traffic, step: &Step) -> String {
    let text = expected(traffic);
    let after = text.lines().skip_while(|line| *line != step.name).skip(1);
    let block = after.take_while(|line| line.starts_with("  "));
    block.map(|line| format!("{line}\n")).collect()
}

#[test]
fn the_core_sees_what_the_traffic_files_say() {
    for traffic in traffic::all() {
        let seen = traffic.seen_by_the_core();
        if std::env::var_os("GOLDEN").is_some() {
            std::fs::write(traffic.folder.join("seen.txt"), &seen).unwrap();
        }
        assert_eq!(
            seen,
            expected(&traffic),
            "{}; `make golden` rewrites",
            traffic.name
        );
    }
}

async fn a_real_envoy_sees_what_the_traffic_files_say(adapter: Adapter) {
    for traffic in traffic::all() {
        let mut config = traffic.config.clone();
        let mesh = start(adapter, 2, &config).await;
        let mut served = 0;
        for step in &traffic.steps {
            tokio::time::sleep(Duration::from_secs(step.after)).await;
            if !step.change.is_null() {
                step.changed(&mut config);
                mesh.configure(&config).await;
            }
            serve(&mesh, step).await;
            served += step.users * step.times;
            wait_until_told(&mesh, f64::from(served)).await;
            let seen = seen(&config, &mesh.samples().await);
            let (name, step_name) = (&traffic.name, &step.name);
            assert_eq!(seen, expected_after(&traffic, step), "{name}: {step_name}");
        }
    }
}

/// Waits until every worker has said what it saw, and has followed the others.
async fn wait_until_told(mesh: &Mesh, served: f64) {
    let web = [("sluice_split", "web")];
    mesh.wait_for_metric("sluice_decisions_total", &web, served)
        .await;
    let ticks = mesh.metric("sluice_ticks_total", &[]).await;
    // Two workers and the main thread, which tick alike: each has ticked once more by then.
    let is_later = async || mesh.metric("sluice_ticks_total", &[]).await >= ticks + 4.0;
    mesh.wait_for("each worker to tick once more", is_later)
        .await;
}

async fn serve(mesh: &Mesh, step: &Step) {
    for variant in ["stable", "canary", "next"] {
        let status = step.answers.get(variant).copied().unwrap_or(0);
        mesh.fail(&format!("web/{variant}"), status);
    }
    for user in (0..step.times).flat_map(|_| 0..step.users) {
        let headers = step.headers(user);
        let lines: Vec<String> = headers
            .iter()
            .map(|(name, value)| format!("{name}: {value}"))
            .collect();
        let lines: Vec<&[u8]> = lines.iter().map(String::as_bytes).collect();
        mesh.send(&get("/", "localhost", &lines)).await;
    }
}

sluice_e2e::over_both_adapters![a_real_envoy_sees_what_the_traffic_files_say,];
