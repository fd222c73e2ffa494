use serde_json::json;

use super::*;

#[cfg(all(target_arch = "wasm32", target_os = "unknown"))]
use wasm_bindgen_test::wasm_bindgen_test as test;

fn compile(split: serde_json::Value) -> Definition {
    Definition::compile(
        "web",
        &split,
        Some("shop"),
        &mut Patterns::default(),
        &mut Common::default(),
    )
}

fn problems(split: serde_json::Value) -> Vec<String> {
    compile(split)
        .problems
        .iter()
        .map(ToString::to_string)
        .collect()
}

#[test]
fn nothing_split_is_a_split_with_every_default() {
    let definition = compile(json!({}));
    assert_eq!(definition.problems, []);
    assert_eq!(definition.header.as_ref(), "x-sluice-web");
    assert_eq!(
        definition.variants.as_ref(),
        ["stable".into(), "canary".into()]
    );
    assert_eq!(definition.identity.as_ref(), [Source::Anonymous]);
    assert_eq!(definition.salt.as_ref(), "web");
    assert_eq!(definition.hosts, Hosts::Every);
    assert!(definition.paths.is_empty() && definition.rules.is_empty());
}

#[test]
fn a_service_is_known_by_its_bare_name_in_its_own_namespace() {
    let names = [
        "web.shop.svc.cluster.local",
        "web.shop.svc",
        "web.shop",
        "web",
    ];
    let expected = names.map(|name| MatchHost::Service(name.into()));
    let definition = compile(json!({"services": ["web.shop"]}));
    assert_eq!(definition.hosts, Hosts::These(expected.into()));
}

#[test]
fn a_guard_has_defaults_and_limits() {
    let guard = |split: serde_json::Value| {
        let Definition {
            guard, problems, ..
        } = compile(split);
        assert_eq!(problems, []);
        guard.map(|guard| (guard.failures.as_f64(), guard.responses, guard.within))
    };
    assert_eq!(guard(json!({})), None);
    assert_eq!(guard(json!({"guard": {}})), Some((50.0, 20, 10)));
    let least = json!({"guard": {"failures": 0.001, "responses": 1, "within": "1s"}});
    assert_eq!(guard(least), Some((0.001, 1, 1)));
    let most = json!({"guard": {"failures": 100, "responses": 1000, "within": "60s"}});
    assert_eq!(guard(most), Some((100.0, 1_000, 60)));
}

#[test]
fn every_mistake_says_where_what_was_found_and_what_is_accepted() {
    let rule = |name: &str| json!({"name": name, "match": [{"cookies": {"a": {"exact": "1"}}}]});
    let matching =
        |matched: serde_json::Value| json!({"rules": [{"name": "a", "match": [matched]}]});
    let cases = [
        (
            "an unknown field",
            json!({"colour": 1}),
            "splits.web.colour: unknown field; accepted: hosts, services, paths, variants, header, salt, identity, anonymous, inherit, override, rules, guard",
        ),
        (
            "a guard that is never met",
            json!({"guard": {"failures": 0}}),
            "splits.web.guard.failures: 0; accepted: 0.001 to 100, in steps of 0.001",
        ),
        (
            "a guard of more than all",
            json!({"guard": {"failures": 100.001}}),
            "splits.web.guard.failures: 100.001; accepted: 0.001 to 100, in steps of 0.001",
        ),
        (
            "a guard of half a response",
            json!({"guard": {"responses": 0.5}}),
            "splits.web.guard.responses: 0.5; accepted: a whole number from 1 to 1000",
        ),
        (
            "a guard of too many responses",
            json!({"guard": {"responses": 1001}}),
            "splits.web.guard.responses: 1001; accepted: a whole number from 1 to 1000",
        ),
        (
            "a guard of minutes",
            json!({"guard": {"within": "1m"}}),
            "splits.web.guard.within: \"1m\"; accepted: 1s to 60s, a whole number and s",
        ),
        (
            "a guard that looks back too far",
            json!({"guard": {"within": "61s"}}),
            "splits.web.guard.within: \"61s\"; accepted: 1s to 60s, a whole number and s",
        ),
        (
            "a guard of no time",
            json!({"guard": {"within": "0s"}}),
            "splits.web.guard.within: \"0s\"; accepted: 1s to 60s, a whole number and s",
        ),
        (
            "a guard that is a word",
            json!({"guard": true}),
            "splits.web.guard: a boolean (true); accepted: a map",
        ),
        (
            "another type",
            json!({"hosts": "a.org"}),
            "splits.web.hosts: a string (\"a.org\"); accepted: a list, each a string",
        ),
        (
            "a boolean that was a name",
            json!({"variants": ["a", true, "b"]}),
            "splits.web.variants[1]: a boolean (true); accepted: a string; YAML reads unquoted true, false, on, off, yes, no and digits as something else: quote it",
        ),
        (
            "a bad host",
            json!({"hosts": ["a.org:80"]}),
            "splits.web.hosts[0]: \"a.org:80\"; accepted: a host name without port, or *. and a host name (international: xn--…)",
        ),
        (
            "a bad service",
            json!({"services": ["web"]}),
            "splits.web.services[0]: \"web\"; accepted: a service and its namespace, such as web.shop",
        ),
        (
            "one variant",
            json!({"variants": ["a"]}),
            "splits.web.variants: 1 variants; 2 to 8: the fallback, then the challengers",
        ),
        (
            "a variant twice",
            json!({"variants": ["a", "a"]}),
            "splits.web.variants[1]: \"a\" occurs twice; each variant once",
        ),
        (
            "a variant's name",
            json!({"variants": ["a", "B"]}),
            "splits.web.variants[1]: \"B\" is not a name; accepted: 1 to 63 of a-z, 0-9 and -, beginning and ending with a letter or digit",
        ),
        (
            "a header with a meaning",
            json!({"header": "Host"}),
            "splits.web.header: \"host\" does not begin with x-; another, such as x-sluice-web, of at most 100 bytes",
        ),
        (
            "a header that Envoy gives a meaning",
            json!({"header": "X-Forwarded-For"}),
            "splits.web.header: \"x-forwarded-for\" has a meaning of its own; another, such as x-sluice-web, of at most 100 bytes",
        ),
        (
            "a pseudo header",
            json!({"header": ":path"}),
            "splits.web.header: \":path\" is not a header name; accepted: 1 to 256 letters, digits and !#$%&'*+-.^_`|~",
        ),
        (
            "no header's name",
            json!({"header": "a b"}),
            "splits.web.header: \"a b\" is not a header name; accepted: 1 to 256 letters, digits and !#$%&'*+-.^_`|~",
        ),
        (
            "NUL in the salt",
            json!({"salt": "a\0b"}),
            "splits.web.salt: a NUL character; text without NUL",
        ),
        (
            "two sources in one",
            json!({"identity": [{"cookie": "a", "header": "b"}]}),
            "splits.web.identity[0]: 2 sources; exactly one of cookie, header, query, claim, source",
        ),
        (
            "a source twice",
            json!({"identity": [{"cookie": "a"}, {"cookie": "a"}]}),
            "splits.web.identity[1]: the same source again; each source once",
        ),
        (
            "a reserved name",
            json!({"rules": [rule("everyone")]}),
            "splits.web.rules[0].name: \"everyone\" is reserved; a name other than everyone, forced, holdout, layer, inherited",
        ),
        (
            "a rule twice",
            json!({"rules": [rule("a"), rule("a")]}),
            "splits.web.rules[1].name: \"a\" occurs twice; each rule once",
        ),
        (
            "a rule for nobody",
            json!({"rules": [{"name": "a", "match": []}]}),
            "splits.web.rules[0].match: no alternative; at least one",
        ),
        (
            "an empty alternative",
            matching(json!({})),
            "splits.web.rules[0].match[0]: nothing to match; at least one of cookies, headers, query, claims",
        ),
        (
            "two comparisons",
            matching(json!({"cookies": {"a": {"exact": "1", "prefix": "2"}}})),
            "splits.web.rules[0].match[0].cookies.a: 2 comparisons; exactly one of exact, prefix, suffix, regex, in, present",
        ),
        (
            "no comparison",
            matching(json!({"headers": {"a": {}}})),
            "splits.web.rules[0].match[0].headers.a: 0 comparisons; exactly one of exact, prefix, suffix, regex, in, present",
        ),
        (
            "in nothing",
            matching(json!({"query": {"a": {"in": []}}})),
            "splits.web.rules[0].match[0].query.a.in: an empty list, which matches nobody; at least one value",
        ),
        (
            "a regex",
            matching(json!({"cookies": {"a": {"regex": "[a&&b]"}}})),
            "splits.web.rules[0].match[0].cookies.a.regex: \"[a&&b]\" has &&, -- or ~~ inside a character class, set operations in Rust; write the character once, or escape it",
        ),
        (
            "paths are matched too",
            json!({"paths": [{"regex": "("}]}),
            "splits.web.paths[0].regex: \"(\" does not compile: unclosed group; accepted: the syntax that RE2 and Rust share",
        ),
        (
            "no cookie's name",
            matching(json!({"cookies": {"a;b": {"exact": "1"}}})),
            "splits.web.rules[0].match[0].cookies.a;b: \"a;b\" is not a cookie name; accepted: 1 to 256 letters, digits and !#$%&'*+-.^_`|~",
        ),
    ];
    for (label, split, expected) in cases {
        assert_eq!(problems(split), [expected], "{label}");
    }
}

#[test]
fn mistakes_are_reported_all_at_once() {
    let split = json!({"hosts": ["a b", "*"], "salt": "\0", "variants": ["A", "A"]});
    assert_eq!(problems(split).len(), 6);
}

#[test]
fn a_broken_split_still_knows_where_it_applies_and_what_it_falls_back_to() {
    let definition = compile(
        json!({"hosts": ["a.org"], "variants": ["old", "new"], "header": "x-v", "colour": 1}),
    );
    assert!(definition.is_broken());
    assert_eq!(
        (&definition.hosts, definition.header.as_ref()),
        (
            &Hosts::These([MatchHost::Exact("a.org".into())].into()),
            "x-v"
        )
    );
    assert_eq!(definition.variants.as_ref(), ["old".into(), "new".into()]);
}

#[test]
fn a_split_whose_hosts_cannot_be_read_applies_nowhere() {
    let nowhere = Hosts::These(Box::default());
    let good = Hosts::These([MatchHost::Exact("a.org".into())].into());
    let cases = [
        ("text", json!({"hosts": "a.org"}), &nowhere),
        ("no host", json!({"hosts": ["a b"]}), &nowhere),
        ("every host by a star", json!({"hosts": ["*"]}), &nowhere),
        ("no service", json!({"services": ["web"]}), &nowhere),
        ("a number", json!({"services": 5}), &nowhere),
        ("no split at all", json!(5), &nowhere),
        (
            "the hosts that can be read stay",
            json!({"hosts": ["a.org", "a b"], "services": 5}),
            &good,
        ),
        (
            "an empty list names none",
            json!({"hosts": [], "salt": "\0"}),
            &Hosts::Every,
        ),
    ];
    for (label, split, hosts) in cases {
        let definition = compile(split);
        assert!(definition.is_broken(), "{label}");
        assert_eq!(definition.hosts, *hosts, "{label}");
    }
}

#[test]
fn a_header_that_others_give_a_meaning_is_never_touched() {
    let long = ["x-", &"a".repeat(99)].concat();
    let reserved = [
        "Host",
        ":authority",
        ":path",
        "cookie",
        "authorization",
        "expect",
        "range",
        "te",
        "connection",
        "transfer-encoding",
        "content-length",
        "variant",
        "x-forwarded-for",
        "X-Forwarded",
        "x-envoy-retry-on",
        "x-request-id",
        "x-b3-traceid",
        "x-real-ip",
        "x-amzn-trace-id",
        "x a",
        "",
        &long,
    ];
    for header in reserved {
        // Whatever else is wrong: a broken split sets its fallback where it applies.
        for hosts in [json!(["a.org"]), json!([])] {
            let definition = compile(json!({"header": header, "hosts": hosts, "colour": 1}));
            let nowhere = Hosts::These(Box::default());
            assert_eq!(definition.hosts, nowhere, "{header:?}");
            assert_eq!(definition.problems.len(), 2, "{header:?}");
        }
    }
    for header in ["x-v", "X-Web-Variant", "x-b3", "x-requests-id"] {
        assert_eq!(
            compile(json!({"header": header})).problems,
            [],
            "{header:?}"
        );
    }
}

#[test]
fn a_split_may_have_64_rules() {
    let rules = |number: usize| {
        let rule = |index| json!({"name": format!("r{index}"), "match": [{"cookies": {"a": {"exact": "1"}}}]});
        json!({"rules": (0..number).map(rule).collect::<Vec<_>>()})
    };
    assert_eq!(problems(rules(64)), [""; 0]);
    assert_eq!(
        problems(rules(65)),
        ["splits.web.rules: 65 rules; at most 64"]
    );
}

#[test]
fn what_every_decision_reads_lies_together() {
    // Behind the two counters of the `Arc` that a plan has it in.
    const LINES: usize = 3 * 64 - 2 * size_of::<usize>();
    assert!(std::mem::offset_of!(Definition, inherit) < LINES);
}
