//! The commands on a real cluster: what they say of it, and what they refuse.

use std::time::Duration;

use serde_json::Value;
use sluice_e2e::wait::until;
use sluice_e2e_istio::load::Load;
use sluice_e2e_istio::prometheus;

use crate::users::WEB_A;
use crate::world::World;

pub async fn every_command_knows_the_cluster(world: &mut World) {
    world.fresh_plugin("a", 25).await;
    let said = async |command: &str| world.sluice(command).await.good().out;
    let get = said("get web -n a -o json").await;
    assert!(get.contains("\"percent\": 25"), "{get}");
    let diff = said("diff web canary=30 -n a").await;
    assert_eq!(
        diff.trim(),
        "moves 5 % of web's everyone from stable to canary"
    );
    let dry = said("set web canary=30 -n a --dry-run").await;
    assert!(dry.contains("(dry run: nothing was written)"), "{dry}");
    assert_eq!(world.weight("a", "/web/everyone/canary").await, Some(25.0));
    // `web` alone is a name of the service in the plugin's own namespace.
    let explain = said("explain -n a --host web --cookie uid=user-1 --proxy sidecar -o json").await;
    assert!(explain.contains("\"audience\": \"everyone\""), "{explain}");
    let simulate = said("simulate -n a --users 10000").await;
    assert!(simulate.contains("canary"), "{simulate}");
    let validate = said("validate -n a").await;
    // The real routes of the namespace are looked at too: nothing routes checkout's header.
    let expected = "WasmPlugin a/sluice: good\n\
        warning: WasmPlugin a/sluice: splits.checkout: no route among these documents matches x-sluice-checkout\n\
        together: 0 problems, 1 warnings";
    assert_eq!(validate.trim(), expected);
    let status = said("status -n a").await;
    assert!(
        status.contains("unknown how many of 6 proxies") && status.contains("--prometheus"),
        "{status}"
    );
}

pub async fn a_name_that_is_not_there_is_refused_with_the_nearest(world: &mut World) {
    world.fresh_plugin("a", 25).await;
    for (command, expected) in [
        (
            "set wep canary=5 -n a",
            "there is no split \"wep\"; did you mean \"web\"?",
        ),
        (
            "set web canary=5 --audience stuff -n a",
            "split web has no audience \"stuff\"; did you mean \"staff\"?",
        ),
        (
            "get -n istio-system",
            "namespace istio-system has no plugin of ours",
        ),
    ] {
        let refused = world.sluice(command).await.ended_with(2).err;
        assert!(refused.contains(expected), "{command}: {refused}");
    }
}

/// The canary's share of web's everyone, in percent, and the requests it was counted from, over the
/// last 15 seconds.
async fn measured_share(world: &World) -> (Option<f64>, u64) {
    let command = format!(
        "status -n a --prometheus {} --window 15s -o json",
        prometheus::URL
    );
    let status: Value = serde_json::from_str(&world.sluice(&command).await.out).unwrap();
    let rows = status["weights"].as_array().unwrap();
    let is_canary = |row: &&Value| {
        row["split"] == "web" && row["audience"] == "everyone" && row["variant"] == "canary"
    };
    let row = rows.iter().find(is_canary).unwrap();
    (
        row["percent"].as_f64(),
        row["requests"].as_u64().unwrap_or(0),
    )
}

pub async fn status_measures_the_shares_that_prometheus_has_seen(world: &mut World) {
    world.fresh_plugin("a", 25).await;
    let load = Load::start(&world.caller_addresses(), WEB_A, 1_000, 300);
    // The window may begin with what an earlier test sent.
    until("a quarter of a thousand users", async || {
        let (percent, requests) = measured_share(world).await;
        let is_a_quarter = percent.is_some_and(|percent| (20.0..30.0).contains(&percent));
        if is_a_quarter && requests >= 300 {
            return Ok(());
        }
        tokio::time::sleep(Duration::from_millis(500)).await;
        Err(format!("{percent:?} % of {requests} requests"))
    })
    .await;
    load.end().await;
}
