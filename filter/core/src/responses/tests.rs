mod braked;
mod guarded;
mod turns;
mod users;

use super::*;
use crate::config::Document;
use crate::decide::decide;
use crate::host::MemoryHost;
use crate::observed::{Observed, Recording};
use crate::plan::Node;
use crate::request::Request;

#[cfg(all(target_arch = "wasm32", target_os = "unknown"))]
use wasm_bindgen_test::wasm_bindgen_test as test;

fn plan(config: serde_json::Value) -> Plan {
    let document = Document::from_value(config).unwrap();
    Plan::build(&document, &Node::default(), None)
}

#[test]
fn a_newcomer_gets_the_cookie_and_no_shared_cache_keeps_it() {
    let plan = plan(serde_json::json!({"cookie": {"name": "v", "maxAge": "90s"}}));
    let public = |name: &str| (name == "cache-control").then(|| b"public".to_vec());
    let issued = Issued::new(plan.cookie(), &NewIdentity::of([0; 16]), public);
    let expected = Issued {
        set_cookie: b"v=AAAAAAAAAAAAAAAAAAAAAA; Path=/; Max-Age=90; HttpOnly; Secure; SameSite=Lax"
            .to_vec(),
        replaced: vec![("cache-control", b"private".to_vec())],
    };
    assert_eq!(issued, Some(expected));
}

#[test]
fn a_misconfigured_cookie_is_not_issued() {
    let plan = plan(serde_json::json!({"cookie": {"maxAge": "never"}}));
    assert_eq!(
        Issued::new(plan.cookie(), &NewIdentity::of([0; 16]), |_| None),
        None
    );
}

struct Anybody;

impl Request for Anybody {}

#[test]
fn a_response_is_counted_by_class_and_timed() {
    let plan = plan(serde_json::json!({
        "splits": {"web": {}},
        "weights": {"web": {"everyone": {"canary": 100}}},
        "responseMetrics": true,
    }));
    let (host, mut observed) = (MemoryHost::default(), Observed::default());
    let at = Duration::from_millis;
    for (status, came) in [(b"200".as_slice(), 1_012), (b"503", 1_030), (b"", 900)] {
        let measured = Measured::begin(&plan, decide(&plan, &Anybody), || at(1_000)).unwrap();
        let response = Response {
            status,
            grpc_status: None,
            at: at(came),
        };
        let (host, observed) = (&host, &mut observed);
        measured.end(&plan, &mut Recording { host, observed }, &response);
    }
    observed.flush(&host, "a", &plan);
    let metric = |name: &str| host.metric(name);
    assert_eq!(metric("responses_total web canary 2xx"), Some(1));
    assert_eq!(
        metric("response_time_milliseconds web canary 2xx"),
        Some(12)
    );
    assert_eq!(metric("responses_total web canary 5xx"), Some(1));
    assert_eq!(
        metric("response_time_milliseconds web canary 5xx"),
        Some(30)
    );
    assert_eq!(
        metric("responses_total web canary other"),
        Some(1),
        "no status"
    );
    assert_eq!(
        metric("response_time_milliseconds web canary other"),
        Some(0),
        "a clock that went backwards"
    );
}

#[test]
fn nothing_is_measured_unless_asked_for_or_where_nothing_was_decided() {
    let clock = || -> Duration { panic!("the clock costs a host call") };
    let off = plan(serde_json::json!({"splits": {"web": {}}}));
    assert!(Measured::begin(&off, decide(&off, &Anybody), clock).is_none());
    let on = plan(serde_json::json!({"responseMetrics": true}));
    assert!(Measured::begin(&on, decide(&on, &Anybody), clock).is_none());
}
