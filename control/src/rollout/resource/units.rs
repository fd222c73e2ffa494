//! Quantities that carry their unit.

use std::borrow::Cow;
use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use schemars::JsonSchema;
use serde_json::Value;
use sluice_core::allocation::Percent;
use sluice_core::decode::{Decode, mismatch};
use sluice_core::problem::Problem;

/// The longest time that may be written. Chosen: a rollout that holds longer than a quarter is a
/// configuration.
pub const MAX_SPAN: Duration = Duration::from_secs(90 * 24 * 3_600);

/// The units of a [`Span`], greatest first, in milliseconds.
const UNITS: [(&str, u64); 5] = [
    ("d", 86_400_000),
    ("h", 3_600_000),
    ("m", 60_000),
    ("s", 1_000),
    ("ms", 1),
];

/// A length of time as people write it: `90s`, `1h30m`, `500ms`; 0s to 90d.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Span(Duration);

impl Span {
    /// A length of so many seconds; `None` beyond [`MAX_SPAN`].
    pub const fn of_seconds(seconds: u64) -> Option<Self> {
        if seconds > MAX_SPAN.as_secs() {
            return None;
        }
        Some(Self(Duration::from_secs(seconds)))
    }

    /// A length, in whole milliseconds; `None` beyond [`MAX_SPAN`].
    pub fn of(length: Duration) -> Option<Self> {
        let milliseconds = u64::try_from(length.as_millis()).ok()?;
        (length <= MAX_SPAN).then_some(Self(Duration::from_millis(milliseconds)))
    }

    /// As the standard library has it.
    pub const fn as_duration(self) -> Duration {
        self.0
    }

    const ACCEPTED: &'static str = "a time of 0s to 90d such as 90s, 5m or 1h30m";
}

/// Why a text is no [`Span`].
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0:?}; accepted: {accepted}", accepted = Span::ACCEPTED)]
pub struct SpanError(String);

impl FromStr for Span {
    type Err = SpanError;

    fn from_str(text: &str) -> Result<Self, SpanError> {
        parsed(text).map(Self).ok_or_else(|| {
            let begin = text.chars().take(64).collect();
            SpanError(begin)
        })
    }
}

/// The units stand in falling order, each once.
fn parsed(text: &str) -> Option<Duration> {
    let mut rest = text;
    let mut units = UNITS.iter();
    let mut milliseconds: u64 = 0;
    while !rest.is_empty() {
        let end = rest.find(|c: char| !c.is_ascii_digit())?;
        let (digits, tail) = rest.split_at(end);
        let unit_end = tail
            .find(|c: char| c.is_ascii_digit())
            .unwrap_or(tail.len());
        let (unit, after) = tail.split_at(unit_end);
        let (_, size) = units.find(|(name, _)| *name == unit)?;
        let part = digits.parse::<u64>().ok()?.checked_mul(*size)?;
        milliseconds = milliseconds.checked_add(part)?;
        rest = after;
    }
    let span = Duration::from_millis(milliseconds);
    (!text.is_empty() && span <= MAX_SPAN).then_some(span)
}

impl fmt::Display for Span {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut left = u64::try_from(self.0.as_millis()).unwrap_or(u64::MAX);
        if left == 0 {
            return f.write_str("0s");
        }
        for (name, size) in UNITS {
            if left >= size {
                write!(f, "{}{name}", left / size)?;
                left %= size;
            }
        }
        Ok(())
    }
}

impl Decode for Span {
    fn accepted() -> Cow<'static, str> {
        Self::ACCEPTED.into()
    }

    fn decode(path: &str, value: &Value, problems: &mut Vec<Problem>) -> Option<Self> {
        let span = value.as_str().and_then(|text| text.parse().ok());
        if span.is_none() {
            problems.push(mismatch(path, value, Self::accepted()));
        }
        span
    }
}

impl JsonSchema for Span {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> Cow<'static, str> {
        "Span".into()
    }

    fn json_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
        schemars::json_schema!({
            "type": "string",
            "maxLength": 32,
            "pattern": "^([0-9]+d)?([0-9]+h)?([0-9]+m)?([0-9]+s)?([0-9]+ms)?$",
            "minLength": 2,
        })
    }
}

/// A weight as people write it in a step: a number of percent, 0 to 100 in steps of 0.001.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Weight(pub Percent);

impl Decode for Weight {
    fn accepted() -> Cow<'static, str> {
        "a percentage: 0 to 100 in steps of 0.001".into()
    }

    fn decode(path: &str, value: &Value, problems: &mut Vec<Problem>) -> Option<Self> {
        let percent = value.as_f64().and_then(Percent::new);
        if percent.is_none() {
            problems.push(mismatch(path, value, Self::accepted()));
        }
        percent.map(Self)
    }
}

impl JsonSchema for Weight {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> Cow<'static, str> {
        "Weight".into()
    }

    fn json_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
        schemars::json_schema!({"type": "number", "minimum": 0, "maximum": 100})
    }
}

/// A part of a whole as people write it: `95%`; 0% to 100%.
#[derive(Clone, Copy, Debug, Default, PartialEq, PartialOrd)]
pub struct Share(f64);

impl Share {
    /// The part of a whole that so many percent are; `None` outside of 0 to 100.
    pub fn of_percent(percent: f64) -> Option<Self> {
        (0.0..=100.0)
            .contains(&percent)
            .then_some(Self(percent / 100.0))
    }

    /// As a number of 0 to 1.
    pub const fn as_fraction(self) -> f64 {
        self.0
    }
}

impl fmt::Display for Share {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}%", self.0 * 100.0)
    }
}

impl Decode for Share {
    fn accepted() -> Cow<'static, str> {
        "0% to 100%, such as 95%".into()
    }

    fn decode(path: &str, value: &Value, problems: &mut Vec<Problem>) -> Option<Self> {
        let digits = value.as_str().and_then(|text| text.strip_suffix('%'));
        let number = digits.filter(|digits| digits.len() <= 16);
        let share = number.and_then(|number| Self::of_percent(number.parse().ok()?));
        if share.is_none() {
            problems.push(mismatch(path, value, Self::accepted()));
        }
        share
    }
}

impl JsonSchema for Share {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> Cow<'static, str> {
        "Share".into()
    }

    fn json_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
        schemars::json_schema!({
            "type": "string",
            "maxLength": 17,
            "pattern": "^[0-9]+([.][0-9]+)?%$",
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn times_are_read_with_their_unit() {
        let cases = [
            ("0s", 0),
            ("500ms", 500),
            ("90s", 90_000),
            ("1h30m", 5_400_000),
            ("2m1ms", 120_001),
            ("90d", 7_776_000_000),
        ];
        for (text, milliseconds) in cases {
            let span: Span = text.parse().unwrap();
            assert_eq!(span.as_duration().as_millis(), milliseconds, "{text}");
        }
    }

    #[test]
    fn what_is_no_time_is_refused() {
        for text in [
            "",
            "5",
            "s",
            "5 m",
            "-5m",
            "30m1h",
            "1m1m",
            "1.5h",
            "90d1s",
            "91d",
            "1w",
            "99999999999999999999s",
            "18446744073709551615d",
            "5M",
        ] {
            assert_eq!(
                text.parse::<Span>(),
                Err(SpanError(text.to_owned())),
                "{text}"
            );
        }
    }

    proptest! {
        #[test]
        fn what_is_printed_is_read_again(milliseconds in 0_u64..=7_776_000_000) {
            let span = Span(Duration::from_millis(milliseconds));
            prop_assert_eq!(span.to_string().parse(), Ok(span));
        }
    }
}
