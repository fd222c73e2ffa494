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
use super::kept::{Kept, NONE_READY, has_passed};
use super::next::{Action, Facing, given_up, unready};
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
    /// Whether everyone is to go back to the copy.
    pub is_to_take_back: bool,
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
            dead: facing
                .kept
                .dead
                .filter(|_| handing.stage == HandingStage::Moving),
            is_parked: false,
            is_at_rest: false,
            is_slow: false,
            ..facing.kept.clone()
        },
        is_to_take_back: false,
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
    handed.kept.note_scale(wanted.replicas, needed);
    handed.kept.note(wanted, needed, facing.now);
    let given_up = given_up(facing.workload, &handed.kept);
    let given_up = given_up.map_or_else(String::new, |given_up| format!("; {given_up}"));
    let ready = unready(deployment, wanted, needed);
    handed.says = format!("handing back: {ready}{given_up}");
    if handed.kept.is_given_up() {
        handed.kept.is_slow = wanted.replicas < needed;
    } else if wanted.replicas < needed {
        handed.action = Some(Action::Scale { replicas: needed });
    }
    if wanted.replicas >= needed && handed.kept.is_settled(facing.now) {
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
    if let Some(why) = taken_back(facing, &mut handed.kept) {
        handed.handing = None;
        handed.is_to_take_back = true;
        handed.says = format!("nothing is handed back: {why}; everyone goes back");
        return handed;
    }
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

/// Why everyone goes back to the copy while they are moved: what it has is what serves.
fn taken_back(facing: &Facing<'_>, kept: &mut Kept) -> Option<String> {
    let wanted = &facing.both.wanted;
    let copy = facing.both.copy.as_ref()?;
    let deployment = &facing.workload.deployment;
    if copy.version != wanted.version {
        let (name, version) = (facing.workload.copy(), &copy.version);
        let wanted = &wanted.version;
        return Some(format!(
            "Deployment {deployment} is {wanted} by now, and {name} is {version}"
        ));
    }
    kept.is_dead(wanted, facing.now)
        .then(|| format!("no pod of Deployment {deployment} has been ready for {NONE_READY:?}"))
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
    if let Some(mistake) = facing
        .both
        .mistake
        .as_ref()
        .filter(|_| facing.both.is_foreign)
    {
        handed.kept.is_slow = true;
        handed.says = format!("Deployment {name} stays: {mistake}");
        return handed;
    }
    match named_by {
        None => {
            handed.kept.is_slow = true;
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
