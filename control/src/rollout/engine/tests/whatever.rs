//! What holds whatever happens in whatever order.

use std::collections::BTreeMap;

use jiff::SignedDuration;
use proptest::prelude::*;
use sluice_core::allocation::Percent;

use super::story::{percent, ramp};
use crate::rollout::analysis::Verdict;
use crate::rollout::commands::{Command, Verb};
use crate::rollout::engine::{Action, advance};
use crate::rollout::status::{Phase, Stage};
use crate::rollout::world::{Forward, ProxiesSeen, SplitSeen, World};

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
            stale: 0,
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
