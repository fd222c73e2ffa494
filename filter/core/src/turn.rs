//! Whose turn it is: which configuration's numbers a proxy keeps and shows, where it has several at once.
//!
//! Envoy tries a configuration in a VM that it throws away, and may still reject it with its listener; a
//! listener warms up, or drains, beside the one that takes its place. All of them find the same shared
//! data and gauges. So there is a turn: a VM that exchanges the configuration that has it for another one
//! hands it on; any other configuration takes it at a tick, where it is the newest that serves.
//! What belongs to the turn is begun and shown by [`crate::observed`] and [`crate::lifecycle`].

use std::time::Duration;

use crate::host::{Host, Update};
use crate::revision::Revision;
use crate::wire;

/// For so many milliseconds after it last served, nobody older takes a configuration's turn. Chosen:
/// some ticks, so that a configuration under traffic is always seen to serve.
const PATIENCE: u64 = 3_000;

/// How often [`PATIENCE`] doubles, where two configurations take turns: at most some 3 hours.
const MAX_DOUBLINGS: u64 = 12;

/// How often the holder says that it serves, in milliseconds.
const NEWS: u64 = 1_000;

/// Whether a configuration has decided any request since its last tick.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Traffic {
    /// It has.
    Some,
    /// It has not.
    None,
}

/// What a tick says of a configuration's turn.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Turn {
    /// It is another one's.
    Others,
    /// It is this one's, as before.
    Own,
    /// It has become this one's: everything is to be begun, or followed, and shown again.
    Anew,
}

/// Where a VM's configuration stands among all that VMs of its proxy were given.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Place {
    /// From 1, in the order in which they were given.
    number: u64,
    /// The turn that it has a part in; 0: none.
    term: u64,
    /// When it last served, in milliseconds since the epoch; 0: never.
    served: u64,
}

impl Place {
    /// Whether its numbers are those of the proxy.
    pub(crate) const fn has_turn(self) -> bool {
        self.term != 0
    }

    /// Whether nobody had a turn between a former place in the same VM and this one.
    pub(crate) const fn follows(self, former: Self) -> bool {
        former.has_turn() && self.has_turn() && self.term.saturating_sub(former.term) <= 1
    }
}

/// What all VMs of a proxy know of the turn.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct State {
    /// The configuration that has it; none at first.
    holder: Revision,
    /// How often it went to another one.
    term: u64,
    /// The number of the holder's place.
    number: u64,
    /// The number of the newest place.
    newest: u64,
    /// How often it was taken since that one came.
    taken: u64,
    /// When a holder last served, in milliseconds since the epoch, to [`NEWS`].
    served: u64,
}

impl State {
    fn pass(&mut self, holder: Revision, number: u64) {
        self.holder = holder;
        self.number = number;
        self.term += 1;
    }

    /// Whether the holder has served lately. A clock that went back tells nothing.
    fn is_served(&self, now: u64) -> bool {
        let patience = PATIENCE << self.taken.min(MAX_DOUBLINGS);
        now.checked_sub(self.served)
            .is_some_and(|since| since < patience)
    }

    /// Whether a configuration that is not the holder takes the turn: the newest that serves, or where
    /// none does, the one that served last.
    fn is_free_for(&self, place: Place, traffic: Traffic, now: u64) -> bool {
        match place.number > self.number {
            true => traffic == Traffic::Some || !self.is_served(now),
            false => place.served > self.served && !self.is_served(now),
        }
    }

    fn bytes(self) -> Vec<u8> {
        let Self {
            holder,
            term,
            number,
            newest,
            taken,
            served,
        } = self;
        let numbers = [holder.as_gauge(), term, number, newest, taken, served];
        numbers.into_iter().flat_map(u64::to_le_bytes).collect()
    }

    fn read(mut bytes: &[u8]) -> Self {
        let mut number = || wire::number(&mut bytes).unwrap_or_default();
        Self {
            holder: Revision::from_gauge(number()),
            term: number(),
            number: number(),
            newest: number(),
            taken: number(),
            served: number(),
        }
    }
}

/// The place of a configuration that a VM is given instead of `previous`. It has the turn where nobody
/// had it, or the previous one had it.
pub(crate) fn enter<H: Host>(
    host: &H,
    plugin: &str,
    own: Revision,
    previous: Option<Revision>,
) -> Place {
    let mut place = Place::default();
    let update = host.update_shared_data(&key(plugin), &mut |bytes| {
        let mut state = State::read(bytes);
        state.newest += 1;
        state.taken = 0;
        let is_free = state.holder == Revision::default();
        let is_handed_on = previous == Some(state.holder);
        if state.holder != own && (is_free || is_handed_on) {
            state.pass(own, state.newest);
        }
        place = Place {
            number: state.newest,
            term: if state.holder == own { state.term } else { 0 },
            served: 0,
        };
        Some(state.bytes())
    });
    match update {
        Update::Lost => Place { term: 0, ..place },
        Update::Written(_) | Update::Left => place,
    }
}

/// Whose turn it is at a tick of the newest configuration of a VM.
pub(crate) fn at_tick<H: Host>(
    host: &H,
    plugin: &str,
    own: Revision,
    place: &mut Place,
    traffic: Traffic,
    now: Duration,
) -> Turn {
    let now = u64::try_from(now.as_millis()).unwrap_or_default();
    if traffic == Traffic::Some {
        place.served = now;
    }
    let (mut term, mut is_taken) = (0, false);
    let update = host.update_shared_data(&key(plugin), &mut |bytes| {
        let mut state = State::read(bytes);
        let is_own = state.holder == own;
        is_taken = !is_own && state.is_free_for(*place, traffic, now);
        if is_taken {
            state.pass(own, place.number);
            state.taken += 1;
        }
        term = if is_own || is_taken { state.term } else { 0 };
        let is_news = is_own && traffic == Traffic::Some && now.abs_diff(state.served) >= NEWS;
        if !is_news && !is_taken {
            return None;
        }
        state.served = now;
        Some(state.bytes())
    });
    if is_taken && update == Update::Lost {
        term = 0;
    }
    match (std::mem::replace(&mut place.term, term), term) {
        (_, 0) => Turn::Others,
        (former, term) if term == former => Turn::Own,
        _ => Turn::Anew,
    }
}

fn key(plugin: &str) -> String {
    ["sluice/", plugin, "/turn.1"].concat()
}
