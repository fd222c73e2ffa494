//! Which brakes are in force in a proxy, and when each ends. Pure: what was answered and which
//! configuration came in, what began and ended out.
//!
//! A listed brake is in force whatever the weights say. One that is not listed any more was written as
//! weights by then: it stays until these come, which is when the split's terms differ from those that it
//! found; at once, where they differed while it was listed.

use super::{Answer, Listed, is_id};
use crate::definition::is_name;
use crate::index::{SplitIndex, VariantIndex, Variants};
use crate::plan::{Plan, Split};
use crate::revision::Revision;
use crate::wire;

/// The most brakes that are kept, listed or not any more; see docs/limits.md. Twice what is listed at once.
const MAX_KEPT_BRAKES: usize = 1_024;

/// How a brake stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Standing {
    /// It is listed, and the split is the one that it found.
    Listed,
    /// It is listed, and the split has changed since.
    Outdated,
    /// It is not listed any more, and the split is the one that it found.
    Unlisted,
}

/// A brake that is in force.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Braked {
    pub(super) listed: Listed,
    /// The split's definition, weights and draw when it began; none where there was no such split.
    terms: Revision,
    standing: Standing,
}

/// Why a brake ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum End {
    /// Somebody released it.
    Released,
    /// The split has other weights, another draw or another definition.
    Changed,
    /// It is not listed any more, and the weights give its challengers nobody.
    Needless,
    /// The configuration asks nobody any more.
    Off,
    /// There are more than may be kept.
    Forgotten,
}

/// What an answer or a configuration changed.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Changes {
    pub(super) begun: Vec<Listed>,
    pub(super) ended: Vec<(Listed, End)>,
}

/// All brakes that are in force, and the version of the answer that they are of.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct InForce {
    /// `None`: there was no answer yet.
    pub(super) version: Option<String>,
    pub(super) brakes: Vec<Braked>,
}

impl InForce {
    /// Takes over an answer.
    pub(super) fn answered(&mut self, answer: &Answer, plan: &Plan) -> Changes {
        let mut changes = Changes::default();
        self.version = Some(answer.version.clone());
        self.end(&mut changes, |brake| {
            if answer.released.contains(&brake.listed.id) {
                return Some(End::Released);
            }
            let is_changed = brake.terms != terms(plan, &brake.listed);
            let was_listed = brake.standing;
            if answer.brakes.contains(&brake.listed) {
                let is_outdated = is_changed || was_listed == Standing::Outdated;
                brake.standing = standing(is_outdated);
                return None;
            }
            brake.standing = Standing::Unlisted;
            match was_listed == Standing::Outdated || is_changed {
                true => Some(End::Changed),
                false => (!is_needed(plan, &brake.listed)).then_some(End::Needless),
            }
        });
        for listed in answer.brakes.iter().take(super::answer::MAX_LISTED) {
            let is_known = self.brakes.iter().any(|brake| brake.listed == *listed);
            if is_known || answer.released.contains(&listed.id) {
                continue;
            }
            changes.begun.push(listed.clone());
            self.brakes.push(Braked {
                terms: terms(plan, listed),
                listed: listed.clone(),
                standing: Standing::Listed,
            });
        }
        let mut surplus = self.brakes.len().saturating_sub(MAX_KEPT_BRAKES);
        self.end(&mut changes, |brake| {
            let is_forgotten = surplus > 0 && brake.standing == Standing::Unlisted;
            surplus -= usize::from(is_forgotten);
            is_forgotten.then_some(End::Forgotten)
        });
        changes
    }

    /// Looks at a configuration that is served from now on.
    pub(super) fn configured(&mut self, plan: &Plan) -> Changes {
        let mut changes = Changes::default();
        if !plan.has_brake() {
            self.version = None;
        }
        self.end(&mut changes, |brake| {
            if !plan.has_brake() {
                return Some(End::Off);
            }
            let is_changed = brake.terms != terms(plan, &brake.listed);
            if is_changed && brake.standing == Standing::Unlisted {
                return Some(End::Changed);
            }
            if is_changed {
                brake.standing = Standing::Outdated;
            }
            None
        });
        changes
    }

    /// The challengers of each split that are braked; a split may occur more than once.
    pub(super) fn places(&self, plan: &Plan) -> Vec<(SplitIndex, Variants)> {
        let places = self.brakes.iter();
        places
            .filter_map(|brake| place(plan, &brake.listed))
            .collect()
    }

    fn end(&mut self, changes: &mut Changes, mut end: impl FnMut(&mut Braked) -> Option<End>) {
        self.brakes.retain_mut(|brake| {
            let ended = end(brake);
            changes
                .ended
                .extend(ended.map(|end| (brake.listed.clone(), end)));
            ended.is_none()
        });
    }

    /// What [`InForce::read`] reads.
    pub(super) fn bytes(&self) -> Vec<u8> {
        let mut bytes = Vec::new();
        wire::push_name(&mut bytes, self.version.as_deref().unwrap_or_default());
        for Braked {
            listed,
            terms,
            standing,
        } in &self.brakes
        {
            for name in [&listed.id, &listed.split] {
                wire::push_name(&mut bytes, name);
            }
            wire::push_name(&mut bytes, listed.challenger.as_deref().unwrap_or_default());
            bytes.extend_from_slice(&terms.as_gauge().to_le_bytes());
            bytes.push(*standing as u8);
        }
        bytes
    }

    /// What was written. Of something else, what can be read of it, and no version: all is asked for again.
    pub(super) fn read(mut bytes: &[u8]) -> Self {
        let version = wire::name(&mut bytes).filter(|version| is_id(version));
        let mut brakes = Vec::new();
        while !bytes.is_empty() && brakes.len() < MAX_KEPT_BRAKES {
            let mut rest = bytes;
            let Some(brake) = read_one(&mut rest) else {
                break;
            };
            bytes = rest;
            brakes.push(brake);
        }
        Self {
            version: version.filter(|_| bytes.is_empty()).map(Into::into),
            brakes,
        }
    }
}

fn standing(is_outdated: bool) -> Standing {
    match is_outdated {
        true => Standing::Outdated,
        false => Standing::Listed,
    }
}

fn read_one(bytes: &mut &[u8]) -> Option<Braked> {
    let id = wire::name(bytes).filter(|id| is_id(id))?;
    let split = wire::name(bytes).filter(|split| is_name(split))?;
    let challenger = wire::name(bytes).filter(|name| name.is_empty() || is_name(name))?;
    Some(Braked {
        listed: Listed {
            id: id.into(),
            split: split.into(),
            challenger: Some(challenger.into()).filter(|name: &String| !name.is_empty()),
        },
        terms: Revision::from_gauge(wire::number(bytes)?),
        standing: match wire::take(bytes)? {
            [0] => Standing::Listed,
            [1] => Standing::Outdated,
            [2] => Standing::Unlisted,
            _ => return None,
        },
    })
}

fn terms(plan: &Plan, listed: &Listed) -> Revision {
    plan.split_named(&listed.split)
        .map(Split::terms)
        .unwrap_or_default()
}

/// Which challengers of which split a brake is for; none where the plan has none such.
fn place(plan: &Plan, listed: &Listed) -> Option<(SplitIndex, Variants)> {
    let index = plan.index_of(&listed.split)?;
    let challengers = challengers(plan.split(index)?, listed);
    Some((index, challengers))
}

fn challengers(split: &Split, listed: &Listed) -> Variants {
    let all = split.definition.named_variants().skip(1);
    let braked =
        all.filter(|(_, name)| listed.challenger.as_deref().is_none_or(|own| own == *name));
    braked.fold(Variants::default(), |all, (variant, _)| {
        all.and(Variants::of(variant))
    })
}

/// Whether the weights give its challengers anybody.
fn is_needed(plan: &Plan, listed: &Listed) -> bool {
    plan.split_named(&listed.split).is_some_and(|split| {
        let braked = challengers(split, listed);
        let is_given = |variant: VariantIndex| {
            braked.contain(Variants::of(variant)) && split.is_given(variant)
        };
        split
            .definition
            .named_variants()
            .any(|(variant, _)| is_given(variant))
    })
}

#[cfg(test)]
mod tests;
