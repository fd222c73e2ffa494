//! What people read of one Rollout: its status, its steps with the time that is left, the weights in
//! force, who follows and whom it reached. Read here, shown by the commands and whatever else asks.

use std::collections::BTreeMap;

use jiff::{SignedDuration, Timestamp};
use serde::Serialize;
use sluice_core::allocation::Percent;
use sluice_core::plan::EVERYONE;

use super::look::{Subject, look};
use super::outline::{CheckLine, StepLine};
use super::proxies::{Mesh, Seen, Watched, proxies};
use super::resource::Span;
use super::rollouts::{Found, Host, Hosting, RolloutStore};
use super::status::{Phase, Run, RunUsers, Stage, Status};
use super::world::SplitSeen;
use crate::store::AnyStore;

/// One Rollout.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct View {
    /// Where it is kept, as people call it.
    pub store: String,
    /// Its namespace, in a cluster.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub namespace: Option<String>,
    /// Its name.
    pub name: String,
    /// The split.
    pub split: String,
    /// The version that it wants.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub version: Option<String>,
    /// Its group.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub group: Option<String>,
    /// Whether somebody runs it.
    pub host: Host,
    /// What runs it.
    #[serde(skip)]
    pub runner: Hosting,
    /// How many commands nobody obeyed yet.
    pub waiting_commands: usize,
    /// What is wrong with its spec.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub mistakes: Vec<String>,
    /// Whether the status is of the spec as it is now, and not of an earlier one.
    pub is_of_spec: bool,
    /// Its steps.
    pub steps: Vec<StepView>,
    /// Its checks as they stand.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub checks: Vec<CheckLine>,
    /// What is in force; `None` where it was not looked at, or could not be read.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub in_force: Option<InForce>,
    /// Why that is not known.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub unknown: Vec<String>,
    /// How far it is, as it is kept.
    pub status: Status,
}

/// One step.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct StepView {
    /// What it is.
    #[serde(flatten)]
    pub step: StepLine,
    /// Where the run is with it.
    pub state: StepState,
    /// How long its hold still takes, as people write it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub left: Option<String>,
}

/// Where a run is with a step.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub enum StepState {
    /// It is over.
    Done,
    /// The run is in it.
    Current,
    /// The run ended in it.
    Ended,
    /// It is still to come.
    ToCome,
}

/// What is in force of a Rollout's split.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct InForce {
    /// The challenger.
    pub challenger: String,
    /// Its weight by audience, as the store has it.
    pub weights: BTreeMap<String, Percent>,
    /// Who follows; `None` where nobody can be asked.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub proxies: Option<Follow>,
    /// About whom the challenger reached; `None` where users are not counted.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub users: Option<Users>,
    /// What guards took out.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub tripped: Vec<String>,
}

/// Who follows.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Follow {
    /// How many proxies run the split as it is wanted.
    pub converged: usize,
    /// Of how many.
    pub total: usize,
    /// What the others do, the first of them.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub lagging: Vec<String>,
}

/// About how many users of an audience a challenger reached since its weights last changed.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Users {
    /// The audience: that of the run's step.
    pub audience: String,
    /// Users who got it.
    pub reached: u64,
    /// Those of them with a failed response.
    pub failed: u64,
    /// The part of the audience's users who got it, in percent; `None` where there is nobody.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub share: Option<f64>,
}

/// A Rollout as it is kept, without a look at its split.
pub fn kept(store: &RolloutStore, found: &Found, now: Timestamp) -> View {
    let rollout = &found.rollout;
    View {
        store: store.title(),
        namespace: found.namespace.clone(),
        name: rollout.name.clone(),
        split: rollout.split.clone(),
        version: rollout.version.clone(),
        group: rollout.group.clone(),
        host: found.host,
        runner: found.runner,
        waiting_commands: found.waiting.len(),
        mistakes: found.mistakes.clone(),
        is_of_spec: found.is_of_spec,
        steps: steps(&found.steps, found.status.run.as_ref(), now),
        checks: found.checks.clone(),
        in_force: None,
        unknown: Vec::new(),
        status: found.status.clone(),
    }
}

/// The same with what is in force of its split, as far as that can be seen: who cannot see it reads
/// why.
pub async fn looked_at(
    store: &RolloutStore,
    found: &Found,
    mesh: Mesh<'_>,
    now: Timestamp,
) -> View {
    let mut view = kept(store, found, now);
    let subject = Subject::of(&found.rollout, &found.status);
    if subject.split.is_empty() {
        // Its mistakes say so.
        return view;
    }
    let weights = store.weights(found);
    let looked = look(&weights, &subject).await;
    match looked.seen {
        SplitSeen::Seen(seen) => {
            let mut in_force = InForce {
                challenger: seen.challenger,
                weights: seen.weights,
                ..InForce::default()
            };
            let unknown = in_force.follow(&weights, &subject.split, found, mesh);
            view.unknown.extend(unknown.await);
            // Where nobody can be asked, as whoever runs it saw them last.
            let run = found.status.under_way();
            let noted = run.and_then(|run| run.users.as_ref());
            in_force.users = in_force.users.or_else(|| noted.map(Users::from));
            view.in_force = Some(in_force);
        }
        SplitSeen::Missing { what: why } | SplitSeen::Unknown { why } => {
            view.unknown.push(format!("weights: {why}"));
        }
    }
    view
}

impl From<&RunUsers> for Users {
    fn from(noted: &RunUsers) -> Self {
        Self {
            audience: noted.audience.clone(),
            reached: noted.reached,
            failed: noted.failed,
            share: noted.share,
        }
    }
}

impl InForce {
    /// Asks the proxies; why they do not tell.
    async fn follow(
        &mut self,
        weights: &AnyStore,
        split: &str,
        found: &Found,
        mesh: Mesh<'_>,
    ) -> Option<String> {
        let run = found.status.run.as_ref();
        let step = run.and_then(|run| found.steps.get(run.step));
        let audience = step.map_or(EVERYONE, |step| &*step.audience);
        let watched = Watched {
            live: None,
            split,
            audience,
            challenger: &self.challenger,
        };
        match proxies(weights, mesh, watched).await {
            Seen::Known(known) => {
                self.proxies = Some(Follow {
                    converged: known.converged,
                    total: known.total,
                    lagging: known.lagging,
                });
                self.users = known.reached.map(|reached| Users {
                    audience: audience.to_owned(),
                    reached: reached.users,
                    failed: reached.failed,
                    share: reached.share(),
                });
                self.tripped = known.tripped.iter().map(ToString::to_string).collect();
                None
            }
            Seen::Nobody => None,
            Seen::Unknown(why) => Some(format!("proxies: {why}")),
        }
    }
}

fn steps(lines: &[StepLine], run: Option<&Run>, now: Timestamp) -> Vec<StepView> {
    let lines = lines.iter().enumerate();
    lines
        .map(|(index, step)| StepView {
            step: step.clone(),
            state: state(index, run),
            left: run.and_then(|run| left(index, step, run, now)),
        })
        .collect()
}

fn state(index: usize, run: Option<&Run>) -> StepState {
    let Some(run) = run else {
        return StepState::ToCome;
    };
    let is_over = run.stage == Stage::Over;
    let has_succeeded = run.has_succeeded();
    match index.cmp(&run.step) {
        std::cmp::Ordering::Less => StepState::Done,
        std::cmp::Ordering::Equal if is_over && has_succeeded => StepState::Done,
        std::cmp::Ordering::Equal if is_over => StepState::Ended,
        std::cmp::Ordering::Equal => StepState::Current,
        std::cmp::Ordering::Greater => StepState::ToCome,
    }
}

/// How long the hold of the step that a run is in still takes.
fn left(index: usize, step: &StepLine, run: &Run, now: Timestamp) -> Option<String> {
    if index != run.step || run.stage != Stage::Holding {
        return None;
    }
    let length = SignedDuration::try_from(step.length()).ok()?;
    let end = run.converged?.checked_add(length).ok()?;
    let milliseconds = end.duration_since(now).as_millis().max(0);
    let seconds = u64::try_from(milliseconds).ok()?.div_ceil(1_000);
    Some(Span::of_seconds(seconds)?.to_string())
}

/// Whether the last run is over and was of the version that is wanted.
fn is_over(version: Option<&String>, status: &Status) -> bool {
    let run = status.run.as_ref();
    let is_of_version = match &status.workload {
        // What a workload wants stands in no spec: once its Deployments rest, that was it.
        Some(kept) => kept.is_at_rest,
        None => run.is_some_and(|run| run.version.as_ref() == version),
    };
    is_of_version && run.is_some_and(|run| run.stage == Stage::Over)
}

impl View {
    /// Whether its last run is over and no other is wanted: nothing more will come by itself.
    pub fn has_settled(&self) -> bool {
        let is_asked =
            self.status.is_start_wanted || self.status.is_finishing || self.waiting_commands > 0;
        self.is_of_spec && is_over(self.version.as_ref(), &self.status) && !is_asked
    }

    /// Whether the last run ended well.
    pub fn has_succeeded(&self) -> bool {
        self.status.run.as_ref().is_some_and(Run::has_succeeded)
    }

    /// Whether nobody runs it although it has something to do.
    pub fn is_abandoned(&self) -> bool {
        let status = &self.status;
        let has_work = status.phase.is_under_way()
            || matches!(status.phase, Phase::Waiting | Phase::Blocked)
            || self.waiting_commands > 0;
        self.host == Host::Nobody && has_work
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn steps_of(run: serde_json::Value, after_seconds: i64) -> Vec<(StepState, Option<String>)> {
        let lines = json!([
            {"audience": "staff", "weight": 100, "hold": "1h"},
            {"audience": "everyone", "weight": 5, "hold": "90s"},
            {"audience": "everyone", "weight": 100, "hold": "0s"},
        ]);
        let lines: Vec<StepLine> = serde_json::from_value(lines).unwrap();
        let mut whole = json!({
            "number": 1, "began": "2026-11-21T09:00:00Z", "step": 1, "since": "2026-11-21T09:00:00Z",
            "weights": {}, "wanted": {}, "converged": "2026-11-21T09:00:00Z",
        });
        json_patch::merge(&mut whole, &run);
        let run: Run = serde_json::from_value(whole).unwrap();
        let now = run.began + SignedDuration::from_secs(after_seconds);
        let steps = steps(&lines, Some(&run), now).into_iter();
        steps.map(|step| (step.state, step.left)).collect()
    }

    #[test]
    fn steps_are_done_current_ended_or_to_come_and_a_hold_has_a_time_left() {
        use StepState::{Current, Done, Ended, ToCome};
        let left = |text: &str| Some(text.to_owned());
        let failed = json!({"stage": "Over", "ending": {"as": "RolledBack", "message": ""}});
        let good =
            json!({"stage": "Over", "step": 2, "ending": {"as": "Succeeded", "message": ""}});
        let cases = [
            (
                "held",
                json!({"stage": "Holding"}),
                20,
                [Done, Current, ToCome],
                left("1m10s"),
            ),
            (
                "held longer",
                json!({"stage": "Holding"}),
                500,
                [Done, Current, ToCome],
                left("0s"),
            ),
            (
                "moving",
                json!({"stage": "Moving"}),
                20,
                [Done, Current, ToCome],
                None,
            ),
            ("failed", failed, 20, [Done, Ended, ToCome], None),
            ("succeeded", good, 20, [Done, Done, Done], None),
        ];
        for (label, run, after, states, left) in cases {
            let steps = steps_of(run, after);
            let found: Vec<StepState> = steps.iter().map(|(state, _)| *state).collect();
            assert_eq!(found, states, "{label}");
            assert_eq!(steps[1].1, left, "{label}");
        }
    }

    #[test]
    fn the_run_of_a_workload_is_over_once_its_deployments_rest() {
        let status = |stage: &str, is_at_rest: bool| -> Status {
            let run = json!({
                "number": 1, "version": "web:v2 (1a2b3c4d5e)", "began": "2026-11-21T09:00:00Z", "step": 0,
                "since": "2026-11-21T09:00:00Z", "weights": {}, "stage": stage,
            });
            let workload = json!({"isAtRest": is_at_rest});
            serde_json::from_value(json!({"run": run, "workload": workload})).unwrap()
        };
        assert!(is_over(None, &status("Over", true)));
        assert!(!is_over(None, &status("Over", false)));
        assert!(!is_over(None, &status("Holding", true)));
        let of_version = Status {
            workload: None,
            ..status("Over", true)
        };
        assert!(!is_over(None, &of_version));
        assert!(is_over(
            Some(&"web:v2 (1a2b3c4d5e)".to_owned()),
            &of_version
        ));
    }
}
