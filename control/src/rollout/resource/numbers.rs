//! Numbers without a unit: counts and probabilities.

use std::borrow::Cow;

use schemars::JsonSchema;
use serde_json::Value;
use sluice_core::decode::{Decode, mismatch};
use sluice_core::problem::Problem;

/// The greatest count that may be written. Chosen: nobody waits for more requests in a window.
pub const MAX_COUNT: u32 = 1_000_000;

/// How many: 0 to 1,000,000.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Count(pub u32);

impl Decode for Count {
    fn accepted() -> Cow<'static, str> {
        "a whole number of 0 to 1000000".into()
    }

    fn decode(path: &str, value: &Value, problems: &mut Vec<Problem>) -> Option<Self> {
        let number = value.as_u64().and_then(|number| number.try_into().ok());
        let count = number.filter(|&number| number <= MAX_COUNT).map(Self);
        if count.is_none() {
            problems.push(mismatch(path, value, Self::accepted()));
        }
        count
    }
}

impl JsonSchema for Count {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> Cow<'static, str> {
        "Count".into()
    }

    fn json_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
        schemars::json_schema!({"type": "integer", "minimum": 0, "maximum": 1_000_000})
    }
}

/// A number between 0 and 1, neither of them: a quantile, a confidence.
#[derive(Clone, Copy, Debug, PartialEq, PartialOrd)]
pub struct Probability(f64);

impl Probability {
    /// The number; `None` when it is not between 0.0001 and 0.9999.
    pub fn new(number: f64) -> Option<Self> {
        (0.0001..=0.9999).contains(&number).then_some(Self(number))
    }

    /// As a number.
    pub const fn as_f64(self) -> f64 {
        self.0
    }
}

impl Decode for Probability {
    fn accepted() -> Cow<'static, str> {
        "a number of 0.0001 to 0.9999, such as 0.99".into()
    }

    fn decode(path: &str, value: &Value, problems: &mut Vec<Problem>) -> Option<Self> {
        let probability = value.as_f64().and_then(Self::new);
        if probability.is_none() {
            problems.push(mismatch(path, value, Self::accepted()));
        }
        probability
    }
}

impl JsonSchema for Probability {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> Cow<'static, str> {
        "Probability".into()
    }

    fn json_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
        schemars::json_schema!({"type": "number", "minimum": 0.0001, "maximum": 0.9999})
    }
}
