//! The Services of clients that are not routed by a header, with two Deployments whose pods take a second
//! to get ready.

use proptest::prelude::*;
use serde_json::json;
use sluice_core::allocation::Percent;

use super::story::{Story, percent};
use super::workload::pods;
use crate::rollout::commands::Verb;
use crate::rollout::status::{Phase, RunOutcome};
use crate::rollout::workload::seen::{Both, WorkloadSeen};
use crate::rollout::workload::services::{
    Role, Seen, Selected, Selection, ServiceSeen, State, There,
};
use crate::rollout::world::{Failure, ProxiesSeen};

const SET_BACK: &str = "Service web-active was set back 3 times and is left so until `sluice rollout retry`: Git should \
                        leave the key sluice.dev/variant of its selector alone";

fn unset(name: &str) -> ServiceSeen {
    ServiceSeen {
        name: name.to_owned(),
        state: State::There(There {
            selects: Selected::Both,
            is_ours: false,
            unfollowed: None,
            mistake: None,
        }),
    }
}

/// Deployment web with three pods of v1, two Services of Git's, and a Rollout that was just made.
fn first_sight() -> Story {
    let workload = json!({
        "deployment": "web", "drain": "10s", "activeService": "web-active", "previewService": "web-preview",
    });
    let steps = json!([{"weight": 0, "approval": true}, {"weight": 100, "hold": "20s"}]);
    let mut story = Story::new(json!({"split": "web", "workload": workload, "steps": steps}));
    story.definition.version = Some("v1".to_owned());
    story.world.workload = Some(WorkloadSeen::Seen(Both {
        wanted: pods("v1", 3),
        ..Both::default()
    }));
    story.world.services = Seen {
        active: Some(unset("web-active")),
        preview: Some(unset("web-preview")),
    };
    story
}

/// The same when the copy serves everyone.
fn at_rest() -> Story {
    let mut story = first_sight();
    story.live(40);
    assert_eq!(story.deployments(), "web v1 0/0, web-stable v1 3/3");
    assert_eq!(story.services(), AT_REST);
    assert_eq!(story.phase(), Phase::Idle);
    story
}

const AT_REST: [Selected; 2] = [Selected::Fallback, Selected::Challenger];
const AT_CHALLENGER: [Selected; 2] = [Selected::Challenger, Selected::Challenger];

/// A run of v2 whose step with everyone has just moved.
fn with_everyone() -> Story {
    let mut story = at_rest();
    story.change("v2").live(10).ask(Verb::Approve);
    while story.weights() != "everyone 100" {
        assert_eq!(story.services(), AT_REST);
        story.live(1);
    }
    assert_eq!(story.both().wanted.ready, 3);
    assert_eq!(story.services(), AT_CHALLENGER);
    story
}

impl Story {
    fn there(&mut self, role: Role) -> &mut There {
        match &mut self.world.services.of_mut(role).as_mut().unwrap().state {
            State::There(there) => there,
            other => panic!("{other:?}"),
        }
    }

    fn services(&mut self) -> [Selected; 2] {
        Role::ALL.map(|role| self.there(role).selects)
    }

    /// What a cluster does with a selection; nobody is sent where no pod is.
    pub(super) fn select(&mut self, selection: &Selection) {
        if self.refuses {
            let why = format!("{selection}, and cannot be set: forbidden");
            self.world.failure.get_or_insert(Failure::Unselected(why));
            return;
        }
        if let (Role::Active, Some(WorkloadSeen::Seen(both))) =
            (selection.role, &self.world.workload)
        {
            let copy = both.copy.as_ref().map_or(0, |copy| copy.ready);
            let ready = match selection.to {
                Selected::Both => copy.max(both.wanted.ready),
                Selected::Fallback => copy,
                Selected::Challenger => both.wanted.ready,
            };
            assert!(ready > 0, "{selection}: {both:?}");
        }
        let there = self.there(selection.role);
        there.selects = selection.to;
        there.is_ours = selection.to != Selected::Both;
    }

    /// Git writes the selector that it has.
    fn set_back(&mut self, role: Role) {
        self.there(role).selects = Selected::Both;
    }

    fn trouble(&self) -> Option<&str> {
        let kept = self.status.workload.as_ref().unwrap();
        kept.services.trouble.as_deref()
    }
}

#[test]
fn at_first_sight_nothing_is_set_before_the_copy_serves() {
    let mut story = first_sight();
    while story.both().copy.as_ref().is_none_or(|copy| copy.ready < 3) {
        assert_eq!(story.services(), [Selected::Both; 2]);
        story.live(1);
    }
    assert_eq!(story.services(), AT_REST);
    assert_eq!(story.live(8).deployments(), "web v1 3/3, web-stable v1 3/3");
    story.live(6);
    assert_eq!(story.deployments(), "web v1 0/0, web-stable v1 3/3");
}

#[test]
fn a_release_is_previewed_and_the_active_service_goes_with_everyone_there_and_back() {
    let mut story = at_rest();
    story.change("v2").live(10);
    let waits = "ApprovalWanted: step 1 waits for `sluice rollout approve`";
    assert_eq!(story.last(), waits);
    assert_eq!(story.services(), AT_REST);
    assert_eq!(story.deployments(), "web v2 1/1, web-stable v1 3/3");
    story.ask(Verb::Approve).live(5);
    assert_eq!(story.weights(), "everyone 100");
    assert_eq!(story.services(), AT_CHALLENGER);
    while story.both().given.as_deref() != Some("v2") {
        assert_eq!(story.services(), AT_CHALLENGER);
        story.live(1);
    }
    while story.weights() == "everyone 100" {
        assert_eq!(story.services(), AT_CHALLENGER);
        story.live(1);
    }
    assert_eq!(story.both().copy.as_ref().unwrap().ready, 3);
    assert_eq!(story.services(), AT_REST);
    assert_eq!(story.live(8).deployments(), "web v2 3/3, web-stable v2 3/3");
    assert_eq!(story.live(4).deployments(), "web v2 0/0, web-stable v2 3/3");
    let said = "Passed: Deployment web-stable serves everyone with v2";
    assert_eq!((story.phase(), story.last()), (Phase::Succeeded, said));
    assert_eq!(story.trouble(), None);
}

#[test]
fn the_copy_takes_nothing_before_the_clients_of_the_active_service_have_left_it() {
    let mut story = with_everyone();
    story.definition.steps[1].hold = std::time::Duration::ZERO;
    story.there(Role::Active).unfollowed =
        Some("2 of its endpoints are other pods still".to_owned());
    // It was followed by the first look: another controller begins anew.
    let kept = story.status.workload.as_mut().unwrap();
    kept.services.each.active.as_mut().unwrap().since = None;
    story.live(60);
    assert_eq!(story.both().given.as_deref(), Some("v1"));
    assert_eq!(
        story.last(),
        "Waiting: the endpoints of Service web-active have not followed"
    );
    story.there(Role::Active).unfollowed = None;
    story.live(10);
    assert_eq!(
        story.last(),
        "Waiting: clients of Service web-active get their last answers"
    );
    assert_eq!(story.both().given.as_deref(), Some("v1"));
    story.live(2);
    assert_eq!(story.both().given.as_deref(), Some("v2"));
}

#[test]
fn a_rollback_takes_the_active_service_back_with_the_weight_and_its_pods_drain() {
    for is_by_rollout in [true, false] {
        let mut story = with_everyone();
        story.live(3);
        match is_by_rollout {
            true => {
                story.ask(Verb::Abort);
            }
            false => {
                let seen = story.seen();
                seen.weights.insert("everyone".to_owned(), Percent::ZERO);
                (seen.last_abort, seen.last_abort_id) =
                    (Some("ann".to_owned()), Some("ann 1".to_owned()));
                // In its very next look.
                story.settle();
            }
        }
        assert_eq!(story.weights(), "everyone 0");
        assert_eq!(story.services(), AT_REST);
        assert_eq!(story.status.runs[0].outcome, RunOutcome::Aborted);
        // Endpoints follow in five seconds, and then it drains.
        let other = "3 of its endpoints are other pods still".to_owned();
        story.there(Role::Active).unfollowed = Some(other);
        let kept = story.status.workload.as_mut().unwrap();
        kept.services.each.active.as_mut().unwrap().since = None;
        story.live(5);
        story.there(Role::Active).unfollowed = None;
        assert_eq!(
            story.live(10).deployments(),
            "web v2 3/3, web-stable v1 3/3"
        );
        assert_eq!(story.live(2).deployments(), "web v2 0/0, web-stable v1 3/3");
        assert_eq!(story.services(), AT_REST);
    }
}

#[test]
fn a_deployment_that_is_gone_takes_the_active_service_back() {
    let mut story = with_everyone();
    story.world.workload = Some(WorkloadSeen::Missing {
        what: "there is no Deployment web in namespace shop".to_owned(),
    });
    story.after(1);
    assert_eq!(story.weights(), "everyone 0");
    assert_eq!(story.services(), AT_REST);
}

#[test]
fn of_services_of_which_one_is_wrong_none_is_set_and_no_run_begins() {
    let why = "there is no Service web-preview";
    let mut story = first_sight();
    story.world.services.preview.as_mut().unwrap().state = State::Wrong(why.to_owned());
    story.live(60);
    assert_eq!(story.there(Role::Active).selects, Selected::Both);
    assert_eq!(story.trouble(), Some(why));
    assert_eq!(
        story.deployments(),
        "web v1 3/3, web-stable v1 3/3",
        "clients of web-active are there"
    );
    assert!(
        story.said.contains(&format!("Waiting: {why}")),
        "{:?}",
        story.said
    );
    story.change("v2").live(30);
    assert!(story.status.run.is_none());
    assert_eq!(
        (story.phase(), &*story.status.message),
        (Phase::Waiting, why)
    );
    story.world.services.preview = Some(unset("web-preview"));
    story.live(10);
    assert_eq!(
        (story.services(), story.trouble().is_none()),
        (AT_REST, true)
    );
    assert_eq!(story.status.run.as_ref().unwrap().number, 1);
}

#[test]
fn a_service_that_no_longer_selects_the_pods_holds_a_run_back_and_ends_none() {
    let mistake = "Service web-active selects tier: front, which the template has not";
    let mut story = at_rest();
    story.there(Role::Active).mistake = Some(mistake.to_owned());
    story.change("v2").live(30);
    assert_eq!((&story.status.run, story.trouble()), (&None, Some(mistake)));
    story.there(Role::Active).mistake = None;
    assert_eq!(story.live(2).status.run.as_ref().unwrap().number, 1);

    let mut story = with_everyone();
    story.there(Role::Active).mistake = Some(mistake.to_owned());
    story.live(60);
    let waits = format!("Waiting: step 2 passed; the run waits: {mistake}");
    assert_eq!((story.phase(), story.last()), (Phase::Progressing, &*waits));
    story.there(Role::Active).mistake = None;
    assert_eq!(story.live(2).phase(), Phase::Succeeded);
}

#[test]
fn a_service_that_is_made_anew_goes_back_whatever_is_wrong_with_the_other() {
    let mut story = with_everyone();
    let there = story.there(Role::Active);
    (there.selects, there.is_ours) = (Selected::Both, false);
    story.there(Role::Preview).mistake = Some("Service web-preview is wrong".to_owned());
    story.ask(Verb::Abort).live(1);
    assert_eq!(story.services()[0], Selected::Fallback);
}

#[test]
fn a_service_goes_back_also_where_nobody_looks_at_deployments() {
    let mut story = with_everyone();
    story.world.proxies = ProxiesSeen::Unknown {
        why: "nobody scrapes them".to_owned(),
    };
    story.refuses = true;
    story.ask(Verb::Abort);
    story.world.workload = None;
    story.after(1);
    assert_eq!(story.services()[0], Selected::Challenger);
    story.refuses = false;
    story.after(1);
    assert_eq!(story.services()[0], Selected::Fallback);
}

#[test]
fn pods_stay_while_it_is_not_known_whose_the_active_service_has() {
    let why = "Service web-active cannot be read: forbidden";
    let mut story = first_sight();
    story.world.services.active.as_mut().unwrap().state = State::Unread(why.to_owned());
    story.live(60);
    assert_eq!(story.deployments(), "web v1 3/3, web-stable v1 3/3");
    assert_eq!((story.trouble(), &*story.status.message), (Some(why), why));
    // One that is not there has no clients.
    let why = "there is no Service web-active";
    story.world.services.active.as_mut().unwrap().state = State::Wrong(why.to_owned());
    story.live(5);
    assert_eq!(story.deployments(), "web v1 0/0, web-stable v1 3/3");
    assert_eq!(story.trouble(), Some(why));
}

#[test]
fn a_service_that_gets_lost_in_a_run_holds_its_next_step() {
    let mut story = at_rest();
    story.change("v2").live(10);
    let active = story.world.services.active.clone();
    let why = "there is no Service web-active";
    story.world.services.active.as_mut().unwrap().state = State::Wrong(why.to_owned());
    story.ask(Verb::Approve).live(30);
    let waits = format!("Waiting: step 2 waits: {why}");
    assert_eq!((story.last(), &*story.weights()), (&*waits, "everyone 0"));
    story.world.services.active = active;
    story.live(2);
    assert_eq!(
        (story.weights(), story.services()),
        ("everyone 100".to_owned(), AT_CHALLENGER)
    );
}

#[test]
fn a_service_that_git_sets_back_is_set_again_three_times_and_then_left_and_said() {
    let mut story = at_rest();
    for _ in 0..2 {
        story.set_back(Role::Active);
        story.live(1);
        assert_eq!(
            (story.services(), story.trouble().is_none()),
            (AT_REST, true)
        );
    }
    story.set_back(Role::Active);
    story.live(60);
    assert_eq!(story.services(), [Selected::Both, Selected::Challenger]);
    assert_eq!(story.trouble(), Some(SET_BACK));
    assert_eq!(story.last(), format!("Waiting: {SET_BACK}"));
    let said = story
        .said
        .iter()
        .filter(|said| said.contains(SET_BACK))
        .count();
    assert_eq!(
        said, 2,
        "as an event and as what is waited for: {:?}",
        story.said
    );
    // A person asks for it anew, or another template.
    story.ask(Verb::Retry).live(2);
    assert_eq!(
        (story.services(), story.trouble().is_none()),
        (AT_REST, true)
    );
    assert!(story.status.run.is_none());
    let answer = story.status.answers.last().unwrap();
    assert_eq!(answer.message, "Services are set again, as asked by ann");
    story.ask(Verb::Retry);
    let answer = story.status.answers.last().unwrap();
    assert_eq!(answer.message, "`retry` of ann: the last run did not fail");
    for _ in 0..3 {
        story.set_back(Role::Active);
        story.live(1);
    }
    assert_eq!(story.trouble(), Some(SET_BACK));
    story.change("v2").live(5);
    assert_eq!(
        (story.services(), story.trouble().is_none()),
        (AT_REST, true)
    );
    assert_eq!(story.status.run.as_ref().unwrap().number, 1);
}

#[test]
fn a_service_that_git_sets_back_while_everyone_is_there_keeps_no_promotion_up() {
    let mut story = with_everyone();
    for _ in 0..3 {
        story.set_back(Role::Active);
        story.live(1);
    }
    assert_eq!(story.services(), [Selected::Both, Selected::Challenger]);
    assert_eq!(story.trouble(), Some(SET_BACK));
    assert_eq!(story.weights(), "everyone 100");
    story.live(120);
    assert_eq!(story.deployments(), "web v2 0/0, web-stable v2 3/3");
    // It was to have the copy's pods again, which is another wish.
    assert_eq!(
        (story.services(), story.trouble().is_none()),
        (AT_REST, true)
    );
}

#[test]
fn a_service_that_may_not_be_set_is_said_and_costs_nothing_else() {
    let mut story = first_sight();
    let why =
        "Service web-active is to have the pods of the fallback, and cannot be set: forbidden";
    story.refuses = true;
    story.live(30);
    assert_eq!(story.trouble(), Some(why));
    assert_eq!(story.deployments(), "web v1 3/3, web-stable v1 3/3");
    let services = &story.status.workload.as_ref().unwrap().services;
    assert_eq!(services.each.active.as_ref().unwrap().set_back, 0);
    story.refuses = false;
    story.live(12);
    assert_eq!(story.deployments(), "web v1 0/0, web-stable v1 3/3");
    assert_eq!(
        (story.services(), story.trouble().is_none()),
        (AT_REST, true)
    );
}

#[test]
fn a_weight_that_somebody_sets_between_takes_nobody_of_the_active_service_anywhere() {
    let mut story = with_everyone();
    for (weight, expected) in [(50.0, AT_CHALLENGER), (0.0, AT_REST), (50.0, AT_REST)] {
        story
            .seen()
            .weights
            .insert("everyone".to_owned(), percent(weight));
        story.live(1);
        assert_eq!(story.services(), expected, "{weight}");
    }
}

#[test]
fn handing_back_takes_the_active_service_along_and_the_keys_away_last() {
    let mut story = at_rest();
    story.both().named_by = Some(vec!["subset stable of DestinationRule web".to_owned()]);
    story.ask(Verb::Release).live(4);
    assert_eq!(
        (story.weights(), story.services()),
        ("everyone 0".to_owned(), AT_REST)
    );
    story.live(2);
    assert_eq!(
        (story.weights(), story.services()),
        ("everyone 100".to_owned(), AT_CHALLENGER)
    );
    story.live(60);
    assert_eq!(story.deployments(), "web v1 3/3, web-stable v1 3/3");
    story.both().named_by = Some(Vec::new());
    while story.both().copy.is_some() {
        assert_eq!(story.services(), AT_CHALLENGER);
        story.live(1);
    }
    assert_eq!(
        (story.phase(), story.services()),
        (Phase::Released, [Selected::Both; 2])
    );
    assert!(!story.there(Role::Active).is_ours);
    let said = "Waiting: Service web-active is to have every pod again".to_owned();
    assert!(story.said.contains(&said), "{:?}", story.said);
}

#[test]
fn a_copy_stays_whose_clients_the_active_service_still_sends_there() {
    let mut story = at_rest();
    story.both().named_by = Some(Vec::new());
    story.there(Role::Active).mistake = Some("Service web-active selects app: api".to_owned());
    story.ask(Verb::Release).live(120);
    assert_eq!(story.weights(), "everyone 100");
    assert_eq!(story.services(), AT_REST);
    assert_eq!(story.deployments(), "web v1 3/3, web-stable v1 3/3");
    assert_eq!(story.status.message, "Service web-active selects app: api");
}

#[derive(Clone, Debug)]
enum Happens {
    Live(u8),
    Change(u8),
    Crash(bool),
    Ask(Verb),
    SetBack(bool),
    Lag(bool),
    Hand(u8),
    AbortSplit,
    Restart,
    Refused,
}

fn happens() -> impl Strategy<Value = Happens> {
    let verbs = [
        Verb::Approve,
        Verb::Approve,
        Verb::Abort,
        Verb::Retry,
        Verb::PromoteFull,
        Verb::Resume,
        Verb::Release,
    ];
    prop_oneof![
        5 => (1_u8..40).prop_map(Happens::Live),
        2 => (1_u8..4).prop_map(Happens::Change),
        1 => any::<bool>().prop_map(Happens::Crash),
        4 => proptest::sample::select(verbs.to_vec()).prop_map(Happens::Ask),
        1 => any::<bool>().prop_map(Happens::SetBack),
        1 => any::<bool>().prop_map(Happens::Lag),
        1 => (0_u8..101).prop_map(Happens::Hand),
        1 => Just(Happens::AbortSplit),
        1 => Just(Happens::Restart),
        1 => Just(Happens::Refused),
    ]
}

proptest! {
    #[test]
    fn whatever_happens_clients_of_the_active_service_have_pods_and_follow_everyone(
        story in proptest::collection::vec(happens(), 1..40),
    ) {
        let mut told = at_rest();
        let mut aborts = 0;
        for happens in story {
            match happens {
                Happens::Live(seconds) => {
                    for _ in 0..seconds {
                        let pods = told.both().wanted.replicas;
                        let copy = told.both().copy.is_some();
                        let former = told.there(Role::Active).selects;
                        told.live(1);
                        let is_parked = pods > 0 && told.both().wanted.replicas == 0;
                        prop_assert!(!is_parked || former != Selected::Challenger, "{:?}", told.said);
                        let is_deleted = copy && told.both().copy.is_none();
                        prop_assert!(!is_deleted || former != Selected::Fallback, "{:?}", told.said);
                    }
                }
                Happens::Change(version) => {
                    told.change(&format!("v{version}"));
                }
                Happens::Crash(is_in_trouble) => {
                    told.both().wanted.trouble = is_in_trouble.then(|| "crash".to_owned());
                    if is_in_trouble {
                        told.both().wanted.ready = 0;
                    }
                }
                Happens::Ask(verb) => {
                    told.ask(verb);
                }
                Happens::SetBack(true) => told.set_back(Role::Active),
                Happens::SetBack(false) => told.set_back(Role::Preview),
                Happens::Lag(lags) => {
                    told.there(Role::Active).unfollowed = lags.then(|| "they lag".to_owned());
                }
                Happens::Hand(weight) => {
                    told.seen().weights.insert("everyone".to_owned(), percent(f64::from(weight)));
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
                Happens::Refused => {
                    told.world.failure = Some(Failure::Unselected("forbidden".to_owned()));
                }
            }
        }
        // With nothing in its way, everything comes to rest.
        told.both().wanted.trouble = None;
        told.there(Role::Active).unfollowed = None;
        told.ask(Verb::Resume).live(30).ask(Verb::Approve).live(300);
        let is_released = told.status.workload.as_ref().unwrap().handing_back.is_some();
        let services = told.services();
        if !is_released && told.seen().weights["everyone"] == Percent::ZERO && told.trouble().is_none() {
            prop_assert_eq!(services, AT_REST, "{:?}", told.said);
        }
    }
}
