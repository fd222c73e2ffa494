//! Whether two variants have the parts of the users that their weights say.
//!
//! The Bayes factor of a Dirichlet prior around these parts against the parts themselves, of Lindon
//! and Malek (NeurIPS 2022, arXiv 2011.03567). It needs users, not requests: those of one user stand
//! together. Users are known only as estimates, so both count for only so many users that chance
//! would make the ratio of so many as uncertain as that of the estimates is.

/// How sure the prior is of the weights: as many users. Chosen: quick on gross mismatches; a sketch
/// cannot show others.
const CONCENTRATION: f64 = 100.0;

/// The relative variance of an estimate of users: (1.04 / sqrt(64))^2, of a HyperLogLog with 64
/// registers (Flajolet, Fusy, Gandouet and Meunier, 2007).
const SKETCH_VARIANCE: f64 = 0.0169;

/// The logarithm of the evidence that `challenger` and `fallback` users, both estimates, are not
/// there by these weights. 0 where nothing is known.
pub fn evidence(challenger: f64, fallback: f64, weights: (f64, f64)) -> f64 {
    let total = weights.0 + weights.1;
    let parts = [weights.0 / total, weights.1 / total];
    let certain = certain(challenger, fallback);
    let counts = [challenger, fallback].map(|users| users.max(0.0) * certain);
    let is_known = |value: &f64| value.is_finite() && *value > 0.0;
    if !parts.iter().all(is_known) || counts.iter().any(|count| !count.is_finite()) {
        return 0.0;
    }
    let sum: f64 = counts.iter().sum();
    let of_part = |(part, count): (f64, f64)| {
        let alpha = part * CONCENTRATION;
        ln_gamma(alpha + count) - ln_gamma(alpha) - count * part.ln()
    };
    let terms: f64 = parts.into_iter().zip(counts).map(of_part).sum();
    ln_gamma(CONCENTRATION) - ln_gamma(CONCENTRATION + sum) + terms
}

/// The part of the users that count. The variance of the logarithm of their ratio is 1/c + 1/s by
/// chance, and twice the sketches' beside it; with this part of them it is as much by chance alone.
fn certain(challenger: f64, fallback: f64) -> f64 {
    let harmonic = challenger * fallback / (challenger + fallback);
    1.0 / (1.0 + 2.0 * SKETCH_VARIANCE * harmonic.max(0.0))
}

/// The logarithm of the gamma function, for arguments above 0: Stirling's series, after as many
/// steps of the recurrence as it needs (Abramowitz and Stegun, 6.1.15 and 6.1.41).
fn ln_gamma(argument: f64) -> f64 {
    let (mut shifted, mut correction) = (argument, 0.0);
    while shifted < 10.0 {
        correction -= f64::ln(shifted);
        shifted += 1.0;
    }
    let square = shifted * shifted;
    let series = (1.0 / 12.0 - (1.0 / 360.0 - 1.0 / (1_260.0 * square)) / square) / shifted;
    let half_log = 0.5 * std::f64::consts::TAU.ln();
    correction + (shifted - 0.5) * shifted.ln() - shifted + half_log + series
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rollout::statistics::needed;

    #[test]
    fn ln_gamma_is_that_of_factorials_and_halves() {
        let cases = [
            (1.0, 0.0),
            (2.0, 0.0),
            (5.0, 24.0_f64.ln()),
            (11.0, 3_628_800.0_f64.ln()),
            (0.5, std::f64::consts::PI.sqrt().ln()),
            (100.0, 359.134_205_369_575_4),
        ];
        for (argument, expected) in cases {
            let found = ln_gamma(argument);
            assert!((found - expected).abs() < 1e-8, "{argument}: {found}");
        }
    }

    #[test]
    fn evidence_is_the_bayes_factor_of_beta_and_binomial() {
        // One user of the challenger at even weights: 50/100 over 1/2 is 1; two of two:
        // (50 x 51) / (100 x 101) over 1/4 is 1.0099.
        let found = evidence(1.0, 0.0, (0.5, 0.5));
        assert!(found.abs() < 1e-9, "{found}");
        let found = evidence(2.0, 0.0, (0.5, 0.5)).exp();
        assert!((found - 1.009_901).abs() < 1e-6, "{found}");
    }

    #[test]
    fn gross_mismatches_are_found_and_what_a_sketch_cannot_tell_is_not() {
        let cases = [
            (50.0, 950.0, (0.05, 0.95), false),
            (65.0, 950.0, (0.05, 0.95), false),
            (5_000.0, 5_000.0, (0.5, 0.5), false),
            (4_300.0, 5_700.0, (0.5, 0.5), false),
            (0.0, 1_000.0, (0.5, 0.5), true),
            (900.0, 1_000.0, (0.01, 0.99), true),
            (0.0, 0.0, (0.5, 0.5), false),
        ];
        for (challenger, fallback, weights, is_found) in cases {
            let found = evidence(challenger, fallback, weights);
            let case = format!("{challenger} {fallback} {weights:?}: {found}");
            assert_eq!(found >= needed(0.999, 7.0), is_found, "{case}");
        }
    }

    #[test]
    fn nothing_is_known_without_weights_or_numbers() {
        let cases = [
            (1.0, 1.0, (0.0, 1.0)),
            (1.0, 1.0, (1.0, 0.0)),
            (1.0, 1.0, (f64::NAN, 1.0)),
            (f64::NAN, 1.0, (f64::INFINITY, 1.0)),
        ];
        for (challenger, fallback, weights) in cases {
            assert_eq!(evidence(challenger, fallback, weights), 0.0);
        }
        assert!(!evidence(f64::INFINITY, f64::NAN, (0.5, 0.5)).is_nan());
    }
}
