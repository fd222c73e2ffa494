//! What was seen of a split and its proxies just now: where nothing was done since, the engine's next
//! turn goes by the same, and nobody is asked again.

use std::time::{Duration, Instant};

use crate::rollout::engine::LOOK_EVERY;
use crate::rollout::ground::Followed;
use crate::rollout::look::{Looked, Subject, look};
use crate::store::Store;

/// For how long what was seen is gone by. Chosen: as often as a run is looked at in any case.
const FRESH: Duration = LOOK_EVERY;

/// What was seen.
#[derive(Debug)]
pub(super) struct Glance {
    subject: Subject,
    /// The split.
    pub(super) looked: Looked,
    at: Instant,
    followed: Option<(Followed, Instant)>,
}

impl Glance {
    /// The former one, where it is fresh and of the same split; else what is seen now.
    pub(super) async fn fresh(former: Option<Self>, subject: &Subject, store: &impl Store) -> Self {
        match former.filter(|former| former.subject == *subject && former.at.elapsed() < FRESH) {
            Some(former) => former,
            None => Self {
                subject: subject.clone(),
                at: Instant::now(),
                looked: look(store, subject).await,
                followed: None,
            },
        }
    }

    /// Looks again after somebody was asked, where that took its time: the split is looked at last.
    pub(super) async fn last(&mut self, store: &impl Store) {
        if self.at.elapsed() < FRESH {
            return;
        }
        let former = self.revision();
        self.at = Instant::now();
        self.looked = look(store, &self.subject).await;
        if former != self.revision() {
            self.followed = None;
        }
    }

    fn revision(&self) -> Option<u64> {
        let plan = self.looked.plan.as_ref();
        plan.map(|plan| plan.revision().as_gauge())
    }

    /// What its proxies said of it just now.
    pub(super) fn followed(&self) -> Option<Followed> {
        let followed = self.followed.as_ref();
        let fresh = followed.filter(|(_, at)| at.elapsed() < FRESH);
        fresh.map(|(followed, _)| followed.clone())
    }

    /// Notes what its proxies say of it.
    pub(super) fn note(&mut self, followed: &Followed) {
        self.followed = Some((followed.clone(), Instant::now()));
    }
}
