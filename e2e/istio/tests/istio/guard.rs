//! A proxy that takes a failing challenger out by itself, and the users it counted, as `status` sees
//! them.

use serde_json::{Value, json};
use sluice_e2e::wait::until;
use sluice_e2e_istio::load::Load;
use sluice_e2e_istio::prometheus;

use crate::users::{WEB_A, assert_no_failures, variant};
use crate::world::World;

const USERS: u32 = 400;

async fn status(world: &World) -> (Value, i32) {
    let command = format!("status -n a --prometheus {} -o json", prometheus::URL);
    let said = world.sluice(&command).await;
    (serde_json::from_str(&said.out).unwrap(), said.code)
}

fn row<'s>(status: &'s Value, variant: &str) -> &'s Value {
    let mut rows = status["weights"].as_array().unwrap().iter();
    let is_row = |row: &&Value| {
        row["split"] == "web" && row["audience"] == "everyone" && row["variant"] == variant
    };
    rows.find(is_row).unwrap()
}

/// Changes Git's part of the plugin in namespace a.
async fn configure(world: &World, config: Value) {
    let change = json!({"spec": {"pluginConfig": config}});
    let kubernetes = &world.chain.kubernetes;
    kubernetes
        .merge("WasmPlugin", "a", "sluice", &change)
        .await
        .unwrap();
    world.wait_for_convergence("a").await;
}

pub async fn users_are_counted_once_over_six_proxies(world: &mut World) {
    world.fresh_plugin("a", 25).await;
    configure(world, json!({"responseMetrics": true})).await;
    world.fail("canary", 500);
    let load = Load::start(&world.caller_addresses(), WEB_A, USERS, 400);
    let exact = (0..USERS)
        .filter(|user| variant(*user, 25) == "canary")
        .count() as u64;
    // 1,024 bits hold a hundred users within a few.
    let is_near = |failed: u64| failed.abs_diff(exact) <= exact / 10;
    until("the failed users of six proxies", async || {
        let (status, _) = status(world).await;
        let failed = |variant: &str| row(&status, variant)["failedUsers"].as_u64();
        match (failed("stable"), failed("canary")) {
            (Some(0), Some(failed)) if is_near(failed) => Ok(()),
            other => Err(format!("{other:?} instead of 0 and about {exact}")),
        }
    })
    .await;
    load.end().await;
    world.fail("canary", 0);
    world.set("web", 30).await;
    until("users anew", async || {
        let (status, _) = status(world).await;
        let users = row(&status, "canary")["users"].as_u64();
        (users == Some(0)).then_some(()).ok_or(format!("{users:?}"))
    })
    .await;
}

pub async fn a_canary_that_fails_is_taken_out_and_status_names_the_proxies(world: &mut World) {
    world.fresh_plugin("a", 25).await;
    configure(world, json!({"splits": {"web": {"guard": {}}}})).await;
    world.fail("canary", 503);
    let load = Load::start(&world.caller_addresses(), WEB_A, USERS, 400);
    let mut names: Vec<String> = world
        .callers
        .iter()
        .map(|caller| caller.pod.clone())
        .collect();
    names.sort();
    until("every caller to take the canary out", async || {
        let (status, code) = status(world).await;
        let tripped = status["tripped"].as_array().unwrap();
        let pods: Vec<&str> = tripped
            .iter()
            .filter_map(|one| one["pod"].as_str())
            .collect();
        (pods == names && code == 1)
            .then_some(())
            .ok_or(format!("{tripped:?}"))
    })
    .await;
    load.end().await;
    world.fail("canary", 0);
    let load = Load::start(&world.caller_addresses(), WEB_A, USERS, 400);
    until("four hundred answers", async || {
        let seen = load.seen().len();
        (seen >= 400).then_some(()).ok_or(format!("{seen}"))
    })
    .await;
    let seen = load.end().await;
    assert_no_failures(&seen);
    assert!(
        seen.iter().all(|seen| seen.variant == "stable"),
        "it stays out"
    );
    world.set("web", 30).await;
    until("other weights to end it", async || {
        let (status, _) = status(world).await;
        let tripped = &status["tripped"];
        (*tripped == json!([]))
            .then_some(())
            .ok_or(format!("{tripped}"))
    })
    .await;
}
