//! Handing everything back to one Deployment, as `sluice rollout release` asks for it: what is next.
//! Pure.
//!
//! The Deployment gets as many pods as serve everyone, then everyone, and then the copy goes, once
//! nobody can be routed to it any more. Each stage follows from what is kept, so it goes on where it
//! was whoever does it.

use std::time::Duration;

use jiff::Timestamp;

use sluice_core::allocation::Percent;
use sluice_core::plan::EVERYONE;

use super::handing::{HandingBack, HandingStage};
use super::kept::{Kept, has_passed};
use super::next::{Action, Facing, unready};
use super::seen::Both;
use crate::rollout::world::SplitState;

/// What there is around the Deployments.
#[derive(Clone, Copy, Debug)]
pub struct Around<'a> {
    /// The split.
    pub split: &'a SplitState,
    /// Whether proxies have heard of its weights.
    pub is_followed: bool,
    /// How long one that never says so is waited for.
    pub patience: Duration,
}

/// What is done to hand everything back.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Handed {
    /// How far it is then; `None` where it is called off.
    pub handing: Option<HandingBack>,
    /// What is to be done.
    pub action: Option<Action>,
    /// What is to be remembered beside it.
    pub kept: Kept,
    /// What is waited for, or became of it.
    pub says: String,
}

/// What is next.
pub fn hand_back(facing: &Facing<'_>, handing: &HandingBack, around: &Around<'_>) -> Handed {
    let mut handed = Handed {
        handing: Some(handing.clone()),
        action: None,
        kept: Kept {
            unused: None,
            empty: None,
            dead: None,
            is_parked: false,
            is_at_rest: false,
            is_slow: false,
            ..facing.kept.clone()
        },
        says: String::new(),
    };
    let is_over = matches!(handing.stage, HandingStage::Stopped | HandingStage::Done);
    if !is_over && around.split.last_abort_id != handing.former_abort {
        let abort = around.split.last_abort.as_deref();
        let abort = abort.unwrap_or("somebody unknown");
        handed.handing = Some(handing.stopped(format!("aborted by {abort}")));
        return handed;
    }
    match handing.stage {
        HandingStage::Scaling => scale(facing, handing, handed),
        HandingStage::Moving => follow(facing, handing, around, handed),
        HandingStage::Clearing => clear(facing, handing, around, handed),
        HandingStage::Stopped => {
            let why = handing.stopped.as_deref().unwrap_or_default();
            handed.kept.is_slow = true;
            handed.says = format!(
                "handing back was stopped: {why}; nothing is done until `sluice rollout release`, which goes on, or \
                 `sluice rollout retry`, which takes everything back"
            );
            handed
        }
        HandingStage::Done => {
            handed.kept.is_at_rest = true;
            handed
        }
    }
}

/// The Deployment gets as many pods as serve everyone.
fn scale(facing: &Facing<'_>, handing: &HandingBack, mut handed: Handed) -> Handed {
    let Both {
        wanted,
        copy,
        mistake,
        ..
    } = facing.both;
    let deployment = &handing.deployment;
    if let Some(mistake) = mistake {
        handed.kept.is_slow = true;
        handed.says.clone_from(mistake);
        return handed;
    }
    if let Some(copy) = copy
        && copy.version != wanted.version
    {
        handed.handing = None;
        handed.says = format!(
            "nothing is handed back: Deployment {deployment} is {} by now, and {} is {}",
            wanted.version,
            facing.workload.copy(),
            copy.version
        );
        return handed;
    }
    let serving = copy.as_ref().map_or(0, |copy| copy.replicas);
    let needed = serving.max(facing.kept.serving).max(1);
    handed.kept.note(wanted, needed, facing.now);
    handed.says = format!("handing back: {}", unready(deployment, wanted, needed));
    if wanted.replicas < needed {
        handed.action = Some(Action::Scale { replicas: needed });
    } else if handed.kept.is_settled(facing.now) {
        handed.handing = Some(handing.at(HandingStage::Moving));
    }
    handed
}

/// Everyone goes there; whoever sets the weights looks at the stage.
fn follow(
    facing: &Facing<'_>,
    handing: &HandingBack,
    around: &Around<'_>,
    mut handed: Handed,
) -> Handed {
    let deployment = &handing.deployment;
    if elsewhere(around.split).is_some() {
        handed.says = format!("handing back: everyone goes to Deployment {deployment}");
        return handed;
    }
    let since = handing.since.unwrap_or(facing.now);
    if around.is_followed || has_passed(since, around.patience, facing.now) {
        handed.handing = Some(handing.at(HandingStage::Clearing));
        return handed;
    }
    handed.handing = Some(HandingBack {
        since: Some(since),
        ..handing.clone()
    });
    handed.says = format!(
        "handing back: everyone is to be at Deployment {deployment}; not every proxy is known to follow"
    );
    handed
}

/// The copy goes when nobody can be routed to it.
fn clear(
    facing: &Facing<'_>,
    handing: &HandingBack,
    around: &Around<'_>,
    mut handed: Handed,
) -> Handed {
    let Both {
        wanted,
        copy,
        unrouted,
        named_by,
        ..
    } = facing.both;
    let (deployment, name) = (&handing.deployment, facing.workload.copy());
    if let Some((audience, percent)) = elsewhere(around.split) {
        let by = around.split.last_change.as_deref();
        let by = by.unwrap_or("somebody unknown");
        let why = format!("{audience} was given {percent} % by {by}");
        handed.handing = Some(handing.stopped(why));
        return handed;
    }
    let since = handing.since.unwrap_or(facing.now);
    let waiting = |since: Option<Timestamp>| HandingBack {
        since,
        ..handing.clone()
    };
    handed.handing = Some(waiting(None));
    if copy.is_none() {
        handed.handing = Some(handing.at(HandingStage::Done));
        // What everyone has from now on is Git's: taken back, it is seen for the first time.
        handed.kept = Kept {
            is_at_rest: true,
            ..Kept::default()
        };
        handed.says = format!(
            "Deployment {deployment} alone serves everyone; this Rollout does nothing until `sluice rollout retry`, \
             and may be deleted"
        );
        return handed;
    }
    match named_by {
        None => {
            let why = unrouted.as_deref().unwrap_or("routes were not looked at");
            handed.says = format!("Deployment {name} stays: {why}");
        }
        Some(names) if !names.is_empty() => {
            handed.kept.is_slow = true;
            handed.says = format!(
                "everyone is at Deployment {deployment}; {name} stays as long as {} may send somebody there: route all \
                 requests to {deployment} in Git, then take that out",
                names.join(", ")
            );
        }
        Some(_) if wanted.ready == 0 => {
            handed.says = format!("Deployment {name} stays: no pod of {deployment} is ready");
        }
        Some(_) => {
            handed.handing = Some(waiting(Some(since)));
            let is_drained = has_passed(since, facing.workload.drain, facing.now);
            handed.action = is_drained.then_some(Action::DeleteCopy);
            handed.says = match is_drained {
                true => format!("Deployment {name} is deleted"),
                false => {
                    format!(
                        "nothing names Deployment {name} any more: it answers its last requests"
                    )
                }
            };
        }
    }
    handed
}

/// An audience that is not at the Deployment, and how much of it is.
pub fn elsewhere(split: &SplitState) -> Option<(&str, Percent)> {
    let mut weights = split.weights.iter();
    let below = weights.find(|(_, percent)| **percent < Percent::HUNDRED);
    let nobody = (EVERYONE, Percent::ZERO);
    match below {
        Some((audience, percent)) => Some((audience, *percent)),
        None => split.weights.is_empty().then_some(nobody),
    }
}
