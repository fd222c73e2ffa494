//! The users of one proxy, over all its VMs: each VM keeps what it saw and joins it at each flush with
//! what lies in the proxy's shared data, whence it is exported.
//!
//! What is shared belongs to one generation of a split, which is a fingerprint of its definition,
//! weights and draw as they are written: whoever configures begins a new one, for both variants
//! together; a request that was decided before does not count any more. Whoever writes shows in
//! gauges what it changed, and looks again whether another wrote meanwhile: the last one to look
//! shows what is there.

use std::collections::HashMap;

use fnv::FnvBuildHasher;

use super::wire::{Entry, Shared};
use super::{FAILED_WORDS, Outcome, Users};
use crate::bucket::Point;
use crate::decide::Audience;
use crate::host::{Host, Update};
use crate::index::{SplitIndex, VariantIndex};
use crate::plan::{Plan, Split};
use crate::revision::Revision;
use crate::wire::Stamp;

/// The most sketches a VM keeps of one configuration; of later ones, only those of everyone, so that a
/// split with many audiences takes the room of no other's. Chosen: hundreds of splits in use, and with
/// the names of their series a few megabytes.
pub const MAX_SKETCHES: usize = 1_024;

/// How often a writer looks again whether another wrote meanwhile.
const LOOKS: usize = 8;

/// What one VM saw of users under one configuration.
#[derive(Default)]
pub(crate) struct SeenUsers {
    splits: HashMap<SplitIndex, SeenOfSplit, FnvBuildHasher>,
    sketches: usize,
    /// The splits that have changed since the last flush.
    changed: Vec<SplitIndex>,
}

/// A handful: an audience and variant that occur, and whom they answered.
#[derive(Default)]
struct SeenOfSplit {
    sketches: Vec<(Audience, VariantIndex, Users)>,
    /// The audiences of whom some user found no sketch since the last flush.
    left_out: Vec<Audience>,
    is_changed: bool,
}

impl SeenUsers {
    /// Counts a user's response.
    pub(crate) fn add(
        &mut self,
        split: SplitIndex,
        audience: Audience,
        variant: VariantIndex,
        user: Point,
        outcome: Outcome,
    ) {
        self.change(split, audience, variant, |users| users.add(user, outcome));
    }

    /// Joins the users whom another saw.
    pub(crate) fn join(
        &mut self,
        split: SplitIndex,
        audience: Audience,
        variant: VariantIndex,
        others: &Users,
    ) {
        self.change(split, audience, variant, |users| users.join(others));
    }

    /// Notes that a user of an audience found no sketch.
    pub(crate) fn leave_out(&mut self, split: SplitIndex, audience: Audience) {
        let seen = self.splits.entry(split).or_default();
        if !seen.left_out.contains(&audience) {
            seen.left_out.push(audience);
            if !seen.is_changed {
                seen.is_changed = true;
                self.changed.push(split);
            }
        }
    }

    /// Changes a sketch, which begins with nobody; `change` says whether it did.
    fn change(
        &mut self,
        split: SplitIndex,
        audience: Audience,
        variant: VariantIndex,
        change: impl FnOnce(&mut Users) -> bool,
    ) {
        let seen = self.splits.entry(split).or_default();
        let mut own = seen.sketches.iter_mut();
        let own = own.find(|(own, of, _)| *own == audience && *of == variant);
        let is_changed = match own {
            Some((_, _, users)) => change(users),
            None if self.sketches < MAX_SKETCHES || audience == Audience::Everyone => {
                let mut users = Users::default();
                change(&mut users);
                seen.sketches.push((audience, variant, users));
                self.sketches += 1;
                true
            }
            None => return self.leave_out(split, audience),
        };
        if is_changed && !seen.is_changed {
            seen.is_changed = true;
            self.changed.push(split);
        }
    }

    /// Hands over everything again at the next flush: what is shared was begun anew.
    pub(crate) fn hand_over_again(&mut self) {
        self.changed.clear();
        for (&split, seen) in &mut self.splits {
            seen.is_changed = true;
            self.changed.push(split);
        }
    }

    /// How many sketches it keeps.
    #[cfg(test)]
    pub(super) fn sketches(&self) -> usize {
        self.sketches
    }

    /// Joins what is new with what the proxy's other VMs saw, and shows it.
    pub(crate) fn flush<H: Host>(&mut self, host: &H, plugin: &str, plan: &Plan) {
        for index in std::mem::take(&mut self.changed) {
            let (Some(split), Some(seen)) = (plan.split(index), self.splits.get_mut(&index)) else {
                continue;
            };
            let named = |(audience, variant, users): &(Audience, VariantIndex, Users)| Entry {
                audience: audience.name(&split.definition).into(),
                variant: split.definition.variant_name(*variant).into(),
                users: users.clone(),
            };
            let own: Vec<Entry> = seen.sketches.iter().map(named).collect();
            for audience in seen.left_out.drain(..) {
                show_left_out(host, plugin, split, audience.name(&split.definition));
            }
            seen.is_changed = join(host, plugin, split, &own) == Update::Lost;
            if seen.is_changed {
                self.changed.push(index);
            }
        }
    }
}

/// Begins a split's users anew, unless they are of this generation already, and shows them. Says what
/// they are counted for.
pub(crate) fn begin<H: Host>(host: &H, plugin: &str, split: &Split) -> Stamp {
    let mut before = Shared::default();
    let update = host.update_shared_data(&key(plugin, split), &mut |bytes| {
        before = Shared::read(bytes);
        let begun = before.stamp.begun(split.generation())?;
        Some(Shared::begun(begun).bytes())
    });
    // Also where nothing was written: a filter whose code was replaced finds its gauges gone.
    let (from, shown) = match update {
        Update::Written(written) => (before, written),
        Update::Left | Update::Lost => (Shared::default(), before.bytes()),
    };
    let shared = Shared::read(&shown).stamp;
    show(host, plugin, split, from, shown);
    show_generation(host, plugin, split, split.generation());
    Stamp {
        of: split.generation(),
        ..shared
    }
}

/// Takes a split's users away, which are not kept any more.
pub(crate) fn end<H: Host>(host: &H, plugin: &str, split: &Split) {
    let mut before = Shared::default();
    let update = host.update_shared_data(&key(plugin, split), &mut |bytes| {
        before = Shared::read(bytes);
        let ended = Shared::begun(before.stamp.next(Revision::default()));
        (before.stamp.of == split.generation()).then(|| ended.bytes())
    });
    if let Update::Written(written) = update {
        show(host, plugin, split, before, written);
        show_generation(host, plugin, split, Revision::default());
    }
}

fn join<H: Host>(host: &H, plugin: &str, split: &Split, own: &[Entry]) -> Update {
    let mut before = Shared::default();
    let update = host.update_shared_data(&key(plugin, split), &mut |bytes| {
        before = Shared::read(bytes);
        let mut joined = before.clone();
        let is_ours = before.stamp == split.stamps.users;
        let is_changed = is_ours && joined.join(own);
        is_changed.then(|| joined.bytes())
    });
    if let Update::Written(written) = &update {
        show(host, plugin, split, before, written.clone());
    }
    update
}

/// Shows what was written over `from`, and what others have written since.
fn show<H: Host>(host: &H, plugin: &str, split: &Split, mut from: Shared, written: Vec<u8>) {
    let mut bytes = written;
    for _ in 0..LOOKS {
        let to = Shared::read(&bytes);
        show_words(host, plugin, split, &from, &to);
        let now = host.shared_data(&key(plugin, split)).unwrap_or_default();
        if now == bytes {
            return;
        }
        (from, bytes) = (to, now);
    }
}

fn show_words<H: Host>(host: &H, plugin: &str, split: &Split, from: &Shared, to: &Shared) {
    let nobody = Users::default();
    let gone = from.entries.iter().filter(|entry| to.of(entry).is_none());
    for entry in to.entries.iter().chain(gone) {
        let former = from.of(entry).unwrap_or(&nobody);
        let latter = to.of(entry).unwrap_or(&nobody);
        if former == latter {
            continue;
        }
        let words = |name, former: &[u64], latter: &[u64]| {
            for ((former, latter), word) in former.iter().zip(latter).zip(WORDS) {
                if former != latter {
                    let labels = [
                        ("plugin", plugin),
                        ("split", &*split.definition.name),
                        ("audience", &*entry.audience),
                        ("variant", &*entry.variant),
                        ("word", word),
                    ];
                    host.set_gauge(name, &labels, *latter);
                }
            }
        };
        words(
            "failed_users_word",
            &former.failed_words(),
            &latter.failed_words(),
        );
        words("users_word", &former.users_words(), &latter.users_words());
    }
}

/// Which change of the split the users are counted since. It has the label of words too: where a
/// proxy's configuration does not name that one, neither can be read, instead of nobody being seen.
fn show_generation<H: Host>(host: &H, plugin: &str, split: &Split, generation: Revision) {
    let labels = [
        ("plugin", plugin),
        ("split", &*split.definition.name),
        ("word", "0"),
    ];
    host.set_gauge("users_generation", &labels, generation.as_gauge());
}

/// Since which change of the split some users of an audience are not counted.
fn show_left_out<H: Host>(host: &H, plugin: &str, split: &Split, audience: &str) {
    let labels = [
        ("plugin", plugin),
        ("split", &*split.definition.name),
        ("audience", audience),
    ];
    host.set_gauge("users_left_out", &labels, split.generation().as_gauge());
}

/// The label of each word.
const WORDS: [&str; FAILED_WORDS] = [
    "0", "1", "2", "3", "4", "5", "6", "7", "8", "9", "10", "11", "12", "13", "14", "15", "16",
    "17", "18", "19", "20", "21",
];

/// Ends in the number of the format.
fn key(plugin: &str, split: &Split) -> String {
    ["sluice/", plugin, "/users.1/", &split.definition.name].concat()
}
