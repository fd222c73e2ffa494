//! How soon a change is everywhere, and what happens to users meanwhile. The figures are printed,
//! not judged.

mod at_once;
pub mod burst;

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use sluice_e2e::client::{Connection, get};
use sluice_e2e_istio::load::{Load, Seen};

use crate::users::{WEB_A, assert_no_failures, variant};
use crate::world::World;

pub use at_once::resources_applied_at_once_or_by_sluice;
pub use burst::an_abort_in_a_burst_of_other_changes;

/// How many changes and aborts are measured.
const TIMES: usize = 30;

/// A change that takes longer to reach every proxy did not reach them.
const EFFECT_BOUND: Duration = Duration::from_secs(10);

/// An abort after which the canary still answers for longer was none.
const SILENCE_BOUND: Duration = Duration::from_secs(20);

/// A user between two percentages.
fn user_between(low: u32, high: u32) -> u32 {
    (0..)
        .find(|user| variant(*user, high) != variant(*user, low))
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

/// Prints what was measured, and with which build: a debug build of `sluice` says nothing of its
/// speed.
pub fn print_figures(world: &World, what: &str, mut seconds: Vec<f64>) {
    seconds.sort_by(f64::total_cmp);
    let is_release = world
        .chain
        .tools
        .sluice
        .parent()
        .is_some_and(|folder| folder.ends_with("release"));
    println!(
        "figure{}: {what}: min {:.3} s, median {:.3} s, worst {:.3} s of {}",
        if is_release { "" } else { " (debug build)" },
        seconds[0],
        seconds[seconds.len() / 2],
        seconds[seconds.len() - 1],
        seconds.len()
    );
}

/// Asks every caller until it answers a user with a variant; when the last one did.
async fn last_effect(addresses: Vec<SocketAddr>, user: u32, variant: &'static str) -> Instant {
    let answers = addresses
        .into_iter()
        .map(|address| first_answer(address, user, variant));
    let answers = futures::future::join_all(answers);
    let answers = tokio::time::timeout(EFFECT_BOUND, answers);
    let answers = answers.await.expect("an effect on every proxy within 10 s");
    answers.into_iter().max().expect("a proxy")
}

pub async fn a_change_is_in_force_on_six_proxies(world: &mut World) {
    world.fresh_plugin("a", 10).await;
    let load = Load::start(&world.caller_addresses(), WEB_A, 1_000, 200);
    let user = user_between(10, 40);
    let (mut seconds, mut commands) = (Vec::new(), Vec::new());
    for time in 0..TIMES {
        let percent = if time % 2 == 0 { 40 } else { 10 };
        let began = Instant::now();
        let effect = last_effect(world.caller_addresses(), user, variant(user, percent));
        let effect = tokio::spawn(effect);
        let set = world
            .sluice(&format!("set web canary={percent} -n a"))
            .await;
        commands.push(set.good().took.as_secs_f64());
        seconds.push((effect.await.unwrap() - began).as_secs_f64());
        pause(50, time).await;
    }
    let seen = load.end().await;
    assert_no_failures(&seen);
    for seen in &seen {
        // Between the two, both are right.
        if variant(seen.user, 10) == variant(seen.user, 40) {
            assert_eq!(
                seen.variant,
                variant(seen.user, 10),
                "user {} was moved",
                seen.user
            );
        }
    }
    println!(
        "\nrequests: {} answered, none failed, nobody moved who should not be",
        seen.len()
    );
    print_figures(
        world,
        "sluice set to effect on the last of 6 proxies",
        seconds,
    );
    print_figures(world, "sluice set, the command itself", commands);
}

/// A pause whose length differs each time, so that changes meet istiod and the agents in every
/// phase of their work.
pub async fn pause(milliseconds: u64, time: usize) {
    tokio::time::sleep(Duration::from_millis(milliseconds + 7 * time as u64)).await;
}

/// The last answer of the canary, of all proxies or of one.
pub fn last_canary(seen: &[Seen], proxy: Option<usize>) -> Option<Instant> {
    let canaries = seen.iter().filter(|seen| seen.variant == "canary");
    canaries
        .filter(|seen| proxy.is_none_or(|proxy| seen.proxy == proxy))
        .map(|seen| seen.at)
        .max()
}

/// Waits until the canary has answered nobody for half a second.
pub async fn wait_for_quiet(load: &Load) {
    let quiet = async {
        let is_recent = |last: Instant| last.elapsed() < Duration::from_millis(500);
        while last_canary(&load.seen(), None).is_some_and(is_recent) {
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    };
    tokio::time::timeout(SILENCE_BOUND, quiet)
        .await
        .expect("no canary answer 20 s after the abort");
}

pub async fn an_abort_ends_the_canary_under_load(world: &mut World) {
    world.fresh_plugin("a", 50).await;
    let (mut seconds, mut each, mut commands) = (Vec::new(), Vec::new(), Vec::new());
    for time in 0..TIMES {
        world.set("web", 50).await;
        world.wait_for_convergence("a").await;
        let load = Load::start(&world.caller_addresses(), WEB_A, 1_000, 200);
        pause(400, time).await;
        let began = Instant::now();
        let abort = world.sluice("abort web -n a").await.good();
        commands.push(abort.took.as_secs_f64());
        wait_for_quiet(&load).await;
        let seen = load.end().await;
        assert_no_failures(&seen);
        let since = |last: Instant| last.saturating_duration_since(began).as_secs_f64();
        let last = last_canary(&seen, None).expect("a canary answer before the abort");
        seconds.push(since(last));
        let proxies = 0..world.callers.len();
        each.extend(proxies.filter_map(|proxy| last_canary(&seen, Some(proxy)).map(since)));
    }
    println!();
    print_figures(
        world,
        "sluice abort to the last canary answer of 6 proxies, 200 requests/s",
        seconds,
    );
    print_figures(world, "the same, each proxy by itself", each);
    print_figures(world, "sluice abort, the command itself", commands);
}
