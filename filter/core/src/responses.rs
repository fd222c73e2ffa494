//! What happens to a response: the cookie that makes a newcomer known, and with `responseMetrics`
//! its count and time.
//!
//! Answers with headers and counts; the adapters read and set headers by their own means. Most
//! responses get nothing.

use std::time::Duration;

use crate::caching;
use crate::decide::Decisions;
use crate::host::Host;
use crate::identity::NewIdentity;
use crate::plan::Plan;
use crate::plan::cookie::Cookie;
use crate::tally::{Count, Tally};

/// The headers of a response that makes a newcomer known.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Issued {
    /// The value of a `Set-Cookie` header to add to those of others.
    pub set_cookie: Vec<u8>,
    /// Headers to replace, so that no shared cache keeps the response.
    pub replaced: Vec<(&'static str, Vec<u8>)>,
}

impl Issued {
    /// The headers for a new identity, and a response of which `header` gives the values of a
    /// header, joined with a comma. `None`: the cookie is misconfigured, so none is issued.
    pub fn new(
        cookie: &Cookie,
        identity: &NewIdentity,
        header: impl Fn(&str) -> Option<Vec<u8>>,
    ) -> Option<Self> {
        let attributes = cookie.attributes.as_deref()?;
        let parts = [
            cookie.name.as_bytes(),
            b"=",
            identity.as_bytes(),
            attributes.as_bytes(),
        ];
        Some(Self {
            set_cookie: parts.concat(),
            replaced: caching::private(header).collect(),
        })
    }
}

/// A request whose response is to be counted and timed.
#[derive(Clone, Debug)]
pub struct Measured {
    decisions: Decisions,
    began: Duration,
}

impl Measured {
    /// Remembers a request that was decided at `began`, a time since the epoch. `None`: its
    /// response is not measured.
    pub fn begin(
        plan: &Plan,
        decisions: Decisions,
        began: impl FnOnce() -> Duration,
    ) -> Option<Self> {
        let is_measured = plan.response_metrics() && !decisions.is_empty();
        is_measured.then(|| Self {
            decisions,
            began: began(),
        })
    }

    /// Counts and times the response, which has this `:status` and came at `now`.
    pub fn end<H: Host>(
        &self,
        host: &H,
        plan: &Plan,
        tally: &mut Tally,
        status: &[u8],
        now: Duration,
    ) {
        let class = status.first().map_or(0, |digit| digit.wrapping_sub(b'0'));
        let took = now.saturating_sub(self.began);
        let milliseconds = u64::try_from(took.as_millis()).unwrap_or(u64::MAX);
        for decision in self.decisions.iter() {
            let Some(variant) = decision.variant else {
                continue;
            };
            let count = Count::Responses {
                split: decision.split,
                variant,
                class,
            };
            tally.increment(count);
            if let Some((_, labels)) = count.labels(plan) {
                host.add_to_histogram("response_time_milliseconds", &labels, milliseconds);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Document;
    use crate::decide::decide;
    use crate::host::MemoryHost;
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
            set_cookie:
                b"v=AAAAAAAAAAAAAAAAAAAAAA; Path=/; Max-Age=90; HttpOnly; Secure; SameSite=Lax"
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
        let (host, mut tally) = (MemoryHost::default(), Tally::default());
        let at = Duration::from_millis;
        for (status, came) in [(b"200".as_slice(), 1_012), (b"503", 1_030), (b"", 900)] {
            let measured = Measured::begin(&plan, decide(&plan, &Anybody), || at(1_000)).unwrap();
            measured.end(&host, &plan, &mut tally, status, at(came));
        }
        crate::lifecycle::flush(&host, &plan, &mut tally);
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
}
