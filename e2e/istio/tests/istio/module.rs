//! A module that cannot be had, or is not ours; a sidecar that starts.

use std::time::{Duration, Instant};

use serde_json::json;
use sluice_e2e::client::{Connection, get};
use sluice_e2e_istio::chain::REGISTRY;
use sluice_e2e_istio::load::Load;

use crate::plugins::{WEB_A, is_canary};
use crate::world::World;

fn users_get_stable(seen: &[sluice_e2e_istio::load::Seen]) {
    assert!(seen.len() > 20, "{}", seen.len());
    for seen in seen {
        assert_eq!(
            (seen.status, seen.variant.as_str()),
            (200, "stable"),
            "user {}",
            seen.user
        );
    }
}

pub async fn a_wrong_digest_gives_everyone_stable_and_status_says_why(world: &mut World) {
    world.fresh_plugin(50).await;
    let wrong = json!({"spec": {"sha256": "0".repeat(64)}});
    world
        .chain
        .kubernetes
        .merge("WasmPlugin", "a", "sluice", &wrong)
        .await
        .unwrap();
    world
        .wait_for_status(
            "client-1: without the filter: the image that its agent found has another digest",
        )
        .await;
    let load = Load::start(&world.caller_addresses(), WEB_A, 1_000, 200);
    tokio::time::sleep(Duration::from_millis(500)).await;
    users_get_stable(&load.end().await);
    let right = json!({"spec": {"sha256": world.digest.trim_start_matches("sha256:")}});
    world
        .chain
        .kubernetes
        .merge("WasmPlugin", "a", "sluice", &right)
        .await
        .unwrap();
    world.wait_for_status("6 of 6 proxies at revision").await;
}

pub async fn a_registry_that_is_down_costs_the_split_not_the_traffic(world: &mut World) {
    world.fresh_plugin(50).await;
    world.chain.stop_registry();
    world.callers[0].stop();
    world.callers[0].run(&world.chain).await;
    world.callers[0].wait_until_ready().await;
    world
        .wait_for_status("client-1: without the filter: its agent could not fetch the image")
        .await;
    let load = Load::start(&world.caller_addresses()[..1], WEB_A, 1_000, 100);
    tokio::time::sleep(Duration::from_millis(500)).await;
    users_get_stable(&load.end().await);
    let status = world.status().await;
    assert!(status.contains("5 of 6 proxies at revision"), "{status}");
    world.chain.start_registry().await;
    // Agents do not try again by themselves.
    tokio::time::sleep(Duration::from_secs(3)).await;
    assert!(
        world
            .status()
            .await
            .contains("client-1: without the filter")
    );
    let said = world.chain.sluice.run_beside("refetch -n a").await.good();
    assert!(
        said.out.contains("WasmPlugin a/sluice: pushed again"),
        "{said:?}"
    );
    world.wait_for_status("6 of 6 proxies at revision").await;
    world.wait_for_convergence().await;
    assert_eq!(
        world.callers[0]
            .get(WEB_A, &[b"cookie: uid=user-1"])
            .await
            .variant(),
        if is_canary(1, 50) { "canary" } else { "stable" }
    );
}

/// A module that Envoy runs and that does nothing: a function without effect, an allocator, a page of memory.
fn idle_module() -> Vec<u8> {
    let mut exports = vec![4];
    for (name, kind, index) in [
        ("memory", 2, 0),
        ("_initialize", 0, 0),
        ("proxy_abi_version_0_2_1", 0, 0),
        ("proxy_on_memory_allocate", 0, 1),
    ] {
        exports.push(name.len() as u8);
        exports.extend(name.as_bytes());
        exports.extend([kind, index]);
    }
    let mut module = b"\0asm\x01\0\0\0".to_vec();
    module.extend([1, 9, 2, 0x60, 0, 0, 0x60, 1, 0x7f, 1, 0x7f]); // () -> (), (i32) -> i32
    module.extend([3, 3, 2, 0, 1]);
    module.extend([5, 3, 1, 0, 1]);
    module.extend([7, exports.len() as u8]);
    module.extend(exports);
    module.extend([10, 9, 2, 2, 0, 0x0b, 4, 0, 0x41, 0, 0x0b]);
    module
}

/// Pushes another module and lets the plugin run it.
async fn run_other(world: &World, name: &str, module: &[u8]) {
    let path = world.chain.folder().join(format!("{name}.wasm"));
    std::fs::write(&path, module).unwrap();
    let push = format!("push {} oci://{REGISTRY}/{name}:e2e", path.display());
    let pushed = world.chain.sluice.run_beside(&push).await.good().out;
    let sha256 = pushed
        .lines()
        .find_map(|line| line.strip_prefix("sha256:"))
        .unwrap()
        .to_owned();
    let other = json!({"spec": {"url": format!("oci://{REGISTRY}/{name}:e2e"), "sha256": sha256}});
    world
        .chain
        .kubernetes
        .merge("WasmPlugin", "a", "sluice", &other)
        .await
        .unwrap();
}

async fn run_ours(world: &World) {
    let ours = json!({"spec": {"url": world.image(), "sha256": world.digest.trim_start_matches("sha256:")}});
    world
        .chain
        .kubernetes
        .merge("WasmPlugin", "a", "sluice", &ours)
        .await
        .unwrap();
    world.wait_for_status("6 of 6 proxies at revision").await;
}

pub async fn a_registry_that_asks_for_a_login_gets_dockers(world: &mut World) {
    let address = "127.0.0.1:5001";
    let _registry = world.chain.start_closed_registry(address).await;
    let push = format!(
        "push {} oci://{address}/sluice:e2e",
        world.chain.tools.module.display()
    );
    let with_login = |login: &str| {
        let folder = world.chain.folder().join("docker");
        std::fs::create_dir_all(&folder).unwrap();
        std::fs::write(
            folder.join("config.json"),
            json!({"auths": {address: {"auth": login}}}).to_string(),
        )
        .unwrap();
        let mut command = world.chain.sluice.command(&push);
        command.env("DOCKER_CONFIG", folder).output().unwrap()
    };
    let refused = world.chain.sluice.run_beside(&push).await.ended_with(2);
    assert!(
        refused
            .err
            .contains("log in with `docker login 127.0.0.1:5001`"),
        "{refused:?}"
    );
    // ann:wrong, then ann:secret.
    assert_eq!(with_login("YW5uOndyb25n").status.code(), Some(2));
    let taken = with_login("YW5uOnNlY3JldA==");
    assert!(
        String::from_utf8_lossy(&taken.stdout).contains(&world.digest),
        "{taken:?}"
    );
}

pub async fn a_module_that_is_not_ours_is_named(world: &mut World) {
    world.fresh_plugin(50).await;
    run_other(world, "idle", &idle_module()).await;
    world
        .wait_for_status(
            "client-1: without the filter: its agent has the module, but it is not ours",
        )
        .await;
    let load = Load::start(&world.caller_addresses(), WEB_A, 1_000, 200);
    tokio::time::sleep(Duration::from_millis(500)).await;
    users_get_stable(&load.end().await);
    run_ours(world).await;
}

pub async fn the_first_request_after_a_sidecars_start_is_decided(world: &mut World) {
    world.fresh_plugin(50).await;
    for round in 0..5 {
        world.callers[0].stop();
        world.callers[0].run(&world.chain).await;
        let (address, began) = (world.callers[0].address, Instant::now());
        let mut answers = 0;
        while answers < 20 {
            assert!(
                began.elapsed() < Duration::from_secs(30),
                "no answer after 30 s"
            );
            let user = round * 100 + answers;
            let cookie = format!("cookie: uid=user-{user}");
            let Ok(mut connection) = Connection::open(address).await else {
                tokio::time::sleep(Duration::from_millis(1)).await;
                continue;
            };
            let Some(answer) = connection
                .send(&get("/", WEB_A, &[cookie.as_bytes()]))
                .await
            else {
                continue;
            };
            let expected = if is_canary(user, 50) {
                "canary"
            } else {
                "stable"
            };
            assert_eq!(
                (answer.status, answer.variant().as_str()),
                (200, expected),
                "answer {answers} after the start"
            );
            answers += 1;
        }
        world.callers[0].wait_until_ready().await;
    }
}
