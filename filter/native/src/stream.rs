//! One request, on its worker: the decision's header on the way in, the anonymous cookie and the
//! metrics on the way out. No lock, and no call of Envoy's that is not needed.

use std::borrow::Cow;
use std::sync::atomic::Ordering;

use sluice_core::bucket::Point;
use sluice_core::decide::{Audience, Decisions, decide};
use sluice_core::guard::watch::{Seen, nobody};
use sluice_core::host::Labels;
use sluice_core::identity::NewIdentity;
use sluice_core::index::{SplitIndex, VariantIndex};
use sluice_core::observed::Recorder;
use sluice_core::plan::Plan;
use sluice_core::removal::removed_headers;
use sluice_core::request::{Bytes, Request};
use sluice_core::responses::{Issued, Measured, Response};
use sluice_core::tally::{Count, each_count};
use sluice_core::users::Outcome;

use crate::abi::{Headers, Stream};
use crate::configuration::Configuration;
use crate::envoy::{now, values};
use crate::state::{State, Worker};

/// Where the name of the virtual host is found, which a filter before this one leaves there.
const VIRTUAL_HOST: &str = "sluice.virtual_host";

/// Before a claim's name: where its value is found.
const CLAIM: &str = "sluice.claim.";

/// The filter of one request.
pub(crate) struct Filter {
    configuration: &'static Configuration,
    issued: Option<NewIdentity>,
    measured: Option<Box<Measured>>,
}

/// The request that Envoy is asking about.
struct Current<'s, 'h>(&'s Stream<'h>);

impl Request for Current<'_, '_> {
    fn authority(&self) -> Option<Bytes<'_>> {
        self.header(":authority")
    }

    fn virtual_host(&self) -> Option<Bytes<'_>> {
        let name = self.0.filter_state(VIRTUAL_HOST)?;
        (!name.is_empty()).then_some(Cow::Borrowed(name))
    }

    fn path(&self) -> Option<Bytes<'_>> {
        self.header(":path")
    }

    fn header(&self, name: &str) -> Option<Bytes<'_>> {
        let value = self.0.header(Headers::Request, name)?;
        Some(Cow::Borrowed(value))
    }

    // Absent claims arrive as empty ones, and other values than strings as JSON.
    fn claim(&self, name: &str) -> Option<Bytes<'_>> {
        let value = self.0.filter_state(&[CLAIM, name].concat())?;
        let is_text =
            std::str::from_utf8(value).is_ok_and(|text| !text.chars().any(char::is_control));
        (is_text && !value.is_empty()).then_some(Cow::Borrowed(value))
    }

    fn source_address(&self) -> Option<Bytes<'_>> {
        self.0.source_address().map(Cow::Borrowed)
    }

    fn random(&self) -> Option<[u8; 16]> {
        let mut random = [0; 16];
        getrandom::fill(&mut random).ok()?;
        Some(random)
    }
}

impl Filter {
    pub(crate) fn new(configuration: &'static Configuration) -> Self {
        Self {
            configuration,
            issued: None,
            measured: None,
        }
    }

    pub(crate) fn on_request_headers(&mut self, stream: &mut Stream<'_>) {
        let Some(state) = self.configuration.state() else {
            return;
        };
        state.serve(|plan| {
            let decisions = decide(plan, &Current(stream));
            set_headers(plan, &decisions, stream);
            if let Some(worker) = state.workers.get(stream.worker()) {
                each_count(&decisions, |count| worker.counted.increment(plan, count));
            }
            self.issued = decisions.issued;
            self.measured = Measured::begin(plan, decisions, now).map(Box::new);
        });
    }

    pub(crate) fn on_response_headers(&mut self, stream: &mut Stream<'_>, is_end: bool) {
        if self.issued.is_none() && self.measured.is_none() {
            return;
        }
        let Some(state) = self.configuration.state() else {
            return;
        };
        state.serve(|plan| {
            if let Some(identity) = self.issued.take() {
                issue(plan, &identity, stream);
            }
            let worker = state.workers.get(stream.worker());
            if let (Some(measured), Some(worker)) = (self.measured.take(), worker) {
                let configuration = self.configuration;
                let recorder = Recording {
                    configuration,
                    state,
                    plan,
                    worker,
                    stream,
                };
                end(&measured, recorder, is_end);
            }
        });
    }
}

/// Takes down what a response says.
fn end(measured: &Measured, mut recorder: Recording<'_, '_>, is_end: bool) {
    let (stream, plan) = (recorder.stream, recorder.plan);
    let header = |name| stream.header(Headers::Response, name);
    let response = Response {
        status: header(":status").unwrap_or_default(),
        grpc_status: is_end.then(|| header("grpc-status")).flatten(),
        at: now(),
    };
    measured.end(plan, &mut recorder, &response);
}

/// Sets, never adds: a client's own values, however many, do not survive. Removes first: a split
/// that found no place may have the header of one that is served.
fn set_headers(plan: &Plan, decisions: &Decisions, stream: &mut Stream<'_>) {
    let present = || {
        let names = stream.names(Headers::Request);
        let owned = |name: &str| (name.to_owned(), Vec::new());
        names.into_iter().map(owned).collect()
    };
    let removed = removed_headers(plan, decisions.places, present);
    let is_changed = !removed.is_empty() || !decisions.is_empty();
    for header in removed {
        stream.remove(Headers::Request, header);
    }
    for decision in decisions.iter() {
        let Some(split) = plan.split(decision.split) else {
            continue;
        };
        let definition = &split.definition;
        match decision.variant {
            Some(variant) => {
                let name = definition.variant_name(variant).as_bytes();
                stream.set(Headers::Request, &definition.header, name);
            }
            None => stream.remove(Headers::Request, &definition.header),
        }
    }
    if is_changed {
        stream.route_again();
    }
}

fn issue(plan: &Plan, identity: &NewIdentity, stream: &mut Stream<'_>) {
    let issued = Issued::new(plan.cookie(), identity, |name| {
        let mut joined = stream.header(Headers::Response, name)?.to_vec();
        let others = 1..;
        let others = others.map_while(|at| stream.header_at(Headers::Response, name, at));
        for value in others {
            joined.push(b',');
            joined.extend_from_slice(value);
        }
        Some(joined)
    });
    if let Some(issued) = issued {
        stream.add(Headers::Response, "set-cookie", &issued.set_cookie);
        for (name, value) in issued.replaced {
            stream.set(Headers::Response, name, &value);
        }
    }
}

/// Takes down what a worker sees of a response.
struct Recording<'a, 'h> {
    configuration: &'a Configuration,
    state: &'a State,
    plan: &'a Plan,
    worker: &'a Worker,
    stream: &'a Stream<'h>,
}

impl Recorder for Recording<'_, '_> {
    fn count(&mut self, count: Count) {
        self.worker.counted.increment(self.plan, count);
    }

    fn time(&mut self, labels: Labels<'_>, milliseconds: u64) {
        if let Some(id) = self.configuration.metrics.response_time {
            self.stream.record(id, &values(labels), milliseconds);
        }
    }

    fn user(
        &mut self,
        split: SplitIndex,
        audience: Audience,
        variant: VariantIndex,
        user: Point,
        outcome: Outcome,
    ) {
        let users = &self.state.users;
        users.add(self.plan, split, (audience, variant), user, outcome);
    }

    fn guarded(&mut self, seen: &Seen) {
        let user = seen.user.unwrap_or_else(|| {
            let number = self.worker.nameless.fetch_add(1, Ordering::Relaxed);
            nobody(number, seen.at)
        });
        if let Some(ring) = &self.worker.guarded {
            ring.push(seen.words(user));
        }
    }
}
