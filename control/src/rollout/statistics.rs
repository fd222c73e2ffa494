//! Sequential tests over counters: evidence that may be looked at after every round, as often as
//! one likes, and errs no more often for it.
//!
//! Each holds an e-value: a product of likelihood ratios whose mean is at most 1 while the
//! challenger is no worse, so that it ever reaches 1/a in at most a part a of all runs (Ville's
//! inequality; Ramdas, Grünwald, Vovk and Shafer, Statistical Science 2023, arXiv 2210.01948). All in
//! natural logarithms. [`Mixture`] serves errors, slow answers and other counters; [`newcomers`] users who
//! failed; [`Points`] a margin in points; [`sample_ratio`] asks whether users are where the weights say.
//! Pure; [`super::analysis`] decides what is counted.

mod mixture;
pub mod newcomers;
mod points;
pub mod sample_ratio;

pub use mixture::{Mixture, RATIOS, ratio_share};
pub use points::{Counts, Points};

/// What an e-value must reach, as its logarithm, when it has this part of the errors that a
/// confidence allows: one of so many `parts` (a union bound, so it does not matter what the others
/// have in common with it).
pub fn needed(confidence: f64, parts: f64) -> f64 {
    (parts.max(1.0) / (1.0 - confidence)).ln()
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

/// Beyond it nothing turns on how great a logarithm is; JSON has no infinity.
const GREATEST_LOG: f64 = 1e12;

/// Kept in thousandths, so that a state stays short; far below what any threshold turns on. What is
/// no number is no evidence.
fn rounded(log: f64) -> f64 {
    if log.is_nan() {
        return -GREATEST_LOG;
    }
    let log = log.clamp(-GREATEST_LOG, GREATEST_LOG);
    (log * 1_000.0).round() / 1_000.0
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn more_looks_need_more_evidence() {
        let cases = [
            (0.99, 1.0, 100.0_f64),
            (0.99, 7.0, 700.0),
            (0.99, 21.0, 2_100.0),
            (0.999, 1.0, 1_000.0),
            (0.99, 0.0, 100.0),
        ];
        for (confidence, parts, expected) in cases {
            let found = needed(confidence, parts);
            assert!((found - expected.ln()).abs() < 1e-9, "{expected}: {found}");
        }
    }

    #[test]
    fn what_json_has_not_is_kept_as_a_number() {
        let cases = [
            (f64::NAN, -1e12),
            (f64::INFINITY, 1e12),
            (f64::NEG_INFINITY, -1e12),
            (1.234_56, 1.235),
        ];
        for (log, kept) in cases {
            assert_eq!(rounded(log), kept);
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
