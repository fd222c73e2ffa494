//! What thresholds say of rates, latencies and queries, and what of that decides.

use jiff::Timestamp;
use serde_json::json;

use super::round::{
    answered, arm, context, increments, observed, one, plan, reading, stands, times, users,
    with_users,
};
use crate::rollout::analysis::Standing::{Fail, Hold, NotApplicable, Pass};
use crate::rollout::analysis::reason::MAX_ERROR_BYTES;
use crate::rollout::analysis::{Exposures, Memory, Standing, Verdict, due, judge};
use crate::rollout::cut::cut;
use crate::rollout::observation::{Arm, Reading};

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
            format!("not measured: {}", cut(&error, MAX_ERROR_BYTES)),
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
