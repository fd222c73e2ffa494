//! From a document to what decides requests: who owns which buckets, and which split applies where.
//!
//! Validates what is allowed together, and reports every problem. Definitions that are unchanged
//! are taken over from the previous plan, so that a change of weights compiles nothing again.
//! Called by the filter at each configuration and by the `sluice` binary wherever it must know what
//! a configuration means.

pub mod brake;
pub mod cookie;
mod weights;

use std::collections::HashMap;
use std::sync::Arc;

use fnv::FnvBuildHasher;
use serde_json::Value;

use crate::allocation::Allocation;
use crate::bucket::Seed;
use crate::config::Document;
use crate::decode::{Decode as _, below};
use crate::definition::{Common, Definition, MAX_HOSTS};
use crate::hosts::{Claim, HostIndex, Hosts, LeftOut, MAX_SPLITS_PER_HOST};
use crate::index::{SplitIndex, VariantIndex, Variants};
use crate::pattern::Patterns;
use crate::problem::{Accepted, MAX_PROBLEMS, Problem};
use crate::revision::{Revision, canonical};
use crate::turn::Place;
use crate::wire::Stamp;
use cookie::Cookie;
use weights::Allocations;

/// The most hosts and services that all splits of a document may name together; see docs/limits.md.
pub const MAX_ALL_HOSTS: usize = 8_000;

/// The most problems of a configuration that are kept; all are counted. Chosen: more than anybody
/// reads, and little of a VM.
const MAX_KEPT_PROBLEMS: usize = 1_000;

/// The audience of whoever matches no rule.
pub const EVERYONE: &str = "everyone";

/// Where a filter runs: what Envoy's node says of itself.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Node {
    /// What kind of proxy it is.
    pub kind: NodeKind,
    /// The Kubernetes namespace of the proxy.
    pub namespace: Option<String>,
}

/// The kinds of proxies, as Istio's node ids begin.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum NodeKind {
    /// A gateway (`router~`), or an Envoy that is not Istio's.
    #[default]
    Gateway,
    /// A caller's sidecar (`sidecar~`).
    Sidecar,
    /// A waypoint (`waypoint~`).
    Waypoint,
}

impl NodeKind {
    /// The kind that a node id names.
    pub fn of_node_id(id: &[u8]) -> Self {
        if id.starts_with(b"sidecar~") {
            Self::Sidecar
        } else if id.starts_with(b"waypoint~") {
            Self::Waypoint
        } else {
            Self::Gateway
        }
    }
}

/// One split with its weights.
#[derive(Clone, Debug)]
pub struct Split {
    /// The split without its weights.
    pub definition: Arc<Definition>,
    /// The hash of salt and draw.
    pub seed: Seed,
    /// What tells apart what is seen of it before a change and after it.
    pub(crate) stamps: Stamps,
    allocations: Allocations,
    /// The challengers that the guard took out.
    tripped: Variants,
    /// The challengers that somebody braked.
    braked: Variants,
    /// What the weights say, where a challenger is out.
    written: Option<Box<Allocations>>,
}

/// What is seen of a split's responses belongs to these; of none, where nobody looks at them.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Stamps {
    /// Its users, and brakes: to definition, weights and draw.
    pub(crate) users: Stamp,
    /// What its guard sees: to definition and weights.
    pub(crate) guard: Stamp,
}

impl Stamps {
    /// Not served yet, so of no epoch.
    fn of(definition: &str, weights: Option<&Value>, draw: Option<&Value>) -> Self {
        let weights = weights.map(canonical).unwrap_or_default();
        let draw = draw.map(canonical).unwrap_or_default();
        Self {
            users: Stamp::unserved(Revision::of_texts(&[definition, &weights, &draw])),
            guard: Stamp::unserved(Revision::of_texts(&[definition, &weights])),
        }
    }
}

impl Split {
    /// Fingerprint of definition, weights and draw, which its users are counted for, while its
    /// responses are measured or it is guarded.
    pub fn generation(&self) -> Revision {
        self.stamps.users.of
    }

    /// Whether anybody is given a variant.
    pub fn serves(&self, variant: VariantIndex) -> bool {
        self.allocations.serve(variant)
    }

    /// The same fingerprint, for brakes; there where the plan has any.
    pub(crate) fn terms(&self) -> Revision {
        self.stamps.users.of
    }

    /// Whether the weights give anybody a variant, in force or not.
    pub(crate) fn is_given(&self, variant: VariantIndex) -> bool {
        let written = self.written.as_deref();
        written.unwrap_or(&self.allocations).serve(variant)
    }

    /// The challengers that are braked.
    pub(crate) fn braked(&self) -> Variants {
        self.braked
    }

    /// Whether a challenger is braked.
    pub fn is_braked(&self, variant: VariantIndex) -> bool {
        self.braked.contain(Variants::of(variant))
    }

    /// Takes out what is tripped or braked, of what the weights say.
    fn take_out(&mut self) {
        let out = self.tripped.and(self.braked);
        let written = self.written.take();
        let written = written.unwrap_or_else(|| Box::new(self.allocations.clone()));
        if out == Variants::default() {
            self.allocations = *written;
            return;
        }
        self.allocations = written.without(&self.definition, out);
        self.written = Some(written);
    }

    /// Whether a proxy may take its challengers out by itself.
    pub fn is_guarded(&self) -> bool {
        self.definition.guard.is_some()
    }

    /// Whether the guard took a challenger out.
    pub fn is_tripped(&self, variant: VariantIndex) -> bool {
        self.tripped.contain(Variants::of(variant))
    }

    /// The allocation of the audience of rule number `rule`, or of everyone.
    pub fn allocation(&self, rule: Option<usize>) -> &Allocation {
        self.allocations.of(rule)
    }
}

/// A whole configuration, ready to decide.
#[derive(Clone, Debug)]
pub struct Plan {
    splits: Box<[Split]>,
    hosts: HostIndex,
    cookie: Cookie,
    node: Node,
    response_metrics: bool,
    is_guarded: bool,
    brake: Option<brake::Service>,
    has_brake: bool,
    revision: Revision,
    /// Its place among those of its proxy; none before it has been taken.
    pub(crate) place: Place,
    /// Whether it is what was received, not the last good one instead.
    pub(crate) is_received: bool,
    problems: Vec<Problem>,
    number_of_problems: usize,
    compiled: HashMap<Box<str>, (String, Arc<Definition>), FnvBuildHasher>,
    patterns: Patterns,
    /// How often it was changed since it was built.
    changes: u64,
}

impl Plan {
    /// The plan of a document for a proxy. Whatever `previous` already compiled and is unchanged is
    /// kept.
    pub fn build(document: &Document, node: &Node, previous: Option<&Self>) -> Self {
        let mut patterns = previous
            .map(|plan| plan.patterns.next_configuration())
            .unwrap_or_default();
        let mut common = Common::default();
        let mut problems = Problems::default();
        problems.extend(document.problems());
        let mut splits = Vec::with_capacity(document.splits.len());
        let mut is_guarded = false;
        let mut compiled =
            HashMap::with_capacity_and_hasher(document.splits.len(), FnvBuildHasher::default());
        for (name, value) in &document.splits {
            let text = canonical(value);
            let kept = previous
                .filter(|plan| plan.node == *node)
                .and_then(|plan| plan.compiled.get(name.as_str()));
            let definition = match kept {
                Some((earlier, definition))
                    if *earlier == text && patterns.keep(&definition.patterns) =>
                {
                    Arc::clone(definition)
                }
                _ => Arc::new(Definition::compile(
                    name,
                    value,
                    node.namespace.as_deref(),
                    &mut patterns,
                    &mut common,
                )),
            };
            let is_seen =
                document.response_metrics || definition.guard.is_some() || document.brake.is_some();
            let (weights, draw) = (document.weights.get(name), document.draws.get(name));
            let stamps = is_seen.then(|| Stamps::of(&text, weights, draw));
            // Of what cannot be read, the document has said so.
            if !value.is_null() {
                problems.extend(definition.problems.iter().cloned());
            }
            if definition.patterns.is_for_good() {
                compiled.insert(name.as_str().into(), (text, Arc::clone(&definition)));
            }
            is_guarded |= definition.guard.is_some();
            splits.push(split(
                definition,
                stamps.unwrap_or_default(),
                weights,
                draw,
                &mut problems,
            ));
        }
        orphans("weights", &document.weights, document, &mut problems);
        orphans("draws", &document.draws, document, &mut problems);
        let mut of_others = Vec::new();
        let cookie = Cookie::decode(document.cookie.as_ref(), &mut of_others);
        let brake = document.brake.as_ref();
        let brake = brake.and_then(|value| brake::Service::decode(value, &mut of_others));
        problems.extend(of_others);
        let hosts = index(&splits, &mut problems);
        patterns.forget_unused();
        Self {
            splits: splits.into_boxed_slice(),
            hosts,
            cookie,
            node: node.clone(),
            response_metrics: document.response_metrics,
            is_guarded,
            brake,
            has_brake: document.brake.is_some(),
            revision: document.revision,
            place: Place::default(),
            is_received: true,
            problems: problems.kept,
            number_of_problems: problems.number,
            compiled,
            patterns,
            changes: 0,
        }
    }

    /// Every split, in byte order of the names.
    pub fn splits(&self) -> &[Split] {
        &self.splits
    }

    /// The split at a place.
    pub fn split(&self, index: SplitIndex) -> Option<&Split> {
        self.splits.get(usize::from(index))
    }

    /// A split by its name.
    pub fn split_named(&self, name: &str) -> Option<&Split> {
        self.split(self.index_of(name)?)
    }

    /// The place of a split by its name.
    pub fn index_of(&self, name: &str) -> Option<SplitIndex> {
        let by_name = |split: &Split| (*split.definition.name).cmp(name);
        let place = self.splits.binary_search_by(by_name).ok()?;
        u16::try_from(place).ok().map(SplitIndex::new)
    }

    /// Which splits apply to which host.
    pub fn hosts(&self) -> &HostIndex {
        &self.hosts
    }

    /// The anonymous cookie.
    pub fn cookie(&self) -> &Cookie {
        &self.cookie
    }

    /// Where the filter runs.
    pub fn node(&self) -> &Node {
        &self.node
    }

    /// Whether responses are counted and timed.
    pub fn response_metrics(&self) -> bool {
        self.response_metrics
    }

    /// Whether any split has a guard.
    pub fn is_guarded(&self) -> bool {
        self.is_guarded
    }

    /// Whether brakes are followed, also where the service that is to be asked cannot be read.
    pub fn has_brake(&self) -> bool {
        self.has_brake
    }

    /// The service that is asked for brakes, if one is.
    pub fn brake(&self) -> Option<&brake::Service> {
        self.brake.as_ref()
    }

    pub(crate) fn stamp(&mut self, stamps: impl Fn(&Split) -> Stamps) {
        for split in &mut self.splits {
            split.stamps = stamps(split);
        }
    }

    /// Serves a split as if a challenger's weights were 0. Whether that is new.
    pub fn trip(&mut self, split: SplitIndex, challenger: VariantIndex) -> bool {
        let Some(split) = self.splits.get_mut(usize::from(split)) else {
            return false;
        };
        let is_new = !split.is_tripped(challenger);
        if is_new {
            split.tripped = split.tripped.and(Variants::of(challenger));
            split.take_out();
            self.changes += 1;
        }
        is_new
    }

    /// Serves a split as if the weights of these challengers were 0, and of no others but those that
    /// the guard took out. Whether that is new.
    pub fn set_braked(&mut self, split: SplitIndex, challengers: Variants) -> bool {
        let Some(split) = self.splits.get_mut(usize::from(split)) else {
            return false;
        };
        let is_new = split.braked != challengers;
        if is_new {
            split.braked = challengers;
            split.take_out();
            self.changes += 1;
        }
        is_new
    }

    /// How often challengers were taken out or let in since it was built: an adapter whose threads
    /// serve a copy takes another one where this has grown.
    pub fn changes(&self) -> u64 {
        self.changes
    }

    /// The document's fingerprint.
    pub fn revision(&self) -> Revision {
        self.revision
    }

    /// What is wrong with the document; of more than a thousand mistakes, the first.
    pub fn problems(&self) -> &[Problem] {
        &self.problems
    }

    /// How many mistakes the document has.
    pub fn number_of_problems(&self) -> usize {
        self.number_of_problems
    }

    /// How many distinct regular expressions are compiled.
    pub fn distinct_patterns(&self) -> usize {
        self.patterns.len()
    }
}

/// The problems of a plan: all are counted, and so many kept.
#[derive(Default)]
struct Problems {
    kept: Vec<Problem>,
    number: usize,
}

impl Problems {
    fn extend(&mut self, problems: impl IntoIterator<Item = Problem>) {
        for problem in problems {
            self.number += 1;
            if self.kept.len() < MAX_KEPT_PROBLEMS {
                self.kept.push(problem);
            }
        }
    }
}

/// A split with any problem, in its weights and draw too, is served as if all its weights were 0;
/// so is one of which these cannot be read, which are then null and reported already.
fn split(
    definition: Arc<Definition>,
    stamps: Stamps,
    weights: Option<&Value>,
    draw: Option<&Value>,
    problems: &mut Problems,
) -> Split {
    let mut own = Vec::new();
    let draw = draw.map(|value| decode_draw(&definition.name, value, &mut own));
    let allocations = match weights {
        Some(weights) => Allocations::decode(&definition, weights, &mut own),
        None => Some(Allocations::fallback_only(&definition)),
    };
    problems.extend(own);
    let is_served = !definition.is_broken() && draw != Some(None);
    let allocations = allocations
        .filter(|_| is_served)
        .unwrap_or_else(|| Allocations::fallback_only(&definition));
    Split {
        seed: Seed::new(&definition.salt, draw.flatten().as_deref()),
        stamps,
        allocations,
        definition,
        tripped: Variants::default(),
        braked: Variants::default(),
        written: None,
    }
}

fn decode_draw(split: &str, value: &Value, problems: &mut Vec<Problem>) -> Option<String> {
    if value.is_null() {
        return None;
    }
    let path = format!("draws.{split}");
    let draw = String::decode(&path, value, problems)?;
    if draw.is_empty() || draw.len() > 63 || draw.contains('\0') {
        problems.push(Problem::new(
            path,
            format!("{draw:?}"),
            Accepted::value("1 to 63 bytes without NUL"),
        ));
        return None;
    }
    Some(draw)
}

fn orphans(
    field: &str,
    named: &serde_json::Map<String, Value>,
    document: &Document,
    problems: &mut Problems,
) {
    let orphaned = named
        .keys()
        .filter(|name| !document.splits.contains_key(*name));
    let number = orphaned.clone().count();
    problems.number += number.saturating_sub(MAX_PROBLEMS);
    problems.extend(orphaned.take(MAX_PROBLEMS).map(|name| {
        Problem::new(
            below(field, name),
            format!("there is no split {name:?}, ignored"),
            Accepted::value(format!("one of {} splits", document.splits.len())),
        )
    }));
}

fn index(splits: &[Split], problems: &mut Problems) -> HostIndex {
    let mut claims = Vec::with_capacity(splits.len());
    for (Split { definition, .. }, has_room) in splits.iter().zip(with_room(splits)) {
        if !has_room {
            problems.extend([no_room(definition)]);
        }
        claims.push(Claim {
            hosts: has_room.then_some(&definition.hosts),
            header: &definition.header,
            is_broken: definition.is_broken(),
        });
    }
    let (index, left_out) = HostIndex::build(&claims);
    problems.extend(
        left_out
            .iter()
            .filter_map(|left| left_out_problem(splits, left)),
    );
    index
}

/// Which splits find room for their hosts: the healthy before the broken, and of both those that
/// name few before those that name many. So no split that names its equal part of
/// [`MAX_ALL_HOSTS`], 8 where there are as many splits as there may be, loses it to others.
fn with_room(splits: &[Split]) -> Vec<bool> {
    let all = splits.iter().map(|split| named_hosts(&split.definition));
    if all.sum::<usize>() <= MAX_ALL_HOSTS {
        return vec![true; splits.len()];
    }
    let mut left = MAX_ALL_HOSTS;
    let mut with_room = vec![false; splits.len()];
    for turn in 0..2 * (MAX_HOSTS + 1) {
        let (is_broken, number) = (turn > MAX_HOSTS, turn % (MAX_HOSTS + 1));
        for (Split { definition, .. }, has_room) in splits.iter().zip(&mut with_room) {
            let has_turn = named_hosts(definition) == number && definition.is_broken() == is_broken;
            if has_turn && number <= left {
                left -= number;
                *has_room = true;
            }
        }
    }
    with_room
}

/// How many hosts and services take room.
fn named_hosts(definition: &Definition) -> usize {
    match &definition.hosts {
        Hosts::These(hosts) if hosts.is_empty() => 0,
        _ => definition.named_hosts,
    }
}

fn no_room(definition: &Definition) -> Problem {
    Problem::new(
        format!("splits.{}.hosts", definition.name),
        format!(
            "no room for its {} hosts and services",
            definition.named_hosts
        ),
        Accepted::rule(format!(
            "at most {MAX_ALL_HOSTS} in all, those of splits with few first; left out, and its \
             header is removed on every host"
        )),
    )
}

fn left_out_problem(splits: &[Split], left_out: &LeftOut) -> Option<Problem> {
    let definition = |split: SplitIndex| Some(&splits.get(usize::from(split))?.definition);
    let host = match &left_out.host {
        None => "every host".to_owned(),
        Some(host) => host.to_string(),
    };
    let own = definition(left_out.split)?;
    Some(match left_out.clashes_with {
        Some(other) => Problem::new(
            format!("splits.{}.header", own.name),
            format!(
                "{:?} is also the header of split {} on {host}",
                own.header,
                definition(other)?.name
            ),
            Accepted::rule("one split a header on each host; left out there"),
        ),
        None => Problem::new(
            format!("splits.{}.hosts", own.name),
            format!("more than {MAX_SPLITS_PER_HOST} splits apply to {host}"),
            Accepted::rule(format!(
                "at most {MAX_SPLITS_PER_HOST}; left out there, and its header is removed"
            )),
        ),
    })
}

#[cfg(test)]
mod tests;
