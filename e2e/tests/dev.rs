//! `sluice dev` as people use it: started, changed, mistyped, interrupted, killed.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "Clippy sees the tests, but not the functions they share"
)]

use std::path::Path;
use std::process::{Child, Command, Output, Stdio};
use std::time::{Duration, Instant};

use serde_json::Value;
use sluice_e2e::adapter::Adapter;
use sluice_e2e::client::{Connection, get};
use sluice_e2e::dev::Dev;
use sluice_e2e::mesh::{envoy_binary, sluice};

/// The Envoy that a `sluice dev` started.
fn envoy_of(dev: &Dev) -> i32 {
    let children =
        std::fs::read_to_string(format!("/proc/{0}/task/{0}/children", dev.child.id())).unwrap();
    children
        .split_whitespace()
        .next()
        .expect("a child")
        .parse()
        .unwrap()
}

async fn variant(dev: &Dev, line: &str) -> String {
    let mut connection = Connection::open(dev.address).await.unwrap();
    connection
        .send(&get("/", "localhost", &[line.as_bytes()]))
        .await
        .expect("an answer")
        .variant()
}

async fn wait_for_variant(dev: &Dev, line: &str, expected: &str) {
    let began = Instant::now();
    while variant(dev, line).await != expected {
        assert!(
            began.elapsed() < Duration::from_secs(20),
            "{line} never became {expected}"
        );
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

fn run(folder: &Path, arguments: &[&str]) -> Output {
    Command::new(sluice())
        .args(arguments)
        .arg("--dir")
        .arg(folder)
        .output()
        .unwrap()
}

fn is_alive(pid: i32) -> bool {
    // A zombie is dead: its parent just has not looked yet.
    std::fs::read_to_string(format!("/proc/{pid}/stat")).is_ok_and(|stat| !stat.contains(") Z "))
}

fn wait_for_end(pid: i32) {
    let began = Instant::now();
    while is_alive(pid) {
        assert!(
            began.elapsed() < Duration::from_secs(10),
            "process {pid} outlives its parent"
        );
        std::thread::sleep(Duration::from_millis(5));
    }
}

// bucket("web", "bob") is 45061.
const BOB: &str = "cookie: sluice=bob";

async fn status_says_how_many_users_failed_and_what_the_guard_took_out(adapter: Adapter) {
    let folder = tempfile::tempdir().unwrap();
    let dev = Dev::start_with(adapter, folder.path(), &["--fail", "canary=100"]);
    assert!(
        run(folder.path(), &["set", "web", "canary=50"])
            .status
            .success()
    );
    wait_for_variant(&dev, BOB, "canary").await;
    let mut on_canary = 1;
    for user in 0..60 {
        let seen = variant(&dev, &format!("cookie: sluice=user-{user}")).await;
        on_canary += u64::from(seen == "canary");
    }
    wait_for_variant(&dev, BOB, "stable").await;
    let status = run(folder.path(), &["status", "-o", "json"]);
    assert_eq!(status.status.code(), Some(1));
    let status: Value = serde_json::from_slice(&status.stdout).unwrap();
    assert_eq!(status["tripped"][0]["variant"], "canary");
    let rows = status["weights"].as_array().unwrap();
    let row = |variant: &str| {
        let mut own = rows.iter().filter(|row| row["audience"] == "everyone");
        own.find(|row| row["variant"] == variant).unwrap()
    };
    assert_eq!(row("stable")["failedUsers"], 0);
    let failed = row("canary")["failedUsers"].as_u64().unwrap();
    assert!(failed.abs_diff(on_canary) <= 2, "{failed} of {on_canary}");
    let text = run(folder.path(), &["status"]).stdout;
    let text = String::from_utf8(text).unwrap();
    let tripped = "tripped: Envoy took canary out of split web";
    assert!(text.contains(tripped) && text.contains("FAILED"), "{text}");
    let bob = ["explain", "--cookie", "sluice=bob"];
    let text = String::from_utf8(run(folder.path(), &bob).stdout).unwrap();
    let out = "this proxy's guard took canary out: its weight counts as 0";
    assert!(
        text.contains(out) && text.contains("web: stable, in"),
        "{text}"
    );
}

async fn changes_of_the_directory_reach_envoy_and_a_mistake_leaves_the_old_ones(adapter: Adapter) {
    let folder = tempfile::tempdir().unwrap();
    let dev = Dev::start(adapter, folder.path());
    assert_eq!(variant(&dev, BOB).await, "stable");
    assert!(
        run(folder.path(), &["set", "web", "canary=50"])
            .status
            .success()
    );
    wait_for_variant(&dev, BOB, "canary").await;

    let status = run(folder.path(), &["status"]);
    let text = String::from_utf8(status.stdout).unwrap();
    assert!(
        status.status.success() && text.contains(": wanted and in force"),
        "{text}"
    );

    let plugin = folder.path().join("plugin.yaml");
    let good = std::fs::read_to_string(&plugin).unwrap();
    std::fs::write(&plugin, "splits: [").unwrap();
    dev.wait_for_line("not delivered, the last good configuration stays");
    assert_eq!(variant(&dev, BOB).await, "canary");

    let second = good.replace(
        "      web:\n",
        "      api: {identity: [{header: x-user-id}]}\n      web:\n",
    );
    std::fs::write(&plugin, second).unwrap();
    dev.wait_for_line("envoy runs revision");
    assert!(run(folder.path(), &["abort", "--all"]).status.success());
    wait_for_variant(&dev, BOB, "stable").await;
}

sluice_e2e::over_both_adapters![
    status_says_how_many_users_failed_and_what_the_guard_took_out,
    changes_of_the_directory_reach_envoy_and_a_mistake_leaves_the_old_ones,
];

#[test]
fn it_says_which_module_decides_and_which_it_did_not_find() {
    for (adapter, said) in [
        (Adapter::Wasm, "with the WebAssembly module;"),
        (Adapter::Native, "with the native module;"),
    ] {
        let folder = tempfile::tempdir().unwrap();
        let dev = Dev::start(adapter, folder.path());
        assert!(dev.title.contains(said), "{}", dev.title);
    }
    let folder = tempfile::tempdir().unwrap();
    let output = Command::new(sluice())
        .arg("dev")
        .arg(folder.path())
        .args(["--demo", "--native", "--library", "/nowhere/libsluice.so"])
        .env("ENVOY", envoy_binary())
        .output()
        .unwrap();
    let text = String::from_utf8_lossy(&output.stderr).into_owned();
    let said = "/nowhere/libsluice.so: no library there; accepted: the path of libsluice.so";
    assert!(text.contains(said), "{text}");
}

// What follows is about processes, files and addresses, and the same whatever decides: one adapter is
// enough.

#[test]
fn ctrl_c_ends_envoy_and_says_so() {
    let folder = tempfile::tempdir().unwrap();
    let mut dev = Dev::start(Adapter::Wasm, folder.path());
    let envoy = envoy_of(&dev);
    assert!(is_alive(envoy));
    assert!(dev.interrupt());
    dev.wait_for_line("ended");
    assert!(!is_alive(envoy));
    assert!(!folder.path().join(".sluice/dev.json").exists());
}

#[test]
fn the_death_of_sluice_ends_envoy_too() {
    let folder = tempfile::tempdir().unwrap();
    let mut dev = Dev::start(Adapter::Wasm, folder.path());
    let envoy = envoy_of(&dev);
    assert!(is_alive(envoy));
    dev.child.kill().unwrap();
    dev.child.wait().unwrap();
    wait_for_end(envoy);
    let text = String::from_utf8(run(folder.path(), &["status"]).stdout).unwrap();
    assert!(
        text.contains("no `sluice dev` serves this directory"),
        "{text}"
    );
}

#[test]
fn an_address_in_use_is_said_to_be_so() {
    let folder = tempfile::tempdir().unwrap();
    let taken = std::net::TcpListener::bind(("127.0.0.1", 0)).unwrap();
    let output = Command::new(sluice())
        .arg("dev")
        .arg(folder.path())
        .args([
            "--demo",
            "--listen",
            &taken.local_addr().unwrap().to_string(),
        ])
        .env("ENVOY", envoy_binary())
        .output()
        .unwrap();
    let text = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(2), "{text}");
    assert!(
        text.contains("listening on 127.0.0.1:") && text.contains("Address already in use"),
        "{text}"
    );
}

/// A directory with one split of seven challengers.
fn directory() -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(
        folder.path().join("plugin.yaml"),
        "splits: {web: {variants: [v0, v1, v2, v3, v4, v5, v6, v7]}}\n",
    )
    .unwrap();
    folder
}

/// Starts a `sluice set` that says nothing.
fn begin_to_set(folder: &Path, split: &str, share: &str) -> Child {
    Command::new(sluice())
        .args(["set", split, share, "--dir"])
        .arg(folder)
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap()
}

/// What a command prints with `-o json`, a list.
fn list(folder: &Path, arguments: &[&str]) -> Vec<Value> {
    let output = run(folder, arguments);
    serde_json::from_slice(&output.stdout).unwrap()
}

#[test]
fn writers_of_other_splits_at_once_lose_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let names = ["a", "b", "c", "d", "e", "f", "g"];
    let splits: String = names
        .iter()
        .map(|name| format!("  {name}: {{}}\n"))
        .collect();
    std::fs::write(
        folder.path().join("plugin.yaml"),
        format!("splits:\n{splits}"),
    )
    .unwrap();
    let set = |(name, percent)| begin_to_set(folder.path(), name, &format!("canary={percent}"));
    let writers: Vec<Child> = names.into_iter().zip(1..).map(set).collect();
    for mut writer in writers {
        assert_eq!(writer.wait().unwrap().code(), Some(0));
    }
    let weights = list(folder.path(), &["get", "-o", "json"]);
    let canaries = weights
        .iter()
        .filter(|weight| weight["variant"] == "canary");
    let percents: Vec<f64> = canaries
        .map(|weight| weight["percent"].as_f64().unwrap())
        .collect();
    assert_eq!(percents, [1.0, 2.0, 3.0, 4.0, 5.0, 6.0, 7.0]);
    assert_eq!(list(folder.path(), &["history", "-o", "json"]).len(), 7);
}

#[test]
fn of_writers_of_one_split_at_once_each_is_made_or_says_that_it_was_not() {
    let folder = directory();
    let set = |place| begin_to_set(folder.path(), "web", &format!("v{place}={place}"));
    let writers: Vec<Child> = (1..8).map(set).collect();
    let codes: Vec<i32> = writers
        .into_iter()
        .map(|mut writer| writer.wait().unwrap().code().unwrap())
        .collect();
    let weights = list(folder.path(), &["get", "-o", "json"]);
    let made: f64 = codes
        .iter()
        .zip([1.0, 2.0, 3.0, 4.0, 5.0, 6.0, 7.0])
        .map(|(&code, percent)| match code {
            0 => percent,
            1 => 0.0,
            other => panic!("exit code {other}"),
        })
        .sum();
    assert!(codes.contains(&0), "the first of them is made: {codes:?}");
    assert_eq!(weights[0]["percent"].as_f64(), Some(100.0 - made));
    let remembered = list(folder.path(), &["history", "-o", "json"]).len();
    let successes = codes.iter().filter(|&&code| code == 0).count();
    assert_eq!(remembered, successes);
}

#[test]
fn a_writer_killed_half_way_leaves_the_old_weights_or_the_new_ones() {
    let folder = directory();
    for round in 0..60_u64 {
        let percent = round % 50;
        let mut child = Command::new(sluice())
            .args(["set", "web", &format!("v1={percent}"), "--dir"])
            .arg(folder.path())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        std::thread::sleep(Duration::from_micros(round * 250));
        let _ = child.kill();
        child.wait().unwrap();
        let output = run(folder.path(), &["get", "web", "-o", "json"]);
        assert!(
            output.status.success(),
            "after round {round}: {}",
            String::from_utf8_lossy(&output.stderr)
        );
    }
    assert!(
        run(folder.path(), &["set", "web", "v1=99"])
            .status
            .success(),
        "no lock is left behind"
    );
    assert!(run(folder.path(), &["history"]).status.success());
}
