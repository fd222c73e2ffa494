//! A module that cannot be had, or is not ours; a sidecar that starts.

use std::time::{Duration, Instant};

use serde_json::{Value, json};
use sluice_e2e::client::{Connection, get};
use sluice_e2e::wait::{PATIENCE, until};
use sluice_e2e_istio::proxy::Proxy;
use sluice_e2e_istio::{prometheus, registry};

use crate::users::{WEB_A, answer, assert_everyone_gets_stable, variant};
use crate::world::World;

/// Changes the spec of a's WasmPlugin.
async fn change_plugin(world: &World, spec: Value) {
    world
        .chain
        .kubernetes
        .merge("WasmPlugin", "a", "sluice", &json!({"spec": spec}))
        .await
        .unwrap();
}

/// Lets a's plugin run the module that was pushed at the start, and waits until `sluice status`
/// sees that.
async fn run_ours(world: &World) {
    let sha256 = world.digest.trim_start_matches("sha256:");
    change_plugin(world, json!({"url": world.image(), "sha256": sha256})).await;
    world.wait_for_status(&["6 of 6 proxies at revision"]).await;
}

pub async fn a_wrong_digest_gives_everyone_stable_and_status_says_why(world: &mut World) {
    world.fresh_plugin("a", 50).await;
    change_plugin(world, json!({"sha256": "0".repeat(64)})).await;
    world
        .wait_for_status(&[
            "client-1: without the filter: the image that its agent found has another digest",
            // Not only the one that is named: whoever has lost the filter serves nobody a canary.
            "0 of 6 proxies at revision",
        ])
        .await;
    assert_everyone_gets_stable(&world.callers).await;
    // Envoy's own port knows nothing of what the agent fetched.
    let targets: Vec<_> = world.callers.iter().map(Proxy::envoy_target).collect();
    let _prometheus = world.chain.start_prometheus_of_envoys(&targets).await;
    let status = format!("status -n a --prometheus {}", prometheus::ENVOYS_URL);
    until("status to see only Envoy's metrics", async || {
        let said = world.sluice(&status).await;
        let unknown =
            "client-1: without the filter: unknown why: Prometheus has nothing of its agent";
        let is_said = said.out.contains(unknown) && !said.out.contains("fetched nothing");
        is_said.then_some(()).ok_or(said.out)
    })
    .await;
    run_ours(world).await;
}

pub async fn a_registry_that_is_down_costs_the_split_not_the_traffic(world: &mut World) {
    world.fresh_plugin("a", 50).await;
    world.chain.stop_registry();
    world.callers[0].stop();
    world.callers[0].restore(&world.chain).await;
    world
        .wait_for_status(&[
            "client-1: without the filter: its agent could not fetch the image",
            "5 of 6 proxies at revision",
        ])
        .await;
    assert_everyone_gets_stable(&world.callers[..1]).await;
    world.chain.restore().await;
    // Agents do not try again by themselves: after some seconds, nothing has changed.
    tokio::time::sleep(Duration::from_secs(3)).await;
    world
        .wait_for_status(&["client-1: without the filter", "5 of 6 proxies at revision"])
        .await;
    let said = world.sluice("refetch -n a").await.good();
    assert!(
        said.out.contains("WasmPlugin a/sluice: pushed again"),
        "{said:?}"
    );
    world.wait_for_status(&["6 of 6 proxies at revision"]).await;
    world.wait_for_convergence("a").await;
    assert_eq!(
        answer(&world.callers[0], WEB_A, 1).await,
        (200, variant(1, 50).to_owned())
    );
}

/// A module that Envoy runs and that does nothing: a function without effect, an allocator, a page
/// of memory.
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
    let image = format!("oci://{}/{name}:e2e", registry::ADDRESS);
    let push = format!("push {} {image}", path.display());
    let pushed = world.sluice(&push).await.good().out;
    let sha256 = pushed
        .lines()
        .find_map(|line| line.strip_prefix("sha256:"))
        .unwrap();
    change_plugin(world, json!({"url": image, "sha256": sha256})).await;
}

pub async fn a_module_that_is_not_ours_is_named(world: &mut World) {
    world.fresh_plugin("a", 50).await;
    run_other(world, "idle", &idle_module()).await;
    world
        .wait_for_status(&[
            "client-1: without the filter: its agent has the module, but it is not ours",
            "0 of 6 proxies at revision",
        ])
        .await;
    assert_everyone_gets_stable(&world.callers).await;
    run_ours(world).await;
}

pub async fn a_registry_that_asks_for_a_login_gets_dockers(world: &mut World) {
    let address = "127.0.0.1:5001";
    let _registry = world.chain.start_closed_registry(address).await;
    let module = world.chain.tools.module.display();
    let push = format!("push {module} oci://{address}/sluice:e2e");
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
    let refused = world.sluice(&push).await.ended_with(2);
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

pub async fn the_first_request_after_a_sidecars_start_is_decided(world: &mut World) {
    world.fresh_plugin("a", 50).await;
    for round in 0..5 {
        world.callers[0].stop();
        world.callers[0].run(&world.chain).await;
        let (address, began) = (world.callers[0].address, Instant::now());
        let mut answers = 0;
        while answers < 20 {
            assert!(began.elapsed() < PATIENCE, "no answer after the start");
            let user = round * 100 + answers;
            let cookie = format!("cookie: uid=user-{user}");
            let Ok(mut connection) = Connection::open(address).await else {
                tokio::time::sleep(Duration::from_millis(1)).await;
                continue;
            };
            let request = get("/", WEB_A, &[cookie.as_bytes()]);
            let Some(answer) = connection.send(&request).await else {
                continue;
            };
            assert_eq!(
                (answer.status, answer.variant().as_str()),
                (200, variant(user, 50)),
                "answer {answers} after the start"
            );
            answers += 1;
        }
        world.callers[0].wait_until_ready().await;
    }
}
