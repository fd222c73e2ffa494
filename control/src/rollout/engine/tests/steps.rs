//! How a run goes through its steps.

use jiff::SignedDuration;
use serde_json::json;

use super::story::{Story, judgement, ramp};
use crate::rollout::analysis::{Judged, Verdict};
use crate::rollout::definition::Definition;
use crate::rollout::status::Phase;
use crate::rollout::world::{Forward, ProxiesSeen, Reached};

#[test]
fn a_run_goes_through_its_steps_and_is_not_repeated() {
    let mut story = ramp();
    story.settle();
    assert_eq!(
        (story.phase(), &*story.weights()),
        (Phase::Progressing, "everyone 5")
    );
    assert_eq!(story.after(9).weights(), "everyone 5");
    assert_eq!(story.after(1).weights(), "everyone 50");
    assert_eq!(story.after(10).weights(), "everyone 100");
    assert_eq!(story.phase(), Phase::Succeeded);
    assert_eq!(story.draws, 1, "others are drawn once, at 0");
    let said = story.said.len();
    story.after(100);
    assert_eq!(story.said.len(), said);
}

#[test]
fn what_was_kept_by_a_clock_that_was_ahead_counts_as_of_now_and_is_said() {
    // By so many seconds; how long the step is still held, and what is said.
    for (ahead, left, words) in [(0, 6, 0), (3, 9, 0), (86_400, 11, 1)] {
        let mut story = ramp();
        story.world.now += SignedDuration::from_secs(ahead);
        story.after(5);
        assert_eq!(story.weights(), "everyone 5");
        story.world.now -= SignedDuration::from_secs(ahead);
        let said = story.said.len();
        story.after(left - 1);
        assert_eq!(story.weights(), "everyone 5", "{ahead}");
        let of_clocks = story.said[said..]
            .iter()
            .filter(|said| said.contains("a clock was ahead"));
        assert_eq!(of_clocks.count(), words, "{ahead}");
        assert_eq!(story.after(1).weights(), "everyone 50", "{ahead}");
    }
}

#[test]
fn a_check_that_is_another_in_the_middle_of_a_run_is_said() {
    let mut story = ramp().analysed();
    story.after(1);
    story.world.round = Some(Judged {
        anew: vec!["errors".to_owned()],
        ..judgement(Verdict::Pass)
    });
    story.turn();
    let expected = "Waiting: check errors is another than it was: what was measured by the former one no longer counts";
    assert_eq!(story.last(), expected);
}

#[test]
fn rings_come_one_after_the_other_and_go_back_together() {
    let mut story = Story::new(json!({"split": "web", "version": "v1", "steps": [
        {"audience": "staff", "weight": 100, "hold": "10s"}, {"weight": 5, "hold": "10s"}, {"weight": 50, "hold": "10s"},
    ]}));
    story.settle();
    assert_eq!(story.weights(), "everyone 0, staff 100");
    assert_eq!(story.after(10).weights(), "everyone 5, staff 100");
    story.world.tripped = Some("shop/web-1".to_owned());
    story.settle();
    assert_eq!(
        (story.phase(), &*story.weights()),
        (Phase::RolledBack, "everyone 0, staff 0")
    );
}

#[test]
fn a_step_ends_only_with_a_round_that_passed_at_its_end() {
    let mut story = ramp().analysed();
    story.verdict = Some(Verdict::Hold {
        reasons: vec!["40 of 100 requests".to_owned()],
    });
    story.after(25);
    assert_eq!(story.weights(), "everyone 5");
    assert_eq!(story.last(), "Waiting: step 1 is held: 40 of 100 requests");
    story.verdict = Some(Verdict::Pass);
    story.after(14);
    assert_eq!(
        story.weights(),
        "everyone 5",
        "the next round is 30 s after the last"
    );
    story.after(2);
    assert_eq!(story.weights(), "everyone 50");
}

#[test]
fn whom_the_challenger_reached_is_kept_with_each_round_and_each_half_minute() {
    let reached = |users, of| {
        Some(Reached {
            users,
            failed: 1,
            of,
        })
    };
    let shares = |story: &Story| {
        let users = story.status.run.as_ref().unwrap().users.as_ref();
        users.map(|users| (users.audience.clone(), users.reached, users.of, users.share))
    };
    let noted = |users, of, share| Some(("everyone".to_owned(), users, Some(of), share));
    let mut story = ramp();
    story.world.reached = reached(0, 0);
    story.settle();
    assert_eq!(shares(&story), noted(0, 0, None));
    story.world.reached = reached(49, 1_000);
    assert_eq!(shares(story.after(5)), noted(0, 0, None), "not yet");
    let mut story = ramp().analysed();
    story.verdict = Some(Verdict::Hold {
        reasons: vec!["40 of 100 requests".to_owned()],
    });
    story.world.reached = reached(49, 1_000);
    assert_eq!(shares(story.after(25)), noted(49, 1_000, Some(4.9)));
    story.world.reached = reached(104, 2_000);
    assert_eq!(shares(story.after(40)), noted(104, 2_000, Some(5.2)));
    story.verdict = Some(Verdict::Pass);
    story.world.reached = None;
    story.after(40);
    assert_eq!(story.weights(), "everyone 100");
    assert_eq!(shares(&story), None, "other weights, other users");
}

#[test]
fn a_run_waits_for_its_proxies_and_then_does_as_it_was_told() {
    let lagging = ProxiesSeen::Seen {
        converged: 18,
        total: 20,
        stale: 0,
        lagging: "shop/web-1".to_owned(),
    };
    let cases = [
        ("pause", Phase::Paused, "everyone 5"),
        ("abort", Phase::RollingBack, "everyone 0"),
        ("proceed", Phase::Progressing, "everyone 5"),
    ];
    for (otherwise, phase, weights) in cases {
        let mut story = Story::new(json!({
            "split": "web", "version": "v1", "steps": [{"weight": 5, "hold": "1m"}, {"weight": 50}],
            "converge": {"within": "20s", "else": otherwise},
        }));
        story.world.proxies = lagging.clone();
        story.after(19);
        assert_eq!(
            story.last(),
            "Waiting: step 1: 18 of 20 proxies follow; not yet: shop/web-1",
            "{otherwise}"
        );
        story.after(3);
        assert_eq!(
            (story.phase(), &*story.weights()),
            (phase, weights),
            "{otherwise}"
        );
    }
}

#[test]
fn a_run_that_paused_for_its_proxies_goes_on_when_they_follow() {
    let mut story = ramp();
    story.world.proxies = ProxiesSeen::Unknown {
        why: "Prometheus is down".to_owned(),
    };
    story.after(130);
    assert_eq!(story.phase(), Phase::Paused);
    story.world.proxies = ProxiesSeen::Seen {
        converged: 19,
        total: 20,
        stale: 0,
        lagging: String::new(),
    };
    story.after(12);
    assert_eq!(
        (story.phase(), &*story.weights()),
        (Phase::Progressing, "everyone 50")
    );
}

#[test]
fn a_run_succeeds_only_with_the_weight_that_its_spec_has_now() {
    for steps in [
        json!([{"weight": 5, "hold": "10s"}, {"weight": 10}]),
        json!([{"weight": 10}]),
    ] {
        let mut story = ramp();
        story.after(11);
        assert_eq!(story.weights(), "everyone 50");
        let spec = json!({"split": "web", "version": "v1", "steps": steps});
        story.definition = Definition::read("spec", &spec).unwrap();
        story.after(20);
        assert_eq!(
            (story.phase(), &*story.weights()),
            (Phase::Succeeded, "everyone 10")
        );
    }
}

#[test]
fn windows_gates_and_groups_hold_steps_and_never_a_rollback() {
    let mut story = ramp();
    story.settle();
    story.world.forward = Forward::Closed("weekend freeze until Mon 08:00".to_owned());
    story.world.peers.behind = Some("api".to_owned());
    story.after(30);
    assert_eq!(story.weights(), "everyone 5");
    assert_eq!(
        story.last(),
        "Waiting: step 2 waits: weekend freeze until Mon 08:00"
    );
    story.world.forward = Forward::Open;
    story.after(1);
    assert_eq!(
        story.last(),
        "Waiting: step 2 waits: Rollout api of the group is behind"
    );
    story.world.forward = Forward::Closed("weekend freeze".to_owned());
    story.world.peers.failed = Some("api".to_owned());
    story.settle();
    assert_eq!(
        (story.phase(), &*story.weights()),
        (Phase::RolledBack, "everyone 0")
    );
    assert_eq!(story.last(), "RolledBack: Rollout api of the group failed");
}

#[test]
fn an_override_of_a_window_is_said_with_the_step_and_kept() {
    let mut story = ramp();
    let by = "weekend freeze, overridden by INC-1";
    story.world.forward = Forward::Overridden(by.to_owned());
    story.settle();
    let stepped = format!("Stepped: step 1 of 3: 5 % of everyone; {by}");
    assert!(story.said.contains(&stepped), "{:?}", story.said);
    // The window ends; what was done in spite of it stays in the run's record.
    story.world.forward = Forward::Open;
    story.after(300);
    let run = story.status.run.as_ref().unwrap();
    let kept = run.overridden.as_ref().unwrap();
    assert_eq!((run.step, kept.step, &*kept.by), (2, 0, by));
}

#[test]
fn a_gate_holds_the_end_of_the_last_step() {
    let mut story = Story::new(json!({"split": "web", "version": "v1", "preset": "emergency"}));
    story.turn();
    story.turn();
    story.world.forward = Forward::Closed("gate ci.example.com: no".to_owned());
    story.after(5);
    let said = "Waiting: step 1 passed; the run waits: gate ci.example.com: no";
    assert_eq!((story.phase(), story.last()), (Phase::Progressing, said));
    story.world.forward = Forward::Open;
    story.after(1);
    assert_eq!(story.phase(), Phase::Succeeded);
}
