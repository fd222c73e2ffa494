//! What the guard does to a proxy of several VMs.

use super::*;
use crate::plan::NodeKind;
use crate::responses::proxy::{Of, Proxy, user};
use serde_json::{Value, json};

#[cfg(all(target_arch = "wasm32", target_os = "unknown"))]
use wasm_bindgen_test::wasm_bindgen_test as test;

fn guarded(weight: u32) -> Value {
    json!({
        "splits": {"web": {"identity": [{"header": "x-user"}], "anonymous": "perRequest", "guard": {}}},
        "weights": {"web": {"everyone": {"canary": weight}}},
    })
}

fn on_canary(proxy: &Proxy, users: std::ops::Range<u32>) -> usize {
    let is_canary = |number: &u32| proxy.variant(0, &user(*number)) == "canary";
    users.filter(is_canary).count()
}

#[test]
fn a_challenger_that_fails_is_taken_out_of_every_vm_and_stays_out() {
    let mut proxy = Proxy::new(3, &guarded(50));
    assert_eq!(on_canary(&proxy, 0..100), 51);
    for number in 0..60 {
        proxy.serve_failing_canary(number as usize % 3, &user(number));
    }
    proxy.tick();
    proxy.tick();
    for vm in 0..3 {
        assert_eq!(proxy.variant(vm, &user(1)), "stable");
    }
    assert_eq!(on_canary(&proxy, 0..100), 0);
    assert_eq!(proxy.host.metric("tripped a web canary"), Some(1));
    let expected = "sluice a: split web: canary is taken out of this proxy, as if its weight were 0, until the split's weights or definition change: 31 of 31 responses failed within 1 s, and 0 of 29 of stable";
    assert_eq!(proxy.warnings(), [expected]);
}

#[test]
fn a_trip_outlives_other_changes_and_ends_with_weights_or_a_definition() {
    let draws = |mut config: Value| {
        config["draws"] = json!({"web": "2"});
        config
    };
    let with_another = |mut config: Value| {
        config["splits"]["api"] = json!({});
        config["weights"]["api"] = json!({"everyone": {"canary": 5}});
        config
    };
    let redefined = |mut config: Value| {
        config["splits"]["web"]["guard"] = json!({"failures": 60});
        config
    };
    let cases = [
        ("the same again", guarded(50), true),
        ("another split", with_another(guarded(50)), true),
        ("another draw", draws(guarded(50)), true),
        ("other weights", guarded(51), false),
        ("weights of zero", guarded(0), false),
        ("another guard", redefined(guarded(50)), false),
    ];
    for (label, config, is_kept) in cases {
        let mut proxy = tripped();
        proxy.configure(&config);
        proxy.tick();
        let gauge = u64::from(is_kept);
        assert_eq!(
            proxy.host.metric("tripped a web canary"),
            Some(gauge),
            "{label}"
        );
        let lines = proxy.warnings().len();
        assert_eq!(lines, if is_kept { 1 } else { 2 }, "{label}");
        let is_served = on_canary(&proxy, 0..1_000) > 0;
        assert_eq!(is_served, !is_kept && label != "weights of zero", "{label}");
    }
}

fn tripped() -> Proxy {
    let mut proxy = Proxy::new(2, &guarded(50));
    for number in 0..100 {
        proxy.serve_failing_canary(0, &user(number));
    }
    proxy.tick();
    assert_eq!(on_canary(&proxy, 0..100), 0);
    proxy
}

#[test]
fn an_ended_trip_says_so_once() {
    let mut proxy = tripped();
    proxy.configure(&guarded(25));
    let expected =
        "sluice a: split web: other weights or another definition end that canary is taken out";
    assert_eq!(proxy.warnings()[1..], [expected]);
}

#[test]
fn a_new_proxy_begins_untripped() {
    let Proxy { .. } = tripped();
    assert_eq!(on_canary(&Proxy::new(2, &guarded(50)), 0..100), 51);
}

#[test]
fn a_vm_that_is_configured_later_follows_too() {
    let mut proxy = tripped();
    proxy.configure_one(1, &guarded(50));
    assert_eq!(proxy.variant(1, &user(1)), "stable");
    assert_eq!(on_canary(&proxy, 0..100), 0);
}

#[test]
fn one_client_alone_trips_nothing_however_often_it_fails_and_in_how_many_vms() {
    let mut proxy = Proxy::new(4, &guarded(50));
    let failing = (0..)
        .find(|&number| proxy.variant(0, &user(number)) == "canary")
        .unwrap();
    for _ in 0..12 {
        for request in 0..400 {
            proxy.serve(request % 4, &user(failing), b"500", None);
        }
        proxy.tick();
        proxy.now += Duration::from_secs(1);
    }
    assert_eq!(proxy.host.metric("tripped a web canary"), Some(0));
}

#[test]
fn one_client_among_others_trips_nothing() {
    let mut proxy = Proxy::new(2, &guarded(100));
    for second in 0..30 {
        for request in 0..100 {
            proxy.serve(request % 2, &user(0), b"500", None);
        }
        proxy.serve(0, &user(1 + second), b"200", None);
        proxy.serve(1, &user(100 + second), b"200", None);
        proxy.tick();
        proxy.now += Duration::from_secs(1);
    }
    assert_eq!(proxy.host.metric("tripped a web canary"), Some(0));
}

/// What remains, as docs/semantics.md says: a quiet challenger, and a client that is many users.
#[test]
fn one_client_trips_a_challenger_that_answers_others_no_more_often_than_it_fails() {
    for (others, is_tripped) in [(9, 0), (10, 1), (11, 0)] {
        let mut proxy = Proxy::new(1, &guarded(100));
        for second in 0..10 {
            proxy.serve(0, &user(0), b"500", None);
            if second < others {
                proxy.serve(0, &user(1 + second), b"200", None);
            }
            if second == 0 && others == 11 {
                proxy.serve(0, &user(100), b"200", None);
            }
            proxy.tick();
            proxy.now += Duration::from_secs(1);
        }
        let tripped = proxy.host.metric("tripped a web canary");
        assert_eq!(tripped, Some(is_tripped), "{others} others");
    }
}

#[test]
fn a_client_that_is_many_users_trips_a_challenger() {
    let mut proxy = Proxy::new(1, &guarded(100));
    for number in 0..20 {
        proxy.serve(0, &user(number), b"500", None);
    }
    proxy.tick();
    assert_eq!(proxy.host.metric("tripped a web canary"), Some(1));
}

#[test]
fn who_names_a_variant_outright_trips_nothing() {
    let mut config = guarded(50);
    config["splits"]["web"]["override"] = json!({"header": "x-version"});
    let mut proxy = Proxy::new(1, &config);
    for number in 0..100 {
        let request = Of(&[("x-version", "canary")], format!("user-{number}"));
        proxy.serve(0, &request, b"500", None);
    }
    proxy.tick();
    assert_eq!(proxy.host.metric("tripped a web canary"), Some(0));
}

#[test]
fn requests_without_an_identity_count_one_by_one() {
    let mut proxy = Proxy::new(1, &guarded(100));
    for _ in 0..20 {
        proxy.now += Duration::from_nanos(1);
        proxy.serve(0, &Of(&[], String::new()), b"500", None);
    }
    proxy.tick();
    assert_eq!(proxy.host.metric("tripped a web canary"), Some(1));
}

#[test]
fn failures_are_5xx_and_their_grpc_statuses() {
    let cases: &[(&[u8], Option<&[u8]>, u64)] = &[
        (b"200", None, 0),
        (b"404", None, 0),
        (b"429", None, 0),
        (b"500", None, 1),
        (b"503", None, 1),
        (b"500", Some(b"0"), 1),
        (b"", None, 0),
        (b"200", Some(b"0"), 0),
        (b"200", Some(b"1"), 0),
        (b"200", Some(b"2"), 1),
        (b"200", Some(b"4"), 1),
        (b"200", Some(b"5"), 0),
        (b"200", Some(b"12"), 1),
        (b"200", Some(b"13"), 1),
        (b"200", Some(b"14"), 1),
        (b"200", Some(b"15"), 1),
        (b"200", Some(b"16"), 0),
    ];
    for (status, grpc, expected) in cases {
        let mut proxy = Proxy::new(1, &guarded(100));
        for number in 0..20 {
            proxy.serve(0, &user(number), status, *grpc);
        }
        proxy.tick();
        let tripped = proxy.host.metric("tripped a web canary");
        assert_eq!(tripped, Some(*expected), "{status:?} {grpc:?}");
    }
}

#[test]
fn several_challengers_are_judged_each_by_itself_and_users_keep_their_side() {
    let config = |weights: Value| {
        json!({
            "splits": {"web": {
                "variants": ["stable", "canary", "next"],
                "identity": [{"header": "x-user"}],
                "guard": {},
            }},
            "weights": {"web": {"everyone": weights}},
        })
    };
    let mut proxy = Proxy::new(1, &config(json!({"canary": 30, "next": 30})));
    let variants = |proxy: &Proxy| -> Vec<String> {
        (0..300)
            .map(|number| proxy.variant(0, &user(number)))
            .collect()
    };
    let before = variants(&proxy);
    for number in 0..100 {
        proxy.serve_failing_canary(0, &user(number));
    }
    proxy.tick();
    let after = variants(&proxy);
    for (before, after) in before.iter().zip(&after) {
        let expected = if before == "canary" { "stable" } else { before };
        assert_eq!(after, expected);
    }
    let gauges = ["tripped a web canary", "tripped a web next"].map(|name| proxy.host.metric(name));
    assert_eq!(gauges, [Some(1), Some(0)]);
    let zero = Proxy::new(1, &config(json!({"next": 30})));
    assert_eq!(after, variants(&zero), "as if its weight were 0");
}

#[test]
fn a_tripped_plan_decides_as_one_whose_weight_is_zero_and_the_rest_is_untouched() {
    let mut config = guarded(40);
    config["splits"]["web"]["rules"] =
        json!([{"name": "staff", "match": [{"headers": {"x-staff": {"present": true}}}]}]);
    config["weights"]["web"]["staff"] = json!({"canary": 100});
    config["splits"]["zoo"] = json!({"identity": [{"header": "x-user"}], "guard": {}});
    config["weights"]["zoo"] = json!({"everyone": {"canary": 40}});
    let mut proxy = Proxy::new(1, &config);
    for number in 0..200 {
        proxy.serve_failing_canary(0, &user(number));
    }
    proxy.tick();
    let staff = Of(&[("x-staff", "yes")], "user-1".to_owned());
    assert_eq!(proxy.variant(0, &staff), "stable");
}

#[test]
fn who_inherited_a_variant_trips_nothing() {
    let mut config = guarded(100);
    config["splits"]["web"]["inherit"] = json!(true);
    let mut proxy = Proxy::of_kind(NodeKind::Sidecar, 1, &config);
    for number in 0..100 {
        let request = Of(&[("x-sluice-web", "canary")], format!("user-{number}"));
        proxy.serve(0, &request, b"500", None);
    }
    proxy.tick();
    assert_eq!(proxy.host.metric("tripped a web canary"), Some(0));
}

#[test]
fn a_flush_that_others_overtook_is_made_at_the_next() {
    let mut proxy = Proxy::new(1, &guarded(50));
    for number in 0..100 {
        proxy.serve_failing_canary(0, &user(number));
    }
    // The turn's and its own.
    proxy.host.lost.set(2);
    proxy.tick();
    assert_eq!(proxy.host.metric("tripped a web canary"), Some(0));
    proxy.tick();
    assert_eq!(proxy.host.metric("tripped a web canary"), Some(1));
}

#[test]
fn a_trip_ends_with_the_guard_with_the_split_and_with_the_challenger() {
    let without = |path: &str| {
        let mut config = guarded(50);
        let split = config.pointer_mut(path).unwrap();
        split.take();
        config
    };
    let mut renamed = guarded(50);
    renamed["splits"]["web"]["variants"] = json!(["stable", "next"]);
    for config in [
        without("/splits/web/guard"),
        without("/splits/web"),
        renamed,
    ] {
        let mut proxy = tripped();
        proxy.configure(&config);
        assert_eq!(
            proxy.host.metric("tripped a web canary"),
            Some(0),
            "{config}"
        );
        assert_eq!(
            proxy
                .warnings()
                .iter()
                .filter(|line| line.contains("end that"))
                .count(),
            1
        );
        proxy.configure(&guarded(50));
        assert_eq!(on_canary(&proxy, 0..100), 51, "{config}");
    }
}

/// While others serve the next configuration already.
#[test]
fn a_vm_that_is_late_takes_nothing_back() {
    let mut proxy = Proxy::new(2, &guarded(40));
    proxy.configure_one(0, &guarded(45));
    proxy.configure_one(0, &guarded(50));
    for number in 0..100 {
        proxy.serve_failing_canary(0, &user(number));
    }
    proxy.tick();
    assert_eq!(proxy.host.metric("tripped a web canary"), Some(1));
    proxy.configure_one(1, &guarded(45));
    proxy.configure_one(1, &guarded(50));
    proxy.tick();
    assert_eq!(proxy.host.metric("tripped a web canary"), Some(1));
    for vm in 0..2 {
        assert!(
            (0..100).all(|number| proxy.variant(vm, &user(number)) == "stable"),
            "{vm}"
        );
    }
}

#[test]
fn a_challenger_of_everybody_is_judged_without_a_fallback_and_one_of_many_waits_for_it() {
    for (weight, is_tripped) in [(100, 1), (99, 0)] {
        let mut proxy = Proxy::new(1, &guarded(weight));
        for number in 0..60 {
            if proxy.variant(0, &user(number)) == "canary" {
                proxy.serve(0, &user(number), b"500", None);
            }
        }
        proxy.tick();
        let tripped = proxy.host.metric("tripped a web canary");
        assert_eq!(tripped, Some(is_tripped), "{weight}");
        let on_stable = (0..).find(|&number| proxy.variant(0, &user(number)) == "stable");
        proxy.serve(0, &user(on_stable.unwrap()), b"200", None);
        proxy.tick();
        assert_eq!(
            proxy.host.metric("tripped a web canary"),
            Some(1),
            "{weight}"
        );
    }
}

/// They would be on the fallback's side alone.
#[test]
fn who_has_no_identity_and_gets_the_fallback_hides_nothing() {
    let mut config = guarded(50);
    config["splits"]["web"]["anonymous"] = json!("fallback");
    let mut proxy = Proxy::new(1, &config);
    for number in 0..60 {
        proxy.serve_failing_canary(0, &user(number));
        proxy.serve(0, &Of(&[], String::new()), b"500", None);
    }
    proxy.tick();
    assert_eq!(proxy.host.metric("tripped a web canary"), Some(1));
}

/// Abort, mend, go on: what hung in between counts for nothing.
#[test]
fn requests_of_an_earlier_time_with_the_same_weights_do_not_count() {
    let mut config = guarded(50);
    config["responseMetrics"] = json!(true);
    let mut aborted = guarded(0);
    aborted["responseMetrics"] = json!(true);
    let mut proxy = Proxy::new(2, &config);
    let late: Vec<_> = (0..60)
        .map(|number| proxy.begin(0, &user(number)))
        .collect();
    let old = proxy.keep(0);
    proxy.configure(&aborted);
    proxy.configure(&config);
    proxy.end_kept(old, late, b"504");
    proxy.tick();
    assert_eq!(proxy.host.metric("tripped a web canary"), Some(0));
    let words = proxy.host.metrics.borrow();
    assert!(
        !words
            .keys()
            .any(|name| name.starts_with("failed_users_word"))
    );
}
