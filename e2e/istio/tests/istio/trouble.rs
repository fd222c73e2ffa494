//! Two writers, a killed command, an API server and an istiod that go away.

use std::fs::File;
use std::path::PathBuf;
use std::process::{Child, Stdio};
use std::time::Duration;

use serde_json::json;
use sluice_e2e::wait::until;
use sluice_e2e_istio::load::Load;
use sluice_e2e_istio::{istiod, prometheus};

use crate::users::{WEB_A, assert_no_failures};
use crate::world::World;

pub async fn a_cluster_that_cannot_is_said(world: &mut World) {
    let said = world.chain.said_without_istio.clone().ended_with(2);
    assert!(
        said.err
            .contains("knows neither WasmPlugin nor TrafficExtension"),
        "{said:?}"
    );
    // Somebody who takes connections and says nothing.
    let silent = tokio::net::TcpListener::bind("127.0.0.1:7443")
        .await
        .unwrap();
    let kubeconfig = world.chain.folder().join("silent.kubeconfig");
    let admin = std::fs::read_to_string(world.chain.folder().join("admin.kubeconfig")).unwrap();
    std::fs::write(&kubeconfig, admin.replace(":6443", ":7443")).unwrap();
    let said = world
        .chain
        .sluice
        .with_kubeconfig(&kubeconfig)
        .run_beside("abort web -n a")
        .await
        .ended_with(2);
    assert!(
        said.err
            .contains("the API server at https://127.0.0.1:7443/ cannot be reached"),
        "{said:?}"
    );
    drop(silent);
    let said = world
        .sluice("get -n a --context nowhere")
        .await
        .ended_with(2);
    assert!(said.err.contains("nowhere"), "{said:?}");
    let stranger = admin.replace("admintoken", "nobody");
    std::fs::write(&kubeconfig, stranger).unwrap();
    let said = world
        .chain
        .sluice
        .with_kubeconfig(&kubeconfig)
        .run_beside("get -n a")
        .await
        .ended_with(2);
    assert!(
        said.err.contains("does not accept these credentials"),
        "{said:?}"
    );
}

pub async fn of_writers_at_once_each_gets_a_turn(world: &mut World) {
    world.fresh_plugin("a", 0).await;
    let sluice = world.chain.sluice.clone();
    let writer = |what: &'static str| {
        let sluice = sluice.clone();
        tokio::spawn(async move {
            for percent in 1..=8 {
                let (split, audience) = what.split_once('/').unwrap();
                let command = format!("set {split} canary={percent} --audience {audience} -n a");
                sluice.run_beside(&command).await.good();
            }
        })
    };
    // Each writes a split of its own: a change of one that somebody else changed is refused.
    for writer in ["web/staff", "checkout/everyone"].map(writer) {
        writer.await.unwrap();
    }
    for path in ["/web/staff/canary", "/checkout/everyone/canary"] {
        assert_eq!(world.weight("a", path).await, Some(8.0), "{path}");
    }
    let history = sluice.run_beside("history -n a -o json").await.good().out;
    let history: Vec<serde_json::Value> = serde_json::from_str(&history).unwrap();
    let of = |split: &str, audience: &str| -> Vec<i64> {
        let changes = history
            .iter()
            .flat_map(|entry| entry["changes"].as_array().unwrap());
        let ours =
            changes.filter(|change| change["split"] == split && change["audience"] == audience);
        ours.map(|change| change["to"].as_f64().unwrap() as i64)
            .filter(|to| *to > 0)
            .collect()
    };
    for (split, audience) in [("web", "staff"), ("checkout", "everyone")] {
        assert_eq!(
            of(split, audience),
            (1..=8).collect::<Vec<i64>>(),
            "{split}/{audience}: {history:#?}"
        );
    }
}

pub async fn only_the_last_fifty_changes_are_kept(world: &mut World) {
    world.fresh_plugin("a", 0).await;
    for change in 0..55 {
        world.set("checkout", 1 + change % 2).await;
    }
    let uid = world
        .chain
        .kubernetes
        .get("WasmPlugin", "a", "sluice")
        .await
        .unwrap()
        .metadata
        .uid;
    let revisions = world
        .chain
        .kubernetes
        .list("ControllerRevision", "a")
        .await
        .unwrap();
    let owned = revisions.iter().filter(|revision| {
        revision
            .metadata
            .owner_references
            .iter()
            .flatten()
            .any(|owner| Some(&owner.uid) == uid.as_ref())
    });
    assert_eq!(owned.count(), 50);
}

pub async fn a_killed_command_leaves_the_old_weights_or_the_new(world: &mut World) {
    world.fresh_plugin("a", 10).await;
    for time in 0..30_u64 {
        let percent = 10 + time as u32;
        let mut child = world
            .chain
            .sluice
            .command(&format!("set web canary={percent} -n a"))
            .stdout(Stdio::null())
            .spawn()
            .unwrap();
        tokio::time::sleep(Duration::from_millis(time * 2)).await;
        let _ = child.kill();
        child.wait().unwrap();
        let weight = world.weight("a", "/web/everyone/canary").await.unwrap();
        assert!(weight >= 10.0 && weight <= f64::from(percent), "{weight}");
    }
    world.set("web", 50).await;
    assert_eq!(world.weight("a", "/web/everyone/canary").await, Some(50.0));
    world.sluice("history -n a").await.good();
}

pub async fn an_api_server_that_restarts_is_said_and_costs_no_request(world: &mut World) {
    world.fresh_plugin("a", 10).await;
    let load = Load::start(&world.caller_addresses(), WEB_A, 1_000, 100);
    world.chain.kill_api_server();
    let said = world.sluice("set web canary=20 -n a").await.ended_with(2);
    assert!(
        said.err
            .contains("the API server at https://127.0.0.1:6443/ cannot be reached"),
        "{said:?}"
    );
    world.chain.restore().await;
    assert_eq!(world.weight("a", "/web/everyone/canary").await, Some(10.0));
    world.set("web", 20).await;
    // istiod finds its way back by itself.
    world.wait_for_convergence("a").await;
    let seen = load.end().await;
    assert_no_failures(&seen);
}

pub async fn without_istiod_proxies_serve_on_and_status_says_who_has_not_followed(
    world: &mut World,
) {
    world.fresh_plugin("a", 10).await;
    let load = Load::start(&world.caller_addresses(), WEB_A, 1_000, 100);
    // The API server tells the time of a change to the second only: of a push within that second it
    // is not known whether it had the change.
    tokio::time::sleep(Duration::from_secs(1)).await;
    world.chain.stop_istiod();
    let said = world.sluice("set web canary=20 -n a").await.ended_with(2);
    assert!(
        said.err.contains("istiod does not answer the API server"),
        "{said:?}"
    );
    assert!(said.err.contains("nothing was changed"), "{said:?}");
    assert_eq!(world.weight("a", "/web/everyone/canary").await, Some(10.0));
    // What an operator may do who must change something now.
    let ignore =
        json!({"webhooks": [{"name": "rev.validation.istio.io", "failurePolicy": "Ignore"}]});
    let webhook = format!("validatingwebhookconfiguration {}", istiod::WEBHOOK_NAME);
    world
        .kubectl(&format!("patch {webhook} --type strategic -p '{ignore}'"))
        .await
        .good();
    world.set("web", 20).await;
    // Nobody who watches pushes it again: istiod has not pushed it even once.
    let watch = Watch::start(world);
    world
        .wait_for_status(&[
            "0 of 6 proxies at revision",
            "which istiod has not pushed to 6 yet",
            "a/client-1: runs revision",
            "istiod has not pushed to it since the change",
        ])
        .await
        .ended_with(1);
    assert!(!watch.notes().contains("pushed again"), "{}", watch.notes());
    drop(watch);
    world.chain.restore().await;
    world.wait_for_convergence("a").await;
    let seen = load.end().await;
    assert_no_failures(&seen);
    world.wait_for_status(&["6 of 6 proxies at revision"]).await;
}

/// A `sluice status --watch` of namespace a that runs until it is dropped.
struct Watch {
    child: Child,
    folder: PathBuf,
}

impl Watch {
    fn start(world: &World) -> Self {
        let folder = world.chain.folder().join("watch");
        std::fs::create_dir_all(&folder).unwrap();
        let create = |name: &str| File::create(folder.join(name)).unwrap();
        let arguments = format!("status -n a --watch --prometheus {}", prometheus::URL);
        let mut command = world.chain.sluice.command(&arguments);
        let child = command
            .stdout(create("lines.txt"))
            .stderr(create("notes.txt"))
            .spawn()
            .unwrap();
        Self { child, folder }
    }

    /// Its standard output so far.
    fn lines(&self) -> String {
        std::fs::read_to_string(self.folder.join("lines.txt")).unwrap()
    }

    /// Its standard error so far.
    fn notes(&self) -> String {
        std::fs::read_to_string(self.folder.join("notes.txt")).unwrap()
    }
}

impl Drop for Watch {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

pub async fn a_watched_status_pushes_again_what_was_overtaken(world: &mut World) {
    // Two versions within one fetch of the module: agents may forward them in the wrong order
    // (istio/istio#53865).
    world.chain.kubernetes.apply(&world.plugin("a")).await;
    let watch = Watch::start(world);
    tokio::time::sleep(Duration::from_millis(60)).await;
    world.set("web", 33).await;
    world.wait_for_convergence("a").await;
    let lines = until("convergence to be said", async || {
        let lines = watch.lines();
        let is_said = lines.contains("6 of 6 proxies at revision");
        is_said.then(|| lines.clone()).ok_or(lines)
    })
    .await;
    assert!(
        lines
            .lines()
            .all(|line| line.starts_with("WasmPlugin a/sluice: "))
            && !lines.contains('\x1b'),
        "{lines}"
    );
}
