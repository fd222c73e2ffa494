//! A password that changes while a Rollout runs, asked for by Prometheus itself.

use std::fs::{File, read_to_string, write};
use std::process::{Command, Stdio};

use serde_json::json;
use sluice_e2e::mesh::sluice;
use sluice_e2e::prometheus::{Options, Prometheus};
use sluice_e2e::wait::until;

use crate::access::HASH;

#[tokio::test(flavor = "multi_thread")]
async fn a_password_that_is_refused_is_read_again() {
    let web = json!({"basic_auth_users": {"ann": HASH}});
    let options = Options {
        web: Some(web),
        ..Options::default()
    };
    let prometheus = Prometheus::start(&options).await;
    let folder = tempfile::tempdir().unwrap();
    let at = |name: &str| folder.path().join(name);
    let address = format!("http://{}", prometheus.address());
    let auth = json!({"username": "ann", "passwordFile": at("password")});
    let check = json!({"name": "own", "query": "vector(1)", "pass": "> 0"});
    let rollout = json!({
        "apiVersion": "sluice.dev/v1alpha1", "kind": "Rollout", "metadata": {"name": "web"},
        "spec": {
            "split": "web", "version": "v1", "steps": [{"weight": 5, "hold": "1s"}],
            "analysis": {
                "prometheus": {"address": address, "basicAuth": auth}, "interval": "100ms",
                "checks": [check],
            },
        },
    });
    write(at("plugin.yaml"), "splits: {web: {}}").unwrap();
    write(at("rollout.yaml"), rollout.to_string()).unwrap();
    write(at("password"), "former-s3cret\n").unwrap();
    // It ends with this process, also where the test fails.
    let mut run = Command::new(sluice())
        .args(["leash", "--parent", &std::process::id().to_string(), "--"])
        .arg(sluice())
        .args(["rollout", "run", "-f", "rollout.yaml", "--dir", "."])
        .current_dir(folder.path())
        .stdin(Stdio::null())
        .stdout(File::create(at("said")).unwrap())
        .stderr(Stdio::inherit())
        .spawn()
        .unwrap();
    let said = || read_to_string(at("said")).unwrap();
    until("the former password to be refused", async || {
        let said = said();
        let is_held = said.contains("is held: own, passes at > 0: not measured: Prometheus at ");
        is_held.then_some(()).ok_or(said)
    })
    .await;
    write(at("password"), "test\n").unwrap();
    until("the run to end", async || {
        run.try_wait().unwrap().map_or_else(
            || Err(said()),
            |status| status.success().then_some(()).ok_or(said()),
        )
    })
    .await;
    assert!(!said().contains("s3cret"), "{}", said());
}
