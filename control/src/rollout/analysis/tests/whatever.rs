//! What holds whatever is observed.

use std::time::Duration;

use proptest::prelude::*;
use serde_json::json;

use super::round::{arm, context, increments, observed, plan, reading, users};
use crate::rollout::analysis::plan::Plan;
use crate::rollout::analysis::{Context, Exposures, Memory, Verdict, judge};
use crate::rollout::observation::{Arm, Arms, Bucket, Edge, Increments, Observation, Reading};

fn any_count() -> impl Strategy<Value = u64> {
    prop_oneof![Just(0), Just(1), Just(u64::MAX), 0_u64..10_000]
}

fn any_increments() -> impl Strategy<Value = Increments> {
    let edge = prop_oneof![
        Just(Edge::Infinite),
        Just(Edge::At(Duration::ZERO)),
        Just(Edge::At(Duration::MAX)),
        (0_u64..10_000).prop_map(|edge| Edge::At(Duration::from_millis(edge))),
    ];
    let bucket = (edge, any_count()).prop_map(|(upper, count)| Bucket { upper, count });
    let buckets = prop::collection::vec(bucket, 0..6);
    (any_count(), any_count(), buckets).prop_map(|(responses, failures, buckets)| Increments {
        responses,
        failures,
        buckets,
    })
}

fn any_arm() -> impl Strategy<Value = Arm> {
    let sketch = (0_u32..5_000, 0_u32..2_000)
        .prop_map(|(first, many)| users(first..first + many, first..first + many));
    (any_increments(), any_increments(), prop::option::of(sketch)).prop_map(
        |(window, since, users)| Arm {
            window,
            since,
            users,
        },
    )
}

fn any_number() -> impl Strategy<Value = f64> {
    prop_oneof![
        Just(f64::NAN),
        Just(f64::INFINITY),
        Just(f64::NEG_INFINITY),
        Just(f64::MAX),
        Just(-0.0),
        Just(f64::MIN_POSITIVE),
        -10.0..10.0,
    ]
}

fn any_observation() -> impl Strategy<Value = Observation> {
    let arms = (any_arm(), any_arm()).prop_map(|(challenger, fallback)| {
        Reading::Value(Arms {
            challenger,
            fallback,
        })
    });
    let arms = prop_oneof![
        8 => arms,
        1 => Just(Reading::NoData),
        1 => Just(Reading::Error("ä".repeat(100))),
    ];
    let query = prop_oneof![
        4 => any_number().prop_map(Reading::Value),
        1 => Just(Reading::NoData),
        1 => Just(Reading::Error(String::new())),
    ];
    (arms, prop::option::of(query)).prop_map(|(arms, query)| {
        let mut observation = reading(arms);
        observation
            .queries
            .extend(query.map(|query| ("query".to_owned(), query)));
        observation
    })
}

/// Every kind of check; all of them deciding, or all of them not.
fn every_kind(dry_run: bool, least: u32) -> Plan {
    let mut checks = json!([
        {"name": "success", "metric": "successRate", "pass": ">= 99%", "fail": "< 95%"},
        {"name": "success against", "metric": "successRate", "against": "fallback", "fail": "< -1pp", "confidence": 0.9},
        {"name": "errors", "metric": "errorRate", "fail": "> 0%", "confidence": 0.99},
        {"name": "error ratio", "metric": "errorRate", "against": "fallback", "pass": "<= +0%", "fail": "> +50%"},
        {"name": "error ratio test", "metric": "errorRate", "against": "fallback", "fail": "> +50%", "confidence": 0.99},
        {"name": "latency", "metric": "latency", "quantile": 0.99, "pass": "<= 500ms"},
        {"name": "latency test", "metric": "latency", "quantile": 0.5, "fail": "> 1s", "confidence": 0.99},
        {"name": "slow", "metric": "latency", "quantile": 0.9, "against": "fallback", "pass": "<= +20%", "fail": "> +50%"},
        {"name": "slow test", "metric": "latency", "quantile": 0.9, "against": "fallback", "fail": "> +50%", "confidence": 0.99},
        {"name": "users", "metric": "failedUsers", "fail": "> 1%"},
        {"name": "users against", "metric": "failedUsers", "against": "fallback", "fail": "> +50%"},
        {"name": "users test", "metric": "failedUsers", "against": "fallback", "fail": "> +50%", "confidence": 0.99},
        {"name": "ratio", "metric": "sampleRatio"},
        {"name": "query", "query": "up", "fail": "> 1"},
    ]);
    for check in checks.as_array_mut().unwrap() {
        check["dryRun"] = json!(dry_run);
    }
    let choices =
        json!({"checks": checks, "onNoData": "fail", "onError": "fail", "minRequests": least});
    plan(&choices)
}

fn any_exposures() -> impl Strategy<Value = Exposures> {
    let part = prop_oneof![3 => 0.0..=1.0, 1 => any_number()];
    (part.clone(), part).prop_map(|(challenger, fallback)| Exposures {
        challenger,
        fallback,
    })
}

proptest! {
    #[test]
    fn whatever_is_observed_is_judged_the_same_each_time_and_remembered(
        observations in prop::collection::vec((0_usize..3, any_exposures(), any_observation()), 1..6),
        least in prop_oneof![Just(0_u32), Just(100)],
    ) {
        let plan = every_kind(false, least);
        let mut memory = Memory::default();
        for (step, exposures, observation) in &observations {
            let context = Context { plan: &plan, step: *step, steps: 3, exposures: *exposures };
            let judged = judge(context, &memory, observation);
            prop_assert_eq!(&judge(context, &memory, observation), &judged);
            let text = serde_json::to_string(&judged.memory).unwrap();
            memory = serde_json::from_str(&text).unwrap();
            prop_assert_eq!(&memory, &judged.memory);
        }
    }

    #[test]
    fn nothing_that_only_is_shown_decides(
        observations in prop::collection::vec((any_exposures(), any_observation()), 1..4),
    ) {
        let plan = every_kind(true, 0);
        let mut memory = Memory::default();
        for (exposures, observation) in &observations {
            let context = Context { plan: &plan, step: 0, steps: 3, exposures: *exposures };
            let judged = judge(context, &memory, observation);
            prop_assert_eq!(judged.verdict, Verdict::Pass);
            memory = judged.memory;
        }
    }

    #[test]
    fn a_run_passes_only_with_enough_requests_of_both(
        own in 0_u64..200, others in 0_u64..200, failures in 0_u64..10,
    ) {
        let check = json!({"name": "c", "metric": "errorRate", "against": "fallback", "fail": "> +50%", "confidence": 0.99});
        let plan = plan(&json!({"checks": [check]}));
        let observation = observed(arm(increments(own, failures)), arm(increments(others, failures)));
        let judged = judge(context(&plan, 0), &Memory::default(), &observation);
        prop_assert!(judged.verdict != Verdict::Pass || own >= 100 && others >= 100);
    }
}
