//! A run of a workload, with two Deployments whose pods take a second to get ready.

use proptest::prelude::*;
use serde_json::json;
use sluice_core::allocation::Percent;

use super::story::{Story, percent};
use crate::rollout::analysis::Verdict;
use crate::rollout::commands::Verb;
use crate::rollout::engine::wants;
use crate::rollout::resource::FirstSight;
use crate::rollout::status::{Phase, RunOutcome};
use crate::rollout::workload::next::Action;
use crate::rollout::workload::seen::{AutoscalerWork, Both, Pods, WorkloadSeen};
use crate::rollout::world::{Failure, Forward, ProxiesSeen};

pub(super) fn pods(version: &str, replicas: u32) -> Pods {
    Pods {
        version: version.to_owned(),
        replicas,
        ready: replicas,
        up: replicas,
        is_uniform: true,
        trouble: None,
    }
}

/// Deployment web with three pods of v1, which users have today, and a Rollout that was just made.
fn first_sight() -> Story {
    let mut story = Story::new(
        json!({"split": "web", "workload": {"deployment": "web", "drain": "10s"}, "steps": [
            {"weight": 5, "hold": "10s"}, {"weight": 50, "hold": "10s"}, {"weight": 100},
        ]}),
    );
    story.definition.version = Some("v1".to_owned());
    story.world.workload = Some(WorkloadSeen::Seen(Both {
        wanted: pods("v1", 3),
        ..Both::default()
    }));
    story
}

/// The same when the copy serves everyone.
pub(super) fn at_rest() -> Story {
    let mut story = first_sight();
    story.live(20);
    assert_eq!(story.deployments(), "web v1 0/0, web-stable v1 3/3");
    story
}

impl Story {
    pub(super) fn both(&mut self) -> &mut Both {
        match &mut self.world.workload {
            Some(WorkloadSeen::Seen(both)) => both,
            other => panic!("{other:?}"),
        }
    }

    /// Git states another template.
    pub(super) fn change(&mut self, version: &str) -> &mut Self {
        let wanted = &mut self.both().wanted;
        wanted.version = version.to_owned();
        wanted.is_uniform = wanted.replicas == 0;
        self.definition.version = Some(version.to_owned());
        self
    }

    /// What a host sees of templates that are kept.
    pub(super) fn recall(&mut self) {
        let kept = self.status.workload.as_ref();
        let rightful = kept.and_then(|kept| kept.rightful()).map(str::to_owned);
        let is_kept = !self.has_forgotten;
        let Some(WorkloadSeen::Seen(both)) = &mut self.world.workload else {
            return;
        };
        let has = |version: &String| {
            let copy = both.copy.as_ref().map(|copy| &copy.version);
            *version == both.wanted.version || copy == Some(version)
        };
        both.remembered = rightful.filter(|version| is_kept && !has(version));
    }

    /// What a cluster does with what is done to Deployments.
    pub(super) fn tend(&mut self, action: Action) {
        let both = self.both();
        match action {
            Action::Copy { version, replicas } => {
                assert!(both.copy.is_none() && both.has_template(&version));
                both.given = Some(version.clone());
                both.copy = Some(Pods {
                    ready: 0,
                    ..pods(&version, replicas)
                });
            }
            Action::Promote { version, kept } => {
                assert!(both.has_template(&version) && kept.contains(&version));
                both.given = Some(version.clone());
                let copy = both.copy.as_mut().unwrap();
                copy.version = version;
                (copy.ready, copy.is_uniform) = (0, false);
            }
            Action::Remember => both.is_unkept = false,
            Action::ScaleCopy { replicas } => both.copy.as_mut().unwrap().replicas = replicas,
            Action::DeleteCopy => both.copy = None,
            Action::Autoscaler(_) => both.autoscaler = None,
            Action::Scale { replicas } => {
                both.wanted.replicas = replicas;
                both.wanted.ready = both.wanted.ready.min(replicas);
            }
        }
    }

    /// So many seconds, in each of which a pod of each Deployment gets ready, where it can.
    pub(super) fn live(&mut self, seconds: usize) -> &mut Self {
        for _ in 0..seconds {
            let both = self.both();
            let all = [Some(&mut both.wanted), both.copy.as_mut()];
            for pods in all.into_iter().flatten() {
                if pods.trouble.is_none() {
                    pods.is_uniform = true;
                    pods.ready = (pods.ready + 1).min(pods.replicas);
                }
                pods.up = pods.ready;
            }
            self.after(1);
        }
        self
    }

    pub(super) fn deployments(&mut self) -> String {
        let both = self.both();
        let says = |name: &str, pods: &Pods| {
            let Pods {
                version,
                ready,
                replicas,
                ..
            } = pods;
            format!("{name} {version} {ready}/{replicas}")
        };
        let copy = both.copy.as_ref().map(|copy| says("web-stable", copy));
        format!(
            "{}, {}",
            says("web", &both.wanted),
            copy.unwrap_or_default()
        )
    }
}

#[test]
fn at_first_sight_the_copy_is_ready_before_the_deployment_is_scaled_to_zero() {
    let mut story = first_sight();
    assert_eq!(story.live(1).deployments(), "web v1 3/3, web-stable v1 0/3");
    assert_eq!(
        story.live(12).deployments(),
        "web v1 3/3, web-stable v1 3/3"
    );
    assert_eq!(story.live(4).deployments(), "web v1 0/0, web-stable v1 3/3");
    assert_eq!(
        (story.phase(), story.status.run.is_none()),
        (Phase::Idle, true)
    );
    assert_eq!(
        story.last(),
        "Passed: Deployment web-stable serves everyone with v1"
    );
}

#[test]
fn an_audience_that_the_rollout_does_not_move_keeps_its_pods_at_first_sight_and_after_a_rollback() {
    let mut story = first_sight();
    let staff = [("staff".to_owned(), percent(50.0))];
    story.seen().others = staff.clone().into();
    assert_eq!(
        story.live(60).deployments(),
        "web v1 3/3, web-stable v1 3/3"
    );
    assert_eq!(
        story.last(),
        "Waiting: Deployment web keeps its pods: the challenger has 50 % of staff, which no step moves"
    );
    story.change("v2").live(20).ask(Verb::Abort).live(60);
    assert_eq!(story.deployments(), "web v2 3/3, web-stable v1 3/3");
    story.seen().others.clear();
    assert_eq!(
        story.live(13).deployments(),
        "web v2 0/0, web-stable v1 3/3"
    );
    // Somebody gives them the challenger again.
    story.seen().others = staff.into();
    assert_eq!(story.live(3).deployments(), "web v2 1/1, web-stable v1 3/3");
}

#[test]
fn a_new_template_is_run_promoted_and_parked() {
    let mut story = at_rest();
    story.change("v2");
    story.live(1);
    assert_eq!(
        (story.deployments(), story.weights()),
        (
            "web v2 0/1, web-stable v1 3/3".to_owned(),
            "everyone 0".to_owned()
        )
    );
    assert_eq!(story.live(4).weights(), "everyone 5");
    assert_eq!(story.live(13).weights(), "everyone 50");
    assert_eq!(story.live(13).weights(), "everyone 100");
    assert_eq!(story.deployments(), "web v2 3/3, web-stable v2 1/3");
    story.live(5);
    assert_eq!(
        (story.phase(), &*story.weights()),
        (Phase::Succeeded, "everyone 0")
    );
    assert_eq!(
        story.deployments(),
        "web v2 3/3, web-stable v2 3/3",
        "it drains"
    );
    assert_eq!(
        story.live(12).deployments(),
        "web v2 0/0, web-stable v2 3/3"
    );
    story.live(60);
    assert_eq!(story.status.run.as_ref().unwrap().number, 1);
    assert_eq!(
        story.last(),
        "Passed: Deployment web-stable serves everyone with v2"
    );
}

#[test]
fn a_copy_that_is_scaled_down_in_a_run_has_its_pods_again_before_everyone_comes() {
    let mut story = at_rest();
    story.change("v2").live(25);
    assert_eq!(story.weights(), "everyone 50");
    let copy = story.both().copy.as_mut().unwrap();
    (copy.replicas, copy.ready) = (0, 0);
    while story.weights() != "everyone 0" {
        story.live(1);
    }
    assert_eq!(story.deployments(), "web v2 3/3, web-stable v2 3/3");
    assert_eq!(story.phase(), Phase::Succeeded);
}

#[test]
fn a_copy_that_is_deleted_at_rest_is_made_with_as_many_pods() {
    let mut story = at_rest();
    story.both().copy = None;
    assert_eq!(story.live(6).deployments(), "web v1 0/0, web-stable v1 3/3");
}

#[test]
fn a_copy_that_is_deleted_is_made_of_what_was_promoted_and_never_of_what_failed() {
    let mut story = at_rest();
    story.change("v2").live(20).ask(Verb::Abort).live(60);
    story.both().copy = None;
    assert_eq!(story.live(6).deployments(), "web v2 0/0, web-stable v1 3/3");
    // Of a time in which nobody kept templates.
    story.has_forgotten = true;
    story.both().copy = None;
    assert_eq!(story.live(6).deployments(), "web v2 0/0, web-stable v2 3/3");
}

#[test]
fn a_copy_that_is_deleted_in_a_run_is_made_again_at_once_while_the_run_waits() {
    let mut story = at_rest();
    story.change("v2").live(20);
    assert_eq!(story.weights(), "everyone 50");
    story.both().copy = None;
    story.live(1);
    let waits = "Waiting: the run waits: Deployment web-stable is gone, and made again of v1";
    assert!(
        story.said.iter().any(|said| said == waits),
        "{:?}",
        story.said
    );
    assert_eq!(story.live(1).deployments(), "web v2 2/2, web-stable v1 1/3");
    story.live(1);
    let waits = "Waiting: the run waits: 2 of 3 pods of Deployment web-stable are ready, of v1";
    assert_eq!((story.last(), &*story.weights()), (waits, "everyone 50"));
    story.live(60);
    assert_eq!(story.phase(), Phase::Succeeded);
    assert_eq!(story.deployments(), "web v2 0/0, web-stable v2 3/3");
}

#[test]
fn a_copy_that_is_deleted_while_its_users_come_back_is_made_again() {
    let mut story = at_rest();
    story.change("v2").live(20);
    story.world.proxies = ProxiesSeen::Seen {
        converged: 0,
        total: 1,
        stale: 0,
        lagging: String::new(),
    };
    story.ask(Verb::Abort);
    story.both().copy = None;
    story.live(5);
    assert_eq!(story.phase(), Phase::RollingBack);
    assert_eq!(story.deployments(), "web v2 2/2, web-stable v1 3/3");
}

/// A run of v2 that is over, while the copy takes v2.
fn promoting() -> Story {
    let mut story = at_rest();
    story.change("v2");
    while story.both().given.as_deref() != Some("v2") {
        story.live(1);
    }
    assert_eq!(
        (story.phase(), &*story.weights()),
        (Phase::Succeeded, "everyone 100")
    );
    story
}

fn assert_not_promoted(story: &mut Story, said: &str) {
    assert_eq!(
        (story.phase(), &*story.weights()),
        (Phase::Aborted, "everyone 0")
    );
    assert_eq!(story.status.message, said);
    story.live(300);
    assert_eq!(story.deployments(), "web v2 0/0, web-stable v1 3/3");
    assert_eq!(
        (story.phase(), &*story.status.message),
        (Phase::Aborted, said)
    );
    let runs = story.status.runs.iter();
    let runs: Vec<_> = runs.map(|run| (run.number, run.outcome)).collect();
    assert_eq!(runs, [(1, RunOutcome::Aborted)]);
}

#[test]
fn an_abort_while_the_copy_takes_the_new_version_gives_it_the_former_one_back() {
    let mut story = promoting();
    story.ask(Verb::Abort);
    let said = "aborted by ann, before v2 was promoted; Deployment web-stable is given v1 again";
    assert_not_promoted(&mut story, said);
    story.ask(Verb::Retry).live(100);
    assert_eq!(story.deployments(), "web v2 0/0, web-stable v2 3/3");
    assert_eq!(story.phase(), Phase::Succeeded);
    // It serves everyone: the way back is the former template.
    story.ask(Verb::Abort);
    assert_eq!(
        story.status.answers.last().unwrap().message,
        "`abort` of ann: no run is under way"
    );
}

#[test]
fn an_abort_of_the_split_while_the_copy_takes_the_new_version_does_the_same() {
    let mut story = promoting();
    let seen = story.seen();
    seen.weights.insert("everyone".to_owned(), percent(0.0));
    seen.last_abort = Some("`abort` by ann".to_owned());
    seen.last_abort_id = Some("7".to_owned());
    story.live(1);
    let said = "aborted by `abort` by ann, before v2 was promoted; Deployment web-stable is given v1 again";
    assert_not_promoted(&mut story, said);
}

#[test]
fn users_who_are_taken_away_before_the_copy_takes_the_new_version_end_the_run() {
    let mut story = at_rest();
    // Enough for a step, not for the copy to take another version.
    story.world.proxies = ProxiesSeen::Seen {
        converged: 99,
        total: 100,
        stale: 0,
        lagging: String::new(),
    };
    story.change("v2");
    while story.phase() != Phase::Succeeded {
        story.live(1);
    }
    assert_eq!(story.both().given.as_deref(), Some("v1"));
    let seen = story.seen();
    seen.weights.insert("everyone".to_owned(), percent(0.0));
    seen.last_change = Some("`set` by ann".to_owned());
    story.world.proxies = ProxiesSeen::Nobody;
    story.live(1);
    let said = "the weight was taken to 0 by `set` by ann, before v2 was promoted; Deployment web-stable keeps what it \
                has";
    assert_not_promoted(&mut story, said);
}

#[test]
fn an_abort_with_no_former_template_says_that_the_copy_has_the_new_one() {
    let mut story = promoting();
    story.has_forgotten = true;
    story.ask(Verb::Abort).live(60);
    let said = "aborted by ann, before v2 was promoted; Deployment web-stable has it all the same: no former template is \
                kept";
    assert_eq!(story.status.message, said);
    // Git can give it back.
    story.change("v1").live(10);
    assert_eq!(story.deployments(), "web v1 0/0, web-stable v1 3/3");
}

#[test]
fn a_template_within_the_rollback_window_goes_straight_to_the_last_step() {
    let mut story = at_rest().analysed();
    story.definition.workload.as_mut().unwrap().rollback_window = 1;
    story.verdict = Some(Verdict::Pass);
    story.change("v2").live(120);
    assert_eq!(story.deployments(), "web v2 0/0, web-stable v2 3/3");
    // Whatever an analysis would say of it, nobody asks.
    story.verdict = Some(Verdict::Fail {
        reasons: vec!["errors".to_owned()],
        check: "errors".to_owned(),
    });
    story.change("v1").live(1);
    let began = "Started: run 2 of v1 begins, straight at the last step: the copy was made of it";
    assert!(
        story.said.iter().any(|said| said == began),
        "{:?}",
        story.said
    );
    assert_eq!(
        (story.deployments(), &*story.weights()),
        ("web v1 0/3, web-stable v2 3/3".to_owned(), "everyone 0")
    );
    assert_eq!(story.live(5).weights(), "everyone 100");
    story.live(30);
    assert_eq!(story.phase(), Phase::Succeeded);
    assert_eq!(story.deployments(), "web v1 0/0, web-stable v1 3/3");
    // One that nobody had, and one that is too long ago, go step by step.
    story.verdict = Some(Verdict::Pass);
    story.change("v3").live(120);
    story.change("v2").live(6);
    assert_eq!(story.weights(), "everyone 5");
}

/// A cluster that was made anew from Git, with routes and no copy.
fn rebuilt() -> Story {
    let mut story = first_sight();
    story.definition.workload.as_mut().unwrap().on_first_sight = FirstSight::Run;
    story
}

#[test]
fn the_only_template_that_there_is_serves_and_is_judged_by_a_run_of_all_steps() {
    let mut story = rebuilt();
    story.both().unrouted = Some("no route".to_owned());
    story.live(30);
    assert_eq!(story.deployments(), "web v1 3/3, web-stable v1 3/3");
    assert_eq!(
        (story.last(), story.status.run.is_none()),
        ("Waiting: no route", true)
    );
    story.both().unrouted = None;
    assert_eq!(story.live(4).weights(), "everyone 5");
    while story.phase() != Phase::Succeeded {
        story.live(1);
    }
    assert!(story.status.workload.as_ref().unwrap().is_unjudged);
    story.live(60);
    let kept = story.status.workload.clone().unwrap();
    assert_eq!(
        (kept.is_unjudged, kept.promotions.last()),
        (false, Some("v1"))
    );
    assert_eq!(story.deployments(), "web v1 0/0, web-stable v1 3/3");
    story.live(300);
    assert_eq!(story.status.run.as_ref().unwrap().number, 1, "judged once");
}

#[test]
fn the_only_template_that_there_is_serves_on_though_its_run_failed() {
    let mut story = rebuilt();
    while story.weights() != "everyone 50" {
        story.live(1);
    }
    story.ask(Verb::Abort).live(100);
    let said =
        "aborted by ann; Deployment web-stable serves on with the same version: there is no other";
    assert_eq!(
        (story.phase(), &*story.status.message),
        (Phase::Aborted, said)
    );
    assert_eq!(story.deployments(), "web v1 0/0, web-stable v1 3/3");
    assert_eq!(story.status.run.as_ref().unwrap().number, 1, "judged once");
    // The next template is judged against it, and is the first that is promoted.
    story.change("v2").live(100);
    assert_eq!(story.deployments(), "web v2 0/0, web-stable v2 3/3");
    let kept = story.status.workload.clone().unwrap();
    assert_eq!(
        (kept.is_unjudged, kept.promotions.last()),
        (false, Some("v2"))
    );
}

#[test]
fn another_deployment_is_taken_over_as_at_first_sight() {
    let mut story = at_rest();
    let mut anew = pods("v1", 3);
    anew.trouble = None;
    // web was created anew, as Git has it.
    story.both().uid = Some("1".to_owned());
    story.live(1);
    story.both().uid = Some("2".to_owned());
    story.both().wanted = anew.clone();
    assert_eq!(
        story.live(13).deployments(),
        "web v1 0/0, web-stable v1 3/3"
    );
    // The Rollout names another one.
    story.definition.workload.as_mut().unwrap().deployment = "web2".to_owned();
    *story.both() = Both {
        wanted: pods("v7", 3),
        ..Both::default()
    };
    story.definition.version = Some("v7".to_owned());
    assert_eq!(
        story.live(20).deployments(),
        "web v7 0/0, web-stable v7 3/3"
    );
    assert!(story.status.run.is_none());
}

#[test]
fn what_waits_for_a_person_is_looked_at_as_seldom_as_one_at_rest() {
    let mut story = at_rest();
    story.both().mistake = Some("not ours".to_owned());
    story.change("v2").live(2);
    assert_eq!(story.status.phase, Phase::Waiting);
    let wants = wants(&story.definition, &story.status, story.world.now);
    assert_eq!(wants.look_again, None);
    story.both().mistake = None;
    assert_eq!(story.live(5).weights(), "everyone 5");
}

#[test]
fn the_template_of_a_copy_from_before_is_kept_once_it_rests() {
    let mut story = at_rest();
    story.both().is_unkept = true;
    story.world.failure = Some(Failure::Passing(
        "the template is not kept: forbidden".to_owned(),
    ));
    story.settle();
    let said = "Deployment web-stable serves everyone with v1; the template is not kept: forbidden";
    assert_eq!(story.status.message, said);
    assert!(story.both().is_unkept);
    story.live(1);
    assert!(!story.both().is_unkept);
}

#[test]
fn a_rollback_drains_before_its_pods_go() {
    let mut story = at_rest();
    story.change("v2").live(20);
    assert_eq!(story.weights(), "everyone 50");
    story.ask(Verb::Abort);
    assert_eq!(
        (story.phase(), &*story.weights()),
        (Phase::Aborted, "everyone 0")
    );
    assert_eq!(story.live(9).deployments(), "web v2 2/2, web-stable v1 3/3");
    assert_eq!(story.live(4).deployments(), "web v2 0/0, web-stable v1 3/3");
    assert_eq!(
        story.live(60).status.run.as_ref().unwrap().number,
        1,
        "not tried again"
    );
    story.ask(Verb::Retry).live(6);
    assert_eq!(story.weights(), "everyone 5");
}

#[test]
fn a_proxy_that_has_not_heard_of_the_rollback_keeps_the_pods() {
    let mut story = at_rest();
    story.change("v2").live(20);
    story.world.proxies = ProxiesSeen::Seen {
        converged: 1,
        total: 2,
        stale: 0,
        lagging: "a/web-1".to_owned(),
    };
    story.ask(Verb::Abort).live(110);
    assert_eq!(story.deployments(), "web v2 2/2, web-stable v1 3/3");
    story.world.proxies = ProxiesSeen::Nobody;
    assert_eq!(
        story.live(13).deployments(),
        "web v2 0/0, web-stable v1 3/3"
    );
}

#[test]
fn pods_that_never_get_ready_fail_the_run_with_their_reason_and_move_nobody() {
    let mut story = at_rest();
    story.both().wanted.trouble = Some("web-1: ErrImagePull: not found".to_owned());
    story.change("v2").live(300);
    assert_eq!(
        (story.phase(), &*story.weights()),
        (Phase::Progressing, "everyone 0")
    );
    let waits = "Waiting: step 1 waits: 0 of 1 pods of Deployment web are ready, of v2: web-1: ErrImagePull: not found";
    assert_eq!(story.last(), waits);
    story.live(310);
    assert_eq!(story.phase(), Phase::RolledBack);
    let failed = "RolledBack: not ready within 600s: 0 of 1 pods of Deployment web are ready, of v2: web-1: \
                  ErrImagePull: not found";
    assert_eq!(story.last(), failed);
    assert_eq!(
        story.live(20).deployments(),
        "web v2 0/0, web-stable v1 3/3"
    );
}

#[test]
fn pods_that_are_ready_for_a_moment_in_each_restart_are_late_all_the_same() {
    let mut story = at_rest();
    story.both().wanted.trouble = Some("web-1: CrashLoopBackOff".to_owned());
    story.change("v2");
    for _ in 0..62 {
        story.both().wanted.is_uniform = true;
        story.both().wanted.ready = 1;
        story.live(1);
        story.both().wanted.ready = 0;
        story.live(9);
    }
    assert_eq!(
        (story.phase(), &*story.weights()),
        (Phase::RolledBack, "everyone 0")
    );
}

#[test]
fn pods_that_are_late_say_what_could_not_be_done_for_them() {
    let mut story = at_rest();
    story.both().wanted.trouble = Some("web-1: Pending".to_owned());
    story.change("v2");
    while story.phase() != Phase::RolledBack {
        let why = "Deployment web cannot be scaled: forbidden";
        story.world.failure = Some(Failure::Untended(why.to_owned()));
        story.live(1);
    }
    let said = "RolledBack: not ready within 600s: 0 of 1 pods of Deployment web are ready, of v2: web-1: Pending; \
                Deployment web cannot be scaled: forbidden";
    assert_eq!(story.last(), said);
}

#[test]
fn what_could_not_be_done_for_pods_is_said_of_no_weight() {
    let mut story = at_rest();
    story.change("v2").live(20);
    story.ask(Verb::Abort);
    story.turn();
    let why = "Deployment web cannot be scaled: forbidden";
    story.world.failure = Some(Failure::Untended(why.to_owned()));
    story.turn();
    assert!(!story.status.message.contains(why), "{:?}", story.status);
}

#[test]
fn pods_that_crash_in_a_hold_give_their_users_back() {
    let mut story = at_rest();
    story.change("v2").live(20);
    assert_eq!(story.weights(), "everyone 50");
    let crash = |story: &mut Story| {
        let wanted = &mut story.both().wanted;
        wanted.trouble = Some("web-1: CrashLoopBackOff".to_owned());
        (wanted.ready, wanted.up) = (0, 0);
    };
    crash(&mut story);
    story.ask(Verb::Pause).live(9);
    assert_eq!(story.weights(), "everyone 50");
    story.live(1);
    assert_eq!(
        (story.phase(), &*story.weights()),
        (Phase::RolledBack, "everyone 0")
    );
    let said =
        "RolledBack: no pod of Deployment web has been ready for 10s: web-1: CrashLoopBackOff";
    assert_eq!(story.last(), said);
}

#[test]
fn a_step_that_lacks_pods_ends_no_run_well_and_fails_in_the_end() {
    let mut story = at_rest();
    story.definition.steps.drain(1..);
    story.definition.steps[0].weight = Percent::HUNDRED;
    story.definition.steps[0].hold = std::time::Duration::from_secs(10);
    story.change("v2");
    while story.weights() != "everyone 100" {
        story.live(1);
    }
    let wanted = &mut story.both().wanted;
    (wanted.ready, wanted.trouble) = (2, Some("web-1: OOMKilled".to_owned()));
    story.live(30);
    let waits = "Waiting: step 1 passed; the run waits: not all pods of Deployment web are ready";
    assert_eq!(story.last(), waits);
    story.live(600);
    assert_eq!(
        (story.phase(), &*story.weights()),
        (Phase::RolledBack, "everyone 0")
    );
}

#[test]
fn a_weight_that_somebody_sets_of_a_version_that_failed_gets_pods_and_is_said() {
    let mut story = at_rest();
    story.change("v2").live(20).ask(Verb::Abort).live(60);
    let failed = story.status.message.clone();
    story
        .seen()
        .weights
        .insert("everyone".to_owned(), percent(50.0));
    let said = "the challenger has users and no run is under way: 2 pods of Deployment web are ready; proxies hear of \
                them; `sluice abort` takes them back";
    assert_eq!(story.live(3).status.message, said);
    assert_eq!(story.deployments(), "web v2 2/2, web-stable v1 3/3");
    story
        .seen()
        .weights
        .insert("everyone".to_owned(), percent(0.0));
    assert_eq!(
        story.live(13).deployments(),
        "web v2 0/0, web-stable v1 3/3"
    );
    assert_eq!(
        (story.phase(), &story.status.message),
        (Phase::Aborted, &failed)
    );
}

#[test]
fn a_weight_that_somebody_set_before_the_first_run_names_a_command_that_is_obeyed() {
    let mut story = at_rest();
    story
        .seen()
        .weights
        .insert("everyone".to_owned(), percent(50.0));
    story.change("v2").live(3);
    let said = "Blocked: the challenger still has 50 % of everyone, who would be sent to an older version; `sluice \
                abort web` takes the weight to 0";
    assert_eq!(story.last(), said);
    assert_eq!(story.deployments(), "web v2 2/2, web-stable v1 3/3");
}

#[test]
fn a_deployment_that_cannot_be_read_is_not_at_rest() {
    let mut story = at_rest();
    story.change("v2");
    while story.phase() != Phase::Succeeded {
        story.live(1);
    }
    let seen = story.world.workload.replace(WorkloadSeen::Unknown {
        why: "Deployment web cannot be read in time".to_owned(),
    });
    story.after(1);
    let kept = story.status.workload.clone().unwrap();
    assert!(kept.is_slow && !kept.is_at_rest);
    story.world.workload = seen;
    story.live(60);
    let kept = story.status.workload.clone().unwrap();
    assert!(kept.is_at_rest && !kept.is_slow);
    assert_eq!(story.deployments(), "web v2 0/0, web-stable v2 3/3");
}

#[test]
fn another_template_in_a_run_takes_its_users_back_first_and_begins_anew() {
    let mut story = at_rest();
    story.change("v2").live(20);
    assert_eq!(story.weights(), "everyone 50");
    story.change("v3").live(1);
    assert_eq!(story.weights(), "everyone 0");
    story.live(4);
    let run = story.status.run.as_ref().unwrap();
    assert_eq!((run.number, run.version.as_deref()), (2, Some("v3")));
    assert_eq!(story.weights(), "everyone 5");
}

#[test]
fn a_revert_in_git_takes_the_users_back_and_ends() {
    let mut story = at_rest();
    story.change("v2").live(20);
    story.change("v1").live(30);
    assert_eq!(
        (story.phase(), &*story.weights()),
        (Phase::Idle, "everyone 0")
    );
    assert_eq!(
        story.last(),
        "Passed: Deployment web-stable serves everyone with v1"
    );
    assert_eq!(story.deployments(), "web v1 0/0, web-stable v1 3/3");
    assert_eq!(story.status.run.as_ref().unwrap().number, 1);
}

#[test]
fn a_deployment_that_is_gone_takes_its_users_back() {
    let mut story = at_rest();
    story.change("v2").live(20);
    let what = "there is no Deployment web in namespace shop";
    story.world.workload = Some(WorkloadSeen::Missing {
        what: what.to_owned(),
    });
    story.after(2);
    assert_eq!(
        (story.phase(), &*story.weights()),
        (Phase::RolledBack, "everyone 0")
    );
    assert_eq!(story.last(), format!("RolledBack: {what}"));
}

/// Everyone has v2, which the copy was given, whose pods do not get ready.
fn unpromoted() -> Story {
    let mut story = at_rest();
    story.both().copy.as_mut().unwrap().trouble = Some("no node has room".to_owned());
    story.change("v2");
    while story.phase() != Phase::Succeeded {
        story.live(1);
    }
    story.live(30);
    assert_eq!(story.weights(), "everyone 100");
    assert_eq!(story.deployments(), "web v2 3/3, web-stable v2 0/3");
    story
}

#[test]
fn pods_that_crash_before_they_are_promoted_take_everyone_back() {
    let mut story = unpromoted();
    let wanted = &mut story.both().wanted;
    (wanted.ready, wanted.trouble) = (0, Some("web-1: OOMKilled".to_owned()));
    story.live(9);
    assert_eq!(story.weights(), "everyone 100");
    story.live(3);
    assert_eq!(
        (story.phase(), &*story.weights()),
        (Phase::RolledBack, "everyone 0")
    );
    let said = "RolledBack: no pod of Deployment web has been ready for 10s: web-1: OOMKilled, before v2 was promoted; \
                Deployment web-stable is given v1 again";
    assert_eq!(story.last(), said);
    let runs = story.status.runs.iter();
    let runs: Vec<_> = runs.map(|run| (run.number, run.outcome)).collect();
    assert_eq!(runs, [(1, RunOutcome::RolledBack)]);
    // Nothing is tried again by itself.
    story.both().wanted.trouble = None;
    story.both().copy.as_mut().unwrap().trouble = None;
    story.live(60);
    assert_eq!(story.deployments(), "web v2 0/0, web-stable v1 3/3");
}

#[test]
fn a_template_that_comes_before_a_version_is_promoted_takes_everyone_back_and_is_tried() {
    let mut story = unpromoted();
    story.change("v3").live(1);
    assert_eq!(story.weights(), "everyone 0");
    story.both().copy.as_mut().unwrap().trouble = None;
    story.live(100);
    let runs = story.status.runs.iter();
    let runs: Vec<_> = runs.map(|run| (run.number, run.outcome)).collect();
    assert_eq!(
        runs,
        [(1, RunOutcome::Superseded), (2, RunOutcome::Succeeded)]
    );
    assert_eq!(story.deployments(), "web v3 0/0, web-stable v3 3/3");
}

#[test]
fn nobody_stays_at_a_template_that_comes_while_the_copy_lacks_a_pod() {
    let mut story = unpromoted();
    let copy = story.both().copy.as_mut().unwrap();
    (copy.ready, copy.is_uniform) = (2, true);
    story.live(10);
    assert_eq!(story.weights(), "everyone 100");
    story.change("v3").live(1);
    assert_eq!(story.weights(), "everyone 0");
}

#[test]
fn a_version_that_was_taken_away_before_it_was_promoted_may_come_back() {
    let mut story = unpromoted();
    story.change("v1").live(60);
    assert_eq!(story.weights(), "everyone 0");
    story.both().copy.as_mut().unwrap().trouble = None;
    story.live(30);
    assert_eq!(story.deployments(), "web v1 0/0, web-stable v1 3/3");
    story.change("v2").live(100);
    assert_eq!(story.deployments(), "web v2 0/0, web-stable v2 3/3");
    assert_eq!(story.status.run.as_ref().unwrap().number, 2);
}

#[test]
fn the_pods_of_a_step_are_kept_up_while_the_next_one_is_held_back() {
    let held = || {
        let mut story = at_rest();
        story.change("v2");
        while story.weights() != "everyone 50" {
            story.live(1);
        }
        story.world.forward = Forward::Closed("the window is closed".to_owned());
        story.live(30);
        assert_eq!(story.last(), "Waiting: step 3 waits: the window is closed");
        story
    };
    let mut story = held();
    let wanted = &mut story.both().wanted;
    (wanted.replicas, wanted.ready) = (1, 1);
    story.live(3);
    assert_eq!(story.deployments(), "web v2 2/2, web-stable v1 3/3");
    let mut story = held();
    let wanted = &mut story.both().wanted;
    (wanted.ready, wanted.trouble) = (1, Some("web-1: OOMKilled".to_owned()));
    story.live(599);
    assert_eq!(story.weights(), "everyone 50");
    story.live(4);
    assert_eq!(
        (story.phase(), &*story.weights()),
        (Phase::RolledBack, "everyone 0")
    );
}

#[test]
fn a_template_without_its_label_takes_its_users_back() {
    let mut story = at_rest();
    story.change("v2").live(20);
    assert_eq!(story.weights(), "everyone 50");
    let mistake = "the template of Deployment web needs the label";
    story.both().mistake = Some(mistake.to_owned());
    story.live(2);
    assert_eq!(
        (story.phase(), &*story.weights()),
        (Phase::RolledBack, "everyone 0")
    );
    assert_eq!(story.last(), format!("RolledBack: {mistake}"));
}

#[test]
fn what_holds_back_a_fix_is_said_beside_how_the_run_before_failed() {
    let mut story = at_rest();
    story.change("v2").live(20).ask(Verb::Abort).live(60);
    story.both().unrouted = Some("no route".to_owned());
    story.change("v3").live(5);
    let said = "Waiting: v3 waits: no route; before: aborted by ann";
    assert_eq!((story.phase(), story.last()), (Phase::Aborted, said));
    story.both().unrouted = None;
    story.live(100);
    assert_eq!(story.deployments(), "web v3 0/0, web-stable v3 3/3");
}

#[test]
fn everybody_goes_back_to_as_many_pods_as_they_left() {
    let mut story = at_rest();
    story.definition.steps[2].hold = std::time::Duration::from_secs(600);
    story.change("v2");
    while story.weights() != "everyone 100" {
        story.live(1);
    }
    // An autoscaler finds no load there.
    let copy = story.both().copy.as_mut().unwrap();
    (copy.replicas, copy.ready) = (1, 1);
    story.ask(Verb::Abort).live(10);
    assert_eq!(story.weights(), "everyone 0");
    assert_eq!(story.both().copy.as_ref().unwrap().replicas, 3);
}

#[test]
fn what_is_not_ours_is_left_alone_with_its_autoscaler() {
    let mut story = first_sight();
    let both = story.both();
    both.copy = Some(pods("v0", 20));
    (both.is_foreign, both.mistake) = (true, Some("it is not ours".to_owned()));
    both.autoscaler = Some(AutoscalerWork::Apply);
    story.live(60);
    assert_eq!(story.both().autoscaler, Some(AutoscalerWork::Apply));
    assert_eq!(story.deployments(), "web v1 3/3, web-stable v0 20/20");
}

#[test]
fn a_deployment_that_is_gone_before_it_is_promoted_takes_everyone_back() {
    let mut story = unpromoted();
    let what = "there is no Deployment web in namespace shop";
    story.world.workload = Some(WorkloadSeen::Missing {
        what: what.to_owned(),
    });
    story.after(2);
    assert_eq!(
        (story.phase(), &*story.weights()),
        (Phase::RolledBack, "everyone 0")
    );
    assert_eq!(
        story.last(),
        format!("RolledBack: {what}, before v2 was promoted")
    );
}

#[test]
fn a_fix_goes_forward_while_no_pod_of_the_copy_is_ready() {
    let mut story = at_rest();
    let copy = story.both().copy.as_mut().unwrap();
    (copy.ready, copy.trouble) = (0, Some("web-stable-1: CrashLoopBackOff".to_owned()));
    story.change("v2");
    while story.phase() != Phase::Succeeded {
        story.live(1);
    }
    story.both().copy.as_mut().unwrap().trouble = None;
    story.live(60);
    assert_eq!(story.deployments(), "web v2 0/0, web-stable v2 3/3");
    assert_eq!(story.weights(), "everyone 0");
}

#[test]
fn what_somebody_else_scales_down_in_a_step_is_scaled_up_again() {
    let mut story = at_rest();
    story.change("v2").live(20);
    story.both().wanted.replicas = 0;
    story.live(1);
    assert_eq!(story.both().wanted.replicas, 2);
}

#[test]
fn nobody_finishes_for_the_controller() {
    let mut story = at_rest();
    story.change("v2").live(40);
    story.ask(Verb::Finish);
    let answer = story.status.answers.last().unwrap();
    assert_eq!(
        answer.message,
        "`finish` of ann: the copy of a workload is given the new version by the controller"
    );
}

#[derive(Clone, Debug)]
enum Happens {
    Live(u8),
    Change(u8),
    Trouble(bool),
    Crash,
    Ask(Verb),
    Lag(bool),
    Restart,
    LoseCopy,
    AbortSplit,
}

fn happens() -> impl Strategy<Value = Happens> {
    let verbs = [
        Verb::Abort,
        Verb::Retry,
        Verb::Skip,
        Verb::PromoteFull,
        Verb::Pause,
        Verb::Resume,
    ];
    prop_oneof![
        4 => (1_u8..40).prop_map(Happens::Live),
        2 => (1_u8..4).prop_map(Happens::Change),
        1 => any::<bool>().prop_map(Happens::Trouble),
        1 => Just(Happens::Crash),
        2 => proptest::sample::select(verbs.to_vec()).prop_map(Happens::Ask),
        1 => any::<bool>().prop_map(Happens::Lag),
        1 => Just(Happens::Restart),
        1 => Just(Happens::LoseCopy),
        1 => Just(Happens::AbortSplit),
    ]
}

fn is_used(story: &mut Story) -> bool {
    story
        .seen()
        .weights
        .values()
        .any(|weight| *weight > Percent::ZERO)
}

proptest! {
    #[test]
    fn whatever_happens_nobody_is_sent_where_no_pod_is(
        story in proptest::collection::vec(happens(), 1..40),
    ) {
        let mut told = at_rest();
        // For how many seconds users have had no pod that is ready.
        let mut unserved = 0;
        // For how many the copy has had fewer pods than it served with.
        let mut short = 0;
        let mut aborts = 0;
        for happens in story {
            match happens {
                Happens::Live(seconds) => {
                    for _ in 0..seconds {
                        told.live(1);
                        if is_used(&mut told) {
                            prop_assert!(told.both().wanted.replicas > 0, "{:?}", told.said);
                        }
                        let is_served = !is_used(&mut told) || told.both().wanted.ready > 0;
                        unserved = if is_served { 0 } else { unserved + 1 };
                        let is_run = told.phase().is_under_way() || told.status.is_unpromoted();
                        prop_assert!(unserved <= 11 || !is_run, "{:?}", told.said);
                        let copy = told.both().copy.clone();
                        let is_full = told.seen().weights["everyone"] == Percent::HUNDRED;
                        let is_short = copy.as_ref().is_none_or(|copy| copy.ready < 3) && !is_full;
                        // Made again, or a former version given back: at once, and once.
                        short = if is_short { short + 1 } else { 0 };
                        prop_assert!(short <= 5, "{copy:?} {:?}", told.said);
                        let failed = told.status.run.as_ref().filter(|run| !run.has_succeeded());
                        let failed = failed.filter(|_| told.phase().is_failure() && short == 0 && !is_full);
                        let failed = failed.and_then(|run| run.version.clone());
                        let promoted = told.status.workload.as_ref().unwrap().rightful().map(str::to_owned);
                        let has_failed = copy.map(|copy| copy.version) == failed && failed != promoted;
                        prop_assert!(failed.is_none() || !has_failed, "{:?}", told.said);
                    }
                }
                Happens::Change(version) => {
                    told.change(&format!("v{version}"));
                }
                Happens::Trouble(is_in_trouble) => {
                    told.both().wanted.trouble = is_in_trouble.then(|| "crash".to_owned());
                }
                Happens::Crash => {
                    told.both().wanted.trouble = Some("crash".to_owned());
                    told.both().wanted.ready = 0;
                    told.both().wanted.up = 0;
                }
                Happens::Ask(verb) => {
                    told.ask(verb);
                }
                Happens::Lag(lags) => {
                    let lagging = ProxiesSeen::Seen { converged: 0, total: 1, stale: 0, lagging: String::new() };
                    told.world.proxies = if lags { lagging } else { ProxiesSeen::Nobody };
                }
                Happens::LoseCopy => {
                    told.both().copy = None;
                    told.both().given = None;
                    short = 0;
                }
                Happens::AbortSplit => {
                    aborts += 1;
                    let seen = told.seen();
                    seen.weights.insert("everyone".to_owned(), Percent::ZERO);
                    seen.last_abort = Some("ann".to_owned());
                    seen.last_abort_id = Some(format!("ann {aborts}"));
                }
                Happens::Restart => {
                    let kept = serde_json::to_string(&told.status).unwrap();
                    told.status = serde_json::from_str(&kept).unwrap();
                }
            }
        }
        // With nothing in its way, the last template of Git serves everyone or has failed.
        told.both().wanted.trouble = None;
        told.world.proxies = ProxiesSeen::Nobody;
        told.ask(Verb::Resume).live(300);
        prop_assert_eq!(told.seen().weights["everyone"], percent(0.0));
        prop_assert_eq!(told.both().wanted.replicas, 0);
        let both = told.both().clone();
        let is_promoted = both.copy.unwrap().version == both.wanted.version;
        prop_assert!(is_promoted || told.phase().is_failure(), "{:?}", told.status);
    }
}
