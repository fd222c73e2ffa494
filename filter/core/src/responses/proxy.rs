//! A proxy of several VMs in memory, which serve users and tick as Envoy's do.

use std::borrow::Cow;
use std::time::Duration;

use super::{Measured, Response};
use crate::brake::shared::{self as brake, Taken};
use crate::brake::{Answer, Question};
use crate::decide::decide;
use crate::host::{Level, MemoryHost};
use crate::lifecycle::{Ticking, configure, tick};
use crate::observed::{Observed, Recording};
use crate::plan::{Node, NodeKind, Plan};
use crate::request::{Bytes, Request};

/// When the first second begins.
const BEGAN: Duration = Duration::from_secs(1_000);

#[derive(Default)]
struct Vm {
    plan: Option<Plan>,
    observed: Observed,
}

#[derive(Default)]
pub(super) struct Proxy {
    pub(super) host: MemoryHost,
    vms: Vec<Vm>,
    node: Node,
    /// Since the epoch, less [`BEGAN`].
    pub(super) now: Duration,
}

/// A request of a user; nobody, when there is no name.
pub(super) struct Of(
    pub(super) &'static [(&'static str, &'static str)],
    pub(super) String,
);

impl Request for Of {
    fn header(&self, name: &str) -> Option<Bytes<'_>> {
        let mut headers = self.0.iter();
        if let Some((_, value)) = headers.find(|(header, _)| *header == name) {
            return Some(Cow::Borrowed(value.as_bytes()));
        }
        let is_user = name == "x-user" && !self.1.is_empty();
        is_user.then_some(Cow::Borrowed(self.1.as_bytes()))
    }
}

/// A user's request.
pub(super) fn user(number: u32) -> Of {
    Of(&[], format!("user-{number}"))
}

impl Proxy {
    /// With so many VMs, which are configured with `config`.
    pub(super) fn new(vms: usize, config: &serde_json::Value) -> Self {
        Self::of_kind(NodeKind::Gateway, vms, config)
    }

    pub(super) fn of_kind(kind: NodeKind, vms: usize, config: &serde_json::Value) -> Self {
        let node = Node {
            kind,
            ..Node::default()
        };
        let mut proxy = Self {
            node,
            ..Self::default()
        };
        proxy.vms.resize_with(vms, Vm::default);
        proxy.configure(config);
        proxy
    }

    /// Every VM gets a configuration, one after the other. What it saw under its last one is handed
    /// over afterwards, as when the last request of it ends.
    pub(super) fn configure(&mut self, config: &serde_json::Value) {
        for vm in 0..self.vms.len() {
            self.configure_one(vm, config);
        }
    }

    /// Envoy gets other code: new VMs, whose metrics begin anew, with the shared data of the former.
    pub(super) fn replace_filter(&mut self, config: &serde_json::Value) {
        self.host.metrics.borrow_mut().clear();
        for vm in &mut self.vms {
            *vm = Vm::default();
        }
        self.configure(config);
    }

    pub(super) fn configure_one(&mut self, vm: usize, config: &serde_json::Value) {
        let vm = &mut self.vms[vm];
        let received = config.to_string().into_bytes();
        let plan = configure(&self.host, "a", received, &self.node, vm.plan.as_ref());
        let mut former = std::mem::take(vm);
        vm.plan = plan;
        if let Some(plan) = &former.plan {
            former.observed.flush(&self.host, "a", plan);
        }
    }

    /// Which variant of split web a request gets.
    pub(super) fn variant(&self, vm: usize, request: &Of) -> String {
        let plan = self.vms[vm].plan.as_ref().unwrap();
        let decision = decide(plan, request)[0];
        let definition = &plan.split(decision.split).unwrap().definition;
        definition
            .variant_name(decision.variant.unwrap())
            .to_owned()
    }

    /// What a VM would ask now.
    pub(super) fn question(&self) -> Question {
        brake::question(&self.host, "a", "node", 25)
    }

    /// A VM is answered what it asked with a version.
    pub(super) fn answered(&mut self, vm: usize, asked: Option<&str>, answer: &Answer) -> Taken {
        let plan = self.vms[vm].plan.as_mut().unwrap();
        brake::answered(&self.host, "a", plan, asked, answer)
    }

    /// A VM is woken.
    pub(super) fn follow(&mut self, vm: usize) {
        brake::follow(&self.host, "a", self.vms[vm].plan.as_mut().unwrap());
    }

    /// A request of a VM, and its response.
    pub(super) fn serve(&mut self, vm: usize, request: &Of, status: &[u8], grpc: Option<&[u8]>) {
        let at = BEGAN + self.now;
        let Vm { plan, observed } = &mut self.vms[vm];
        let plan = plan.as_ref().unwrap();
        let Some(measured) = Measured::begin(plan, decide(plan, request), || at) else {
            return;
        };
        let response = Response {
            status,
            grpc_status: grpc,
            at,
        };
        let host = &self.host;
        measured.end(plan, &mut Recording { host, observed }, &response);
    }

    /// A request whose response is to come later.
    pub(super) fn begin(&self, vm: usize, request: &Of) -> Option<Measured> {
        let plan = self.vms[vm].plan.as_ref().unwrap();
        Measured::begin(plan, decide(plan, request), || BEGAN + self.now)
    }

    /// A VM's configuration, which lives as long as its longest request.
    pub(super) fn keep(&self, vm: usize) -> Plan {
        self.vms[vm].plan.clone().unwrap()
    }

    /// The responses of such requests, after which their configuration is gone.
    pub(super) fn end_kept(&self, plan: Plan, late: Vec<Option<Measured>>, status: &[u8]) {
        let mut observed = Observed::default();
        let response = Response {
            status,
            grpc_status: None,
            at: BEGAN + self.now,
        };
        for measured in late.into_iter().flatten() {
            let (host, observed) = (&self.host, &mut observed);
            measured.end(&plan, &mut Recording { host, observed }, &response);
        }
        observed.flush(&self.host, "a", &plan);
    }

    /// The canary fails whoever gets it, everybody else is answered.
    pub(super) fn serve_failing_canary(&mut self, vm: usize, request: &Of) {
        let status: &[u8] = match self.variant(vm, request).as_str() {
            "canary" => b"503",
            _ => b"200",
        };
        self.serve(vm, request, status, None);
    }

    /// Every VM ticks, one after the other.
    pub(super) fn tick(&mut self) {
        for vm in 0..self.vms.len() {
            self.tick_one(vm);
        }
    }

    pub(super) fn tick_one(&mut self, vm: usize) {
        let Vm { plan, observed } = &mut self.vms[vm];
        let now = BEGAN + self.now;
        tick(
            &self.host,
            "a",
            plan.as_mut(),
            observed,
            Ticking::Newest,
            now,
        );
    }

    /// Envoy tries a configuration in a VM that it throws away.
    pub(super) fn try_elsewhere(&self, config: &serde_json::Value) {
        let received = config.to_string().into_bytes();
        configure(&self.host, "a", received, &self.node, None);
    }

    /// A VM gets a configuration, which is taken away before it serves anybody.
    pub(super) fn try_in(&self, vm: usize, config: &serde_json::Value) {
        let received = config.to_string().into_bytes();
        let previous = self.vms[vm].plan.as_ref();
        configure(&self.host, "a", received, &self.node, previous);
    }

    /// One more VM, as of another listener.
    pub(super) fn add(&mut self, config: &serde_json::Value) {
        self.vms.push(Vm::default());
        self.configure_one(self.vms.len() - 1, config);
    }

    pub(super) fn warnings(&self) -> Vec<String> {
        let lines = self.host.lines.borrow();
        let warnings = lines.iter().filter(|(level, _)| *level == Level::Warning);
        warnings.map(|(_, line)| line.clone()).collect()
    }
}
