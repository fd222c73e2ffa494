//! When a run begins, and where.

use serde_json::json;
use sluice_core::allocation::Percent;

use super::story::{Story, percent, ramp};
use crate::rollout::commands::Verb;
use crate::rollout::status::{Phase, RunOutcome};
use crate::rollout::world::SplitSeen;

#[test]
fn without_a_version_a_run_begins_only_when_somebody_says_so() {
    let mut story = Story::new(json!({"split": "web", "preset": "emergency"}));
    story.after(5);
    assert_eq!(story.phase(), Phase::Idle);
    story.ask(Verb::Start);
    assert_eq!(
        (story.phase(), &*story.weights()),
        (Phase::Succeeded, "everyone 100")
    );
}

#[test]
fn what_is_missing_or_in_the_way_is_waited_for_and_moves_nobody() {
    let missing = |story: &mut Story| {
        story.world.split = SplitSeen::Missing {
            what: "the plugin has no split web; it has none".to_owned(),
        };
    };
    let unread = |story: &mut Story| {
        story.world.split = SplitSeen::Unknown {
            why: "no answer".to_owned(),
        };
    };
    let ahead = |story: &mut Story| story.world.peers.ahead = Some("other".to_owned());
    let full = |story: &mut Story| {
        story
            .seen()
            .weights
            .insert("everyone".to_owned(), Percent::HUNDRED);
    };
    let cases: [(&dyn Fn(&mut Story), Phase, &str); 4] = [
        (
            &missing,
            Phase::Waiting,
            "Waiting: the plugin has no split web; it has none; nothing is moved",
        ),
        (
            &unread,
            Phase::Waiting,
            "Waiting: the split cannot be read: no answer",
        ),
        (
            &ahead,
            Phase::Waiting,
            "Waiting: Rollout other moves the same weights",
        ),
        (
            &full,
            Phase::Blocked,
            "Blocked: the challenger still has 100 % of everyone, who would be sent to an older version; once the \
             fallback is that version too, `sluice rollout finish` takes the weight to 0",
        ),
    ];
    for (prepare, phase, said) in cases {
        let mut story = ramp();
        prepare(&mut story);
        story.after(10);
        assert_eq!(
            (story.phase(), &story.said),
            (phase, &vec![said.to_owned()])
        );
        assert_eq!(story.status.run, None);
    }
}

#[test]
fn from_the_current_weight_the_steps_below_it_are_skipped() {
    let spec = |from: &str| {
        json!({"split": "web", "version": "v1", "from": from, "steps": [
            {"weight": 5, "hold": "10s"}, {"weight": 50, "hold": "10s"}, {"weight": 80},
        ]})
    };
    for (now, expected) in [
        (0.0, "everyone 5"),
        (5.0, "everyone 5"),
        (20.0, "everyone 50"),
    ] {
        let mut story = Story::new(spec("current"));
        story
            .seen()
            .weights
            .insert("everyone".to_owned(), percent(now));
        story.settle();
        assert_eq!(story.weights(), expected, "from {now}");
    }
    let mut story = Story::new(spec("current"));
    story
        .seen()
        .weights
        .insert("everyone".to_owned(), percent(90.0));
    story.settle();
    assert_eq!(
        story.last(),
        "Blocked: the challenger has 90 % of everyone, more than any step gives it"
    );
}

#[test]
fn another_version_begins_at_the_first_step_and_moves_nobody_twice() {
    let mut story = ramp();
    story.after(11);
    assert_eq!(story.weights(), "everyone 50");
    story.definition.version = Some("v2".to_owned());
    story.settle();
    let run = story.status.run.clone().unwrap();
    assert_eq!((run.number, run.version.as_deref()), (2, Some("v2")));
    assert_eq!(story.weights(), "everyone 5");
    assert_eq!(story.draws, 1, "who keeps the challenger is not drawn anew");
    assert_eq!(story.status.runs[0].outcome, RunOutcome::Superseded);
}
