//! What follows from what is seen of two Deployments: rules as tables, and promises for whatever is seen.

use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use proptest::prelude::*;
use sluice_core::allocation::Percent;

use super::*;
use crate::rollout::resource::{FirstSight, Scale};
use crate::rollout::workload::Workload;
use crate::rollout::workload::kept::MAX_UNDONE;
use crate::rollout::workload::seen::Both;
use crate::rollout::workload::services::Names;

const NOW: Timestamp = Timestamp::UNIX_EPOCH;

fn workload() -> Workload {
    Workload {
        deployment: "web".to_owned(),
        scale: Scale::MatchWeight,
        progress_deadline: Duration::from_secs(600),
        drain: Duration::from_secs(30),
        rollback_window: 0,
        on_first_sight: FirstSight::Adopt,
        services: Names::default(),
    }
}

fn pods(version: &str, ready: u32, replicas: u32) -> Pods {
    Pods {
        version: version.to_owned(),
        replicas,
        ready,
        up: ready,
        is_uniform: true,
        trouble: None,
    }
}

fn ago(seconds: i64) -> Option<Timestamp> {
    Some(NOW - SignedDuration::from_secs(seconds))
}

fn between(weights: &str) -> Between<'static> {
    Between {
        is_empty: weights == "empty",
        other: None,
        is_followed: true,
        stale: 0,
        patience: Duration::from_secs(120),
        everyone: match weights {
            "empty" => Percent::ZERO,
            _ => Percent::HUNDRED,
        },
        ended: ago(1),
        succeeded: None,
        failed: None,
        run: 0,
        window: 0,
        is_run_wanted: false,
    }
}

fn both(wanted: Pods, copy: Option<Pods>) -> Both {
    Both {
        wanted,
        copy,
        ..Both::default()
    }
}

fn rested(both: &Both, kept: &Kept, between: &Between<'_>) -> Rest {
    let facing = Facing {
        workload: &workload(),
        both,
        kept,
        now: NOW,
    };
    rest(&facing, between)
}

fn prepared(both: &Both, kept: &Kept, weight: f64) -> Prepared {
    let facing = Facing {
        workload: &workload(),
        both,
        kept,
        now: NOW,
    };
    prepare(&facing, Percent::new(weight).unwrap())
}

#[test]
fn the_copy_of_a_deployment_that_serves_is_made_before_anything_else() {
    let made = rested(
        &both(pods("v1", 3, 3), None),
        &Kept::default(),
        &between("empty"),
    );
    let copy = Action::Copy {
        version: "v1".to_owned(),
        replicas: 3,
    };
    assert_eq!(made.action, Some(copy));
    assert!(!made.may_begin && !made.kept.is_at_rest);
}

#[test]
fn the_pods_of_the_deployment_go_when_the_copy_serves_and_they_have_drained() {
    let settled = Kept {
        ready: ago(30),
        unused: ago(30),
        empty: ago(30),
        ..Kept::default()
    };
    let draining = Kept {
        empty: ago(29),
        ..settled.clone()
    };
    let none = Some(Action::Scale { replicas: 0 });
    let cases = [
        ("drained", settled.clone(), 3, true, none),
        ("a request may be under way", draining, 3, true, None),
        ("the copy lacks a pod", settled.clone(), 2, true, None),
        (
            "nobody knows that proxies follow",
            Kept {
                empty: None,
                ..settled
            },
            3,
            false,
            None,
        ),
    ];
    for (label, kept, ready, is_followed, expected) in cases {
        let both = both(pods("v1", 3, 3), Some(pods("v1", ready, 3)));
        let between = Between {
            is_followed,
            ..between("empty")
        };
        let rest = rested(&both, &kept, &between);
        assert_eq!(rest.action, expected, "{label}");
        assert_eq!(rest.says.is_some(), rest.action.is_none(), "{label}");
    }
}

#[test]
fn pods_stay_while_no_route_tells_them_from_the_copy() {
    let kept = Kept {
        ready: ago(60),
        unused: ago(60),
        empty: ago(60),
        ..Kept::default()
    };
    let unrouted = Both {
        unrouted: Some("no route".to_owned()),
        ..both(pods("v1", 3, 3), Some(pods("v1", 3, 3)))
    };
    let rest = rested(&unrouted, &kept, &between("empty"));
    assert_eq!(
        (rest.action, rest.says.as_deref()),
        (None, Some("no route"))
    );
    let routed = Both {
        unrouted: None,
        ..unrouted
    };
    let rest = rested(&routed, &rest.kept, &between("empty"));
    assert_eq!(
        (rest.action, rest.kept.empty),
        (None, Some(NOW)),
        "it drains from then on"
    );
}

#[test]
fn pods_of_an_audience_that_the_rollout_does_not_move_stay() {
    let kept = Kept {
        ready: ago(60),
        unused: ago(60),
        empty: ago(60),
        ..Kept::default()
    };
    let between = Between {
        other: Some(("staff", Percent::new(50.0).unwrap())),
        ..between("empty")
    };
    let says =
        "Deployment web keeps its pods: the challenger has 50 % of staff, which no step moves";
    for (replicas, action) in [(3, None), (0, Some(Action::Scale { replicas: 1 }))] {
        let both = both(pods("v1", replicas, replicas), Some(pods("v1", 3, 3)));
        let rest = rested(&both, &kept, &between);
        assert_eq!((rest.action, rest.says.as_deref()), (action, Some(says)));
        assert_eq!(rest.kept.empty, None, "it drains once they have left");
    }
}

#[test]
fn pods_that_a_parked_deployment_is_given_are_taken_away_once_and_then_left() {
    let parked = Kept {
        ready: ago(60),
        unused: ago(60),
        empty: ago(60),
        is_parked: true,
        ..Kept::default()
    };
    let given = |seconds| Kept {
        given: ago(seconds),
        ..parked.clone()
    };
    let again = Kept {
        is_parked_again: true,
        ..given(90)
    };
    let none = Some(Action::Scale { replicas: 0 });
    let cases = [
        ("just now", parked.clone(), None),
        ("a request may be there", given(29), None),
        ("for a while", given(30), none),
        ("again", again.clone(), None),
    ];
    let both = both(pods("v1", 1, 1), Some(pods("v1", 3, 3)));
    for (label, kept, action) in cases {
        let is_again = kept.is_parked_again;
        let rest = rested(&both, &kept, &between("empty"));
        assert_eq!(rest.action, action, "{label}");
        let said = match is_again {
            false => "Deployment web was given 1 pods that nobody uses",
            true => {
                "Deployment web was given 1 pods that nobody uses, again: nobody fights whoever does that; Git should \
                 not say spec.replicas of it"
            }
        };
        assert_eq!(rest.says.as_deref(), Some(said), "{label}");
        assert_eq!(rest.kept.is_at_rest, action.is_none(), "{label}");
    }
    let next_run = prepared(&both, &again, 50.0).kept;
    assert!(!next_run.is_parked_again && next_run.given.is_none());
}

#[test]
fn pods_stay_for_proxies_that_are_known_to_send_users_there() {
    let kept = Kept {
        ready: ago(600),
        unused: ago(600),
        ..Kept::default()
    };
    let both = both(pods("v2", 3, 3), Some(pods("v1", 3, 3)));
    for (stale, empty) in [(0, Some(NOW)), (2, None)] {
        let between = Between {
            is_followed: false,
            stale,
            ..between("empty")
        };
        let rest = rested(&both, &kept, &between);
        assert_eq!((rest.action, rest.kept.empty), (None, empty));
        let says = "the pods of Deployment web stay: 2 proxies run an earlier revision, and may send users there";
        assert_eq!(
            rest.says.as_deref() == Some(says),
            stale == 2,
            "{:?}",
            rest.says
        );
    }
}

#[test]
fn pods_that_a_parked_deployment_is_given_stay_where_the_copy_does_not_serve() {
    let given = Kept {
        is_parked: true,
        given: ago(60),
        ..Kept::default()
    };
    let served = both(pods("v1", 2, 2), Some(pods("v1", 3, 3)));
    let unserved = both(pods("v1", 2, 2), Some(pods("v1", 0, 3)));
    let unrouted = Both {
        unrouted: Some("no route".to_owned()),
        ..served.clone()
    };
    let stay = "Deployment web was given 2 pods and keeps them: ";
    let down = Some(Action::Scale { replicas: 0 });
    let unready = format!("{stay}0 of 3 pods of Deployment web-stable are ready, of v1");
    let cases = [
        (served, ago(60), down, None),
        (unserved, None, None, Some(unready)),
        (unrouted, ago(60), None, Some(format!("{stay}no route"))),
    ];
    for (both, ready, action, says) in cases {
        let kept = Kept {
            ready,
            ..given.clone()
        };
        let rest = rested(&both, &kept, &between("empty"));
        assert_eq!(rest.action, action);
        assert!(says.is_none() || rest.says == says, "{:?}", rest.says);
    }
}

#[test]
fn a_copy_that_is_scaled_down_again_and_again_is_gone_back_to_as_it_is() {
    let over = Between {
        succeeded: Some("v2"),
        ..between("full")
    };
    let mut kept = Kept {
        serving: 10,
        ready: ago(10),
        ..Kept::default()
    };
    let with = |copy: u32| both(pods("v2", 10, 10), Some(pods("v2", copy, copy)));
    let up = Some(Action::ScaleCopy { replicas: 10 });
    for undone in 0..=MAX_UNDONE {
        let down = rested(&with(5), &kept, &over);
        let is_given_up = undone == MAX_UNDONE;
        assert_eq!(down.action == up, !is_given_up, "{undone}");
        assert_eq!(down.is_to_finish, is_given_up, "{undone}");
        let grown = Kept {
            ready: None,
            ..down.kept
        };
        kept = Kept {
            ready: ago(10),
            ..rested(&with(10), &grown, &over).kept
        };
    }
}

#[test]
fn a_weight_that_somebody_sets_judges_nothing() {
    let kept = Kept {
        is_unjudged: true,
        ready: ago(10),
        ..Kept::default()
    };
    let both = both(pods("v1", 3, 3), Some(pods("v1", 3, 3)));
    for (succeeded, is_unjudged) in [(None, true), (Some("v1"), false)] {
        let between = Between {
            succeeded,
            ..between("full")
        };
        let rest = rested(&both, &kept, &between);
        assert_eq!(rest.kept.is_unjudged, is_unjudged);
        assert!(rest.is_to_finish);
    }
}

#[test]
fn pods_that_are_ready_for_a_moment_are_not_dead() {
    let mut kept = Kept {
        dead: ago(60),
        ..Kept::default()
    };
    let available = |up| Pods {
        up,
        ..pods("v2", 0, 1)
    };
    assert!(kept.is_dead(&available(0), NOW));
    assert!(!kept.is_dead(&available(1), NOW));
}

#[test]
fn a_copy_that_does_not_get_ready_is_looked_at_seldom_after_a_while() {
    let both = both(pods("v1", 0, 0), Some(pods("v1", 2, 3)));
    for (seconds, is_slow) in [(59, false), (60, true)] {
        let kept = Kept {
            waiting: ago(seconds),
            is_parked: true,
            ..Kept::default()
        };
        assert_eq!(
            rested(&both, &kept, &between("empty")).kept.is_slow,
            is_slow
        );
    }
}

#[test]
fn no_run_begins_while_no_route_tells_variants_apart() {
    let wanted = Between {
        is_run_wanted: true,
        ..between("empty")
    };
    let unrouted = Both {
        unrouted: Some("no route".to_owned()),
        ..both(pods("v2", 3, 3), Some(pods("v1", 3, 3)))
    };
    let rest = rested(&unrouted, &Kept::default(), &wanted);
    let expected = (false, Some("no route"), true);
    assert_eq!(
        (rest.may_begin, rest.says.as_deref(), rest.kept.is_slow),
        expected
    );
    let routed = Both {
        unrouted: None,
        ..unrouted
    };
    let rest = rested(&routed, &rest.kept, &wanted);
    assert_eq!(
        (rest.may_begin, rest.says, rest.kept.is_slow),
        (true, None, false)
    );
}

#[test]
fn a_copy_whose_pods_fail_holds_back_no_run_that_may_mend_it() {
    let wanted = Between {
        is_run_wanted: true,
        ..between("empty")
    };
    let crashing = Pods {
        trouble: Some("web-stable-1: CrashLoopBackOff".to_owned()),
        ..pods("v1", 0, 3)
    };
    let both = both(pods("v2", 0, 0), Some(crashing));
    let says =
        "0 of 3 pods of Deployment web-stable are ready, of v1: web-stable-1: CrashLoopBackOff";
    for (is_unjudged, says) in [(false, None), (true, Some(says.to_owned()))] {
        let kept = Kept {
            is_unjudged,
            ..Kept::default()
        };
        let rest = rested(&both, &kept, &wanted);
        assert_eq!((rest.may_begin, rest.says), (says.is_none(), says));
    }
}

#[test]
fn while_a_version_is_promoted_its_pods_are_kept_up() {
    let promoting = Between {
        succeeded: Some("v2"),
        ..between("full")
    };
    let up = Some(Action::Scale { replicas: 3 });
    for copy in [pods("v1", 3, 3), pods("v2", 1, 3)] {
        let both = both(pods("v2", 1, 1), Some(copy));
        let rest = rested(&both, &Kept::default(), &promoting);
        assert_eq!((rest.action, rest.is_to_finish), (up.clone(), false));
    }
}

#[test]
fn a_step_that_is_scaled_down_again_and_again_is_left_so_and_does_not_move() {
    let scaled_down = both(pods("v2", 1, 1), Some(pods("v1", 4, 4)));
    let scaled_up = both(pods("v2", 4, 4), Some(pods("v1", 4, 4)));
    let up = Some(Action::Scale { replicas: 4 });
    let mut kept = Kept::default();
    for undone in 0..=MAX_UNDONE {
        let down = prepared(&scaled_down, &kept, 100.0);
        let is_given_up = undone == MAX_UNDONE;
        assert_eq!(down.action.is_none(), is_given_up, "{undone}");
        assert!(is_given_up || down.action == up);
        kept = prepared(&scaled_up, &down.kept, 100.0).kept;
    }
    // One pod of four is not enough for anybody to be sent there.
    for (waiting, is_late) in [(None, false), (ago(599), false), (ago(600), true)] {
        let kept = Kept {
            waiting,
            ready: ago(2),
            ..kept.clone()
        };
        let pace = prepared(&scaled_down, &kept, 100.0).pace;
        let (Pace::Waiting(why) | Pace::Late(why)) = &pace else {
            panic!("{pace:?}");
        };
        assert_eq!(matches!(pace, Pace::Late(_)), is_late, "{waiting:?}");
        assert!(
            why.starts_with("1 of 4 pods of Deployment web are ready, of v2; "),
            "{why}"
        );
        assert!(
            why.contains("was scaled down 3 times in this step, which needs 4 pods"),
            "{why}"
        );
    }
    // Another step asks for another number.
    let down = prepared(&scaled_down, &kept, 50.0);
    assert_eq!(down.action, Some(Action::Scale { replicas: 2 }));
}

#[test]
fn in_a_hold_an_autoscaler_says_how_many_pods_there_are() {
    let facing = |both: &Both| {
        let facing = Facing {
            workload: &workload(),
            both,
            kept: &Kept::default(),
            now: NOW,
        };
        keep_up(&facing, Percent::HUNDRED)
    };
    let up = |replicas| Some(Action::Scale { replicas });
    for (replicas, is_autoscaled, action) in [(2, true, None), (0, true, up(1)), (2, false, up(4))]
    {
        let both = Both {
            is_autoscaled,
            ..both(pods("v2", replicas, replicas), Some(pods("v1", 4, 4)))
        };
        let kept_up = facing(&both);
        assert_eq!(kept_up.action, action, "{replicas} {is_autoscaled}");
        assert_eq!(kept_up.pace == Pace::Ready, action.is_none());
    }
}

#[test]
fn what_succeeded_is_promoted_before_anybody_leaves_it() {
    let settled = Kept {
        ready: ago(10),
        ..Kept::default()
    };
    let promote = Some(Action::Promote {
        version: "v2".to_owned(),
        kept: vec!["v2".to_owned()],
    });
    // What Git states, what the copy has, which version succeeded: what is done, whether users leave.
    let cases = [
        ("it succeeded", "v2", "v1", Some("v2"), promote, false),
        ("the copy has it", "v2", "v2", Some("v2"), None, true),
        (
            "the copy has it, Git says another",
            "v3",
            "v2",
            Some("v2"),
            None,
            true,
        ),
        (
            "Git says another, the copy has it not",
            "v3",
            "v1",
            Some("v2"),
            None,
            true,
        ),
        ("no run was it", "v2", "v1", None, None, false),
        ("both are one version", "v1", "v1", None, None, true),
    ];
    for (label, wanted, copied, succeeded, action, is_to_finish) in cases {
        let both = both(pods(wanted, 3, 3), Some(pods(copied, 3, 3)));
        let between = Between {
            succeeded,
            ..between("full")
        };
        let rest = rested(&both, &settled, &between);
        assert_eq!(
            (rest.action, rest.is_to_finish),
            (action, is_to_finish),
            "{label}"
        );
    }
}

#[test]
fn a_copy_changes_its_pods_only_while_everybody_is_at_pods_that_are_ready() {
    let hundred = Percent::HUNDRED;
    let half = Percent::new(50.0).unwrap();
    let promote = || {
        Some(Action::Promote {
            version: "v2".to_owned(),
            kept: vec!["v2".to_owned()],
        })
    };
    let kept = Kept::default();
    let cases = [
        ("all are there", hundred, true, ago(1), 3, promote()),
        ("half are there", half, true, ago(1), 3, None),
        ("a proxy lags", hundred, false, ago(119), 3, None),
        (
            "it lagged for long enough",
            hundred,
            false,
            ago(120),
            3,
            promote(),
        ),
        ("a pod crashed", hundred, true, ago(1), 2, None),
    ];
    for (label, everyone, is_followed, ended, ready, expected) in cases {
        let both = both(pods("v2", ready, 3), Some(pods("v1", 3, 3)));
        let between = Between {
            everyone,
            is_followed,
            ended,
            succeeded: Some("v2"),
            ..between("full")
        };
        let rest = rested(&both, &kept, &between);
        assert_eq!(
            (rest.action, rest.is_to_finish),
            (expected, false),
            "{label}"
        );
        assert!(rest.says.unwrap().starts_with("Deployment web-stable "));
    }
}

#[test]
fn nobody_goes_back_to_a_copy_that_was_scaled_down_meanwhile() {
    let settled = Kept {
        ready: ago(10),
        serving: 10,
        ..Kept::default()
    };
    let scale = |replicas| Some(Action::ScaleCopy { replicas });
    // How many pods served, how many the copy has: what is done, whether users leave.
    let cases = [
        ("as many", 10, 10, None, true),
        ("more", 10, 12, None, true),
        ("fewer", 10, 2, scale(10), false),
        ("none", 10, 0, scale(10), false),
        ("none, and nobody knows of any", 0, 0, scale(1), false),
    ];
    for (label, serving, replicas, action, is_to_finish) in cases {
        let both = both(pods("v2", 10, 10), Some(pods("v2", replicas, replicas)));
        let kept = Kept {
            serving,
            ..settled.clone()
        };
        let between = Between {
            succeeded: Some("v2"),
            ..between("full")
        };
        let rest = rested(&both, &kept, &between);
        assert_eq!(
            (rest.action, rest.is_to_finish),
            (action, is_to_finish),
            "{label}"
        );
    }
}

#[test]
fn a_copy_that_was_scaled_down_meanwhile_lowers_no_step() {
    let kept = Kept {
        serving: 10,
        ..Kept::default()
    };
    let both = both(pods("v2", 2, 2), Some(pods("v1", 2, 2)));
    let action = Some(Action::Scale { replicas: 10 });
    assert_eq!(prepared(&both, &kept, 100.0).action, action);
}

#[test]
fn pods_stay_while_the_copy_has_none() {
    let kept = Kept {
        ready: ago(60),
        unused: ago(60),
        empty: ago(60),
        ..Kept::default()
    };
    let both = both(pods("v1", 3, 3), Some(pods("v1", 0, 0)));
    let rest = rested(&both, &kept, &between("empty"));
    let says = "0 of 1 pods of Deployment web-stable are ready, of v1";
    assert_eq!((rest.action, rest.says.as_deref()), (None, Some(says)));
}

#[test]
fn a_copy_that_was_deleted_is_made_with_as_many_pods_as_it_had() {
    let kept = Kept {
        serving: 10,
        ..Kept::default()
    };
    let made = rested(&both(pods("v1", 0, 0), None), &kept, &between("empty"));
    let copy = Action::Copy {
        version: "v1".to_owned(),
        replicas: 10,
    };
    assert_eq!(made.action, Some(copy));
}

#[test]
fn a_step_waits_for_its_pods_and_no_longer_than_it_may() {
    let scale = |replicas| Some(Action::Scale { replicas });
    let waiting = "1 of 2 pods of Deployment web are ready, of v2: web-1: ErrImagePull";
    let wanted = |ready, replicas| Pods {
        trouble: (ready < replicas).then(|| "web-1: ErrImagePull".to_owned()),
        ..pods("v2", ready, replicas)
    };
    let kept = |waiting, ready| Kept {
        waiting,
        ready,
        ..Kept::default()
    };
    let hear = Pace::Waiting("2 pods of Deployment web are ready; proxies hear of them".to_owned());
    let cases = [
        (
            "too few are wanted",
            wanted(1, 1),
            kept(None, None),
            "waits",
            scale(2),
        ),
        (
            "one is not ready",
            wanted(1, 2),
            kept(ago(599), None),
            waiting,
            None,
        ),
        (
            "they were ready just now",
            wanted(2, 2),
            kept(None, ago(1)),
            "hears",
            None,
        ),
        (
            "they are ready",
            wanted(2, 2),
            kept(None, ago(2)),
            "ready",
            None,
        ),
        (
            "it took too long",
            wanted(1, 2),
            kept(ago(600), None),
            "late",
            None,
        ),
    ];
    for (label, wanted, kept, expected, action) in cases {
        let both = both(wanted, Some(pods("v1", 3, 3)));
        let prepared = prepared(&both, &kept, 50.0);
        assert_eq!(prepared.action, action, "{label}");
        let pace = match expected {
            "ready" => Pace::Ready,
            "hears" => hear.clone(),
            "late" => Pace::Late(waiting.to_owned()),
            "waits" => Pace::Waiting("1 of 2 pods of Deployment web are ready, of v2".to_owned()),
            words => Pace::Waiting(words.to_owned()),
        };
        assert_eq!(prepared.pace, pace, "{label}");
    }
}

#[test]
fn pods_are_waited_for_from_when_they_are_to_be_there_until_they_have_settled() {
    // Since when they are waited for, and ready; pods ready, of how many: both times afterwards.
    let cases = [
        ("not scaled yet", (None, None), (0, 1), (None, None)),
        ("scaled", (None, None), (0, 2), (ago(0), None)),
        ("still waited for", (ago(5), None), (1, 2), (ago(5), None)),
        (
            "ready for a moment",
            (ago(5), ago(1)),
            (2, 2),
            (ago(5), ago(1)),
        ),
        ("settled", (ago(5), ago(2)), (2, 2), (None, ago(2))),
        ("crashed again", (ago(5), ago(1)), (1, 2), (ago(5), None)),
    ];
    for (label, (waiting, ready), (count, replicas), expected) in cases {
        let kept = Kept {
            waiting,
            ready,
            ..Kept::default()
        };
        let both = both(pods("v2", count, replicas), Some(pods("v1", 3, 3)));
        let kept = prepared(&both, &kept, 50.0).kept;
        assert_eq!((kept.waiting, kept.ready), expected, "{label}");
    }
}

#[test]
fn pods_of_another_template_are_not_ready() {
    let rolling = Pods {
        is_uniform: false,
        ..pods("v2", 5, 5)
    };
    let kept = Kept {
        ready: ago(60),
        ..Kept::default()
    };
    let prepared = prepared(&both(rolling, Some(pods("v1", 3, 3))), &kept, 5.0);
    assert!(matches!(prepared.pace, Pace::Waiting(_)));
    assert_eq!(prepared.kept.ready, None);
}

#[test]
fn nothing_is_done_to_deployments_that_are_not_ours() {
    let foreign = Both {
        mistake: Some("not ours".to_owned()),
        ..both(pods("v2", 3, 3), Some(pods("v1", 3, 3)))
    };
    let rest = rested(&foreign, &Kept::default(), &between("full"));
    assert_eq!(
        (rest.action, rest.is_to_finish, rest.may_begin),
        (None, false, false)
    );
    assert!(rest.kept.is_slow && !rest.kept.is_at_rest);
    assert_eq!(prepared(&foreign, &Kept::default(), 100.0).action, None);
}

fn any_pods() -> impl Strategy<Value = Pods> {
    (0_u8..4, 0_u32..6, 0_u32..6, any::<bool>()).prop_map(
        |(version, ready, replicas, is_uniform)| Pods {
            is_uniform,
            ..pods(&format!("v{version}"), ready, replicas)
        },
    )
}

fn any_kept() -> impl Strategy<Value = Kept> {
    let time = || {
        proptest::option::of(
            (0_i64..1_000).prop_map(|seconds| NOW - SignedDuration::from_secs(seconds)),
        )
    };
    (time(), time(), time(), time(), any::<bool>(), 0_u32..6).prop_map(
        |(waiting, ready, unused, empty, is_parked, serving)| Kept {
            serving,
            waiting,
            ready,
            unused,
            empty,
            is_parked,
            ..Kept::default()
        },
    )
}

proptest! {
    #[test]
    fn whatever_is_seen_nobody_loses_pods_that_they_use(
        wanted in any_pods(),
        copy in proptest::option::of(any_pods()),
        kept in any_kept(),
        flags in any::<[bool; 4]>(),
        succeeded in proptest::option::of(0_u8..4),
        everyone in 1_u8..=100,
    ) {
        let succeeded = succeeded.map(|version| format!("v{version}"));
        let [is_empty, is_followed, is_run_wanted, has_other] = flags;
        let everyone = Percent::new(f64::from(everyone)).unwrap();
        let everyone = if is_empty { Percent::ZERO } else { everyone };
        let other = has_other.then_some(("staff", Percent::HUNDRED));
        let between = Between {
            is_empty,
            other,
            is_followed,
            patience: Duration::from_secs(120),
            everyone,
            ended: ago(1),
            succeeded: succeeded.as_deref(),
            is_run_wanted,
            ..between("empty")
        };
        let both = both(wanted, copy);
        let rest = rested(&both, &kept, &between);
        match &rest.action {
            Some(Action::Scale { replicas: 0 }) => {
                let copy = both.copy.as_ref().unwrap();
                prop_assert!(is_empty && !has_other && copy.has(copy.replicas));
                prop_assert!(copy.ready > 0, "nobody serves");
                prop_assert!(kept.empty.is_some_and(|since| has_passed(since, Duration::from_secs(30), NOW)));
            }
            // The copy changes only while everybody is elsewhere, on what succeeded.
            Some(Action::Promote { version, .. }) => {
                prop_assert!(everyone == Percent::HUNDRED && is_followed);
                prop_assert!(both.wanted.ready > 0 && Some(version) == succeeded.as_ref());
            }
            Some(Action::Copy { .. }) => prop_assert!(both.copy.is_none()),
            Some(Action::Remember) => prop_assert!(rest.kept.is_at_rest),
            Some(Action::ScaleCopy { replicas }) => {
                prop_assert!(*replicas > both.copy.as_ref().unwrap().replicas);
            }
            Some(Action::Scale { replicas }) => {
                prop_assert!(*replicas > both.wanted.replicas);
                prop_assert!(has_other || !is_empty, "scaled up for nobody");
            }
            None => {}
            Some(other) => prop_assert!(false, "{other:?}"),
        }
        if rest.is_to_finish {
            let copy = both.copy.as_ref().unwrap();
            prop_assert!(copy.has(copy.replicas), "users are sent to pods that are not ready");
            prop_assert!(copy.ready > 0 && copy.ready >= kept.serving, "users are sent to fewer than served");
        }
    }

    #[test]
    fn whatever_is_seen_a_step_only_ever_scales_up_and_moves_only_to_ready_pods(
        wanted in any_pods(),
        copy in proptest::option::of(any_pods()),
        kept in any_kept(),
        weight in 0_u32..=100,
    ) {
        let both = both(wanted, copy);
        let prepared = prepared(&both, &kept, f64::from(weight));
        let percent = Percent::new(f64::from(weight)).unwrap();
        if let Some(Action::Scale { replicas }) = prepared.action {
            prop_assert!(replicas > both.wanted.replicas);
        }
        if prepared.pace == Pace::Ready {
            let needed = workload().needed(percent, both.copy.as_ref().unwrap().replicas.max(kept.serving));
            prop_assert!(both.wanted.is_uniform && both.wanted.ready >= needed);
        }
    }
}
