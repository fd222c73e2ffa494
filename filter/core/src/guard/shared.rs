//! What all VMs of a proxy saw of one guarded split within its time, in the proxy's shared data.
//!
//! The key ends in the number of the format. Of the last seconds the identities are kept, so that one
//! that several VMs answered counts once; of those before, the numbers. What is shared belongs to the
//! split's definition and weights: whoever configures begins anew, and responses to requests that were
//! decided before do not count.

use super::seconds::Seconds;
use super::{Evidence, Guard};
use crate::host::{Host, Update};
use crate::index::VariantIndex;
use crate::plan::Split;
use crate::revision::Revision;
use crate::wire::Stamp;

/// Begins a split's seconds anew, unless they are of these weights and definition already. Says what
/// they belong to.
pub(crate) fn begin<H: Host>(host: &H, plugin: &str, split: &Split) -> Stamp {
    let terms = split.stamps.guard.of;
    let mut shared = Stamp::default();
    host.update_shared_data(&key(plugin, split), &mut |bytes| {
        shared = read(bytes).0;
        shared = shared.begun(terms)?;
        Some(written(shared, &Seconds::default()))
    });
    Stamp {
        of: terms,
        ..shared
    }
}

/// Forgets the seconds of a split that is not guarded any more.
pub(crate) fn end<H: Host>(host: &H, plugin: &str, split: &Split) {
    host.update_shared_data(&key(plugin, split), &mut |bytes| {
        let (stamp, _) = read(bytes);
        let ended = written(stamp.next(Revision::default()), &Seconds::default());
        (stamp.of == split.stamps.guard.of).then_some(ended)
    });
}

/// Joins what a VM saw with what the others saw. Which challengers are to be taken out, and why;
/// `None` where others wrote all the time, so that it is to be joined later.
pub(super) fn judge<H: Host>(
    host: &H,
    plugin: &str,
    split: &Split,
    fresh: &Seconds,
) -> Option<Vec<(VariantIndex, Evidence)>> {
    let Some(guard) = split.definition.guard else {
        return Some(Vec::new());
    };
    let mut all = Seconds::default();
    let update = host.update_shared_data(&key(plugin, split), &mut |bytes| {
        let (stamp, shared) = read(bytes);
        if stamp != split.stamps.guard {
            return None;
        }
        all = shared;
        all.join(fresh, guard.within);
        Some(written(stamp, &all))
    });
    match update {
        Update::Lost => None,
        Update::Left => Some(Vec::new()),
        Update::Written(_) => Some(verdicts(split, &guard, &all)),
    }
}

fn verdicts(split: &Split, guard: &Guard, all: &Seconds) -> Vec<(VariantIndex, Evidence)> {
    let challengers = split.definition.named_variants().skip(1);
    let in_use = challengers.filter(|(variant, _)| split.serves(*variant));
    in_use
        .filter_map(|(variant, _)| {
            let evidence = guard.verdict(&all.strata(variant, guard.within, split))?;
            Some((variant, evidence))
        })
        .collect()
}

fn read(mut bytes: &[u8]) -> (Stamp, Seconds) {
    (Stamp::read(&mut bytes), Seconds::read(bytes))
}

fn written(stamp: Stamp, seconds: &Seconds) -> Vec<u8> {
    let mut bytes = stamp.bytes().to_vec();
    seconds.write(&mut bytes);
    bytes
}

fn key(plugin: &str, split: &Split) -> String {
    ["sluice/", plugin, "/guard.1/", &split.definition.name].concat()
}
