//! Plans and rounds to judge.

use std::collections::BTreeMap;
use std::time::Duration;

use jiff::Timestamp;
use serde_json::{Value, json};
use sluice_core::bucket::Point;
use sluice_core::decode::Decode as _;
use sluice_core::users::{Outcome, Users};

use crate::rollout::analysis::plan::{Plan, checked};
use crate::rollout::analysis::{Context, Exposures, Memory, Standing, judge};
use crate::rollout::observation::{Arm, Arms, Bucket, Edge, Increments, Observation, Reading};
use crate::rollout::resource;

pub(super) fn plan(analysis: &Value) -> Plan {
    let mut problems = Vec::new();
    let written = resource::Analysis::decode("a", analysis, &mut problems);
    let plan = written.and_then(|written| checked("a", &written, &mut problems));
    assert_eq!(problems, []);
    plan.unwrap()
}

/// A plan of one check, named c.
pub(super) fn one(check: &Value) -> Plan {
    let mut check = check.clone();
    check["name"] = json!("c");
    plan(&json!({"checks": [check], "failureLimit": 1_000}))
}

pub(super) const fn context(plan: &Plan, step: usize) -> Context<'_> {
    let exposures = Exposures {
        challenger: 0.2,
        fallback: 0.8,
    };
    Context {
        plan,
        step,
        steps: 7,
        exposures,
    }
}

pub(super) fn increments(responses: u64, failures: u64) -> Increments {
    Increments {
        responses,
        failures,
        buckets: Vec::new(),
    }
}

/// So many within each edge of 100 ms, 500 ms, 1 s and beyond it.
pub(super) fn times(counts: [u64; 4]) -> Increments {
    let edges = [100, 500, 1_000].map(|edge| Edge::At(Duration::from_millis(edge)));
    let buckets = edges.into_iter().chain([Edge::Infinite]).zip(counts);
    Increments {
        responses: counts[3],
        failures: 0,
        buckets: buckets
            .map(|(upper, count)| Bucket { upper, count })
            .collect(),
    }
}

/// The same in the window and since the last round.
pub(super) fn arm(increments: Increments) -> Arm {
    Arm {
        window: increments.clone(),
        since: increments,
        users: None,
    }
}

pub(super) fn observed(challenger: Arm, fallback: Arm) -> Observation {
    reading(Reading::Value(Arms {
        challenger,
        fallback,
    }))
}

pub(super) fn reading(arms: Reading<Arms>) -> Observation {
    Observation {
        at: Timestamp::from_second(1_800_000_000).unwrap(),
        since: None,
        arms,
        queries: BTreeMap::new(),
    }
}

pub(super) fn answered(query: Reading<f64>) -> Observation {
    let mut observation = reading(Reading::NoData);
    observation.queries.insert("c".to_owned(), query);
    observation
}

/// Where the only check stands after one round, and its line.
pub(super) fn stands(plan: &Plan, observation: &Observation) -> (Standing, String) {
    let judged = judge(context(plan, 0), &Memory::default(), observation);
    let state = &judged.memory.states()[0];
    (state.standing, state.line(&plan.checks[0]))
}

/// Users by number, of whom the first `failed` failed.
pub(super) fn users(failed: std::ops::Range<u32>, all: std::ops::Range<u32>) -> Users {
    let mut users = Users::default();
    for user in all {
        let outcome = if failed.contains(&user) {
            Outcome::Failed
        } else {
            Outcome::Answered
        };
        users.add(Point::of_random(user.wrapping_mul(2_654_435_761)), outcome);
    }
    users
}

pub(super) fn with_users(responses: u64, users: Users) -> Arm {
    Arm {
        users: Some(users),
        ..arm(increments(responses, 0))
    }
}
