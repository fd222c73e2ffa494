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
    /// Whether it follows a Deployment, whose pods it starts and ends.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub has_workload: bool,
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
            has_workload: definition.workload.is_some(),
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
        match status.under_way() {
            Some(run) => Some(run.step),
            // Its run is still to begin: it is not even ready for the first step.
            None => (!self.has_begun(status)).then_some(0),
        }
    }

    fn has_begun(&self, status: &Status) -> bool {
        let run = status.run.as_ref();
        let is_of = |wanted| run.is_some_and(|run| run.version.as_ref() == Some(wanted));
        self.wanted(status).is_none_or(is_of)
    }

    /// The version that it wants; of a workload, what its Deployment has and its copy has not.
    fn wanted<'w>(&'w self, status: &'w Status) -> Option<&'w String> {
        let kept = status.workload.as_ref();
        let of_workload = kept.and_then(|kept| {
            kept.wanted
                .as_ref()
                .filter(|_| kept.wanted != kept.promoted)
        });
        self.version.as_ref().or(of_workload)
    }
}

/// What the others mean for the one named, whose status this is.
pub fn peers(own: &Summary, status: &Status, others: &[(Summary, Status)]) -> Peers {
    let others = others.iter().filter(|(other, _)| other.name != own.name);
    let others: Vec<&(Summary, Status)> = others.collect();
    let ahead = others.iter().find(|(other, status)| {
        let is_same = other.may_share(own) && !other.audiences.is_disjoint(&own.audiences);
        // Whoever gives the challenger no pods sends nobody where another one keeps them away.
        let keeps_pods = other.has_workload && !own.has_workload;
        let keeps_pods = keeps_pods && status.phase != Phase::Released;
        is_same && (keeps_pods || status.phase.is_under_way())
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

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{Value, json};

    fn of_group(name: &str) -> Summary {
        Summary {
            name: name.to_owned(),
            split: name.to_owned(),
            group: Some("shop".to_owned()),
            steps: 3,
            ..Summary::default()
        }
    }

    fn status(run: &Value, workload: &Value) -> Status {
        let mut status = json!({"phase": "Progressing", "run": run, "workload": workload});
        if run.is_null() {
            status["phase"] = json!("Idle");
        }
        serde_json::from_value(status).unwrap()
    }

    fn run(version: &str, step: usize, stage: &str) -> Value {
        json!({
            "number": 1, "version": version, "began": "2026-11-22T09:00:00Z", "since": "2026-11-22T09:00:00Z",
            "step": step, "stage": stage, "weights": {},
        })
    }

    #[test]
    fn who_follows_no_deployment_moves_nobody_where_another_does() {
        let of = |name: &str, has_workload| Summary {
            split: "web".to_owned(),
            audiences: ["everyone".to_owned()].into(),
            has_workload,
            group: None,
            ..of_group(name)
        };
        let idle = status(&Value::Null, &json!({}));
        let released = Status {
            phase: Phase::Released,
            ..idle.clone()
        };
        let cases = [
            (false, true, &idle, Some("other")),
            (false, true, &released, None),
            (true, true, &idle, None),
            (true, false, &idle, None),
            (false, false, &idle, None),
        ];
        for (own, other, status, ahead) in cases {
            let others = [(of("other", other), status.clone())];
            let peers = peers(&of("web", own), &idle, &others);
            assert_eq!(peers.ahead.as_deref(), ahead, "{own} {other}");
        }
    }

    #[test]
    fn a_workload_of_a_group_is_waited_for_while_it_has_what_its_copy_has_not() {
        let own = status(&run("v2", 1, "Holding"), &json!({}));
        let cases = [
            ("nobody looked at it", Value::Null, json!({}), false),
            (
                "its copy has it",
                Value::Null,
                json!({"wanted": "v1", "promoted": "v1"}),
                false,
            ),
            (
                "its run is to begin",
                Value::Null,
                json!({"wanted": "v2", "promoted": "v1"}),
                true,
            ),
            (
                "its run is at the first step",
                run("v2", 0, "Holding"),
                json!({"wanted": "v2", "promoted": "v1"}),
                true,
            ),
            (
                "its run is as far",
                run("v2", 1, "Holding"),
                json!({"wanted": "v2", "promoted": "v1"}),
                false,
            ),
            (
                "its run is over, and it takes it",
                run("v2", 2, "Over"),
                json!({"wanted": "v2", "promoted": "v1"}),
                false,
            ),
        ];
        for (label, other, workload, is_behind) in cases {
            let others = [(of_group("api"), status(&other, &workload))];
            let behind = peers(&of_group("web"), &own, &others).behind;
            let expected = is_behind.then(|| "api".to_owned());
            assert_eq!(behind, expected, "{label}");
        }
    }
}
