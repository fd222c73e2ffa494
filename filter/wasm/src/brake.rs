//! Asking for brakes, in one VM: how a question is posted, and how the other VMs are woken. When, and
//! what becomes of the answer, is [`sluice_core::brake::poll`]'s.
//!
//! Envoy tries each configuration in a VM that never ticks, so nothing here happens before the first
//! tick, which therefore comes soon. A call that is under way ends with its root context, or is answered
//! to it although another one is the newest: so what is under way belongs to the root, the lease and the
//! queue to the VM, and the newest configuration takes the answer.

use std::time::Duration;

use sluice_core::brake::answer::MAX_BRAKES_BYTES;
use sluice_core::brake::lease::Vm;
use sluice_core::brake::poll::{self, Caller, Reply};
use sluice_core::brake::wake;
use sluice_core::plan::{Plan, brake::Service};

use crate::host::{self, Envoy};
use crate::shared::Shared;

thread_local! {
    /// A random number for this VM, which its configurations share; 0: the host has no randomness, and
    /// nobody asks.
    static VM: Vm = {
        let mut random = [0; 8];
        let _ = getrandom::fill(&mut random);
        Vm(u64::from_le_bytes(random))
    };
}

impl Caller for Envoy {
    fn node_id(&self) -> String {
        host::node_id()
    }

    fn post(&self, service: &Service, json: &str, patience: Duration) -> Result<u64, String> {
        host::post(service, poll::PATH, json, patience).map(u64::from)
    }

    fn wake_others(&self, plugin: &str, vm: Vm) {
        for queue in wake::others(self, plugin, vm) {
            host::wake(queue);
        }
    }
}

/// The questions of one root context.
#[derive(Default)]
pub(crate) struct Poll {
    poll: poll::Poll,
    has_queue: bool,
}

impl Poll {
    /// A tick, or a wake-up, of the newest configuration. When the next tick is needed for this, if
    /// before `usual`.
    pub(crate) fn tick(&mut self, shared: &Shared, now: Duration, usual: Duration) -> Duration {
        let (plan, vm) = (shared.plan.borrow(), VM.with(|vm| *vm));
        let plugin = &*shared.plugin;
        if plan.as_ref().and_then(Plan::brake).is_none() {
            return usual;
        }
        self.has_queue = true;
        // The same name gives the same queue, and moves it to this root.
        if let Some(queue) = host::queue(&queue_name(plugin, vm)) {
            wake::join(&Envoy, plugin, vm, queue, now);
        }
        let poll = &mut self.poll;
        poll.tick(&Envoy, (plugin, vm), plan.as_ref(), now, usual)
    }

    /// Says at once what the guard took out, whoever holds the lease.
    pub(crate) fn tell_of_trip(&mut self, shared: &Shared, now: Duration) {
        let plan = shared.plan.borrow();
        let poll = &mut self.poll;
        poll.tell_of_trip(&Envoy, &shared.plugin, plan.as_ref(), now);
    }

    /// The answer to a question of this root, which the newest configuration takes: the size of its
    /// body in bytes, or none where the call ended without an answer.
    pub(crate) fn answered(
        &mut self,
        newest: &Shared,
        token: u32,
        body_size: Option<usize>,
        now: Duration,
    ) {
        let mut plan = newest.plan.borrow_mut();
        let of = (&*newest.plugin, VM.with(|vm| *vm));
        let poll = &mut self.poll;
        let Some(body_size) = body_size else {
            return poll.answered(&Envoy, of, plan.as_mut(), token.into(), None, now);
        };
        let status = host::call_response_header(":status").unwrap_or_default();
        let body = match &*status {
            b"200" => host::call_response_body(MAX_BRAKES_BYTES),
            _ => Vec::new(),
        };
        let reply = Reply {
            status: &status,
            body: &body,
            body_size,
        };
        poll.answered(&Envoy, of, plan.as_mut(), token.into(), Some(reply), now);
    }

    /// The root has ended. Where no other one of this VM lives, another VM may ask at once.
    pub(crate) fn end(&self, plugin: &str, is_last_of_vm: bool) {
        let vm = VM.with(|vm| *vm);
        if self.has_queue && is_last_of_vm {
            wake::leave(&Envoy, plugin, vm);
        }
        self.poll.end(&Envoy, plugin, vm, is_last_of_vm);
    }
}

fn queue_name(plugin: &str, vm: Vm) -> String {
    format!("sluice/{plugin}/{}", vm.0)
}
