//! Splits by host: one look-up finds all that apply, whatever their number.
//!
//! Exact, wildcard and hostless splits all apply to a request; the index holds the choice among
//! them for every name that the configuration mentions. At most [`MAX_SPLITS_PER_HOST`] are served
//! on a host, those with a mistake last, so that one team's mistake takes no other team's place.

use std::collections::{BTreeMap, HashMap};

use fnv::FnvBuildHasher;

use super::authority::{Readings, is_normalized, normalized, plain_host, service_of};
use super::{Hosts, MAX_HOST_BYTES, MatchHost};
use crate::config::MAX_SPLITS;
use crate::index::SplitIndex;
use crate::request::Bytes;

/// The most splits that may apply to one host; beyond, see docs/limits.md.
pub const MAX_SPLITS_PER_HOST: usize = 16;

/// What a split wants: to set this header on these hosts.
#[derive(Clone, Copy, Debug)]
pub struct Claim<'a> {
    /// Where. `None`: it finds no room in the index; its header is removed on every host.
    pub hosts: Option<&'a Hosts>,
    /// The header, in lower case.
    pub header: &'a str,
    /// Whether it yields to those that are not.
    pub is_broken: bool,
}

/// A split that is not served on some host, because it is one too many there or clashes with
/// another.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LeftOut {
    /// Where; `None` is every host that no split names. The most general one, of several.
    pub host: Option<MatchHost>,
    /// The split.
    pub split: SplitIndex,
    /// The split whose header it shares there; `None`: it is beyond the sixteenth.
    pub clashes_with: Option<SplitIndex>,
}

/// Splits by host.
#[derive(Clone, Debug, Default)]
pub struct HostIndex {
    exact: HashMap<Box<[u8]>, Place, FnvBuildHasher>,
    /// By suffix, without the dot before it.
    below: HashMap<Box<[u8]>, Place, FnvBuildHasher>,
    /// The first is that of every host that no split names.
    entries: Vec<Entry>,
    /// Those that found no room here at all.
    without_room: Vec<SplitIndex>,
    has_services: bool,
}

/// Where in the index a host was found.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Place(u32);

/// Where in the index a request was found: the place by which it is decided, and others by which
/// it might be routed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Places {
    served: Place,
    /// The same as `served` where there is no doubt.
    doubtful: [Place; 3],
}

impl Places {
    const fn at(served: Place) -> Self {
        Self {
            served,
            doubtful: [served; 3],
        }
    }
}

/// The splits of one name.
#[derive(Clone, Debug, Default)]
struct Entry {
    /// Those that are served, by their places.
    splits: Served,
    /// Those that found no place here, though they are served, or named, above or here.
    displaced: Box<[SplitIndex]>,
    /// The nearest name above.
    above: Option<Place>,
    is_service: bool,
}

/// The splits that are served under a name. Nearly always one, which then stands with the name: that
/// saves a look into memory.
#[derive(Clone, Debug)]
enum Served {
    One([SplitIndex; 1]),
    These(Box<[SplitIndex]>),
}

impl Default for Served {
    fn default() -> Self {
        Self::These(Box::default())
    }
}

impl Served {
    fn of(splits: Box<[SplitIndex]>) -> Self {
        match *splits {
            [one] => Self::One([one]),
            _ => Self::These(splits),
        }
    }

    fn splits(&self) -> &[SplitIndex] {
        match self {
            Self::One(one) => one,
            Self::These(splits) => splits,
        }
    }
}

impl HostIndex {
    /// The index of the splits with these claims, in the order of their places. Also says which
    /// were left out on some host, each once; they do not apply there.
    pub fn build(claims: &[Claim<'_>]) -> (Self, Vec<LeftOut>) {
        let mut builder = Builder::new(claims);
        let (every_host, named) = builder.by_name();
        builder.add(None, &every_host, None);
        for (key, own) in &named {
            builder.add_named(key, own);
        }
        let left_out = builder.left_out.into_iter().flatten().collect();
        (builder.index, left_out)
    }

    /// Whether the host matters at all.
    pub fn needs_authority(&self) -> bool {
        self.entries.len() > 1
    }

    /// Where the splits for a request stand. `virtual_host` is asked where the authority is no
    /// name of a service: Istio gives a service's virtual host more domains than one can know.
    pub fn places<'a>(
        &self,
        authority: Option<&[u8]>,
        virtual_host: impl FnOnce() -> Option<Bytes<'a>>,
    ) -> Places {
        if !self.needs_authority() {
            return Places::default();
        }
        let authority = authority.unwrap_or_default();
        let mut places = match plain_host(authority) {
            Some(host) => Places::at(self.place(host)),
            None => self.places_of_readings(authority),
        };
        let is_service = || {
            self.entry(places.served)
                .is_some_and(|entry| entry.is_service)
        };
        if self.has_services && !is_service() {
            let service = virtual_host().and_then(|name| self.service(&name));
            places.served = service.unwrap_or(places.served);
        }
        places
    }

    fn places_of_readings(&self, authority: &[u8]) -> Places {
        let readings = Readings::of(authority);
        let [first, second] = readings.others.map(|other| self.place(other));
        let host = self.place(readings.host);
        Places {
            served: host,
            doubtful: [host, first, second],
        }
    }

    /// The splits that are decided there, in the order of their places.
    pub fn splits(&self, places: Places) -> &[SplitIndex] {
        self.entry(places.served)
            .map_or(&[], |entry| entry.splits.splits())
    }

    /// The splits whose headers must be removed before those of [`HostIndex::splits`] are set, each
    /// once: they apply there, and found no place. A client's own value would survive otherwise.
    pub fn left_out(&self, places: Places) -> Vec<SplitIndex> {
        let mut all = Distinct::without(self.splits(places));
        all.add(&self.without_room);
        self.add_displaced(places.served, &mut all);
        let mut last = places.served;
        for place in places.doubtful {
            if place != std::mem::replace(&mut last, place) {
                if let Some(entry) = self.entry(place) {
                    all.add(entry.splits.splits());
                }
                self.add_displaced(place, &mut all);
            }
        }
        all.splits
    }

    fn add_displaced(&self, place: Place, all: &mut Distinct) {
        let mut next = Some(place);
        while let Some(entry) = next.and_then(|place| self.entry(place)) {
            all.add(&entry.displaced);
            next = entry.above;
        }
    }

    fn entry(&self, place: Place) -> Option<&Entry> {
        self.entries.get(usize::try_from(place.0).ok()?)
    }

    fn place(&self, host: &[u8]) -> Place {
        // Nearly all hosts come as they are looked up, and are named if they matter.
        let found = match self.exact.get(host) {
            None if is_normalized(host) => self.above(host),
            None => return self.place_of_unusual(host),
            found => found,
        };
        found.copied().unwrap_or_default()
    }

    fn place_of_unusual(&self, host: &[u8]) -> Place {
        let mut buffer = [0; MAX_HOST_BYTES];
        let host = normalized(host, &mut buffer);
        let exact = self.exact.get(host.name).filter(|_| host.is_whole);
        let found = exact.or_else(|| self.above(host.name));
        found.copied().unwrap_or_default()
    }

    fn above(&self, host: &[u8]) -> Option<&Place> {
        if self.below.is_empty() {
            return None;
        }
        let dots = host
            .iter()
            .enumerate()
            .skip(1)
            .filter(|(_, byte)| **byte == b'.');
        dots.filter_map(|(at, _)| self.below.get(host.get(at + 1..)?))
            .next()
    }

    fn service(&self, virtual_host: &[u8]) -> Option<Place> {
        let place = self.place(service_of(virtual_host)?);
        self.entry(place)?.is_service.then_some(place)
    }
}

/// Splits in the order in which they come, each once.
struct Distinct {
    splits: Vec<SplitIndex>,
    /// A bit for each split of a plan.
    known: [u64; MAX_SPLITS.div_ceil(64)],
}

impl Distinct {
    fn without(splits: &[SplitIndex]) -> Self {
        let mut all = Self {
            splits: Vec::new(),
            known: Default::default(),
        };
        for &split in splits {
            all.is_new(split);
        }
        all
    }

    fn add(&mut self, splits: &[SplitIndex]) {
        for &split in splits {
            if self.is_new(split) {
                self.splits.push(split);
            }
        }
    }

    fn is_new(&mut self, split: SplitIndex) -> bool {
        let number = usize::from(split);
        let Some(known) = self.known.get_mut(number / 64) else {
            return false;
        };
        let bit = 1 << (number % 64);
        let is_new = *known & bit == 0;
        *known |= bit;
        is_new
    }
}

/// Exact names after wildcards, longer names after shorter: whatever stands above a name comes
/// before it.
type Key<'a> = (bool, usize, &'a str);

/// The splits that name a host, by their ranks: those without a mistake first.
#[derive(Default)]
struct Own {
    ranks: Vec<u16>,
    is_service: bool,
}

struct Builder<'c, 'a> {
    claims: &'c [Claim<'a>],
    /// The splits by rank, and the ranks by split.
    ranked: Vec<SplitIndex>,
    index: HostIndex,
    /// By place: the ranks of those that are served.
    kept: Vec<Vec<u16>>,
    /// By split.
    left_out: Vec<Option<LeftOut>>,
}

impl<'c, 'a> Builder<'c, 'a> {
    fn new(claims: &'c [Claim<'a>]) -> Self {
        let with_places = || (0_u16..).map(SplitIndex::new).zip(claims);
        let healthy = with_places().filter(|(_, claim)| !claim.is_broken);
        let broken = with_places().filter(|(_, claim)| claim.is_broken);
        Self {
            claims,
            ranked: healthy.chain(broken).map(|(split, _)| split).collect(),
            index: HostIndex::default(),
            kept: Vec::new(),
            left_out: claims.iter().map(|_| None).collect(),
        }
    }

    fn claim(&self, rank: u16) -> Option<(SplitIndex, Claim<'a>)> {
        let split = *self.ranked.get(usize::from(rank))?;
        Some((split, *self.claims.get(usize::from(split))?))
    }

    fn header(&self, rank: u16) -> &'a str {
        self.claim(rank).map_or("", |(_, claim)| claim.header)
    }

    /// Who names no host, and who names which. Notes who has no room.
    fn by_name(&mut self) -> (Own, BTreeMap<Key<'a>, Own>) {
        let mut every_host = Own::default();
        let mut named: BTreeMap<Key<'a>, Own> = BTreeMap::new();
        for rank in 0..u16::try_from(self.ranked.len()).unwrap_or(u16::MAX) {
            let Some((split, claim)) = self.claim(rank) else {
                continue;
            };
            let hosts = match claim.hosts {
                None => {
                    self.index.without_room.push(split);
                    continue;
                }
                Some(Hosts::Every) => {
                    every_host.ranks.push(rank);
                    continue;
                }
                Some(Hosts::These(hosts)) => hosts,
            };
            for host in hosts {
                let name = host.name();
                let is_exact = !matches!(host, MatchHost::Suffix(_));
                let own = named.entry((is_exact, name.len(), name)).or_default();
                own.is_service |= matches!(host, MatchHost::Service(_));
                if own.ranks.last() != Some(&rank) {
                    own.ranks.push(rank);
                }
            }
        }
        (every_host, named)
    }

    fn add_named(&mut self, &(is_exact, _, name): &Key<'a>, own: &Own) {
        let above = suffixes(name).find_map(|suffix| self.index.below.get(suffix.as_bytes()));
        let above = above.copied().unwrap_or_default();
        let host = match (is_exact, own.is_service) {
            (false, _) => MatchHost::Suffix(name.into()),
            (true, false) => MatchHost::Exact(name.into()),
            (true, true) => MatchHost::Service(name.into()),
        };
        let place = self.add(Some(host), own, Some(above));
        let named = if is_exact {
            &mut self.index.exact
        } else {
            &mut self.index.below
        };
        named.insert(name.as_bytes().into(), place);
        self.index.has_services |= own.is_service;
    }

    /// Chooses among those that name a host and those that are served above. Who is not served
    /// above is not served here either: whoever took its place there precedes it here too.
    fn add(&mut self, host: Option<MatchHost>, own: &Own, above: Option<Place>) -> Place {
        let of_above = above.and_then(|place| self.kept.get(usize::try_from(place.0).ok()?));
        let candidates = merged(&own.ranks, of_above.map_or(&[], Vec::as_slice));
        let mut kept: Vec<u16> = Vec::with_capacity(candidates.len().min(MAX_SPLITS_PER_HOST));
        let mut displaced = Vec::new();
        for rank in candidates {
            let has_header = |other: &u16| self.header(*other) == self.header(rank);
            let clashes_with = kept.iter().copied().find(has_header);
            if clashes_with.is_none() && kept.len() < MAX_SPLITS_PER_HOST {
                kept.push(rank);
                continue;
            }
            if clashes_with.is_none() {
                displaced.extend(self.claim(rank).map(|(split, _)| split));
            }
            self.leave_out(host.as_ref(), rank, clashes_with);
        }
        let place = Place(u32::try_from(self.index.entries.len()).unwrap_or(0));
        self.index.entries.push(Entry {
            splits: Served::of(in_order(
                kept.iter().filter_map(|&rank| Some(self.claim(rank)?.0)),
            )),
            displaced: displaced.into_boxed_slice(),
            above,
            is_service: own.is_service,
        });
        self.kept.push(kept);
        place
    }

    fn leave_out(&mut self, host: Option<&MatchHost>, rank: u16, clashes_with: Option<u16>) {
        let Some((split, _)) = self.claim(rank) else {
            return;
        };
        let clashes_with = clashes_with.and_then(|rank| Some(self.claim(rank)?.0));
        if let Some(slot @ None) = self.left_out.get_mut(usize::from(split)) {
            *slot = Some(LeftOut {
                host: host.cloned(),
                split,
                clashes_with,
            });
        }
    }
}

/// Two ascending lists as one, each rank once.
fn merged(one: &[u16], other: &[u16]) -> Vec<u16> {
    let mut all = Vec::with_capacity(one.len() + other.len());
    let (mut one, mut other) = (one.iter().peekable(), other.iter().peekable());
    loop {
        let next = match (one.peek(), other.peek()) {
            (None, None) => return all,
            (Some(&&rank), None) | (None, Some(&&rank)) => rank,
            (Some(&&left), Some(&&right)) => left.min(right),
        };
        all.push(next);
        one.next_if(|&&rank| rank == next);
        other.next_if(|&&rank| rank == next);
    }
}

/// The splits by place. They come almost in order, and `sort` would cost 3 KB of the module.
fn in_order(splits: impl Iterator<Item = SplitIndex>) -> Box<[SplitIndex]> {
    let mut all = Vec::new();
    for split in splits {
        if let Err(at) = all.binary_search(&split) {
            all.insert(at, split);
        }
    }
    all.into_boxed_slice()
}

/// The suffixes by which a host is below others, longest first: `b.c` and `c` for `a.b.c`.
fn suffixes(host: &str) -> impl Iterator<Item = &str> {
    host.match_indices('.')
        .filter_map(|(at, _)| host.get(at + 1..))
}

#[cfg(test)]
mod tests;
