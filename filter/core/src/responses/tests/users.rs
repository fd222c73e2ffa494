//! Whose responses they were, over the VMs of a proxy.

use serde_json::{Value, json};

use crate::responses::proxy::{Of, Proxy, user};
use crate::users::Users;

#[cfg(all(target_arch = "wasm32", target_os = "unknown"))]
use wasm_bindgen_test::wasm_bindgen_test as test;

fn measured(weight: u32) -> Value {
    json!({
        "splits": {
            "web": {"identity": [{"header": "x-user"}], "anonymous": "perRequest", "override": {"header": "x-version"}},
        },
        "weights": {"web": {"everyone": {"canary": weight}}},
        "responseMetrics": true,
    })
}

/// What a proxy's gauges say of a variant.
fn exported(proxy: &Proxy, variant: &str) -> Users {
    let mut users = Users::default();
    let gauge = |name: &str, word: usize| {
        let value = proxy
            .host
            .metric(&format!("{name} a web everyone {variant} {word}"));
        value.unwrap_or_default()
    };
    for word in 0..22 {
        users.join_failed_word(word, gauge("failed_users_word", word));
    }
    for word in 0..8 {
        users.join_users_word(word, gauge("users_word", word));
    }
    users
}

fn bits(proxy: &Proxy) -> [u32; 2] {
    ["stable", "canary"].map(|variant| exported(proxy, variant).failed_bits())
}

fn serve(proxy: &mut Proxy, users: std::ops::Range<u32>, vms: u32) {
    for number in users {
        proxy.serve_failing_canary((number % vms) as usize, &user(number));
    }
}

#[test]
fn vms_joined_are_one_vm_that_saw_everything() {
    let mut one = Proxy::new(1, &measured(30));
    serve(&mut one, 0..400, 1);
    one.tick();
    let mut four = Proxy::new(4, &measured(30));
    for vms in [4, 3, 1] {
        serve(&mut four, 0..200, vms);
        four.tick();
        serve(&mut four, 150..400, vms);
    }
    four.tick();
    for variant in ["stable", "canary"] {
        assert_eq!(
            exported(&four, variant),
            exported(&one, variant),
            "{variant}"
        );
    }
    assert_eq!(bits(&one)[0], 0);
    let on_canary = (0..400)
        .filter(|&number| one.variant(0, &user(number)) == "canary")
        .count();
    assert_eq!(
        (on_canary, exported(&one, "canary").failed().round()),
        (127, 130.0)
    );
}

#[test]
fn users_begin_anew_with_the_splits_weights_draw_or_definition_and_with_nothing_else() {
    let another = |mut config: Value| {
        config["splits"]["api"] = json!({});
        config["weights"]["api"] = json!({"everyone": {"canary": 5}});
        config["cookie"] = json!({"name": "v"});
        config
    };
    let drawn = |mut config: Value| {
        config["draws"] = json!({"web": "2"});
        config
    };
    let redefined = |mut config: Value| {
        config["splits"]["web"]["inherit"] = json!(true);
        config
    };
    let cases = [
        ("the same again", measured(30), true),
        ("another split and the cookie", another(measured(30)), true),
        ("other weights", measured(31), false),
        ("another draw", drawn(measured(30)), false),
        ("another definition", redefined(measured(30)), false),
    ];
    for (label, config, is_kept) in cases {
        let mut proxy = Proxy::new(2, &measured(30));
        serve(&mut proxy, 0..100, 2);
        proxy.tick();
        let before = [exported(&proxy, "stable"), exported(&proxy, "canary")];
        let generation = proxy.host.metric("users_generation a web 0");
        proxy.configure(&config);
        proxy.tick();
        let after = [exported(&proxy, "stable"), exported(&proxy, "canary")];
        match is_kept {
            true => assert_eq!(after, before, "{label}"),
            false => assert_eq!(after, <[Users; 2]>::default(), "{label}"),
        }
        let is_same = proxy.host.metric("users_generation a web 0") == generation;
        assert_eq!(is_same, is_kept, "{label}");
    }
}

#[test]
fn requests_that_were_decided_before_a_change_do_not_count_after_it() {
    let mut proxy = Proxy::new(2, &measured(30));
    serve(&mut proxy, 0..100, 2);
    proxy.configure(&measured(31));
    proxy.tick();
    assert_eq!(bits(&proxy), [0, 0]);
    proxy.configure(&measured(31));
    serve(&mut proxy, 0..100, 2);
    proxy.configure(&measured(31));
    assert_eq!(bits(&proxy), [0, 35], "but those before no change do");
}

#[test]
fn a_filter_whose_gauges_are_gone_shows_them_again() {
    let mut proxy = Proxy::new(2, &measured(30));
    serve(&mut proxy, 0..100, 2);
    proxy.tick();
    let before = exported(&proxy, "canary");
    proxy.replace_filter(&measured(30));
    assert_eq!(exported(&proxy, "canary"), before);
}

#[test]
fn users_of_what_is_not_measured_any_more_are_taken_away() {
    let mut without = measured(30);
    without["splits"] = json!({});
    let mut unmeasured = measured(30);
    unmeasured["responseMetrics"] = json!(false);
    for (label, config) in [("the split", without), ("the metrics", unmeasured)] {
        let mut proxy = Proxy::new(2, &measured(30));
        serve(&mut proxy, 0..100, 2);
        proxy.tick();
        assert_eq!(bits(&proxy), [0, 34]);
        proxy.configure(&config);
        assert_eq!(bits(&proxy), [0, 0], "{label}");
        assert_eq!(
            proxy.host.metric("users_generation a web 0"),
            Some(0),
            "{label}"
        );
    }
}

#[test]
fn who_has_no_identity_or_names_a_variant_is_no_user() {
    let mut proxy = Proxy::new(1, &measured(30));
    proxy.serve(0, &Of(&[], String::new()), b"503", None);
    proxy.serve(
        0,
        &Of(&[("x-version", "canary")], "alice".to_owned()),
        b"503",
        None,
    );
    proxy.tick();
    assert_eq!(bits(&proxy), [0, 0]);
    assert_eq!(exported(&proxy, "canary"), Users::default());
}

#[test]
fn a_flush_that_others_overtook_is_made_at_the_next() {
    let mut proxy = Proxy::new(1, &measured(30));
    serve(&mut proxy, 0..100, 1);
    // The turn's and its own.
    proxy.host.lost.set(2);
    proxy.tick();
    assert_eq!(bits(&proxy), [0, 0]);
    proxy.tick();
    assert_eq!(bits(&proxy), [0, 34]);
}

/// While others serve the next configuration already.
#[test]
fn a_vm_that_is_late_begins_nothing_anew() {
    let mut proxy = Proxy::new(2, &measured(30));
    proxy.configure_one(0, &measured(29));
    proxy.configure_one(0, &measured(31));
    serve(&mut proxy, 0..100, 1);
    proxy.tick();
    let before = bits(&proxy);
    proxy.configure_one(1, &measured(29));
    proxy.configure_one(1, &measured(31));
    proxy.tick();
    assert_eq!((bits(&proxy), before[1] > 0), (before, true));
}

/// 16 splits of 64 audiences each fill what there is.
#[test]
fn an_audience_of_whom_some_user_finds_no_sketch_is_named() {
    let rules: Vec<&'static str> = (10..74).map(|rule| &*rule.to_string().leak()).collect();
    let rule =
        |rule: &&str| json!({"name": rule, "match": [{"headers": {"x-rule": {"exact": rule}}}]});
    let mut config = measured(30);
    let mut split = config["splits"]["web"].take();
    split["rules"] = rules.iter().map(rule).collect();
    let splits = (0..16).map(|split| format!("s{split}"));
    config["weights"] = splits
        .clone()
        .map(|name| (name, json!({"10": {"canary": 50}})))
        .collect();
    config["splits"] = splits.map(|name| (name, split.clone())).collect();
    let mut proxy = Proxy::new(1, &config);
    let mut visit = |rule: &'static str, user: u32| {
        let headers: &'static [_] = vec![("x-rule", rule)].leak();
        proxy.serve(0, &Of(headers, format!("user-{user}")), b"200", None);
        proxy.tick();
        let metrics = proxy.host.metrics.borrow();
        let generation = metrics["users_generation a s7 0"];
        let left_out = metrics
            .iter()
            .filter(|(name, _)| name.starts_with("users_left_out"));
        let left_out = left_out.map(|(name, value)| (name.clone(), *value == generation));
        left_out.collect::<Vec<_>>()
    };
    for rule in &rules {
        assert_eq!(visit(rule, 1), [], "{rule}");
    }
    visit("", 2);
    assert_eq!(visit("", 3), [], "everyone has room");
    for user in 2..30 {
        visit("10", user);
    }
    let left_out = visit("10", 1);
    let expected = ("users_left_out a s7 10".to_owned(), true);
    assert_eq!((left_out.len(), left_out.contains(&expected)), (16, true));
}
