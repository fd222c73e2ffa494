//! `sluice rollout …` on a cluster: what people ask of a run and read of it, with the real API
//! server and the controller that obeys.

use std::path::PathBuf;
use std::process::Child;
use std::time::Duration;

use serde_json::{Value, json};
use sluice_e2e::wait::until;
use sluice_e2e_istio::command::Said;
use sluice_e2e_istio::prometheus;

use super::controller::{
    apply, ramp, start, start_seeing, wait_for, wait_for_phase, wait_for_weight,
};
use crate::world::World;

const WEB: &str = "/web/everyone/canary";

async fn rollout(world: &World, arguments: &str) -> Said {
    world.sluice(&format!("rollout {arguments}")).await
}

/// A command that goes on beside the test, with its output in files.
struct Beside {
    child: Child,
    folder: PathBuf,
}

impl Beside {
    fn start(world: &World, name: &str, arguments: &str) -> Self {
        let folder = world.chain.folder().join(name);
        std::fs::create_dir_all(&folder).unwrap();
        let create = |name: &str| std::fs::File::create(folder.join(name)).unwrap();
        let mut command = world.chain.sluice.command(&format!("rollout {arguments}"));
        let command = command.stdout(create("out")).stderr(create("err"));
        let child = command.spawn().unwrap();
        Self { child, folder }
    }

    fn out(&self) -> String {
        std::fs::read_to_string(self.folder.join("out")).unwrap()
    }

    /// Waits until it has written this.
    async fn wait_for(&self, text: &str) {
        until(text, async || {
            let out = self.out();
            out.contains(text).then_some(()).ok_or(out)
        })
        .await;
    }

    /// Its exit code, once it has ended.
    async fn code(&mut self) -> Option<i32> {
        until("it to end", async || {
            let ended = self.child.try_wait().unwrap();
            ended.ok_or_else(|| std::fs::read_to_string(self.folder.join("out")).unwrap())
        })
        .await
        .code()
    }
}

impl Drop for Beside {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Three steps that only end because somebody says so.
fn steps() -> Value {
    json!([{"weight": 10, "hold": "1h"}, {"weight": 50, "approval": true}, {"weight": 100, "hold": "1h"}])
}

pub async fn what_people_say_to_a_run_is_obeyed_and_answered(world: &mut World) {
    world.new_plugin("a").await;
    let _controller = start(world);
    let mut spec = json!({"split": "web", "version": "v2", "steps": steps()});
    apply(world, "web", &spec).await;
    wait_for_weight(world, WEB, 10.0).await;
    wait_for(world, "web", "to hold", |status| {
        status["run"]["stage"] == "Holding"
    })
    .await;
    let watching = Beside::start(world, "watching", "status web -n a --watch");
    let mut waiting = Beside::start(world, "waiting", "status web -n a --wait -o json");
    watching
        .wait_for("web  Progressing, run 1, step 1 of 3, 10 %: ")
        .await;

    let said = rollout(world, "approve web -n a").await.ended_with(1);
    assert!(
        said.err.contains("a/web: refused: `approve` of "),
        "{said:?}"
    );
    assert!(
        said.err.contains("the step waits for no approval"),
        "{said:?}"
    );
    let said = rollout(world, "pause web -n a --reason lunch").await.good();
    assert!(
        said.out.starts_with("a/web: paused by ") && said.out.ends_with(": lunch\n"),
        "{said:?}"
    );
    watching
        .wait_for("web  Paused, run 1, step 1 of 3, 10 %: paused by ")
        .await;
    let said = rollout(world, "resume web -n a -o json").await.good();
    let asked: Value = serde_json::from_str(&said.out).unwrap();
    assert_eq!(
        [
            &asked["rollout"],
            &asked["command"],
            &asked["outcome"],
            &asked["phase"]
        ],
        ["a/web", "resume", "obeyed", "Progressing"]
    );
    assert_eq!(asked["number"], 3, "{asked:#}");
    let said = rollout(world, "skip web -n a").await.good();
    assert!(said.out.starts_with("a/web: skipped by "), "{said:?}");
    wait_for_weight(world, WEB, 50.0).await;
    watching
        .wait_for(
            "web  Progressing, run 1, step 2 of 3, 50 %: step 2 waits for `sluice rollout approve`",
        )
        .await;
    rollout(world, "approve web -n a").await.good();
    wait_for_weight(world, WEB, 100.0).await;
    let said = rollout(world, "promote web -n a").await.ended_with(2);
    assert!(said.err.contains("--full"), "{said:?}");
    rollout(world, "promote web --full -n a").await.good();
    assert_eq!(waiting.code().await, Some(0));
    let waited: Value = serde_json::from_str(&waiting.out()).unwrap();
    assert_eq!(waited["status"]["phase"], "Succeeded");
    watching
        .wait_for("web  Succeeded, run 1, step 3 of 3, 100 %: v2 has 100 % of everyone")
        .await;
    assert!(
        !watching.out().contains('\x1b'),
        "plain lines: {}",
        watching.out()
    );

    for (command, why) in [
        ("retry", "the last run did not fail"),
        ("pause", "no run is under way"),
        ("skip", "no run is under way"),
    ] {
        let said = rollout(world, &format!("{command} web -n a"))
            .await
            .ended_with(1);
        assert!(said.err.contains(why), "{command}: {said:?}");
    }
    let said = rollout(world, "abort web -n a").await;
    assert_eq!(
        (said.code, world.weight("a", WEB).await),
        (1, Some(100.0)),
        "{said:?}"
    );
    rollout(world, "finish web -n a").await.good();
    wait_for_phase(world, "web", "Idle").await;
    assert_eq!(world.weight("a", WEB).await, Some(0.0));

    spec["version"] = json!("v3");
    apply(world, "web", &spec).await;
    wait_for_weight(world, WEB, 10.0).await;
    let mut waiting = Beside::start(world, "waiting", "status web -n a --wait");
    let said = rollout(world, "abort web -n a --reason 'users complain'")
        .await
        .good();
    assert!(
        said.out.contains("a/web: its run ends as aborted"),
        "{said:?}"
    );
    assert_eq!(world.weight("a", WEB).await, Some(0.0));
    assert_eq!(waiting.code().await, Some(1));
    rollout(world, "retry web -n a").await.good();
    wait_for_weight(world, WEB, 10.0).await;
    rollout(world, "promote web --full -n a").await.good();
    rollout(world, "status web -n a --wait --timeout 60s")
        .await
        .good();
    let history = rollout(world, "history web -n a -o json").await.good().out;
    let runs = history
        .lines()
        .map(|line| serde_json::from_str::<Value>(line).unwrap());
    let runs: Vec<Value> = runs
        .map(|run| json!([run["rollout"], run["number"], run["version"], run["as"]]))
        .collect();
    assert_eq!(
        json!(runs),
        json!([
            ["a/web", 1, "v2", "Succeeded"],
            ["a/web", 2, "v3", "Aborted"],
            ["a/web", 3, "v3", "Succeeded"]
        ])
    );
    let table = rollout(world, "history web -n a").await.good().out;
    assert!(table.contains("users complain"), "{table}");
    drop(watching);
}

pub async fn all_rollouts_are_listed_and_one_is_shown_with_its_proxies(world: &mut World) {
    world.new_plugin("a").await;
    world.new_plugin("b").await;
    let _controller = start_seeing(world);
    let spec = json!({"split": "web", "version": "v2", "steps": ramp(&[10, 100], "1h")});
    apply(world, "web", &spec).await;
    super::controller::apply_in(world, "b", "web", &spec).await;
    wait_for(world, "web", "to hold", |status| {
        status["run"]["stage"] == "Holding"
    })
    .await;
    let everywhere = rollout(world, "status -A").await.good().out;
    let lines: Vec<Vec<&str>> = everywhere
        .lines()
        .map(|line| line.split_whitespace().collect())
        .collect();
    assert_eq!(
        lines[0],
        [
            "NAMESPACE",
            "NAME",
            "SPLIT",
            "VERSION",
            "PHASE",
            "STEP",
            "WEIGHT",
            "MESSAGE"
        ]
    );
    assert_eq!(
        lines[1][..9],
        ["a", "web", "web", "v2", "Progressing", "1", "of", "2", "10"]
    );
    // Nobody runs those of b: the controller is a's.
    assert_eq!(lines[2][..5], ["b", "web", "web", "v2", "Idle"]);
    assert!(
        everywhere.contains("no controller has seen its spec yet"),
        "{everywhere}"
    );
    let json = rollout(world, "status -A -o json").await.good().out;
    let views: Vec<Value> = json
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    let shown: Vec<_> = views
        .iter()
        .map(|view| json!([view["namespace"], view["isOfSpec"]]))
        .collect();
    assert_eq!(json!(shown), json!([["a", true], ["b", false]]));
    let command = format!("status web -n a --prometheus {}", prometheus::URL);
    let tree = rollout(world, &command).await.good().out;
    for part in [
        "a/web: Progressing, run 1 of v2, step 1 of 2",
        "▶ 1: 10 % of everyone, held 1h (held, ",
        "everyone: 10 % wanted, 10 % in force",
        "6 of 6",
    ] {
        assert!(tree.contains(part), "{part}: {tree}");
    }
    let near = rollout(world, "status wed -n a").await.ended_with(2).err;
    assert!(near.contains("did you mean \"web\"?"), "{near}");
}

pub async fn a_check_asks_the_clusters_prometheus_and_moves_nobody(world: &mut World) {
    world.fresh_plugin("a", 0).await;
    // What earlier tests' users were answered is still in Prometheus: it fails nothing here.
    let checks = json!([
        {"name": "up", "query": "count(up)", "pass": "> 0"},
        {"name": "errors", "metric": "errorRate", "fail": "> 99%"},
        {"name": "orders", "query": "sum(orders_total)", "pass": "> 0", "dryRun": true},
    ]);
    let mut rollout_of = json!({
        "apiVersion": "sluice.dev/v1alpha1", "kind": "Rollout", "metadata": {"name": "web", "namespace": "a"},
        "spec": {
            "split": "web", "version": "v2", "steps": ramp(&[10, 100], "1h"),
            "analysis": {"prometheus": {"address": prometheus::URL}, "checks": checks},
        },
    });
    let file = world.chain.folder().join("rollout.json");
    std::fs::write(&file, rollout_of.to_string()).unwrap();
    let check = format!("check -n a -f {}", file.display());
    let said = until("Prometheus to have scraped", async || {
        let said = rollout(world, &check).await;
        match said.out.contains("web: pass: up") {
            true => Ok(said),
            false => Err(said.out),
        }
    });
    let said = said.await.good();
    for part in [
        "web: pass: up",
        "count(up)",
        ": errors",
        "web: hold, dry run: orders",
        "sum(orders_total)",
    ] {
        assert!(said.out.contains(part), "{part}: {said:?}");
    }
    assert_eq!(world.weight("a", WEB).await, Some(0.0));
    rollout_of["spec"]["analysis"]["prometheus"]["address"] = json!("http://127.0.0.1:1");
    std::fs::write(&file, rollout_of.to_string()).unwrap();
    let said = rollout(world, &check).await.ended_with(1);
    assert!(said.out.contains("127.0.0.1:1"), "{said:?}");
}

pub async fn waiting_is_for_the_spec_as_it_is_now(world: &mut World) {
    world.new_plugin("a").await;
    let controller = start(world);
    let mut spec = json!({"split": "web", "version": "v2", "steps": ramp(&[10], "0s")});
    apply(world, "web", &spec).await;
    let wait = "status web -n a --wait --timeout 2s";
    rollout(world, "status web -n a --wait --timeout 60s")
        .await
        .good();
    drop(controller);
    // Another version, or only another spec: the former run's end is not its own.
    for change in [
        json!({"version": "v3"}),
        json!({"version": "v2", "from": "current"}),
    ] {
        for (field, value) in change.as_object().unwrap() {
            spec[field] = value.clone();
        }
        apply(world, "web", &spec).await;
        let said = rollout(world, wait).await.ended_with(1);
        assert!(said.err.contains("timed out"), "{said:?}");
        assert!(
            said.err
                .contains("no controller has seen its spec yet; before: v2 has 10 %"),
            "{said:?}"
        );
    }
    // What is asked where nobody runs anything stays, and is no success.
    let said = rollout(world, "pause web -n a --timeout 1s")
        .await
        .ended_with(1);
    assert!(
        said.err
            .contains("a/web: NOT DONE: no controller answered within 1 s"),
        "{said:?}"
    );
    let _controller = start(world);
    tokio::time::sleep(Duration::from_millis(1)).await;
    spec["version"] = json!("v4");
    apply(world, "web", &spec).await;
    let said = rollout(world, "status web -n a --wait --timeout 60s -o json")
        .await
        .good();
    let view: Value = serde_json::from_str(&said.out).unwrap();
    assert_eq!(
        [&view["status"]["run"]["version"], &view["isOfSpec"]],
        [&json!("v4"), &json!(true)]
    );
}
