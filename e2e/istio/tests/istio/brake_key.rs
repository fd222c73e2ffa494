//! The controller's key: an abort for the day on which the API server is down too.

use std::time::{Duration, Instant};

use serde_json::{Value, json};
use sluice_e2e::wait::until;
use sluice_e2e_istio::command::Tool;
use sluice_e2e_istio::load::Load;
use sluice_e2e_istio::process::Process;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

use crate::access::checkout;
use crate::brake::{ADDRESS, assert_quiet, connected, prepare, wait_for_stat};
use crate::rollouts::controller::{start_as, wait_for_weight};
use crate::rollouts::{Gate, account};
use crate::users::{WEB_A, assert_no_failures};
use crate::world::World;

/// Where the controller takes requests with its key: any address of its host is asked.
const AT: &str = "http://localhost:8086";

const KEY: &str = "0123456789abcdef0123456789abcdef0123456789abcdef";

const WEB: &str = "/web/everyone/canary";

/// Writes a key; its path.
fn write_key(world: &World, name: &str, key: &str) -> String {
    let path = world.chain.folder().join(name);
    std::fs::write(&path, format!("{key}\n")).unwrap();
    path.display().to_string()
}

/// A controller with a key, and more arguments.
fn start(world: &World, sluice: &Tool, more: &str) -> Process {
    let key = write_key(world, "key", KEY);
    let arguments = format!(
        "controller -n a --brake-listen {ADDRESS} --pull-listen=127.0.0.1:8086 --pull-key-file={key} {more}"
    );
    start_as(world, sluice, "brake-key", &arguments)
}

fn pull(key: &str) -> String {
    format!("brake pull web -n a --key-file {key} --at {AT} --reason 'the day'")
}

/// The only Brake of namespace a.
async fn brake(world: &World) -> Value {
    until("the Brake to be written", async || {
        let brakes = world.chain.kubernetes.list("Brake", "a").await.unwrap();
        match brakes.as_slice() {
            [brake] => Ok(serde_json::to_value(brake).unwrap()),
            others => Err(format!("{others:?}")),
        }
    })
    .await
}

/// What the controller with this log shows at /metrics.
async fn metrics(log: &str) -> String {
    page(log, "/metrics").await
}

/// What it answers at a path.
pub async fn page(log: &str, path: &str) -> String {
    let address = log
        .lines()
        .find_map(|line| line.split_once("; answers on "));
    let mut stream = TcpStream::connect(address.unwrap().1).await.unwrap();
    let request = format!("GET {path} HTTP/1.1\r\nhost: x\r\n\r\n");
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.unwrap();
    answer
}

async fn braked(world: &World, wanted: u64) {
    for caller in &world.callers {
        wait_for_stat(caller, "sluice_braked", wanted).await;
    }
}

pub async fn without_the_api_server_the_key_brakes_every_proxy_and_nothing_else_does(
    world: &mut World,
) {
    prepare(world, 25).await;
    let files = ["account.yaml", "cluster.yaml"];
    let (sluice, kubectl) = account(world, &files).await;
    let chat = Gate::open_at("127.0.0.1:0", 204, "").await;
    let url = format!("http://{}/s3cret", chat.address);
    let notify = format!("--pull-notify=webhook={}", write_key(world, "chat", &url));
    let controller = start(world, &sluice, &notify);
    connected(world).await;
    let load = Load::start(&world.caller_addresses(), WEB_A, 400, 200);
    world.chain.kill_api_server();
    let refused = world.sluice("abort web -n a").await.ended_with(2);
    for part in [
        "cannot be reached",
        "`sluice brake pull` with the controller's key",
    ] {
        assert!(refused.err.contains(part), "{refused:?}");
    }
    let other = write_key(world, "other-key", &KEY.replace('0', "1"));
    let refused = world.sluice(&pull(&other)).await.ended_with(1);
    assert!(
        refused.out.contains(
            "127.0.0.1:8086: NOT BRAKED: refused (401): not signed with the controller's key"
        ),
        "{refused:?}"
    );
    braked(world, 0).await;
    let key = write_key(world, "key", KEY);
    let said = world.sluice(&pull(&key)).await.ended_with(0);
    let pulled = Instant::now();
    assert!(
        said.err
            .contains("a/sluice, split web, every challenger: 6 of 6 proxies have heard"),
        "{said:?}"
    );
    braked(world, 1).await;
    tokio::time::sleep(Duration::from_secs(2)).await;
    world.chain.restore().await;
    let brake = brake(world).await;
    let by = brake["spec"]["by"].as_str().unwrap();
    assert!(by.ends_with(", by the controller's key"), "{brake:#}");
    wait_for_weight(world, WEB, 0.0).await;
    braked(world, 0).await;
    let seen = load.end().await;
    assert_no_failures(&seen);
    assert!(seen.iter().any(|seen| seen.variant == "canary"));
    assert_quiet(&seen, pulled + Duration::from_millis(100));
    let name = brake["metadata"]["name"].as_str().unwrap();
    until("the Event of it", async || {
        let events = world
            .kubectl(&format!("events -n a --for brake/{name}"))
            .await;
        let is_there = events.out.contains("BrakedByKey") && events.out.contains("the day");
        is_there.then_some(()).ok_or(format!("{events:?}"))
    })
    .await;
    let log = controller.log();
    let line = "BRAKED BY THE KEY: a/sluice, split web, every challenger; by ";
    assert!(log.contains(line), "{log}");
    assert!(!log.contains(KEY) && !log.contains("s3cret"), "{log}");
    let told = chat.asked();
    let told: Vec<_> = told
        .iter()
        .map(|told| (&told["type"], &told["data"]["brake"]))
        .collect();
    assert_eq!(told, [(&json!("brake.pulled"), &json!(name))]);
    let metrics = metrics(&log).await;
    for line in [
        "sluice_controller_key_uses_total{outcome=\"Braked\"} 1\n",
        "sluice_controller_key_uses_total{outcome=\"Unsigned\"} 1\n",
    ] {
        assert!(metrics.contains(line), "{metrics}");
    }
    let denied = kubectl
        .run_beside("delete wasmplugin sluice -n a --dry-run=server")
        .await;
    assert!(denied.ended_with(1).err.contains("forbidden"));
}

pub async fn a_release_ends_what_the_key_braked_in_every_proxy(world: &mut World) {
    prepare(world, 25).await;
    let _controller = start(world, &world.chain.sluice, "");
    connected(world).await;
    // Without istiod nobody can write the zeros that would end it.
    world.chain.stop_istiod();
    world.chain.kill_api_server();
    let key = write_key(world, "key", KEY);
    world.sluice(&pull(&key)).await.ended_with(0);
    braked(world, 1).await;
    world.chain.restart_api_server().await;
    let brake = brake(world).await;
    assert_eq!(brake["spec"]["reason"], "the day");
    let released = world.sluice("brake release web -n a").await.good().out;
    assert!(released.contains(": released since"), "{released}");
    braked(world, 0).await;
    world.chain.restart_istiod(&[]).await;
    assert_eq!(world.weight("a", WEB).await, Some(25.0));
}

pub async fn a_controller_that_begins_without_the_api_server_brakes_by_the_key_too(
    world: &mut World,
) {
    prepare(world, 25).await;
    world.chain.kill_api_server();
    let mut controller = start(world, &world.chain.sluice, "");
    let key = write_key(world, "key", KEY);
    let log = || std::fs::read_to_string(world.chain.folder().join("brake-key.log"));
    until("the controller to listen", async || {
        let log = log().unwrap_or_default();
        let is_so = log.contains("takes requests with its key on");
        is_so.then_some(()).ok_or(log)
    })
    .await;
    assert!(!controller.has_ended());
    // Its proxies are told as soon as they ask again: within five seconds.
    until("every proxy to be braked", async || {
        let said = world.sluice(&pull(&key)).await;
        let is_so = said.err.contains("6 of 6 proxies have heard");
        is_so.then_some(()).ok_or(format!("{said:?}"))
    })
    .await;
    braked(world, 1).await;
    world.chain.restart_api_server().await;
    wait_for_weight(world, WEB, 0.0).await;
}

pub async fn the_component_of_the_key_is_accepted_beside_the_controller(world: &mut World) {
    let kubernetes = &world.chain.kubernetes;
    kubernetes
        .apply("{apiVersion: v1, kind: Namespace, metadata: {name: sluice}}")
        .await;
    let overlay = world.chain.folder().join("with-key");
    std::fs::create_dir_all(&overlay).unwrap();
    // A base is named by a relative path: first up to the root.
    let up = "../".repeat(overlay.canonicalize().unwrap().components().count() - 1);
    let folder = |name: &str| {
        let path = checkout("wasmplugin").join(name);
        format!("{up}{}", path.strip_prefix("/").unwrap().display())
    };
    let kustomization = json!({
        "apiVersion": "kustomize.config.k8s.io/v1beta1", "kind": "Kustomization", "namespace": "sluice",
        "resources": [folder("controller")], "components": [folder("components/pull-key")],
    });
    std::fs::write(
        overlay.join("kustomization.yaml"),
        kustomization.to_string(),
    )
    .unwrap();
    let apply = format!(
        "apply --server-side --dry-run=server -o json -k {}",
        overlay.display()
    );
    let applied = world.kubectl(&apply).await.good().out;
    let applied: Value = serde_json::from_str(&applied).unwrap();
    let items = applied["items"].as_array().unwrap();
    let deployment = items
        .iter()
        .find(|item| item["kind"] == "Deployment")
        .unwrap();
    let container = &deployment["spec"]["template"]["spec"]["containers"][0];
    let arguments = [
        "--pull-listen=0.0.0.0:8086",
        "--pull-key-file=/etc/sluice-pull-key/key",
    ];
    let given = container["args"].as_array().unwrap();
    assert_eq!(given[given.len() - 2..], arguments.map(Value::from));
    assert_eq!(
        container["volumeMounts"][0]["mountPath"],
        "/etc/sluice-pull-key"
    );
    let is_service =
        |item: &&Value| item["kind"] == "Service" && item["spec"]["clusterIP"] == "None";
    let service = items.iter().find(is_service).unwrap();
    assert_eq!(service["metadata"]["name"], "sluice-controller-pull");
}
