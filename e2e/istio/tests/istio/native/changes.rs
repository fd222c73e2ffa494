//! Changes of weights, aborts, upgrades and the way back, under traffic.

use std::time::{Duration, Instant};

use serde_json::json;
use sluice_e2e_istio::load::Load;

use super::{
    annotate, assert_served, be_native, by_module, installed, wait_for_filters, wait_for_native,
};
use crate::speed::{last_canary, pause, print_figures, wait_for_quiet};
use crate::users::{WEB_A, answer, assert_split, variant};
use crate::world::World;

/// How many changes and aborts are timed.
const TIMES: usize = 8;

pub async fn a_change_reaches_proxies_of_both_modules(world: &mut World) {
    world.fresh_plugin("a", 50).await;
    be_native(world, &installed(world, "changes")).await;
    wait_for_filters(world, true).await;
    for caller in &world.callers {
        assert_split(caller, WEB_A, 50).await;
    }
    let load = Load::start(&world.caller_addresses(), WEB_A, 1_000, 200);
    let user = (0..)
        .find(|user| variant(*user, 50) != variant(*user, 10))
        .unwrap();
    let (mut native, mut wasm) = (Vec::new(), Vec::new());
    for time in 0..TIMES {
        let percent = if time % 2 == 0 { 10 } else { 50 };
        let began = Instant::now();
        let set = world
            .sluice(&format!("set web canary={percent} -n a"))
            .await;
        assert_eq!(set.good().err.lines().count(), 1, "nothing but where");
        let (of_native, of_wasm) = by_module(world);
        for (callers, seconds) in [(of_native, &mut native), (of_wasm, &mut wasm)] {
            for caller in callers {
                while answer(caller, WEB_A, user).await.1 != variant(user, percent) {
                    assert!(
                        began.elapsed() < Duration::from_secs(10),
                        "{}",
                        caller.log()
                    );
                    tokio::time::sleep(Duration::from_millis(2)).await;
                }
            }
            seconds.push(began.elapsed().as_secs_f64());
        }
        wait_for_native(world).await;
        pause(50, time).await;
    }
    let seen = load.end().await;
    println!("\n{} requests", seen.len());
    print_figures(
        world,
        "sluice set to effect on the last of 3 native proxies",
        native,
    );
    print_figures(
        world,
        "the same, and then on the last of 3 wasm proxies",
        wasm,
    );
    assert_served(&seen, &[10, 50]);
    world.wait_for_status(&["6 of 6 proxies at revision"]).await;
    world.stop_native_proxies();
}

pub async fn an_abort_ends_the_canary_on_proxies_of_both_modules(world: &mut World) {
    world.fresh_plugin("a", 50).await;
    be_native(world, &installed(world, "aborts")).await;
    wait_for_filters(world, true).await;
    let mut seconds = Vec::new();
    for time in 0..TIMES {
        world.set("web", 50).await;
        wait_for_native(world).await;
        let load = Load::start(&world.caller_addresses(), WEB_A, 1_000, 200);
        pause(400, time).await;
        let began = Instant::now();
        world.sluice("abort web -n a").await.good();
        wait_for_quiet(&load).await;
        let seen = load.end().await;
        assert_served(&seen, &[0, 50]);
        for proxy in 0..world.callers.len() {
            let last = last_canary(&seen, Some(proxy)).expect("a canary answer before the abort");
            seconds.push(last.saturating_duration_since(began).as_secs_f64());
        }
    }
    print_figures(
        world,
        "sluice abort to the last canary answer, each proxy by itself",
        seconds,
    );
    world.stop_native_proxies();
}

/// How many processes have a file mapped.
fn users_of(path: &std::path::Path) -> usize {
    let path = path.to_str().unwrap();
    let processes = std::fs::read_dir("/proc").unwrap().flatten();
    let maps =
        processes.filter_map(|process| std::fs::read_to_string(process.path().join("maps")).ok());
    maps.filter(|maps| maps.contains(path)).count()
}

pub async fn an_upgrade_under_traffic_moves_nobody(world: &mut World) {
    world.fresh_plugin("a", 50).await;
    let (former, next) = (installed(world, "one"), installed(world, "two"));
    be_native(world, &former).await;
    wait_for_filters(world, true).await;
    assert_eq!((users_of(&former), users_of(&next)), (3, 0));
    let load = Load::start(&world.caller_addresses(), WEB_A, 1_000, 400);
    pause(500, 0).await;
    annotate(world, json!({"sluice.dev/native-library": next})).await;
    sluice_e2e::wait::until("the next module", async || {
        let users = users_of(&next);
        (users == 3).then_some(()).ok_or(users.to_string())
    })
    .await;
    pause(1_000, 0).await;
    world.set("web", 60).await;
    wait_for_native(world).await;
    let seen = load.end().await;
    println!("{} requests over an upgrade", seen.len());
    assert_served(&seen, &[50, 60]);
    world.stop_native_proxies();
}

pub async fn users_keep_their_version_there_and_back(world: &mut World) {
    world.fresh_plugin("a", 50).await;
    let library = installed(world, "back");
    // Its listener changes: a harness's proxy drains for a second, not for Istio's 45.
    let load = Load::of_a_client_that_retries(&world.caller_addresses(), WEB_A, 1_000, 400);
    pause(500, 0).await;
    be_native(world, &library).await;
    wait_for_filters(world, true).await;
    pause(2_000, 0).await;
    annotate(world, json!({"sluice.dev/native": "false"})).await;
    wait_for_filters(world, false).await;
    let kubernetes = &world.chain.kubernetes;
    assert!(
        kubernetes
            .get("EnvoyFilter", "a", "sluice-native")
            .await
            .is_none()
    );
    pause(2_000, 0).await;
    let seen = load.end().await;
    println!("{} requests from wasm to native and back", seen.len());
    assert_served(&seen, &[50]);
    world.wait_for_status(&["6 of 6 proxies at revision"]).await;
    world.stop_native_proxies();
}
