//! What is remembered of a Rollout's two Deployments between two looks, and what it says of time. Pure.

use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};

use super::handing::{HandingBack, HandingStage};
use super::promotions::Promotions;
use super::seen::Pods;
use super::services::kept::KeptServices;

/// How long pods must have been ready before anybody is sent to them. Chosen: Kubernetes says that a
/// pod is ready some moments before a proxy has heard of its address.
pub const SETTLING: Duration = Duration::from_secs(2);

/// How long none of the pods that users have may be ready before they go back. Chosen: a pod that
/// starts again in its place takes some seconds.
pub const NONE_READY: Duration = Duration::from_secs(10);

/// How long pods that serve nobody new may not be ready before they are looked at as seldom as those at
/// rest. Chosen: images are mostly pulled by then.
const STUCK: Duration = Duration::from_secs(60);

/// How often somebody may scale down what a step scaled up, before it is left so. Chosen: more than a
/// mistake, and fewer than a war.
pub const MAX_UNDONE: u32 = 3;

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
    /// The versions that it served everyone with.
    #[serde(skip_serializing_if = "Promotions::is_empty")]
    pub promotions: Promotions,
    /// Whether it was made of the only template that there was, which nobody has judged yet.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub is_unjudged: bool,
    /// The Deployment that all this is of.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub deployment: Option<String>,
    /// What tells it from an earlier one of its name.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub uid: Option<String>,
    /// Whether it is made again in a run, and its pods are waited for.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub is_remade: bool,
    /// The version that the Deployment has.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub wanted: Option<String>,
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
    /// What was asked for in a step, and how often somebody took it away.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub scaled: Option<Scaled>,
    /// What was asked of the copy before everybody goes back to it, and how often somebody took it away.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub copy_scaled: Option<Scaled>,
    /// Since when the challenger has pods that nobody uses.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub given: Option<Timestamp>,
    /// Whether such pods were taken away since the last run.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub is_parked_again: bool,
    /// How far everything is handed back to the Deployment, where somebody asked for it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub handing_back: Option<HandingBack>,
    /// The Services of clients that are not routed by a header.
    #[serde(skip_serializing_if = "KeptServices::is_empty")]
    pub services: KeptServices,
}

/// How many pods a step asked for.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Scaled {
    /// How many.
    pub to: u32,
    /// Whether the Deployment said so since it was last asked for.
    pub is_there: bool,
    /// How often somebody scaled it down again.
    pub undone: u32,
}

impl Scaled {
    fn noted(former: Option<Self>, replicas: u32, needed: u32) -> Self {
        let former = former.filter(|scaled| scaled.to == needed);
        let mut scaled = former.unwrap_or(Self {
            to: needed,
            is_there: false,
            undone: 0,
        });
        if replicas < needed && scaled.is_there {
            scaled.undone = scaled.undone.saturating_add(1).min(MAX_UNDONE);
        }
        scaled.is_there = replicas >= needed;
        scaled
    }

    const fn is_given_up(&self) -> bool {
        self.undone >= MAX_UNDONE
    }
}

/// Whether there are none.
#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde calls it so")]
const fn is_none(pods: &u32) -> bool {
    *pods == 0
}

impl Kept {
    /// The version that the copy is to have: the last that served everyone.
    pub fn rightful(&self) -> Option<&str> {
        self.promotions.last().or(self.promoted.as_deref())
    }

    /// Notes which Deployment is seen: nothing that is remembered of another one counts, and of an
    /// earlier one of its name only what is of the copy.
    pub fn note_deployment(&mut self, name: &str, uid: Option<&str>) {
        if self.deployment.as_deref().is_some_and(|own| own != name) {
            *self = Self::default();
        }
        let is_another = self.uid.is_some() && uid.is_some() && self.uid.as_deref() != uid;
        if is_another {
            (self.waiting, self.ready, self.dead) = (None, None, None);
            (self.unused, self.empty) = (None, None);
            (self.is_parked, self.is_at_rest) = (false, false);
        }
        self.deployment = Some(name.to_owned());
        self.uid = uid.map(str::to_owned).or_else(|| self.uid.take());
    }

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

    /// Notes whether the pods that a step asks for are there, and were taken away again.
    pub(super) fn note_scale(&mut self, replicas: u32, needed: u32) {
        self.scaled = Some(Scaled::noted(self.scaled.take(), replicas, needed));
    }

    /// The same of the copy's, which everybody goes back to.
    pub(super) fn note_copy_scale(&mut self, replicas: u32, needed: u32) {
        self.copy_scaled = Some(Scaled::noted(self.copy_scaled.take(), replicas, needed));
    }

    /// Whether pods are no longer asked for in this step, because somebody takes them away.
    pub fn is_given_up(&self) -> bool {
        self.scaled.as_ref().is_some_and(Scaled::is_given_up)
    }

    /// The same of the copy's.
    pub(super) fn is_copy_given_up(&self) -> bool {
        self.copy_scaled.as_ref().is_some_and(Scaled::is_given_up)
    }

    /// How far everything is handed back to a Deployment; nothing of another one counts.
    pub fn handing_back_of(&self, deployment: &str) -> Option<&HandingBack> {
        let handing = self.handing_back.as_ref();
        handing.filter(|handing| handing.deployment == deployment)
    }

    /// Whether everything was handed back to a Deployment.
    pub fn was_handed_back(&self, deployment: &str) -> bool {
        let handing = self.handing_back_of(deployment);
        handing.is_some_and(|handing| handing.stage == HandingStage::Done)
    }

    /// What was remembered by a clock that was ahead counts as of now.
    pub fn come_back_to(&mut self, now: Timestamp) {
        for time in [
            &mut self.waiting,
            &mut self.ready,
            &mut self.dead,
            &mut self.unused,
            &mut self.empty,
            &mut self.given,
        ] {
            *time = time.map(|time| time.min(now));
        }
        if let Some(handing) = &mut self.handing_back {
            handing.since = handing.since.map(|since| since.min(now));
        }
    }

    /// Whether those that are waited for have not been ready for so long that a person is needed.
    pub(super) fn is_stuck(&self, now: Timestamp) -> bool {
        let waiting = self.waiting.filter(|_| self.ready.is_none());
        waiting.is_some_and(|since| has_passed(since, STUCK, now))
    }

    /// Whether those that are waited for have been ready for long enough.
    pub fn is_settled(&self, now: Timestamp) -> bool {
        self.ready
            .is_some_and(|ready| has_passed(ready, SETTLING, now))
    }

    /// Notes whether those that are waited for are ready. They are waited for from when they are to
    /// be there until they have been ready for long enough: one that crashes again and again is late.
    pub(super) fn note(&mut self, pods: &Pods, needed: u32, now: Timestamp) {
        let since = |former: Option<Timestamp>| Some(former.unwrap_or(now));
        if pods.has(needed) {
            self.ready = since(self.ready);
            self.waiting = self.waiting.filter(|_| !self.is_settled(now));
            return;
        }
        self.ready = None;
        if pods.replicas >= needed || self.is_given_up() {
            self.waiting = since(self.waiting);
        }
    }

    /// Notes whether none of the pods that users have is ready; whether that is so for too long.
    pub fn is_dead(&mut self, wanted: &Pods, now: Timestamp) -> bool {
        let since = self.dead.unwrap_or(now);
        self.dead = (wanted.up == 0).then_some(since);
        self.dead
            .is_some_and(|since| has_passed(since, NONE_READY, now))
    }

    /// Whether pods are not ready that were waited for longer than that.
    pub(super) fn is_late(&self, deadline: Duration, now: Timestamp) -> bool {
        let waiting = self.waiting.filter(|_| self.ready.is_none());
        waiting.is_some_and(|since| has_passed(since, deadline, now))
    }
}

/// Whether so long a time has passed.
pub(super) fn has_passed(since: Timestamp, length: Duration, now: Timestamp) -> bool {
    let length = SignedDuration::try_from(length).unwrap_or(SignedDuration::MAX);
    now.duration_since(since) >= length
}
