//! A one-sided test of trials that hit with a probability of at most p: a mixture over how many
//! times as likely a hit is instead.
//!
//! Against a limit, trials are responses, hits are failures (or slow ones), and p is the limit: the
//! mixture of likelihood ratios of Robbins (Annals of Mathematical Statistics 41, 1970). Against the
//! fallback, trials are the failures of both, hits are the challenger's, and p follows from their
//! exposures ([`ratio_share`]): the conditional test of two inhomogeneous count processes of Lindon
//! and Malek (NeurIPS 2022, arXiv 2011.03567). What rises and falls for both in time cancels there,
//! and no rate has to be known.

use serde::{Deserialize, Serialize};

use super::{mean_of_logs, rounded};

/// How many times the odds of a hit are, one component each. Chosen: from what is barely worse to
/// everything failing; simulated in BENCHMARKS.md.
pub const RATIOS: [f64; 7] = [1.25, 1.5, 2.0, 3.0, 5.0, 10.0, 30.0];

/// The evidence against hits being as rare as p.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Mixture {
    /// The logarithm of each component's likelihood ratio.
    logs: [f64; RATIOS.len()],
}

impl Mixture {
    /// Counts what happened since the last time: `hits` of `trials`, where a trial hits with a
    /// probability of at most `share` while nothing is wrong. With odds r times as great a hit is
    /// r / (1 + share (r - 1)) times as likely, and a miss 1 / (1 + share (r - 1)) times.
    pub fn add(&mut self, hits: u64, trials: u64, share: f64) {
        if !(0.0..1.0).contains(&share) {
            return;
        }
        let (hits, trials) = (hits.min(trials) as f64, trials as f64);
        for (log, ratio) in self.logs.iter_mut().zip(RATIOS) {
            let gain = hits * ratio.ln() - trials * (share * (ratio - 1.0)).ln_1p();
            *log = rounded(*log + gain);
        }
    }

    /// The logarithm of the e-value.
    pub fn evidence(&self) -> f64 {
        mean_of_logs(&self.logs)
    }
}

/// The part of all hits that are the challenger's when its rate is `margin` times the fallback's,
/// with these exposures. `None` when one of them has none: then hits say nothing.
pub fn ratio_share(challenger: f64, fallback: f64, margin: f64) -> Option<f64> {
    let share = challenger * margin / (challenger * margin + fallback);
    let is_compared = challenger > 0.0 && fallback > 0.0 && margin > 0.0;
    (is_compared && share < 1.0).then_some(share)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rollout::statistics::needed;

    /// As the paper writes it, without logarithms: E = mean over r of the product of q(r) / q(1) for
    /// each hit and (1 - q(r)) / (1 - q(1)) for each miss.
    fn by_hand(ticks: &[(u32, u32, f64, f64)], margin: f64) -> f64 {
        let of_ratio = |ratio: f64| {
            let factors = ticks.iter().map(|&(hits, misses, own, others)| {
                let q = |r: f64| own * r / (own * r + others);
                let (q0, q1) = (q(margin), q(margin * ratio));
                (q1 / q0).powi(hits as i32) * ((1.0 - q1) / (1.0 - q0)).powi(misses as i32)
            });
            factors.product::<f64>()
        };
        RATIOS.map(of_ratio).iter().sum::<f64>() / RATIOS.len() as f64
    }

    #[test]
    fn evidence_is_that_of_the_formula() {
        let changing = [(2, 3, 0.05, 0.95), (4, 1, 0.5, 0.5)];
        let cases: [(&str, &[(u32, u32, f64, f64)], f64); 4] = [
            ("nothing happened", &[], 1.0),
            ("one hit at equal weights", &[(1, 0, 0.5, 0.5)], 1.0),
            ("weights change", &changing, 1.0),
            ("a margin of half", &[(7, 3, 0.2, 0.8)], 1.5),
        ];
        for (why, ticks, margin) in cases {
            let mut mixture = Mixture::default();
            for &(hits, misses, own, others) in ticks {
                let share = ratio_share(own, others, margin).unwrap();
                mixture.add(hits.into(), (hits + misses).into(), share);
            }
            let expected = by_hand(ticks, margin).ln();
            assert!((mixture.evidence() - expected).abs() < 0.002, "{why}");
        }
        // One hit at equal weights: the mean of 2 r / (1 + r), by pocket calculator.
        let mut mixture = Mixture::default();
        mixture.add(1, 1, 0.5);
        let found = mixture.evidence().exp();
        assert!((found - 1.509_4).abs() < 0.001, "{found}");
    }

    #[test]
    fn without_exposure_on_both_sides_nothing_is_known() {
        let cases = [
            (0.0, 1.0, 1.0),
            (1.0, 0.0, 1.0),
            (0.5, 0.5, 0.0),
            (f64::NAN, 1.0, 1.0),
            (f64::INFINITY, 1.0, 1.0),
        ];
        for (own, others, margin) in cases {
            assert_eq!(ratio_share(own, others, margin), None, "{own} {others}");
        }
        let mut mixture = Mixture::default();
        for share in [f64::NAN, -0.1, 1.0, f64::INFINITY] {
            mixture.add(5, 5, share);
        }
        assert_eq!(mixture, Mixture::default());
    }

    #[test]
    fn fewer_hits_than_expected_are_never_evidence() {
        let mut mixture = Mixture::default();
        for _ in 0..1_000 {
            mixture.add(1, 100, 0.05);
            assert!(mixture.evidence() <= 0.0);
        }
    }

    /// Marsaglia's xorshift64 (2003): the same draws each time.
    fn uniform(state: &mut u64) -> f64 {
        *state ^= *state << 13;
        *state ^= *state >> 7;
        *state ^= *state << 17;
        (*state >> 11) as f64 / (1_u64 << 53) as f64
    }

    /// In how many of 1,000 runs of 500 trials the evidence ever sufficed at a confidence of 0.95.
    fn found(probability: f64, share: f64) -> usize {
        let mut state = 20_261_121;
        let runs = (0..1_000).filter(|_| {
            let mut mixture = Mixture::default();
            (0..500).any(|_| {
                let hits = u64::from(uniform(&mut state) < probability);
                mixture.add(hits, 1, share);
                mixture.evidence() >= needed(0.95, 1.0)
            })
        });
        runs.count()
    }

    #[test]
    fn it_errs_in_at_most_its_part_of_runs_and_finds_what_is_worse() {
        // At most 50 of 1,000 are allowed at the border, and with fewer hits there are hardly any.
        let (border, better, worse) = (found(0.1, 0.1), found(0.05, 0.1), found(0.2, 0.1));
        assert!((1..=50).contains(&border), "{border}");
        assert!(better <= 5, "{better}");
        assert!(worse > 990, "{worse}");
    }
}
