//! What a change of weights would be: pure, from what is wanted now to what is wanted then.
//!
//! Refuses what the plugin does not have before anything is written ([`crate::model::refusal`]).
//! Operations call these inside a store's read-decide-write; nothing here reads or writes.

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};
use serde_json::Value;
use sluice_core::allocation::Percent;
use sluice_core::config::Unreadable;
use sluice_core::plan::{Node, Plan};

use crate::model::document;
use crate::model::plugin::merge;
use crate::model::reach::Reach;
use crate::model::refusal::{Refusal, check_audience, check_challenger, find_split, no_split};
use crate::model::weights::{Share, Weight, WeightKey, WeightSet, leaves};

/// What a change is based on: the configuration in force and the part of it that `sluice` manages.
#[derive(Clone, Debug, PartialEq)]
pub struct State {
    /// The whole configuration, Git's half and ours merged.
    pub config: Value,
    /// What `sluice` itself wrote.
    pub managed: WeightSet,
}

impl State {
    /// The configuration with other weights and draws of ours.
    pub fn with(&self, managed: &WeightSet) -> Value {
        let mut config = self.config.clone();
        let former = self.managed.to_config();
        // Ours may lack what ours had: leave Git's half of weights only.
        for field in ["weights", "draws"] {
            if let Some(fields) = config.get_mut(field).and_then(Value::as_object_mut) {
                remove_leaves(fields, former.get(field).and_then(Value::as_object));
            }
        }
        merge(&mut config, managed.to_config());
        config
    }

    /// The plan with other weights and draws of ours, for a proxy of which nothing is known.
    ///
    /// # Errors
    /// When the configuration is unreadable as a whole.
    pub fn plan_with(&self, managed: &WeightSet) -> Result<Plan, Unreadable> {
        let document = document::read(&self.with(managed))?;
        Ok(Plan::build(&document, &Node::default(), None))
    }
}

fn remove_leaves(
    fields: &mut serde_json::Map<String, Value>,
    leaves: Option<&serde_json::Map<String, Value>>,
) {
    for (name, leaf) in leaves.into_iter().flatten() {
        match (fields.get_mut(name), leaf) {
            (Some(Value::Object(inner)), Value::Object(leaves)) => {
                remove_leaves(inner, Some(leaves));
                if inner.is_empty() {
                    fields.remove(name);
                }
            }
            _ => {
                fields.remove(name);
            }
        }
    }
}

/// One weight that changed.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
pub struct WeightChange {
    /// Whose.
    #[serde(flatten)]
    pub key: WeightKey,
    /// Before.
    pub from: Weight,
    /// After.
    pub to: Weight,
}

impl std::fmt::Display for WeightChange {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { key, from, to } = self;
        let WeightKey {
            split,
            audience,
            challenger,
        } = key;
        write!(formatter, "{split} {audience} {challenger}: {from} -> {to}")
    }
}

/// Sets shares of one audience; the others stay.
///
/// # Errors
/// What the plugin does not have, and a challenger that is given twice.
pub fn set(
    state: &State,
    plan: &Plan,
    split: &str,
    audience: &str,
    shares: &[Share],
) -> Result<WeightSet, Refusal> {
    let defined = find_split(plan, split)?;
    check_audience(defined, audience)?;
    let mut managed = state.managed.clone();
    for (index, share) in shares.iter().enumerate() {
        check_challenger(defined, &share.challenger)?;
        if shares
            .iter()
            .take(index)
            .any(|earlier| earlier.challenger == share.challenger)
        {
            return Err(Refusal::Twice {
                challenger: share.challenger.clone(),
            });
        }
        managed.set(
            WeightKey::new(split, audience, &share.challenger),
            share.percent,
        );
    }
    Ok(managed)
}

/// Sets shares of one audience of every split that has these challengers and the audience.
///
/// # Errors
/// When no split has them, and a challenger that is given twice.
pub fn set_all(
    state: &State,
    plan: &Plan,
    audience: &str,
    shares: &[Share],
) -> Result<WeightSet, Refusal> {
    let mut state = state.clone();
    let mut is_any = false;
    for split in plan.splits() {
        let name = &split.definition.name;
        match set(&state, plan, name, audience, shares) {
            Ok(managed) => {
                is_any = true;
                state.managed = managed;
            }
            Err(
                Refusal::NoChallenger { .. }
                | Refusal::Fallback { .. }
                | Refusal::NoAudience { .. },
            ) => {}
            Err(refusal) => return Err(refusal),
        }
    }
    if is_any {
        return Ok(state.managed);
    }
    let challengers = shares.iter().map(|share| share.challenger.clone());
    Err(Refusal::NoSplitWith {
        audience: audience.to_owned(),
        challengers: challengers.collect::<Vec<_>>().join(" and "),
        splits: plan.splits().len(),
    })
}

/// Explicit zeros for every audience and challenger that is within reach. Never refuses because of a
/// problem elsewhere: it must work whatever else is wrong.
///
/// # Errors
/// A split that is neither in the plugin nor in the weights, so far as either can be read.
pub fn abort(state: &State, plan: Option<&Plan>, reach: &Reach) -> Result<WeightSet, Refusal> {
    let split = reach.split.as_deref();
    let mut managed = state.managed.clone();
    let defined = plan.map(Plan::splits).unwrap_or_default();
    let is_named = |field| state.config.get(field)?.get(split?);
    let mut is_known = is_named("splits").or(is_named("weights")).is_some();
    for defined in defined
        .iter()
        .filter(|defined| reach.has_split(&defined.definition.name))
    {
        is_known = true;
        for (audience, _) in crate::model::churn::audiences(defined) {
            for challenger in defined.definition.challengers() {
                let key = WeightKey::new(&defined.definition.name, &audience, challenger);
                if reach.has(&key) {
                    managed.set(key, Percent::ZERO);
                }
            }
        }
    }
    // Whatever stands there, also what is no percentage: a zero replaces it.
    for (key, _) in leaves(&state.config).filter(|(key, _)| reach.has(key)) {
        is_known = true;
        managed.set(key, Percent::ZERO);
    }
    match split {
        Some(split) if !is_known => Err(no_split(plan, split)),
        _ => Ok(managed),
    }
}

/// Other letters for a split's draw.
///
/// # Errors
/// While a challenger is neither at 0 nor at 100.
pub fn redraw(
    state: &State,
    plan: &Plan,
    split: &str,
    letters: &str,
) -> Result<WeightSet, Refusal> {
    find_split(plan, split)?;
    let ends = [Percent::ZERO, Percent::HUNDRED].map(Weight::Percent);
    let effective = WeightSet::of_config(&state.config);
    if let Some((key, weight)) = effective
        .of_split(split)
        .find(|(_, weight)| !ends.contains(weight))
    {
        let (key, weight) = (key.clone(), weight.clone());
        return Err(Refusal::MidRamp { key, weight });
    }
    let mut managed = state.managed.clone();
    managed.set_draw(split, letters);
    Ok(managed)
}

/// Letters for a new draw: the date, and a number behind it if that was drawn already.
pub fn letters(date: &str, current: Option<&str>) -> String {
    match current.and_then(|current| current.strip_prefix(date)) {
        None => date.to_owned(),
        Some("") => format!("{date}.2"),
        Some(rest) => {
            let number = rest.trim_start_matches('.').parse::<u32>().unwrap_or(1);
            format!("{date}.{}", number.saturating_add(1))
        }
    }
}

/// Earlier weights and draws; zero for whatever got a weight since.
pub fn restore(state: &State, earlier: &WeightSet) -> WeightSet {
    let mut managed = earlier.clone();
    for (key, _) in state.managed.iter() {
        if earlier.weight(key).is_none() {
            managed.set(key.clone(), Percent::ZERO);
        }
    }
    managed
}

/// Another plugin's weights for a split; zero for whatever has a weight here and none there.
///
/// # Errors
/// What this plugin does not have.
pub fn promote(
    state: &State,
    plan: &Plan,
    split: &str,
    weights: &WeightSet,
) -> Result<WeightSet, Refusal> {
    let defined = find_split(plan, split)?;
    let mut managed = state.managed.clone();
    for (key, _) in leaves(&state.config).filter(|(key, _)| key.split == split) {
        managed.set(key, Percent::ZERO);
    }
    for (key, weight) in weights.of_split(split) {
        check_audience(defined, &key.audience)?;
        check_challenger(defined, &key.challenger)?;
        managed.put(key.clone(), weight.clone());
    }
    Ok(managed)
}

/// The splits whose weights or draws differ, also where one writes zero and the other nothing.
pub fn differing_splits(before: &WeightSet, after: &WeightSet) -> BTreeSet<String> {
    let splits = before.splits().into_iter().chain(after.splits());
    splits
        .filter(|split| before.only(split) != after.only(split))
        .map(str::to_owned)
        .collect()
}

/// Every weight that differs, in order.
pub fn differences(before: &WeightSet, after: &WeightSet) -> Vec<WeightChange> {
    let keys: BTreeSet<&WeightKey> = before
        .iter()
        .chain(after.iter())
        .map(|(key, _)| key)
        .collect();
    let change = |key: &WeightKey| WeightChange {
        key: key.clone(),
        from: before.weight(key).cloned().unwrap_or_default(),
        to: after.weight(key).cloned().unwrap_or_default(),
    };
    keys.into_iter()
        .map(change)
        .filter(|change| change.from != change.to)
        .collect()
}

#[cfg(test)]
mod tests;
