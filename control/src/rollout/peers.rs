//! What other Rollouts of a namespace, or of a directory, mean for one: who moves the same weights,
//! and how far its group is. Pure.

use std::collections::BTreeSet;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::definition::Definition;
use super::status::{Phase, RunOutcome, Status};
use super::world::{Peers, plugin_name};

/// What others need to know of a Rollout.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Summary {
    /// Its name.
    pub name: String,
    /// The plugin's name, where the spec says one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub plugin: Option<String>,
    /// The split.
    pub split: String,
    /// The challenger, where one is written.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub challenger: Option<String>,
    /// The audiences whose weights it moves.
    pub audiences: BTreeSet<String>,
    /// Its group.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub group: Option<String>,
    /// How many steps it has.
    pub steps: usize,
    /// The version that it wants.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub version: Option<String>,
}

impl Summary {
    /// Of a definition.
    pub fn of(name: &str, definition: &Definition) -> Self {
        let audiences = definition.audiences().into_iter();
        Self {
            name: name.to_owned(),
            plugin: definition.plugin.clone(),
            split: definition.split.clone(),
            challenger: definition.challenger.clone(),
            audiences: audiences.map(str::to_owned).collect(),
            group: definition.group.clone(),
            steps: definition.steps.len(),
            version: definition.version.clone(),
        }
    }

    /// Whether it may be of the same split: of two plugins that both are named, splits of one name are
    /// two.
    pub fn may_share(&self, other: &Self) -> bool {
        let names = self.plugin.as_deref().zip(other.plugin.as_deref());
        let is_another = names.is_some_and(|(one, two)| plugin_name(one) != plugin_name(two));
        self.split == other.split && !is_another
    }

    /// How many steps it has behind it; `None` where it has nothing to do, and is ready for any.
    fn done(&self, status: &Status) -> Option<usize> {
        let last = status.run.as_ref();
        match status.under_way() {
            Some(run) => Some(run.step),
            None if last.map(|run| &run.version) == Some(&self.version) => None,
            // Its run is still to begin: it is not even ready for the first step.
            None => self.version.is_some().then_some(0),
        }
    }

    fn has_begun(&self, status: &Status) -> bool {
        let run = status.run.as_ref();
        let is_of_version = run.is_some_and(|run| run.version == self.version);
        self.version.is_none() || is_of_version
    }
}

/// What the others mean for the one named, whose status this is.
pub fn peers(own: &Summary, status: &Status, others: &[(Summary, Status)]) -> Peers {
    let others = others.iter().filter(|(other, _)| other.name != own.name);
    let others: Vec<&(Summary, Status)> = others.collect();
    let ahead = others.iter().find(|(other, status)| {
        let is_same = other.may_share(own) && !other.audiences.is_disjoint(&own.audiences);
        is_same && status.phase.is_under_way()
    });
    let group = others
        .iter()
        .filter(|(other, _)| own.group.is_some() && other.group == own.group);
    let run = status.run.as_ref();
    let step = run.map_or(0, |run| run.step);
    let began = run.map(|run| run.began);
    let mut group = group.peekable();
    let behind = group.clone().find(|(other, status)| {
        let done = other.done(status);
        !other.has_begun(status) || done.is_some_and(|done| done < step.min(other.steps))
    });
    let unready = group.clone().find(|(_, status)| {
        let run = status.run.as_ref();
        run.is_some_and(|run| status.phase.is_under_way() && !run.is_ready)
    });
    let failed = group.find(|(_, status)| began.is_some_and(|began| has_failed(status, began)));
    Peers {
        ahead: ahead.map(|other| other.0.name.clone()),
        behind: behind.map(|other| other.0.name.clone()),
        unready: unready.map(|other| other.0.name.clone()),
        failed: failed.map(|other| other.0.name.clone()),
    }
}

/// Whether a run failed since then.
fn has_failed(status: &Status, since: Timestamp) -> bool {
    let Some(run) = &status.run else {
        return false;
    };
    let ending = run.ending.as_ref().map(|ending| ending.outcome);
    let is_failure = matches!(ending, Some(RunOutcome::RolledBack | RunOutcome::Aborted));
    let is_recent = run.ended.is_none_or(|ended| ended >= since);
    is_failure && is_recent && status.phase != Phase::Succeeded
}
