//! Whether an abort is in force: what the filter would make of the configuration that is there
//! afterwards, and which weights would mend it.
//!
//! Pure. It reads as the filter reads ([`document`]) and asks the same plan; what is written and
//! read back is the operation's.

use std::collections::BTreeMap;
use std::fmt;

use serde::Serialize;
use serde_json::json;
use sluice_core::allocation::Percent;
use sluice_core::index::VariantIndex;
use sluice_core::plan::{EVERYONE, Node, Plan, Split};

use crate::model::change::{self, State};
use crate::model::churn::audiences;
use crate::model::document;
use crate::model::plugin::Plugin;
use crate::model::reach::Reach;
use crate::model::weights::{Weight, WeightKey, WeightSet};

/// How many shares are named where more are served. Chosen: enough to see which splits it is.
const MAX_NAMED_SHARES: usize = 5;

/// Why an abort is not in force.
#[derive(Clone, Debug, PartialEq, Serialize, thiserror::Error)]
#[serde(tag = "kind", rename_all = "camelCase")]
pub enum NotInForce {
    /// What is there now is read by no proxy.
    #[error(
        "{problem}; no proxy takes this configuration: each goes on with the last one that it could read, its canaries \
         included, and one that never could read any sends everybody to the fallback. `sluice` writes weights and \
         draws only: mend the rest where it is applied from"
    )]
    Unreadable {
        /// What cannot be read: where, what was found, what is accepted.
        problem: String,
    },
    /// The zeros could not be written.
    #[error("{why}")]
    NotWritten {
        /// Why not.
        why: String,
    },
    /// Challengers still get users.
    #[error("still served: {}", named(.shares))]
    Serves {
        /// Who gets how much.
        shares: Vec<ChallengerShare>,
    },
}

/// What a challenger gets of an audience.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct ChallengerShare {
    /// Which challenger of which split, for whom.
    #[serde(flatten)]
    pub key: WeightKey,
    /// Its part of the audience's users.
    pub percent: Percent,
}

impl fmt::Display for ChallengerShare {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { key, percent } = self;
        let (split, audience, challenger) = (&key.split, &key.audience, &key.challenger);
        write!(formatter, "{split} {audience} {challenger} at {percent} %")
    }
}

fn named(shares: &[ChallengerShare]) -> String {
    let named = shares.iter().take(MAX_NAMED_SHARES);
    let mut named: Vec<String> = named.map(ToString::to_string).collect();
    if let Some(more @ 1..) = shares.len().checked_sub(MAX_NAMED_SHARES) {
        named.push(format!("and {more} more"));
    }
    named.join(", ")
}

/// Whether every challenger within reach gets nobody.
///
/// # Errors
/// What the filter would serve instead.
pub fn check(plugin: &Plugin, reach: &Reach) -> Result<(), NotInForce> {
    let document = document::read(&plugin.config).map_err(|unreadable| NotInForce::Unreadable {
        problem: unreadable.to_string(),
    })?;
    let plan = Plan::build(&document, &Node::default(), None);
    let shares = plan.splits().iter().flat_map(served);
    let shares: Vec<_> = shares.filter(|share| reach.has(&share.key)).collect();
    if shares.is_empty() {
        Ok(())
    } else {
        Err(NotInForce::Serves { shares })
    }
}

/// What a split's challengers get.
fn served(split: &Split) -> Vec<ChallengerShare> {
    let mut shares = Vec::new();
    for (audience, rule) in audiences(split) {
        for (index, variant) in split.definition.named_variants() {
            let percent = split.allocation(rule).share(index);
            if index != VariantIndex::FALLBACK && percent > Percent::ZERO {
                let key = WeightKey::new(&split.definition.name, &audience, variant);
                shares.push(ChallengerShare { key, percent });
            }
        }
    }
    shares
}

/// The weights and draws that would bring an abort into force if they replaced all others; `None`
/// where no weights would. The gentlest that does: what its splits do not know goes, then the
/// explicit zeros, then every weight.
pub fn repaired(plugin: &Plugin, reach: &Reach) -> Option<WeightSet> {
    let plan = plugin.splits_alone();
    let known = known(plugin, plan.as_ref());
    let state = State {
        config: known.to_config(),
        managed: known.clone(),
    };
    let zeros = change::abort(&state, plan.as_ref(), reach).ok();
    let mut without = known;
    let aborted = without.splits().into_iter();
    let aborted: Vec<String> = aborted
        .filter(|name| reach.has_split(name))
        .map(str::to_owned)
        .collect();
    for name in aborted {
        without.replace(&name, &WeightSet::default());
    }
    let candidates = zeros.into_iter().chain([without, WeightSet::default()]);
    let mut candidates = candidates.into_iter();
    candidates.find(|weights| check(&replaced(plugin, weights), reach).is_ok())
}

/// The plugin with these weights and draws and no others.
fn replaced(plugin: &Plugin, weights: &WeightSet) -> Plugin {
    let mut replaced = plugin.clone();
    let ours = weights.to_config();
    for field in ["weights", "draws"] {
        replaced.config[field] = ours.get(field).cloned().unwrap_or_else(|| json!({}));
    }
    replaced
}

/// The weights that are percentages of what the splits have, and their draws.
fn known(plugin: &Plugin, plan: Option<&Plan>) -> WeightSet {
    let splits = plan.map(Plan::splits).unwrap_or_default();
    let by_name: BTreeMap<&str, &Split> = splits
        .iter()
        .map(|split| (&*split.definition.name, split))
        .collect();
    let written = WeightSet::of_config(&plugin.config);
    let mut known = WeightSet::default();
    for (key, weight) in written.iter() {
        let split = by_name.get(key.split.as_str());
        if let Weight::Percent(percent) = weight
            && split.is_some_and(|split| has(split, key))
        {
            known.set(key.clone(), *percent);
        }
    }
    for name in by_name.keys() {
        // What is no draw would break the split; beyond this length none is.
        if let Some(draw) = written.draw(name).filter(|draw| draw.len() <= 63) {
            known.set_draw(name, draw);
        }
    }
    known
}

fn has(split: &Split, key: &WeightKey) -> bool {
    let definition = &split.definition;
    let mut rules = definition.rules.iter();
    let is_audience = key.audience == EVERYONE || rules.any(|rule| *rule.name == *key.audience);
    let mut challengers = definition.challengers().iter();
    is_audience && challengers.any(|challenger| **challenger == *key.challenger)
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;
    use crate::model::plugin::Kind;

    fn plugin(config: Value) -> Plugin {
        Plugin {
            source: "p".to_owned(),
            kind: Kind::Bare,
            name: None,
            namespace: None,
            config,
        }
    }

    fn with_weights(weights: Value) -> Plugin {
        plugin(json!({"splits": {"web": {}, "shop": {}}, "weights": weights}))
    }

    #[test]
    fn an_abort_is_in_force_when_the_filter_serves_no_challenger_of_it() {
        let shop = json!({"shop": {"everyone": {"canary": 7}}});
        let too_long = "x".repeat(600_000);
        let cases = [
            ("no weights", json!({"splits": {"web": {}}}), ""),
            (
                "another split's",
                json!({"splits": {"web": {}, "shop": {}}, "weights": shop}),
                "",
            ),
            (
                "its own",
                json!({"splits": {"web": {}}, "weights": {"web": {"everyone": {"canary": 5}}}}),
                "still served: web everyone canary at 5 %",
            ),
            (
                "weights that the filter serves as 0",
                json!({"splits": {"web": {}}, "weights": {"web": "x"}}),
                "",
            ),
            (
                "a later version",
                json!({"version": 2}),
                "version: 2; this filter reads version 1; ",
            ),
            (
                "weights that are a list",
                json!({"weights": []}),
                "weights: a list of 0; accepted: a map from split names; ",
            ),
            (
                "too long",
                json!({"weights": {"x": too_long}}),
                "document: 600020 bytes; at most 524288 bytes; ",
            ),
        ];
        for (label, config, expected) in cases {
            let said = check(&plugin(config), &Reach::of_split("web"));
            let said = said.map_or_else(|error| error.to_string(), |()| String::new());
            assert!(
                said.starts_with(expected) && said.is_empty() == expected.is_empty(),
                "{label}: {said}"
            );
        }
        let every = check(
            &plugin(json!({"splits": {"shop": {}}, "weights": shop})),
            &Reach::default(),
        );
        let every = every.unwrap_err().to_string();
        assert_eq!(every, "still served: shop everyone canary at 7 %");
    }

    #[test]
    fn of_many_shares_a_few_are_named() {
        let names: Vec<String> = (0..7).map(|number| format!("s{number}")).collect();
        let of = |value: Value| -> Value {
            names
                .iter()
                .map(|name| (name.clone(), value.clone()))
                .collect()
        };
        let many =
            json!({"splits": of(json!({})), "weights": of(json!({"everyone": {"canary": 1}}))});
        let said = check(&plugin(many), &Reach::default())
            .unwrap_err()
            .to_string();
        assert!(
            said.starts_with("still served: s0 everyone canary at 1 %, s1"),
            "{said}"
        );
        assert!(
            said.ends_with("s4 everyone canary at 1 %, and 2 more"),
            "{said}"
        );
    }

    #[test]
    fn a_repair_keeps_what_others_may_keep() {
        let zeros = json!({"everyone": {"canary": 0}});
        let seven = json!({"everyone": {"canary": 7}});
        let junk = json!({"everyone": {"canary": 7, "x": "y".repeat(600_000)}});
        let cases = [
            ("a list", json!([]), json!({"web": zeros})),
            ("a text", json!("x"), json!({"web": zeros})),
            (
                "another's junk",
                json!({"shop": junk}),
                json!({"web": zeros, "shop": seven}),
            ),
            (
                "its own junk",
                json!({"web": junk, "shop": seven}),
                json!({"web": zeros, "shop": seven}),
            ),
        ];
        for (label, weights, expected) in cases {
            let repaired = repaired(&with_weights(weights), &Reach::of_split("web")).unwrap();
            assert_eq!(
                repaired.to_config(),
                json!({"weights": expected}),
                "{label}"
            );
        }
    }

    #[test]
    fn zeros_that_would_not_fit_are_left_out() {
        let match_all = json!([{"headers": {"x-a": {"present": true}}}]);
        let rules: Vec<Value> = (10..74)
            .map(|number| json!({"name": format!("r{number}-{}", "x".repeat(58)), "match": match_all}))
            .collect();
        let names: Vec<String> = (0..42).map(|number| format!("s{number}")).collect();
        let splits: Value = names
            .iter()
            .map(|name| (name.clone(), json!({"rules": rules})))
            .collect();
        let full = plugin(json!({"splits": splits, "weights": []}));
        let repaired = repaired(&full, &Reach::default()).unwrap();
        assert_eq!(repaired, WeightSet::default());
    }

    #[test]
    fn what_no_weights_can_mend_is_not_repaired() {
        let cases = [
            json!({"version": 2, "splits": {"web": {}}}),
            json!({"splits": {"web": {"salt": "x".repeat(600_000)}}}),
            json!({"splits": []}),
        ];
        for config in cases {
            assert_eq!(repaired(&plugin(config), &Reach::default()), None);
        }
    }
}
