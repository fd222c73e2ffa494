//! Queries of people's own: what stands for `{{…}}`, and which answers are one number. Pure.

use std::fmt::Write as _;
use std::time::Duration;

use crate::cluster::prometheus::{Answer, Outcome, Series};
use crate::rollout::observation::Reading;

use super::target::Target;

/// How many series of too many are named.
const NAMED_SERIES: usize = 3;

/// How many characters of a series, or of what a server warns of, are shown.
const SHOWN_CHARACTERS: usize = 200;

/// A query with everything filled in. What is not known to fill in stays; the spec is checked
/// before.
pub fn filled(query: &str, target: &Target, window: Duration, interval: Duration) -> String {
    let mut filled = String::with_capacity(query.len());
    let mut rest = query;
    while let Some((before, after)) = rest.split_once("{{") {
        filled.push_str(before);
        let Some((name, tail)) = after.split_once("}}") else {
            filled.push_str("{{");
            rest = after;
            continue;
        };
        match value(name.trim(), target, window, interval) {
            Some(value) => filled.push_str(&value),
            None => filled.push_str(&format!("{{{{{name}}}}}")),
        }
        rest = tail;
    }
    filled.push_str(rest);
    filled
}

fn value(name: &str, target: &Target, window: Duration, interval: Duration) -> Option<String> {
    Some(match name {
        "namespace" => quoted(&target.namespace),
        "plugin" => quoted(&target.plugin),
        "split" => quoted(&target.split),
        "audience" => quoted(&target.audience),
        "challenger" => quoted(&target.challenger),
        "fallback" => quoted(&target.fallback),
        "version" => quoted(target.version.as_deref().unwrap_or_default()),
        "window" => duration(window),
        "interval" => duration(interval),
        _ => return None,
    })
}

/// A text as it stands in PromQL between quotes of either kind. Whatever could end the text, or mean
/// something outside of quotes, becomes an escape, which is no PromQL there.
fn quoted(text: &str) -> String {
    let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || b"_-.".contains(&byte);
    let mut quoted = String::with_capacity(text.len());
    for byte in text.bytes() {
        match is_plain(byte) {
            true => quoted.push(char::from(byte)),
            false => quoted.push_str(&format!("\\x{byte:02x}")),
        }
    }
    quoted
}

/// A length of time in PromQL's words.
pub(super) fn duration(length: Duration) -> String {
    match length.as_millis() {
        0 => "1ms".to_owned(),
        whole if whole % 1_000 == 0 => format!("{}s", whole / 1_000),
        milliseconds => format!("{milliseconds}ms"),
    }
}

/// The one number that an answer is: nothing is no data, never zero. Infinity is a number; what is
/// none, or more than one, is an error that says what to write.
pub fn reading(answer: &Answer) -> Reading<f64> {
    if let Some(partial) = partial(answer) {
        return Reading::Error(partial);
    }
    match &answer.outcome {
        Outcome::Vector(series) => match series.as_slice() {
            [] => Reading::NoData,
            [one] => one.last().map_or_else(
                || {
                    wrong(
                        "a histogram and no number; write histogram_quantile(…), or what else is meant of it",
                    )
                },
                |(_, value)| number(value),
            ),
            many => Reading::Error(too_many(many)),
        },
        Outcome::Scalar((_, value)) => value
            .parse()
            .map_or_else(|_| wrong("a scalar that is no number"), number),
        Outcome::Matrix(_) => wrong(
            "samples of a range and no number; write a function over the range, such as rate(…) or max_over_time(…)",
        ),
        Outcome::String(_) => wrong("a text and no number"),
    }
}

/// Why some of an answer is missing, where some is.
pub(super) fn partial(answer: &Answer) -> Option<String> {
    let first = answer.warnings.first()?;
    let more = match answer.warnings.len() - 1 {
        0 => String::new(),
        more => format!(", and {more} more"),
    };
    Some(format!(
        "a partial answer, which is not judged: {}{more}",
        cut(first)
    ))
}

fn wrong(what: &str) -> Reading<f64> {
    Reading::Error(what.to_owned())
}

fn number(value: f64) -> Reading<f64> {
    match value.is_nan() {
        true => wrong("NaN, as 0/0 is; write what is to count where there was nothing"),
        false => Reading::Value(value),
    }
}

fn too_many(series: &[Series]) -> String {
    let mut named = String::new();
    for one in series.iter().take(NAMED_SERIES) {
        let separator = if named.is_empty() { "" } else { ", " };
        let labels: Vec<String> = one
            .labels()
            .iter()
            .map(|(name, value)| format!("{name}={value:?}"))
            .collect();
        let shown = cut(&format!("{{{}}}", labels.join(", ")));
        let _ = write!(named, "{separator}{shown}");
    }
    format!(
        "{} series where one number is needed, such as {named}; write sum(…), max(…), or a matcher that leaves one",
        series.len()
    )
}

fn cut(text: &str) -> String {
    match text.char_indices().nth(SHOWN_CHARACTERS) {
        Some((at, _)) => format!("{}…", text.get(..at).unwrap_or_default()),
        None => text.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{Value, json};

    fn answer(outcome: Value) -> Answer {
        Answer {
            outcome: serde_json::from_value(outcome).unwrap(),
            warnings: Vec::new(),
        }
    }

    fn vector(series: Value) -> Answer {
        answer(json!({"resultType": "vector", "result": series}))
    }

    fn error(text: &str) -> Reading<f64> {
        Reading::Error(text.to_owned())
    }

    #[test]
    fn an_answer_is_one_number_or_says_why_not() {
        let one = |value: &str| json!({"metric": {"a": "b"}, "value": [1.5, value]});
        let scalar = |value: &str| answer(json!({"resultType": "scalar", "result": [1.5, value]}));
        let nan = || error("NaN, as 0/0 is; write what is to count where there was nothing");
        let cases = [
            (vector(json!([])), Reading::NoData),
            (vector(json!([one("0")])), Reading::Value(0.0)),
            (vector(json!([one("1e-3")])), Reading::Value(0.001)),
            (vector(json!([one("+Inf")])), Reading::Value(f64::INFINITY)),
            (
                vector(json!([one("-Inf")])),
                Reading::Value(f64::NEG_INFINITY),
            ),
            (vector(json!([one("NaN")])), nan()),
            (scalar("5"), Reading::Value(5.0)),
            (scalar("NaN"), nan()),
            (
                vector(json!([one("1"), one("2"), one("3"), one("4")])),
                error(
                    "4 series where one number is needed, such as {a=\"b\"}, {a=\"b\"}, {a=\"b\"}; write sum(…), \
                     max(…), or a matcher that leaves one",
                ),
            ),
            (
                vector(json!([{"metric": {}, "histogram": [1.5, {"count": "1"}]}])),
                error(
                    "a histogram and no number; write histogram_quantile(…), or what else is meant of it",
                ),
            ),
            (
                answer(json!({"resultType": "matrix", "result": []})),
                error(
                    "samples of a range and no number; write a function over the range, such as rate(…) or \
                     max_over_time(…)",
                ),
            ),
            (
                answer(json!({"resultType": "string", "result": [1.5, "a"]})),
                error("a text and no number"),
            ),
        ];
        for (answer, expected) in cases {
            assert_eq!(reading(&answer), expected, "{answer:?}");
        }
        let partial = Answer {
            warnings: vec!["store a: down".to_owned(), "store b: down".to_owned()],
            ..vector(json!([one("1")]))
        };
        assert_eq!(
            reading(&partial),
            error("a partial answer, which is not judged: store a: down, and 1 more")
        );
    }

    #[test]
    fn what_is_filled_in_cannot_leave_its_quotes() {
        let target = Target {
            namespace: "shop".to_owned(),
            plugin: "my.plugin".to_owned(),
            split: "web".to_owned(),
            audience: "everyone".to_owned(),
            challenger: "canary".to_owned(),
            fallback: "stable".to_owned(),
            version: Some("1 \"or\" é'\\{{split}}".to_owned()),
            plugin_names: Vec::new(),
        };
        let cases = [
            (
                "a{n=\"{{namespace}}\",p='{{ plugin }}'}[{{window}}]",
                "a{n=\"shop\",p='my.plugin'}[300s]",
            ),
            (
                "{{split}} {{audience}} {{challenger}} {{fallback}} {{interval}}",
                "web everyone canary stable 1500ms",
            ),
            (
                "a{v=\"{{version}}\"}",
                "a{v=\"1\\x20\\x22or\\x22\\x20\\xc3\\xa9\\x27\\x5c\\x7b\\x7bsplit\\x7d\\x7d\"}",
            ),
            ("a{{other}} {{ open", "a{{other}} {{ open"),
        ];
        for (query, expected) in cases {
            let window = Duration::from_secs(300);
            let interval = Duration::from_millis(1_500);
            assert_eq!(filled(query, &target, window, interval), expected);
        }
    }
}
