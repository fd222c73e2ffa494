//! Controllers that die, and an API server that does.

use std::collections::BTreeMap;
use std::time::Duration;

use serde_json::{Value, json};
use sluice_e2e_istio::doom::{Doomed, Kinds, Side, Ways, Write};
use sluice_e2e_istio::process::Process;
use tokio::sync::mpsc::UnboundedReceiver;

use super::controller::{apply, message, ramp, start, wait_for, wait_for_phase, wait_for_weight};
use crate::world::World;

const WEB: &str = "/web/everyone/canary";

const BOTH: &[Side] = &[Side::Before, Side::After];

/// An Event that was not said is not said again: who is ended before it costs the next run nothing.
const AFTER: &[Side] = &[Side::After];

/// What a controller writes but its Lease: each status by what the run does then, each change of a
/// weight, what is remembered of it and of a run, and each Event.
const KINDS: Kinds = |write| {
    let text = |path: &str| {
        write
            .body
            .pointer(path)
            .and_then(Value::as_str)
            .unwrap_or("-")
    };
    let resource = write.path.split('/').rev();
    let resource: Vec<&str> = resource.take(2).collect();
    Some(match (write.method.as_str(), resource.as_slice()) {
        ("PUT", ["status", "web"]) => {
            let (phase, stage) = (text("/status/phase"), text("/status/run/stage"));
            (format!("status {phase}, {stage}"), BOTH)
        }
        ("PATCH", ["sluice", "wasmplugins"]) if !write.query.contains("sluice%2Fall") => {
            ("weight".to_owned(), BOTH)
        }
        ("PATCH", ["sluice", "wasmplugins"]) => ("zeros".to_owned(), BOTH),
        ("POST", ["controllerrevisions", _]) if text("/metadata/name").contains("-run-") => {
            ("record of a run".to_owned(), BOTH)
        }
        ("POST", ["controllerrevisions", _]) => ("record of a change".to_owned(), BOTH),
        ("POST", ["events", _]) => (format!("event {}", text("/reason")), AFTER),
        _ => return None,
    })
};

/// Controllers on ways of their own: one that leads and its standby, or who came for them.
struct Pair<'w> {
    world: &'w World,
    ways: Ways,
    alive: BTreeMap<usize, Process>,
}

impl<'w> Pair<'w> {
    async fn start(world: &'w World, ways: &Ways) -> Self {
        let mut pair = Self {
            world,
            ways: ways.clone(),
            alive: BTreeMap::new(),
        };
        for way in [0, 1] {
            pair.begin(way).await;
        }
        pair
    }

    async fn begin(&mut self, way: usize) {
        let chain = &self.world.chain;
        let kubeconfig = self.ways.open(way, chain).await;
        let sluice = chain.sluice.with_kubeconfig(&kubeconfig);
        // The shortest that there is: each death is waited for.
        let arguments = "controller -n a --listen 127.0.0.1:0 --lease-seconds 2";
        let mut command = sluice.command(arguments);
        let name = format!("doomed-{way}");
        let process = Process::start(&name, chain.folder(), &mut command);
        self.alive.insert(way, process);
    }

    /// Ends whoever is to be ended, each replaced by another; never ready.
    async fn end_each(&mut self, doomed: &mut UnboundedReceiver<Doomed>) {
        let mut next = self.alive.len();
        while let Some(Doomed { way, ended }) = doomed.recv().await {
            // Another write of theirs may have ended them already.
            if let Some(mut process) = self.alive.remove(&way) {
                process.kill();
                self.begin(next).await;
                next += 1;
            }
            let _ = ended.send(());
        }
    }
}

/// The weights of everyone's canary as they were written, and what wrote them.
fn weights(written: &[Write]) -> Vec<f64> {
    let path = format!("/spec/pluginConfig/weights{WEB}");
    let weights = written.iter().filter_map(|write| write.body.pointer(&path));
    weights.filter_map(Value::as_f64).collect()
}

/// A good run with everything that a person may say to one, a `finish`, and a run that is taken
/// back.
async fn two_runs(world: &World) {
    let say = async |command: &str| {
        let command = format!("rollout {command} web -n a --timeout 80s");
        world.sluice(&command).await.good();
    };
    let steps =
        json!([{"weight": 5, "hold": "1s"}, {"weight": 50, "approval": true}, {"weight": 100}]);
    let mut spec = json!({"split": "web", "version": "v2", "steps": steps, "onHandEdit": "abort"});
    apply(world, "web", &spec).await;
    wait_for_weight(world, WEB, 5.0).await;
    wait_for_weight(world, WEB, 50.0).await;
    let is_asked = |status: &Value| message(status).contains("waits for `sluice rollout approve`");
    wait_for(world, "web", "approval wanted", is_asked).await;
    say("pause").await;
    say("resume").await;
    say("approve").await;
    let status = wait_for_phase(world, "web", "Succeeded").await;
    assert_eq!(status["run"]["number"], 1, "{status:#}");
    say("finish").await;
    wait_for_phase(world, "web", "Idle").await;
    assert_eq!(world.weight("a", WEB).await, Some(0.0));
    spec["version"] = json!("v3");
    spec["steps"] = ramp(&[10, 100], "1h");
    apply(world, "web", &spec).await;
    wait_for_weight(world, WEB, 10.0).await;
    let is_held = |status: &Value| status["run"]["stage"] == "Holding";
    wait_for(world, "web", "to hold its step", is_held).await;
    world.sluice("set web canary=33 -n a").await.good();
    let is_over = |status: &Value| status["run"]["stage"] == "Over" && status["run"]["number"] == 2;
    wait_for(world, "web", "to have taken its users back", is_over).await;
}

pub async fn a_controller_killed_at_every_write_is_replaced_by_its_standby(world: &mut World) {
    world.new_plugin("a").await;
    let (ways, mut doomed) = Ways::new(&world.chain.kubernetes, KINDS);
    let mut pair = Pair::start(world, &ways).await;
    tokio::select! {
        () = two_runs(world) => {}
        () = pair.end_each(&mut doomed) => {}
    }
    for (kind, sides) in ways.met() {
        println!("{kind}: {sides:?}");
    }
    let status = super::controller::status(world, "web").await;
    let runs = status["runs"].as_array().unwrap();
    let numbers: Vec<_> = runs.iter().map(|run| &run["number"]).collect();
    assert_eq!(json!(numbers), json!([1, 2]), "each run once: {status:#}");
    assert_eq!(runs[0]["as"], "Succeeded");
    // Users go back before that is noted. Who takes over in between finds zeros that it does not
    // know to be the controller's own: the run counts as aborted, by what its reason says.
    assert!(
        ["RolledBack", "Aborted"]
            .iter()
            .any(|ended| runs[1]["as"] == *ended),
        "{status:#}"
    );
    assert!(
        message(&status).contains("the challenger has 33 % of everyone"),
        "{status:#}"
    );
    // Whoever takes over writes no weight again that is there already, and none twice.
    assert_eq!(weights(&ways.made()), [5.0, 50.0, 100.0, 0.0, 10.0, 0.0]);
    assert_met(&ways);
}

/// Every kind of write was met, and somebody was ended on each side of it.
fn assert_met(ways: &Ways) {
    let met = ways.met();
    let written = [
        "status Progressing, Entering",
        "status Progressing, Moving",
        "status Progressing, Converging",
        "status Progressing, Holding",
        "status Progressing, Approval",
        "status Paused, Approval",
        "status Succeeded, Over",
        "status Idle, Over",
        "weight",
        "zeros",
        "record of a run",
    ];
    for kind in written {
        assert_eq!(
            met.get(kind).map(Vec::as_slice),
            Some(BOTH),
            "{kind}: {met:#?}"
        );
    }
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
