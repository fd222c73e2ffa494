//! Which challengers of a plugin's splits this proxy has taken out, in its shared data.
//!
//! Whoever judges keeps a trip, all VMs follow it at their next tick, and whoever is configured with
//! other weights or another definition ends it. The one whose write it was says so.

use super::Evidence;
use crate::host::{Host, Level, Update};
use crate::index::{SplitIndex, VariantIndex};
use crate::plan::{Plan, Split};
use crate::revision::Revision;
use crate::wire;

/// A challenger that is to be taken out.
pub(super) struct Trip<'p> {
    pub(super) split: &'p Split,
    pub(super) variant: VariantIndex,
    pub(super) evidence: Evidence,
}

/// A challenger that is out. By name: the configuration that ends it may not know it any more.
#[derive(Clone, Debug, PartialEq)]
struct Out {
    split: Box<str>,
    /// The split's definition and weights.
    terms: Revision,
    challenger: Box<str>,
}

/// Takes a challenger out of this proxy, until the split's weights or definition change. Whether that
/// is new.
pub(super) fn keep<H: Host>(host: &H, plugin: &str, trip: &Trip<'_>) -> bool {
    let out = Out::new(trip.split, trip.variant);
    let update = host.update_shared_data(&key(plugin), &mut |bytes| {
        let mut all = read(bytes);
        let is_new = !all.contains(&out);
        all.push(out.clone());
        is_new.then(|| bytes_of(&all))
    });
    let is_new = matches!(update, Update::Written(_));
    if is_new {
        let line = format!("sluice {plugin}: {}", in_words(trip));
        host.log(Level::Warning, &line);
    }
    is_new
}

/// Every challenger that is out, as its split's and its own name.
pub(crate) fn out<H: Host>(host: &H, plugin: &str) -> Vec<(String, String)> {
    let bytes = host.shared_data(&key(plugin)).unwrap_or_default();
    let names = |out: Out| (out.split.into(), out.challenger.into());
    read(&bytes).into_iter().map(names).collect()
}

fn in_words(trip: &Trip<'_>) -> String {
    let definition = &trip.split.definition;
    let Evidence {
        seconds,
        challenger,
        fallback,
    } = trip.evidence;
    let fallback_name = definition.variant_name(VariantIndex::FALLBACK);
    format!(
        "split {}: {} is taken out of this proxy, as if its weight were 0, until the split's weights \
         or definition change: {} of {} responses failed within {seconds} s, and {} of {} of \
         {fallback_name}",
        definition.name,
        definition.variant_name(trip.variant),
        challenger.failed,
        challenger.responses,
        fallback.failed,
        fallback.responses,
    )
}

/// Ends the trips of splits whose weights or definition are other ones now, keeps those of the plan,
/// and shows them.
pub(crate) fn configured<H: Host>(host: &H, plugin: &str, plan: &mut Plan) {
    let own: Vec<Out> = Out::all_of(plan).collect();
    let mut ended = Vec::new();
    host.update_shared_data(&key(plugin), &mut |bytes| {
        let mut all = read(bytes);
        ended = all
            .extract_if(.., |out| out.place(plan).is_none())
            .collect();
        let missing: Vec<Out> = own
            .iter()
            .filter(|out| !all.contains(out))
            .cloned()
            .collect();
        // Also before the first trip: what is there can be compared with.
        let is_first = bytes.is_empty() && plan.is_guarded();
        let is_changed = !ended.is_empty() || !missing.is_empty();
        all.extend(missing);
        (is_changed || is_first).then(|| bytes_of(&all))
    });
    for Out {
        split, challenger, ..
    } in &ended
    {
        let labels: [(&str, &str); 3] = [
            ("plugin", plugin),
            ("split", split),
            ("variant", challenger),
        ];
        host.set_gauge("tripped", &labels, 0);
        let line = format!(
            "sluice {plugin}: split {split}: other weights or another definition end that \
             {challenger} is taken out"
        );
        host.log(Level::Warning, &line);
    }
    follow(host, plugin, plan);
    for split in plan.splits().iter().filter(|split| split.is_guarded()) {
        show(host, plugin, split);
    }
}

/// Takes out of a plan what another VM took out.
pub(crate) fn follow<H: Host>(host: &H, plugin: &str, plan: &mut Plan) {
    let Some(bytes) = host.shared_data(&key(plugin)) else {
        return;
    };
    for out in read(&bytes) {
        let Some((index, variant)) = out.place(plan) else {
            continue;
        };
        if plan.trip(index, variant)
            && let Some(split) = plan.split(index)
        {
            show(host, plugin, split);
        }
    }
}

fn show<H: Host>(host: &H, plugin: &str, split: &Split) {
    let definition = &split.definition;
    for (variant, name) in definition.named_variants().skip(1) {
        let labels = [
            ("plugin", plugin),
            ("split", &*definition.name),
            ("variant", name),
        ];
        host.set_gauge("tripped", &labels, u64::from(split.is_tripped(variant)));
    }
}

impl Out {
    /// The challengers that are out of a plan.
    fn all_of(plan: &Plan) -> impl Iterator<Item = Self> + '_ {
        plan.splits().iter().flat_map(|split| {
            let challengers = split.definition.named_variants().skip(1);
            let out = challengers.filter(|(variant, _)| split.is_tripped(*variant));
            out.map(|(variant, _)| Self::new(split, variant))
        })
    }

    fn new(split: &Split, challenger: VariantIndex) -> Self {
        let definition = &split.definition;
        Self {
            split: definition.name.clone(),
            terms: split.stamps.guard.of,
            challenger: definition.variant_name(challenger).into(),
        }
    }

    /// Which split and challenger of a plan it is; none where the split is another one now.
    fn place(&self, plan: &Plan) -> Option<(SplitIndex, VariantIndex)> {
        let index = plan.index_of(&self.split)?;
        let split = plan
            .split(index)
            .filter(|split| split.stamps.guard.of == self.terms)?;
        let variant = split.definition.variant(self.challenger.as_bytes())?;
        Some((index, variant))
    }
}

fn read(mut bytes: &[u8]) -> Vec<Out> {
    let mut all = Vec::new();
    while let Some(out) = read_one(&mut bytes) {
        all.push(out);
    }
    all
}

fn read_one(bytes: &mut &[u8]) -> Option<Out> {
    Some(Out {
        split: wire::name(bytes)?,
        terms: Revision::from_gauge(wire::number(bytes)?),
        challenger: wire::name(bytes)?,
    })
}

fn bytes_of(all: &[Out]) -> Vec<u8> {
    let mut bytes = Vec::new();
    for out in all {
        wire::push_name(&mut bytes, &out.split);
        bytes.extend_from_slice(&out.terms.as_gauge().to_le_bytes());
        wire::push_name(&mut bytes, &out.challenger);
    }
    bytes
}

fn key(plugin: &str) -> String {
    ["sluice/", plugin, "/trips.1"].concat()
}
