use super::*;
use crate::rollout::statistics::{Mixture, needed};

/// A round of 300 requests, a tenth of them the challenger's, with so many newcomers of each.
const fn round(own: u64, others: u64) -> Round {
    Round {
        own,
        others,
        requests: 300,
        exposures: (0.1, 0.9),
        margin: 1.0,
    }
}

fn after(rounds: &[(u64, u64)], needed: f64) -> Newcomers {
    let mut newcomers = Newcomers::default();
    for &(own, others) in rounds {
        newcomers.add(round(own, others), needed);
    }
    newcomers
}

#[test]
fn evidence_is_the_mean_of_all_bets() {
    // 300 requests, a tenth of them the challenger's: errors of 4, 6 and 9 % are 1.2, 1.8 and 2.7
    // newcomers, beside 4 less these and 0.3; a tenth of the others are the challenger's anyway.
    let odds = [
        1.0 + 10.0 * 1.2 / 3.1,
        1.0 + 10.0 * 1.8 / 2.5,
        1.0 + 10.0 * 2.7 / 1.6,
        2.0,
        6.0,
    ];
    let of = |odds: f64| odds.powi(3) / (1.0 + 0.1 * (odds - 1.0)).powi(4);
    let expected = odds.map(of).iter().sum::<f64>() / 5.0;
    let found = after(&[(3, 1)], f64::INFINITY).evidence().exp();
    assert!((found / expected - 1.0).abs() < 0.002, "{found} {expected}");
}

/// The mean over all outcomes of a round, each as likely as the weights say, of what counts.
fn mean(before: &Newcomers, trials: u64, needed: f64) -> f64 {
    let choose = |hits: u64| (0..hits).map(|at| (trials - at) as f64 / (at + 1) as f64);
    let outcomes = (0..=trials).map(|own| {
        let mut newcomers = before.clone();
        let others = trials - own;
        newcomers.add(round(own, others), needed);
        let likely = 0.1_f64.powi(own as i32) * 0.9_f64.powi(others as i32);
        choose(own).product::<f64>() * likely * newcomers.evidence().min(needed).exp()
    });
    outcomes.sum()
}

#[test]
fn the_mean_of_a_round_is_what_evidence_was_and_nothing_is_lost_beyond_what_is_needed() {
    let needed = needed(0.99, 1.0);
    for rounds in [
        &[][..],
        &[(2, 1)],
        &[(1, 4), (1, 0), (2, 3)],
        &[(0, 9), (0, 0)],
    ] {
        let before = after(rounds, needed);
        let now = before.evidence().exp();
        for trials in [0, 1, 2, 5, 30] {
            let found = mean(&before, trials, needed);
            assert!(
                (found / now - 1.0).abs() < 0.002,
                "{rounds:?} {trials}: {found} {now}"
            );
        }
    }
}

#[test]
fn more_hits_are_more_evidence_and_what_is_given_away_is_never_taken() {
    let needed = needed(0.99, 1.0);
    let (with, without) = (after(&[(2, 3)], needed), after(&[(2, 3)], f64::INFINITY));
    let mut last = f64::NEG_INFINITY;
    for own in 0..=9 {
        let round = round(own, 9 - own);
        let (mut with, mut without) = (with.clone(), without.clone());
        with.add(round, needed);
        without.add(round, f64::INFINITY);
        assert!(with.evidence() > last, "{own}");
        assert!(with.evidence() > without.evidence(), "{own}");
        last = with.evidence();
    }
}

#[test]
fn errors_weigh_more_once_those_who_always_fail_are_known() {
    let both = |rounds: &[(u64, u64)]| {
        let mut mixture = Mixture::default();
        for &(own, others) in rounds {
            mixture.add(own, own + others, 0.1);
        }
        (
            after(rounds, needed(0.99, 1.0)).evidence(),
            mixture.evidence(),
        )
    };
    let (own, ratios) = both(&[(1, 9), (1, 6), (1, 4), (1, 2), (1, 1), (1, 0), (1, 0)]);
    assert!(own > ratios + 1.0, "{own} {ratios}");
}

/// Marsaglia's xorshift64 (2003): the same draws each time.
fn uniform(state: &mut u64) -> f64 {
    *state ^= *state << 13;
    *state ^= *state >> 7;
    *state ^= *state << 17;
    (*state >> 11) as f64 / (1_u64 << 53) as f64
}

/// In how many of 1,000 runs of 150 rounds of up to five newcomers the evidence ever sufficed, at a
/// confidence of 0.95.
fn found(probability: f64) -> usize {
    let (mut state, needed) = (20_261_122, needed(0.95, 1.0));
    let runs = (0..1_000).filter(|_| {
        let mut newcomers = Newcomers::default();
        (0..150).any(|_| {
            let trials = (uniform(&mut state) * 6.0) as u64;
            let hits = (0..trials).filter(|_| uniform(&mut state) < probability);
            let own = hits.count() as u64;
            newcomers.add(round(own, trials - own), needed);
            newcomers.evidence() >= needed
        })
    });
    runs.count()
}

#[test]
fn it_errs_in_at_most_its_part_of_runs_and_finds_what_is_worse() {
    // 50 of 1,000 are allowed at the border, all are used, and chance adds or takes up to 21 (three
    // standard deviations).
    let (border, better, worse) = (found(0.1), found(0.05), found(0.25));
    assert!((29..=71).contains(&border), "{border}");
    assert!(better <= 15, "{better}");
    assert!(worse > 990, "{worse}");
}

#[test]
fn without_exposure_on_both_sides_nothing_is_known() {
    for exposures in [(0.0, 1.0), (1.0, 0.0), (f64::NAN, 1.0)] {
        let mut newcomers = Newcomers::default();
        let round = Round {
            exposures,
            ..round(5, 0)
        };
        newcomers.add(round, 1.0);
        assert_eq!(newcomers, Newcomers::default());
    }
}

#[test]
fn whatever_is_counted_evidence_stays_a_number() {
    let counts = [0, 1, 7, 1_024, 1_025, u64::MAX];
    for (own, others) in counts
        .into_iter()
        .flat_map(|own| counts.map(|others| (own, others)))
    {
        for requests in [0, 1, u64::MAX] {
            for exposures in [(1e-5, 1.0), (0.5, 0.5), (1.0, 1e-5)] {
                let mut newcomers = Newcomers::default();
                for _ in 0..3 {
                    let round = Round {
                        own,
                        others,
                        requests,
                        exposures,
                        margin: 1.5,
                    };
                    newcomers.add(round, needed(0.99, 1.0));
                }
                let evidence = newcomers.evidence();
                assert!(
                    evidence.is_finite(),
                    "{own} {others} {requests} {exposures:?}"
                );
            }
        }
    }
}
