//! An abort past istiod: proxies ask the controller, which answers them at once.

use std::time::{Duration, Instant};

use serde_json::json;
use sluice_e2e::wait::until;
use sluice_e2e_istio::load::{Load, Seen};
use sluice_e2e_istio::process::Process;
use sluice_e2e_istio::proxy::Proxy;

use crate::rollouts::{start_as, wait_for_weight};
use crate::users::{WEB_A, assert_no_failures};
use crate::world::World;

/// Where the controller answers proxies.
pub const ADDRESS: &str = "127.0.6.1:8080";

const WEB: &str = "/web/everyone/canary";

/// The controller's service, as proxies know it: at the port of which their `Sidecar` imports services.
const SERVICE: &str = "
apiVersion: v1
kind: Service
metadata: {name: brakes, namespace: a}
spec: {clusterIP: 127.10.0.60, selector: {app: brakes}, ports: [{name: http, port: 8080, targetPort: 8080}]}
---
apiVersion: networking.istio.io/v1
kind: WorkloadEntry
metadata: {name: brakes, namespace: a}
spec: {address: 127.0.6.1, serviceAccount: default, labels: {app: brakes}}
";

fn start(world: &World, name: &str) -> Process {
    let arguments = format!("controller -n a --brake-listen {ADDRESS}");
    start_as(world, &world.chain.sluice, name, &arguments)
}

/// A plugin whose canary has so many percent, and a controller that all its proxies ask.
pub async fn begin(world: &World, percent: u32) -> Process {
    prepare(world, percent).await;
    let controller = start(world, "brakes");
    connected(world).await;
    controller
}

/// The same before there is a controller.
pub async fn prepare(world: &World, percent: u32) {
    world.chain.kubernetes.apply(SERVICE).await;
    world.fresh_plugin("a", percent).await;
    let change =
        json!({"spec": {"pluginConfig": {"brake": {"service": "brakes.a", "port": 8080}}}});
    let merged = world
        .chain
        .kubernetes
        .merge("WasmPlugin", "a", "sluice", &change)
        .await;
    merged.unwrap();
    world.wait_for_convergence("a").await;
}

/// Waits until every proxy asks.
pub async fn connected(world: &World) {
    for caller in &world.callers {
        wait_for_stat(caller, "sluice_brake_connected", 1).await;
    }
}

/// Waits until the sum of a proxy's gauges of this name is so much.
pub async fn wait_for_stat(proxy: &Proxy, name: &str, wanted: u64) {
    until(
        &format!("{name} of {} to be {wanted}", proxy.pod),
        async || {
            let stats = proxy.admin(&format!("/stats?filter={name}")).await;
            let values = stats
                .lines()
                .filter_map(|line| line.rsplit_once(": ")?.1.parse::<u64>().ok());
            let sum: u64 = values.sum();
            (sum == wanted).then_some(()).ok_or(stats)
        },
    )
    .await;
}

/// Asserts that the canary answers nobody after a time, but for what was on its way.
pub fn assert_quiet(seen: &[Seen], since: Instant) {
    let late = seen
        .iter()
        .filter(|seen| seen.variant == "canary" && seen.at > since);
    assert_eq!(late.count(), 0);
}

pub async fn an_abort_is_in_force_everywhere_while_istiod_is_down(world: &mut World) {
    let controller = begin(world, 25).await;
    let load = Load::start(&world.caller_addresses(), WEB_A, 400, 200);
    tokio::time::sleep(Duration::from_millis(500)).await;
    world.chain.stop_istiod();
    let said = world
        .sluice("abort web -n a --reason errors")
        .await
        .ended_with(0);
    let aborted = Instant::now();
    assert!(
        said.err
            .contains("braked: in force in 6 of 6 proxies; to be written"),
        "{said:?}"
    );
    let listed = world.sluice("brake list -n a").await.good().out;
    assert!(
        listed.contains("sluice web every challenger: on since"),
        "{listed}"
    );
    assert!(
        listed.contains("(errors); in 6 of 6 proxies; not written: "),
        "{listed}"
    );
    for caller in &world.callers {
        wait_for_stat(caller, "sluice_braked", 1).await;
    }
    world.chain.restart_istiod(&[]).await;
    wait_for_weight(world, WEB, 0.0).await;
    until("the brake to be over", async || {
        let listed = world.sluice("brake list -n a").await.good().out;
        listed
            .contains(": written since")
            .then_some(())
            .ok_or(listed)
    })
    .await;
    for caller in &world.callers {
        wait_for_stat(caller, "sluice_braked", 0).await;
    }
    let seen = load.end().await;
    assert_no_failures(&seen);
    assert!(seen.iter().any(|seen| seen.variant == "canary"));
    assert_quiet(&seen, aborted + Duration::from_millis(100));
    drop(controller);
}

pub async fn a_released_brake_lets_the_weights_count_again(world: &mut World) {
    let controller = begin(world, 25).await;
    world.chain.stop_istiod();
    world.sluice("abort web -n a").await.ended_with(0);
    for caller in &world.callers {
        wait_for_stat(caller, "sluice_braked", 1).await;
    }
    let released = world.sluice("brake release web -n a").await.good().out;
    assert!(released.contains(": released since"), "{released}");
    for caller in &world.callers {
        wait_for_stat(caller, "sluice_braked", 0).await;
    }
    drop(controller);
    world.chain.restart_istiod(&[]).await;
    assert_eq!(
        world.weight("a", WEB).await,
        Some(25.0),
        "nobody writes for a released brake"
    );
}

pub async fn a_controller_that_dies_loses_no_brake_and_is_found_again(world: &mut World) {
    let mut controller = begin(world, 25).await;
    world.chain.stop_istiod();
    world.sluice("abort web -n a").await.ended_with(0);
    let load = Load::start(&world.caller_addresses(), WEB_A, 400, 200);
    let since = Instant::now();
    controller.kill();
    for caller in &world.callers {
        wait_for_stat(caller, "sluice_brake_connected", 0).await;
    }
    let _again = start(world, "brakes-again");
    connected(world).await;
    for caller in &world.callers {
        wait_for_stat(caller, "sluice_braked", 1).await;
    }
    let seen = load.end().await;
    assert_no_failures(&seen);
    assert_quiet(&seen, since + Duration::from_millis(100));
    world.chain.restart_istiod(&[]).await;
}
