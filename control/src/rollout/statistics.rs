//! Sequential tests over counters: evidence that may be looked at after every round, as often as
//! one likes, and errs no more often for it.
//!
//! Each holds an e-value: a product of likelihood ratios whose mean is at most 1 while the
//! challenger is no worse, so that it ever reaches 1/a in at most a part a of all runs (Ville's
//! inequality; Ramdas, Grünwald, Vovk and Shafer, Statistical Science 2023, arXiv 2210.01948). All in
//! natural logarithms. [`Mixture`] serves failed users, errors, slow answers and other counters;
//! [`Points`] a margin in points; [`sample_ratio`] asks whether users are where the weights say. Pure;
//! [`super::analysis`] decides what is counted.

mod mixture;
mod points;
pub mod sample_ratio;

pub use mixture::{Mixture, RATIOS, ratio_share};
pub use points::{Counts, Points};

/// What an e-value must reach, as its logarithm, when so many checks in so many steps share the
/// errors that this confidence allows (a union bound: no assumption of what they have in common).
pub fn needed(confidence: f64, checks: usize, steps: usize) -> f64 {
    let looks = (checks.max(1) as f64) * (steps.max(1) as f64);
    (looks / (1.0 - confidence)).ln()
}

/// The logarithm of the mean of what these are logarithms of.
fn mean_of_logs(logs: &[f64]) -> f64 {
    let most = logs.iter().copied().fold(f64::NEG_INFINITY, f64::max);
    if !most.is_finite() {
        return 0.0;
    }
    let sum: f64 = logs.iter().map(|log| (log - most).exp()).sum();
    most + (sum / logs.len() as f64).ln()
}

/// Kept in thousandths, so that a state stays short; far below what any threshold turns on.
fn rounded(log: f64) -> f64 {
    (log * 1_000.0).round() / 1_000.0
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn more_looks_need_more_evidence() {
        let cases = [
            (0.99, 1, 1, 100.0_f64),
            (0.99, 1, 7, 700.0),
            (0.99, 3, 7, 2_100.0),
            (0.999, 1, 1, 1_000.0),
            (0.99, 0, 0, 100.0),
        ];
        for (confidence, checks, steps, expected) in cases {
            let found = needed(confidence, checks, steps);
            assert!((found - expected.ln()).abs() < 1e-9, "{expected}: {found}");
        }
    }

    #[test]
    fn the_mean_of_logs_is_that_of_what_they_stand_for() {
        let cases = [
            (vec![0.0, 0.0], 0.0),
            (vec![2.0_f64.ln(), 4.0_f64.ln()], 3.0_f64.ln()),
            (vec![-1e9, 3.0], 3.0 - 2.0_f64.ln()),
            (vec![1e300, 0.0], 1e300),
            (vec![], 0.0),
        ];
        for (logs, expected) in cases {
            let found = mean_of_logs(&logs);
            assert!((found - expected).abs() < 1e-9, "{logs:?}: {found}");
        }
    }
}
