//! One split's users as bytes in a proxy's shared data.

use super::Users;
use crate::wire::{Stamp, name, push_name, take};

/// Users since a split last changed.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Shared {
    /// The split's definition, weights and draw, and which time they are served.
    pub(super) stamp: Stamp,
    pub(super) entries: Vec<Entry>,
}

/// The users of one audience and variant. Named, since another configuration may have them in
/// another order.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Entry {
    pub(super) audience: Box<str>,
    pub(super) variant: Box<str>,
    pub(super) users: Users,
}

impl Entry {
    fn is_like(&self, other: &Self) -> bool {
        self.audience == other.audience && self.variant == other.variant
    }
}

impl Shared {
    /// Nobody yet.
    pub(super) fn begun(stamp: Stamp) -> Self {
        Self {
            stamp,
            entries: Vec::new(),
        }
    }

    /// The users of the audience and variant of `entry`.
    pub(super) fn of(&self, entry: &Entry) -> Option<&Users> {
        let mut like = self.entries.iter().filter(|own| own.is_like(entry));
        like.next().map(|own| &own.users)
    }

    /// Takes over what a VM saw. Whether that changed anything.
    pub(super) fn join(&mut self, others: &[Entry]) -> bool {
        let mut is_changed = false;
        for other in others {
            is_changed |= match self.entries.iter_mut().find(|own| own.is_like(other)) {
                Some(own) => own.users.join(&other.users),
                None => {
                    self.entries.push(other.clone());
                    true
                }
            };
        }
        is_changed
    }

    /// What [`Shared::read`] reads.
    pub(super) fn bytes(&self) -> Vec<u8> {
        let mut bytes = self.stamp.bytes().to_vec();
        for entry in &self.entries {
            push_name(&mut bytes, &entry.audience);
            push_name(&mut bytes, &entry.variant);
            bytes.extend_from_slice(&entry.users.failed);
            bytes.extend_from_slice(&entry.users.registers);
        }
        bytes
    }

    /// What was written; nothing of what cannot be read.
    pub(super) fn read(mut bytes: &[u8]) -> Self {
        let mut shared = Self::begun(Stamp::read(&mut bytes));
        while let Some(entry) = entry(&mut bytes) {
            shared.entries.push(entry);
        }
        shared
    }
}

fn entry(bytes: &mut &[u8]) -> Option<Entry> {
    Some(Entry {
        audience: name(bytes)?,
        variant: name(bytes)?,
        users: Users {
            failed: take(bytes)?,
            registers: take(bytes)?,
        },
    })
}
