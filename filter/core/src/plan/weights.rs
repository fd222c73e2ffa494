//! What a split's weights mean for its definition: the allocation of each audience, and what is wrong with them.
//!
//! Leaves that name nothing are ignored, and reported; any other problem makes the split be served as if all its
//! weights were 0. Called by [`crate::plan`].

use serde_json::Value;

use super::EVERYONE;
use crate::allocation::{Allocation, Percent};
use crate::config::weights::Weights;
use crate::decode::Named;
use crate::definition::Definition;
use crate::index::VariantIndex;
use crate::problem::{Accepted, Problem};

/// By rule, in their order; then everyone, where there are weights for them.
pub(super) type ByAudience = (Vec<Allocation>, Option<Allocation>);

/// The allocations by audience; `None` when the weights are wrong, so that the split must be served without any.
pub(super) fn allocations(
    definition: &Definition,
    weights: &Value,
    problems: &mut Vec<Problem>,
) -> Option<ByAudience> {
    let weights = Weights::read(&definition.name, weights);
    let mut is_good = weights.mismatches.is_empty();
    problems.extend(weights.mismatches);
    let mut by_rule: Vec<_> = definition
        .rules
        .iter()
        .map(|_| Allocation::fallback_only())
        .collect();
    let mut everyone = None;
    for (audience, by_challenger) in weights.by_audience.0 {
        let path = format!("weights.{}.{audience}", definition.name);
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
        let shares = shares(definition, &path, by_challenger, problems);
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
        Accepted::value(known.join(", ")),
    )
}

/// The shares of one audience, in the order of the challengers; `None` when one is wrong or they are too much.
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
        let path = format!("{path}.{challenger}");
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
