//! Asking for brakes, in one instance of the filter: who asks is said by the lease, when by [`Asking`];
//! what is answered is kept and followed, and the other instances are woken.
//!
//! How a question is posted and how others are woken is the adapter's, which owns the clock too.

use std::collections::VecDeque;
use std::time::Duration;

use super::answer::{Answer, MAX_BRAKES_BYTES};
use super::asking::{Asking, Outcome, Wait};
use super::lease::{self, Heard, Vm};
use super::shared::{self, Taken};
use crate::host::Host;
use crate::plan::{Plan, brake::Service};

/// Where brakes are asked for, at a [`Service`].
pub const PATH: &str = "/v1/brakes";

/// When the first tick of a configuration comes that asks for brakes: without it, configurations that
/// follow one another closely would leave nobody to ask. Chosen: the least that Envoy takes, since an
/// instance follows what another one heard before that only then.
pub const FIRST_TICK: Duration = Duration::from_millis(1);

/// How many questions beside the lease's may be under way: one for each time that the guard tripped.
const MAX_BESIDE: usize = 4;

/// A proxy that can post a question.
pub trait Caller: Host {
    /// The proxy's id.
    fn node_id(&self) -> String;
    /// Posts JSON to [`PATH`] of a service, and waits for so long. What the answer will be known by;
    /// why there is none, as the end of a line.
    ///
    /// # Errors
    /// When the proxy knows no such service, or it cannot be called.
    fn post(&self, service: &Service, json: &str, patience: Duration) -> Result<u64, String>;
    /// Wakes the other instances of a plugin, so that they follow what one heard.
    fn wake_others(&self, plugin: &str, vm: Vm);
}

/// What was answered to a question.
#[derive(Clone, Copy, Debug)]
pub struct Reply<'a> {
    /// `:status`.
    pub status: &'a [u8],
    /// The body, of which no more than [`MAX_BRAKES_BYTES`] are read.
    pub body: &'a [u8],
    /// How many bytes the whole body has.
    pub body_size: usize,
}

/// A question under way.
struct Asked {
    token: u64,
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

/// The questions of one configuration in one instance.
#[derive(Default)]
pub struct Poll {
    asking: Asking,
    asked: VecDeque<Asked>,
    has_ticked: bool,
}

impl Poll {
    /// Of a proxy that may hold no question, and asks each second instead.
    pub fn short() -> Self {
        Self {
            asking: Asking::short(),
            ..Self::default()
        }
    }

    /// Whether a question is under way.
    pub fn is_under_way(&self) -> bool {
        !self.asked.is_empty()
    }

    /// A tick, or a wake-up, of the newest configuration. When the next tick is needed for this, if
    /// before `usual`.
    pub fn tick<C: Caller>(
        &mut self,
        host: &C,
        (plugin, vm): (&str, Vm),
        plan: Option<&Plan>,
        now: Duration,
        usual: Duration,
    ) -> Duration {
        let Some(service) = plan.and_then(Plan::brake) else {
            return usual;
        };
        self.has_ticked = true;
        let held = (vm.0 != 0).then(|| lease::hold(host, plugin, vm, now));
        let Some(heard) = held.flatten() else {
            return usual;
        };
        if let Some(wait) = self.asking.next(now, heard) {
            self.ask(host, plugin, service, wait, Whose::Lease, now);
        }
        match self.asking.is_under_way() {
            true => usual,
            false => self.asking.delay(now).max(FIRST_TICK).min(usual),
        }
    }

    /// Says at once what the guard took out, whoever holds the lease.
    pub fn tell_of_trip<C: Caller>(
        &mut self,
        host: &C,
        plugin: &str,
        plan: Option<&Plan>,
        now: Duration,
    ) {
        if let Some(service) = plan.and_then(Plan::brake)
            && self.asked.len() < MAX_BESIDE
        {
            self.ask(host, plugin, service, Wait::Short, Whose::Trip, now);
        }
    }

    fn ask<C: Caller>(
        &mut self,
        host: &C,
        plugin: &str,
        service: &Service,
        wait: Wait,
        whose: Whose,
        now: Duration,
    ) {
        let question = shared::question(host, plugin, &host.node_id(), wait.seconds());
        let call = host.post(service, &question.to_json(), wait.patience());
        if whose == Whose::Lease {
            // Of one that the host never ended, nothing is waited for any more.
            self.asked.retain(|asked| asked.whose != whose);
        }
        match call {
            Ok(token) => self.asked.push_back(Asked {
                token,
                version: question.version,
                whose,
            }),
            Err(why) => self.ended(host, plugin, whose, Outcome::Failure, &why, now),
        }
    }

    fn ended<C: Caller>(
        &mut self,
        host: &C,
        plugin: &str,
        whose: Whose,
        outcome: Outcome,
        why: &str,
        now: Duration,
    ) {
        if whose == Whose::Trip {
            return;
        }
        let share = now.subsec_nanos().to_le_bytes()[0];
        self.asking.ended(outcome, now, share);
        let (heard, why) = match outcome {
            Outcome::Failure => (Heard::Failure, why),
            Outcome::News | Outcome::Nothing => (Heard::Answer, ""),
        };
        lease::hear(host, plugin, heard, why);
    }

    /// The answer to a question of this configuration, which the plan of the newest one takes; none
    /// where the call ended without.
    pub fn answered<C: Caller>(
        &mut self,
        host: &C,
        (plugin, vm): (&str, Vm),
        newest: Option<&mut Plan>,
        token: u64,
        reply: Option<Reply<'_>>,
        now: Duration,
    ) {
        let Some(at) = self.asked.iter().position(|asked| asked.token == token) else {
            return;
        };
        let Some(Asked { version, whose, .. }) = self.asked.remove(at) else {
            return;
        };
        // A former configuration's question, where the newest asks nobody.
        let Some(newest) = newest.filter(|plan| plan.brake().is_some()) else {
            return;
        };
        let taken = match reply {
            Some(reply) => take(host, (plugin, vm), newest, version.as_deref(), reply),
            None => Err(": its cluster went away".to_owned()),
        };
        let (outcome, why) = match taken {
            Ok(outcome) => (outcome, String::new()),
            Err(why) => (Outcome::Failure, why),
        };
        self.ended(host, plugin, whose, outcome, &why, now);
    }

    /// The configuration has ended. Where it was the last of its instance, another one may ask at once.
    pub fn end<C: Caller>(&self, host: &C, plugin: &str, vm: Vm, is_last: bool) {
        if self.has_ticked && is_last && lease::release(host, plugin, vm) {
            host.wake_others(plugin, vm);
        }
    }
}

/// Takes an answer over; why it is none, as the end of a line.
fn take<C: Caller>(
    host: &C,
    (plugin, vm): (&str, Vm),
    newest: &mut Plan,
    asked: Option<&str>,
    reply: Reply<'_>,
) -> Result<Outcome, String> {
    match reply.status {
        b"200" => {}
        b"204" => return Ok(Outcome::Nothing),
        other => {
            let status = String::from_utf8_lossy(other.get(..3).unwrap_or(other));
            return Err(format!(": status {status}"));
        }
    }
    let size = reply.body_size;
    if size > MAX_BRAKES_BYTES {
        return Err(format!(
            ": an answer of {size} bytes; at most {MAX_BRAKES_BYTES}"
        ));
    }
    let mut problems = Vec::new();
    let Some(answer) = Answer::read(reply.body, &mut problems) else {
        let first = problems.first().map(ToString::to_string);
        return Err(format!(": {}", first.unwrap_or_default()));
    };
    match shared::answered(host, plugin, newest, asked, &answer) {
        Taken::News => {
            host.wake_others(plugin, vm);
            shared::say_left_out(host, plugin, &problems);
            Ok(Outcome::News)
        }
        Taken::Overtaken => Ok(Outcome::News),
        Taken::Known => Ok(Outcome::Nothing),
    }
}
