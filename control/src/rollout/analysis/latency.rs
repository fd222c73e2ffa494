//! Quantiles of histograms, judged at the edges of their buckets and never between them.
//!
//! A histogram says how many took at most as long as an edge, so a threshold is looked at through
//! edges: below it for "certainly at most", above it for "certainly more". What lies between is not
//! known, and nothing is interpolated.

use crate::rollout::observation::{Bucket, Edge, Increments};

/// A histogram that has something in it.
#[derive(Clone, Copy, Debug)]
pub(super) struct Histogram<'h> {
    buckets: &'h [Bucket],
    quantile: f64,
}

impl<'h> Histogram<'h> {
    /// `None`: times are not known.
    pub(super) fn of(increments: &'h Increments, quantile: f64) -> Option<Self> {
        let buckets = increments.buckets.as_slice();
        let is_known = buckets.last()?.count > 0;
        is_known.then_some(Self { buckets, quantile })
    }

    /// How many responses there were.
    pub(super) fn total(&self) -> u64 {
        self.buckets.last().map_or(0, |bucket| bucket.count)
    }

    /// How many took longer than the edge at `index`.
    pub(super) fn slower_than(&self, edge: f64) -> u64 {
        let within = self.buckets.iter().filter(|bucket| seconds(bucket) <= edge);
        let within = within.map(|bucket| bucket.count).max().unwrap_or(0);
        self.total().saturating_sub(within)
    }

    /// Whether the quantile is certainly at most this edge.
    pub(super) fn is_within(&self, edge: f64) -> bool {
        let within = self.total().saturating_sub(self.slower_than(edge));
        within as f64 >= self.quantile * self.total() as f64
    }

    /// The upper edge of the bucket that the quantile lies in, in seconds; infinite in the last.
    pub(super) fn upper(&self) -> f64 {
        let rank = self.quantile * self.total() as f64;
        let holding = self
            .buckets
            .iter()
            .find(|bucket| bucket.count as f64 >= rank);
        holding.map_or(f64::INFINITY, seconds)
    }

    /// The greatest edge that is at most this, in seconds; 0 where there is none.
    pub(super) fn edge_below(&self, at: f64) -> f64 {
        let below = self.buckets.iter().map(seconds).filter(|edge| *edge <= at);
        below.fold(0.0, f64::max)
    }

    /// The smallest edge that is at least this, in seconds; infinite where there is none.
    pub(super) fn edge_above(&self, at: f64) -> f64 {
        let above = self.buckets.iter().map(seconds).filter(|edge| *edge >= at);
        above.fold(f64::INFINITY, f64::min)
    }
}

fn seconds(bucket: &Bucket) -> f64 {
    match bucket.upper {
        Edge::At(edge) => edge.as_secs_f64(),
        Edge::Infinite => f64::INFINITY,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    fn increments(buckets: &[(u64, u64)], total: u64) -> Increments {
        let finite = buckets.iter().map(|&(edge, count)| Bucket {
            upper: Edge::At(Duration::from_millis(edge)),
            count,
        });
        let last = Bucket {
            upper: Edge::Infinite,
            count: total,
        };
        Increments {
            responses: total,
            failures: 0,
            buckets: finite.chain([last]).collect(),
        }
    }

    #[test]
    fn a_quantile_is_known_by_the_edges_around_it() {
        let of = increments(&[(100, 50), (500, 90), (1_000, 99)], 100);
        let cases = [
            (0.5, 0.1),
            (0.51, 0.5),
            (0.9, 0.5),
            (0.99, 1.0),
            (0.995, f64::INFINITY),
        ];
        for (quantile, upper) in cases {
            let histogram = Histogram::of(&of, quantile).unwrap();
            assert_eq!(histogram.upper(), upper, "{quantile}");
            assert!(histogram.is_within(upper), "{quantile}");
            assert!(
                !histogram.is_within(histogram.edge_below(upper * 0.99))
                    || upper == f64::INFINITY
                    || quantile <= 0.5,
                "{quantile}"
            );
        }
    }

    #[test]
    fn edges_are_those_that_there_are() {
        let of = increments(&[(100, 50), (500, 90), (1_000, 99)], 100);
        let histogram = Histogram::of(&of, 0.9).unwrap();
        let cases = [
            (0.05, 0.0, 0.1),
            (0.1, 0.1, 0.1),
            (0.6, 0.5, 1.0),
            (2.0, 1.0, f64::INFINITY),
        ];
        for (at, below, above) in cases {
            assert_eq!(histogram.edge_below(at), below, "{at}");
            assert_eq!(histogram.edge_above(at), above, "{at}");
        }
        let slower = [0.0, 0.1, 0.5, 1.0].map(|edge| histogram.slower_than(edge));
        assert_eq!(slower, [100, 50, 10, 1]);
    }

    #[test]
    fn an_empty_histogram_says_nothing() {
        assert!(Histogram::of(&Increments::default(), 0.5).is_none());
        assert!(Histogram::of(&increments(&[(100, 0)], 0), 0.5).is_none());
    }
}
