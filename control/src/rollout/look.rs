//! Looking at a split in a store: what the engine needs of it, and what a write will stand on.

use std::collections::BTreeSet;

use sluice_core::allocation::Percent;
use sluice_core::plan::{EVERYONE, Plan};

use super::peers::Summary;
use super::proxies::Watched;
use super::status::{Run, Status};
use super::world::{SplitSeen, SplitState};
use crate::model::reach::Reach;
use crate::model::weights::{Weight, WeightKey, WeightSet};
use crate::store::{Snapshot, Store};

/// What one look at a store saw.
#[derive(Clone, Debug)]
pub struct Looked {
    /// The split.
    pub split: String,
    /// What the engine needs.
    pub seen: SplitSeen,
    /// The variants, where the split is there.
    pub variants: Option<Variants>,
    /// The plan that they are of.
    pub plan: Option<Plan>,
    /// What a write stands on; `None` where it could not be read.
    pub snapshot: Option<Snapshot>,
}

impl Looked {
    /// What its proxies are asked, where the split is there: who follows, and what guards took out.
    pub fn watched(&self) -> Option<Watched<'_>> {
        Some(Watched {
            split: &self.split,
            // Only whom the challenger reached depends on it.
            audience: EVERYONE,
            challenger: &self.variants.as_ref()?.challenger,
            live: self.snapshot.as_ref().and_then(|seen| seen.live.as_deref()),
        })
    }
}

/// The two variants of a run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Variants {
    /// The one that gets users.
    pub challenger: String,
    /// The one that they come from.
    pub fallback: String,
}

/// What is looked at: what a run moves or, without one, what its definition would.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Subject {
    /// The split.
    pub split: String,
    /// The challenger; `None`: the split's only one.
    pub challenger: Option<String>,
    /// The audiences.
    pub audiences: BTreeSet<String>,
}

impl Subject {
    /// Of a run that is under way, whatever its spec says meanwhile; else of what the spec says.
    pub fn of(wanted: &Summary, status: &Status) -> Self {
        // What an earlier version kept says no split.
        let run = status.under_way().filter(|run| !run.split.is_empty());
        run.map_or_else(|| Self::wanted(wanted), Self::moved)
    }

    /// What a run moved.
    pub fn moved(run: &Run) -> Self {
        Self {
            split: run.split.clone(),
            challenger: Some(run.challenger.clone()),
            audiences: run.weights.keys().cloned().collect(),
        }
    }

    /// What the spec says.
    pub fn wanted(wanted: &Summary) -> Self {
        Self {
            split: wanted.split.clone(),
            challenger: wanted.challenger.clone(),
            audiences: wanted.audiences.clone(),
        }
    }

    /// What taking it back reaches: where that cannot be known, the whole split.
    pub fn reach(&self) -> Reach {
        let is_known = self.challenger.is_some() && !self.audiences.is_empty();
        Reach {
            audiences: is_known.then(|| self.audiences.clone()),
            challenger: self.challenger.clone(),
            ..Reach::of_split(&self.split)
        }
    }
}

/// Looks at a Rollout's split.
pub async fn look(store: &impl Store, subject: &Subject) -> Looked {
    let snapshot = match store.snapshot().await {
        Ok(snapshot) => snapshot,
        Err(error) => return unread(subject, None, error),
    };
    let plan = match snapshot.plugin.plan_at_home() {
        Ok(plan) => plan,
        Err(error) => return unread(subject, Some(snapshot), error),
    };
    match variants(&plan, subject) {
        Ok(variants) => Looked {
            split: subject.split.clone(),
            seen: SplitSeen::Seen(SplitState {
                plugin: store.named(&snapshot),
                ..state(&snapshot, &variants, subject)
            }),
            variants: Some(variants),
            plan: Some(plan),
            snapshot: Some(snapshot),
        },
        Err(what) => Looked {
            split: subject.split.clone(),
            seen: SplitSeen::Missing { what },
            variants: None,
            plan: None,
            snapshot: Some(snapshot),
        },
    }
}

fn unread(subject: &Subject, snapshot: Option<Snapshot>, error: anyhow::Error) -> Looked {
    let why = format!("{error:#}");
    Looked {
        split: subject.split.clone(),
        seen: SplitSeen::Unknown { why },
        variants: None,
        plan: None,
        snapshot,
    }
}

/// The variants of the split that a subject means.
///
/// # Errors
/// What is missing, and what there is instead.
pub fn variants(plan: &Plan, subject: &Subject) -> Result<Variants, String> {
    let name = &subject.split;
    let Some(split) = plan.split_named(name) else {
        let names = plan.splits().iter().take(10);
        let names: Vec<&str> = names.map(|split| &*split.definition.name).collect();
        return Err(format!(
            "the plugin has no split {name}; it has {}",
            listed(&names)
        ));
    };
    let challengers: Vec<&str> = split
        .definition
        .challengers()
        .iter()
        .map(|name| &**name)
        .collect();
    let challenger = match (&subject.challenger, challengers.as_slice()) {
        (Some(wanted), _) if challengers.contains(&wanted.as_str()) => wanted,
        (None, [only]) => *only,
        (None, _) => {
            return Err(format!(
                "split {name} has the challengers {}; spec.challenger is to name one",
                listed(&challengers)
            ));
        }
        (Some(wanted), _) => {
            return Err(format!(
                "split {name} has no challenger {wanted}; it has {}",
                listed(&challengers)
            ));
        }
    };
    let rules = &split.definition.rules;
    let has = |audience: &str| {
        let mut rules = rules.iter();
        audience == EVERYONE || rules.any(|rule| *rule.name == *audience)
    };
    if let Some(audience) = subject.audiences.iter().find(|name| !has(name)) {
        return Err(format!("split {name} has no rule {audience}"));
    }
    let fallback = split.definition.named_variants().next();
    let fallback = fallback.map(|(_, name)| name.to_owned());
    Ok(Variants {
        challenger: challenger.to_owned(),
        fallback: fallback.unwrap_or_default(),
    })
}

fn listed(names: &[&str]) -> String {
    match names {
        [] => "none".to_owned(),
        names => names.join(", "),
    }
}

fn state(snapshot: &Snapshot, variants: &Variants, subject: &Subject) -> SplitState {
    let written = WeightSet::of_config(&snapshot.plugin.config);
    let audiences: BTreeSet<&str> = subject.audiences.iter().map(String::as_str).collect();
    let weight = |audience: &str| {
        let key = WeightKey::new(&subject.split, audience, &variants.challenger);
        match written.weight(&key) {
            Some(Weight::Percent(percent)) => *percent,
            _ => Percent::ZERO,
        }
    };
    let weights = audiences
        .iter()
        .map(|audience| ((*audience).to_owned(), weight(audience)));
    let others = written
        .of_split(&subject.split)
        .filter_map(|(key, weight)| {
            let is_other =
                key.challenger == variants.challenger && !audiences.contains(&*key.audience);
            match weight {
                Weight::Percent(percent) if is_other && *percent > Percent::ZERO => {
                    Some((key.audience.clone(), *percent))
                }
                _ => None,
            }
        });
    let mut changes = snapshot.noted.iter();
    let mut aborts = changes.clone();
    let split = &subject.split;
    let change = changes.rfind(|noted| noted.names(split));
    let abort = aborts.rfind(|noted| noted.takes_back(split, &variants.challenger, &audiences));
    SplitState {
        plugin: None,
        challenger: variants.challenger.clone(),
        weights: weights.collect(),
        others: others.collect(),
        last_change: change.map(ToString::to_string),
        last_abort: abort.map(ToString::to_string),
        last_abort_id: abort.map(|abort| format!("{} {abort}", abort.revision)),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::rollout::definition::Definition;
    use crate::store::directory::Directory;

    const NOW: &str = "2026-11-21T10:00:00Z";

    #[tokio::test]
    async fn proxies_are_asked_about_the_split_of_a_run_whatever_its_spec_says_meanwhile() {
        let folder = tempfile::tempdir().unwrap();
        let config = "splits: {web: {}, shop: {}}";
        std::fs::write(folder.path().join("plugin.yaml"), config).unwrap();
        let directory = Directory::open(folder.path()).unwrap();
        let spec = json!({"split": "shop", "version": "v2", "preset": "emergency"});
        let wanted = Summary::of("web", &Definition::read("spec", &spec).unwrap());
        let run = json!({
            "number": 1, "began": NOW, "since": NOW, "step": 0, "stage": "GoingBack",
            "split": "web", "challenger": "canary", "weights": {"everyone": 5},
        });
        let status = Status {
            run: Some(serde_json::from_value(run).unwrap()),
            ..Status::default()
        };
        for (status, expected) in [(status, "web"), (Status::default(), "shop")] {
            let looked = look(&directory, &Subject::of(&wanted, &status)).await;
            assert_eq!(looked.watched().unwrap().split, expected);
        }
    }

    #[tokio::test]
    async fn weights_of_audiences_that_a_rollout_does_not_move_are_seen_beside_its_own() {
        let folder = tempfile::tempdir().unwrap();
        let config = "{splits: {web: {rules: [{name: staff, header: x-staff, values: [yes]}]}}, \
                      weights: {web: {staff: {canary: 50}, everyone: {canary: 5}}}}";
        std::fs::write(folder.path().join("plugin.yaml"), config).unwrap();
        let directory = Directory::open(folder.path()).unwrap();
        let subject = Subject {
            split: "web".to_owned(),
            challenger: None,
            audiences: [EVERYONE.to_owned()].into(),
        };
        let SplitSeen::Seen(seen) = look(&directory, &subject).await.seen else {
            panic!("the split is there");
        };
        let percent = |number| Percent::new(number).unwrap();
        assert_eq!(seen.weights, [(EVERYONE.to_owned(), percent(5.0))].into());
        assert_eq!(seen.others, [("staff".to_owned(), percent(50.0))].into());
    }
}
