//! Lengths of time as Go writes them (`1h30m`, `1.5h`, `300ms`), as ours.

use std::time::Duration;

use serde_json::Value;

use crate::rollout::resource::Span;

/// Go's units, in nanoseconds (package time, ParseDuration).
const UNITS: [(&str, f64); 8] = [
    ("ns", 1.0),
    ("us", 1e3),
    ("µs", 1e3),
    ("μs", 1e3),
    ("ms", 1e6),
    ("s", 1e9),
    ("m", 6e10),
    ("h", 3.6e12),
];

/// A length of Go's; `None` for what is none, is negative or is longer than a century.
pub(super) fn of_go(text: &str) -> Option<Duration> {
    let mut rest = text.trim();
    if rest == "0" {
        return Some(Duration::ZERO);
    }
    if rest.is_empty() || rest.len() > 64 {
        return None;
    }
    let mut nanoseconds = 0.0;
    while !rest.is_empty() {
        let is_number = |c: char| c.is_ascii_digit() || c == '.';
        let end = rest.find(|c: char| !is_number(c))?;
        let (number, tail) = rest.split_at(end);
        let unit_end = tail.find(is_number).unwrap_or(tail.len());
        let (unit, after) = tail.split_at(unit_end);
        let (_, size) = UNITS.iter().find(|(name, _)| *name == unit)?;
        nanoseconds += number.parse::<f64>().ok()? * size;
        rest = after;
    }
    of_seconds(nanoseconds / 1e9)
}

/// A length of so many seconds.
pub(super) fn of_seconds(seconds: f64) -> Option<Duration> {
    const CENTURY: f64 = 3.2e9;
    (0.0..=CENTURY)
        .contains(&seconds)
        .then(|| Duration::from_secs_f64(seconds))
}

/// A pause of Argo's: a number of seconds, the same as a text, or a length of Go's.
pub(super) fn of_pause(value: &Value) -> Option<Duration> {
    match value {
        Value::String(text) => match text.parse::<f64>() {
            Ok(seconds) => of_seconds(seconds),
            Err(_) => of_go(text),
        },
        other => of_seconds(other.as_f64()?),
    }
}

/// A length as we write it, in whole milliseconds; `None` beyond the longest that may be written.
pub(super) fn written(length: Duration) -> Option<String> {
    // Half a millisecond more, so that 0.3 s is no 299 ms.
    let length = length.checked_add(Duration::from_micros(500))?;
    Some(Span::of(length)?.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn lengths_of_go_are_ours() {
        let cases = [
            ("1h30m", Some("1h30m")),
            ("1.5h", Some("1h30m")),
            ("300ms", Some("300ms")),
            ("0.3s", Some("300ms")),
            ("0", Some("0s")),
            ("90s", Some("1m30s")),
            ("48h", Some("2d")),
            ("2161h", None),
            ("-5m", None),
            ("5", None),
            ("m", None),
            ("1d", None),
            ("", None),
            ("9999999999999999999999h", None),
        ];
        for (text, expected) in cases {
            let found = of_go(text).and_then(written);
            assert_eq!(found.as_deref(), expected, "{text}");
        }
    }

    #[test]
    fn a_pause_is_seconds_or_a_length() {
        let cases = [
            (json!(40), Some(40)),
            (json!("40"), Some(40)),
            (json!("1m"), Some(60)),
            (json!(true), None),
            (json!(-1), None),
        ];
        for (value, seconds) in cases {
            assert_eq!(
                of_pause(&value),
                seconds.map(Duration::from_secs),
                "{value}"
            );
        }
    }
}
