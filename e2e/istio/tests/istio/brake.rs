//! An abort past istiod: proxies ask the controller, which answers them at once.

use std::time::{Duration, Instant};

use serde_json::{Value, json};
use sluice_e2e::wait::until;
use sluice_e2e_istio::load::{Load, Seen};
use sluice_e2e_istio::process::Process;
use sluice_e2e_istio::prometheus;
use sluice_e2e_istio::proxy::Proxy;
use tokio::net::TcpStream;

use crate::rollouts::controller::{
    apply, ask, ramp, start_as, wait_for, wait_for_phase, wait_for_weight,
};
use crate::users::{WEB_A, assert_no_failures};
use crate::world::World;

/// Where the controller answers proxies.
pub const ADDRESS: &str = "127.0.6.1:8080";

/// Where a second replica answers.
const OTHER_ADDRESS: &str = "127.0.6.2:8080";

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
spec: {address: 127.0.6.1, labels: {app: brakes}}
";

/// Its second replica.
const OTHER: &str = "
apiVersion: networking.istio.io/v1
kind: WorkloadEntry
metadata: {name: other-brakes, namespace: a}
spec: {address: 127.0.6.2, labels: {app: brakes}}
";

/// As an account that writes into every plugin may.
const BRAKE: &str = "
apiVersion: sluice.dev/v1alpha1
kind: Brake
metadata: {name: by-hand, namespace: a}
spec: {plugin: sluice, split: web, by: ann, reason: errors}
";

/// That somebody else leads, for long.
pub const LEASE: &str = "
apiVersion: coordination.k8s.io/v1
kind: Lease
metadata: {name: sluice-controller, namespace: a}
spec:
  holderIdentity: somebody
  leaseDurationSeconds: 3600
  acquireTime: \"2026-01-01T00:00:00.000000Z\"
  renewTime: \"2026-01-01T00:00:00.000000Z\"
";

fn start(world: &World, name: &str) -> Process {
    start_at(world, name, ADDRESS)
}

fn start_at(world: &World, name: &str, address: &str) -> Process {
    let arguments = format!("controller -n a --brake-listen {address}");
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
    world.fresh_plugin("a", percent).await;
    ask_for_brakes(world).await;
}

/// Has the proxies of the plugin ask for brakes.
pub async fn ask_for_brakes(world: &World) {
    world.chain.kubernetes.apply(SERVICE).await;
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

/// Waits until so many challengers are braked in each caller.
pub async fn wait_for_brakes(world: &World, wanted: u64) {
    for caller in &world.callers {
        wait_for_stat(caller, "sluice_braked", wanted).await;
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

/// A brake is what `status` and `explain` say: since when, by whom, why and where.
async fn is_shown(world: &World) {
    let status = format!("status -n a --prometheus {}", prometheus::URL);
    let brake = "brake: sluice web every challenger: on since ";
    until("status to show the brake", async || {
        let said = world.sluice(&status).await;
        let is_shown =
            said.out.contains("canary of split web in 6 proxies") && said.err.contains(brake);
        is_shown.then_some(()).ok_or(format!("{said:?}"))
    })
    .await;
    let explain = "explain -n a --host web --cookie uid=user-1 --proxy sidecar";
    let explained = world.sluice(explain).await.good();
    assert!(explained.err.contains(brake), "{explained:?}");
    let braked = "canary is braked: its weight counts as 0";
    assert!(explained.out.contains(braked), "{explained:?}");
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
    wait_for_brakes(world, 1).await;
    is_shown(world).await;
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
    wait_for_brakes(world, 0).await;
    let seen = load.end().await;
    assert_no_failures(&seen);
    assert!(seen.iter().any(|seen| seen.variant == "canary"));
    assert_quiet(&seen, aborted + Duration::from_millis(100));
    drop(controller);
}

pub async fn an_abort_says_that_an_istiod_that_hangs_is_waited_for(world: &mut World) {
    let controller = begin(world, 25).await;
    world.chain.freeze_istiod();
    let said = world.sluice("abort web -n a").await.ended_with(0);
    let first = said.err.lines().next().unwrap_or_default();
    let waits = "the brake is in force in 6 of 6 proxies; waiting for the plugin to be written";
    assert!(first.contains(waits), "{said:?}");
    drop(controller);
    world.chain.restart_istiod(&[]).await;
}

pub async fn a_released_brake_lets_the_weights_count_again(world: &mut World) {
    let controller = begin(world, 25).await;
    world.chain.stop_istiod();
    world.sluice("abort web -n a").await.ended_with(0);
    wait_for_brakes(world, 1).await;
    let of_other = "brake release web -n a --plugin other";
    let said = world.sluice(of_other).await.ended_with(2);
    let none = "no brake to release of web of other";
    assert!(said.err.contains(none), "{said:?}");
    let release = "brake release web -n a --plugin sluice";
    let released = world.sluice(release).await.good().out;
    assert!(released.contains(": released since"), "{released}");
    wait_for_brakes(world, 0).await;
    // Whoever deletes one releases it, also where a finalizer keeps it.
    let kept = "name: by-hand, finalizers: [example.com/kept]";
    let kept = BRAKE.replace("name: by-hand", kept);
    world.chain.kubernetes.apply(&kept).await;
    wait_for_brakes(world, 1).await;
    let delete = "delete brake by-hand -n a --wait=false";
    world.kubectl(delete).await.good();
    wait_for_brakes(world, 0).await;
    let let_go = "patch brake by-hand -n a --type merge -p {\"metadata\":{\"finalizers\":null}}";
    world.kubectl(let_go).await.good();
    drop(controller);
    world.chain.restart_istiod(&[]).await;
    assert_eq!(
        world.weight("a", WEB).await,
        Some(25.0),
        "nobody writes for a released brake"
    );
}

pub async fn what_is_gone_or_raised_again_ends_its_brake(world: &mut World) {
    let controller = begin(world, 25).await;
    let becomes = async |wanted: &str| {
        until(wanted, async || {
            let listed = world.sluice("brake list -n a").await.good().out;
            listed.contains(wanted).then_some(()).ok_or(listed)
        })
        .await;
    };
    let gone = BRAKE
        .replace("by-hand", "gone")
        .replace("plugin: sluice", "plugin: gone");
    world.chain.kubernetes.apply(&gone).await;
    becomes("gone web every challenger: over since").await;
    world.sluice("abort web -n a").await.ended_with(0);
    becomes("sluice web every challenger: written since").await;
    world.sluice("set web canary=25 -n a").await.good();
    becomes("sluice web every challenger: released since").await;
    wait_for_brakes(world, 0).await;
    world.wait_for_convergence("a").await;
    let shares = (0..100).map(|user| format!("cookie: uid=user-{user}"));
    let mut canaries = 0;
    for cookie in shares {
        let answer = world.callers[0].get(WEB_A, &[cookie.as_bytes()]).await;
        canaries += u32::from(answer.variant() == "canary");
    }
    assert!(canaries > 10, "{canaries} of 100");
    drop(controller);
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
    wait_for_brakes(world, 1).await;
    let seen = load.end().await;
    assert_no_failures(&seen);
    assert_quiet(&seen, since + Duration::from_millis(100));
    world.chain.restart_istiod(&[]).await;
}

pub async fn a_rollout_takes_its_users_back_past_istiod(world: &mut World) {
    let controller = begin(world, 0).await;
    let spec = json!({"split": "web", "version": "v2", "steps": ramp(&[50, 100], "1h")});
    apply(world, "web", &spec).await;
    wait_for_weight(world, WEB, 50.0).await;
    let is_held = |status: &Value| status["run"]["stage"] == "Holding";
    wait_for(world, "web", "to hold its step", is_held).await;
    world.wait_for_convergence("a").await;
    let load = Load::start(&world.caller_addresses(), WEB_A, 400, 200);
    world.chain.stop_istiod();
    // The controller itself aborts, and again and again, since nobody takes the zeros.
    ask(world, "web", 1, "abort").await;
    wait_for_brakes(world, 1).await;
    let aborted = Instant::now();
    tokio::time::sleep(Duration::from_secs(3)).await;
    let listed = world.sluice("brake list -n a").await.good().out;
    assert_eq!(listed.lines().count(), 1, "one for one run: {listed}");
    assert!(listed.contains("sluice web canary: on since"), "{listed}");
    world.chain.restart_istiod(&[]).await;
    wait_for_weight(world, WEB, 0.0).await;
    wait_for_phase(world, "web", "Aborted").await;
    let seen = load.end().await;
    assert_no_failures(&seen);
    assert!(seen.iter().any(|seen| seen.variant == "canary"));
    assert_quiet(&seen, aborted + Duration::from_millis(100));
    drop(controller);
}

pub async fn a_proxy_that_starts_hears_of_a_brake_before_its_zeros_are_written(world: &mut World) {
    let delete = "delete lease sluice-controller -n a --ignore-not-found";
    world.kubectl(delete).await.good();
    // A replica that does not lead answers all the same.
    world.chain.kubernetes.apply(LEASE).await;
    let controller = begin(world, 50).await;
    world.chain.kubernetes.apply(BRAKE).await;
    wait_for_brakes(world, 1).await;
    for _ in 0..3 {
        world.callers[0].stop();
        world.callers[0].run(&world.chain).await;
        world.callers[0].wait_until_ready().await;
        let caller = &world.callers[0];
        wait_for_stat(caller, "sluice_brake_connected", 1).await;
        // Each worker follows within milliseconds of the answer.
        tokio::time::sleep(Duration::from_millis(20)).await;
        for user in 0..100 {
            let cookie = format!("cookie: uid=user-{user}");
            let answer = caller.get(WEB_A, &[cookie.as_bytes()]).await;
            assert_eq!(answer.variant(), "stable", "user {user}");
        }
    }
    assert_eq!(world.weight("a", WEB).await, Some(50.0), "nobody leads");
    let given_up =
        "patch lease sluice-controller -n a --type merge -p {\"spec\":{\"holderIdentity\":\"\"}}";
    world.kubectl(given_up).await.good();
    wait_for_weight(world, WEB, 0.0).await;
    wait_for_brakes(world, 0).await;
    let answer = world.callers[0].get(WEB_A, &[b"cookie: uid=user-1"]).await;
    assert_eq!(answer.variant(), "stable");
    drop(controller);
}

/// A plugin whose canary has 25 %, and two controllers that its proxies ask.
async fn begin_with_two(world: &World) -> [Process; 2] {
    world.chain.kubernetes.apply(OTHER).await;
    let first = begin(world, 25).await;
    let mut second = start_at(world, "other-brakes", OTHER_ADDRESS);
    let answers = async || TcpStream::connect(OTHER_ADDRESS).await.is_ok();
    second.wait_until("its service", answers).await;
    [first, second]
}

pub async fn an_abort_counts_the_proxies_of_both_replicas_beside_many_brakes(world: &mut World) {
    let controllers = begin_with_two(world).await;
    // So no zeros are written, and every brake's number changes with each abort.
    world.chain.stop_istiod();
    let others = (0..100).map(|number| {
        let name = format!("name: other-{number}");
        BRAKE.replace("name: by-hand", &name) + "---"
    });
    let others = others
        .collect::<String>()
        .replace("split: web", "split: checkout");
    world
        .chain
        .kubernetes
        .apply(others.trim_end_matches("---"))
        .await;
    for _ in 0..5 {
        let said = world.sluice("abort web -n a").await.ended_with(0);
        assert!(said.err.contains("in force in 6 of 6"), "{said:?}");
    }
    drop(controllers);
    world.chain.restart_istiod(&[]).await;
}

pub async fn of_two_replicas_one_suffices_and_none_costs_nothing(world: &mut World) {
    let [mut first, mut second] = begin_with_two(world).await;
    world.chain.stop_istiod();
    let said = world.sluice("abort web -n a").await.ended_with(0);
    assert!(said.err.contains("in force in 6 of 6"), "{said:?}");
    let load = Load::start(&world.caller_addresses(), WEB_A, 400, 200);
    let since = Instant::now();
    first.kill();
    // Whoever asked the first one asks the second.
    connected(world).await;
    wait_for_brakes(world, 1).await;
    let said = world.sluice("abort web -n a").await.ended_with(0);
    assert!(said.err.contains("in force in 6 of 6"), "{said:?}");
    // What the first one said is left out after a while.
    until("dead replicas to count no more", async || {
        let listed = world.sluice("brake list -n a").await.good().out;
        let are_right = listed
            .lines()
            .all(|line| line.contains("in 6 of 6 proxies"));
        are_right.then_some(()).ok_or(listed)
    })
    .await;
    second.kill();
    for caller in &world.callers {
        wait_for_stat(caller, "sluice_brake_connected", 0).await;
    }
    // Neither way is open.
    let said = world.sluice("abort web -n a").await.ended_with(2);
    assert!(said.err.contains("in force in 0 of"), "{said:?}");
    let seen = load.end().await;
    assert_no_failures(&seen);
    assert_quiet(&seen, since + Duration::from_millis(100));
    world.chain.restart_istiod(&[]).await;
}
