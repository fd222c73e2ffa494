//! One mistake in a configuration: where, what was found, what is accepted.
//!
//! Stores facts; printing a problem puts them into the sentence that stands in the proxy's log and
//! in `sluice validate`. Problems are collected and never thrown, so that all of a document's are
//! reported at once: by [`crate::decode`], [`crate::definition`] and [`crate::plan`].

use std::borrow::Cow;
use std::fmt;

/// The most bytes of each part of a problem; what is longer is cut. Chosen: room for every name of a
/// list that people write by hand.
pub const MAX_PROBLEM_BYTES: usize = 1_024;

/// The most problems of one part of a configuration that are looked for: of a split, of its weights.
/// Chosen: more than anybody mends at once.
pub const MAX_PROBLEMS: usize = 32;

/// One mistake in a configuration.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problem {
    /// Where: the user's own field path, such as `splits.web.rules[0].name`.
    pub path: String,
    /// What was found there.
    pub found: Cow<'static, str>,
    /// What would be right there.
    pub accepted: Accepted,
}

/// What would be right where a problem is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Accepted {
    /// A value of this kind, or one of these.
    Value(Cow<'static, str>),
    /// As [`Accepted::Value`], where YAML seems to have read a name without quotes as something
    /// else.
    QuotedName(Cow<'static, str>),
    /// What satisfies this rule.
    Rule(Cow<'static, str>),
}

impl Problem {
    /// A problem at `path`: `found` stands there, `accepted` would be right.
    pub fn new(
        path: impl Into<String>,
        found: impl Into<Cow<'static, str>>,
        accepted: Accepted,
    ) -> Self {
        Self {
            path: cut(path.into().into()).into_owned(),
            found: cut(found.into()),
            accepted,
        }
    }

    /// Whether it is of weights that are left of a rule or variant which is gone: these count for
    /// nothing, and all other weights of their split are served. What else is ignored may take good
    /// weights with it.
    pub fn is_left_over(&self) -> bool {
        let of_nobody = [" no audience ", " no challenger "];
        self.path.starts_with("weights.")
            && self.found.starts_with("split ")
            && of_nobody.iter().any(|words| self.found.contains(words))
    }
}

/// The beginning of a text, as much of it as a problem may hold.
fn cut(text: Cow<'static, str>) -> Cow<'static, str> {
    if text.len() <= MAX_PROBLEM_BYTES {
        return text;
    }
    let end = (0..=MAX_PROBLEM_BYTES)
        .rev()
        .find(|&end| text.is_char_boundary(end));
    let begin = text.get(..end.unwrap_or(0)).unwrap_or_default();
    format!("{begin}…").into()
}

impl Accepted {
    /// A value of this kind, or one of these.
    pub fn value(what: impl Into<Cow<'static, str>>) -> Self {
        Self::Value(cut(what.into()))
    }

    /// What satisfies this rule.
    pub fn rule(rule: impl Into<Cow<'static, str>>) -> Self {
        Self::Rule(cut(rule.into()))
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let word = match self.accepted {
            Accepted::Value(_) | Accepted::QuotedName(_) => "accepted: ",
            Accepted::Rule(_) => "",
        };
        write!(f, "{}: {}; {word}{}", self.path, self.found, self.accepted)
    }
}

impl fmt::Display for Accepted {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Value(text) | Self::Rule(text) => f.write_str(text),
            Self::QuotedName(text) => write!(
                f,
                "{text}; YAML reads unquoted true, false, on, off, yes, no and digits as something else: quote it"
            ),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[cfg(all(target_arch = "wasm32", target_os = "unknown"))]
    use wasm_bindgen_test::wasm_bindgen_test as test;

    #[test]
    fn a_problem_is_short_whatever_stands_in_the_configuration() {
        let long = "ä".repeat(100_000);
        let problem = Problem::new(long.clone(), long.clone(), Accepted::value(long));
        let part = "ä".repeat(MAX_PROBLEM_BYTES / 2) + "…";
        assert_eq!(
            problem.to_string(),
            format!("{part}: {part}; accepted: {part}")
        );
    }

    #[test]
    fn a_problem_says_where_what_was_found_and_what_is_accepted() {
        let yaml = "YAML reads unquoted true, false, on, off, yes, no and digits as something else";
        let cases = [
            (
                Accepted::value("a string"),
                "splits.web: 5; accepted: a string".to_owned(),
            ),
            (
                Accepted::QuotedName("a string".into()),
                format!("splits.web: 5; accepted: a string; {yaml}: quote it"),
            ),
            (
                Accepted::rule("each split once"),
                "splits.web: 5; each split once".to_owned(),
            ),
        ];
        for (accepted, expected) in cases {
            assert_eq!(
                Problem::new("splits.web", "5", accepted).to_string(),
                expected
            );
        }
    }
}
