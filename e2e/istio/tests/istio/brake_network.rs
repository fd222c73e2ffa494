//! Proxies that cannot ask for brakes: the network is silent, the controller hangs, or nobody knows
//! the service. Users notice nothing, and what is braked stays so.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use serde_json::json;
use sluice_e2e::wait::until;
use sluice_e2e_istio::load::Load;
use sluice_e2e_istio::network::Cut;
use sluice_e2e_istio::process::Process;

use crate::brake::{ADDRESS, LEASE, begin, connected, wait_for_brakes, wait_for_stat};
use crate::brake_key::page;
use crate::users::{WEB_A, assert_no_failures, variant};
use crate::world::World;

/// Within what time proxies ask again. Wanted are 5 s on a quiet machine.
const BACK_WITHIN: Duration = Duration::from_secs(10);

/// Within what time they know that nobody answers: a held question is given up after 30 s.
const LOST_WITHIN: Duration = Duration::from_secs(45);

/// Until they ask again as seldom as they ever do: after pauses of 1, 2 and 4 s.
const UNTIL_SELDOM: Duration = Duration::from_secs(12);

/// A brake of another split than that of the load.
const BRAKE: &str = "
apiVersion: sluice.dev/v1alpha1
kind: Brake
metadata: {name: by-hand, namespace: a}
spec: {plugin: sluice, split: checkout, by: ann, reason: errors}
";

/// The controller's service by a name that nobody knew.
const NOBODY: &str = "
apiVersion: v1
kind: Service
metadata: {name: nobody, namespace: a}
spec: {clusterIP: 127.10.0.61, selector: {app: brakes}, ports: [{name: http, port: 8080, targetPort: 8080}]}
";

/// A controller that does not lead, so that nobody writes the zeros that would end a brake; a canary
/// of web at 25 %, and a braked one of checkout.
async fn braked(world: &World) -> Process {
    forget_lease(world).await;
    world.chain.kubernetes.apply(LEASE).await;
    let controller = begin(world, 25).await;
    world.set("checkout", 50).await;
    world.wait_for_convergence("a").await;
    world.chain.kubernetes.apply(BRAKE).await;
    wait_for_brakes(world, 1).await;
    connected(world).await;
    controller
}

async fn forget_lease(world: &World) {
    let delete = "delete lease sluice-controller -n a --ignore-not-found";
    world.kubectl(delete).await.good();
}

async fn unanswered(world: &World) {
    for caller in &world.callers {
        wait_for_stat(caller, "sluice_brake_connected", 0).await;
    }
}

fn load(world: &World) -> Load {
    Load::start(&world.caller_addresses(), WEB_A, 400, 200)
}

/// Waits until every proxy says that nobody answers, and asks as seldom as it ever does.
async fn lost(world: &World, since: Instant) -> Duration {
    unanswered(world).await;
    let took = since.elapsed();
    tokio::time::sleep(UNTIL_SELDOM).await;
    unanswered(world).await;
    wait_for_brakes(world, 1).await;
    took
}

/// Asserts that proxies knew in time, ask again in time, and keep what is braked; and that every
/// user got what the weights say, all the time.
async fn assert_back(world: &World, load: Load, what: &str, lost: Duration) {
    let since = Instant::now();
    connected(world).await;
    let back = since.elapsed();
    println!(
        "{what}: all know after {:.1} s, and ask again {:.1} s after its end",
        lost.as_secs_f64(),
        back.as_secs_f64()
    );
    assert!(lost < LOST_WITHIN, "{lost:?}");
    assert!(back < BACK_WITHIN, "{back:?}");
    wait_for_brakes(world, 1).await;
    let seen = load.end().await;
    assert_no_failures(&seen);
    for seen in seen {
        assert_eq!(seen.variant, variant(seen.user, 25), "user {}", seen.user);
    }
}

pub async fn a_network_that_falls_silent_costs_no_request_and_no_brake(world: &mut World) {
    let controller = braked(world).await;
    let load = load(world);
    let (began, address) = (Instant::now(), ADDRESS.parse::<SocketAddr>().unwrap());
    let cut = Cut::of(address.ip());
    let lost = lost(world, began).await;
    drop(cut);
    assert_back(world, load, "the network is cut", lost).await;
    drop(controller);
    forget_lease(world).await;
}

pub async fn a_controller_that_hangs_costs_no_request_and_no_brake(world: &mut World) {
    let mut controller = braked(world).await;
    let load = load(world);
    let began = Instant::now();
    controller.freeze();
    let lost = lost(world, began).await;
    controller.go_on();
    assert_back(world, load, "the controller hangs", lost).await;
    drop(controller);
    forget_lease(world).await;
}

pub async fn a_service_that_nobody_knows_costs_no_request_and_no_brake(world: &mut World) {
    let controller = braked(world).await;
    let load = load(world);
    let began = Instant::now();
    let brake = json!({"service": "nobody.a", "port": 8080});
    let change = json!({"spec": {"pluginConfig": {"brake": brake}}});
    let kubernetes = &world.chain.kubernetes;
    let merged = kubernetes.merge("WasmPlugin", "a", "sluice", &change).await;
    merged.unwrap();
    world.wait_for_convergence("a").await;
    let lost = lost(world, began).await;
    let why = "this proxy has no cluster outbound|8080||nobody.a.svc.cluster.local";
    for caller in &world.callers {
        let log = caller.log();
        assert!(log.contains(why), "{}: {log}", caller.pod);
    }
    kubernetes.apply(NOBODY).await;
    assert_back(world, load, "nobody knows the service", lost).await;
    drop(controller);
    forget_lease(world).await;
}

/// Waits until a controller answers the kubelet so.
async fn readiness(controller: &Process, wanted: &str) {
    until(&format!("readiness to be {wanted}"), async || {
        let answer = page(&controller.log(), "/readyz").await;
        let is_so = answer.contains(wanted);
        is_so.then_some(()).ok_or(answer)
    })
    .await;
}

pub async fn a_controller_that_reads_no_brakes_any_more_is_not_ready(world: &mut World) {
    let controller = begin(world, 25).await;
    readiness(&controller, "HTTP/1.1 200 ").await;
    world.chain.kill_api_server();
    readiness(&controller, "the Brakes cannot be read any more").await;
    world.chain.restart_api_server().await;
    readiness(&controller, "HTTP/1.1 200 ").await;
    connected(world).await;
}
