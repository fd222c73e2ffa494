use serde_json::json;

use super::*;
use crate::decide::decide;
use crate::index::VariantIndex;
use crate::request::{Bytes, Request};

#[cfg(all(target_arch = "wasm32", target_os = "unknown"))]
use wasm_bindgen_test::wasm_bindgen_test as test;

fn plan(config: Value) -> Plan {
    Plan::build(
        &Document::from_value(config).unwrap(),
        &Node::default(),
        None,
    )
}

fn problems(config: Value) -> Vec<String> {
    plan(config)
        .problems()
        .iter()
        .map(ToString::to_string)
        .collect()
}

#[test]
fn weights_that_do_not_fit_are_reported() {
    let weights = |weights: Value| json!({"splits": {"web": {"variants": ["stable", "canary", "blue"]}}, "weights": weights});
    let cases = [
        (
            "above 100",
            weights(json!({"web": {"everyone": {"canary": 140}}})),
            "weights.web.everyone.canary: 140 is not a percentage; 0 to 100 in steps of 0.001",
        ),
        (
            "between the steps",
            weights(json!({"web": {"everyone": {"canary": 0.0001}}})),
            "weights.web.everyone.canary: 0.0001 is not a percentage; 0 to 100 in steps of 0.001",
        ),
        (
            "a sum above 100",
            weights(json!({"web": {"everyone": {"canary": 60, "blue": 40.001}}})),
            "weights.web.everyone: the challengers add up to 100.001; at most 100; the fallback gets the rest",
        ),
        (
            "the fallback",
            weights(json!({"web": {"everyone": {"stable": 50}}})),
            "weights.web.everyone.stable: the fallback is never named; it gets what the challengers leave",
        ),
        (
            "text",
            weights(json!({"web": {"everyone": {"canary": "5"}}})),
            "weights.web.everyone.canary: a string (\"5\"); accepted: a number such as 5",
        ),
        (
            "an unknown challenger",
            weights(json!({"web": {"everyone": {"green": 5}}})),
            "weights.web.everyone.green: split web has no challenger \"green\", ignored; accepted: canary, blue",
        ),
        (
            "a name that was unquoted",
            weights(json!({"web": {"everyone": {"true": 5}}})),
            "weights.web.everyone.true: split web has no challenger \"true\", ignored; accepted: canary, blue; YAML reads unquoted true, false, on, off, yes, no and digits as something else: quote it",
        ),
        (
            "an unknown audience",
            weights(json!({"web": {"staff": {"canary": 5}}})),
            "weights.web.staff: split web has no audience \"staff\", ignored; accepted: everyone",
        ),
        (
            "an unknown split",
            weights(json!({"api": {"everyone": {"canary": 5}}})),
            "weights.api: there is no split \"api\", ignored; accepted: one of 1 splits",
        ),
        (
            "an empty draw",
            json!({"splits": {"web": {}}, "draws": {"web": ""}}),
            "draws.web: \"\"; accepted: 1 to 63 bytes without NUL",
        ),
        (
            "a draw for nothing",
            json!({"splits": {"web": {}}, "draws": {"api": "a"}}),
            "draws.api: there is no split \"api\", ignored; accepted: one of 1 splits",
        ),
        (
            "an unknown top-level field",
            json!({"mirrors": {}}),
            "mirrors: unknown field, ignored; accepted: version, splits, weights, draws, cookie, responseMetrics, brake",
        ),
        (
            "no split's name",
            json!({"splits": {"Web": {}}}),
            "splits.Web: \"Web\" is not a name; accepted: 1 to 63 of a-z, 0-9 and -, beginning and ending with a letter or digit",
        ),
    ];
    for (label, config, expected) in cases {
        assert_eq!(problems(config), [expected], "{label}");
    }
}

#[test]
fn what_cannot_be_read_of_one_split_costs_no_other_one() {
    let json = br#"{
        "splits": {"api": {}, "bad": {"salt": 1e400}, "shop": {}, "web": {}},
        "weights": {
            "api": {"everyone": {"canary": 1e400}}, "bad": {"everyone": {"canary": 100}},
            "shop": {"everyone": {"canary": 100}}, "web": {"everyone": {"canary": 100}}
        },
        "draws": {"shop": "\ud800"}
    }"#;
    let plan = Plan::build(&Document::read(json).unwrap(), &Node::default(), None);
    let canary =
        |split: &Split| split.allocation(None).only_outcome() == Some(VariantIndex::new(1));
    let on_canary: Vec<bool> = plan.splits().iter().map(canary).collect();
    assert_eq!(on_canary, [false, false, false, true]);
    let expected = [
        "splits.bad: number out of range at line 1 column 14, ignored; accepted: JSON",
        "weights.api: number out of range at line 1 column 29, ignored; accepted: JSON",
        "draws.shop: unexpected end of hex escape at line 1 column 8, ignored; accepted: JSON",
    ];
    let problems: Vec<_> = plan.problems().iter().map(ToString::to_string).collect();
    assert_eq!(problems, expected);
}

#[test]
fn the_cookie_s_attributes_must_agree() {
    let cases = [
        (
            "Host with a domain",
            json!({"domain": "example.com"}),
            "cookie.domain: a domain with the name \"__Host-sluice\"; with a domain, a name that does not begin with __Host-",
        ),
        (
            "Host without secure",
            json!({"secure": false}),
            "cookie.secure: false with the name \"__Host-sluice\"; without secure, a name that begins with neither __Host- nor __Secure-",
        ),
        (
            "Secure without secure",
            json!({"name": "__Secure-a", "secure": false}),
            "cookie.secure: false with the name \"__Secure-a\"; without secure, a name that begins with neither __Host- nor __Secure-",
        ),
        (
            "a name",
            json!({"name": "a b"}),
            "cookie.name: \"a b\" is not a cookie name; accepted: 1 to 256 letters, digits and !#$%&'*+-.^_`|~",
        ),
        (
            "an age",
            json!({"maxAge": "1y"}),
            "cookie.maxAge: \"1y\"; accepted: 1s to 400d, a whole number and s, m, h or d",
        ),
        (
            "too long",
            json!({"maxAge": "401d"}),
            "cookie.maxAge: \"401d\"; accepted: 1s to 400d, a whole number and s, m, h or d",
        ),
        (
            "a domain that would add attributes",
            json!({"name": "a", "domain": "a; Path=/x"}),
            "cookie.domain: \"a; Path=/x\"; accepted: a host name such as example.com",
        ),
        (
            "None without secure",
            json!({"name": "a", "secure": false, "sameSite": "None"}),
            "cookie.sameSite: None without secure, which browsers refuse; Lax or Strict, or secure: true",
        ),
        (
            "another type",
            json!({"sameSite": "lax"}),
            "cookie.sameSite: a string (\"lax\"); accepted: one of Lax, Strict, None",
        ),
    ];
    for (label, cookie, expected) in cases {
        let plan = plan(json!({"cookie": cookie}));
        assert_eq!(
            plan.problems()
                .iter()
                .map(ToString::to_string)
                .collect::<Vec<_>>(),
            [expected],
            "{label}"
        );
        assert_eq!(plan.cookie().attributes, None, "{label}: none is issued");
    }
}

#[test]
fn the_cookie_is_safe_by_default() {
    let cookie = |config| plan(config).cookie().clone();
    let default = cookie(json!({}));
    assert_eq!(default.name.as_ref(), "__Host-sluice");
    assert_eq!(
        default.attributes.as_deref(),
        Some("; Path=/; Max-Age=15552000; HttpOnly; Secure; SameSite=Lax")
    );
    let own = cookie(
        json!({"cookie": {"name": "v", "maxAge": "90s", "sameSite": "Strict", "domain": "example.com"}}),
    );
    assert_eq!(
        own.attributes.as_deref(),
        Some("; Path=/; Max-Age=90; HttpOnly; Secure; SameSite=Strict; Domain=example.com")
    );
}

fn rebuilt(config: Value, previous: &Plan) -> Plan {
    Plan::build(
        &Document::from_value(config).unwrap(),
        &Node::default(),
        Some(previous),
    )
}

#[test]
fn a_weight_change_compiles_nothing_again() {
    let config = |percent: u32, pattern: &str| {
        json!({
            "splits": {
                "api": {"rules": [{"name": "a", "match": [{"cookies": {"a": {"regex": pattern}}}]}]},
                "web": {"rules": [{"name": "a", "match": [{"cookies": {"a": {"regex": "same+"}}}]}]},
            },
            "weights": {"web": {"a": {"canary": percent}}},
        })
    };
    let first = plan(config(5, "same+"));
    assert_eq!(
        first.distinct_patterns(),
        1,
        "identical expressions are shared"
    );
    let second = rebuilt(config(10, "same+"), &first);
    for (before, after) in first.splits().iter().zip(second.splits()) {
        assert!(Arc::ptr_eq(&before.definition, &after.definition));
    }
    let third = rebuilt(config(10, "other+"), &second);
    assert!(
        !Arc::ptr_eq(
            &second.splits()[0].definition,
            &third.splits()[0].definition
        ),
        "a changed split is compiled"
    );
    assert!(
        Arc::ptr_eq(
            &second.splits()[1].definition,
            &third.splits()[1].definition
        ),
        "and no other"
    );
    assert_eq!(third.distinct_patterns(), 2);
    drop((first, second));
    let fourth = rebuilt(config(10, "another+"), &third);
    drop(third);
    let fifth = rebuilt(config(20, "another+"), &fourth);
    assert_eq!(
        fifth.distinct_patterns(),
        2,
        "an expression that nobody uses any more is forgotten"
    );
}

#[test]
fn a_seventeenth_split_of_a_host_is_reported() {
    let splits: serde_json::Map<_, _> = (10..27)
        .map(|number| (format!("s{number}"), json!({"hosts": ["a.org"]})))
        .collect();
    let expected = "splits.s26.hosts: more than 16 splits apply to a.org; at most 16; left out there, and its header is removed";
    assert_eq!(problems(json!({"splits": splits})), [expected]);
}

/// A request to a host.
struct To(&'static str);
impl Request for To {
    fn authority(&self) -> Option<Bytes<'_>> {
        Some(self.0.as_bytes().into())
    }
}

/// The splits that decide a request to a host, and those whose headers are removed from it.
fn at(plan: &Plan, host: &'static str) -> [Vec<String>; 2] {
    let places = decide(plan, &To(host)).places;
    let names = |splits: &[SplitIndex]| {
        let all = splits.iter().map(|&split| plan.split(split).unwrap());
        all.map(|split| split.definition.name.to_string()).collect()
    };
    [
        names(plan.hosts().splits(places)),
        names(&plan.hosts().left_out(places)),
    ]
}

/// So many splits, each with hosts of its own.
fn crowd(splits: usize, hosts: usize) -> serde_json::Map<String, Value> {
    let name = |split| move |host| format!("h{host}.s{split}.org");
    let named = |split| (0..hosts).map(name(split)).collect::<Vec<_>>();
    (0..splits)
        .map(|split| (format!("s{split:03}"), json!({"hosts": named(split)})))
        .collect()
}

#[test]
fn no_split_loses_room_to_others_that_name_more_hosts() {
    let hosts = |number| {
        (0..number)
            .map(|host| format!("{host}.a.org"))
            .collect::<Vec<_>>()
    };
    let healthy = |number| json!({"hosts": hosts(number)});
    let cases = [
        (
            "its name comes last, after many of 64 hosts",
            crowd(800, 64),
            healthy(8),
            true,
        ),
        (
            "among as many splits of 8 as there may be",
            crowd(999, 8),
            healthy(8),
            true,
        ),
        ("64 hosts among many of 7", crowd(999, 7), healthy(64), true),
        (
            "9 hosts where all others have 8",
            crowd(999, 8),
            healthy(9),
            false,
        ),
        (
            "broken splits come last",
            crowd(124, 64),
            json!({"hosts": hosts(1), "salt": 5}),
            true,
        ),
        (
            "and find no room that is taken",
            crowd(125, 64),
            json!({"hosts": hosts(1), "salt": 5}),
            false,
        ),
    ];
    for (label, mut splits, web, has_room) in cases {
        splits.insert("web".into(), web);
        let plan = plan(json!({ "splits": splits }));
        let name = || vec!["web".to_owned()];
        let expected = if has_room { name() } else { vec![] };
        assert_eq!(at(&plan, "0.a.org")[0], expected, "{label}");
        let said = "splits.web.hosts: no room for its";
        let mut problems = plan.problems().iter().map(ToString::to_string);
        assert_eq!(
            problems.any(|problem| problem.starts_with(said)),
            !has_room,
            "{label}"
        );
        let is_removed = |host| at(&plan, host)[1].contains(&"web".to_owned());
        assert_eq!(
            (is_removed("0.a.org"), is_removed("else.org")),
            (!has_room, !has_room),
            "{label}"
        );
    }
}

#[test]
fn a_split_without_room_says_so_and_its_header_is_removed_on_every_host() {
    let mut splits = crowd(125, 64);
    splits.insert("web".into(), json!({"hosts": ["a.org"], "services": 5}));
    let plan = plan(json!({ "splits": splits }));
    let problems: Vec<_> = plan.problems().iter().map(ToString::to_string).collect();
    let expected = [
        "splits.web.services: a number (5); accepted: a list, each a string",
        "splits.web.hosts: no room for its 1 hosts and services; at most 8000 in all, those of \
         splits with few first; left out, and its header is removed on every host",
    ];
    assert_eq!(problems, expected);
    let web = || vec!["web".to_owned()];
    assert_eq!(at(&plan, "a.org"), [vec![], web()]);
    assert_eq!(at(&plan, "h0.s7.org"), [vec!["s007".to_owned()], web()]);
}

#[test]
fn node_ids_tell_the_kind_of_proxy() {
    let cases: [(&[u8], NodeKind); 4] = [
        (
            b"sidecar~10.0.0.1~a.b~b.svc.cluster.local",
            NodeKind::Sidecar,
        ),
        (
            b"waypoint~10.0.0.1~a.b~b.svc.cluster.local",
            NodeKind::Waypoint,
        ),
        (
            b"router~10.0.0.1~a.b~b.svc.cluster.local",
            NodeKind::Gateway,
        ),
        (b"anything", NodeKind::Gateway),
    ];
    for (id, expected) in cases {
        assert_eq!(NodeKind::of_node_id(id), expected);
    }
}
