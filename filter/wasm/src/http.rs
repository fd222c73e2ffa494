//! One request: the decision's header on the way in, the anonymous cookie and the metrics on the way out.

use std::rc::Rc;
use std::time::Duration;

use proxy_wasm::traits::{Context, HttpContext};
use proxy_wasm::types::{Action, MetricType};

use crate::host::{self, CurrentRequest};
use crate::root::Shared;
use sluice_core::decide::{Decisions, decide};
use sluice_core::identity::NewIdentity;
use sluice_core::plan::Plan;
use sluice_core::tally::Count;

/// The context of one request.
pub(crate) struct Http {
    shared: Rc<Shared>,
    issued: Option<NewIdentity>,
    measured: Option<Box<Measured>>,
}

/// What `responseMetrics` remembers of a request.
struct Measured {
    decisions: Decisions,
    began: Duration,
}

impl Http {
    pub(crate) fn new(shared: Rc<Shared>) -> Self {
        Self {
            shared,
            issued: None,
            measured: None,
        }
    }
}

impl Context for Http {}

impl HttpContext for Http {
    fn on_http_request_headers(&mut self, _number: usize, _is_end: bool) -> Action {
        let Some(plan) = &self.shared.plan else {
            return Action::Continue;
        };
        let decisions = decide(plan, &CurrentRequest);
        set_headers(plan, &decisions);
        self.shared.tally.borrow_mut().add(&decisions);
        self.issued = decisions.issued;
        if plan.response_metrics() && !decisions.is_empty() {
            self.measured = Some(Box::new(Measured {
                decisions,
                began: host::now(),
            }));
        }
        Action::Continue
    }

    fn on_http_response_headers(&mut self, _number: usize, _is_end: bool) -> Action {
        let Some(plan) = &self.shared.plan else {
            return Action::Continue;
        };
        if let Some(identity) = self.issued.take() {
            issue(plan, identity);
        }
        if let Some(measured) = self.measured.take() {
            measure(&self.shared, plan, &measured);
        }
        Action::Continue
    }
}

/// Sets, never adds: a client's own values, however many, do not survive.
fn set_headers(plan: &Plan, decisions: &Decisions) {
    for decision in decisions.iter() {
        let Some(split) = plan.split(decision.split) else {
            continue;
        };
        let definition = &split.definition;
        let variant = decision
            .variant
            .and_then(|place| definition.variants.get(usize::from(place)));
        match variant {
            Some(variant) => host::set_request_header(&definition.header, variant),
            None => host::remove_request_header(&definition.header),
        }
    }
}

fn issue(plan: &Plan, identity: NewIdentity) {
    let cookie = plan.cookie();
    let Some(attributes) = &cookie.attributes else {
        return;
    };
    let value = [
        cookie.name.as_bytes(),
        b"=",
        identity.as_bytes(),
        attributes.as_bytes(),
    ]
    .concat();
    host::add_response_header("set-cookie", &value);
    let private = private(host::response_header("cache-control").as_deref());
    host::set_response_header("cache-control", &private);
}

/// `Cache-Control` such that no shared cache keeps the response: `private`, and what was there and does not contradict it.
fn private(cache_control: Option<&[u8]>) -> Vec<u8> {
    let mut kept = b"private".to_vec();
    for directive in cache_control
        .unwrap_or_default()
        .split(|&byte| byte == b',')
        .map(<[u8]>::trim_ascii)
    {
        let name = directive
            .split(|&byte| byte == b'=')
            .next()
            .unwrap_or_default();
        let contradicts = [&b""[..], b"public", b"private", b"s-maxage"]
            .iter()
            .any(|other| name.eq_ignore_ascii_case(other));
        if !contradicts {
            kept.extend(b", ");
            kept.extend(directive);
        }
    }
    kept
}

fn measure(shared: &Shared, plan: &Plan, measured: &Measured) {
    let status = host::response_header(":status").unwrap_or_default();
    let class = status.first().map_or(0, |digit| digit.wrapping_sub(b'0'));
    let took = host::now().saturating_sub(measured.began);
    let milliseconds = u64::try_from(took.as_millis()).unwrap_or(u64::MAX);
    for decision in measured.decisions.iter() {
        let Some(variant) = decision.variant else {
            continue;
        };
        let count = Count::Responses {
            split: decision.split,
            variant,
            class,
        };
        shared.tally.borrow_mut().increment(count);
        if let Some((_, labels)) = count.labels(plan) {
            host::record(
                MetricType::Histogram,
                "response_time_milliseconds",
                &labels,
                milliseconds,
            );
        }
    }
}
