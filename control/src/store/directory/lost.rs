//! What an abort could not keep of a weights' file: what stood there for others and no longer does.
//!
//! Pure. The weights of the splits that are aborted are no loss, they are what is replaced.

use std::collections::BTreeSet;

use serde_json::Value;
use sluice_core::decode::kind_of;

/// How many losses are named. Chosen: enough to see whose they are.
const MAX_NAMED_LOST: usize = 5;

/// What of `before` is no longer in `after`, in words; `None` where nothing is lost.
pub(super) fn lost(before: &Value, after: &Value, splits: &BTreeSet<String>) -> Option<String> {
    let mut lost = Vec::new();
    for (field, value) in before.as_object().into_iter().flatten() {
        let left = after.get(field).unwrap_or(&Value::Null);
        match (field.as_str(), value) {
            _ if is_same(value, left) => {}
            ("weights" | "draws", Value::Object(by_split)) => {
                let others = by_split.iter().filter(|(name, _)| !splits.contains(*name));
                let gone = others.filter(|(name, value)| {
                    !is_same(value, left.get(*name).unwrap_or(&Value::Null))
                });
                lost.extend(gone.map(|(name, _)| format!("{field}.{name}")));
            }
            _ => lost.push(format!("{field} ({})", kind_of(value))),
        }
    }
    if let Some(more @ 1..) = lost.len().checked_sub(MAX_NAMED_LOST) {
        lost.truncate(MAX_NAMED_LOST);
        lost.push(format!("{more} more"));
    }
    (!lost.is_empty()).then(|| lost.join(", "))
}

/// Whether two values say the same; 7 and 7.0 do.
fn is_same(one: &Value, other: &Value) -> bool {
    match (one, other) {
        (Value::Number(one), Value::Number(other)) => one.as_f64() == other.as_f64(),
        (Value::Object(one), Value::Object(other)) => {
            one.len() == other.len()
                && one
                    .iter()
                    .all(|(name, value)| other.get(name).is_some_and(|other| is_same(value, other)))
        }
        (one, other) => one == other,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn what_an_abort_of_web_does_not_keep_is_named() {
        let zeros = json!({"weights": {"web": {"everyone": {"canary": 0}}}});
        let with_shop = json!({"weights": {"web": {}, "shop": {"everyone": {"canary": 7}}}});
        let many: Value = (0..8)
            .map(|number| (format!("s{number}"), json!(1)))
            .collect();
        let cases = [
            (
                "its own weights",
                json!({"weights": {"web": "x"}}),
                &zeros,
                None,
            ),
            (
                "another's that stay",
                json!({"weights": {"shop": {"everyone": {"canary": 7.0}}}}),
                &with_shop,
                None,
            ),
            (
                "another's that go",
                json!({"weights": {"shop": {"everyone": {"canary": 8}}}, "draws": {"shop": "a"}}),
                &with_shop,
                Some("draws.shop, weights.shop"),
            ),
            (
                "a list",
                json!({"weights": [1]}),
                &zeros,
                Some("weights (a list of 1)"),
            ),
            (
                "what is no weight",
                json!({"cookie": {}}),
                &zeros,
                Some("cookie (a map of 0)"),
            ),
            (
                "many",
                json!({ "weights": many }),
                &zeros,
                Some("weights.s0, weights.s1, weights.s2, weights.s3, weights.s4, 3 more"),
            ),
        ];
        for (label, before, after, expected) in cases {
            let splits = BTreeSet::from(["web".to_owned()]);
            let lost = lost(&before, after, &splits);
            assert_eq!(lost.as_deref(), expected, "{label}");
        }
    }
}
