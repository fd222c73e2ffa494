//! What is to be done about a Rollout's two Deployments: pure, from what was seen of them and what is
//! remembered, to what is to be done, what is to be remembered, and whether a run may go on.
//!
//! The challenger is only ever scaled up while a run is under way, and to 0 only when nobody has been
//! sent to it for as long as it drains: so no request meets a pod that ends. The copy takes another
//! template only while everybody is at the challenger; `restore` says when it gets a former one back.

mod restore;

use jiff::Timestamp;
use sluice_core::allocation::Percent;

use super::facing::Scaling;
pub(super) use super::facing::unready;
pub use super::facing::{Action, Between, Facing, Rest};
pub use restore::{grow_back, in_run, undo};

use super::Workload;
use super::kept::{Kept, has_passed};
use super::seen::Pods;

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
        given: None,
        is_parked_again: false,
        copy_scaled: None,
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
    let needed = facing.granted(&mut kept, needed, Scaling::ByWeight);
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
    let needed = facing.granted(&mut kept, needed, Scaling::OrAutoscaler);
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
    let why = match given_up(workload, &kept) {
        Some(given_up) => format!("{why}; {given_up}"),
        None => why,
    };
    let is_late = kept.is_late(workload.progress_deadline, now);
    let pace = match (is_late, is_ready) {
        (true, _) => Pace::Late(why),
        (false, true) => Pace::Ready,
        (false, false) => Pace::Waiting(why),
    };
    let may_scale = both.mistake.is_none() && !kept.is_given_up();
    let is_short = may_scale && both.wanted.replicas < needed;
    let action = is_short.then_some(Action::Scale { replicas: needed });
    Prepared { pace, action, kept }
}

/// What is said of a step whose pods somebody takes away again and again.
pub fn given_up(workload: &Workload, kept: &Kept) -> Option<String> {
    let scaled = kept.scaled.as_ref().filter(|_| kept.is_given_up())?;
    Some(format!(
        "Deployment {} was scaled down {} times in this step, which needs {} pods, and is left so: Git should not say \
         spec.replicas of it, and an autoscaler needs a range that bears its users",
        workload.deployment, scaled.undone, scaled.to
    ))
}

/// What is to be done while no run is under way.
pub fn rest(facing: &Facing<'_>, between: &Between<'_>) -> Rest {
    let mut rest = Rest {
        kept: Kept {
            dead: facing.kept.dead.filter(|_| !between.is_empty),
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
        return restore::made(facing, between, rest);
    };
    rest.kept.is_remade = false;
    rest.kept.note(copy, copy.replicas.max(1), facing.now);
    if let Some(undo) = restore::undo(facing, between.failed) {
        rest.action = Some(undo);
        return rest;
    }
    match between.is_empty {
        true => {
            rest = empty(facing, between, copy, rest);
            rest.kept.is_slow |= rest.action.is_none() && rest.kept.is_stuck(facing.now);
            rest
        }
        false => full(facing, between, copy, rest),
    }
}

/// The challenger has users: once the copy is what they have, they go there.
fn full(facing: &Facing<'_>, between: &Between<'_>, copy: &Pods, mut rest: Rest) -> Rest {
    (rest.kept.unused, rest.kept.empty) = (None, None);
    rest.kept.is_parked = false;
    let pods = &facing.both.wanted;
    let wanted = &pods.version;
    let name = facing.workload.copy();
    let succeeded = between.succeeded;
    let is_over = succeeded.is_some_and(|last| last == copy.version || last != wanted);
    let is_promoting = succeeded == Some(wanted);
    // A template that came since is no reason to leave anybody at pods that nobody has tried.
    if is_promoting || !(is_over || copy.version == *wanted) {
        let needed = facing.needed(between.everyone, copy);
        let needed = facing.granted(&mut rest.kept, needed, Scaling::OrAutoscaler);
        let is_leaving = copy.version == *wanted && rest.kept.is_settled(facing.now);
        let is_short = pods.replicas < needed && !rest.kept.is_given_up() && !is_leaving;
        rest.action = is_short.then_some(Action::Scale { replicas: needed });
        if !is_promoting {
            rest.may_begin = true;
            rest.kept.is_slow = true;
            let deployment = &facing.workload.deployment;
            let ready = unready(deployment, pods, needed);
            let says = || {
                format!(
                    "the challenger has users and no run is under way: {ready}; `sluice abort` takes them back"
                )
            };
            rest.warns = (!between.is_run_wanted).then(says);
            return rest;
        }
        if is_short {
            let deployment = &facing.workload.deployment;
            rest.says = Some(format!(
                "everyone is there: {}",
                unready(deployment, pods, needed)
            ));
            return rest;
        }
    }
    if is_promoting && copy.version != *wanted {
        if let Some(why) = unpromoted(facing, between) {
            rest.says = Some(format!(
                "Deployment {name} does not take {wanted} yet: {why}"
            ));
            return rest;
        }
        rest.says = Some(format!("Deployment {name} takes {wanted}"));
        rest.action = Some(restore::promote(facing.kept, wanted));
        return rest;
    }
    let serving = facing.serving(copy);
    rest.kept.note_copy_scale(copy.replicas, serving);
    if copy.replicas < serving && !rest.kept.is_copy_given_up() {
        rest.says = Some(format!(
            "Deployment {name} has {} of the {serving} pods that everybody needs there",
            copy.replicas
        ));
        rest.action = Some(Action::ScaleCopy { replicas: serving });
        return rest;
    }
    match rest.kept.is_settled(facing.now) {
        true => {
            rest.note_promoted(copy, between);
            rest.is_to_finish = true;
        }
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
    // Who says nothing is waited for so long; who sends users there still, as long as it does.
    let is_over = between.stale == 0 && has_passed(unused, between.patience, now);
    if between.is_followed || is_over {
        rest.kept.empty = rest.kept.empty.or(Some(now));
    }
    let name = workload.copy();
    if between.is_run_wanted {
        // What nobody has judged serves everyone first, as it would without a run. What served before and
        // does not now is no reason to hold back what may mend it.
        let is_unjudged = rest.kept.is_unjudged;
        let is_ready = !is_unjudged || rest.kept.is_settled(now);
        rest.says = match is_ready {
            true => both.unrouted.clone(),
            false => Some(unready(&name, copy, copy.replicas.max(1))),
        };
        rest.may_begin = rest.says.is_none();
        rest.kept.is_slow = is_ready && !rest.may_begin;
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
        rest.kept.given = None;
        rest.kept.is_at_rest = rest.kept.is_settled(now);
        if rest.kept.is_at_rest && both.is_unkept {
            rest.action = Some(Action::Remember);
        }
        let is_waited_for = rest.kept.ready.is_none();
        rest.says = is_waited_for.then(|| unready(&name, copy, copy.replicas.max(1)));
    } else if rest.kept.is_parked {
        let given = rest.kept.given.unwrap_or(now);
        rest.kept.given = Some(given);
        let is_again = rest.kept.is_parked_again;
        // Whoever gave them may need them where the copy does not serve, or is not what serves.
        let is_of_use = both.unrouted.is_some() || !rest.kept.is_settled(now);
        let is_to_park = !is_again && !is_of_use && has_passed(given, workload.drain, now);
        rest.kept.is_parked_again |= is_to_park;
        rest.kept.is_at_rest = !is_to_park;
        rest.action = is_to_park.then_some(Action::Scale { replicas: 0 });
        let says = format!("Deployment {deployment} was given {replicas} pods that nobody uses");
        rest.says = Some(match is_again {
            _ if is_of_use => {
                let unready = || unready(&name, copy, copy.replicas.max(1));
                let why = both.unrouted.clone().unwrap_or_else(unready);
                format!("Deployment {deployment} was given {replicas} pods and keeps them: {why}")
            }
            true => format!(
                "{says}, again: nobody fights whoever does that; Git should not say spec.replicas of it"
            ),
            false => says,
        });
    } else if let Some(why) = &both.unrouted {
        // It drains from when there are routes.
        rest.kept.empty = None;
        rest.kept.is_slow = true;
        rest.says = Some(why.clone());
    } else if !rest.kept.is_settled(now) {
        rest.says = Some(unready(&name, copy, copy.replicas.max(1)));
    } else if rest.kept.empty.is_none() && between.stale > 0 {
        rest.says = Some(format!(
            "the pods of Deployment {deployment} stay: {} proxies run an earlier revision, and may send users there",
            between.stale
        ));
    } else if is_drained {
        rest.action = Some(Action::Scale { replicas: 0 });
    } else {
        rest.says = Some(format!(
            "the pods of Deployment {deployment} answer their last requests"
        ));
    }
    rest
}

#[cfg(test)]
mod tests;
