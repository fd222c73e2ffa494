//! Splits that move nobody: their only identity is the anonymous cookie, which gateways issue, and
//! no gateway decides them.
//!
//! A split that says `anonymous: fallback` or `perRequest`, or that inherits, says what it wants,
//! and is none of them. Called by `validate`, `render`, `set` and `status`.

use std::collections::BTreeSet;
use std::fmt;

use sluice_core::config::Anonymous;
use sluice_core::identity::Source;
use sluice_core::index::VariantIndex;
use sluice_core::plan::{NodeKind, Split};

use super::around::Around;
use super::findings::Planned;
use super::proxies::{Decider, decider, kind_name};
use crate::model::churn::audiences;

/// A split that moves nobody.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Unserved {
    /// Where its plugin was read from.
    pub plugin: String,
    /// The split.
    pub split: String,
    /// The variant that everybody gets.
    pub fallback: String,
    /// Who decides it.
    pub decider: Decider,
}

impl fmt::Display for Unserved {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            split,
            fallback,
            decider: Decider { kind, evidence },
            ..
        } = self;
        write!(
            formatter,
            "splits.{split} moves nobody: its only identity is the anonymous cookie, which only \
             gateways issue, and {}s decide it ({evidence}); at every weight between 0 and 100 \
             everybody gets {fallback}. Accepted: an identity that callers send, such as \
             identity: [{{cookie: uid}}] or [{{header: x-user-id}}]; or anonymous: fallback, if \
             that is meant",
            kind_name(*kind)
        )
    }
}

/// Whether nobody but a gateway can tell the users of a split apart.
pub fn needs_gateway(split: &Split) -> bool {
    let definition = &split.definition;
    let is_anonymous = definition
        .identity
        .iter()
        .all(|source| *source == Source::Anonymous);
    is_anonymous
        && definition.anonymous == Anonymous::IssueCookie
        && !definition.inherit
        && !definition.is_broken()
}

/// Whether some audience of a split gets more than one variant, so that it matters who somebody is.
pub fn is_split(split: &Split) -> bool {
    let mut rules = audiences(split).into_iter().map(|(_, rule)| rule);
    rules.any(|rule| split.allocation(rule).only_outcome().is_none())
}

/// The splits of some plugins that move nobody at any weight. One that a gateway decides as part of
/// another plugin is none of them: its users come with what was issued there.
pub(super) fn unserved(plugins: &[Planned<'_>], around: &Around<'_>) -> Vec<Unserved> {
    let mut at_gateways = BTreeSet::new();
    let mut elsewhere = Vec::new();
    for plugin in plugins {
        for split in plugin.plan.splits() {
            match decider(plugin, split, around) {
                Some(decider) if decider.kind == NodeKind::Gateway => {
                    at_gateways.insert(split.definition.name.clone());
                }
                Some(decider) if needs_gateway(split) => elsewhere.push((plugin, split, decider)),
                _ => {}
            }
        }
    }
    elsewhere.retain(|(_, split, _)| !at_gateways.contains(&split.definition.name));
    let unserved = elsewhere.into_iter().map(|(plugin, split, decider)| {
        let fallback = split.definition.variant_name(VariantIndex::FALLBACK);
        Unserved {
            plugin: plugin.plugin.source.clone(),
            split: split.definition.name.to_string(),
            fallback: fallback.to_owned(),
            decider,
        }
    });
    unserved.collect()
}

#[cfg(test)]
mod tests;
