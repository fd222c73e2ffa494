//! Every transition, as a row or a short story with a clock of its own; and what holds whatever
//! happens in whatever order.

use std::collections::BTreeMap;

use jiff::{SignedDuration, Timestamp};
use proptest::prelude::*;
use serde_json::{Value, json};

use super::*;
use crate::rollout::analysis::Memory;
use crate::rollout::analysis::{Judged, Verdict};
use crate::rollout::commands::{Command, Verb};
use crate::rollout::stand_in::{held, of_run};
use crate::rollout::status::{Phase, RunOutcome};
use crate::rollout::world::{Failure, Forward, Peers, ProxiesSeen, SplitState, World};

/// A store, a clock and whatever else a world has.
struct Story {
    definition: Definition,
    status: Status,
    world: World,
    verdict: Option<Verdict>,
    said: Vec<String>,
    draws: usize,
}

impl Story {
    fn new(spec: Value) -> Self {
        let definition = Definition::read("spec", &spec).unwrap();
        let weights = definition.weights_at(0).into_keys();
        let weights = weights.map(|audience| (audience, Percent::ZERO)).collect();
        Self {
            definition,
            status: Status::default(),
            world: World {
                now: Timestamp::UNIX_EPOCH,
                split: SplitSeen::Seen(SplitState {
                    weights,
                    ..SplitState::default()
                }),
                proxies: ProxiesSeen::Nobody,
                tripped: None,
                round: None,
                forward: Forward::Open,
                commands: Vec::new(),
                peers: Peers::default(),
                failure: None,
            },
            verdict: None,
            said: Vec::new(),
            draws: 0,
        }
    }

    fn analysed(mut self) -> Self {
        let analysis =
            json!({"checks": [{"name": "errors", "metric": "errorRate", "fail": "> 1%"}]});
        let mut spec = json!({"split": "web", "preset": "progressive"});
        spec["analysis"] = analysis;
        self.definition.analysis = Definition::read("spec", &spec).unwrap().analysis;
        self
    }

    fn seen(&mut self) -> &mut SplitState {
        match &mut self.world.split {
            SplitSeen::Seen(seen) => seen,
            other => panic!("{other:?}"),
        }
    }

    fn weights(&self) -> String {
        let SplitSeen::Seen(seen) = &self.world.split else {
            panic!("no split");
        };
        let weights = seen.weights.iter();
        let weights: Vec<String> = weights
            .map(|(who, percent)| format!("{who} {percent}"))
            .collect();
        weights.join(", ")
    }

    /// One turn, without a clock; actions are done.
    fn turn(&mut self) -> bool {
        let advance = advance(&self.definition, &self.status, &self.world);
        self.status = advance.status;
        let events = advance.events.into_iter();
        self.said
            .extend(events.map(|event| format!("{:?}: {}", event.kind, event.message)));
        self.world.failure = None;
        let has_acted = !advance.actions.is_empty();
        for action in advance.actions {
            self.act(action);
        }
        advance.is_to_repeat || has_acted
    }

    fn act(&mut self, action: Action) {
        match action {
            Action::Set {
                audience,
                percent,
                draw,
            } => {
                self.draws += usize::from(draw == Draw::Anew);
                self.seen().weights.insert(audience, percent);
            }
            Action::TakeBack { why } => {
                for percent in self.seen().weights.values_mut() {
                    *percent = Percent::ZERO;
                }
                self.seen().last_abort = Some(format!("ours: {why}"));
                self.seen().last_abort_id = Some(format!("ours: {why}"));
            }
        }
    }

    /// As a host would: what is due is looked at, turns until nothing changes.
    fn settle(&mut self) {
        for _ in 0..30 {
            let wants = wants(&self.definition, &self.status, self.world.now);
            self.world.round = self
                .verdict
                .clone()
                .filter(|_| wants.round.is_some())
                .map(judgement);
            let is_to_repeat = self.turn();
            self.world.round = None;
            if !is_to_repeat {
                return;
            }
        }
        panic!("no end: {:?}", self.status);
    }

    fn after(&mut self, seconds: i64) -> &mut Self {
        for _ in 0..seconds {
            self.world.now += SignedDuration::from_secs(1);
            self.settle();
        }
        self
    }

    fn ask(&mut self, verb: Verb) -> &mut Self {
        let number = self.world.commands.len() as u64 + 1;
        self.world.commands.push(Command {
            number,
            verb,
            by: "ann".to_owned(),
            reason: None,
        });
        self.settle();
        self
    }

    fn phase(&self) -> Phase {
        self.status.phase
    }

    fn last(&self) -> &str {
        self.said.last().map_or("", String::as_str)
    }
}

fn ramp() -> Story {
    Story::new(json!({"split": "web", "version": "v1", "steps": [
        {"weight": 5, "hold": "10s"}, {"weight": 50, "hold": "10s"}, {"weight": 100},
    ]}))
}

fn judgement(verdict: Verdict) -> Judged {
    Judged {
        verdict,
        memory: Memory::default(),
        anew: Vec::new(),
    }
}

fn percent(number: f64) -> Percent {
    Percent::new(number).unwrap()
}

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
fn finish_takes_the_weight_to_zero_and_lets_the_next_run_begin() {
    let mut story = ramp();
    story
        .seen()
        .weights
        .insert("everyone".to_owned(), Percent::HUNDRED);
    story.after(1);
    assert_eq!(story.phase(), Phase::Blocked);
    story.ask(Verb::Finish);
    assert_eq!(
        (story.phase(), &*story.weights()),
        (Phase::Progressing, "everyone 5")
    );
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
fn a_run_waits_for_its_proxies_and_then_does_as_it_was_told() {
    let lagging = ProxiesSeen::Seen {
        converged: 18,
        total: 20,
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
        lagging: String::new(),
    };
    story.after(12);
    assert_eq!(
        (story.phase(), &*story.weights()),
        (Phase::Progressing, "everyone 50")
    );
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
fn a_command_whose_number_is_far_ahead_blocks_no_other() {
    let mut story = ramp();
    story.settle();
    story.world.commands.push(Command {
        number: u64::MAX,
        verb: Verb::Abort,
        by: "neighbour".to_owned(),
        reason: None,
    });
    story.settle();
    assert_eq!(
        (story.phase(), story.status.handled_command),
        (Phase::Progressing, 0)
    );
    assert_eq!(
        crate::rollout::commands::next_number(&story.world.commands, 0),
        1
    );
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

#[test]
fn approval_is_waited_for_under_watch() {
    let mut story = Story::new(json!({"split": "web", "version": "v1", "steps": [
        {"weight": 5, "approval": true}, {"weight": 100},
    ]}))
    .analysed();
    story.verdict = Some(Verdict::Pass);
    story.after(100);
    assert_eq!(
        (story.phase(), &*story.weights()),
        (Phase::Progressing, "everyone 5")
    );
    assert_eq!(
        story.last(),
        "ApprovalWanted: step 1 waits for `sluice rollout approve`"
    );
    let mut approved = ramp();
    approved.settle();
    approved.ask(Verb::Approve);
    assert_eq!(
        approved.last(),
        "Refused: `approve` of ann: the step waits for no approval"
    );
    story.ask(Verb::Approve).after(1);
    assert_eq!(story.weights(), "everyone 100");
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

#[test]
fn people_pause_skip_promote_and_abort() {
    let mut story = ramp();
    story.settle();
    story.ask(Verb::Pause).after(60);
    assert_eq!(
        (story.phase(), &*story.weights()),
        (Phase::Paused, "everyone 5")
    );
    assert_eq!(
        story.ask(Verb::Resume).weights(),
        "everyone 50",
        "the hold is over"
    );
    let mut story = ramp();
    story.settle();
    story.ask(Verb::Skip);
    assert_eq!(story.weights(), "everyone 50");
    story.ask(Verb::PromoteFull);
    assert_eq!(
        (story.phase(), &*story.weights()),
        (Phase::Succeeded, "everyone 100")
    );
    let mut story = ramp();
    story.settle();
    story.ask(Verb::Abort);
    assert_eq!(
        (story.phase(), &*story.weights()),
        (Phase::Aborted, "everyone 0")
    );
    assert_eq!(story.last(), "Aborted: aborted by ann");
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
fn a_rollback_says_which_proxies_have_not_followed() {
    let mut story = ramp();
    story.settle();
    story.world.proxies = ProxiesSeen::Seen {
        converged: 4,
        total: 6,
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

/// Something that may happen between two turns.
#[derive(Clone, Debug)]
enum Happens {
    Time(i64),
    Verdict(Option<Verdict>),
    Proxies(ProxiesSeen),
    Edit(u32),
    Abort,
    Version(u8),
    Ask(Verb),
    Tripped,
    Restart,
    Unread,
    Closed(bool),
}

fn happens() -> impl Strategy<Value = Happens> {
    let verdicts = prop_oneof![
        Just(None),
        Just(Some(Verdict::Pass)),
        Just(Some(Verdict::Hold {
            reasons: vec!["few".to_owned()]
        })),
        Just(Some(Verdict::Fail {
            check: "bad".to_owned(),
            reasons: vec!["bad".to_owned()]
        })),
    ];
    let proxies = prop_oneof![
        Just(ProxiesSeen::Nobody),
        Just(ProxiesSeen::Unknown {
            why: "?".to_owned()
        }),
        (0..3_usize).prop_map(|converged| ProxiesSeen::Seen {
            converged,
            total: 2,
            lagging: String::new()
        }),
    ];
    let verbs = prop_oneof![
        Just(Verb::Start),
        Just(Verb::Pause),
        Just(Verb::Resume),
        Just(Verb::Skip),
        Just(Verb::Approve),
        Just(Verb::PromoteFull),
        Just(Verb::Abort),
        Just(Verb::Retry),
        Just(Verb::Finish),
    ];
    prop_oneof![
        6 => (1..40_i64).prop_map(Happens::Time),
        4 => verdicts.prop_map(Happens::Verdict),
        2 => proxies.prop_map(Happens::Proxies),
        1 => (0..=100_u32).prop_map(Happens::Edit),
        1 => Just(Happens::Abort),
        1 => (0..3_u8).prop_map(Happens::Version),
        2 => verbs.prop_map(Happens::Ask),
        1 => Just(Happens::Tripped),
        2 => Just(Happens::Restart),
        1 => Just(Happens::Unread),
        1 => any::<bool>().prop_map(Happens::Closed),
    ]
}

/// The greatest weight that any audience has.
fn greatest(weights: &BTreeMap<String, Percent>) -> Percent {
    weights.values().copied().max().unwrap_or_default()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(512))]

    #[test]
    fn whatever_happens_no_weight_rises_without_a_passed_round_or_a_person(
        story in proptest::collection::vec(happens(), 1..60),
    ) {
        let mut told = ramp().analysed();
        let mut aborts = 0;
        for happens in story {
            let mut may_rise = matches!(happens, Happens::Ask(_));
            match happens {
                Happens::Time(seconds) => {
                    told.world.now += SignedDuration::from_secs(seconds);
                }
                Happens::Verdict(verdict) => told.verdict = verdict,
                Happens::Proxies(proxies) => told.world.proxies = proxies,
                Happens::Edit(whole) => {
                    told.seen().weights.insert("everyone".to_owned(), percent(f64::from(whole)));
                }
                Happens::Abort => {
                    aborts += 1;
                    told.seen().last_abort = Some(format!("abort {aborts}"));
                    told.seen().last_abort_id = Some(format!("{aborts}"));
                    told.seen().weights.insert("everyone".to_owned(), Percent::ZERO);
                }
                Happens::Version(version) => {
                    told.definition.version = Some(format!("v{version}"));
                }
                Happens::Ask(verb) => {
                    let number = told.world.commands.len() as u64 + 1;
                    let by = "ann".to_owned();
                    told.world.commands.push(Command { number, verb, by, reason: None });
                }
                Happens::Tripped => told.world.tripped = Some("Envoy".to_owned()),
                Happens::Restart => {
                    // What is kept is all that another host has.
                    let kept = serde_json::to_string(&told.status).unwrap();
                    told.status = serde_json::from_str(&kept).unwrap();
                }
                Happens::Unread => {
                    let world = World {
                        split: SplitSeen::Unknown { why: "?".to_owned() },
                        round: None,
                        ..told.world.clone()
                    };
                    let unread = advance(&told.definition, &told.status, &world);
                    let is_rise = |action: &Action| matches!(action, Action::Set { .. });
                    prop_assert!(!unread.actions.iter().any(is_rise));
                    continue;
                }
                Happens::Closed(is_closed) => {
                    told.world.forward = match is_closed {
                        true => Forward::Closed("frozen".to_owned()),
                        false => Forward::Open,
                    };
                }
            }
            let before = told.seen().weights.clone();
            let run = told.status.run.as_ref().map(|run| run.number);
            // A step that passed may wait for a window with its next weight.
            may_rise |= told.status.run.as_ref().is_some_and(|run| run.stage == Stage::Entering);
            let had_failed = told.status.phase.is_failure();
            told.settle();
            let run_after = told.status.run.as_ref().map(|run| run.number);
            // A first step, a command, and a round that passes may raise a weight; nothing else.
            may_rise |= run != run_after || told.verdict == Some(Verdict::Pass);
            may_rise |= told.status.run.as_ref().is_some_and(|run| run.has_passed || run.step == 0);
            may_rise |= told.status.run.as_ref().is_some_and(|run| run.is_full);
            let after = told.seen().weights.clone();
            prop_assert!(may_rise || greatest(&after) <= greatest(&before), "{before:?} {after:?}");
            if told.status.phase.is_failure() && !had_failed {
                prop_assert_eq!(greatest(&after), Percent::ZERO);
            }
            told.world.tripped = None;
            let size = serde_json::to_string(&told.status).unwrap().len();
            prop_assert!(size < 8 * 1024, "{size} bytes of status");
        }
        // With nothing in its way, every run ends.
        told.verdict = Some(Verdict::Pass);
        told.world.proxies = ProxiesSeen::Nobody;
        told.world.forward = Forward::Open;
        // Zeros may be half of an abort for a moment.
        told.after(1);
        for _ in 0..3 {
            told.ask(Verb::Resume);
        }
        told.after(200);
        prop_assert!(!told.status.phase.is_under_way(), "{:?}", told.status);
    }

    #[test]
    fn a_host_that_dies_after_any_keeping_loses_nothing(
        deaths in proptest::collection::vec(any::<bool>(), 40),
    ) {
        let mut told = ramp();
        for dies in deaths {
            let advance = advance(&told.definition, &told.status, &told.world);
            told.status = advance.status;
            if !dies {
                for action in advance.actions {
                    told.act(action);
                }
            }
            told.world.now += SignedDuration::from_secs(3);
        }
        told.after(40);
        prop_assert_eq!(told.phase(), Phase::Succeeded);
        prop_assert_eq!(told.weights(), "everyone 100");
    }
}
