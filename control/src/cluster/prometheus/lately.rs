//! What a server did lately, as all clones of a client know it: that it refused the credentials, that
//! it hangs, and what it answered to whoever asked the same just now.
//!
//! Many ask one server at once: the Rollouts of a controller. One question of theirs that hangs, or
//! that the server must answer to each, would be their number of times as much.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use parking_lot::Mutex;
use tokio::time::Instant;

use super::answer::Series;
use super::error::PrometheusError;

/// How long an answer is told to others who ask the same. Chosen: a scrape is older than that.
const TOLD_FOR: Duration = Duration::from_secs(1);

/// The most answers that are kept to be told to others.
const MAX_TOLD: usize = 16;

/// Series that several have, or why there are none.
pub type Told = Result<Arc<Vec<Series>>, Arc<PrometheusError>>;

/// An answer and when it came; held while it is asked for.
pub(super) type Place = Arc<tokio::sync::Mutex<Option<(Instant, Told)>>>;

/// What a server did lately.
#[derive(Debug, Default)]
pub(super) struct Lately {
    is_denied: AtomicBool,
    silence: Mutex<Silence>,
    told: Mutex<HashMap<String, Place>>,
}

impl Lately {
    /// Whether it refused the credentials, once.
    pub(super) fn is_denied(&self) -> bool {
        self.is_denied.load(Ordering::Relaxed)
    }

    /// Whether nobody is to wait for it now.
    pub(super) fn is_silent(&self) -> bool {
        self.silence.lock().is_at(Instant::now())
    }

    /// Notes what became of a question that was asked then.
    pub(super) fn note<T>(&self, asked: Instant, answer: &Result<T, PrometheusError>) {
        let now = Instant::now();
        match answer {
            Err(PrometheusError::TimedOut { .. }) => self.silence.lock().hung(asked, now),
            Err(PrometheusError::Unreachable { .. }) => {}
            Err(PrometheusError::Denied { .. }) => {
                self.is_denied.store(true, Ordering::Relaxed);
                self.silence.lock().answered(now);
            }
            _ => self.silence.lock().answered(now),
        }
    }

    /// Where the answer to a question is kept. Beyond the most of them, it is kept for nobody else.
    pub(super) fn place(&self, query: &str) -> Place {
        let mut told = self.told.lock();
        told.retain(|_, place| {
            let is_asked = Arc::strong_count(place) > 1;
            is_asked || place.try_lock().is_ok_and(|kept| fresh(&kept).is_some())
        });
        match told.get(query) {
            Some(place) => Arc::clone(place),
            None if told.len() >= MAX_TOLD => Place::default(),
            None => Arc::clone(told.entry(query.to_owned()).or_default()),
        }
    }
}

/// A kept answer that is not too old.
pub(super) fn fresh(kept: &Option<(Instant, Told)>) -> Option<Told> {
    let (at, told) = kept.as_ref()?;
    (at.elapsed() < TOLD_FOR).then(|| told.clone())
}

/// Whether a server hangs: a question had no answer in its time, and neither had any other since it
/// was asked. Then nobody waits for it for as long again.
#[derive(Debug, Default)]
struct Silence {
    answered: Option<Instant>,
    until: Option<Instant>,
}

impl Silence {
    fn is_at(&self, now: Instant) -> bool {
        self.until.is_some_and(|until| now < until)
    }

    const fn answered(&mut self, now: Instant) {
        self.answered = Some(now);
        self.until = None;
    }

    fn hung(&mut self, asked: Instant, now: Instant) {
        if self.answered.is_none_or(|answered| answered < asked) {
            self.until = Some(now + (now - asked));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_server_hangs_only_while_it_answers_nobody() {
        let start = Instant::now();
        let at = |seconds: u64| start + Duration::from_secs(seconds);
        let mut silence = Silence::default();
        assert!(!silence.is_at(at(0)));
        silence.answered(at(3));
        silence.hung(at(2), at(12));
        assert!(
            !silence.is_at(at(12)),
            "another one had an answer meanwhile"
        );
        silence.hung(at(4), at(14));
        let seen = [14, 23, 24].map(|second| silence.is_at(at(second)));
        assert_eq!(seen, [true, true, false], "as long again as was waited");
        silence.answered(at(20));
        assert!(!silence.is_at(at(21)));
    }

    #[test]
    fn only_so_many_answers_are_kept_and_only_while_they_are_young() {
        let lately = Lately::default();
        let young: Vec<Place> = (0..MAX_TOLD)
            .map(|index| lately.place(&index.to_string()))
            .collect();
        assert!(Arc::ptr_eq(&young[3], &lately.place("3")));
        assert!(!Arc::ptr_eq(&lately.place("more"), &lately.place("more")));
        drop(young);
        lately.place("more");
        assert_eq!(lately.told.lock().len(), 1, "nobody asks the others");
    }
}
