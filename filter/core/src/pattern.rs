//! Regular expressions on which RE2 (Envoy, Istio) and Rust agree, compiled for bytes and for the whole value.
//!
//! What the two read differently, or only one accepts, is refused with the reason (facts/splitting.md, section 6:
//! both were run). Identical expressions of one configuration share one program ([`Patterns`]).

use std::collections::HashMap;
use std::sync::{Arc, Weak};

use fnv::FnvBuildHasher;
use regex::bytes::{Regex, RegexBuilder};

use crate::scanner::Scanner;

/// The longest expression, in characters, as Istio's validation has it.
pub const MAX_PATTERN_CHARS: usize = 1_024;

/// The most repetitions RE2 accepts.
const MAX_REPEAT: u32 = 1_000;

/// A bound on one compiled program, in bytes. Chosen: many times what the classic email rule needs.
const MAX_PROGRAM_BYTES: usize = 64 * 1024;

/// A bound on the distinct expressions of one configuration that need an engine. Chosen: as many as splits, and with
/// the bound on each the worst configuration takes 64 MB of a VM instead of all there is.
const MAX_PROGRAMS: usize = 1_000;

/// A compiled expression for whole values.
#[derive(Clone, Debug)]
pub enum Program {
    /// One pass from left to right decides.
    Scanner(Scanner),
    /// Any other expression.
    Regex(Regex),
}

impl Program {
    /// Whether the whole value matches.
    pub fn is_match(&self, value: &[u8]) -> bool {
        match self {
            Self::Scanner(scanner) => scanner.is_match(value),
            Self::Regex(regex) => regex.is_match(value),
        }
    }
}

/// Compiled expressions by their text, shared by whoever uses the same text.
#[derive(Clone, Debug, Default)]
pub struct Patterns {
    /// Weak: whoever matches with an expression owns it, and when nobody does any more, it goes.
    programs: HashMap<String, Weak<Program>, FnvBuildHasher>,
    /// How many of them need an engine.
    engines: usize,
}

impl Patterns {
    /// The compiled expression; compiled now if it is new.
    ///
    /// # Errors
    /// Why the expression is not accepted: found and accepted, in words.
    pub fn compile(&mut self, pattern: &str) -> Result<Arc<Program>, (String, String)> {
        if let Some(known) = self.programs.get(pattern).and_then(Weak::upgrade) {
            return Ok(known);
        }
        check(pattern)?;
        let refused = |error: String| {
            (
                format!("{pattern:?} does not compile: {error}"),
                ACCEPTED.to_owned(),
            )
        };
        let mut parser = regex_syntax::ParserBuilder::new()
            .unicode(false)
            .utf8(false)
            .build();
        let parsed = parser
            .parse(pattern)
            .map_err(|error| refused(last_line(&error.to_string())))?;
        let program = match Scanner::new(&parsed) {
            Some(scanner) => Program::Scanner(scanner),
            None if self.engines >= MAX_PROGRAMS => {
                let found = format!("more than {MAX_PROGRAMS} distinct expressions");
                return Err((
                    found,
                    "share expressions, or use exact, prefix, suffix, in".to_owned(),
                ));
            }
            None => {
                let regex = RegexBuilder::new(&format!(r"\A(?:{pattern})\z"))
                    .unicode(false)
                    .size_limit(MAX_PROGRAM_BYTES)
                    .build();
                Program::Regex(regex.map_err(|error| refused(last_line(&error.to_string())))?)
            }
        };
        self.engines += usize::from(matches!(program, Program::Regex(_)));
        let program = Arc::new(program);
        self.programs
            .insert(pattern.to_owned(), Arc::downgrade(&program));
        Ok(program)
    }

    /// Keeps only the expressions that somebody still uses.
    pub fn forget_unused(&mut self) {
        self.programs
            .retain(|_, program| program.strong_count() > 0);
        let engines = self
            .programs
            .values()
            .filter_map(Weak::upgrade)
            .filter(|program| matches!(**program, Program::Regex(_)));
        self.engines = engines.count();
    }

    /// How many distinct expressions there are.
    pub fn len(&self) -> usize {
        self.programs.len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.programs.is_empty()
    }
}

const ACCEPTED: &str = "accepted: the syntax that RE2 and Rust share";

/// The regex crate draws its syntax errors over several lines; the last one says what is wrong.
fn last_line(error: &str) -> String {
    error
        .lines()
        .last()
        .unwrap_or_default()
        .trim_start_matches("error: ")
        .to_owned()
}

/// Refuses what RE2 and Rust read differently.
fn check(pattern: &str) -> Result<(), (String, String)> {
    let length = pattern.chars().count();
    if length > MAX_PATTERN_CHARS {
        return Err((
            format!("{length} characters"),
            format!("at most {MAX_PATTERN_CHARS}, as in Istio"),
        ));
    }
    let refuse =
        |what: &str, instead: &str| Err((format!("{pattern:?} has {what}"), instead.to_owned()));
    match disagreement(pattern.as_bytes()) {
        None => Ok(()),
        Some((what, instead)) => refuse(what, instead),
    }
}

type Disagreement = (&'static str, &'static str);

fn disagreement(pattern: &[u8]) -> Option<Disagreement> {
    let mut rest = pattern;
    let mut after_quantifier = false;
    while let Some((&byte, after)) = rest.split_first() {
        let was_quantifier = std::mem::take(&mut after_quantifier);
        rest = match byte {
            b'\\' => {
                let (escaped, after) = after.split_first()?;
                if let Some(found) = escape_disagreement(*escaped, after) {
                    return Some(found);
                }
                after
            }
            b'[' => match class_end(after) {
                Ok(after) => after,
                Err(found) => return Some(found),
            },
            b'(' if after.starts_with(b"?") => {
                match flags_disagreement(after.get(1..).unwrap_or_default()) {
                    Some(found) => return Some(found),
                    None => after,
                }
            }
            b'*' | b'+' | b'{' if was_quantifier => {
                return Some((
                    "a repetition of a repetition, which RE2 refuses",
                    "put the inner one in (?:…)",
                ));
            }
            b'?' if was_quantifier => after,
            b'*' | b'+' | b'?' => {
                after_quantifier = true;
                after
            }
            b'{' => {
                let end = after
                    .iter()
                    .position(|&byte| byte == b'}')
                    .unwrap_or(after.len());
                let (counts, after) = after.split_at(end);
                let is_too_many = counts
                    .split(|&byte| byte == b',')
                    .filter_map(|count| std::str::from_utf8(count).ok()?.trim().parse::<u32>().ok())
                    .any(|count| count > MAX_REPEAT);
                if is_too_many {
                    return Some((
                        "more than 1000 repetitions, which RE2 refuses",
                        "at most 1000",
                    ));
                }
                after_quantifier = true;
                after.get(1..).unwrap_or_default()
            }
            _ => after,
        };
    }
    None
}

fn escape_disagreement(escaped: u8, after: &[u8]) -> Option<Disagreement> {
    match escaped {
        b'<' | b'>' => Some((
            r"\< or \>, a literal in RE2 and a word boundary in Rust",
            "write < or > without the backslash",
        )),
        b'b' | b'B' if after.starts_with(b"{") => {
            Some((r"\b{…}, which RE2 reads as a repetition", r"\b alone"))
        }
        b'Q' | b'E' => Some((r"\Q or \E, which only RE2 knows", "escape each character")),
        b'C' => Some((r"\C, which only RE2 knows", ".")),
        b'u' | b'U' => Some((r"\u, which only Rust knows", r"\x{…}")),
        b'0'..=b'9' => Some(("an octal escape or a backreference", r"\x{…}")),
        _ => None,
    }
}

fn flags_disagreement(after_question: &[u8]) -> Option<Disagreement> {
    after_question
        .iter()
        .take_while(|byte| byte.is_ascii_alphabetic() || **byte == b'-')
        .find_map(|flag| match flag {
            b'P' => None,
            b'x' | b'u' | b'R' => Some(("a flag that only Rust knows", "the flags i, m, s, U")),
            _ => None,
        })
        .filter(|_| !after_question.starts_with(b"P") && !after_question.starts_with(b"<"))
}

/// What follows a character class whose content begins `class`.
fn class_end(class: &[u8]) -> Result<&[u8], Disagreement> {
    let content = class.strip_prefix(b"^").unwrap_or(class);
    let mut rest = content.strip_prefix(b"]").unwrap_or(content);
    while let Some((&byte, after)) = rest.split_first() {
        rest = match byte {
            b']' => return Ok(after),
            b'\\' => after.get(1..).unwrap_or_default(),
            b'[' if after.starts_with(b":") => match after.iter().position(|&byte| byte == b']') {
                Some(end) => after.get(end + 1..).unwrap_or_default(),
                None => return Ok(&[]),
            },
            b'[' => return Err(("[ inside a character class, a nested class in Rust", r"\[")),
            b'&' | b'~' | b'-' if after.first() == Some(&byte) => {
                return Err((
                    "&&, -- or ~~ inside a character class, set operations in Rust",
                    "write the character once, or escape it",
                ));
            }
            _ => after,
        };
    }
    Ok(&[])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[cfg(all(target_arch = "wasm32", target_os = "unknown"))]
    use wasm_bindgen_test::wasm_bindgen_test as test;

    #[test]
    fn expressions_match_the_whole_value_in_bytes() {
        let cases: &[(&str, &str, &[u8], bool)] = &[
            ("whole", "a|b", b"a", true),
            ("alternation is anchored on both sides", "a|b", b"ab", false),
            ("bytes that are no text", "a.b", b"a\xffb", true),
            ("digits are ASCII", r"\d+", "٣".as_bytes(), false),
            (
                "case folding is ASCII",
                "(?i)straße",
                "STRAßE".as_bytes(),
                true,
            ),
            (
                "the email rule",
                r"[^@]+@some-company-name\.com",
                b"joe@some-company-name.com",
                true,
            ),
            (
                "its dot is a dot",
                r"[^@]+@some-company-name\.com",
                b"joe@some-company-nameXcom",
                false,
            ),
            ("POSIX classes", "[[:alpha:]]+", b"abc", true),
            ("a literal ] first in a class", "[]a]+", b"]a", true),
            ("lazy repetition", "a+?b", b"aab", true),
            ("named groups", "(?P<x>a)(?<y>b)", b"ab", true),
        ];
        for (label, pattern, value, expected) in cases {
            let compiled = Patterns::default()
                .compile(pattern)
                .unwrap_or_else(|error| panic!("{label}: {error:?}"));
            assert_eq!(compiled.is_match(value), *expected, "{label}");
        }
    }

    #[test]
    fn expressions_that_re2_and_rust_read_differently_are_refused() {
        let cases: &[(&str, &str)] = &[
            ("intersection", "[^;&&]"),
            ("difference", "[a--z]"),
            ("symmetric difference", "[a~~b]"),
            ("nested class", "[[a]"),
            ("word boundary", r"\<a\>"),
            ("quoting", r"\Qa.b\E"),
            ("octal", r"\123"),
            ("backreference", r"(a)\1"),
            ("extended mode", "(?x)a b"),
            ("extended mode among others", "(?ix: a)"),
            ("possessive", "a++"),
            ("doubled star", "a**"),
            ("too many repetitions", "a{1001}"),
            ("Unicode classes", r"\pL"),
            ("look-ahead", "(?=a)"),
            ("unclosed", "(a"),
            ("too large a program", "(a{1000}){1000}"),
        ];
        for (label, pattern) in cases {
            assert!(
                Patterns::default().compile(pattern).is_err(),
                "{label}: {pattern}"
            );
        }
    }

    #[test]
    fn a_refusal_says_what_was_found_and_what_is_accepted() {
        let (found, accepted) = Patterns::default().compile("[^;&&]").unwrap_err();
        assert_eq!(
            found,
            r#""[^;&&]" has &&, -- or ~~ inside a character class, set operations in Rust"#
        );
        assert_eq!(accepted, "write the character once, or escape it");
        let (found, _) = Patterns::default().compile("(a").unwrap_err();
        assert_eq!(found, r#""(a" does not compile: unclosed group"#);
    }

    #[test]
    fn the_classic_rule_fits_and_too_many_engines_do_not() {
        let classic = r"^(.*?;\s*)?(email=[^;]*@some-company-name\.com)(;.*)?$";
        assert!(Patterns::default().compile(classic).is_ok());
        let mut patterns = Patterns::default();
        let used: Vec<_> = (0..MAX_PROGRAMS)
            .map(|number| patterns.compile(&format!("a|b{number}c")).unwrap())
            .collect();
        assert_eq!(
            patterns.compile("a|bc").unwrap_err().0,
            "more than 1000 distinct expressions"
        );
        assert!(patterns.compile("a|b1c").is_ok(), "a known one is free");
        assert!(
            patterns.compile("[^@]+@c").is_ok(),
            "so is one that needs no engine"
        );
        drop(used);
        patterns.forget_unused();
        assert!(
            patterns.compile("a|bc").is_ok(),
            "and what nobody uses does not count"
        );
    }

    #[test]
    fn identical_expressions_are_compiled_once() {
        let mut patterns = Patterns::default();
        let (one, other) = (
            patterns.compile("a+").unwrap(),
            patterns.compile("a+").unwrap(),
        );
        assert!(Arc::ptr_eq(&one, &other));
        drop((one, other));
        patterns.forget_unused();
        assert!(patterns.is_empty());
    }
}
