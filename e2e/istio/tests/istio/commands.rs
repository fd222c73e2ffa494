//! The commands on a real cluster: what they say of it, and what they refuse.

use std::time::Duration;

use serde_json::{Value, json};
use sluice_e2e::client::fetch;
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

/// A split of b's callers that has a host of the outside, so that only their pods tell that no
/// gateway decides it.
const NOBODYS: &str = "
apiVersion: extensions.istio.io/v1alpha1
kind: WasmPlugin
metadata: {name: sluice, namespace: b}
spec: {url: oci://127.0.0.1:5000/sluice:e2e, match: [{mode: CLIENT}], pluginConfig: {splits: {web: {hosts: [shop.example.com]}}}}
";

pub async fn a_split_that_moves_nobody_is_said_by_every_command(world: &mut World) {
    const WHY: &str = "sidecars decide it (the pods that its plugin selects say so)";
    world.chain.kubernetes.apply(NOBODYS).await;
    let set = world.sluice("set web canary=30 -n b").await.good().out;
    assert!(set.contains("web everyone canary: 0 -> 30"), "{set}");
    let validate = world.sluice("validate -n b").await.out;
    let status = world.sluice("status -n b").await.out;
    for said in [set, validate, status] {
        assert!(said.contains("splits.web moves nobody"), "{said}");
        assert!(said.contains(WHY), "{said}");
    }
    let explain = world.sluice("explain -n b --host shop.example.com").await;
    let explain = explain.good().out;
    assert!(
        explain.contains("the fallback: sidecars issue no cookie"),
        "{explain}"
    );
    // At 100 everybody is moved, whoever they are.
    let all = world.sluice("set web canary=100 -n b").await.good().out;
    assert!(!all.contains("moves nobody"), "{all}");
}

pub async fn a_match_that_is_null_is_refused_or_taken_away_and_said(world: &mut World) {
    world.fresh_plugin("a", 10).await;
    let route = world
        .kubectl("get virtualservice web -n a -o json")
        .await
        .good();
    let mut route: Value = serde_json::from_str(&route.out).unwrap();
    route["metadata"] = json!({"name": "web", "namespace": "a"});
    route["spec"]["http"][0]["match"][0]["headers"]["x-sluice-web"] = Value::Null;
    let file = world.chain.folder().join("null.json");
    std::fs::write(&file, route.to_string()).unwrap();
    let file = file.display();
    let with_plugin = world.chain.folder().join("null.yaml");
    std::fs::write(&with_plugin, format!("{}\n---\n{route}", world.plugin("a"))).unwrap();
    let with_plugin = with_plugin.display();
    let path = "spec.http[0].match[0].headers";
    let said = world.sluice(&format!("validate -f {with_plugin}")).await;
    let null = format!("VirtualService a/web: {path}.x-sluice-web: null, which the API server");
    assert!(said.ended_with(1).out.contains(&null));
    // Server-side it is refused, by whoever applies it.
    let refused = format!("{path}.x-sluice-web in body must be of type object");
    let apply = format!("apply --server-side --force-conflicts -f {file}");
    let said = world.kubectl(&apply).await.ended_with(1);
    assert!(said.err.contains(&refused), "{said:?}");
    let said = world
        .sluice(&format!("apply -f {with_plugin} --force"))
        .await;
    let said = said.ended_with(2);
    assert!(said.err.contains(&refused), "{said:?}");
    // Otherwise it is taken away: every request takes the canary's route.
    world.kubectl(&format!("replace -f {file}")).await.good();
    for caller in &world.callers {
        caller
            .wait_for("the canary for everybody", async |caller| {
                for user in 0..20 {
                    let cookie = format!("cookie: uid=user-{user}");
                    let answer = caller.get(WEB_A, &[cookie.as_bytes()]).await;
                    if answer.variant() != "canary" {
                        return Err(format!("{user}: {}", answer.variant()));
                    }
                }
                Ok(())
            })
            .await;
    }
    let said = world.sluice("validate -n a").await.good().out;
    let empty = format!("VirtualService a/web: {path}: empty, as the API server leaves it");
    assert!(said.contains(&empty), "{said}");
    assert!(
        said.contains("no route among these documents matches x-sluice-web"),
        "{said}"
    );
    // Commands that look at the plugin alone speak of what the filter sets.
    let explain = "explain -n a --host web --cookie uid=user-1 --proxy sidecar";
    let explain = world.sluice(explain).await.good().out;
    assert!(explain.contains("stable"), "{explain}");
}

pub async fn the_agents_port_has_its_metrics_and_envoys_has_not(world: &mut World) {
    let has_agent = async |address| {
        let answer = fetch(address, "/stats/prometheus").await.unwrap();
        let text = String::from_utf8_lossy(&answer.body).into_owned();
        assert!(text.contains("envoy_server_live"), "{text}");
        text.contains("\nistio_agent_go_goroutines ")
    };
    let caller = &world.callers[0];
    assert!(has_agent(caller.metrics).await);
    assert!(!has_agent(caller.envoy_metrics).await);
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
