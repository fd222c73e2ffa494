//! Which versions the copy was given, and served everyone with, newest last. Pure.

use serde::{Deserialize, Serialize};

/// How many versions are remembered at most: those of the longest window, the one before it, and the
/// one that serves.
pub const MAX_PROMOTIONS: usize = 12;

/// A version that served everyone.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Promotion {
    /// The version.
    pub version: String,
    /// The number of the run that brought it; 0: the copy was made of it.
    pub run: u64,
}

/// Those of a copy.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Promotions(Vec<Promotion>);

impl Promotions {
    /// Whether there are none.
    pub const fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The version that was promoted last.
    pub fn last(&self) -> Option<&str> {
        self.0.last().map(|last| &*last.version)
    }

    /// All of them.
    pub fn versions(&self) -> impl Iterator<Item = &str> {
        self.0.iter().map(|one| &*one.version)
    }

    /// Notes what serves everyone, where nothing is known of that yet.
    pub fn note_first(&mut self, version: &str, run: u64) {
        if self.is_empty() {
            self.note(version, run, 0);
        }
    }

    /// Notes that a run brought a version. Forgotten is what neither serves, nor served before it, nor
    /// may come back within so many runs.
    pub fn note(&mut self, version: &str, run: u64, window: u32) {
        if self.last() == Some(version) {
            return;
        }
        self.0.push(Promotion {
            version: version.to_owned(),
            run,
        });
        let surplus = self.0.len().saturating_sub(2);
        let old = self.successors().take(surplus);
        let old = old
            .take_while(|(_, replaced)| !is_within(*replaced, run + 1, window))
            .count();
        let old = old.max(self.0.len().saturating_sub(MAX_PROMOTIONS));
        self.0.drain(..old);
    }

    /// The run that brought a version that everyone had when one of the last so many runs before this
    /// one began.
    pub fn within(&self, version: &str, run: u64, window: u32) -> Option<u64> {
        let mut recent = self.successors();
        let found = recent
            .find(|(one, replaced)| one.version == version && is_within(*replaced, run, window));
        found.map(|(one, _)| one.run)
    }

    /// Each that was replaced, and by which run.
    fn successors(&self) -> impl Iterator<Item = (&Promotion, u64)> {
        let replaced = self.0.iter().skip(1).map(|next| next.run);
        self.0.iter().zip(replaced)
    }
}

/// Whether a run is one of the last so many before another.
fn is_within(run: u64, before: u64, window: u32) -> bool {
    run.saturating_add(u64::from(window)) >= before
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rollout::resource::MAX_WINDOW_RUNS;

    fn after(window: u32, brought: &[(&str, u64)]) -> Promotions {
        let mut promotions = Promotions::default();
        for (version, run) in brought {
            promotions.note(version, *run, window);
        }
        promotions
    }

    #[test]
    fn a_version_is_within_as_many_runs_as_came_since_it_was_replaced() {
        let told = after(10, &[("v1", 0), ("v2", 1), ("v3", 4)]);
        // Runs 2 and 3 failed; the next one is run 5.
        let cases = [
            ("v2", 1, Some(1)),
            ("v1", 1, None),
            ("v1", 3, None),
            ("v1", 4, Some(0)),
            // It serves: nobody goes back to it.
            ("v3", 10, None),
            ("v4", 10, None),
        ];
        for (version, window, expected) in cases {
            let within = told.within(version, 5, window);
            assert_eq!(within, expected, "{version} within {window}");
        }
    }

    #[test]
    fn what_serves_and_what_served_before_are_remembered_and_what_a_window_needs() {
        let brought = [("v1", 0), ("v2", 1), ("v3", 2), ("v4", 3), ("v4", 4)];
        let cases = [
            (0, "v3 v4"),
            (1, "v3 v4"),
            (2, "v2 v3 v4"),
            (3, "v1 v2 v3 v4"),
        ];
        for (window, expected) in cases {
            let told = after(window, &brought);
            let versions: Vec<&str> = told.versions().collect();
            assert_eq!(versions.join(" "), expected, "{window}");
        }
    }

    #[test]
    fn no_more_are_remembered_than_the_longest_window_needs() {
        let mut told = Promotions::default();
        for run in 0..100 {
            told.note(&format!("v{run}"), run, MAX_WINDOW_RUNS);
            assert!(told.0.len() <= MAX_PROMOTIONS);
        }
        assert_eq!(told.within("v89", 100, MAX_WINDOW_RUNS), Some(89));
        assert_eq!(told.last(), Some("v99"));
    }
}
