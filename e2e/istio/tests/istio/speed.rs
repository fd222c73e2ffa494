//! How soon a change is everywhere, and what happens to users meanwhile. The figures are printed, not judged.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use sluice_e2e::client::{Connection, get};
use sluice_e2e_istio::load::{Load, Seen};

use crate::plugins::{WEB_A, is_canary};
use crate::world::World;

/// How many changes and aborts are measured.
const TIMES: usize = 30;

/// A user between two percentages.
fn user_between(low: u32, high: u32) -> u32 {
    (0..)
        .find(|user| is_canary(*user, high) && !is_canary(*user, low))
        .unwrap()
}

/// Asks one proxy again and again until it answers with the variant; when it did.
async fn first_answer(address: SocketAddr, user: u32, variant: &str) -> Instant {
    let cookie = format!("cookie: uid=user-{user}");
    let mut connection = Connection::open(address).await.unwrap();
    loop {
        let answer = connection
            .send(&get("/", WEB_A, &[cookie.as_bytes()]))
            .await
            .expect("an answer");
        if answer.variant() == variant {
            return Instant::now();
        }
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
}

fn print_figures(what: &str, mut seconds: Vec<f64>) {
    seconds.sort_by(f64::total_cmp);
    println!(
        "figure: {what}: min {:.3} s, median {:.3} s, worst {:.3} s of {}",
        seconds[0],
        seconds[seconds.len() / 2],
        seconds[seconds.len() - 1],
        seconds.len()
    );
}

fn assert_no_failures(seen: &[Seen]) {
    let failed: Vec<&Seen> = seen.iter().filter(|seen| seen.status != 200).collect();
    assert!(
        failed.is_empty(),
        "{} of {} failed: {:?}",
        failed.len(),
        seen.len(),
        failed[0]
    );
}

pub async fn a_change_is_in_force_on_six_proxies(world: &mut World) {
    world.fresh_plugin(10).await;
    let load = Load::start(&world.caller_addresses(), WEB_A, 1_000, 200);
    let user = user_between(10, 40);
    let (mut seconds, mut commands) = (Vec::new(), Vec::new());
    for time in 0..TIMES {
        let (percent, variant) = if time % 2 == 0 {
            (40, "canary")
        } else {
            (10, "stable")
        };
        let began = Instant::now();
        let addresses = world.caller_addresses();
        let probes = addresses
            .into_iter()
            .map(|address| tokio::spawn(first_answer(address, user, variant)));
        let probes: Vec<_> = probes.collect();
        let set = world
            .chain
            .sluice
            .run_beside(&format!("set web canary={percent} -n a"))
            .await
            .good();
        commands.push(set.took.as_secs_f64());
        let mut last = began;
        for probe in probes {
            let at = tokio::time::timeout(Duration::from_secs(10), probe)
                .await
                .expect("an effect within 10 s");
            last = last.max(at.unwrap());
        }
        seconds.push((last - began).as_secs_f64());
        tokio::time::sleep(Duration::from_millis(50 + 7 * time as u64)).await;
    }
    let seen = load.end().await;
    assert_no_failures(&seen);
    for seen in &seen {
        let always = if is_canary(seen.user, 10) {
            Some("canary")
        } else {
            None
        };
        let never = if is_canary(seen.user, 40) {
            None
        } else {
            Some("stable")
        };
        if let Some(expected) = always.or(never) {
            assert_eq!(seen.variant, expected, "user {} was moved", seen.user);
        }
    }
    println!(
        "requests: {} answered, none failed, nobody moved who should not be",
        seen.len()
    );
    print_figures("sluice set to effect on the last of 6 proxies", seconds);
    print_figures("sluice set, the command itself", commands);
}

/// Waits until the canary has answered nobody for half a second.
async fn quiet(load: &Load, began: Instant) {
    loop {
        tokio::time::sleep(Duration::from_millis(250)).await;
        let last = load
            .seen()
            .iter()
            .filter(|seen| seen.variant == "canary")
            .map(|seen| seen.at)
            .max();
        if last.is_none_or(|last| last.elapsed() > Duration::from_millis(500)) {
            return;
        }
        assert!(
            began.elapsed() < Duration::from_secs(20),
            "the canary still answers 20 s after the abort"
        );
    }
}

pub async fn an_abort_ends_the_canary_under_load(world: &mut World) {
    world.fresh_plugin(50).await;
    let (mut seconds, mut each, mut commands) = (Vec::new(), Vec::new(), Vec::new());
    for time in 0..TIMES {
        world.set("web", 50).await;
        world.wait_for_convergence().await;
        let load = Load::start(&world.caller_addresses(), WEB_A, 1_000, 200);
        tokio::time::sleep(Duration::from_millis(400 + 7 * time as u64)).await;
        let began = Instant::now();
        let abort = world.chain.sluice.run_beside("abort web -n a").await.good();
        commands.push(abort.took.as_secs_f64());
        quiet(&load, began).await;
        let seen = load.end().await;
        assert_no_failures(&seen);
        let last_of = |proxy: Option<usize>| {
            let canaries = seen.iter().filter(|seen| seen.variant == "canary");
            canaries
                .filter(|seen| proxy.is_none_or(|proxy| seen.proxy == proxy))
                .map(|seen| seen.at)
                .max()
        };
        let last = last_of(None).expect("a canary answer before the abort");
        let proxies = (0..world.callers.len()).filter_map(|proxy| last_of(Some(proxy)));
        each.extend(proxies.map(|last| last.saturating_duration_since(began).as_secs_f64()));
        seconds.push(last.saturating_duration_since(began).as_secs_f64());
    }
    print_figures(
        "sluice abort to the last canary answer of 6 proxies, 200 requests/s",
        seconds,
    );
    print_figures("the same, each proxy by itself", each);
    print_figures("sluice abort, the command itself", commands);
}
