//! What only the native module has: a library that Envoy loads into its own process, which may be
//! missing, be no module, or be replaced by another one.
//!
//! Envoy keeps a WebAssembly module in a VM and refuses one that it cannot run; that is Envoy's own, so
//! there is no counterpart here.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "Clippy sees the tests, but not the functions they share"
)]

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use serde_json::{Value, json};
use sluice::local::adapter::Adapter as Found;
use sluice_core::revision::canonical;
use sluice_e2e::adapter::Adapter;
use sluice_e2e::client::{Connection, get};
use sluice_e2e::mesh::{Mesh, Options};

const HOST: &str = "shop.example.com";

/// bucket("web", "bob") is 45061.
const BOB: &[u8] = b"x-user-id: bob";

fn config(percent: u32) -> Value {
    json!({
        "splits": {"web": {"identity": [{"header": "x-user-id"}]}},
        "weights": {"web": {"everyone": {"canary": percent}}},
    })
}

/// The library that is tested, under another name.
fn copied(folder: &Path, name: &str) -> PathBuf {
    let Found::Native(library) = Adapter::Native.found() else {
        panic!("no library");
    };
    let copy = folder.join(name);
    std::fs::copy(library, &copy).unwrap();
    copy
}

/// Files that Envoy cannot load as a module: none at all, a text, and a library that is no module. (The
/// system's loader faults where half of a library is missing, which ends any process.)
fn useless(folder: &Path) -> Vec<PathBuf> {
    let text = folder.join("text.so");
    std::fs::write(&text, "no library").unwrap();
    // Mapped into this process already, whatever the machine's folders are called.
    let maps = std::fs::read_to_string("/proc/self/maps").unwrap();
    let mut mapped = maps
        .lines()
        .filter_map(|line| line.split_whitespace().nth(5));
    let other = mapped.find(|path| path.contains("libc.so")).unwrap();
    vec![folder.join("missing.so"), text, PathBuf::from(other)]
}

#[tokio::test(flavor = "multi_thread")]
async fn a_fresh_envoy_without_a_library_passes_traffic_until_there_is_one() {
    let folder = tempfile::tempdir().unwrap();
    for (number, file) in useless(folder.path()).into_iter().enumerate() {
        let options = Options {
            file: Some(file.clone()),
            ..Options::on(Adapter::Native)
        };
        let mesh = Mesh::start(&config(50), options).await;
        for _ in 0..20 {
            let answer = mesh.get("/", HOST, &[BOB]).await;
            let seen = (
                answer.status,
                &*answer.variant(),
                answer.received("x-sluice-web"),
            );
            assert_eq!(seen, (200, "", vec![]), "{}", file.display());
        }
        let good = copied(folder.path(), &format!("good-{number}.so"));
        mesh.deliver_to(good, &canonical(&config(50)));
        mesh.wait_for("the library", async || {
            mesh.get("/", HOST, &[BOB]).await.variant() == "canary"
        })
        .await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_running_envoy_keeps_its_configuration_where_the_next_library_cannot_be_loaded() {
    let folder = tempfile::tempdir().unwrap();
    let mesh = Mesh::start(&config(50), Options::on(Adapter::Native)).await;
    for file in useless(folder.path()) {
        let before = mesh.refusals().await;
        mesh.deliver_to(file.clone(), &canonical(&config(0)));
        mesh.wait_for("the refusal", async || mesh.refusals().await > before)
            .await;
        for _ in 0..20 {
            let variant = mesh.get("/", HOST, &[BOB]).await.variant();
            assert_eq!(variant, "canary", "{}", file.display());
        }
    }
    mesh.configure(&config(0)).await;
    assert_eq!(mesh.get("/", HOST, &[BOB]).await.variant(), "stable");
}

#[tokio::test(flavor = "multi_thread")]
async fn two_libraries_side_by_side_count_and_decide_each_for_itself() {
    let folder = tempfile::tempdir().unwrap();
    let other = json!({
        "splits": {"shop": {"identity": [{"header": "x-user-id"}]}},
        "weights": {"shop": {"everyone": {"canary": 100}}},
    });
    let another = Found::Native(copied(folder.path(), "another.so"));
    let filter = another.filter("istio-system.sluice", &canonical(&other));
    let options = Options {
        workers: 4,
        filters_before: vec![json!({"name": "another", "typed_config": filter})],
        ..Options::on(Adapter::Native)
    };
    let mesh = Mesh::start(&config(50), options).await;
    for percent in 40..60 {
        let answer = mesh.get("/", HOST, &[BOB]).await;
        assert_eq!(answer.received("x-sluice-shop"), ["canary"]);
        assert!(["stable", "canary"].contains(&&*answer.variant()));
        mesh.configure(&config(percent)).await;
    }
    for split in ["web", "shop"] {
        mesh.wait_for_metric("sluice_decisions_total", &[("sluice_split", split)], 20.0)
            .await;
    }
    for plugin in ["dev.sluice", "istio-system.sluice"] {
        let valid = mesh
            .metric("sluice_config_valid", &[("sluice_plugin", plugin)])
            .await;
        assert_eq!(valid, 1.0, "{plugin}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn upgrades_under_traffic_fail_nobody_and_lose_no_count() {
    let options = Options {
        workers: 4,
        ..Options::on(Adapter::Native)
    };
    let mesh = Arc::new(Mesh::start(&config(50), options).await);
    let (ends, sent) = (Arc::<AtomicBool>::default(), Arc::<AtomicU64>::default());
    let mut users = Vec::new();
    for _ in 0..4 {
        let (is_over, counted) = (Arc::clone(&ends), Arc::clone(&sent));
        let mut connection = Connection::open(mesh.address()).await.unwrap();
        users.push(tokio::spawn(async move {
            while !is_over.load(Ordering::Relaxed) {
                let answer = connection.send(&get("/", HOST, &[BOB])).await;
                let answer = answer.expect("an answer on a connection that stays");
                assert_eq!((answer.status, &*answer.variant()), (200, "canary"));
                counted.fetch_add(1, Ordering::Relaxed);
            }
        }));
    }
    for number in 0..10 {
        let before = mesh.updates().await;
        mesh.replace_module(&canonical(&config(50 + number)), &number.to_string());
        mesh.wait_for("the library", async || mesh.updates().await > before)
            .await;
        for percent in 60..66 {
            mesh.configure(&config(percent)).await;
        }
    }
    ends.store(true, Ordering::Relaxed);
    for user in users {
        user.await.unwrap();
    }
    let sent = sent.load(Ordering::Relaxed);
    assert!(sent > 1_000, "only {sent} requests");
    mesh.wait_for_metric("sluice_decisions_total", &[], sent as f64)
        .await;
}
