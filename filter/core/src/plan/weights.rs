//! What a split's weights mean for its definition: the allocation of each audience, and what is
//! wrong with them.
//!
//! Leaves that name nothing are ignored, and reported; any other problem makes the split be served
//! as if all its weights were 0. Called by [`crate::plan`].

use serde_json::Value;

use super::EVERYONE;
use crate::allocation::{Allocation, Percent};
use crate::config::weights::Weights;
use crate::decode::{Named, below};
use crate::definition::Definition;
use crate::index::{VariantIndex, Variants};
use crate::problem::{Accepted, MAX_PROBLEMS, Problem};

/// Who gets what of a split, for each of its audiences.
#[derive(Clone, Debug)]
pub(super) struct Allocations {
    /// One for each rule, in their order.
    by_rule: Box<[Allocation]>,
    everyone: Allocation,
}

impl Allocations {
    /// The fallback for every audience.
    pub(super) fn fallback_only(definition: &Definition) -> Self {
        let fallback = |_| Allocation::fallback_only();
        Self {
            by_rule: definition.rules.iter().map(fallback).collect(),
            everyone: Allocation::fallback_only(),
        }
    }

    /// The allocations of these weights; `None` when the weights are wrong, so that the split must
    /// be served without.
    pub(super) fn decode(
        definition: &Definition,
        weights: &Value,
        problems: &mut Vec<Problem>,
    ) -> Option<Self> {
        if weights.is_null() {
            return None;
        }
        let weights = Weights::read(&definition.name, weights);
        let mut is_good = weights.mismatches.is_empty();
        problems.extend(weights.mismatches);
        let mut allocations = Self::fallback_only(definition);
        for (audience, by_challenger) in weights.by_audience.0 {
            if problems.len() >= MAX_PROBLEMS {
                return None;
            }
            let path = below(&below("weights", &definition.name), &audience);
            let Some(allocation) = allocations.named(definition, &audience) else {
                // The rules of a broken split may not have been read: then nothing is known to be
                // an orphan.
                if !definition.is_broken() {
                    problems.push(orphan_audience(definition, &path, &audience));
                }
                continue;
            };
            match shares(definition, &path, by_challenger, problems) {
                Some(shares) => *allocation = Allocation::new(&shares),
                None => is_good = false,
            }
        }
        is_good.then_some(allocations)
    }

    /// Whether anybody of any audience is given a variant.
    pub(super) fn serve(&self, variant: VariantIndex) -> bool {
        let mut all = self.by_rule.iter().chain([&self.everyone]);
        all.any(|allocation| allocation.share(variant) > Percent::ZERO)
    }

    /// The same without some challengers.
    pub(super) fn without(&self, definition: &Definition, challengers: Variants) -> Self {
        let without = |allocation: &Allocation| {
            let share = |(variant, _)| match challengers.contain(Variants::of(variant)) {
                true => Percent::ZERO,
                false => allocation.share(variant),
            };
            let shares: Vec<Percent> = definition.named_variants().skip(1).map(share).collect();
            Allocation::new(&shares)
        };
        Self {
            by_rule: self.by_rule.iter().map(without).collect(),
            everyone: without(&self.everyone),
        }
    }

    /// The allocation of the audience of a rule, or of everyone.
    pub(super) fn of(&self, rule: Option<usize>) -> &Allocation {
        rule.and_then(|rule| self.by_rule.get(rule))
            .unwrap_or(&self.everyone)
    }

    fn named(&mut self, definition: &Definition, audience: &str) -> Option<&mut Allocation> {
        let rules = definition.rules.iter();
        let mut named = rules.zip(&mut self.by_rule);
        match named.find(|(rule, _)| *rule.name == *audience) {
            Some((_, allocation)) => Some(allocation),
            None => (audience == EVERYONE).then_some(&mut self.everyone),
        }
    }
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
        Accepted::value(known.join(", ")),
    )
}

/// The shares of one audience, in the order of the challengers; `None` when one is wrong or they
/// are too much.
fn shares(
    definition: &Definition,
    path: &str,
    by_challenger: Named<Result<Percent, Problem>>,
    problems: &mut Vec<Problem>,
) -> Option<Vec<Percent>> {
    let mut shares = vec![Percent::ZERO; definition.challengers().len()];
    let mut is_good = true;
    let mut sum = 0;
    for (challenger, share) in by_challenger.0 {
        if problems.len() >= MAX_PROBLEMS {
            return None;
        }
        let path = below(path, &challenger);
        match (definition.variant(challenger.as_bytes()), share) {
            (Some(VariantIndex::FALLBACK), _) => {
                problems.push(Problem::new(
                    path,
                    "the fallback is never named",
                    Accepted::rule("it gets what the challengers leave"),
                ));
                is_good = false;
            }
            (None, _) => {
                if !definition.is_broken() {
                    problems.push(orphan_challenger(definition, path, &challenger));
                }
            }
            (Some(_), Err(problem)) => {
                problems.push(problem);
                is_good = false;
            }
            (Some(variant), Ok(share)) => {
                sum += share.buckets();
                if let Some(slot) = shares.get_mut(usize::from(variant) - 1) {
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
            Accepted::rule("at most 100; the fallback gets the rest"),
        ));
        is_good = false;
    }
    is_good.then_some(shares)
}

fn orphan_challenger(definition: &Definition, path: String, challenger: &str) -> Problem {
    let is_bare_number = |byte: u8| byte.is_ascii_digit() || byte == b'.';
    let is_yaml_s =
        matches!(challenger, "true" | "false") || challenger.bytes().all(is_bare_number);
    let known = definition.challengers().join(", ").into();
    Problem::new(
        path,
        format!(
            "split {} has no challenger {challenger:?}, ignored",
            definition.name
        ),
        if is_yaml_s {
            Accepted::QuotedName(known)
        } else {
            Accepted::Value(known)
        },
    )
}
