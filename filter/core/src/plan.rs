//! From a document to what decides requests: who owns which buckets, and which split applies where.
//!
//! The only validator of what is allowed together; it reports every problem. Compiled definitions are kept by what
//! was typed, so that a weight change compiles nothing again. Called by the filter at each configuration, by
//! `validate`, `explain`, `simulate` and every write of the `sluice` binary.

pub mod cookie;

use std::collections::HashMap;
use std::sync::Arc;

use fnv::FnvBuildHasher;
use serde_json::Value;

use crate::allocation::{Allocation, Percent};
use crate::bucket::Seed;
use crate::config::{self, Document};
use crate::definition::Definition;
use crate::hosts::{HostIndex, MAX_SPLITS_PER_HOST};
use crate::pattern::Patterns;
use crate::problem::Problem;
use crate::revision::{Revision, canonical};
use crate::shape::{Shape as _, YAML_HINT};
use cookie::Cookie;

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
    /// Git's half.
    pub definition: Arc<Definition>,
    /// The hash of salt and draw.
    pub seed: Seed,
    /// By rule, in their order, then everyone. Never empty.
    allocations: Box<[Allocation]>,
    everyone: Allocation,
}

impl Split {
    /// The allocation of the audience of rule number `rule`, or of everyone.
    pub fn allocation(&self, rule: Option<usize>) -> &Allocation {
        rule.and_then(|rule| self.allocations.get(rule))
            .unwrap_or(&self.everyone)
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
    revision: Revision,
    problems: Vec<Problem>,
    compiled: HashMap<Box<str>, (String, Arc<Definition>), FnvBuildHasher>,
    patterns: Patterns,
}

impl Plan {
    /// The plan of a document for a proxy. Whatever `previous` already compiled and is unchanged is kept.
    pub fn build(document: &Document, node: &Node, previous: Option<&Self>) -> Self {
        let mut patterns = previous
            .map(|plan| plan.patterns.clone())
            .unwrap_or_default();
        let mut problems: Vec<Problem> = document.unknown_field_problems().collect();
        let mut splits = Vec::with_capacity(document.splits.len());
        let mut compiled =
            HashMap::with_capacity_and_hasher(document.splits.len(), FnvBuildHasher::default());
        for (name, typed) in &document.splits {
            let text = canonical(typed);
            let kept = previous
                .filter(|plan| plan.node == *node)
                .and_then(|plan| plan.compiled.get(name.as_str()));
            let definition = match kept {
                Some((earlier, definition)) if *earlier == text => Arc::clone(definition),
                _ => Arc::new(Definition::compile(
                    name,
                    typed,
                    node.namespace.as_deref(),
                    &mut patterns,
                )),
            };
            problems.extend(definition.problems.iter().cloned());
            compiled.insert(name.as_str().into(), (text, Arc::clone(&definition)));
            splits.push(split(
                definition,
                document.weights.get(name),
                document.draws.get(name),
                &mut problems,
            ));
        }
        orphans("weights", &document.weights, document, &mut problems);
        orphans("draws", &document.draws, document, &mut problems);
        let cookie = Cookie::read(document.cookie.as_ref(), &mut problems);
        let hosts = index(&splits, &mut problems);
        patterns.forget_unused();
        Self {
            splits: splits.into_boxed_slice(),
            hosts,
            cookie,
            node: node.clone(),
            response_metrics: document.response_metrics,
            revision: document.revision,
            problems,
            compiled,
            patterns,
        }
    }

    /// Every split, in byte order of the names.
    pub fn splits(&self) -> &[Split] {
        &self.splits
    }

    /// A split by its place.
    pub fn split(&self, place: u16) -> Option<&Split> {
        self.splits.get(usize::from(place))
    }

    /// A split by its name.
    pub fn split_named(&self, name: &str) -> Option<&Split> {
        self.splits
            .iter()
            .find(|split| *split.definition.name == *name)
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

    /// The document's fingerprint.
    pub fn revision(&self) -> Revision {
        self.revision
    }

    /// Everything that is wrong with the document.
    pub fn problems(&self) -> &[Problem] {
        &self.problems
    }

    /// How many distinct regular expressions are compiled.
    pub fn distinct_patterns(&self) -> usize {
        self.patterns.len()
    }
}

fn split(
    definition: Arc<Definition>,
    weights: Option<&Value>,
    draw: Option<&Value>,
    problems: &mut Vec<Problem>,
) -> Split {
    let before = problems.len();
    let mut is_served = !definition.is_broken();
    let draw = draw.map(|typed| read_draw(&definition.name, typed, problems));
    is_served &= draw != Some(None);
    let draw = draw.flatten();
    let (by_rule, everyone) = match weights.map(|typed| read_weights(&definition, typed, problems))
    {
        Some(Some(allocations)) => allocations,
        Some(None) => {
            is_served = false;
            Default::default()
        }
        None => Default::default(),
    };
    debug_assert!(
        is_served || definition.is_broken() || problems.len() > before,
        "what is not served has a problem"
    );
    let seed = Seed::new(&definition.salt, draw.as_deref());
    let (allocations, everyone) = if is_served {
        (
            by_rule.into_boxed_slice(),
            everyone.unwrap_or_else(Allocation::fallback_only),
        )
    } else {
        (Box::default(), Allocation::fallback_only())
    };
    let allocations = if allocations.is_empty() {
        definition
            .rules
            .iter()
            .map(|_| Allocation::fallback_only())
            .collect()
    } else {
        allocations
    };
    Split {
        definition,
        seed,
        allocations,
        everyone,
    }
}

fn read_draw(split: &str, typed: &Value, problems: &mut Vec<Problem>) -> Option<String> {
    let path = format!("draws.{split}");
    let draw = String::read(&path, typed, problems)?;
    if draw.is_empty() || draw.len() > 63 || draw.contains('\0') {
        problems.push(Problem::new(
            path,
            format!("{draw:?}"),
            "accepted: 1 to 63 bytes without NUL",
        ));
        return None;
    }
    Some(draw)
}

type ByAudience = (Vec<Allocation>, Option<Allocation>);

/// The allocations by audience; `None` when the weights are wrong, so that the split must be served without any.
fn read_weights(
    definition: &Definition,
    typed: &Value,
    problems: &mut Vec<Problem>,
) -> Option<ByAudience> {
    let path = format!("weights.{}", definition.name);
    let before = problems.len();
    let weights = config::Weights::read(&path, typed, problems)?;
    let mut is_good = problems.len() == before;
    let mut by_rule: Vec<_> = definition
        .rules
        .iter()
        .map(|_| Allocation::fallback_only())
        .collect();
    let mut everyone = None;
    for (audience, by_challenger) in weights {
        let path = format!("{path}.{audience}");
        let rule = definition
            .rules
            .iter()
            .position(|rule| *rule.name == *audience);
        if rule.is_none() && audience != EVERYONE {
            // A broken split's rules may not have been read: no orphan then.
            if !definition.is_broken() {
                problems.push(orphan_audience(definition, &path, &audience));
            }
            continue;
        }
        let shares = read_shares(definition, &path, by_challenger, problems);
        is_good &= shares.is_some();
        let allocation = shares.as_deref().map(Allocation::new);
        match rule.and_then(|rule| by_rule.get_mut(rule)) {
            Some(slot) => *slot = allocation.unwrap_or_else(Allocation::fallback_only),
            None => everyone = allocation,
        }
    }
    is_good.then_some((by_rule, everyone))
}

fn orphan_audience(definition: &Definition, path: &str, audience: &str) -> Problem {
    let known: Vec<&str> = definition
        .rules
        .iter()
        .map(|rule| rule.name.as_ref())
        .chain([EVERYONE])
        .collect();
    Problem::new(
        path,
        format!(
            "split {} has no audience {audience:?}, ignored",
            definition.name
        ),
        format!("accepted: {}", known.join(", ")),
    )
}

fn read_shares(
    definition: &Definition,
    path: &str,
    typed: std::collections::BTreeMap<String, f64>,
    problems: &mut Vec<Problem>,
) -> Option<Vec<Percent>> {
    let mut shares = vec![Percent::ZERO; definition.challengers().len()];
    let mut is_good = true;
    let mut sum = 0;
    for (challenger, percent) in typed {
        let path = format!("{path}.{challenger}");
        let place = definition.variant(challenger.as_bytes()).map(usize::from);
        match (place, Percent::new(percent)) {
            (Some(0), _) => {
                problems.push(Problem::new(
                    path,
                    "the fallback is never named",
                    "it gets what the challengers leave",
                ));
                is_good = false;
            }
            (None, _) => {
                if !definition.is_broken() {
                    problems.push(orphan_challenger(definition, path, &challenger));
                }
            }
            (Some(_), None) => {
                problems.push(Problem::new(
                    path,
                    format!("{percent} is not a percentage"),
                    "0 to 100 in steps of 0.001",
                ));
                is_good = false;
            }
            (Some(place), Some(share)) => {
                sum += share.buckets();
                if let Some(slot) = shares.get_mut(place - 1) {
                    *slot = share;
                }
            }
        }
    }
    if sum > Percent::HUNDRED.buckets() {
        let found = format!("the challengers add up to {}", f64::from(sum) / 1_000.0);
        problems.push(Problem::new(
            path,
            found,
            "at most 100; the fallback gets the rest",
        ));
        is_good = false;
    }
    is_good.then_some(shares)
}

fn orphan_challenger(definition: &Definition, path: String, challenger: &str) -> Problem {
    let is_yaml_s = matches!(challenger, "true" | "false")
        || challenger
            .bytes()
            .all(|byte| byte.is_ascii_digit() || byte == b'.');
    let hint = if is_yaml_s { YAML_HINT } else { "" };
    Problem::new(
        path,
        format!(
            "split {} has no challenger {challenger:?}, ignored",
            definition.name
        ),
        format!("accepted: {}{hint}", definition.challengers().join(", ")),
    )
}

fn orphans(
    field: &str,
    named: &serde_json::Map<String, Value>,
    document: &Document,
    problems: &mut Vec<Problem>,
) {
    let orphaned = named
        .keys()
        .filter(|name| !document.splits.contains_key(*name));
    problems.extend(orphaned.map(|name| {
        Problem::new(
            format!("{field}.{name}"),
            format!("there is no split {name:?}, ignored"),
            format!("accepted: one of {} splits", document.splits.len()),
        )
    }));
}

fn index(splits: &[Split], problems: &mut Vec<Problem>) -> HostIndex {
    let name = |place: u16| {
        splits
            .get(usize::from(place))
            .map_or("", |split| &split.definition.name)
    };
    let header = |place: u16| {
        splits
            .get(usize::from(place))
            .map_or("", |split| split.definition.header.as_ref())
    };
    let patterns = (0_u16..)
        .zip(splits)
        .map(|(place, split)| (place, split.definition.hosts.as_ref()));
    let (index, crowded) = HostIndex::build(patterns, header);
    problems.extend(crowded.into_iter().map(|crowded| {
        let host = match crowded.host.strip_prefix('.') {
            _ if crowded.host.is_empty() => "every host".to_owned(),
            Some(rest) => format!("*.{rest}"),
            None => crowded.host.clone(),
        };
        let path = format!("splits.{}", name(crowded.split));
        match crowded.clashes_with {
            Some(other) => Problem::new(
                format!("{path}.header"),
                format!(
                    "{:?} is also the header of split {} on {host}",
                    header(crowded.split),
                    name(other)
                ),
                "one split a header on each host; left out there",
            ),
            None => Problem::new(
                format!("{path}.hosts"),
                format!("more than {MAX_SPLITS_PER_HOST} splits apply to {host}"),
                format!("at most {MAX_SPLITS_PER_HOST}; left out there"),
            ),
        }
    }));
    index
}

#[cfg(test)]
mod tests;
