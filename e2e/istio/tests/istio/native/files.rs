//! Files that are not there, or are no module of ours: they cost the splits, never the traffic.

use std::net::Ipv4Addr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use serde_json::{Value, json};
use sluice_e2e_istio::load::Load;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpListener;

use super::{
    annotate, assert_served, be_native, installed, wait_for_filters, wait_for_native, written,
};
use crate::users::{WEB_A, answer, assert_everyone_gets_stable, assert_split, variant};
use crate::world::{NATIVE, World, versions};

/// A filter of somebody else's.
const ANOTHER: &str = "sluice-tests/another";

const ANOTHER_FILTER: &str = "
apiVersion: networking.istio.io/v1alpha3
kind: EnvoyFilter
metadata: {name: another, namespace: a}
spec:
  configPatches:
  - applyTo: HTTP_FILTER
    match: {context: SIDECAR_OUTBOUND, listener: {filterChain: {filter: {name: envoy.filters.network.http_connection_manager}}}}
    patch:
      operation: INSERT_FIRST
      value:
        name: sluice-tests/another
        typed_config: {'@type': type.googleapis.com/envoy.extensions.filters.http.set_metadata.v3.Config}
";

/// Gives native proxies a file that cannot be loaded: those that run keep what they have, another
/// weight reaches them once the file is good again, and one that starts serves without splits.
async fn is_survived(world: &mut World, bad: &Path) {
    world.fresh_plugin("a", 50).await;
    let good = installed(world, "good");
    be_native(world, &good).await;
    wait_for_filters(world, true).await;
    let load = Load::of_a_client_that_retries(&world.caller_addresses(), WEB_A, 1_000, 200);
    annotate(world, json!({"sluice.dev/native-library": bad})).await;
    world.callers[1]
        .wait_for("the refusal", async |caller| {
            let refused = "extension_config_discovery.*update_rejected|config_fail";
            let stats = caller.admin(&format!("/stats?filter={refused}")).await;
            let is_refused = stats
                .lines()
                .any(|line| line.contains("sluice.dev/native") && !line.ends_with(": 0"));
            is_refused.then_some(()).ok_or(stats)
        })
        .await;
    // Until then its listeners stay as they are, too: Envoy would build the filter anew.
    world.chain.kubernetes.apply(ANOTHER_FILTER).await;
    world.callers[1]
        .wait_for("the listener's refusal", async |caller| {
            let dump = caller
                .admin("/config_dump?resource=dynamic_listeners")
                .await;
            let dump: Value = serde_json::from_str(&dump).unwrap();
            let listeners = dump["configs"].as_array().unwrap();
            let is_kept = |listener: &Value| {
                let active = listener["active_state"].to_string();
                listener["error_state"]["details"].is_string() && !active.contains(ANOTHER)
            };
            let is_kept = listeners.iter().any(is_kept);
            is_kept.then_some(()).ok_or(dump.to_string())
        })
        .await;
    world
        .chain
        .kubernetes
        .delete("EnvoyFilter", "a", "another")
        .await;
    let seen = load.end().await;
    assert_served(&seen, &[50]);
    // A proxy that starts: its pod gets ready, and everybody gets the stable version.
    world.callers[0].stop();
    world.callers[0].restore(&world.chain).await;
    assert_everyone_gets_stable(&world.callers[..1]).await;
    assert_split(&world.callers[1], WEB_A, 50).await;
    // A good file is taken without another start.
    annotate(world, json!({"sluice.dev/native-library": good})).await;
    wait_for_native(world).await;
    assert_split(&world.callers[0], WEB_A, 50).await;
    world.stop_native_proxies();
}

pub async fn a_missing_file_costs_the_splits_not_the_traffic(world: &mut World) {
    let missing = world.chain.folder().join("libsluice-missing.so");
    is_survived(world, &missing).await;
}

pub async fn a_file_that_is_no_module_costs_the_splits_not_the_traffic(world: &mut World) {
    let text = written(world, "text", b"not even a library");
    is_survived(world, &text).await;
    world.restore().await;
    let libc = [
        "/lib/x86_64-linux-gnu/libm.so.6",
        "/lib64/libm.so.6",
        "/usr/lib/libm.so.6",
    ];
    let libc = libc.iter().find(|path| Path::new(path).exists());
    let bytes = std::fs::read(libc.expect("a library that is no module")).unwrap();
    let other = written(world, "other", &bytes);
    is_survived(world, &other).await;
}

/// The native module with another version of Envoy's interface written into it.
fn of_another_abi(world: &World) -> PathBuf {
    let mut module = std::fs::read(installed(world, "abi")).unwrap();
    let mut replaced = 0;
    for version in [b"v0.1.0", b"v0.2.0"] {
        let mut from = 0;
        while let Some(at) = module[from..].windows(6).position(|found| found == version) {
            module[from + at..from + at + 6].copy_from_slice(b"v9.9.9");
            from += at + 6;
            replaced += 1;
        }
    }
    assert!(replaced > 0, "the module says of which interface it is");
    written(world, "another-abi", &module)
}

pub async fn a_module_of_another_abi_serves(world: &mut World) {
    world.fresh_plugin("a", 50).await;
    let library = of_another_abi(world);
    be_native(world, &library).await;
    wait_for_filters(world, true).await;
    for caller in &world.callers {
        assert_split(caller, WEB_A, 50).await;
    }
    let log = world.callers[0].log();
    assert!(log.contains("v9.9.9"), "{log}");
    world.stop_native_proxies();
}

/// Where the module can be fetched: a service of a, whose two servers give nothing else.
async fn serve(world: &World, module: Vec<u8>) -> String {
    let module = std::sync::Arc::new(module);
    for host in [1, 2] {
        let listener = TcpListener::bind((Ipv4Addr::new(127, 0, 8, host), 8080))
            .await
            .unwrap();
        let module = module.clone();
        tokio::spawn(async move {
            while let Ok((mut stream, _)) = listener.accept().await {
                let module = module.clone();
                tokio::spawn(async move {
                    let mut asked = [0; 4_096];
                    let _ = stream.read(&mut asked).await;
                    let head = format!(
                        "HTTP/1.1 200 OK\r\nconnection: close\r\ncontent-length: {}\r\n\r\n",
                        module.len()
                    );
                    let _ = stream.write_all(head.as_bytes()).await;
                    let _ = stream.write_all(&module).await;
                    let _ = stream.shutdown().await;
                });
            }
        });
    }
    let service = versions("modules", "a", "127.10.0.80", 8);
    world.chain.kubernetes.apply(&service).await;
    "outbound|8080||modules.a.svc.cluster.local".to_owned()
}

/// Its hash, as the system's tool says it.
fn sha256(path: &Path) -> String {
    let said = std::process::Command::new("sha256sum")
        .arg(path)
        .output()
        .unwrap();
    String::from_utf8(said.stdout).unwrap()[..64].to_owned()
}

pub async fn a_module_that_is_fetched_is_there_after_the_next_push(world: &mut World) {
    world.fresh_plugin("a", 50).await;
    let library = installed(world, "fetched");
    let cluster = serve(world, std::fs::read(&library).unwrap()).await;
    let load = Load::of_a_client_that_retries(&world.caller_addresses(), WEB_A, 1_000, 200);
    let fetched = json!({
        "sluice.dev/native": "true", "sluice.dev/native-sha256": sha256(&library),
        "sluice.dev/native-fetch": "http://modules.a.svc.cluster.local:8080/libsluice.so",
        "sluice.dev/native-cluster": cluster,
    });
    annotate(world, fetched).await;
    wait_for_filters(world, true).await;
    tokio::time::sleep(Duration::from_secs(2)).await;
    let native = &world.callers[..usize::from(NATIVE)];
    for user in 0..20 {
        let (status, seen) = answer(&native[0], WEB_A, user).await;
        assert_eq!(
            (status, &*seen),
            (200, "stable"),
            "fetched, and not loaded yet"
        );
    }
    world.sluice("refetch -n a").await.good();
    wait_for_native(world).await;
    for caller in &world.callers {
        assert_split(caller, WEB_A, 50).await;
    }
    // Until the module is there, native proxies serve without splits.
    let seen = load.end().await;
    for one in &seen {
        assert_eq!(one.status, 200, "user {}", one.user);
        let is_right = one.variant == "stable" || one.variant == variant(one.user, 50);
        assert!(is_right, "user {} got {}", one.user, one.variant);
    }
    println!("{} requests while the module was fetched", seen.len());
    world.stop_native_proxies();
}
