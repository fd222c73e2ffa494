//! Handing everything back to one Deployment, with two of them whose pods take a second to get ready.

use proptest::prelude::*;
use sluice_core::allocation::Percent;

use super::story::{Story, percent};
use super::workload::at_rest;
use crate::rollout::commands::Verb;
use crate::rollout::engine::wants;
use crate::rollout::status::{Phase, Reply};
use crate::rollout::workload::seen::Both;
use crate::rollout::world::ProxiesSeen;

/// What still sends users to the copy.
fn named(story: &mut Story) {
    let names = ["subset stable of DestinationRule web".to_owned()];
    story.both().named_by = Some(names.into());
}

/// Everyone at `web`, and the copy still in the routes.
fn handed_back() -> Story {
    let mut story = at_rest();
    named(&mut story);
    story.ask(Verb::Release).live(6);
    assert_eq!(story.weights(), "everyone 100");
    story
}

fn answer(story: &Story) -> (Reply, &str) {
    let answer = story.status.answers.last().unwrap();
    (answer.reply, &answer.message)
}

#[test]
fn the_deployment_has_its_pods_before_everyone_goes_there_and_the_copy_stays_while_it_is_named() {
    let mut story = at_rest();
    named(&mut story);
    story.ask(Verb::Release);
    let said = "handing back begins: Deployment web gets its pods";
    assert_eq!(answer(&story), (Reply::Obeyed, said));
    story.live(2);
    assert_eq!(
        (story.deployments(), story.weights()),
        (
            "web v1 2/3, web-stable v1 3/3".to_owned(),
            "everyone 0".to_owned()
        )
    );
    story.live(3);
    assert_eq!(story.weights(), "everyone 100");
    story.live(600);
    assert_eq!(story.deployments(), "web v1 3/3, web-stable v1 3/3");
    let said = "Waiting: everyone is at Deployment web; web-stable stays as long as subset stable of DestinationRule \
                web may send somebody there: route all requests to web in Git, then take that out";
    assert_eq!((story.phase(), story.last()), (Phase::Waiting, said));
}

#[test]
fn the_copy_goes_once_nothing_names_it_and_it_has_drained_and_nothing_is_done_any_more() {
    let mut story = handed_back();
    story.both().named_by = Some(Vec::new());
    story.live(9);
    assert_eq!(story.deployments(), "web v1 3/3, web-stable v1 3/3");
    story.live(3);
    assert_eq!(story.deployments(), "web v1 3/3, ");
    assert_eq!(story.phase(), Phase::Released);
    let said = "Passed: Deployment web alone serves everyone; this Rollout does nothing until `sluice rollout retry`, \
                and may be deleted";
    assert_eq!(story.last(), said);
    let kept = story.status.clone();
    story.both().wanted.replicas = 0;
    story.change("v2").live(60);
    assert_eq!(story.deployments(), "web v2 0/0, ");
    assert_eq!(story.status, kept, "whatever Git says is Git's");
    let wants = wants(&story.definition, &story.status, story.world.now);
    assert_eq!(wants.look_again, None);
    story.ask(Verb::Start);
    let why = "`start` of ann: everything is handed back; `sluice rollout retry` takes it back";
    assert_eq!(answer(&story), (Reply::Refused, why));
}

#[test]
fn a_route_that_comes_back_keeps_the_copy_and_it_drains_anew() {
    let mut story = handed_back();
    story.both().named_by = Some(Vec::new());
    story.live(8);
    named(&mut story);
    story.live(8);
    story.both().named_by = Some(Vec::new());
    story.live(8);
    assert_eq!(story.deployments(), "web v1 3/3, web-stable v1 3/3");
    story.both().named_by = None;
    story.both().unrouted = Some("routes cannot be read".to_owned());
    story.live(60);
    assert_eq!(story.deployments(), "web v1 3/3, web-stable v1 3/3");
    assert_eq!(
        story.last(),
        "Waiting: Deployment web-stable stays: routes cannot be read"
    );
}

#[test]
fn asked_twice_it_is_done_once() {
    let mut story = handed_back();
    let before = story.status.workload.clone();
    story.ask(Verb::Release);
    let said = "that is what is done already";
    assert_eq!(answer(&story), (Reply::Obeyed, said));
    assert_eq!(story.status.workload, before);
}

#[test]
fn it_is_refused_in_a_run_and_of_a_version_that_nobody_promoted() {
    let mut story = at_rest();
    story.change("v2").live(20).ask(Verb::Release);
    let why = "`release` of ann: a run is under way";
    assert_eq!(answer(&story), (Reply::Refused, why));
    story.ask(Verb::Abort).live(20).ask(Verb::Release);
    let why = "`release` of ann: its template is not what was promoted: `sluice abort` the split, then retry";
    assert_eq!(answer(&story), (Reply::Refused, why));
    assert_eq!(
        story.live(20).deployments(),
        "web v2 0/0, web-stable v1 3/3"
    );
}

#[test]
fn another_template_before_anybody_has_moved_calls_it_off_and_is_run() {
    let mut story = at_rest();
    story.ask(Verb::Release).change("v2").live(1);
    assert_eq!(story.weights(), "everyone 0");
    let said = "Waiting: nothing is handed back: Deployment web is v2 by now, and web-stable is v1";
    assert!(
        story.said.iter().any(|line| line == said),
        "{:?}",
        story.said
    );
    while story.phase() != Phase::Succeeded {
        story.live(1);
    }
}

#[test]
fn an_abort_and_a_weight_set_by_hand_stop_it_until_somebody_says_how_it_goes_on() {
    for by_hand in [true, false] {
        let mut story = handed_back();
        let seen = story.seen();
        seen.weights.insert("everyone".to_owned(), percent(0.0));
        match by_hand {
            true => seen.last_change = Some("bob (2)".to_owned()),
            false => {
                (seen.last_abort, seen.last_abort_id) =
                    (Some("bob".to_owned()), Some("9".to_owned()));
            }
        }
        story.both().named_by = Some(Vec::new());
        story.live(60);
        assert_eq!(story.deployments(), "web v1 3/3, web-stable v1 3/3");
        let why = match by_hand {
            true => "everyone was given 0 % by bob (2)",
            false => "aborted by bob",
        };
        let said = format!(
            "Waiting: handing back was stopped: {why}; nothing is done until `sluice rollout release`, which goes on, \
             or `sluice rollout retry`, which takes everything back"
        );
        assert_eq!(
            (story.weights(), story.last()),
            ("everyone 0".to_owned(), &*said)
        );
        story.ask(Verb::Release).live(20);
        assert_eq!(story.phase(), Phase::Released);
    }
}

#[test]
fn what_was_handed_back_is_taken_back() {
    let mut story = handed_back();
    story.both().named_by = Some(Vec::new());
    story.live(20);
    assert_eq!(story.phase(), Phase::Released);
    story.ask(Verb::Retry).live(30);
    assert_eq!(
        (story.deployments(), story.weights()),
        (
            "web v1 0/0, web-stable v1 3/3".to_owned(),
            "everyone 0".to_owned()
        )
    );
}

#[test]
fn whoever_got_a_newer_version_from_git_meanwhile_never_gets_the_former_one() {
    // Before the copy is gone.
    let mut story = handed_back();
    story.change("v2").live(5).ask(Verb::Retry);
    let why = "`retry` of ann: everyone is at a newer version: let it be handed back, or `sluice abort` the split";
    assert_eq!(answer(&story), (Reply::Refused, why));
    assert_eq!(story.weights(), "everyone 100");
    // And after it, when the copy is made of what everyone has.
    story.both().named_by = Some(Vec::new());
    story.live(20);
    assert_eq!(story.phase(), Phase::Released);
    story.ask(Verb::Retry).live(30);
    assert_eq!(
        (story.deployments(), story.weights()),
        (
            "web v2 0/0, web-stable v2 3/3".to_owned(),
            "everyone 0".to_owned()
        )
    );
    assert!(story.status.run.is_none());
}

#[derive(Clone, Debug)]
enum Happens {
    Live(u8),
    Ask(Verb),
    Routed(bool),
    Lag(bool),
    Hand(u8),
    Restart,
}

fn happens() -> impl Strategy<Value = Happens> {
    let verbs = vec![Verb::Release, Verb::Retry, Verb::Finish];
    prop_oneof![
        4 => (1_u8..30).prop_map(Happens::Live),
        2 => proptest::sample::select(verbs).prop_map(Happens::Ask),
        2 => any::<bool>().prop_map(Happens::Routed),
        1 => any::<bool>().prop_map(Happens::Lag),
        1 => (0_u8..101).prop_map(Happens::Hand),
        1 => Just(Happens::Restart),
    ]
}

proptest! {
    #[test]
    fn whatever_happens_a_copy_that_is_named_keeps_its_pods(
        story in proptest::collection::vec(happens(), 1..40),
    ) {
        let mut told = at_rest();
        named(&mut told);
        for happens in story {
            match happens {
                Happens::Live(seconds) => {
                    for _ in 0..seconds {
                        let had = told.both().copy.is_some();
                        told.live(1);
                        let Both { copy, named_by, wanted, .. } = told.both().clone();
                        let is_named = named_by.is_some_and(|names| !names.is_empty());
                        let is_gone = had && copy.is_none();
                        prop_assert!(!(is_named && is_gone), "{:?}", told.said);
                        let weight = told.seen().weights["everyone"];
                        prop_assert!(!is_gone || weight == Percent::HUNDRED, "{:?}", told.said);
                        prop_assert!(copy.is_some() || wanted.ready > 0, "{:?}", told.said);
                    }
                }
                Happens::Ask(verb) => {
                    told.ask(verb);
                }
                Happens::Routed(true) => named(&mut told),
                Happens::Routed(false) => told.both().named_by = Some(Vec::new()),
                Happens::Lag(lags) => {
                    let lagging = ProxiesSeen::Seen { converged: 0, total: 1, stale: 0, lagging: String::new() };
                    told.world.proxies = if lags { lagging } else { ProxiesSeen::Nobody };
                }
                Happens::Hand(weight) => {
                    told.seen().weights.insert("everyone".to_owned(), percent(f64::from(weight)));
                }
                Happens::Restart => {
                    let kept = serde_json::to_string(&told.status).unwrap();
                    told.status = serde_json::from_str(&kept).unwrap();
                }
            }
        }
        told.ask(Verb::Retry).ask(Verb::Release);
        told.both().named_by = Some(Vec::new());
        told.world.proxies = ProxiesSeen::Nobody;
        told.live(200);
        prop_assert_eq!(told.phase(), Phase::Released, "{:?}", told.said);
    }
}

#[test]
fn a_template_that_comes_while_everyone_is_moved_takes_them_back_and_is_run() {
    let mut story = at_rest();
    named(&mut story);
    story.ask(Verb::Release).live(3);
    let lagging = ProxiesSeen::Seen {
        converged: 0,
        total: 1,
        stale: 0,
        lagging: "shop/web-1".to_owned(),
    };
    story.world.proxies = lagging;
    story.live(5);
    assert_eq!(story.weights(), "everyone 100");
    story.change("v2").live(1);
    assert_eq!(story.weights(), "everyone 0");
    let said = "Waiting: nothing is handed back: Deployment web is v2 by now, and web-stable is v1; everyone goes back";
    assert!(
        story.said.iter().any(|line| line == said),
        "{:?}",
        story.said
    );
    story.world.proxies = ProxiesSeen::Nobody;
    story.live(100);
    assert_eq!(story.deployments(), "web v2 0/0, web-stable v2 3/3");
}

#[test]
fn pods_that_crash_while_everyone_is_moved_to_them_give_them_back() {
    let mut story = at_rest();
    named(&mut story);
    story.ask(Verb::Release).live(3);
    story.world.proxies = ProxiesSeen::Unknown {
        why: "nobody scrapes them".to_owned(),
    };
    story.live(5);
    assert_eq!(story.weights(), "everyone 100");
    let wanted = &mut story.both().wanted;
    (wanted.ready, wanted.trouble) = (0, Some("web-1: OOMKilled".to_owned()));
    story.live(12);
    assert_eq!(story.weights(), "everyone 0");
}

#[test]
fn nobody_fights_whoever_takes_its_pods_away() {
    let mut story = at_rest();
    named(&mut story);
    story.ask(Verb::Release);
    for _ in 0..10 {
        story.live(1);
        let wanted = &mut story.both().wanted;
        wanted.replicas = wanted.replicas.min(2);
        wanted.ready = wanted.ready.min(2);
    }
    story.live(60);
    assert_eq!(story.weights(), "everyone 0");
    assert_eq!(story.both().wanted.replicas, 2);
    assert!(
        story.last().contains("was scaled down 3 times"),
        "{}",
        story.last()
    );
    story.ask(Verb::Retry).live(60);
    assert_eq!(story.deployments(), "web v1 0/0, web-stable v1 3/3");
}

#[test]
fn a_copy_that_is_somebody_elses_by_now_is_not_deleted() {
    let mut story = handed_back();
    let both = story.both();
    (both.is_foreign, both.mistake) = (true, Some("it is not ours".to_owned()));
    both.named_by = Some(Vec::new());
    story.live(120);
    assert!(story.both().copy.is_some());
    assert_eq!(
        story.last(),
        "Waiting: Deployment web-stable stays: it is not ours"
    );
}
