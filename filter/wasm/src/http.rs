//! One request: the decision's header on the way in, the anonymous cookie and the metrics on the
//! way out.

use std::rc::Rc;

use proxy_wasm::traits::{Context, HttpContext};
use proxy_wasm::types::Action;

use crate::host::{self, CurrentRequest, Envoy};
use crate::shared::Shared;
use sluice_core::decide::{Decisions, decide};
use sluice_core::identity::NewIdentity;
use sluice_core::observed::Recording;
use sluice_core::plan::Plan;
use sluice_core::removal::removed_headers;
use sluice_core::responses::{Issued, Measured, Response};

/// The context of one request.
pub(crate) struct Http {
    shared: Rc<Shared>,
    issued: Option<NewIdentity>,
    measured: Option<Box<Measured>>,
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
        let plan = self.shared.plan.borrow();
        let Some(plan) = plan.as_ref() else {
            return Action::Continue;
        };
        let decisions = decide(plan, &CurrentRequest);
        set_headers(plan, &decisions);
        self.shared.observed.borrow_mut().tally.add(&decisions);
        self.issued = decisions.issued;
        self.measured = Measured::begin(plan, decisions, host::now).map(Box::new);
        Action::Continue
    }

    fn on_http_response_headers(&mut self, _number: usize, is_end: bool) -> Action {
        let plan = self.shared.plan.borrow();
        let Some(plan) = plan.as_ref() else {
            return Action::Continue;
        };
        if let Some(identity) = self.issued.take() {
            issue(plan, &identity);
        }
        if let Some(measured) = self.measured.take() {
            let status = host::response_header(":status").unwrap_or_default();
            let grpc_status = is_end
                .then(|| host::response_header("grpc-status"))
                .flatten();
            let response = Response {
                status: &status,
                grpc_status: grpc_status.as_deref(),
                at: host::now(),
            };
            let observed = &mut self.shared.observed.borrow_mut();
            let host = &Envoy;
            measured.end(plan, &mut Recording { host, observed }, &response);
        }
        Action::Continue
    }
}

/// Sets, never adds: a client's own values, however many, do not survive. Removes first: a split
/// that found no place may have the header of one that is served.
fn set_headers(plan: &Plan, decisions: &Decisions) {
    for header in removed_headers(plan, decisions.places, host::request_headers) {
        host::remove_request_header(header);
    }
    for decision in decisions.iter() {
        let Some(split) = plan.split(decision.split) else {
            continue;
        };
        let definition = &split.definition;
        match decision.variant {
            Some(variant) => {
                host::set_request_header(&definition.header, definition.variant_name(variant));
            }
            None => host::remove_request_header(&definition.header),
        }
    }
}

fn issue(plan: &Plan, identity: &NewIdentity) {
    if let Some(issued) = Issued::new(plan.cookie(), identity, host::response_headers) {
        host::add_response_header("set-cookie", &issued.set_cookie);
        for (name, value) in issued.replaced {
            host::set_response_header(name, &value);
        }
    }
}
