//! What brakes do to a proxy of several VMs.

use crate::brake::shared::Taken;
use crate::brake::{Answer, Listed};
use crate::responses::proxy::{Proxy, user};
use serde_json::{Value, json};

#[cfg(all(target_arch = "wasm32", target_os = "unknown"))]
use wasm_bindgen_test::wasm_bindgen_test as test;

fn config(weight: u32) -> Value {
    json!({
        "splits": {"web": {"identity": [{"header": "x-user"}], "guard": {}}},
        "weights": {"web": {"everyone": {"canary": weight}}},
        "brake": {"service": "sluice.sluice-system"},
    })
}

fn listed(id: &str, challenger: Option<&str>) -> Listed {
    Listed {
        id: id.to_owned(),
        split: "web".to_owned(),
        challenger: challenger.map(str::to_owned),
    }
}

fn answer(version: &str, brakes: &[Listed], released: &[&str]) -> Answer {
    Answer {
        version: version.to_owned(),
        brakes: brakes.to_vec(),
        released: released.iter().map(|&id| id.to_owned()).collect(),
    }
}

fn on_canary(proxy: &Proxy, vm: usize) -> usize {
    let is_canary = |number: &u32| proxy.variant(vm, &user(*number)) == "canary";
    (0..100).filter(is_canary).count()
}

/// Of each VM.
fn all_on_canary(proxy: &Proxy) -> [usize; 3] {
    [0, 1, 2].map(|vm| on_canary(proxy, vm))
}

/// A proxy of three VMs that follow a brake.
fn braked() -> Proxy {
    let mut proxy = Proxy::new(3, &config(50));
    assert_eq!(all_on_canary(&proxy), [51; 3]);
    let first = answer("1", &[listed("a", Some("canary"))], &[]);
    assert_eq!(proxy.answered(0, None, &first), Taken::News);
    assert_eq!(
        all_on_canary(&proxy),
        [0, 51, 51],
        "who was answered, at once"
    );
    proxy.follow(1);
    proxy.follow(2);
    assert_eq!(all_on_canary(&proxy), [0; 3]);
    proxy
}

const BEGAN: &str = "sluice a: split web: canary is braked, as if the weight were 0 (brake a)";

#[test]
fn a_brake_is_in_force_in_every_vm_until_it_is_released() {
    let mut proxy = braked();
    assert_eq!(proxy.host.metric("braked a web canary"), Some(1));
    assert_eq!(
        proxy.answered(1, Some("1"), &answer("2", &[], &["a"])),
        Taken::News
    );
    assert_eq!(all_on_canary(&proxy), [0, 51, 0]);
    proxy.tick();
    assert_eq!(
        all_on_canary(&proxy),
        [51; 3],
        "where nobody wakes them, at their tick"
    );
    assert_eq!(proxy.host.metric("braked a web canary"), Some(0));
    let ended = "sluice a: split web: canary is not braked any more: it was released (brake a)";
    assert_eq!(proxy.warnings(), [BEGAN, ended]);
}

#[test]
fn users_keep_their_side_among_the_others() {
    let config = json!({
        "splits": {"web": {"identity": [{"header": "x-user"}], "variants": ["stable", "canary", "blue"]}},
        "weights": {"web": {"everyone": {"canary": 30, "blue": 30}}},
        "brake": {"service": "sluice.sluice-system"},
    });
    let mut proxy = Proxy::new(1, &config);
    let sides = |proxy: &Proxy| -> Vec<String> {
        (0..200)
            .map(|number| proxy.variant(0, &user(number)))
            .collect()
    };
    let before = sides(&proxy);
    proxy.answered(0, None, &answer("1", &[listed("a", Some("canary"))], &[]));
    for (before, braked) in before.iter().zip(sides(&proxy)) {
        assert_eq!(braked, before.replace("canary", "stable"));
    }
    proxy.answered(0, Some("1"), &answer("2", &[listed("b", None)], &["a"]));
    assert_eq!(sides(&proxy), vec!["stable"; 200], "every challenger");
    assert_eq!(proxy.host.metric("braked a web blue"), Some(1));
    proxy.answered(0, Some("2"), &answer("3", &[], &["b"]));
    assert_eq!(sides(&proxy), before, "as if nothing had been");
}

#[test]
fn a_brake_stays_from_its_last_answer_until_its_weights_come() {
    let mut proxy = braked();
    proxy.configure(&config(60));
    assert_eq!(all_on_canary(&proxy), [0; 3], "whatever the weights say");
    let mut proxy = braked();
    assert_eq!(
        proxy.answered(0, Some("1"), &answer("2", &[], &[])),
        Taken::News
    );
    proxy.tick();
    assert_eq!(all_on_canary(&proxy), [0; 3]);
    proxy.configure(&config(25));
    assert_eq!(all_on_canary(&proxy), [30; 3]);
    assert_eq!(proxy.host.metric("braked a web canary"), Some(0));
    let ended = "sluice a: split web: canary is not braked any more: the split has other weights, another draw or another definition (brake a)";
    assert_eq!(proxy.warnings(), [BEGAN, ended]);
}

#[test]
fn a_brake_outlives_new_vms_and_ends_with_the_configuration_s() {
    let mut proxy = braked();
    proxy.replace_filter(&config(50));
    assert_eq!(all_on_canary(&proxy), [0; 3]);
    assert_eq!(
        proxy.host.metric("braked a web canary"),
        Some(1),
        "shown anew"
    );
    let mut unread = config(50);
    unread["brake"] = json!({"service": 5});
    proxy.configure(&unread);
    assert_eq!(all_on_canary(&proxy), [0; 3], "a mistake ends nothing");
    let mut without = config(50);
    without.as_object_mut().unwrap().remove("brake");
    proxy.configure(&without);
    assert_eq!(all_on_canary(&proxy), [51; 3]);
    assert_eq!(proxy.host.metric("braked a web canary"), Some(0));
    assert_eq!(proxy.host.metric("brake_connected a"), Some(0));
    proxy.configure(&config(50));
    assert_eq!(proxy.question().version, None, "and all is asked again");
}

#[test]
fn a_guard_and_a_brake_end_each_by_itself() {
    let mut proxy = braked();
    proxy.answered(0, Some("1"), &answer("2", &[], &["a"]));
    proxy.tick();
    for number in 0..60 {
        proxy.serve_failing_canary(number as usize % 3, &user(number));
    }
    proxy.tick();
    proxy.tick();
    assert_eq!(all_on_canary(&proxy), [0; 3], "tripped");
    let trips = proxy.question().trips;
    let names: Vec<_> = trips
        .iter()
        .map(|trip| (&*trip.split, &*trip.variant))
        .collect();
    assert_eq!(names, [("web", "canary")]);
    proxy.answered(0, Some("2"), &answer("3", &[listed("b", None)], &[]));
    proxy.answered(0, Some("3"), &answer("4", &[], &["b"]));
    proxy.tick();
    assert_eq!(all_on_canary(&proxy), [0; 3], "still tripped");
    proxy.answered(0, Some("4"), &answer("5", &[listed("c", None)], &[]));
    proxy.configure(&config(51));
    assert_eq!(proxy.host.metric("tripped a web canary"), Some(0));
    assert_eq!(all_on_canary(&proxy), [0; 3], "still braked");
}

#[test]
fn an_answer_that_comes_late_does_not_undo_a_newer_one() {
    let mut proxy = braked();
    let late = answer("0", &[], &["a"]);
    assert_eq!(proxy.answered(1, None, &late), Taken::Overtaken);
    let known = answer("1", &[listed("a", Some("canary"))], &[]);
    assert_eq!(proxy.answered(1, Some("1"), &known), Taken::Known);
    proxy.host.lost.set(1);
    let lost = answer("2", &[], &["a"]);
    assert_eq!(proxy.answered(1, Some("1"), &lost), Taken::Overtaken);
    assert_eq!(all_on_canary(&proxy), [0; 3]);
    assert_eq!(proxy.question().version.as_deref(), Some("1"));
}

/// A service may come back with any version; only what differs counts.
#[test]
fn a_restarted_service_is_followed_whatever_its_version() {
    let mut proxy = braked();
    let other = answer("0", &[listed("b", None)], &["a"]);
    assert_eq!(proxy.answered(1, Some("1"), &other), Taken::News);
    proxy.tick();
    assert_eq!(all_on_canary(&proxy), [0; 3]);
    assert_eq!(proxy.question().version.as_deref(), Some("0"));
}

#[test]
fn many_brakes_write_few_lines() {
    let mut proxy = Proxy::new(1, &config(50));
    let brakes: Vec<Listed> = (0..512).map(|id| listed(&id.to_string(), None)).collect();
    proxy.answered(0, None, &answer("1", &brakes, &[]));
    let lines = proxy.warnings();
    assert_eq!(lines.len(), 21);
    let more = "sluice a: 492 more brakes that began or ended";
    assert_eq!(lines.last().map(String::as_str), Some(more));
}
