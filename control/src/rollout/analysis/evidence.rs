//! Feeding a check's sequential test with what is new in a round.

use super::memory::{Shown, State, Test, digits};
use crate::rollout::observation::Increments;
use crate::rollout::statistics::newcomers::{self, Newcomers};
use crate::rollout::statistics::{Counts, Mixture, Points, ratio_share};

/// Beyond it nobody reads digits, and JSON stays short.
const GREATEST_SHOWN: f64 = 1e12;

/// Responses that hit (failed, or were slow) of all.
#[derive(Clone, Copy, Debug)]
pub(super) struct Hits {
    pub(super) hits: u64,
    pub(super) trials: u64,
}

impl Hits {
    /// Failures since the last round.
    pub(super) fn of_failures(increments: &Increments) -> Self {
        Self {
            hits: increments.failures.min(increments.responses),
            trials: increments.responses,
        }
    }

    const fn counts(self) -> Counts {
        Counts {
            failures: self.hits,
            responses: self.trials,
        }
    }
}

impl State {
    /// Against a limit: a trial hits with a probability of at most `limit`.
    pub(super) fn add_to_limit(&mut self, new: Hits, limit: f64) {
        self.add(new.hits, new.trials, Some(limit));
    }

    /// Against the fallback, by the ratio of rates: at most `margin` times the fallback's.
    pub(super) fn add_to_ratio(&mut self, challenger: Hits, fallback: Hits, margin: f64) {
        let (own, others) = (challenger.trials as f64, fallback.trials as f64);
        let share = ratio_share(own, others, margin);
        let trials = challenger.hits.saturating_add(fallback.hits);
        self.add(challenger.hits, trials, share);
    }

    /// Users who were not known to fail.
    pub(super) fn add_newcomers(&mut self, round: newcomers::Round, needed: f64) {
        let mut newcomers = match self.test.take() {
            Some(Test::Newcomers(newcomers)) => newcomers,
            _ => Newcomers::default(),
        };
        newcomers.add(round, needed);
        self.test = Some(Test::Newcomers(newcomers));
    }

    fn add(&mut self, hits: u64, trials: u64, share: Option<f64>) {
        let mut mixture = match self.test.take() {
            Some(Test::Mixture(mixture)) => mixture,
            _ => Mixture::default(),
        };
        if let Some(share) = share {
            mixture.add(hits, trials, share);
        }
        self.test = Some(Test::Mixture(mixture));
    }

    /// Against the fallback, by the difference of rates: at most `margin`.
    pub(super) fn add_to_points(&mut self, challenger: Hits, fallback: Hits, margin: f64) {
        let mut points = match self.test.take() {
            Some(Test::Points(points)) => points,
            _ => Points::default(),
        };
        points.add(challenger.counts(), fallback.counts(), margin);
        self.test = Some(Test::Points(points));
    }

    /// Shows the evidence there is. Whether it suffices.
    pub(super) fn suffices(&mut self, needed: f64) -> bool {
        let evidence = match &self.test {
            None => 0.0,
            Some(Test::Mixture(mixture)) => mixture.evidence(),
            Some(Test::Newcomers(newcomers)) => newcomers.evidence(),
            Some(Test::Points(points)) => points.evidence(),
        };
        self.show(evidence, needed)
    }

    /// Shows logarithms as what they stand for. Whether the first reaches the second.
    pub(super) fn show(&mut self, evidence: f64, needed: f64) -> bool {
        let shown = |log: f64| digits(log.exp().min(GREATEST_SHOWN), 3).unwrap_or_default();
        self.evidence = Some(Shown {
            now: shown(evidence),
            needed: shown(needed),
        });
        evidence >= needed
    }
}
