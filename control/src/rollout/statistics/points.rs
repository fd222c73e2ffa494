//! A one-sided test of a margin in points: whether the challenger's rate is more than the
//! fallback's plus so much.
//!
//! The two-sample e-process of Turner, Ly and Grünwald (J. Stat. Plan. Inference 230, 2024, arXiv
//! 2106.02693), each round a block, its alternative estimated from earlier rounds only. The null has
//! the margin in it, as in Turner and Grünwald (arXiv 2203.09785): the denominator is that pair of
//! rates with a difference of at most the margin which is nearest to the alternative in
//! Kullback-Leibler divergence. Because these pairs are a convex set, the mean is at most 1 for each
//! of them, whatever the block's size.

use serde::{Deserialize, Serialize};

use super::rounded;

/// What the alternative begins with: one failure in 200, so that the first round has an estimate.
const PRIOR: (f64, f64) = (1.0, 200.0);

/// Halvings of an interval of at most 1: beyond what a double resolves.
const HALVINGS: usize = 60;

/// Responses of a variant, and those of them that failed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Counts {
    /// How many failed.
    pub failures: u64,
    /// How many there were.
    pub responses: u64,
}

/// The evidence against a difference of at most the margin.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Points {
    log: f64,
    challenger: Counts,
    fallback: Counts,
}

impl Points {
    /// Counts one round; `margin` is 0.01 for one point. A round without responses of both is only
    /// counted for the estimates.
    pub fn add(&mut self, challenger: Counts, fallback: Counts, margin: f64) {
        if challenger.responses > 0 && fallback.responses > 0 && (0.0..1.0).contains(&margin) {
            self.log = rounded(self.log + self.gain(challenger, fallback, margin));
        }
        self.challenger = self.challenger.and(challenger);
        self.fallback = self.fallback.and(fallback);
    }

    /// The logarithm of the e-value.
    pub const fn evidence(&self) -> f64 {
        self.log
    }

    fn gain(&self, challenger: Counts, fallback: Counts, margin: f64) -> f64 {
        let others = self.fallback.estimate();
        let own = self.challenger.estimate();
        if own <= others + margin {
            // The alternative's nearest rates are of the null itself: the round is no evidence.
            return 0.0;
        }
        let weights = (challenger.responses as f64, fallback.responses as f64);
        let null = nearest(own, others, weights, margin);
        challenger.log_ratio(own, null + margin) + fallback.log_ratio(others, null)
    }
}

impl Counts {
    const fn and(self, other: Self) -> Self {
        Self {
            failures: self.failures.saturating_add(other.failures),
            responses: self.responses.saturating_add(other.responses),
        }
    }

    fn estimate(self) -> f64 {
        let failures = self.failures.min(self.responses) as f64;
        (failures + PRIOR.0) / (self.responses as f64 + PRIOR.1)
    }

    /// Of the two rates' likelihoods, for what was seen.
    fn log_ratio(self, alternative: f64, null: f64) -> f64 {
        let failures = self.failures.min(self.responses) as f64;
        let others = self.responses as f64 - failures;
        let term = |count: f64, of: f64, over: f64| match count > 0.0 {
            true => count * (of / over).ln(),
            false => 0.0,
        };
        term(failures, alternative, null) + term(others, 1.0 - alternative, 1.0 - null)
    }
}

/// The fallback's rate of the pair with a difference of exactly the margin that is nearest to the
/// two rates: where the derivative of the weighted divergence is 0, found by halving. It lies
/// between the fallback's own rate and the challenger's less the margin.
fn nearest(own: f64, others: f64, weights: (f64, f64), margin: f64) -> f64 {
    let slope = |to: f64, rate: f64| (1.0 - rate) / (1.0 - to) - rate / to;
    let (mut low, mut high) = (others, own - margin);
    for _ in 0..HALVINGS {
        let middle = f64::midpoint(low, high);
        let rising = weights.0 * slope(middle + margin, own) + weights.1 * slope(middle, others);
        if rising > 0.0 {
            high = middle;
        } else {
            low = middle;
        }
    }
    f64::midpoint(low, high)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rollout::statistics::needed;

    const fn counts(failures: u64, responses: u64) -> Counts {
        Counts {
            failures,
            responses,
        }
    }

    #[test]
    fn without_a_margin_the_null_is_the_pooled_rate() {
        // (n_c own + n_s others) / (n_c + n_s), as in the first paper.
        let found = nearest(0.2, 0.1, (10.0, 30.0), 0.0);
        assert!((found - 0.125).abs() < 1e-12, "{found}");
    }

    #[test]
    fn the_null_with_a_margin_is_where_the_divergence_is_least() {
        let divergence =
            |of: f64, to: f64| of * (of / to).ln() + (1.0 - of) * ((1.0 - of) / (1.0 - to)).ln();
        let total = |at: f64| 40.0 * divergence(0.08, at + 0.01) + 360.0 * divergence(0.02, at);
        let by_search = (1..89_000_u32).map(|step| f64::from(step) / 1e6);
        let least = by_search.min_by(|a, b| total(*a).total_cmp(&total(*b)));
        let found = nearest(0.08, 0.02, (40.0, 360.0), 0.01);
        assert!((found - least.unwrap()).abs() < 2e-6, "{found} {least:?}");
    }

    /// Over all outcomes of a block, weighted by how likely they are: the mean of the e-value.
    fn mean(before: &Points, sizes: (u64, u64), rates: (f64, f64), margin: f64) -> f64 {
        let choose = |n: u64, k: u64| {
            let factors = (0..k).map(|at| (n - at) as f64 / (at + 1) as f64);
            factors.product::<f64>()
        };
        let likelihood = |n: u64, k: u64, rate: f64| {
            choose(n, k) * rate.powi(k as i32) * (1.0 - rate).powi((n - k) as i32)
        };
        let outcomes = (0..=sizes.0).flat_map(|own| (0..=sizes.1).map(move |others| (own, others)));
        let terms = outcomes.map(|(own, others)| {
            let gain = before.gain(counts(own, sizes.0), counts(others, sizes.1), margin);
            let own = likelihood(sizes.0, own, rates.0);
            gain.exp() * own * likelihood(sizes.1, others, rates.1)
        });
        terms.sum()
    }

    #[test]
    fn the_mean_of_a_round_is_at_most_one_for_every_difference_within_the_margin() {
        let mut before = Points::default();
        before.add(counts(30, 200), counts(10, 400), 0.01);
        for margin in [0.0, 0.01, 0.05] {
            for others in [0.001, 0.02, 0.1, 0.5, 0.9] {
                for part in [-0.5, 0.0, 0.5, 1.0] {
                    let own = f64::max(others + margin * part, 0.0001);
                    let found = mean(&before, (12, 20), (own, others), margin);
                    assert!(found <= 1.0 + 1e-9, "{own} {others} {margin}: {found}");
                }
            }
        }
        // And above 1 where it is worse: the test can find it.
        assert!(mean(&before, (12, 20), (0.15, 0.025), 0.01) > 1.0);
    }

    #[test]
    fn five_points_more_are_found_and_half_a_point_is_within_the_margin() {
        let (mut worse, mut within) = (Points::default(), Points::default());
        for _ in 0..100 {
            worse.add(counts(6, 100), counts(9, 900), 0.01);
            within.add(counts(3, 200), counts(18, 1_800), 0.01);
        }
        assert!(worse.evidence() > needed(0.99, 7.0));
        assert!(within.evidence() <= 0.0, "{}", within.evidence());
    }

    #[test]
    fn whatever_is_counted_evidence_stays_a_number() {
        let extremes = [
            (0, 0),
            (u64::MAX, u64::MAX),
            (u64::MAX, 1),
            (0, u64::MAX),
            (7, 3),
        ];
        for (own, others) in extremes {
            for margin in [0.0, 0.01, 0.999, 1.0, f64::NAN] {
                let mut points = Points::default();
                for _ in 0..3 {
                    points.add(counts(own, others), counts(others, own), margin);
                    points.add(counts(own, others), counts(own, others), margin);
                }
                assert!(!points.evidence().is_nan(), "{own} {others} {margin}");
            }
        }
    }
}
