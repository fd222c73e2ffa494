//! What is to be done about a Rollout's two Deployments: pure, from what was seen of them and what is
//! remembered, to what is to be done, what is to be remembered, and whether a run may go on.
//!
//! The challenger is only ever scaled up while a run is under way, and to 0 only when nobody has been
//! sent to it for as long as it drains: so no request meets a pod that ends. The copy takes another
//! template only while everybody is at the challenger.

use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};
use sluice_core::allocation::Percent;

use super::Workload;
use super::seen::{Both, Pods};

/// How long pods must have been ready before anybody is sent to them. Chosen: Kubernetes says that a
/// pod is ready some moments before a proxy has heard of its address.
pub const SETTLING: Duration = Duration::from_secs(2);

/// How long none of the pods that users have may be ready before they go back. Chosen: a pod that
/// starts again in its place takes some seconds.
pub const NONE_READY: Duration = Duration::from_secs(10);

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
}

/// Where the users of a split are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Users {
    /// Everybody is at the copy.
    AtCopy,
    /// Some may be at the challenger.
    Elsewhere,
}

/// What is remembered between two looks.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Kept {
    /// The version that the copy has.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub promoted: Option<String>,
    /// How many pods the copy has while everybody is there; while users are elsewhere, the most that it
    /// had since they left.
    #[serde(skip_serializing_if = "is_none")]
    pub serving: u32,
    /// Since when pods are waited for.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub waiting: Option<Timestamp>,
    /// Since when those that are waited for are ready.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ready: Option<Timestamp>,
    /// Since when none of the challenger's pods is ready although it has users.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub dead: Option<Timestamp>,
    /// Since when the challenger's weights are 0.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub unused: Option<Timestamp>,
    /// Since when proxies have heard of that.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub empty: Option<Timestamp>,
    /// Whether the challenger has had no pods since its last run.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub is_parked: bool,
    /// Whether there is nothing to do until something changes.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub is_at_rest: bool,
    /// Whether what is to be done waits for a person, and is looked at as seldom as one at rest.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub is_slow: bool,
}

/// Whether there are none.
#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde calls it so")]
const fn is_none(pods: &u32) -> bool {
    *pods == 0
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

impl Kept {
    /// Notes what the copy is, where there is one; by where the users are.
    pub fn note_copy(&mut self, copy: Option<&Pods>, users: Users) {
        let Some(copy) = copy else {
            return;
        };
        self.promoted = Some(copy.version.clone());
        self.serving = match users {
            Users::AtCopy => copy.replicas,
            Users::Elsewhere => copy.replicas.max(self.serving),
        };
    }

    /// What was remembered by a clock that was ahead counts as of now.
    pub fn come_back_to(&mut self, now: Timestamp) {
        for time in [
            &mut self.waiting,
            &mut self.ready,
            &mut self.dead,
            &mut self.unused,
            &mut self.empty,
        ] {
            *time = time.map(|time| time.min(now));
        }
    }

    /// Whether those that are waited for have been ready for long enough.
    fn is_settled(&self, now: Timestamp) -> bool {
        self.ready
            .is_some_and(|ready| has_passed(ready, SETTLING, now))
    }

    /// Notes whether those that are waited for are ready. They are waited for from when they are to
    /// be there until they have been ready for long enough: one that crashes again and again is late.
    fn note(&mut self, pods: &Pods, needed: u32, now: Timestamp) {
        let since = |former: Option<Timestamp>| Some(former.unwrap_or(now));
        if pods.has(needed) {
            self.ready = since(self.ready);
            self.waiting = self.waiting.filter(|_| !self.is_settled(now));
            return;
        }
        self.ready = None;
        if pods.replicas >= needed {
            self.waiting = since(self.waiting);
        }
    }

    /// Notes whether none of the pods that users have is ready; whether that is so for too long.
    pub fn is_dead(&mut self, wanted: &Pods, now: Timestamp) -> bool {
        let since = self.dead.unwrap_or(now);
        self.dead = (wanted.ready == 0).then_some(since);
        self.dead
            .is_some_and(|since| has_passed(since, NONE_READY, now))
    }

    /// Whether pods are not ready that were waited for longer than that.
    fn is_late(&self, deadline: Duration, now: Timestamp) -> bool {
        let waiting = self.waiting.filter(|_| self.ready.is_none());
        waiting.is_some_and(|since| has_passed(since, deadline, now))
    }
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
    let action = (both.wanted.replicas < needed).then_some(Action::Scale { replicas: needed });
    kept.note(&both.wanted, needed, now);
    let why = unready(&workload.deployment, &both.wanted, needed);
    let is_late = kept.is_late(workload.progress_deadline, now);
    let pace = match (is_late, kept.is_settled(now)) {
        (true, _) => Pace::Late(why),
        (false, true) => Pace::Ready,
        (false, false) => Pace::Waiting(why),
    };
    Prepared { pace, action, kept }
}

const fn waiting(kept: Kept, why: String) -> Prepared {
    Prepared {
        pace: Pace::Waiting(why),
        action: None,
        kept,
    }
}

/// What the pods of a step that has its weight need: those that somebody else scaled down come back,
/// and pods that are late end the run.
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
    let is_short = facing.both.mistake.is_none() && wanted.replicas < needed;
    kept.note(wanted, needed, facing.now);
    let why = unready(&facing.workload.deployment, wanted, needed);
    let is_late = kept.is_late(facing.workload.progress_deadline, facing.now);
    let pace = match (is_late, wanted.has(needed)) {
        (true, _) => Pace::Late(why),
        (false, true) => Pace::Ready,
        (false, false) => Pace::Waiting(why),
    };
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
fn unready(name: &str, pods: &Pods, needed: u32) -> String {
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

fn has_passed(since: Timestamp, length: Duration, now: Timestamp) -> bool {
    let length = SignedDuration::try_from(length).unwrap_or(SignedDuration::MAX);
    now.duration_since(since) >= length
}

#[cfg(test)]
mod tests;
