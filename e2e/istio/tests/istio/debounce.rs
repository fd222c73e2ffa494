//! What `sluice status` says of a change on its way: that istiod holds it back, or that a proxy did
//! not take it.

use std::time::{SystemTime, UNIX_EPOCH};

use serde_json::json;
use sluice_e2e_istio::istiod::Settings;
use sluice_e2e_istio::proxy::Proxy;
use tokio::net::TcpListener;

use crate::world::World;

/// An istiod that waits for a pause of many seconds between changes.
const SLOW: Settings = &[
    ("PILOT_DEBOUNCE_AFTER", "20s"),
    ("PILOT_DEBOUNCE_MAX", "20s"),
];

/// One whose pushes never come in the second of their change.
const BEHIND: Settings = &[("PILOT_DEBOUNCE_AFTER", "2s"), ("PILOT_DEBOUNCE_MAX", "2s")];

/// When a proxy last took listeners, in milliseconds since 1970.
async fn last_push(proxy: &Proxy) -> u64 {
    let stats = proxy
        .admin("/stats?filter=listener_manager.lds.update_time")
        .await;
    let value = stats
        .lines()
        .find_map(|line| line.rsplit_once(": ")?.1.parse().ok());
    value.unwrap_or(0)
}

/// Restarts istiod with other settings, and waits until it has given every caller what it knows, and
/// the second of that is over: the API server tells no more of a change than its second.
pub async fn restart_istiod(world: &mut World, settings: Settings) {
    let mut before = Vec::new();
    for caller in &world.callers {
        before.push(last_push(caller).await);
    }
    world.chain.restart_istiod(settings).await;
    for (caller, before) in world.callers.iter().zip(before) {
        caller
            .wait_for("a push of the new istiod's", async |caller| {
                let last = last_push(caller).await;
                let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap();
                let is_over = now.as_millis() > u128::from(last) + 1_000;
                (last > before && is_over)
                    .then_some(())
                    .ok_or(last.to_string())
            })
            .await;
    }
}

pub async fn status_says_that_a_change_waits_for_istiod(world: &mut World) {
    world.fresh_plugin("a", 10).await;
    restart_istiod(world, SLOW).await;
    world.set("web", 20).await;
    world
        .wait_for_status(&[
            "0 of 6 proxies at revision",
            "which istiod has not pushed to 6 yet",
            "istiod has not pushed to it since the change",
        ])
        .await
        .ended_with(1);
    world.wait_for_status(&["6 of 6 proxies at revision"]).await;
}

pub async fn status_says_that_a_proxy_did_not_take_what_was_pushed(world: &mut World) {
    world.fresh_plugin("a", 10).await;
    restart_istiod(world, BEHIND).await;
    // A registry that takes connections and says nothing: agents wait for the module, and hold what
    // came with it back.
    let silent = TcpListener::bind("127.0.0.1:5999").await.unwrap();
    let patch = json!({"spec": {
        "url": "oci://127.0.0.1:5999/sluice:other", "sha256": "0".repeat(64),
        "pluginConfig": {"responseMetrics": true},
    }});
    let kubernetes = &world.chain.kubernetes;
    let patched = kubernetes.merge("WasmPlugin", "a", "sluice", &patch).await;
    patched.unwrap();
    world
        .wait_for_status(&[
            "0 of 6 proxies at revision",
            "istiod has pushed to it since the change: its agent fetches the module",
        ])
        .await
        .ended_with(1);
    drop(silent);
}
