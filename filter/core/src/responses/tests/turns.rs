//! Several configurations in one proxy at once: whose users, guard and gauges it keeps.

use super::*;
use crate::responses::proxy::{Proxy, user};
use crate::revision::Revision;
use serde_json::{Value, json};

#[cfg(all(target_arch = "wasm32", target_os = "unknown"))]
use wasm_bindgen_test::wasm_bindgen_test as test;

fn config(weight: u32) -> Value {
    json!({
        "splits": {"web": {"identity": [{"header": "x-user"}], "guard": {}}},
        "weights": {"web": {"everyone": {"canary": weight}}},
        "responseMetrics": true,
    })
}

/// How many bits of failed users the gauges show, and for which configuration everything is shown.
fn shown(proxy: &Proxy) -> (u32, Option<&'static str>) {
    let word = |word| format!("failed_users_word a web everyone canary {word}");
    let words = (0..22).filter_map(|number| proxy.host.metric(&word(number)));
    let bits = words.map(u64::count_ones).sum();
    let revision = proxy.host.metric("config_revision a");
    let is_shown = |weight| revision == Some(Revision::of(&config(weight)).as_gauge());
    let shown = [(30, "old"), (31, "new")].into_iter();
    (
        bits,
        shown
            .filter(|(weight, _)| is_shown(*weight))
            .map(|(_, name)| name)
            .next(),
    )
}

fn serve(proxy: &mut Proxy, vm: usize, users: std::ops::Range<u32>) {
    for number in users {
        proxy.serve_failing_canary(vm, &user(number));
    }
}

/// So many seconds of traffic, a tick in each.
fn seconds(proxy: &mut Proxy, vms: &[usize], users: std::ops::Range<u32>, seconds: u64) {
    for _ in 0..seconds {
        proxy.now += Duration::from_secs(1);
        for &vm in vms {
            serve(proxy, vm, users.clone());
        }
        proxy.tick();
    }
}

/// The canary of 100 users fails, and is taken out.
fn tripped() -> Proxy {
    let mut proxy = Proxy::new(2, &config(30));
    serve(&mut proxy, 0, 0..100);
    proxy.tick();
    assert_eq!(shown(&proxy), (34, Some("old")));
    assert_eq!(proxy.host.metric("tripped a web canary"), Some(1));
    proxy
}

#[test]
fn a_configuration_that_envoy_tries_and_rejects_changes_nothing() {
    let mut proxy = tripped();
    let generation = proxy.host.metric("users_generation a web 0");
    proxy.try_elsewhere(&config(31));
    assert_eq!(shown(&proxy), (34, Some("old")));
    assert_eq!(proxy.host.metric("users_generation a web 0"), generation);
    assert_eq!(proxy.host.metric("tripped a web canary"), Some(1));
    assert_eq!(proxy.warnings().len(), 1);
    proxy.tick();
    assert_eq!(proxy.variant(1, &user(1)), "stable");
    let mut proxy = Proxy::new(2, &config(30));
    proxy.try_elsewhere(&config(31));
    serve(&mut proxy, 1, 0..100);
    proxy.tick();
    assert_eq!(shown(&proxy), (34, Some("old")), "and all goes on at once");
    assert_eq!(proxy.host.metric("tripped a web canary"), Some(1));
}

#[test]
fn what_a_rejected_configuration_began_in_the_workers_is_taken_back_with_what_was_seen() {
    let mut proxy = tripped();
    proxy.try_elsewhere(&config(31));
    proxy.try_in(0, &config(31));
    proxy.try_in(1, &config(31));
    assert_eq!(shown(&proxy), (0, Some("new")));
    assert_eq!(proxy.host.metric("tripped a web canary"), Some(0));
    seconds(&mut proxy, &[0], 0..1, 1);
    seconds(&mut proxy, &[], 0..0, 4);
    assert_eq!(shown(&proxy), (34, Some("old")));
    assert_eq!(proxy.host.metric("tripped a web canary"), Some(1));
    for vm in 0..2 {
        assert_eq!(proxy.variant(vm, &user(1)), "stable", "{vm}");
    }
}

#[test]
fn every_vm_counts_on_after_one_took_the_state_back() {
    let mut proxy = Proxy::new(3, &config(30));
    proxy.try_in(0, &config(31));
    seconds(&mut proxy, &[0], 0..1, 5);
    assert_eq!(shown(&proxy), (0, Some("old")));
    serve(&mut proxy, 1, 0..50);
    serve(&mut proxy, 2, 50..100);
    proxy.tick();
    assert_eq!(shown(&proxy), (34, Some("old")));
    assert_eq!(proxy.host.metric("tripped a web canary"), Some(1));
}

/// A new listener in other VMs, as after a change of the filter's code.
#[test]
fn a_configuration_takes_over_when_it_serves_and_one_that_drains_takes_nothing_back() {
    let mut proxy = tripped();
    proxy.add(&config(31));
    seconds(&mut proxy, &[0, 1], 0..10, 10);
    assert_eq!(shown(&proxy), (34, Some("old")), "it warms up");
    seconds(&mut proxy, &[0, 2], 0..10, 1);
    assert_eq!(shown(&proxy).1, Some("new"));
    seconds(&mut proxy, &[0, 2], 0..100, 30);
    assert_eq!(shown(&proxy), (35, Some("new")), "the other one drains");
    let ended = proxy.warnings();
    let ended = ended.iter().filter(|line| line.contains("end that"));
    assert_eq!(ended.count(), 1);
}

#[test]
fn where_nobody_serves_the_newest_configuration_is_shown() {
    let mut proxy = Proxy::new(2, &config(30));
    proxy.add(&config(31));
    proxy.tick();
    assert_eq!(shown(&proxy).1, Some("new"));
    seconds(&mut proxy, &[0], 0..10, 10);
    assert_eq!(shown(&proxy).1, Some("old"), "until another one serves");
}

/// A day of two listeners, which serve in turn for half a minute each.
#[test]
fn two_configurations_that_serve_in_turn_change_hands_ever_more_rarely() {
    let mut proxy = Proxy::new(1, &config(30));
    proxy.add(&config(31));
    let (mut changes, mut last) = (0, None);
    for half_minute in 0..2 * 60 * 24 {
        for _ in 0..6 {
            proxy.now += Duration::from_secs(5);
            serve(&mut proxy, half_minute % 2, 0..3);
            proxy.tick();
            let now = shown(&proxy).1;
            changes += u32::from(now != last);
            last = now;
        }
    }
    assert_eq!((changes, last), (6, Some("new")));
}
