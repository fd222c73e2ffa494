//! Regular expressions on which RE2 (Envoy, Istio) and Rust agree, compiled for bytes and for the
//! whole value.
//!
//! What the two read differently, or only one accepts, is refused with the reason ([`dialect`]).
//! Identical expressions of one configuration share one program ([`Patterns`]). Used by
//! [`crate::definition`].

pub mod dialect;

use std::collections::HashMap;
use std::sync::{Arc, Weak};

use fnv::FnvBuildHasher;
use regex::bytes::{Regex, RegexBuilder};

use crate::problem::{Accepted, Problem};
use crate::scanner::Scanner;
use dialect::{Disagreement, disagreement};

/// The longest expression, in characters, as Istio's validation has it.
pub const MAX_PATTERN_CHARS: usize = 1_024;

/// A bound on one compiled program, in bytes. Chosen: many times what the classic email rule needs.
const MAX_PROGRAM_BYTES: usize = 64 * 1024;

/// A bound on the distinct expressions of one configuration that need an engine. Chosen: as many as
/// splits, and with the bound on each the worst configuration takes 64 MB of a VM instead of all
/// there is.
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

/// Why an expression is not accepted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum PatternError {
    /// It has more than [`MAX_PATTERN_CHARS`] characters.
    TooLong {
        /// How many it has.
        chars: usize,
    },
    /// RE2 and Rust would read it differently, or only one of them accepts it.
    Disagreement {
        /// The expression.
        pattern: String,
        /// On what.
        disagreement: Disagreement,
    },
    /// It is no expression, or too large a one.
    DoesNotCompile {
        /// The expression.
        pattern: String,
        /// What the compiler says of it.
        error: String,
    },
    /// The configuration has too many distinct expressions that need an engine.
    TooMany,
}

impl PatternError {
    /// The problem of having such an expression at `path`.
    pub fn at(self, path: String) -> Problem {
        match self {
            Self::TooLong { chars } => Problem::new(
                path,
                format!("{chars} characters"),
                Accepted::rule(format!("at most {MAX_PATTERN_CHARS}, as in Istio")),
            ),
            Self::Disagreement {
                pattern,
                disagreement,
            } => Problem::new(
                path,
                format!("{pattern:?} has {}", disagreement.found()),
                Accepted::rule(disagreement.instead()),
            ),
            Self::DoesNotCompile { pattern, error } => Problem::new(
                path,
                format!("{pattern:?} does not compile: {error}"),
                Accepted::value("the syntax that RE2 and Rust share"),
            ),
            Self::TooMany => Problem::new(
                path,
                format!("more than {MAX_PROGRAMS} distinct expressions"),
                Accepted::rule("share expressions, or use exact, prefix, suffix, in"),
            ),
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
    /// Why the expression is not accepted.
    pub fn compile(&mut self, pattern: &str) -> Result<Arc<Program>, PatternError> {
        if let Some(known) = self.programs.get(pattern).and_then(Weak::upgrade) {
            return Ok(known);
        }
        check(pattern)?;
        let refused = |error: String| PatternError::DoesNotCompile {
            pattern: pattern.to_owned(),
            error: last_line(&error),
        };
        let mut parser = regex_syntax::ParserBuilder::new()
            .unicode(false)
            .utf8(false)
            .build();
        let parsed = parser
            .parse(pattern)
            .map_err(|error| refused(error.to_string()))?;
        let program = match Scanner::new(&parsed) {
            Some(scanner) => Program::Scanner(scanner),
            None if self.engines >= MAX_PROGRAMS => return Err(PatternError::TooMany),
            None => {
                let regex = RegexBuilder::new(&format!(r"\A(?:{pattern})\z"))
                    .unicode(false)
                    .size_limit(MAX_PROGRAM_BYTES)
                    .build();
                Program::Regex(regex.map_err(|error| refused(error.to_string()))?)
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

/// The regex crate draws its syntax errors over several lines; the last one says what is wrong.
fn last_line(error: &str) -> String {
    error
        .lines()
        .last()
        .unwrap_or_default()
        .trim_start_matches("error: ")
        .to_owned()
}

/// Refuses what is too long, or what RE2 and Rust read differently.
fn check(pattern: &str) -> Result<(), PatternError> {
    let chars = pattern.chars().count();
    if chars > MAX_PATTERN_CHARS {
        return Err(PatternError::TooLong { chars });
    }
    match disagreement(pattern.as_bytes()) {
        None => Ok(()),
        Some(disagreement) => Err(PatternError::Disagreement {
            pattern: pattern.to_owned(),
            disagreement,
        }),
    }
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

    fn refused(pattern: &str) -> PatternError {
        Patterns::default().compile(pattern).unwrap_err()
    }

    #[test]
    fn expressions_that_re2_and_rust_read_differently_are_refused() {
        let cases: &[(&str, &str, Disagreement)] = &[
            ("intersection", "[^;&&]", Disagreement::SetOperation),
            ("difference", "[a--z]", Disagreement::SetOperation),
            ("symmetric difference", "[a~~b]", Disagreement::SetOperation),
            ("nested class", "[[a]", Disagreement::NestedClass),
            ("word boundary", r"\<a\>", Disagreement::AngleEscape),
            ("quoting", r"\Qa.b\E", Disagreement::Quoting),
            ("octal", r"\123", Disagreement::OctalOrBackreference),
            (
                "backreference",
                r"(a)\1",
                Disagreement::OctalOrBackreference,
            ),
            ("extended mode", "(?x)a b", Disagreement::Flag),
            ("extended mode among others", "(?ix: a)", Disagreement::Flag),
            ("possessive", "a++", Disagreement::RepeatedRepetition),
            ("doubled star", "a**", Disagreement::RepeatedRepetition),
            (
                "too many repetitions",
                "a{1001}",
                Disagreement::ManyRepetitions,
            ),
        ];
        for (label, pattern, disagreement) in cases {
            let expected = PatternError::Disagreement {
                pattern: (*pattern).to_owned(),
                disagreement: *disagreement,
            };
            assert_eq!(refused(pattern), expected, "{label}");
        }
    }

    #[test]
    fn expressions_that_do_not_compile_are_refused() {
        let cases: &[(&str, &str, &str)] = &[
            ("Unicode classes", r"\pL", "Unicode not allowed here"),
            (
                "look-ahead",
                "(?=a)",
                "look-around, including look-ahead and look-behind, is not supported",
            ),
            ("unclosed", "(a", "unclosed group"),
            (
                "too large a program",
                "(a{1000}){1000}",
                "Compiled regex exceeds size limit of 65536 bytes.",
            ),
        ];
        for (label, pattern, error) in cases {
            let expected = PatternError::DoesNotCompile {
                pattern: (*pattern).to_owned(),
                error: (*error).to_owned(),
            };
            assert_eq!(refused(pattern), expected, "{label}");
        }
    }

    #[test]
    fn an_expression_may_have_as_many_characters_as_in_istio() {
        assert!(
            Patterns::default()
                .compile(&"ä".repeat(MAX_PATTERN_CHARS))
                .is_ok()
        );
        let chars = MAX_PATTERN_CHARS + 1;
        assert_eq!(refused(&"a".repeat(chars)), PatternError::TooLong { chars });
    }

    #[test]
    fn a_refusal_says_what_was_found_and_what_is_accepted() {
        let cases = [
            (
                "[^;&&]",
                r#"p: "[^;&&]" has &&, -- or ~~ inside a character class, set operations in Rust; write the character once, or escape it"#,
            ),
            (
                "(a",
                r#"p: "(a" does not compile: unclosed group; accepted: the syntax that RE2 and Rust share"#,
            ),
        ];
        for (pattern, expected) in cases {
            assert_eq!(refused(pattern).at("p".to_owned()).to_string(), expected);
        }
    }

    #[test]
    fn the_classic_rule_fits_and_too_many_engines_do_not() {
        let classic = r"^(.*?;\s*)?(email=[^;]*@some-company-name\.com)(;.*)?$";
        assert!(Patterns::default().compile(classic).is_ok());
        let mut patterns = Patterns::default();
        let used: Vec<_> = (0..MAX_PROGRAMS)
            .map(|number| patterns.compile(&format!("a|b{number}c")).unwrap())
            .collect();
        let refused = patterns.compile("a|bc").unwrap_err();
        assert_eq!(refused, PatternError::TooMany);
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
