//! What the core makes of a request: what must arrive in the headers that splits set or remove.

use std::collections::BTreeMap;

use sluice_core::decide::{Decisions, Reason};
use sluice_core::plan::Plan;
use sluice_core::removal::removed_headers;

use crate::random::Sent;

/// What is expected of a header that some split sets.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Expected {
    /// These values.
    These(Vec<String>),
    /// One of these, by the identity that is issued.
    Issued(Vec<String>),
    /// One of these, by chance.
    OneOf(Vec<String>),
}

/// What must arrive in the headers that splits set or remove.
pub(super) fn expected(
    plan: &Plan,
    sent: &Sent,
    decisions: &Decisions,
) -> BTreeMap<String, Expected> {
    let headers = plan.splits().iter().map(|split| &*split.definition.header);
    let own = |header: &str| {
        let values = sent
            .values(header)
            .map(|value| value.escape_ascii().to_string());
        Expected::These(values.collect())
    };
    let mut expected: BTreeMap<String, Expected> = headers
        .filter(|header| !header.is_empty())
        .map(|header| (header.to_owned(), own(header)))
        .collect();
    let present = || {
        let lines = sent.all_lines().into_iter();
        lines
            .map(|(name, value)| (name.to_owned(), value))
            .collect()
    };
    for header in removed_headers(plan, decisions.places, present) {
        expected.insert(header.to_owned(), Expected::These(Vec::new()));
    }
    for decision in decisions.iter() {
        let definition = &plan.split(decision.split).unwrap().definition;
        let name = |variant| definition.variant_name(variant).to_owned();
        let variants = || definition.variants.iter().map(ToString::to_string);
        let value = match (decision.variant, decision.reason) {
            (Some(_), Reason::Issued) => Expected::Issued(variants().collect()),
            (Some(_), Reason::PerRequest) => Expected::OneOf(variants().collect()),
            (variant, _) => Expected::These(variant.map(name).into_iter().collect()),
        };
        expected.insert(definition.header.to_string(), value);
    }
    expected
}

/// Whether an adapter did so.
pub(super) fn check(
    expected: &BTreeMap<String, Expected>,
    received: &BTreeMap<String, Vec<String>>,
) -> Result<(), String> {
    for (name, expected) in expected {
        let arrived = received.get(name).cloned().unwrap_or_default();
        let is_right = match expected {
            Expected::These(values) => arrived == *values,
            Expected::Issued(values) | Expected::OneOf(values) => {
                arrived.len() == 1 && values.contains(&arrived[0])
            }
        };
        if !is_right {
            return Err(format!(
                "{name} arrived as {arrived:?}, the core decides {expected:?}"
            ));
        }
    }
    Ok(())
}
