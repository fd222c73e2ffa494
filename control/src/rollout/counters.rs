//! How much counters rose between two times, from their samples as they were scraped.
//!
//! Never extrapolated, as PromQL's `increase()` does: a test counts events, and a fraction of one
//! never happened. Sources call it for all series of one metric at once, because whether a new
//! series began at 0 is known only from the others. Pure.

use std::collections::BTreeSet;

use jiff::Timestamp;

/// One series: a counter of one proxy.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Series {
    /// Which proxy it is of: its pod, or its instance.
    pub proxy: String,
    /// What was scraped, in the order of time, from some while before the time that is asked for.
    pub samples: Vec<Sample>,
}

/// What a counter was at a time.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Sample {
    /// When.
    pub at: Timestamp,
    /// As it was scraped; what is no count (not a number, infinite, negative) is left out.
    pub value: f64,
}

/// How much each series of one metric rose after `from`, up to and with `to`, in their order.
///
/// - The base is the last sample at or before `from`. So of two rounds where one's `to` is the
///   other's `from`, no event is counted twice.
/// - A fall is a reset: what stands after it happened since.
/// - A series without a base began at 0, where its proxy or any other had one.
/// - A proxy that disappears counts up to its last sample.
///
/// `None` when no series has a base: nothing was scraped before `from` (Prometheus was down, or this
/// is the beginning), and what the counters say may be of any time. Then the round is only a base.
pub fn increments(series: &[Series], from: Timestamp, to: Timestamp) -> Option<Vec<u64>> {
    let has_base = series.iter().any(|series| base(series, from).is_some());
    has_base.then(|| series.iter().map(|series| rise(series, from, to)).collect())
}

fn rise(series: &Series, from: Timestamp, to: Timestamp) -> u64 {
    let mut last = base(series, from).unwrap_or(0.0);
    let mut rise = 0.0;
    for sample in counts(series).filter(|sample| sample.at > from && sample.at <= to) {
        rise += if sample.value < last {
            sample.value
        } else {
            sample.value - last
        };
        last = sample.value;
    }
    // The cast saturates; counters are whole numbers, and what rounding left is none.
    f64::round(rise) as u64
}

fn base(series: &Series, from: Timestamp) -> Option<f64> {
    let before = counts(series).filter(|sample| sample.at <= from);
    before.last().map(|sample| sample.value)
}

fn counts(series: &Series) -> impl Iterator<Item = Sample> {
    let samples = series.samples.iter().copied();
    samples.filter(|sample| sample.value.is_finite() && sample.value >= 0.0)
}

/// How many proxies have a sample after `from`, up to and with `to`.
pub fn proxies(series: &[Series], from: Timestamp, to: Timestamp) -> usize {
    let seen = series.iter().filter(|series| {
        let mut counts = counts(series);
        counts.any(|sample| sample.at > from && sample.at <= to)
    });
    seen.map(|series| &series.proxy)
        .collect::<BTreeSet<_>>()
        .len()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(second).unwrap()
    }

    fn series(proxy: &str, samples: &[(i64, f64)]) -> Series {
        let samples = samples.iter().map(|&(second, value)| Sample {
            at: at(second),
            value,
        });
        Series {
            proxy: proxy.to_owned(),
            samples: samples.collect(),
        }
    }

    #[test]
    fn what_rose_is_counted_once() {
        let base = series("a", &[(0, 5.0)]);
        let cases: [(&str, Series, u64); 11] = [
            (
                "a rise",
                series("a", &[(90, 10.0), (105, 12.0), (120, 19.0)]),
                9,
            ),
            ("nothing new", series("a", &[(90, 10.0)]), 0),
            (
                "what stands at the beginning is the base",
                series("a", &[(100, 10.0), (130, 11.0)]),
                1,
            ),
            (
                "what stands at the end counts",
                series("a", &[(100, 10.0), (160, 11.0)]),
                1,
            ),
            (
                "what comes later does not",
                series("a", &[(100, 10.0), (161, 11.0)]),
                0,
            ),
            (
                "a reset",
                series("a", &[(90, 10.0), (105, 12.0), (120, 3.0)]),
                5,
            ),
            (
                "a reset to 0",
                series("a", &[(90, 10.0), (120, 0.0), (150, 4.0)]),
                4,
            ),
            (
                "two resets",
                series("a", &[(90, 10.0), (110, 3.0), (130, 2.0)]),
                5,
            ),
            (
                "a new series of a known proxy",
                series("a", &[(120, 3.0), (150, 4.0)]),
                4,
            ),
            ("a proxy that came", series("b", &[(120, 3.0)]), 3),
            (
                "a proxy that went",
                series("b", &[(90, 10.0), (105, 14.0)]),
                4,
            ),
        ];
        for (why, one, expected) in cases {
            let found = increments(&[base.clone(), one], at(100), at(160));
            assert_eq!(found, Some(vec![0, expected]), "{why}");
        }
    }

    #[test]
    fn what_is_no_count_is_left_out() {
        for odd in [f64::NAN, f64::INFINITY, f64::NEG_INFINITY, -1.0] {
            let one = series("a", &[(90, 10.0), (110, odd), (120, 12.0)]);
            assert_eq!(increments(&[one], at(100), at(160)), Some(vec![2]), "{odd}");
            let base = series("a", &[(90, 10.0), (95, odd), (120, 12.0)]);
            assert_eq!(
                increments(&[base], at(100), at(160)),
                Some(vec![2]),
                "{odd}"
            );
        }
    }

    #[test]
    fn where_nothing_was_scraped_before_a_round_is_only_a_base() {
        let cases = [
            ("nothing at all", vec![]),
            ("empty", vec![series("a", &[])]),
            (
                "prometheus was down",
                vec![series("a", &[(120, 1e6)]), series("b", &[(120, 5.0)])],
            ),
            (
                "no count before",
                vec![series("a", &[(90, f64::NAN), (120, 5.0)])],
            ),
        ];
        for (why, series) in cases {
            assert_eq!(increments(&series, at(100), at(160)), None, "{why}");
        }
    }

    #[test]
    fn proxies_are_counted_once_with_all_their_series() {
        let all = [
            series("a", &[(120, 1.0)]),
            series("a", &[(120, 1.0)]),
            series("b", &[(90, 1.0)]),
            series("c", &[(150, 0.0)]),
        ];
        assert_eq!(proxies(&all, at(100), at(160)), 2);
    }

    fn scraped() -> impl Strategy<Value = Vec<Series>> {
        let value = prop_oneof![9 => (0_u32..1_000).prop_map(f64::from), 1 => Just(f64::NAN)];
        let samples = prop::collection::vec((0_i64..300, value), 0..20).prop_map(|mut samples| {
            samples.sort_by_key(|sample| sample.0);
            series("a", &samples)
        });
        prop::collection::vec(samples, 0..4)
    }

    proptest! {
        #[test]
        fn rounds_that_follow_each_other_count_what_one_long_round_does(
            all in scraped(), first in 0_i64..100, middle in 100_i64..200, last in 200_i64..300,
        ) {
            // With a base at the beginning; without one, a later round may have to begin anew.
            let mut all = all;
            all.push(series("base", &[(0, 0.0)]));
            let between = |from, to| increments(&all, at(from), at(to)).unwrap();
            let parts = between(first, middle).into_iter().zip(between(middle, last));
            let sums: Vec<u64> = parts.map(|(before, after)| before + after).collect();
            prop_assert_eq!(sums, between(first, last));
        }

        #[test]
        fn a_counter_that_only_rises_counts_its_difference(
            rises in prop::collection::vec(0_u32..1_000, 2..20),
        ) {
            let mut total = 0.0;
            let samples: Vec<(i64, f64)> = rises.iter().zip(0..).map(|(rise, at)| {
                total += f64::from(*rise);
                (at, total)
            }).collect();
            let one = series("a", &samples);
            let expected = total - f64::from(rises[0]);
            prop_assert_eq!(increments(&[one], at(0), at(100)), Some(vec![expected as u64]));
        }
    }
}
