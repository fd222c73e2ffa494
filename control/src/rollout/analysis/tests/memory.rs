//! What is remembered from round to round.

use serde_json::{Value, json};

use super::round::{arm, context, increments, observed, plan, users};
use crate::rollout::analysis::plan::Plan;
use crate::rollout::analysis::{Memory, judge};
use crate::rollout::observation::{Arm, Reading};
use crate::rollout::resource;

/// As many checks as there may be, with names and errors as long as they may be.
fn greatest() -> Plan {
    let checks: Vec<Value> = (0..resource::MAX_CHECKS)
        .map(|index| {
            let name = format!("{index:0>40}");
            match index {
                0 => json!({"name": name, "metric": "errorRate", "against": "fallback", "fail": "> +1pp", "confidence": 0.99}),
                1..10 => json!({"name": name, "metric": "failedUsers", "against": "fallback", "fail": "> +50%", "confidence": 0.99}),
                _ => json!({"name": name, "query": "up", "pass": "> 0", "interval": "1h"}),
            }
        })
        .collect();
    plan(&json!({"checks": checks, "failureLimit": 1_000_000}))
}

/// What is remembered of as many checks as there may be.
pub(in crate::rollout) fn greatest_memory() -> Memory {
    let plan = greatest();
    let mut memory = Memory::default();
    for round in 0..3_u32 {
        let all = round * 300..round * 300 + 300;
        let mut observation = observed(
            Arm {
                since: increments(333_333, 11_111),
                window: increments(333_333, 11_111),
                users: Some(users(all.clone(), all.clone())),
            },
            Arm {
                since: increments(333_333, 11_111),
                window: increments(333_333, 11_111),
                users: Some(users(all.clone(), all)),
            },
        );
        let error = Reading::Error("e".repeat(1_000));
        let queries = plan
            .checks
            .iter()
            .map(|check| (check.name.clone(), error.clone()));
        observation.queries = queries.collect();
        memory = judge(context(&plan, 0), &memory, &observation).memory;
    }
    memory
}

#[test]
fn what_is_remembered_fits_into_a_status_and_is_read_again() {
    let memory = greatest_memory();
    let text = serde_json::to_string(&memory).unwrap();
    assert!(text.len() < 12_000, "{}: {text}", text.len());
    assert_eq!(serde_json::from_str::<Memory>(&text).unwrap(), memory);
}

#[test]
fn what_is_remembered_wrongly_is_refused() {
    for users in [
        "x",
        "1.2.3.4.5.6.7.8.9.10.11.12.13.14.15.16.17.18.19.20.21.22.23",
    ] {
        let memory = json!({"users": {"challenger": users, "fallback": "", "base": [0, 0]}});
        assert!(serde_json::from_value::<Memory>(memory).is_err(), "{users}");
    }
    assert_eq!(
        serde_json::from_value::<Memory>(json!({})).unwrap(),
        Memory::default()
    );
}

#[test]
fn a_check_that_is_another_begins_anew_and_all_others_go_on() {
    let checks = |fail: &str, query: &str| {
        plan(&json!({"failureLimit": 9, "checks": [
            {"name": "errors", "metric": "errorRate", "fail": fail},
            {"name": "orders", "query": query, "fail": "> 1"},
        ]}))
    };
    let observation = |plan: &Plan| {
        let mut observation = observed(arm(increments(1_000, 500)), arm(increments(1_000, 0)));
        let queries = plan.checks.iter().skip(1);
        observation.queries = queries
            .map(|check| (check.name.clone(), Reading::Value(7.0)))
            .collect();
        observation
    };
    let before = checks("> 1%", "a");
    let memory = judge(
        context(&before, 0),
        &Memory::default(),
        &observation(&before),
    )
    .memory;
    let failed = |memory: &Memory| memory.states().iter().map(|state| state.failed).collect();
    assert_eq!(failed(&memory), vec![1, 1]);
    let cases = [
        ("the same", checks("> 1%", "a"), vec![], vec![2, 2]),
        (
            "another threshold",
            checks("> 2%", "a"),
            vec!["errors"],
            vec![1, 2],
        ),
        (
            "another query",
            checks("> 1%", "b"),
            vec!["orders"],
            vec![2, 1],
        ),
    ];
    for (label, after, anew, counts) in cases {
        let judged = judge(context(&after, 0), &memory, &observation(&after));
        assert_eq!(judged.anew, anew, "{label}");
        assert_eq!(failed(&judged.memory), counts, "{label}");
    }
    // What an earlier version kept does not say what it is of.
    let mut former = serde_json::to_value(&memory).unwrap();
    for check in former["checks"].as_array_mut().unwrap() {
        check.as_object_mut().unwrap().remove("of");
    }
    let former: Memory = serde_json::from_value(former).unwrap();
    let after = checks("> 2%", "b");
    let judged = judge(context(&after, 0), &former, &observation(&after));
    assert_eq!((judged.anew, failed(&judged.memory)), (vec![], vec![2, 2]));
}
