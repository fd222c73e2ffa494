//! What applies: whether a value, a condition, a rule or a path matches.

use std::fmt;
use std::sync::Arc;

use crate::pattern::Expression;
use crate::request::{Request, Seen};

/// How a value is compared.
#[derive(Clone, Debug)]
pub enum Matcher {
    /// The whole value.
    Exact(Box<str>),
    /// How it begins.
    Prefix(Box<str>),
    /// How it ends.
    Suffix(Box<str>),
    /// An expression for the whole value.
    Regex(Arc<Expression>),
    /// One of several whole values, in byte order.
    OneOf(Box<[Box<str>]>),
    /// Whether there is a value at all.
    Present(bool),
}

impl Matcher {
    /// Whether `value` matches. An absent value matches only `present: false`; an empty one is
    /// present.
    pub fn holds(&self, value: Option<&[u8]>) -> bool {
        let Some(value) = value else {
            return matches!(self, Self::Present(false));
        };
        match self {
            Self::Exact(exact) => value == exact.as_bytes(),
            Self::Prefix(prefix) => value.starts_with(prefix.as_bytes()),
            Self::Suffix(suffix) => value.ends_with(suffix.as_bytes()),
            Self::Regex(expression) => expression.is_match(value),
            Self::OneOf(values) => values
                .binary_search_by(|one| one.as_bytes().cmp(value))
                .is_ok(),
            Self::Present(present) => *present,
        }
    }

    /// As [`Matcher::holds`], for a value of a request, whose allowance it takes from.
    pub fn holds_for<R: Request>(&self, value: Option<&[u8]>, seen: &Seen<'_, R>) -> bool {
        match (self, value) {
            (_, None) => self.holds(None),
            (Self::Regex(expression), Some(value)) => seen.is_match(expression, value),
            _ => seen.affords(self.steps()) && self.holds(value),
        }
    }

    /// What a comparison costs, in steps of a request's allowance.
    fn steps(&self) -> usize {
        match self {
            Self::Exact(text) | Self::Prefix(text) | Self::Suffix(text) => 16 + text.len() / 8,
            // A binary search, through fewer than 2^16 values.
            Self::OneOf(_) => 16 * 16,
            Self::Regex(_) | Self::Present(_) => 16,
        }
    }
}

impl fmt::Display for Matcher {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Exact(exact) => write!(f, "exact {exact:?}"),
            Self::Prefix(prefix) => write!(f, "prefix {prefix:?}"),
            Self::Suffix(suffix) => write!(f, "suffix {suffix:?}"),
            Self::Regex(expression) => write!(f, "regex '{}'", expression.text()),
            Self::OneOf(values) => write!(f, "in {values:?}"),
            Self::Present(present) => write!(f, "present {present}"),
        }
    }
}

/// What a condition looks at.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Subject {
    /// A cookie.
    Cookie(Arc<str>),
    /// A request header; the name is in lower case.
    Header(Arc<str>),
    /// A query parameter.
    Query(Arc<str>),
    /// A JWT claim.
    Claim(Arc<str>),
}

impl Subject {
    /// Its value in a request.
    pub fn value<'a, 'r, R: Request>(&'r self, seen: &'a Seen<'r, R>) -> Option<&'a [u8]> {
        match self {
            Self::Cookie(name) => seen.cookie(name.as_bytes()),
            Self::Header(name) => seen.header(name),
            Self::Query(name) => seen.query(name.as_bytes()),
            Self::Claim(name) => seen.claim(name),
        }
    }
}

impl fmt::Display for Subject {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Cookie(name) => write!(f, "cookie {name}"),
            Self::Header(name) => write!(f, "header {name}"),
            Self::Query(name) => write!(f, "query parameter {name}"),
            Self::Claim(name) => write!(f, "claim {name}"),
        }
    }
}

/// One comparison of an alternative.
#[derive(Clone, Debug)]
pub struct Condition {
    /// What is looked at.
    pub subject: Subject,
    /// What it is compared with.
    pub matcher: Matcher,
}

impl Condition {
    /// Whether it holds for a request.
    pub fn holds<'r, R: Request>(&'r self, seen: &Seen<'r, R>) -> bool {
        self.matcher.holds_for(self.subject.value(seen), seen)
    }
}

/// A rule: it names an audience.
#[derive(Clone, Debug)]
pub struct Rule {
    /// The audience's name.
    pub name: Box<str>,
    /// Alternatives; inside one, every condition must hold.
    pub alternatives: Box<[Box<[Condition]>]>,
}

impl Rule {
    /// Whether some alternative holds as a whole.
    pub fn matches<'r, R: Request>(&'r self, seen: &Seen<'r, R>) -> bool {
        self.alternatives
            .iter()
            .any(|alternative| alternative.iter().all(|condition| condition.holds(seen)))
    }
}

/// Whether a split's paths match; no paths are every path.
pub fn on_path<R: Request>(paths: &[Matcher], seen: &Seen<'_, R>) -> bool {
    paths.is_empty() || {
        let path = seen.path_without_query();
        paths.iter().any(|matcher| matcher.holds_for(path, seen))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    use crate::pattern::Patterns;
    #[cfg(all(target_arch = "wasm32", target_os = "unknown"))]
    use wasm_bindgen_test::wasm_bindgen_test as test;

    #[test]
    fn values_match_byte_for_byte() {
        let regex = Matcher::Regex(Patterns::default().compile("a.c").unwrap());
        let one_of = Matcher::OneOf(["gold".into(), "platinum".into()].into());
        let cases: &[(&str, Matcher, Option<&[u8]>, bool)] = &[
            ("exact", Matcher::Exact("ios".into()), Some(b"ios"), true),
            (
                "exact is the whole value",
                Matcher::Exact("ios".into()),
                Some(b"ios17"),
                false,
            ),
            (
                "exact has case",
                Matcher::Exact("ios".into()),
                Some(b"iOS"),
                false,
            ),
            (
                "prefix",
                Matcher::Prefix("ios".into()),
                Some(b"ios17"),
                true,
            ),
            (
                "prefix of something shorter",
                Matcher::Prefix("ios".into()),
                Some(b"io"),
                false,
            ),
            (
                "suffix",
                Matcher::Suffix(".com".into()),
                Some(b"x.com"),
                true,
            ),
            ("regex", regex.clone(), Some(b"a\xffc"), true),
            (
                "regex is the whole value",
                regex.clone(),
                Some(b"xabc"),
                false,
            ),
            ("in", one_of.clone(), Some(b"platinum"), true),
            ("not in", one_of.clone(), Some(b"silver"), false),
            ("empty is present", Matcher::Present(true), Some(b""), true),
            (
                "empty is not absent",
                Matcher::Present(false),
                Some(b""),
                false,
            ),
            ("absent", Matcher::Present(false), None, true),
            ("absent is not present", Matcher::Present(true), None, false),
            (
                "absent matches no prefix",
                Matcher::Prefix("".into()),
                None,
                false,
            ),
            ("absent matches no regex", regex, None, false),
            ("absent is in nothing", one_of, None, false),
        ];
        for (label, matcher, value, expected) in cases {
            assert_eq!(matcher.holds(*value), *expected, "{label}");
        }
    }
}
