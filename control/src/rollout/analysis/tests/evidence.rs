//! What evidence says, where a confidence is asked for.

use serde_json::json;

use super::round::{arm, context, increments, observed, one, stands, times, users, with_users};
use crate::rollout::analysis::Standing::{Fail, Hold, Pass};
use crate::rollout::analysis::plan::Plan;
use crate::rollout::analysis::{Memory, Reason, Shown, State, Verdict, judge};
use crate::rollout::observation::Arm;

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
