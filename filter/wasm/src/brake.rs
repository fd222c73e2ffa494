//! Asking for brakes, in one VM: who asks is said by the lease, when by [`Asking`]; what is answered is
//! handed to the core, and the other VMs are woken.
//!
//! Envoy tries each configuration in a VM that never ticks, so nothing here happens before the first
//! tick, which therefore comes soon. A call that is under way ends with its root context, or is answered
//! to it although another one is the newest: so what is under way belongs to the root, the lease and the
//! queue to the VM, and the newest configuration takes the answer.

use std::cell::RefCell;
use std::collections::VecDeque;
use std::time::Duration;

use sluice_core::brake::Answer;
use sluice_core::brake::answer::MAX_BRAKES_BYTES;
use sluice_core::brake::asking::{Asking, Outcome, Wait};
use sluice_core::brake::lease::{self, Heard, Vm};
use sluice_core::brake::shared::{self as brakes, Taken};
use sluice_core::brake::wake;
use sluice_core::plan::{Plan, brake::Service};

use crate::host::{self, Envoy};
use crate::shared::Shared;

/// When the first tick of a configuration comes: without it, configurations that follow one another
/// closely would leave nobody to ask. Chosen: the least that Envoy takes, since a VM follows what
/// another one heard before that only then.
pub(crate) const FIRST_TICK: Duration = Duration::from_millis(1);

/// How many questions beside the lease's may be under way: one for each time that the guard tripped.
const MAX_BESIDE: usize = 4;

thread_local! {
    /// A random number for this VM, which its configurations share; 0: the host has no randomness, and
    /// nobody asks.
    static VM: Vm = {
        let mut random = [0; 8];
        let _ = getrandom::fill(&mut random);
        Vm(u64::from_le_bytes(random))
    };
}

/// A question under way.
struct Asked {
    token: u32,
    version: Option<String>,
    whose: Whose,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Whose {
    /// Of who holds the lease.
    Lease,
    /// Of who saw the guard trip, to say so.
    Trip,
}

/// The questions of one root context.
#[derive(Default)]
pub(crate) struct Poll {
    asking: RefCell<Asking>,
    asked: RefCell<VecDeque<Asked>>,
    has_ticked: bool,
}

impl Poll {
    /// A tick, or a wake-up, of the newest configuration. When the next tick is needed for this, if
    /// before `usual`.
    pub(crate) fn tick(&mut self, shared: &Shared, now: Duration, usual: Duration) -> Duration {
        let plan = shared.plan.borrow();
        let (Some(service), vm) = (plan.as_ref().and_then(Plan::brake), VM.with(|vm| *vm)) else {
            return usual;
        };
        let plugin = &*shared.plugin;
        self.has_ticked = true;
        // The same name gives the same queue, and moves it to this root.
        if let Some(queue) = host::queue(&queue_name(plugin, vm)) {
            wake::join(&Envoy, plugin, vm, queue, now);
        }
        let held = (vm.0 != 0).then(|| lease::hold(&Envoy, plugin, vm, now));
        let Some(heard) = held.flatten() else {
            return usual;
        };
        let wait = self.asking.borrow_mut().next(now, heard);
        if let Some(wait) = wait {
            self.ask(plugin, service, wait, Whose::Lease, now);
        }
        let asking = self.asking.borrow();
        match asking.is_under_way() {
            true => usual,
            false => asking.delay(now).max(FIRST_TICK).min(usual),
        }
    }

    /// Says at once what the guard took out, whoever holds the lease.
    pub(crate) fn tell_of_trip(&self, shared: &Shared, now: Duration) {
        let plan = shared.plan.borrow();
        if let Some(service) = plan.as_ref().and_then(Plan::brake)
            && self.asked.borrow().len() < MAX_BESIDE
        {
            self.ask(&shared.plugin, service, Wait::Short, Whose::Trip, now);
        }
    }

    fn ask(&self, plugin: &str, service: &Service, wait: Wait, whose: Whose, now: Duration) {
        let question = brakes::question(&Envoy, plugin, &host::node_id(), wait.seconds());
        let call = host::post(service, "/v1/brakes", &question.to_json(), wait.patience());
        if whose == Whose::Lease {
            // Of one that the host never ended, nothing is waited for any more.
            self.asked.borrow_mut().retain(|asked| asked.whose != whose);
        }
        match call {
            Ok(token) => self.asked.borrow_mut().push_back(Asked {
                token,
                version: question.version,
                whose,
            }),
            Err(why) => self.ended(plugin, whose, Outcome::Failure, &why, now),
        }
    }

    fn ended(&self, plugin: &str, whose: Whose, outcome: Outcome, why: &str, now: Duration) {
        if whose == Whose::Trip {
            return;
        }
        let share = now.subsec_nanos().to_le_bytes()[0];
        self.asking.borrow_mut().ended(outcome, now, share);
        let (heard, why) = match outcome {
            Outcome::Failure => (Heard::Failure, why),
            Outcome::News | Outcome::Nothing => (Heard::Answer, ""),
        };
        lease::hear(&Envoy, plugin, heard, why);
    }

    /// The answer to a question of this root, which the newest configuration takes: the size of its
    /// body in bytes, or none where the call ended without an answer.
    pub(crate) fn answered(
        &self,
        newest: &Shared,
        token: u32,
        body_size: Option<usize>,
        now: Duration,
    ) {
        let mut asked = self.asked.borrow_mut();
        let Some(at) = asked.iter().position(|asked| asked.token == token) else {
            return;
        };
        let Some(Asked { version, whose, .. }) = asked.remove(at) else {
            return;
        };
        drop(asked);
        // A former configuration's question, where the newest asks nobody.
        if newest
            .plan
            .borrow()
            .as_ref()
            .and_then(Plan::brake)
            .is_none()
        {
            return;
        }
        let taken = match body_size {
            Some(size) => take(newest, version.as_deref(), size),
            None => Err("its cluster went away".to_owned()),
        };
        let (outcome, why) = match taken {
            Ok(outcome) => (outcome, String::new()),
            Err(why) => (Outcome::Failure, why),
        };
        self.ended(&newest.plugin, whose, outcome, &why, now);
    }

    /// The root has ended. Where no other one of this VM lives, another VM may ask at once.
    pub(crate) fn end(&self, plugin: &str, is_last_of_vm: bool) {
        if !self.has_ticked || !is_last_of_vm {
            return;
        }
        let vm = VM.with(|vm| *vm);
        wake::leave(&Envoy, plugin, vm);
        if lease::release(&Envoy, plugin, vm) {
            wake_others(plugin, vm);
        }
    }
}

/// Takes an answer over; why it is none, as the end of a line.
fn take(newest: &Shared, asked: Option<&str>, body_size: usize) -> Result<Outcome, String> {
    let status = host::call_response_header(":status").unwrap_or_default();
    match &*status {
        b"200" => {}
        b"204" => return Ok(Outcome::Nothing),
        other => {
            let status = String::from_utf8_lossy(other.get(..3).unwrap_or(other));
            return Err(format!(": status {status}"));
        }
    }
    if body_size > MAX_BRAKES_BYTES {
        return Err(format!(
            ": an answer of {body_size} bytes; at most {MAX_BRAKES_BYTES}"
        ));
    }
    let mut problems = Vec::new();
    let answer = Answer::read(&host::call_response_body(MAX_BRAKES_BYTES), &mut problems);
    let Some(answer) = answer else {
        let first = problems.first().map(ToString::to_string);
        return Err(format!(": {}", first.unwrap_or_default()));
    };
    let plugin = &*newest.plugin;
    let mut plan = newest.plan.borrow_mut();
    let Some(plan) = plan.as_mut() else {
        return Ok(Outcome::Nothing);
    };
    match brakes::answered(&Envoy, plugin, plan, asked, &answer) {
        Taken::News => {
            wake_others(plugin, VM.with(|vm| *vm));
            brakes::say_left_out(&Envoy, plugin, &problems);
            Ok(Outcome::News)
        }
        Taken::Overtaken => Ok(Outcome::News),
        Taken::Known => Ok(Outcome::Nothing),
    }
}

fn wake_others(plugin: &str, vm: Vm) {
    for queue in wake::others(&Envoy, plugin, vm) {
        host::wake(queue);
    }
}

fn queue_name(plugin: &str, vm: Vm) -> String {
    format!("sluice/{plugin}/{}", vm.0)
}
