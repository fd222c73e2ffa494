//! One split's weights as received: every leaf that can be read, and a problem for every one that
//! cannot.
//!
//! A bad leaf costs only itself here. What follows from it is the caller's to say: [`crate::plan`]
//! serves the split as if all its weights were 0, the `sluice` binary keeps the leaves that are
//! good. Whether the split has such audiences and challengers is not asked here, but in
//! [`crate::plan`].

use std::borrow::Cow;

use serde_json::Value;

use crate::allocation::Percent;
use crate::decode::{Decode, Named, mismatch};
use crate::problem::{Accepted, Problem};

/// The weights of one split, leaf by leaf.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Weights {
    /// Audience, then challenger. A number that is no percentage is kept as the problem that it is.
    pub(crate) by_audience: Named<Named<Result<Percent, Problem>>>,
    /// Where something else than a map or a number stands.
    pub(crate) mismatches: Vec<Problem>,
}

impl Weights {
    /// Reads what stands at `weights.<split>` of a configuration without nulls.
    ///
    /// ```
    /// use sluice_core::config::weights::Weights;
    ///
    /// let received = serde_json::json!({"everyone": {"canary": 12.5, "blue": "5"}});
    /// let weights = Weights::read("web", &received);
    /// let (audience, challenger, share) = weights.leaves().next().unwrap();
    /// assert_eq!((audience, challenger, share.as_f64()), ("everyone", "canary", 12.5));
    /// let problems: Vec<_> = weights.problems().map(ToString::to_string).collect();
    /// assert_eq!(problems, ["weights.web.everyone.blue: a string (\"5\"); accepted: a number such as 5"]);
    /// ```
    pub fn read(split: &str, value: &Value) -> Self {
        let mut mismatches = Vec::new();
        let path = format!("weights.{split}");
        let numbers = <Named<Shares>>::decode(&path, value, &mut mismatches);
        let percents_of = |(audience, Shares(numbers)): (String, Shares)| {
            let path = format!("{path}.{audience}");
            (audience, percents(&path, numbers))
        };
        let by_audience = numbers.unwrap_or_default().0.into_iter().map(percents_of);
        Self {
            by_audience: Named(by_audience.collect()),
            mismatches,
        }
    }

    /// Every leaf that is a percentage: audience, challenger, share; in byte order.
    pub fn leaves(&self) -> impl Iterator<Item = (&str, &str, Percent)> {
        let all = self.all();
        all.filter_map(|(audience, challenger, share)| {
            Some((audience, challenger, *share.as_ref().ok()?))
        })
    }

    /// Whatever is not a percentage, or stands where none can stand.
    pub fn problems(&self) -> impl Iterator<Item = &Problem> {
        let percents = self.all().filter_map(|(_, _, share)| share.as_ref().err());
        self.mismatches.iter().chain(percents)
    }

    fn all(&self) -> impl Iterator<Item = (&str, &str, &Result<Percent, Problem>)> {
        self.by_audience.0.iter().flat_map(|(audience, shares)| {
            let shares = shares.0.iter();
            shares.map(|(challenger, share)| (audience.as_str(), challenger.as_str(), share))
        })
    }
}

/// What one audience has.
struct Shares(Named<Share>);

/// What one challenger has, a percentage or not.
struct Share(f64);

impl Decode for Shares {
    fn accepted() -> Cow<'static, str> {
        "a map of challengers such as {canary: 5}".into()
    }

    fn decode(path: &str, value: &Value, problems: &mut Vec<Problem>) -> Option<Self> {
        if value.is_object() {
            return Named::decode(path, value, problems).map(Self);
        }
        problems.push(mismatch(path, value, Self::accepted()));
        None
    }
}

impl Decode for Share {
    fn accepted() -> Cow<'static, str> {
        "a number such as 5".into()
    }

    fn decode(path: &str, value: &Value, problems: &mut Vec<Problem>) -> Option<Self> {
        let number = value.as_f64();
        if number.is_none() {
            problems.push(mismatch(path, value, Self::accepted()));
        }
        number.map(Self)
    }
}

fn percents(path: &str, numbers: Named<Share>) -> Named<Result<Percent, Problem>> {
    let percent = |(challenger, Share(number)): (String, Share)| {
        let share = Percent::new(number).ok_or_else(|| {
            Problem::new(
                format!("{path}.{challenger}"),
                format!("{number} is not a percentage"),
                Accepted::rule("0 to 100 in steps of 0.001"),
            )
        });
        (challenger, share)
    };
    Named(numbers.0.into_iter().map(percent).collect())
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[cfg(all(target_arch = "wasm32", target_os = "unknown"))]
    use wasm_bindgen_test::wasm_bindgen_test as test;

    #[test]
    fn a_bad_leaf_costs_only_itself() {
        let cases: &[(&str, Value, &[(&str, &str, u32)], &[&str])] = &[
            (
                "all good",
                json!({"staff": {"canary": 50}, "everyone": {"canary": 5, "blue": 0.001}}),
                &[
                    ("everyone", "blue", 1),
                    ("everyone", "canary", 5_000),
                    ("staff", "canary", 50_000),
                ],
                &[],
            ),
            (
                "text instead of a number",
                json!({"everyone": {"blue": "5", "canary": 5}}),
                &[("everyone", "canary", 5_000)],
                &["weights.web.everyone.blue: a string (\"5\"); accepted: a number such as 5"],
            ),
            (
                "no percentage",
                json!({"everyone": {"blue": 140, "canary": 5}}),
                &[("everyone", "canary", 5_000)],
                &["weights.web.everyone.blue: 140 is not a percentage; 0 to 100 in steps of 0.001"],
            ),
            (
                "a number instead of an audience's map",
                json!({"staff": 50, "everyone": {"canary": 5}}),
                &[("everyone", "canary", 5_000)],
                &[
                    "weights.web.staff: a number (50); accepted: a map of challengers such as {canary: 5}",
                ],
            ),
            (
                "a number instead of everything",
                json!(5),
                &[],
                &[
                    "weights.web: a number (5); accepted: a map, each value a map of challengers such as {canary: 5}",
                ],
            ),
        ];
        for (label, value, leaves, problems) in cases {
            let weights = Weights::read("web", value);
            let read: Vec<_> = weights
                .leaves()
                .map(|(audience, challenger, share)| (audience, challenger, share.buckets()))
                .collect();
            assert_eq!(read, *leaves, "{label}");
            let said: Vec<_> = weights.problems().map(ToString::to_string).collect();
            assert_eq!(said, *problems, "{label}");
        }
    }
}
