//! What is to be done about a Rollout's two Deployments: pure, from what was seen of them and what is
//! remembered, to what is to be done, what is to be remembered, and whether a run may go on.
//!
//! The challenger is only ever scaled up while a run is under way, and to 0 only when nobody has been
//! sent to it for as long as it drains: so no request meets a pod that ends. The copy takes another
//! template only while everybody is at the challenger.

use std::time::Duration;

use jiff::Timestamp;
use sluice_core::allocation::Percent;

use super::Workload;
use super::kept::{Kept, has_passed};
use super::seen::{Both, Pods};

/// What is to be done. A repetition changes nothing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Action {
    /// Make the copy, of the Deployment's template.
    Copy {
        /// The version of that template.
        version: String,
        /// How many pods.
        replicas: u32,
    },
    /// Give the copy the Deployment's template.
    Promote {
        /// The version of that template.
        version: String,
    },
    /// Give the copy so many pods.
    ScaleCopy {
        /// How many.
        replicas: u32,
    },
    /// Give the Deployment so many pods.
    Scale {
        /// How many.
        replicas: u32,
    },
    /// Delete the copy.
    DeleteCopy,
}

/// What was seen, and what it is to be.
#[derive(Clone, Copy, Debug)]
pub struct Facing<'f> {
    /// What is written.
    pub workload: &'f Workload,
    /// What was seen.
    pub both: &'f Both,
    /// What is remembered.
    pub kept: &'f Kept,
    /// When.
    pub now: Timestamp,
}

impl Facing<'_> {
    /// How many pods everybody needs at the copy: as many as it had when they left it, and never none.
    fn serving(&self, copy: &Pods) -> u32 {
        copy.replicas.max(self.kept.serving).max(1)
    }

    /// How many pods of the challenger a weight needs.
    fn needed(&self, weight: Percent, copy: &Pods) -> u32 {
        self.workload.needed(weight, self.serving(copy))
    }
}

/// Whether a step's weight may move.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Pace {
    /// It may.
    Ready,
    /// Not yet; what is waited for.
    Waiting(String),
    /// It took too long; what was waited for.
    Late(String),
}

/// What a step needs of its pods.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Prepared {
    /// Whether its weight may move.
    pub pace: Pace,
    /// What is to be done.
    pub action: Option<Action>,
    /// What is to be remembered.
    pub kept: Kept,
}

/// What there is between two runs.
#[derive(Clone, Copy, Debug)]
pub struct Between<'b> {
    /// Whether nobody has the challenger, by the weights of the Rollout's audiences.
    pub is_empty: bool,
    /// An audience that the Rollout does not move and that has the challenger, and how much.
    pub other: Option<(&'b str, Percent)>,
    /// Whether proxies have heard of that.
    pub is_followed: bool,
    /// How long one that never says so is waited for.
    pub patience: Duration,
    /// The weight of everybody.
    pub everyone: Percent,
    /// When the last run ended.
    pub ended: Option<Timestamp>,
    /// The version of the last run, if it succeeded.
    pub succeeded: Option<&'b str>,
    /// Whether a run is wanted of what the Deployment is now.
    pub is_run_wanted: bool,
}

/// What is done between two runs.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Rest {
    /// What is to be done.
    pub action: Option<Action>,
    /// What is to be remembered.
    pub kept: Kept,
    /// Whether the challenger's weights are to be 0, because the copy is what it is.
    pub is_to_finish: bool,
    /// Whether a run may begin.
    pub may_begin: bool,
    /// What is waited for, or wrong.
    pub says: Option<String>,
    /// What is wrong, also where a run that failed says how.
    pub warns: Option<String>,
}

/// What a step with this weight of everybody needs before it moves.
pub fn prepare(facing: &Facing<'_>, weight: Percent) -> Prepared {
    let Facing {
        workload,
        both,
        now,
        ..
    } = *facing;
    let mut kept = Kept {
        unused: None,
        empty: None,
        is_parked: false,
        is_at_rest: false,
        is_slow: false,
        ..facing.kept.clone()
    };
    let copy = match (&both.mistake, &both.copy) {
        (Some(mistake), _) => return waiting(kept, mistake.clone()),
        (None, None) => {
            return waiting(kept, format!("Deployment {} is gone", workload.copy()));
        }
        (None, Some(copy)) => copy,
    };
    let needed = facing.needed(weight, copy);
    kept.note(&both.wanted, needed, now);
    let is_ready = kept.is_settled(now);
    prepared(facing, needed, kept, is_ready)
}

const fn waiting(kept: Kept, why: String) -> Prepared {
    Prepared {
        pace: Pace::Waiting(why),
        action: None,
        kept,
    }
}

/// What the pods of a step that has its weight need: those that somebody else scaled down come back.
pub fn keep_up(facing: &Facing<'_>, weight: Percent) -> Prepared {
    let mut kept = facing.kept.clone();
    let Some(copy) = facing.both.copy.as_ref() else {
        return waiting(
            kept,
            format!("Deployment {} is gone", facing.workload.copy()),
        );
    };
    let wanted = &facing.both.wanted;
    let needed = facing.needed(weight, copy);
    kept.note(wanted, needed, facing.now);
    prepared(facing, needed, kept, wanted.has(needed))
}

/// What follows of what was noted of a step's pods: fewer than are needed are scaled up, and pods that
/// are late end the run.
fn prepared(facing: &Facing<'_>, needed: u32, kept: Kept, is_ready: bool) -> Prepared {
    let Facing {
        workload,
        both,
        now,
        ..
    } = *facing;
    let why = unready(&workload.deployment, &both.wanted, needed);
    let is_late = kept.is_late(workload.progress_deadline, now);
    let pace = match (is_late, is_ready) {
        (true, _) => Pace::Late(why),
        (false, true) => Pace::Ready,
        (false, false) => Pace::Waiting(why),
    };
    let is_short = both.mistake.is_none() && both.wanted.replicas < needed;
    let action = is_short.then_some(Action::Scale { replicas: needed });
    Prepared { pace, action, kept }
}

/// What is to be done while no run is under way.
pub fn rest(facing: &Facing<'_>, between: &Between<'_>) -> Rest {
    let mut rest = Rest {
        kept: Kept {
            dead: None,
            is_at_rest: false,
            is_slow: false,
            ..facing.kept.clone()
        },
        ..Rest::default()
    };
    if let Some(mistake) = &facing.both.mistake {
        rest.says = Some(mistake.clone());
        rest.kept.is_slow = true;
        return rest;
    }
    let Some(copy) = &facing.both.copy else {
        let Pods {
            version, replicas, ..
        } = &facing.both.wanted;
        rest.says = Some(format!("Deployment {} is made", facing.workload.copy()));
        rest.action = Some(Action::Copy {
            version: version.clone(),
            replicas: (*replicas).max(facing.kept.serving).max(1),
        });
        return rest;
    };
    rest.kept.note(copy, copy.replicas.max(1), facing.now);
    match between.is_empty {
        true => empty(facing, between, copy, rest),
        false => full(facing, between, copy, rest),
    }
}

/// The challenger has users: once the copy is what they have, they go there.
fn full(facing: &Facing<'_>, between: &Between<'_>, copy: &Pods, mut rest: Rest) -> Rest {
    (rest.kept.unused, rest.kept.empty) = (None, None);
    rest.kept.is_parked = false;
    let wanted = &facing.both.wanted.version;
    let name = facing.workload.copy();
    let succeeded = between.succeeded;
    if succeeded == Some(wanted) && copy.version != *wanted {
        if let Some(why) = unpromoted(facing, between) {
            rest.says = Some(format!(
                "Deployment {name} does not take {wanted} yet: {why}"
            ));
            return rest;
        }
        rest.says = Some(format!("Deployment {name} takes {wanted}"));
        rest.action = Some(Action::Promote {
            version: wanted.clone(),
        });
        return rest;
    }
    // A template that came since is no reason to leave anybody at pods that nobody has tried.
    let is_over = succeeded.is_some_and(|last| last == copy.version || last != wanted);
    if !(is_over || copy.version == *wanted) {
        rest.may_begin = true;
        rest.kept.is_slow = true;
        let pods = &facing.both.wanted;
        let needed = facing.needed(between.everyone, copy);
        if !between.is_run_wanted {
            rest.warns = Some(format!(
                "the challenger has users and no run is under way: {}; `sluice abort` takes them back",
                unready(&facing.workload.deployment, pods, needed)
            ));
        }
        let scale = Action::Scale { replicas: needed };
        rest.action = (pods.replicas < needed).then_some(scale);
        return rest;
    }
    let serving = facing.serving(copy);
    if copy.replicas < serving {
        rest.says = Some(format!(
            "Deployment {name} has {} of the {serving} pods that everybody needs there",
            copy.replicas
        ));
        rest.action = Some(Action::ScaleCopy { replicas: serving });
        return rest;
    }
    match rest.kept.is_settled(facing.now) {
        true => rest.is_to_finish = true,
        false => rest.says = Some(unready(&name, copy, serving)),
    }
    rest
}

/// Why the copy may not take what succeeded: somebody may be there, or would have nowhere else to be.
fn unpromoted(facing: &Facing<'_>, between: &Between<'_>) -> Option<String> {
    if between.everyone != Percent::HUNDRED {
        return Some(format!(
            "the challenger has {} % of everyone",
            between.everyone
        ));
    }
    let is_patient = |ended: Timestamp| !has_passed(ended, between.patience, facing.now);
    if !between.is_followed && between.ended.is_some_and(is_patient) {
        return Some("not every proxy is known to follow".to_owned());
    }
    let wanted = &facing.both.wanted;
    let needed = wanted.replicas.max(1);
    (!wanted.has(needed)).then(|| unready(&facing.workload.deployment, wanted, needed))
}

/// Nobody has the challenger: a run may begin, or its pods go.
fn empty(facing: &Facing<'_>, between: &Between<'_>, copy: &Pods, mut rest: Rest) -> Rest {
    let Facing {
        workload,
        both,
        now,
        ..
    } = *facing;
    let unused = rest.kept.unused.unwrap_or(now);
    rest.kept.unused = Some(unused);
    if between.is_followed || has_passed(unused, between.patience, now) {
        rest.kept.empty = rest.kept.empty.or(Some(now));
    }
    let name = workload.copy();
    if between.is_run_wanted {
        rest.may_begin = copy.has(1);
        rest.says = (!rest.may_begin).then(|| unready(&name, copy, 1));
        return rest;
    }
    let deployment = &workload.deployment;
    let replicas = both.wanted.replicas;
    if let Some((audience, percent)) = between.other {
        // It drains from when they have left.
        (rest.kept.unused, rest.kept.empty) = (None, None);
        rest.kept.is_parked = false;
        rest.kept.is_at_rest = replicas > 0 && rest.kept.is_settled(now);
        rest.action = (replicas == 0).then_some(Action::Scale { replicas: 1 });
        rest.says = Some(format!(
            "Deployment {deployment} keeps its pods: the challenger has {percent} % of {audience}, which no step moves"
        ));
        return rest;
    }
    // Both must be so: nobody is sent to the one, and the other is where they are sent.
    let since = rest.kept.empty.zip(rest.kept.ready);
    let since = since.map(|(empty, ready)| empty.max(ready));
    let is_drained = since.is_some_and(|since| has_passed(since, workload.drain, now));
    if replicas == 0 {
        rest.kept.is_parked = true;
        rest.kept.is_at_rest = rest.kept.is_settled(now);
        let is_waited_for = rest.kept.ready.is_none();
        rest.says = is_waited_for.then(|| unready(&name, copy, copy.replicas.max(1)));
    } else if rest.kept.is_parked {
        rest.kept.is_at_rest = true;
        rest.says = Some(format!(
            "Deployment {deployment} was given {replicas} pods that nobody uses: a controller scales it, so Git should \
             not say spec.replicas of it"
        ));
    } else if let Some(why) = &both.unrouted {
        // It drains from when there are routes.
        rest.kept.empty = None;
        rest.kept.is_slow = true;
        rest.says = Some(why.clone());
    } else if !rest.kept.is_settled(now) {
        rest.says = Some(unready(&name, copy, copy.replicas.max(1)));
    } else if is_drained {
        rest.action = Some(Action::Scale { replicas: 0 });
    } else {
        rest.says = Some(format!(
            "the pods of Deployment {deployment} answer their last requests"
        ));
    }
    rest
}

/// What is waited for, in a sentence.
pub(super) fn unready(name: &str, pods: &Pods, needed: u32) -> String {
    let Pods { ready, version, .. } = pods;
    let ready = ready.min(&needed);
    let trouble = pods.trouble.as_ref();
    let trouble = trouble.map_or_else(String::new, |trouble| format!(": {trouble}"));
    match pods.is_uniform {
        true if *ready >= needed => {
            format!("{needed} pods of Deployment {name} are ready; proxies hear of them")
        }
        _ => format!(
            "{ready} of {needed} pods of Deployment {name} are ready, of {version}{trouble}"
        ),
    }
}

#[cfg(test)]
mod tests;
