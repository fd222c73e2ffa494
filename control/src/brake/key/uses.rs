//! Uses of the key: what is said of each, how they are counted, and how many are checked.
//!
//! Whoever lacks the key can fill neither the log nor a processor with it.

use std::time::Duration;

use jiff::Timestamp;
use parking_lot::Mutex;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::registry::Registry;
use tokio::time::Instant;

use super::request::Pull;

/// The most requests whose signature is checked in a second; see docs/limits.md. Chosen: of the longest,
/// some hundredth of a processor.
pub const MAX_CHECKED: u32 = 200;

/// In how long so many, and one line of the log about refusals.
const SECOND: Duration = Duration::from_secs(1);

/// A brake that was given by the key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Use {
    /// What was asked.
    pub pull: Pull,
    /// The brake's name.
    pub name: String,
    /// Where it came from, as the connection says.
    pub peer: String,
    /// When.
    pub at: Timestamp,
}

impl Use {
    /// What the log says of it.
    pub fn line(&self) -> String {
        let Self { pull, peer, .. } = self;
        let reason = pull.reason.as_deref();
        let reason = reason.map_or_else(String::new, |reason| format!(": {reason}"));
        format!(
            "BRAKED BY THE KEY: {}; by {} from {peer}{reason}",
            pull.what(),
            pull.by
        )
    }
}

/// What became of a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// It is braked.
    Braked,
    /// It was before, by the same request.
    Repeated,
    /// It was not signed with the key.
    Unsigned,
    /// It was signed at another time.
    Untimely,
    /// It asked for what cannot be.
    Wrong,
    /// There was no room.
    Full,
    /// It was not looked at: too many came.
    Unchecked,
    /// The controller could not read its key.
    Keyless,
}

/// What is counted and said.
#[derive(Debug, Default)]
pub struct Uses {
    counts: Family<Vec<(&'static str, String)>, Counter>,
    bounds: Mutex<Bounds>,
}

#[derive(Debug, Default)]
struct Bounds {
    /// Since when requests are counted, and how many.
    checked: Option<(Instant, u32)>,
    /// When a refusal was said last.
    said: Option<Instant>,
    /// How many were not said since.
    unsaid: u64,
}

impl Uses {
    /// Names what is counted.
    pub fn register(&self, registry: &mut Registry) {
        registry.register(
            "sluice_controller_key_uses",
            "Requests with the controller's key, by what became of them",
            self.counts.clone(),
        );
    }

    /// Counts one.
    pub fn count(&self, outcome: Outcome) {
        let labels = vec![("outcome", format!("{outcome:?}"))];
        self.counts.get_or_create(&labels).inc();
    }

    /// Whether one more may be checked now.
    pub fn may_check(&self, now: Instant) -> bool {
        let mut bounds = self.bounds.lock();
        let checked = bounds
            .checked
            .filter(|(since, _)| now.duration_since(*since) < SECOND);
        let (since, count) = checked.unwrap_or((now, 0));
        bounds.checked = Some((since, count.saturating_add(1)));
        count < MAX_CHECKED
    }

    /// The line about a refusal, if it is its turn.
    pub fn refusal(&self, line: String, now: Instant) -> Option<String> {
        let mut bounds = self.bounds.lock();
        let is_early = |said: Instant| now.duration_since(said) < SECOND;
        if bounds.said.is_some_and(is_early) {
            bounds.unsaid += 1;
            return None;
        }
        bounds.said = Some(now);
        Some(match std::mem::take(&mut bounds.unsaid) {
            0 => line,
            more => format!("{line} ({more} more since the last line)"),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn so_many_are_checked_in_a_second() {
        let uses = Uses::default();
        let now = Instant::now();
        let checked = |now| (0..300).filter(|_| uses.may_check(now)).count();
        assert_eq!(checked(now), 200);
        assert_eq!(checked(now + Duration::from_millis(999)), 0);
        assert_eq!(checked(now + Duration::from_secs(1)), 200);
    }

    #[test]
    fn of_refusals_one_a_second_is_said_with_the_number_of_the_others() {
        let uses = Uses::default();
        let now = Instant::now();
        let refusal = |milliseconds| {
            let now = now + Duration::from_millis(milliseconds);
            uses.refusal("refused".to_owned(), now)
        };
        assert_eq!(refusal(0).as_deref(), Some("refused"));
        assert_eq!([refusal(1), refusal(999)], [None, None]);
        let more = "refused (2 more since the last line)";
        assert_eq!(refusal(1_000).as_deref(), Some(more));
        assert_eq!(refusal(2_000).as_deref(), Some("refused"));
    }

    #[test]
    fn uses_are_counted_by_outcome() {
        let uses = Uses::default();
        uses.count(Outcome::Braked);
        uses.count(Outcome::Unsigned);
        uses.count(Outcome::Unsigned);
        let mut registry = Registry::default();
        uses.register(&mut registry);
        let mut text = String::new();
        prometheus_client::encoding::text::encode(&mut text, &registry).unwrap();
        for line in [
            "sluice_controller_key_uses_total{outcome=\"Braked\"} 1\n",
            "sluice_controller_key_uses_total{outcome=\"Unsigned\"} 2\n",
        ] {
            assert!(text.contains(line), "{text}");
        }
    }
}
