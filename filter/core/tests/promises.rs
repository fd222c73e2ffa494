//! The promises of docs/semantics.md, each over many configurations or many users, with fixed
//! seeds.
#![cfg(not(target_arch = "wasm32"))]
#![allow(clippy::unwrap_used, reason = "helpers of tests fail like tests")]

use proptest::prelude::*;
use proptest::test_runner::{Config, RngSeed, TestRunner};
use sluice_core::allocation::{Allocation, MAX_VARIANTS, Percent};
use sluice_core::bucket::{BUCKETS, Seed};
use sluice_core::index::VariantIndex;

/// How many users the statistical promises are checked with.
const USERS: u32 = 1_000_000;

fn check<S: Strategy>(strategy: S, test: impl Fn(S::Value) -> Result<(), TestCaseError>) {
    let config = Config {
        cases: 512,
        rng_seed: RngSeed::Fixed(20_261_120),
        failure_persistence: None,
        ..Config::default()
    };
    TestRunner::new(config).run(&strategy, test).unwrap();
}

fn percents(buckets: &[u32]) -> Vec<Percent> {
    buckets
        .iter()
        .map(|&buckets| Percent::of_buckets(buckets).unwrap())
        .collect()
}

/// Shares of up to seven challengers, at most 100 percent in sum.
fn shares() -> impl Strategy<Value = Vec<u32>> {
    proptest::collection::vec(0..=BUCKETS, 1..MAX_VARIANTS).prop_map(|mut shares| {
        let mut left = BUCKETS;
        for share in &mut shares {
            *share = (*share).min(left);
            left -= *share;
        }
        shares
    })
}

#[test]
fn every_bucket_has_one_owner_and_every_share_is_exact() {
    check(shares(), |shares| {
        let allocation = Allocation::new(&percents(&shares));
        let ranges = allocation.ranges();
        prop_assert_eq!(ranges.first().map(|range| range.start), Some(0));
        prop_assert_eq!(ranges.last().map(|range| range.end), Some(BUCKETS));
        for pair in ranges.windows(2) {
            prop_assert_eq!(pair[0].end, pair[1].start);
        }
        for (share, index) in shares.iter().zip(1..) {
            prop_assert_eq!(allocation.share(VariantIndex::new(index)).buckets(), *share);
        }
        Ok(())
    });
}

#[test]
fn the_same_id_and_audience_always_get_the_same_variant() {
    check((shares(), ".{0,12}", ".{0,40}"), |(shares, salt, id)| {
        let decide = || {
            Allocation::new(&percents(&shares))
                .variant(Seed::new(&salt, None).bucket(id.as_bytes()))
        };
        prop_assert_eq!(decide(), decide());
        Ok(())
    });
}

/// With one or two challengers: always.
#[test]
fn a_ramp_of_one_or_two_challengers_moves_users_only_to_and_from_the_fallback() {
    let two = (0..=BUCKETS, 0..=BUCKETS, 0..=BUCKETS);
    check(two, |(one, other, later)| {
        let (other, later) = (other.min(BUCKETS - one), later);
        for grown_place in [0, 1] {
            let mut before = [one, other];
            let mut after = before;
            after[grown_place] = later.min(BUCKETS - before[1 - grown_place]);
            if after[grown_place] < before[grown_place] {
                std::mem::swap(&mut before, &mut after);
            }
            moves_nobody_else(&before, &after, grown_place)?;
        }
        Ok(())
    });
}

/// With more: while no ranges meet. Each may grow to the next anchor.
#[test]
fn a_ramp_of_seven_challengers_moves_users_only_to_and_from_the_fallback_while_no_ranges_meet() {
    let seven = proptest::collection::vec(0..12_500_u32, 7);
    check(
        (seven, 0..7_usize, 0..12_500_u32),
        |(before, index, later)| {
            let mut after = before.clone();
            after[index] = later;
            if later < before[index] {
                moves_nobody_else(&after, &before, index)
            } else {
                moves_nobody_else(&before, &after, index)
            }
        },
    );
}

/// Whoever had the grown challenger keeps it; whoever changes goes from the fallback to it.
fn moves_nobody_else(before: &[u32], after: &[u32], grown: usize) -> Result<(), TestCaseError> {
    let (before, after) = (
        Allocation::new(&percents(before)),
        Allocation::new(&percents(after)),
    );
    let grown = VariantIndex::new(u8::try_from(grown + 1).unwrap());
    let borders = before
        .ranges()
        .into_iter()
        .chain(after.ranges())
        .flat_map(|range| [range.start, range.end - 1]);
    for bucket in borders {
        let (from, to) = (before.variant(bucket), after.variant(bucket));
        prop_assert!(
            from == to || (from == VariantIndex::FALLBACK && to == grown),
            "bucket {} went from {:?} to {:?}",
            bucket,
            from,
            to
        );
    }
    Ok(())
}

#[test]
fn no_ramp_moves_any_of_a_million_users_wrongly() {
    let seed = Seed::new("web", None);
    let buckets: Vec<u32> = (0..USERS)
        .map(|user| seed.bucket(format!("user-{user}").as_bytes()))
        .collect();
    let ramp = [1, 10, 100, 1_000, 5_000, 25_000, 50_000, 99_999, 100_000];
    let allocations: Vec<Allocation> = ramp
        .iter()
        .map(|&share| Allocation::new(&percents(&[share, 0])))
        .collect();
    let mut moved_wrongly = 0;
    for &bucket in &buckets {
        let variants: Vec<u8> = allocations
            .iter()
            .map(|allocation| allocation.variant(bucket).number())
            .collect();
        moved_wrongly += variants
            .windows(2)
            .filter(|pair| pair[0] == 1 && pair[1] != 1)
            .count();
    }
    assert_eq!(moved_wrongly, 0);
}

#[test]
fn weight_0_gets_nobody_and_weight_100_everybody() {
    for challenger in 0..7 {
        let mut shares = [0; 7];
        let outcome = |shares: &[u32]| Allocation::new(&percents(shares)).only_outcome();
        assert_eq!(outcome(&shares), Some(VariantIndex::FALLBACK));
        shares[challenger] = BUCKETS;
        let variant = VariantIndex::new(u8::try_from(challenger + 1).unwrap());
        assert_eq!(outcome(&shares), Some(variant));
    }
}

/// Ids as services have them: counted, padded, e-mail addresses, hexadecimal.
fn id(kind: usize, number: u32) -> String {
    match kind {
        0 => number.to_string(),
        1 => format!("{number:08}"),
        2 => format!("user{number}@example.com"),
        _ => format!("{:032x}", u128::from(number) * 0x9e37_79b9_7f4a_7c15),
    }
}

#[test]
fn the_share_over_a_million_ids_is_within_4_sigma_of_the_weight() {
    for kind in 0..4 {
        let seed = Seed::new("web", None);
        let buckets: Vec<u32> = (0..USERS)
            .map(|number| seed.bucket(id(kind, number).as_bytes()))
            .collect();
        for weight in [10, 1_000, 5_000, 25_000, 50_000] {
            let hits = buckets.iter().filter(|&&bucket| bucket < weight).count() as f64;
            let share = f64::from(weight) / f64::from(BUCKETS);
            let sigma = (share * (1.0 - share) * f64::from(USERS)).sqrt();
            assert!(
                (hits - share * f64::from(USERS)).abs() < 4.0 * sigma,
                "kind {kind}, weight {weight}: {hits}"
            );
        }
    }
}

#[test]
fn splits_with_different_salts_and_draws_are_independent() {
    let seeds = [
        Seed::new("web", None),
        Seed::new("web2", None),
        Seed::new("checkout", None),
        Seed::new("a", None),
        Seed::new("b", None),
        Seed::new("web", Some("2026-11-20")),
        Seed::new("web", Some("2026-11-21")),
    ];
    const PAIRED_USERS: u32 = 200_000;
    for kind in 0..4 {
        let halves: Vec<Vec<bool>> = seeds
            .iter()
            .map(|seed| {
                (0..PAIRED_USERS)
                    .map(|number| seed.bucket(id(kind, number).as_bytes()) < BUCKETS / 2)
                    .collect()
            })
            .collect();
        for (index, one) in halves.iter().enumerate() {
            for other in halves.iter().skip(index + 1) {
                let agree = one
                    .iter()
                    .zip(other)
                    .filter(|(one, other)| one == other)
                    .count() as f64;
                // Agreement of two fair and independent coins: half, with a deviation of sqrt(n)/2.
                let deviation = (agree - f64::from(PAIRED_USERS) / 2.0)
                    / (f64::from(PAIRED_USERS).sqrt() / 2.0);
                assert!(
                    deviation.abs() < 4.5,
                    "kind {kind}, {index}: {deviation} sigma"
                );
            }
        }
    }
}

#[test]
fn filter_and_control_agree_on_the_revision_of_any_number() {
    check(
        any::<f64>().prop_filter("JSON has no other", |number| number.is_finite()),
        |number| {
            let value = serde_json::json!({"weights": {"web": {"everyone": {"canary": number}}}});
            let sent = sluice_core::revision::canonical(&value);
            let received = sluice_core::config::Document::read(sent.as_bytes()).unwrap();
            prop_assert_eq!(
                received.revision,
                sluice_core::revision::Revision::of(&value)
            );
            Ok(())
        },
    );
}
