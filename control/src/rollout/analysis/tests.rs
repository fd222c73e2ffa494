use super::*;
use proptest::prelude::*;
use serde_json::{Value, json};
use sluice_core::bucket::Point;
use sluice_core::decode::Decode as _;
use sluice_core::users::{Outcome, Users};
use std::collections::BTreeMap;
use std::time::Duration;

use crate::rollout::cut::cut;
use crate::rollout::observation::{Arm, Bucket, Edge, Increments};
use crate::rollout::resource;

fn plan(analysis: &Value) -> Plan {
    let mut problems = Vec::new();
    let written = resource::Analysis::decode("a", analysis, &mut problems);
    let plan = written.and_then(|written| plan::checked("a", &written, &mut problems));
    assert_eq!(problems, []);
    plan.unwrap()
}

/// A plan of one check, named c.
fn one(check: &Value) -> Plan {
    let mut check = check.clone();
    check["name"] = json!("c");
    plan(&json!({"checks": [check], "failureLimit": 1_000}))
}

const fn context(plan: &Plan, step: usize) -> Context<'_> {
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

fn increments(responses: u64, failures: u64) -> Increments {
    Increments {
        responses,
        failures,
        buckets: Vec::new(),
    }
}

/// So many within each edge of 100 ms, 500 ms, 1 s and beyond it.
fn times(counts: [u64; 4]) -> Increments {
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
fn arm(increments: Increments) -> Arm {
    Arm {
        window: increments.clone(),
        since: increments,
        users: None,
    }
}

fn observed(challenger: Arm, fallback: Arm) -> Observation {
    reading(Reading::Value(Arms {
        challenger,
        fallback,
    }))
}

fn reading(arms: Reading<Arms>) -> Observation {
    Observation {
        at: Timestamp::from_second(1_800_000_000).unwrap(),
        since: None,
        arms,
        queries: BTreeMap::new(),
    }
}

fn answered(query: Reading<f64>) -> Observation {
    let mut observation = reading(Reading::NoData);
    observation.queries.insert("c".to_owned(), query);
    observation
}

/// Where the only check stands after one round, and its line.
fn stands(plan: &Plan, observation: &Observation) -> (Standing, String) {
    let judged = judge(context(plan, 0), &Memory::default(), observation);
    let state = &judged.memory.states()[0];
    (state.standing, state.line(&plan.checks[0]))
}

use Standing::{Fail, Hold, NotApplicable, Pass};

#[test]
fn a_rate_is_judged_by_its_thresholds() {
    let both = json!({"metric": "successRate", "pass": ">= 99%", "fail": "< 95%"});
    let pass = json!({"metric": "successRate", "pass": ">= 99%"});
    let fail = json!({"metric": "errorRate", "fail": "> 5%"});
    let cases = [
        (
            "at the pass",
            &both,
            (100, 1),
            Pass,
            "c: 99%, fails at < 95%",
        ),
        (
            "between",
            &both,
            (100, 5),
            Hold,
            "c: 95%, fails at < 95%: between pass and fail",
        ),
        (
            "beyond the fail",
            &both,
            (100, 6),
            Fail,
            "c: 94%, fails at < 95%: failed; 1 failed measurements, 1000 allowed",
        ),
        (
            "only a pass, reached",
            &pass,
            (200, 2),
            Pass,
            "c: 99%, passes at >= 99%",
        ),
        (
            "only a pass, missed",
            &pass,
            (200, 3),
            Fail,
            "c: 98.5%, passes at >= 99%: not passed; 1 failed measurements, 1000 allowed",
        ),
        (
            "only a fail, not reached",
            &fail,
            (100, 5),
            Pass,
            "c: 5%, fails at > 5%",
        ),
        (
            "only a fail, reached",
            &fail,
            (100, 6),
            Fail,
            "c: 6%, fails at > 5%: failed; 1 failed measurements, 1000 allowed",
        ),
        (
            "too few requests to fail",
            &fail,
            (99, 99),
            Hold,
            "c: 100%, fails at > 5%: 99 of 100 requests",
        ),
        (
            "no requests",
            &fail,
            (0, 0),
            Hold,
            "c: 0%, fails at > 5%: 0 of 100 requests",
        ),
    ];
    for (why, check, (responses, failures), standing, line) in cases {
        let observation = observed(arm(increments(responses, failures)), Arm::default());
        let expected = (standing, line.to_owned());
        assert_eq!(stands(&one(check), &observation), expected, "{why}");
    }
}

#[test]
fn a_rate_is_judged_against_the_fallback() {
    let ratio =
        json!({"metric": "errorRate", "against": "fallback", "pass": "<= +10%", "fail": "> +50%"});
    let points = json!({"metric": "errorRate", "against": "fallback", "fail": "> +1pp"});
    let success = json!({"metric": "successRate", "against": "fallback", "fail": "< -1pp"});
    let cases = [
        ("as many", &ratio, (100, 2), (1_000, 20), Pass, Some(0.5)),
        ("between", &ratio, (100, 3), (1_000, 25), Hold, Some(0.3)),
        ("more", &ratio, (100, 4), (1_000, 20), Fail, Some(-0.5)),
        (
            "none of either",
            &ratio,
            (100, 0),
            (1_000, 0),
            Pass,
            Some(0.5),
        ),
        (
            "none of the fallback",
            &ratio,
            (100, 1),
            (1_000, 0),
            Fail,
            None,
        ),
        ("a point", &points, (100, 2), (1_000, 10), Pass, Some(0.0)),
        (
            "two points",
            &points,
            (100, 3),
            (1_000, 10),
            Fail,
            Some(-0.01),
        ),
        (
            "two points of success",
            &success,
            (100, 3),
            (1_000, 10),
            Fail,
            Some(-0.01),
        ),
        ("better", &success, (100, 0), (1_000, 10), Pass, Some(0.02)),
        (
            "few of the fallback",
            &points,
            (100, 50),
            (99, 0),
            Hold,
            Some(-0.49),
        ),
    ];
    for (why, check, own, others, standing, distance) in cases {
        let plan = one(check);
        let arms = (
            arm(increments(own.0, own.1)),
            arm(increments(others.0, others.1)),
        );
        let judged = judge(
            context(&plan, 0),
            &Memory::default(),
            &observed(arms.0, arms.1),
        );
        let state = &judged.memory.states()[0];
        assert_eq!(
            (state.standing, state.distance),
            (standing, distance),
            "{why}"
        );
    }
}

#[test]
fn a_latency_is_judged_at_bucket_edges_and_never_between_them() {
    let of = |pass: Option<&str>, fail: Option<&str>| {
        let mut check = json!({"metric": "latency", "quantile": 0.9});
        for (field, threshold) in [("pass", pass), ("fail", fail)] {
            if let Some(threshold) = threshold {
                check[field] = json!(threshold);
            }
        }
        check
    };
    let straddles =
        "the threshold lies between the bucket edges 500ms and 1s, and so does the value";
    let cases = [
        (of(Some("<= 500ms"), Some("> 1s")), [0, 90, 99, 100], Pass, "c: 500ms, fails at > 1s, judged at the bucket edge 500ms".to_owned()),
        (of(Some("<= 500ms"), Some("> 1s")), [0, 89, 90, 100], Hold, "c: 1s, fails at > 1s: between pass and fail".to_owned()),
        (of(Some("<= 500ms"), Some("> 1s")), [0, 80, 89, 100], Fail, "c, fails at > 1s, judged at the bucket edge 1s: failed; 1 failed measurements, 1000 allowed".to_owned()),
        (of(None, Some("> 600ms")), [0, 90, 99, 100], Pass, "c: 500ms, fails at > 600ms, judged at the bucket edge 500ms".to_owned()),
        (of(None, Some("> 600ms")), [0, 89, 99, 100], Hold, format!("c: 1s, fails at > 600ms: {straddles}")),
        (of(None, Some("> 600ms")), [0, 0, 89, 100], Fail, "c, fails at > 600ms, judged at the bucket edge 1s: failed; 1 failed measurements, 1000 allowed".to_owned()),
        (of(Some("<= 600ms"), None), [0, 90, 99, 100], Pass, "c: 500ms, passes at <= 600ms, judged at the bucket edge 500ms".to_owned()),
        (of(Some("<= 600ms"), None), [0, 89, 99, 100], Hold, format!("c: 1s, passes at <= 600ms: {straddles}")),
        (of(Some("<= 600ms"), None), [0, 0, 0, 100], Fail, "c, passes at <= 600ms, judged at the bucket edge 1s: not passed; 1 failed measurements, 1000 allowed".to_owned()),
        (of(None, Some("> 1s")), [0, 0, 0, 99], Hold, "c, fails at > 1s, judged at the bucket edge 1s: 99 of 100 requests".to_owned()),
        (
            of(None, Some("> 2s")),
            [0, 0, 0, 100],
            Hold,
            "c, fails at > 2s: the threshold lies above the last bucket edge, 1s, and so does the value".to_owned(),
        ),
    ];
    for (check, counts, standing, line) in cases {
        let observation = observed(arm(times(counts)), Arm::default());
        assert_eq!(
            stands(&one(&check), &observation),
            (standing, line),
            "{check} {counts:?}"
        );
    }
    let unknown = observed(arm(increments(500, 0)), Arm::default());
    let (standing, line) = stands(&one(&of(None, Some("> 1s"))), &unknown);
    assert_eq!(
        (standing, line.as_str()),
        (
            Hold,
            "c, fails at > 1s: how long responses took is not known"
        )
    );
}

#[test]
fn a_line_names_the_edge_of_its_own_round() {
    let check = json!({"metric": "latency", "quantile": 0.9, "pass": "<= 500ms", "fail": "> 1s"});
    let plan = one(&check);
    let mut memory = Memory::default();
    for (counts, edge) in [([0, 90, 99, 100], Some(0.5)), ([0, 89, 90, 100], None)] {
        let observation = observed(arm(times(counts)), Arm::default());
        memory = judge(context(&plan, 0), &memory, &observation).memory;
        assert_eq!(memory.states()[0].edge, edge, "{counts:?}");
    }
}

#[test]
fn a_latency_against_the_fallback_is_judged_at_the_edge_above_the_margin() {
    let check =
        json!({"metric": "latency", "quantile": 0.9, "against": "fallback", "fail": "> +50%"});
    let plan = one(&check);
    // The fallback's quantile is in the bucket up to 500 ms: with the margin 750 ms, so 1 s.
    let cases = [
        ([0, 90, 99, 100], [0, 900, 990, 1_000], Pass, Some(1.0)),
        ([0, 0, 90, 100], [0, 900, 990, 1_000], Pass, Some(1.0)),
        ([0, 0, 89, 100], [0, 900, 990, 1_000], Fail, Some(1.0)),
        (
            [900, 900, 900, 1_000],
            [900, 900, 900, 1_000],
            Pass,
            Some(0.5),
        ),
        // Above 1 s there is no edge: nothing is known.
        ([0, 0, 0, 100], [0, 0, 900, 1_000], Hold, None),
    ];
    for (own, others, standing, edge) in cases {
        let observation = observed(arm(times(own)), arm(times(others)));
        let judged = judge(context(&plan, 0), &Memory::default(), &observation);
        let state = &judged.memory.states()[0];
        assert_eq!((state.standing, state.edge), (standing, edge), "{own:?}");
    }
}

#[test]
fn what_is_not_known_is_judged_as_people_said() {
    let error = "unreachable ".repeat(100);
    let cases = [
        ("onNoData", Reading::NoData, "no data".to_owned()),
        (
            "onError",
            Reading::Error(error.clone()),
            format!("not measured: {}", cut(&error, reason::MAX_ERROR_BYTES)),
        ),
    ];
    for (field, arms, why) in cases {
        for (choice, standing) in [("hold", Hold), ("pass", Pass), ("fail", Fail)] {
            let check = json!({"name": "c", "metric": "errorRate", "fail": "> 5%"});
            let mut analysis = json!({"checks": [check]});
            analysis[field] = json!(choice);
            let expected = (standing, format!("c, fails at > 5%: {why}"));
            let found = stands(&plan(&analysis), &reading(arms.clone()));
            assert_eq!(found, expected, "{field} {choice}");
        }
    }
}

#[test]
fn a_query_is_judged_by_its_number() {
    let check = json!({"query": "up", "pass": "> 0", "fail": "< -5"});
    let cases = [
        (Reading::Value(1.5), Pass, "c: 1.5, fails at < -5"),
        (
            Reading::Value(0.0),
            Hold,
            "c: 0, fails at < -5: between pass and fail",
        ),
        (
            Reading::Value(-6.0),
            Fail,
            "c: -6, fails at < -5: failed; 1 failed measurements, 1000 allowed",
        ),
        (Reading::Value(f64::INFINITY), Pass, "c, fails at < -5"),
        (
            Reading::Value(f64::NAN),
            Hold,
            "c, fails at < -5: not measured: NaN is no number",
        ),
        (Reading::NoData, Hold, "c, fails at < -5: no data"),
        (
            Reading::Error("HTTP 500".to_owned()),
            Hold,
            "c, fails at < -5: not measured: HTTP 500",
        ),
    ];
    for (query, standing, line) in cases {
        let observation = answered(query);
        assert_eq!(
            stands(&one(&check), &observation),
            (standing, line.to_owned())
        );
    }
}

#[test]
fn a_query_with_an_interval_of_its_own_stands_until_it_is_asked_again() {
    let plan = one(&json!({"query": "up", "pass": "> 0", "interval": "1m"}));
    let mut observation = answered(Reading::Value(1.0));
    let first = judge(context(&plan, 0), &Memory::default(), &observation);
    assert_eq!(first.verdict, Verdict::Pass);
    let due = |memory: &Memory, second: i64| {
        let at = Timestamp::from_second(1_800_000_000 + second).unwrap();
        due(&plan, memory, at).count()
    };
    assert_eq!(due(&Memory::default(), 0), 1);
    assert_eq!(
        [0, 59, 60].map(|second| due(&first.memory, second)),
        [0, 0, 1]
    );
    observation.queries.clear();
    let second = judge(context(&plan, 0), &first.memory, &observation);
    assert_eq!(second, first);
    let never = judge(context(&plan, 0), &Memory::default(), &observation);
    let reasons = vec!["c, passes at > 0: not asked yet".to_owned()];
    assert_eq!(never.verdict, Verdict::Hold { reasons });
}

#[test]
fn a_run_fails_at_one_failed_measurement_more_than_its_limit_over_all_steps() {
    let check = json!({"name": "c", "metric": "errorRate", "fail": "> 5%", "failureLimit": 2});
    let plan = plan(&json!({"checks": [check]}));
    let bad = observed(arm(increments(100, 50)), Arm::default());
    let good = observed(arm(increments(100, 0)), Arm::default());
    let mut memory = Memory::default();
    let rounds = [
        (0, &bad, 1),
        (0, &good, 1),
        (1, &bad, 2),
        (1, &good, 2),
        (2, &bad, 3),
    ];
    for (index, (step, observation, failed)) in rounds.into_iter().enumerate() {
        let judged = judge(context(&plan, step), &memory, observation);
        assert_eq!(judged.memory.states()[0].failed, failed, "{index}");
        let line =
            |n: u32| format!("c: 50%, fails at > 5%: failed; {n} failed measurements, 2 allowed");
        let expected = match (failed, observation == &bad) {
            (3, true) => Verdict::Fail {
                check: "c".to_owned(),
                reasons: vec![line(3)],
            },
            (n, true) => Verdict::Hold {
                reasons: vec![line(n)],
            },
            _ => Verdict::Pass,
        };
        assert_eq!(judged.verdict, expected, "{index}");
        memory = judged.memory;
    }
}

#[test]
fn a_dry_run_is_shown_and_decides_nothing() {
    let dry = json!({"name": "dry", "metric": "errorRate", "fail": "> 5%", "dryRun": true});
    let other = json!({"name": "other", "metric": "successRate", "pass": ">= 10%"});
    let plan = plan(&json!({"checks": [dry, other]}));
    let observation = observed(arm(increments(100, 50)), Arm::default());
    let judged = judge(context(&plan, 0), &Memory::default(), &observation);
    assert_eq!(judged.verdict, Verdict::Pass);
    assert_eq!(judged.memory.state("dry").unwrap().standing, Fail);
}

#[test]
fn with_a_confidence_only_evidence_fails() {
    let limit = json!({"metric": "errorRate", "fail": "> 5%", "confidence": 0.99});
    let success = json!({"metric": "successRate", "fail": "< 95%", "confidence": 0.99});
    let ratio =
        json!({"metric": "errorRate", "against": "fallback", "fail": "> +50%", "confidence": 0.99});
    let points =
        json!({"metric": "errorRate", "against": "fallback", "fail": "> +1pp", "confidence": 0.99});
    for check in [&limit, &success, &ratio, &points] {
        let plan = one(check);
        let round = observed(arm(increments(100, 8)), arm(increments(400, 12)));
        let mut memory = Memory::default();
        let mut rounds = 0;
        while rounds < 100 {
            let judged = judge(context(&plan, 0), &memory, &round);
            memory = judged.memory;
            rounds += 1;
            if memory.states()[0].standing == Fail {
                break;
            }
            assert_eq!(judged.verdict, Verdict::Pass, "{check}");
        }
        assert!((2..40).contains(&rounds), "{check}: {rounds}");
        let shown = memory.states()[0].evidence.unwrap();
        assert!(
            shown.now >= 700.0 && shown.needed == 700.0,
            "{check} {shown:?}"
        );
        // Another step begins without it.
        let judged = judge(context(&plan, 1), &memory, &round);
        assert!(
            judged.memory.states()[0].evidence.unwrap().now < 100.0,
            "{check}"
        );
    }
}

#[test]
fn evidence_fails_even_with_few_requests_in_the_window() {
    let check = json!({"metric": "errorRate", "fail": "> 5%", "confidence": 0.99});
    let observation = observed(arm(increments(20, 20)), Arm::default());
    let (standing, line) = stands(&one(&check), &observation);
    assert_eq!(standing, Fail);
    assert!(
        line.starts_with("c: 100%, fails at > 5%, evidence "),
        "{line}"
    );
    assert!(
        line.contains(" of 700 needed: failed, and not by chance; 1 failed"),
        "{line}"
    );
}

#[test]
fn evidence_is_shown_without_rows_of_zeros() {
    let plan = one(&json!({"metric": "errorRate", "fail": "> 5%", "confidence": 0.99}));
    let cases = [
        (0.0, "0"),
        (4.2e-7, "4.2e-7"),
        (0.0123, "0.0123"),
        (37.0, "37"),
        (999_000.0, "999000"),
        (5.29e9, "5.29e9"),
        (1e12, "1e12"),
    ];
    for (now, words) in cases {
        let state = State {
            name: "c".to_owned(),
            evidence: Some(Shown { now, needed: 111.0 }),
            ..State::default()
        };
        let expected = format!("c, fails at > 5%, evidence {words} of 111 needed");
        assert_eq!(state.line(&plan.checks[0]), expected);
    }
}

#[test]
fn slow_answers_are_found_by_evidence_at_an_edge_that_stays() {
    let limit = json!({"metric": "latency", "quantile": 0.9, "fail": "> 1s", "confidence": 0.99});
    let beside = json!({"metric": "latency", "quantile": 0.9, "against": "fallback", "fail": "> +50%", "confidence": 0.99});
    for check in [limit, beside] {
        let plan = one(&check);
        let slow = observed(
            arm(times([0, 50, 80, 100])),
            arm(times([0, 900, 990, 1_000])),
        );
        let mut memory = Memory::default();
        for round in 0..20 {
            let judged = judge(context(&plan, 0), &memory, &slow);
            memory = judged.memory;
            let state = &memory.states()[0];
            if state.standing == Fail {
                assert!(round > 0, "{check}");
                break;
            }
        }
        assert_eq!(memory.states()[0].reason, Some(Reason::Evidence), "{check}");
    }
}

#[test]
fn at_100_percent_nothing_is_compared_with_the_fallback() {
    let checks = json!([
        {"name": "users", "metric": "failedUsers", "against": "fallback", "fail": "> +50%", "confidence": 0.99},
        {"name": "slow", "metric": "latency", "quantile": 0.9, "against": "fallback", "fail": "> +50%"},
        {"name": "ratio", "metric": "sampleRatio"},
        {"name": "errors", "metric": "errorRate", "fail": "> 5%"},
    ]);
    let plan = plan(&json!({"checks": checks}));
    let mut context = context(&plan, 6);
    context.exposures = Exposures {
        challenger: 1.0,
        fallback: 0.0,
    };
    let observation = observed(arm(times([100, 100, 100, 100])), Arm::default());
    let judged = judge(context, &Memory::default(), &observation);
    assert_eq!(judged.verdict, Verdict::Pass);
    let standings: Vec<Standing> = judged
        .memory
        .states()
        .iter()
        .map(|state| state.standing)
        .collect();
    assert_eq!(
        standings,
        [NotApplicable, NotApplicable, NotApplicable, Pass]
    );
}

/// Users by number, of whom the first `failed` failed.
fn users(failed: std::ops::Range<u32>, all: std::ops::Range<u32>) -> Users {
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

fn with_users(responses: u64, users: Users) -> Arm {
    Arm {
        users: Some(users),
        ..arm(increments(responses, 0))
    }
}

fn failed_users() -> Plan {
    one(
        &json!({"metric": "failedUsers", "against": "fallback", "fail": "> +50%", "confidence": 0.99}),
    )
}

#[test]
fn users_who_failed_before_the_first_round_are_no_evidence() {
    let plan = failed_users();
    let observation = observed(
        with_users(200, users(0..50, 0..200)),
        with_users(800, users(1_000..1_010, 1_000..1_800)),
    );
    let first = judge(context(&plan, 0), &Memory::default(), &observation);
    let second = judge(context(&plan, 0), &first.memory, &observation);
    for judged in [first, second] {
        assert_eq!(judged.verdict, Verdict::Pass);
        assert_eq!(judged.memory.states()[0].evidence.unwrap().now, 1.0);
    }
}

#[test]
fn a_user_is_one_failure_however_many_proxies_and_rounds_meet_them() {
    let plan = failed_users();
    let round = |failed| {
        let fallback = with_users(800, users(1_000..1_000, 1_000..1_800));
        observed(with_users(200, users(0..failed, 0..200)), fallback)
    };
    let mut memory = judge(context(&plan, 0), &Memory::default(), &round(0)).memory;
    for _ in 0..50 {
        memory = judge(context(&plan, 0), &memory, &round(2)).memory;
    }
    let state = &memory.states()[0];
    assert_eq!(state.standing, Pass);
    assert_eq!(state.value.map(f64::round), Some(2.0));
    let before = state.evidence.unwrap().now;
    // A proxy goes and takes its bits along; it comes back: no evidence, either way.
    memory = judge(context(&plan, 0), &memory, &round(0)).memory;
    memory = judge(context(&plan, 0), &memory, &round(2)).memory;
    assert_eq!(memory.states()[0].evidence.unwrap().now, before);
    // Twenty users more of the challenger, and none of the fallback, are enough.
    let judged = judge(context(&plan, 0), &memory, &round(22));
    assert_eq!(judged.memory.states()[0].standing, Fail);
}

#[test]
fn evidence_of_users_goes_on_over_steps_and_nobody_is_new_twice() {
    let plan = failed_users();
    let round = |own: std::ops::Range<u32>, others: std::ops::Range<u32>| {
        let fallback = with_users(800, users(others.clone(), 0..2_000));
        observed(with_users(200, users(own, 0..2_000)), fallback)
    };
    let mut memory = judge(context(&plan, 0), &Memory::default(), &round(0..0, 0..0)).memory;
    memory = judge(context(&plan, 0), &memory, &round(0..3, 1_000..1_003)).memory;
    let shown = memory.states()[0].evidence.unwrap();
    assert!(shown.now > 1.0 && shown.needed == 111.0, "{shown:?}");
    // The next step: those who failed on the fallback have moved, and fail again.
    memory = judge(context(&plan, 1), &memory, &round(0..0, 0..0)).memory;
    memory = judge(context(&plan, 1), &memory, &round(1_000..1_003, 0..3)).memory;
    assert_eq!(memory.states()[0].evidence, Some(shown));
    // Who fails for both in one round is nobody's.
    memory = judge(context(&plan, 1), &memory, &round(500..510, 500..510)).memory;
    assert_eq!(memory.states()[0].evidence, Some(shown));
    memory = judge(context(&plan, 1), &memory, &round(600..610, 0..0)).memory;
    assert_eq!(memory.states()[0].standing, Fail);
}

#[test]
fn a_step_that_finds_a_quarter_of_the_bits_set_begins_anew_and_needs_more() {
    let plan = failed_users();
    let round = |failed: u32| {
        let fallback = with_users(800, users(1_000..1_000, 1_000..1_800));
        observed(with_users(200, users(0..failed, 0..2_000)), fallback)
    };
    let mut memory = judge(context(&plan, 0), &Memory::default(), &round(0)).memory;
    memory = judge(context(&plan, 0), &memory, &round(400)).memory;
    let shown = memory.states()[0].evidence.unwrap();
    assert_eq!((shown.now, shown.needed), (1e12, 111.0));
    for (failed, now) in [(0, 1.0), (0, 1.0)] {
        memory = judge(context(&plan, 1), &memory, &round(failed)).memory;
        let shown = memory.states()[0].evidence.unwrap();
        assert_eq!((shown.now, shown.needed), (now, 6_000.0));
    }
    memory = judge(context(&plan, 1), &memory, &round(20)).memory;
    assert_eq!(memory.states()[0].standing, Fail);
}

#[test]
fn where_users_are_not_counted_or_too_many_fail_there_is_no_data() {
    let plan = failed_users();
    let cases = [
        (arm(increments(200, 0)), Reason::NoUsers),
        (
            with_users(800, users(1_000..9_000, 1_000..9_000)),
            Reason::Saturated,
        ),
    ];
    for (fallback, reason) in cases {
        let observation = observed(with_users(200, users(0..0, 0..200)), fallback);
        let judged = judge(context(&plan, 0), &Memory::default(), &observation);
        let state = &judged.memory.states()[0];
        assert_eq!((state.standing, &state.reason), (Hold, &Some(reason)));
    }
}

#[test]
fn users_who_are_not_where_the_weights_say_are_found() {
    let plan = one(&json!({"metric": "sampleRatio"}));
    let cases = [((0..200), Pass), ((0..1_500), Fail), ((0..20), Fail)];
    for (own, standing) in cases {
        let fallback = with_users(800, users(0..0, 10_000..10_800));
        let observation = observed(with_users(200, users(0..0, own.clone())), fallback);
        assert_eq!(stands(&plan, &observation).0, standing, "{own:?}");
    }
}

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
