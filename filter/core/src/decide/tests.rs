//! What the case files in tests/cases cannot see: randomness, and requests that no HTTP client can
//! send.

use std::borrow::Cow;

use serde_json::json;

use super::*;
use crate::config::Document;
use crate::plan::Node;
use crate::request::Bytes;

#[cfg(all(target_arch = "wasm32", target_os = "unknown"))]
use wasm_bindgen_test::wasm_bindgen_test as test;

#[derive(Default)]
struct Fake {
    cookie: Option<&'static [u8]>,
    random: Option<[u8; 16]>,
    drawn: Cell<u32>,
}

impl Request for Fake {
    fn header(&self, name: &str) -> Option<Bytes<'_>> {
        self.cookie.filter(|_| name == "cookie").map(Cow::Borrowed)
    }
    fn random(&self) -> Option<[u8; 16]> {
        self.drawn.set(self.drawn.get() + 1);
        self.random
    }
}

fn plan(config: serde_json::Value, kind: NodeKind) -> Plan {
    let node = Node {
        kind,
        namespace: None,
    };
    Plan::build(&Document::from_value(config).unwrap(), &node, None)
}

fn two_halves() -> serde_json::Value {
    json!({"splits": {"a": {}, "b": {}}, "weights": {"a": {"everyone": {"canary": 50}}, "b": {"everyone": {"canary": 50}}}})
}

#[test]
fn a_newcomer_has_one_identity_for_all_splits_and_keeps_the_variants() {
    let plan = plan(two_halves(), NodeKind::Gateway);
    let newcomer = Fake {
        random: Some([7; 16]),
        ..Fake::default()
    };
    let first = decide(&plan, &newcomer);
    assert_eq!(newcomer.drawn.get(), 1);
    assert_eq!(first.issued, Some(NewIdentity::of([7; 16])));
    let cookie = [
        b"__Host-sluice=".as_slice(),
        NewIdentity::of([7; 16]).as_bytes(),
    ]
    .concat()
    .leak();
    let second = decide(
        &plan,
        &Fake {
            cookie: Some(cookie),
            ..Fake::default()
        },
    );
    assert_eq!(second.issued, None);
    let variants = |decisions: &Decisions| {
        decisions
            .iter()
            .map(|decision| decision.variant)
            .collect::<Vec<_>>()
    };
    assert_eq!(variants(&first), variants(&second));
    assert!(
        second
            .iter()
            .all(|decision| decision.reason == Reason::Bucket)
    );
}

#[test]
fn without_randomness_everybody_gets_the_fallback() {
    let decisions = decide(&plan(two_halves(), NodeKind::Gateway), &Fake::default());
    assert_eq!(decisions.issued, None);
    assert!(
        decisions
            .iter()
            .all(|decision| decision.variant == Some(VariantIndex::FALLBACK)
                && decision.reason == Reason::NotIssued)
    );
}

#[test]
fn sidecars_and_waypoints_issue_no_cookie() {
    for kind in [NodeKind::Sidecar, NodeKind::Waypoint] {
        let decisions = decide(
            &plan(two_halves(), kind),
            &Fake {
                random: Some([7; 16]),
                ..Fake::default()
            },
        );
        assert_eq!(
            (decisions.issued, decisions[0].variant, decisions[0].reason),
            (None, Some(VariantIndex::FALLBACK), Reason::NotIssued)
        );
    }
}

#[test]
fn per_request_draws_cover_the_range() {
    let config = json!({"splits": {"a": {"anonymous": "perRequest"}}, "weights": {"a": {"everyone": {"canary": 50}}}});
    let plan = plan(config, NodeKind::Sidecar);
    let variant = |random| {
        decide(
            &plan,
            &Fake {
                random: Some(random),
                ..Fake::default()
            },
        )[0]
        .variant
    };
    assert_eq!(
        (variant([0; 16]), variant([0xff; 16])),
        (Some(VariantIndex::new(1)), Some(VariantIndex::FALLBACK))
    );
}

#[test]
fn a_wrong_cookie_section_issues_nothing_but_still_reads() {
    let mut config = two_halves();
    config["cookie"] = json!({"name": "visitor", "secure": "yes"});
    let plan = plan(config, NodeKind::Gateway);
    let newcomer = decide(
        &plan,
        &Fake {
            random: Some([7; 16]),
            ..Fake::default()
        },
    );
    assert_eq!(
        (newcomer.issued, newcomer[0].reason),
        (None, Reason::NotIssued)
    );
    assert_eq!(
        decide(
            &plan,
            &Fake {
                cookie: Some(b"visitor=alice"),
                ..Fake::default()
            }
        )[0]
        .reason,
        Reason::Bucket
    );
}

#[test]
fn sixteen_splits_are_decided_at_once() {
    let splits: serde_json::Map<_, _> = (0..17)
        .map(|number| (format!("s{number}"), json!({})))
        .collect();
    let plan = plan(json!({"splits": splits}), NodeKind::Gateway);
    assert_eq!(decide(&plan, &Fake::default()).len(), 16);
}
