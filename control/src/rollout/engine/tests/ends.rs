//! What ends a run, or pauses it, before its last step.

use serde_json::json;
use sluice_core::allocation::Percent;

use super::story::{Story, percent, ramp};
use crate::rollout::analysis::Verdict;
use crate::rollout::commands::Verb;
use crate::rollout::definition::Definition;
use crate::rollout::engine::{Action, advance};
use crate::rollout::stand_in::{held, of_run};
use crate::rollout::status::Phase;
use crate::rollout::world::{Failure, Forward, ProxiesSeen, SplitSeen};

#[test]
fn a_failed_check_takes_the_users_back_and_the_version_is_not_tried_again() {
    let mut story = ramp().analysed();
    story.verdict = Some(Verdict::Pass);
    assert_eq!(story.after(11).weights(), "everyone 50");
    story.verdict = Some(Verdict::Fail {
        check: "success rate".to_owned(),
        reasons: vec!["success rate is 90 %, below 95 %".to_owned()],
    });
    story.after(10);
    assert_eq!(
        (story.phase(), &*story.weights()),
        (Phase::RolledBack, "everyone 0")
    );
    assert_eq!(story.last(), "RolledBack: success rate is 90 %, below 95 %");
    story.verdict = Some(Verdict::Pass);
    story.after(60);
    assert_eq!(story.status.run.as_ref().unwrap().number, 1);
    story.ask(Verb::Retry).after(12);
    assert_eq!(
        (story.status.run.as_ref().unwrap().number, story.draws),
        (2, 2)
    );
    assert_eq!(story.weights(), "everyone 50");
}

#[test]
fn a_split_that_goes_missing_is_taken_back_once_and_ends_the_run() {
    let mut story = ramp();
    story.settle();
    story.world.split = SplitSeen::Missing {
        what: "the plugin has no split web; it has shop".to_owned(),
    };
    let mut took_back = 0;
    for _ in 0..10 {
        let advance = advance(&story.definition, &story.status, &story.world);
        took_back += advance.actions.len();
        story.status = advance.status;
    }
    assert_eq!((story.phase(), took_back), (Phase::RolledBack, 1));
}

#[test]
fn a_spec_that_names_other_weights_takes_back_those_of_the_run() {
    let others = [
        json!({"split": "shop", "version": "v1", "steps": [{"weight": 5}]}),
        json!({"split": "web", "challenger": "blue", "version": "v1", "steps": [{"weight": 5}]}),
        json!({"split": "web", "version": "v2", "steps": [{"audience": "staff", "weight": 5}]}),
    ];
    for other in others {
        let mut story = ramp();
        story.seen().challenger = "canary".to_owned();
        story.settle();
        story.definition = Definition::read("spec", &other).unwrap();
        story.turn();
        assert_eq!(story.phase(), Phase::RollingBack, "{other}");
        assert_eq!(story.weights(), "everyone 0");
    }
}

#[test]
fn a_spec_that_names_another_plugin_takes_back_the_users_of_the_runs_own() {
    let named = |plugin: Option<&str>| {
        let mut story = ramp();
        story.definition.plugin = plugin.map(str::to_owned);
        story.seen().plugin = Some("wasmplugin/a".to_owned());
        story
    };
    let rows = [
        (None, Some("a"), Phase::Progressing),
        (Some("a"), None, Phase::Progressing),
        (Some("a"), Some("WasmPlugins/a"), Phase::Progressing),
        (Some("a"), Some("b"), Phase::RolledBack),
        (None, Some("b"), Phase::RolledBack),
        (Some("a"), Some("trafficextension/a"), Phase::RolledBack),
    ];
    for (before, after, expected) in rows {
        let mut story = named(before);
        story.settle();
        assert_eq!(story.weights(), "everyone 5");
        story.definition.plugin = after.map(str::to_owned);
        story.settle();
        assert_eq!(story.phase(), expected, "{before:?} {after:?}");
    }
    // A version that comes with it waits until its own plugin is looked at.
    let mut story = named(Some("a"));
    story.settle();
    story.definition.plugin = Some("b".to_owned());
    story.definition.version = Some("v2".to_owned());
    story.after(5);
    assert_eq!(
        (story.phase(), &*story.weights()),
        (Phase::RolledBack, "everyone 0")
    );
    story.seen().plugin = Some("wasmplugin/b".to_owned());
    story.seen().last_abort = None;
    story.seen().last_abort_id = None;
    story.settle();
    assert_eq!(
        (story.phase(), &*story.weights()),
        (Phase::Progressing, "everyone 5")
    );
}

#[test]
fn a_run_whose_spec_became_wrong_stands_still_and_what_ends_a_run_still_does() {
    let wrong = || {
        let mut story = ramp().analysed();
        story.verdict = Some(Verdict::Pass);
        story.settle();
        let mistakes = ["spec.steps: missing".to_owned()];
        story.definition = held(&story.definition, &mistakes);
        story.after(100);
        assert_eq!(
            (story.phase(), &*story.weights()),
            (Phase::Paused, "everyone 5")
        );
        let expected = "Paused: the spec is wrong, and the run stands still: spec.steps: missing";
        assert_eq!(story.last(), expected);
        story
    };
    let mut story = wrong();
    story.verdict = Some(Verdict::Fail {
        check: "errors".to_owned(),
        reasons: vec!["errors".to_owned()],
    });
    story.after(60);
    assert_eq!(
        (story.phase(), &*story.weights()),
        (Phase::RolledBack, "everyone 0")
    );
    let mut story = wrong();
    story.world.tripped = Some("web-1".to_owned());
    story.after(2);
    assert_eq!(
        (story.phase(), &*story.weights()),
        (Phase::RolledBack, "everyone 0")
    );
    let mut story = wrong();
    story.ask(Verb::Abort);
    assert_eq!(
        (story.phase(), &*story.weights()),
        (Phase::Aborted, "everyone 0")
    );
    let mut story = wrong();
    story.definition.mistakes.clear();
    story.after(1);
    assert_eq!(story.weights(), "everyone 50");
    assert!(
        story
            .said
            .contains(&"Resumed: resumed: the spec is right again".to_owned())
    );
}

#[test]
fn a_run_whose_right_spec_nobody_remembers_is_ended_all_the_same() {
    let mut story = Story::new(json!({"split": "web", "version": "v1", "steps": [
        {"audience": "staff", "weight": 100}, {"weight": 5}, {"weight": 50, "hold": "1h"}, {"weight": 100},
    ]}));
    story.seen().challenger = "canary".to_owned();
    story.settle();
    let there = "everyone 50, staff 100";
    assert_eq!(story.weights(), there);
    let run = story.status.run.clone().unwrap();
    story.definition = of_run(&run, vec!["spec.steps: missing".to_owned()]);
    story.after(100);
    assert_eq!((story.phase(), &*story.weights()), (Phase::Paused, there));
    story.ask(Verb::Abort);
    assert_eq!(
        (story.phase(), &*story.weights()),
        (Phase::Aborted, "everyone 0, staff 0")
    );
}

#[test]
fn a_step_that_waits_to_begin_is_watched_at_the_weight_before_it() {
    let mut story = ramp().analysed();
    story.verdict = Some(Verdict::Pass);
    story.settle();
    story.world.forward = Forward::Closed("weekend freeze".to_owned());
    story.after(15);
    assert_eq!(story.weights(), "everyone 5");
    story.verdict = Some(Verdict::Fail {
        check: "success rate".to_owned(),
        reasons: vec!["success rate is 90 %".to_owned()],
    });
    story.after(40);
    assert_eq!(
        (story.phase(), &*story.weights()),
        (Phase::RolledBack, "everyone 0")
    );
}

#[test]
fn zeros_without_a_note_are_an_abort_half_way_for_a_moment_and_then_an_edit() {
    let mut story = ramp();
    story.settle();
    story
        .seen()
        .weights
        .insert("everyone".to_owned(), Percent::ZERO);
    story.settle();
    assert_eq!(story.phase(), Phase::Progressing);
    let mut noted = ramp();
    noted.status = story.status.clone();
    noted.seen().last_abort = Some("`abort web` of bob".to_owned());
    noted.seen().last_abort_id = Some("8".to_owned());
    noted.settle();
    assert_eq!(noted.phase(), Phase::Aborted);
    story.after(1);
    assert_eq!(story.phase(), Phase::Paused);
}

#[test]
fn a_hand_edit_pauses_and_resuming_sets_the_weight_of_the_step_again() {
    let mut story = ramp();
    story.settle();
    story
        .seen()
        .weights
        .insert("everyone".to_owned(), percent(33.0));
    story.seen().last_change = Some("`set web canary=33` of bob".to_owned());
    story.after(60);
    assert_eq!(
        (story.phase(), &*story.weights()),
        (Phase::Paused, "everyone 33")
    );
    assert_eq!(
        story.last(),
        "Paused: the challenger has 33 % of everyone, set by `set web canary=33` of bob"
    );
    story.ask(Verb::Resume);
    assert_eq!(
        (story.phase(), &*story.weights()),
        (Phase::Progressing, "everyone 5")
    );
    assert_eq!(story.after(11).weights(), "everyone 50");
}

#[test]
fn a_hand_edit_may_end_the_run() {
    let mut story = Story::new(json!({
        "split": "web", "version": "v1", "steps": [{"weight": 5, "hold": "10s"}], "onHandEdit": "abort",
    }));
    story.settle();
    story
        .seen()
        .weights
        .insert("everyone".to_owned(), percent(33.0));
    story.settle();
    assert_eq!(
        (story.phase(), &*story.weights()),
        (Phase::RolledBack, "everyone 0")
    );
}

#[test]
fn an_abort_by_anybody_ends_the_run_for_good() {
    for weight in [0.0, 5.0] {
        let mut story = ramp();
        story.settle();
        story.seen().last_abort = Some("`abort web` of bob".to_owned());
        story.seen().last_abort_id = Some("7".to_owned());
        story
            .seen()
            .weights
            .insert("everyone".to_owned(), percent(weight));
        story.after(60);
        assert_eq!(
            (story.phase(), &*story.weights()),
            (Phase::Aborted, "everyone 0"),
            "{weight}"
        );
        assert_eq!(story.last(), "Aborted: aborted by `abort web` of bob");
        story.ask(Verb::Resume);
        assert_eq!(
            story.last(),
            "Refused: `resume` of ann: no run is under way"
        );
    }
}

#[test]
fn what_cannot_be_set_pauses_and_what_cannot_be_taken_back_is_tried_again() {
    let mut story = ramp();
    story.turn();
    story.turn();
    story.world.failure = Some(Failure::Lasting("set by field manager argocd".to_owned()));
    story.turn();
    assert_eq!(
        story.last(),
        "Paused: a weight could not be set: set by field manager argocd"
    );
    let mut story = ramp();
    story.settle();
    story.ask(Verb::Pause);
    story.world.split = SplitSeen::Unknown {
        why: "no answer".to_owned(),
    };
    story.world.tripped = Some("Envoy".to_owned());
    let went_back = advance(&story.definition, &story.status, &story.world);
    let why = "the guard took the challenger out: Envoy".to_owned();
    assert_eq!(went_back.actions, [Action::TakeBack { why }]);
    story.status = went_back.status;
    story.world.failure = Some(Failure::Passing("connection refused".to_owned()));
    let tried = advance(&story.definition, &story.status, &story.world);
    assert_eq!(
        tried.status.message,
        "the guard took the challenger out: Envoy; the weight is not 0 yet: connection refused"
    );
    assert_eq!(tried.status.phase, Phase::RollingBack);
}

#[test]
fn a_weight_that_cannot_be_finished_says_why() {
    let mut story = ramp();
    story
        .seen()
        .weights
        .insert("everyone".to_owned(), Percent::HUNDRED);
    story.status.is_finishing = true;
    let why = "set by field manager argocd";
    story.world.failure = Some(Failure::Lasting(why.to_owned()));
    let tried = advance(&story.definition, &story.status, &story.world);
    let said = "finishing: the challenger's weight is not 0 yet: set by field manager argocd";
    assert_eq!(tried.status.message, said);
}

#[test]
fn a_rollback_says_which_proxies_have_not_followed() {
    let mut story = ramp();
    story.settle();
    story.world.proxies = ProxiesSeen::Seen {
        converged: 4,
        total: 6,
        stale: 0,
        lagging: "shop/web-1, shop/web-2".to_owned(),
    };
    story.ask(Verb::Abort);
    assert_eq!(
        (story.phase(), &*story.weights()),
        (Phase::RollingBack, "everyone 0")
    );
    assert_eq!(
        story.last(),
        "Unfollowed: aborted by ann; 2 of 6 proxies have not followed: shop/web-1, shop/web-2"
    );
    story.after(121);
    assert_eq!(story.phase(), Phase::Aborted);
}

#[test]
fn the_last_ten_runs_are_remembered() {
    let mut story = Story::new(json!({"split": "web", "preset": "emergency"}));
    for _ in 0..12 {
        story.ask(Verb::Start).ask(Verb::Finish);
    }
    let numbers: Vec<u64> = story.status.runs.iter().map(|run| run.number).collect();
    assert_eq!(numbers, [3, 4, 5, 6, 7, 8, 9, 10, 11, 12]);
}
