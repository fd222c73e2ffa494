//! Where a check passes or fails: a comparison with an amount that carries its unit.

use std::borrow::Cow;
use std::fmt;
use std::str::FromStr;

use schemars::JsonSchema;
use serde_json::Value;
use sluice_core::decode::{Decode, mismatch};
use sluice_core::problem::Problem;

use super::units::Span;

/// The longest threshold that is read.
const MAX_THRESHOLD_BYTES: usize = 32;

/// Which side of an amount is meant.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Comparison {
    /// `>=`
    AtLeast,
    /// `>`
    Above,
    /// `<=`
    AtMost,
    /// `<`
    Below,
}

/// Longer ones first, so that `>=` is not read as `>`.
const COMPARISONS: [(&str, Comparison); 4] = [
    (">=", Comparison::AtLeast),
    ("<=", Comparison::AtMost),
    (">", Comparison::Above),
    ("<", Comparison::Below),
];

impl Comparison {
    /// Whether greater values are on this side.
    pub const fn is_upward(self) -> bool {
        matches!(self, Self::AtLeast | Self::Above)
    }

    /// Whether the amount itself is on this side.
    pub const fn is_inclusive(self) -> bool {
        matches!(self, Self::AtLeast | Self::AtMost)
    }

    /// As people write it.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::AtLeast => ">=",
            Self::Above => ">",
            Self::AtMost => "<=",
            Self::Below => "<",
        }
    }
}

/// How much, with its unit.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Amount {
    /// `99%`: a part of a whole, 0 to 1.
    Share(f64),
    /// `500ms`.
    Time(Span),
    /// `+50%`: more than the fallback's by this part of it; 0.5 for `+50%`.
    Relative(f64),
    /// `+1pp`: more than the fallback's by so much of the whole; 0.01 for `+1pp`.
    Points(f64),
    /// `0`: a plain number, of a query.
    Number(f64),
}

impl Amount {
    /// As one number: a share of 0 to 1, seconds, a difference, or the number.
    pub fn value(self) -> f64 {
        match self {
            Self::Time(span) => span.as_duration().as_secs_f64(),
            Self::Share(value) | Self::Relative(value) | Self::Points(value) => value,
            Self::Number(value) => value,
        }
    }
}

/// `>= 99%`, `<= 500ms`, `> +50%`, `> +1pp`, `> 0`.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Threshold {
    /// Which side.
    pub comparison: Comparison,
    /// Of what.
    pub amount: Amount,
}

impl Threshold {
    const ACCEPTED: &'static str =
        "a comparison such as >= 99%, <= 500ms, > +50%, > +1pp or > 0, in at most 32 bytes";

    /// Whether a value, as [`Amount::value`] has it, is on the side that is meant.
    pub fn holds(self, value: f64) -> bool {
        let limit = self.amount.value();
        match self.comparison {
            Comparison::AtLeast => value >= limit,
            Comparison::Above => value > limit,
            Comparison::AtMost => value <= limit,
            Comparison::Below => value < limit,
        }
    }
}

/// Why a text is no [`Threshold`].
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("not a threshold; accepted: {accepted}", accepted = Threshold::ACCEPTED)]
pub struct ThresholdError;

impl FromStr for Threshold {
    type Err = ThresholdError;

    fn from_str(text: &str) -> Result<Self, ThresholdError> {
        if text.len() > MAX_THRESHOLD_BYTES {
            return Err(ThresholdError);
        }
        let text = text.trim();
        let named = COMPARISONS
            .iter()
            .find_map(|(name, comparison)| Some((text.strip_prefix(name)?, *comparison)));
        let (rest, comparison) = named.ok_or(ThresholdError)?;
        let amount = amount(rest.trim_start()).ok_or(ThresholdError)?;
        Ok(Self { comparison, amount })
    }
}

fn amount(text: &str) -> Option<Amount> {
    let is_signed = text.starts_with(['+', '-']);
    if let Some(points) = text.strip_suffix("pp") {
        let points = decimal(points)? / 100.0;
        return (is_signed && points.abs() <= 1.0).then_some(Amount::Points(points));
    }
    if let Some(percent) = text.strip_suffix('%') {
        let part = decimal(percent)? / 100.0;
        return match is_signed {
            true if (-1.0..=1_000.0).contains(&part) => Some(Amount::Relative(part)),
            false if part <= 1.0 => Some(Amount::Share(part)),
            _ => None,
        };
    }
    if text.ends_with(['s', 'm', 'h', 'd']) {
        return text.parse().ok().map(Amount::Time);
    }
    decimal(text).map(Amount::Number)
}

/// Digits with at most one point, and a sign: no `inf`, `nan` or exponents, which nobody means.
fn decimal(text: &str) -> Option<f64> {
    let digits = text.strip_prefix(['+', '-']).unwrap_or(text);
    let is_plain = digits.bytes().all(|b| b.is_ascii_digit() || b == b'.');
    let is_decimal = is_plain && digits.starts_with(|c: char| c.is_ascii_digit());
    is_decimal.then(|| text.parse().ok()).flatten()
}

impl fmt::Display for Threshold {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.comparison.as_str(), self.amount)
    }
}

impl fmt::Display for Amount {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Share(part) => write!(f, "{}%", percent(*part)),
            Self::Time(span) => write!(f, "{span}"),
            Self::Relative(part) => write!(f, "{:+}%", percent(*part)),
            Self::Points(points) => write!(f, "{:+}pp", percent(*points)),
            Self::Number(number) => write!(f, "{number}"),
        }
    }
}

/// 0.995 as 99.5: the product alone may end in a run of nines.
fn percent(part: f64) -> f64 {
    (part * 1e11).round() / 1e9
}

impl Decode for Threshold {
    fn accepted() -> Cow<'static, str> {
        Self::ACCEPTED.into()
    }

    fn decode(path: &str, value: &Value, problems: &mut Vec<Problem>) -> Option<Self> {
        let threshold = value.as_str().and_then(|text| text.parse().ok());
        if threshold.is_none() {
            problems.push(mismatch(path, value, Self::accepted()));
        }
        threshold
    }
}

impl JsonSchema for Threshold {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> Cow<'static, str> {
        "Threshold".into()
    }

    fn json_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
        schemars::json_schema!({
            "type": "string",
            "maxLength": 32,
            "pattern": "^ *(>=|>|<=|<) *([+-]?[0-9]+([.][0-9]*)?(%|pp)?|([0-9]+(d|h|m|s|ms))+) *$",
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn thresholds_are_read_with_their_unit() {
        let cases = [
            (">= 99%", Comparison::AtLeast, Amount::Share(0.99)),
            ("<95%", Comparison::Below, Amount::Share(0.95)),
            (" > +50% ", Comparison::Above, Amount::Relative(0.5)),
            ("> +1pp", Comparison::Above, Amount::Points(0.01)),
            ("< -0.5pp", Comparison::Below, Amount::Points(-0.005)),
            ("> 0", Comparison::Above, Amount::Number(0.0)),
            ("<= -2.5", Comparison::AtMost, Amount::Number(-2.5)),
        ];
        for (text, comparison, amount) in cases {
            assert_eq!(text.parse(), Ok(Threshold { comparison, amount }), "{text}");
        }
        let threshold: Threshold = "<= 500ms".parse().unwrap();
        assert_eq!(threshold.amount.value(), 0.5);
    }

    #[test]
    fn what_is_no_threshold_is_refused() {
        for text in [
            "",
            ">",
            "99%",
            "== 5",
            "> 101%",
            "> 1pp",
            "> +101pp",
            "> nan",
            "> inf",
            "> 1e5",
            "> .5",
            "> 1.2.3",
            "> 5 %",
            "> 1.5s",
            ">> 5",
            "> -101%",
            "> +1%pp",
            "> 00000000000000000000000000000000000000",
        ] {
            assert_eq!(text.parse::<Threshold>(), Err(ThresholdError), "{text}");
        }
    }

    #[test]
    fn the_amount_itself_is_on_the_side_that_includes_it() {
        let cases = [
            (">= 5", true, true),
            ("> 5", false, true),
            ("<= 5", true, false),
            ("< 5", false, false),
        ];
        for (text, at, above) in cases {
            let threshold: Threshold = text.parse().unwrap();
            assert_eq!(threshold.holds(5.0), at, "{text}");
            assert_eq!(threshold.holds(6.0), above, "{text}");
            assert_eq!(threshold.holds(4.0), !above, "{text}");
            assert!(!threshold.holds(f64::NAN), "{text}");
        }
    }

    proptest! {
        #[test]
        fn what_is_printed_is_read_again(
            comparison in prop::sample::select(vec![">=", ">", "<=", "<"]),
            thousandths in 0_u32..100_000,
            kind in prop::sample::select(vec!["%", "+%", "+pp", "-pp", "ms", ""]),
        ) {
            let (sign, unit) = kind.split_at(usize::from(kind.starts_with(['+', '-'])));
            let number = match unit {
                "ms" => thousandths.to_string(),
                _ => format!("{}", f64::from(thousandths) / 1_000.0),
            };
            let threshold: Threshold = format!("{comparison} {sign}{number}{unit}").parse().unwrap();
            prop_assert_eq!(threshold.to_string().parse(), Ok(threshold));
        }
    }
}
