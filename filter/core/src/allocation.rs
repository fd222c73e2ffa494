//! Which variant owns which bucket, for one audience of one split.
//!
//! Each challenger grows from its own fixed anchor, so that a ramp moves users only between its
//! challenger and the fallback (docs/semantics.md, "The allocation"). Whether weights add up is
//! checked by [`crate::plan`].

use crate::bucket::BUCKETS;
use crate::index::VariantIndex;

/// The most variants a split may have: the fallback and a challenger for each anchor.
pub const MAX_VARIANTS: usize = 8;

/// A share of users in steps of 0.001 percent: 0 to 100,000 buckets.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Percent(u32);

impl Percent {
    /// Nobody.
    pub const ZERO: Self = Self(0);
    /// Everybody.
    pub const HUNDRED: Self = Self(BUCKETS);

    /// A percentage from 0 to 100 in steps of 0.001; `None` for anything else.
    ///
    /// ```
    /// use sluice_core::allocation::Percent;
    /// assert_eq!(Percent::new(12.5).unwrap().buckets(), 12_500);
    /// assert_eq!(Percent::new(0.0005), None);
    /// assert_eq!(Percent::new(100.001), None);
    /// ```
    pub fn new(percent: f64) -> Option<Self> {
        let thousandths = (percent * 1_000.0).round();
        let is_on_a_step = (percent * 1_000.0 - thousandths).abs() < 1e-6;
        let is_in_range = (0.0..=f64::from(BUCKETS)).contains(&thousandths);
        (is_on_a_step && is_in_range).then_some(Self(thousandths as u32))
    }

    /// A share of so many buckets, at most 100,000.
    pub fn of_buckets(buckets: u32) -> Option<Self> {
        (buckets <= BUCKETS).then_some(Self(buckets))
    }

    /// How many of the 100,000 buckets this is.
    pub const fn buckets(self) -> u32 {
        self.0
    }

    /// The percentage as a number: 0 to 100.
    pub fn as_f64(self) -> f64 {
        f64::from(self.0) / 1_000.0
    }
}

impl std::fmt::Display for Percent {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}", self.as_f64())
    }
}

/// Why a text is no [`Percent`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum PercentError {
    /// It is no number.
    NotANumber(String),
    /// It is a number below 0, above 100 or between two steps.
    NotAStep(String),
}

impl std::fmt::Display for PercentError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::NotANumber(text) => write!(f, "{text:?} is not a percentage; use 0 to 100"),
            Self::NotAStep(text) => {
                write!(
                    f,
                    "{text} is not a percentage; use 0 to 100 in steps of 0.001"
                )
            }
        }
    }
}

impl std::error::Error for PercentError {}

/// As people write it: `12.5` or `12.5%`.
impl std::str::FromStr for Percent {
    type Err = PercentError;

    fn from_str(text: &str) -> Result<Self, PercentError> {
        let digits = text.strip_suffix('%').unwrap_or(text);
        let number = digits
            .parse::<f64>()
            .map_err(|_| PercentError::NotANumber(text.to_owned()))?;
        Self::new(number).ok_or_else(|| PercentError::NotAStep(text.to_owned()))
    }
}

/// As a JSON number with a fraction, such as `5.0`: the form that the history has had from its
/// beginning.
#[cfg(feature = "serde")]
impl serde::Serialize for Percent {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_f64(self.as_f64())
    }
}

#[cfg(feature = "serde")]
impl<'de> serde::Deserialize<'de> for Percent {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let number = f64::deserialize(deserializer)?;
        Self::new(number)
            .ok_or_else(|| serde::de::Error::custom(PercentError::NotAStep(number.to_string())))
    }
}

enum Growth {
    UpFrom(u32),
    DownFrom(u32),
}

/// Where each challenger grows from, by its place in `variants`, beginning with the first
/// challenger.
const ANCHORS: [Growth; MAX_VARIANTS - 1] = [
    Growth::UpFrom(0),
    Growth::DownFrom(BUCKETS),
    Growth::UpFrom(50_000),
    Growth::UpFrom(25_000),
    Growth::UpFrom(75_000),
    Growth::UpFrom(12_500),
    Growth::UpFrom(37_500),
];

/// Buckets `start..end` and the variant that owns them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Range {
    /// The first bucket.
    pub start: u32,
    /// One past the last bucket.
    pub end: u32,
    /// The owner.
    pub variant: VariantIndex,
}

impl Range {
    fn non_empty(self) -> Option<Self> {
        (self.start < self.end).then_some(self)
    }
}

/// The owner of every bucket.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Allocation {
    /// Covers 0..100,000 without a gap, in order. Empty: the fallback owns everything.
    ranges: Box<[Range]>,
}

impl Allocation {
    /// Everything is the fallback's.
    pub fn fallback_only() -> Self {
        Self {
            ranges: Box::default(),
        }
    }

    /// The allocation for the challengers' shares, in the order of `variants` without its first.
    ///
    /// Shares beyond 100 in sum find no bucket left, shares beyond the seventh no anchor: neither
    /// gets any.
    pub fn new(shares: &[Percent]) -> Self {
        let mut free = vec![Range {
            start: 0,
            end: BUCKETS,
            variant: VariantIndex::FALLBACK,
        }];
        let mut ranges = Vec::new();
        for ((index, share), anchor) in (1..).zip(shares).zip(&ANCHORS) {
            let variant = VariantIndex::new(index);
            for taken in take(&mut free, anchor, share.buckets()) {
                insert(&mut ranges, Range { variant, ..taken });
            }
        }
        if ranges.is_empty() {
            return Self::fallback_only();
        }
        for range in free {
            insert(&mut ranges, range);
        }
        Self {
            ranges: merge(ranges),
        }
    }

    /// The owner of a bucket.
    pub fn variant(&self, bucket: u32) -> VariantIndex {
        self.range(bucket).variant
    }

    /// The range that a bucket lies in.
    pub fn range(&self, bucket: u32) -> Range {
        self.ranges
            .iter()
            .find(|range| bucket < range.end)
            .copied()
            .unwrap_or(Range {
                start: 0,
                end: BUCKETS,
                variant: VariantIndex::FALLBACK,
            })
    }

    /// Every range, in order; one for the fallback when nobody else owns anything.
    pub fn ranges(&self) -> Vec<Range> {
        if self.ranges.is_empty() {
            vec![self.range(0)]
        } else {
            self.ranges.to_vec()
        }
    }

    /// The variant that gets everybody, if one does: then identity does not matter.
    pub fn only_outcome(&self) -> Option<VariantIndex> {
        match self.ranges.as_ref() {
            [] => Some(VariantIndex::FALLBACK),
            [one] => Some(one.variant),
            _ => None,
        }
    }

    /// The share of a variant.
    pub fn share(&self, variant: VariantIndex) -> Percent {
        Percent(
            self.ranges()
                .iter()
                .filter(|range| range.variant == variant)
                .map(|range| range.end - range.start)
                .sum(),
        )
    }
}

/// Takes `wanted` buckets out of `free` (in order, disjoint), from the anchor on, modulo 100,000.
fn take(free: &mut Vec<Range>, anchor: &Growth, wanted: u32) -> Vec<Range> {
    let pieces: Vec<Range> = match *anchor {
        Growth::UpFrom(from) => above(free, from).chain(below(free, from)).collect(),
        Growth::DownFrom(from) => {
            let descending = below(free, from).rev();
            descending.chain(above(free, from).rev()).collect()
        }
    };
    let mut left = wanted;
    let mut taken = Vec::new();
    free.clear();
    for piece in pieces {
        let size = left.min(piece.end - piece.start);
        left -= size;
        let cut = match anchor {
            Growth::UpFrom(_) => piece.start + size,
            Growth::DownFrom(_) => piece.end - size,
        };
        let (low, high) = (
            Range { end: cut, ..piece },
            Range {
                start: cut,
                ..piece
            },
        );
        let (got, rest) = match anchor {
            Growth::UpFrom(_) => (low, high),
            Growth::DownFrom(_) => (high, low),
        };
        taken.extend(got.non_empty());
        if let Some(rest) = rest.non_empty() {
            insert(free, rest);
        }
    }
    taken
}

/// The pieces below `at`; a piece across it is cut.
fn below(pieces: &[Range], at: u32) -> impl DoubleEndedIterator<Item = Range> {
    let cut = move |piece: &Range| Range {
        end: piece.end.min(at),
        ..*piece
    };
    pieces
        .iter()
        .filter_map(move |piece| cut(piece).non_empty())
}

/// The pieces from `at` on; a piece across it is cut.
fn above(pieces: &[Range], at: u32) -> impl DoubleEndedIterator<Item = Range> {
    let cut = move |piece: &Range| Range {
        start: piece.start.max(at),
        ..*piece
    };
    pieces
        .iter()
        .filter_map(move |piece| cut(piece).non_empty())
}

/// Keeps the ranges in order. A handful of ranges: `sort` would cost 3 KB of the module.
fn insert(ranges: &mut Vec<Range>, range: Range) {
    let at = ranges.partition_point(|earlier| earlier.start < range.start);
    ranges.insert(at, range);
}

fn merge(ranges: Vec<Range>) -> Box<[Range]> {
    let mut merged: Vec<Range> = Vec::new();
    for range in ranges {
        match merged.last_mut() {
            Some(last) if last.variant == range.variant && last.end == range.start => {
                last.end = range.end
            }
            _ => merged.push(range),
        }
    }
    merged.into_boxed_slice()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[cfg(all(target_arch = "wasm32", target_os = "unknown"))]
    use wasm_bindgen_test::wasm_bindgen_test as test;

    fn ranges(percents: &[f64]) -> Vec<(u32, u32, u8)> {
        let shares: Vec<_> = percents
            .iter()
            .map(|&percent| Percent::new(percent).unwrap())
            .collect();
        Allocation::new(&shares)
            .ranges()
            .iter()
            .map(|range| (range.start, range.end, range.variant.number()))
            .collect()
    }

    #[test]
    fn challengers_grow_from_their_anchors() {
        let cases: &[(&str, &[f64], &[(u32, u32, u8)])] = &[
            ("nobody", &[0.0], &[(0, 100_000, 0)]),
            ("everybody", &[100.0], &[(0, 100_000, 1)]),
            (
                "first goes up from 0",
                &[5.0],
                &[(0, 5_000, 1), (5_000, 100_000, 0)],
            ),
            (
                "second goes down from the top",
                &[5.0, 10.0],
                &[(0, 5_000, 1), (5_000, 90_000, 0), (90_000, 100_000, 2)],
            ),
            ("the smallest step", &[0.001], &[(0, 1, 1), (1, 100_000, 0)]),
            (
                "third goes up from the middle",
                &[0.0, 0.0, 10.0],
                &[(0, 50_000, 0), (50_000, 60_000, 3), (60_000, 100_000, 0)],
            ),
            (
                "taken buckets are skipped",
                &[60.0, 0.0, 10.0],
                &[(0, 60_000, 1), (60_000, 70_000, 3), (70_000, 100_000, 0)],
            ),
            (
                "and the search wraps around",
                &[10.0, 45.0, 10.0],
                &[
                    (0, 10_000, 1),
                    (10_000, 15_000, 3),
                    (15_000, 50_000, 0),
                    (50_000, 55_000, 3),
                    (55_000, 100_000, 2),
                ],
            ),
            (
                "seven challengers keep apart",
                &[1.0; 7],
                &[
                    (0, 1_000, 1),
                    (1_000, 12_500, 0),
                    (12_500, 13_500, 6),
                    (13_500, 25_000, 0),
                    (25_000, 26_000, 4),
                    (26_000, 37_500, 0),
                    (37_500, 38_500, 7),
                    (38_500, 50_000, 0),
                    (50_000, 51_000, 3),
                    (51_000, 75_000, 0),
                    (75_000, 76_000, 5),
                    (76_000, 99_000, 0),
                    (99_000, 100_000, 2),
                ],
            ),
        ];
        for (label, percents, expected) in cases {
            assert_eq!(ranges(percents), *expected, "{label}");
        }
    }

    #[test]
    fn percentages_are_steps_of_a_thousandth_between_0_and_100() {
        let cases = [
            (0.0, Some(0)),
            (0.001, Some(1)),
            (33.333, Some(33_333)),
            (99.999, Some(99_999)),
            (100.0, Some(100_000)),
            (-0.001, None),
            (100.001, None),
            (0.0004, None),
            (f64::NAN, None),
            (f64::INFINITY, None),
        ];
        for (percent, expected) in cases {
            assert_eq!(
                Percent::new(percent).map(Percent::buckets),
                expected,
                "{percent}"
            );
        }
    }
}
