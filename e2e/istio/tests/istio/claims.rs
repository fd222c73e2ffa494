//! What proxies tell the controller that their guards took out: a run ends by it once such a proxy
//! shows it, and a lie ends none.

use std::time::{Duration, Instant};

use serde_json::{Value, json};
use sluice_core::brake::{Question, Tripped};
use sluice_e2e::client::{Connection, fetch};
use sluice_e2e::wait::until;
use sluice_e2e_istio::load::Load;
use sluice_e2e_istio::process::Process;

use crate::brake::{ADDRESS, begin, connected, prepare};
use crate::rollouts::account;
use crate::rollouts::controller::{
    apply, ask, configure, message, ramp, start_as, status, wait_for, wait_for_phase,
    wait_for_weight,
};
use crate::users::WEB_A;
use crate::world::World;

const WEB: &str = "/web/everyone/canary";

/// How often is looked when something happened.
const TICK: Duration = Duration::from_millis(5);

async fn guard(world: &World) {
    configure(world, &json!({"splits": {"web": {"guard": {}}}})).await;
}

/// A run that holds its first step for an hour.
async fn hold(world: &World) {
    let spec = json!({"split": "web", "version": "v2", "steps": ramp(&[25, 100], "1h")});
    apply(world, "web", &spec).await;
    let is_held = |status: &Value| status["run"]["stage"] == "Holding";
    wait_for(world, "web", "to hold its first step", is_held).await;
    world.wait_for_convergence("a").await;
}

async fn wait_for_log(process: &Process, words: &str) {
    until(&format!("{words:?} in a log"), async || {
        let log = process.log();
        log.contains(words).then_some(()).ok_or(log)
    })
    .await;
}

/// When the first proxy shows that its guard tripped.
async fn first_trip(world: &World) -> Instant {
    let began = Instant::now();
    while began.elapsed() < sluice_e2e::wait::PATIENCE {
        for caller in &world.callers {
            let stats = caller.admin("/stats?filter=sluice_tripped").await;
            if stats.lines().any(|line| line.ends_with(": 1")) {
                return Instant::now();
            }
        }
        tokio::time::sleep(TICK).await;
    }
    panic!("no proxy took the canary out")
}

/// When the run is in one of these phases.
async fn phase(world: &World, phases: &[&str]) -> Instant {
    let began = Instant::now();
    loop {
        let status = status(world, "web").await;
        if phases.iter().any(|phase| status["phase"] == *phase) {
            return Instant::now();
        }
        let waited = began.elapsed();
        assert!(
            waited < sluice_e2e::wait::PATIENCE,
            "{phases:?}: {status:#}"
        );
        tokio::time::sleep(TICK).await;
    }
}

pub async fn a_trip_that_a_standby_is_told_ends_the_run_without_prometheus(world: &mut World) {
    prepare(world, 0).await;
    guard(world).await;
    let (sluice, _) = account(world, &["account.yaml", "cluster.yaml"]).await;
    // Neither is told of a Prometheus: nobody but the proxies can tell of a trip.
    let leader = start_as(world, &sluice, "leader", "controller");
    wait_for_log(&leader, "\nleads").await;
    let arguments = format!("controller --brake-listen {ADDRESS}");
    let standby = start_as(world, &sluice, "standby", &arguments);
    wait_for_log(&standby, " leads").await;
    connected(world).await;
    hold(world).await;
    world.fail("canary", 503);
    let load = Load::start(&world.caller_addresses(), WEB_A, 400, 400);
    let (tripped, back, ended) = tokio::join!(
        first_trip(world),
        phase(world, &["RollingBack", "RolledBack"]),
        phase(world, &["RolledBack"]),
    );
    load.end().await;
    println!(
        "a standby was told of a trip: the run went back {:?} after the first proxy showed it, and had ended after {:?}",
        back.saturating_duration_since(tripped),
        ended.saturating_duration_since(tripped),
    );
    let status = wait_for_phase(world, "web", "RolledBack").await;
    let said = message(&status);
    let words = "the guard took the challenger out: a/client-";
    assert!(said.starts_with(words), "{said}");
    assert_eq!(world.weight("a", WEB).await, Some(0.0));
    let brakes = world.sluice("brake list -n a").await.good().out;
    assert!(brakes.contains("sluice web canary: "), "{brakes}");
}

/// Says in the name of a pod that its guard took web's canary out.
async fn lie(pod: &str) {
    let tripped = Tripped {
        split: "web".to_owned(),
        variant: "canary".to_owned(),
    };
    let question = Question {
        plugin: "a.sluice~istio-translated-wasmplugin".to_owned(),
        node: format!("sidecar~127.0.1.1~{pod}~a.svc.cluster.local"),
        trips: vec![tripped],
        ..Question::default()
    };
    let json = question.to_json();
    let length = json.len();
    let head =
        format!("POST /v1/brakes HTTP/1.1\r\nhost: brakes.a\r\ncontent-length: {length}\r\n\r\n");
    let mut connection = Connection::open(ADDRESS.parse().unwrap()).await.unwrap();
    let answer = connection.send((head + &json).as_bytes()).await.unwrap();
    assert_eq!(answer.status, 200);
}

/// How often it was looked in vain.
async fn looks(controller: &Process) -> u64 {
    let log = controller.log();
    let mut lines = log.lines();
    let address = lines.find_map(|line| Some(line.split_once("; answers on ")?.1));
    let address = address.unwrap().trim().parse().unwrap();
    let metrics = until("its metrics", async || {
        fetch(address, "/metrics")
            .await
            .ok_or_else(|| "no answer".to_owned())
    })
    .await;
    let metrics = String::from_utf8(metrics.body).unwrap();
    assert!(!metrics.contains("found=\"Tripped\""), "{metrics}");
    let mut lines = metrics.lines();
    let count =
        lines.find_map(|line| line.strip_prefix("sluice_rollout_claims_total{found=\"Nothing\"} "));
    count.map_or(0, |count| count.parse().unwrap())
}

pub async fn a_lie_about_a_trip_costs_a_look_and_the_run_goes_on(world: &mut World) {
    let controller = begin(world, 0).await;
    guard(world).await;
    hold(world).await;
    let mut wanted = 0;
    // A healthy proxy, one that the plugin does not select, and none at all.
    for pod in ["client-1.a", "client-11.b", "nobody.a"] {
        lie(pod).await;
        wanted += 1;
        until(&format!("look {wanted}"), async || {
            let looks = looks(&controller).await;
            (looks == wanted).then_some(()).ok_or(looks.to_string())
        })
        .await;
    }
    let began = Instant::now();
    for number in 0..300 {
        lie(&format!("client-{number}.a")).await;
    }
    let found = until("a look", async || {
        let looks = looks(&controller).await;
        (looks > wanted).then_some(looks).ok_or(looks.to_string())
    })
    .await;
    let has_none = |status: &Value| status["claimed"].is_null();
    wait_for(world, "web", "to have looked", has_none).await;
    let most = wanted + 2 + began.elapsed().as_secs();
    println!(
        "300 lies within {:?} cost {} looks",
        began.elapsed(),
        found - wanted
    );
    let looks = looks(&controller).await;
    assert!(looks <= most, "{looks} of at most {most}");
    let held = status(world, "web").await;
    assert_eq!(held["run"]["stage"], "Holding", "{held:#}");
    assert_eq!(world.weight("a", WEB).await, Some(25.0));
    ask(world, "web", 1, "skip").await;
    wait_for_weight(world, WEB, 100.0).await;
}
