//! Regular expressions on which RE2 (Envoy, Istio) and Rust agree, compiled for bytes and for the
//! whole value.
//!
//! What the two read differently, or only one accepts, is refused with the reason ([`dialect`]), and
//! so is what costs too much: compiling is counted in steps, for each split and for a whole
//! configuration ([`work`]), and what is compiled matches at the price of one look-up a byte
//! ([`automaton`]). Identical expressions of one configuration share one program ([`Patterns`]).
//! Used by [`crate::definition`] and [`crate::plan`].

pub mod automaton;
pub mod dialect;
pub mod steps;
pub mod work;

use std::collections::HashMap;
use std::sync::{Arc, Weak};

use fnv::FnvBuildHasher;

use crate::problem::{Accepted, Problem};
use crate::scanner::Scanner;
use automaton::{Automaton, NoAutomaton};
use dialect::{Disagreement, disagreement};
use work::{Exhausted, Work};

/// The longest expression, in characters, as Istio's validation has it.
pub const MAX_PATTERN_CHARS: usize = 1_024;

/// What the expressions of one split may cost to compile, in steps. Chosen: some thirty times the
/// classic email rule on a whole cookie header, and a tenth of a configuration's, so that no split
/// takes it all.
pub const MAX_SPLIT_WORK: u32 = 1_000_000;

/// What the distinct expressions of one configuration may cost to compile together, in steps.
/// Chosen: at most 100 ms of a VM in the worst case measured (BENCHMARKS.md, "The worst").
pub const MAX_PATTERN_WORK: u32 = 10_000_000;

/// What reading an expression costs, in steps a character.
const STEPS_PER_CHAR: usize = 150;

/// How a compiled expression matches.
#[derive(Clone, Debug)]
enum Program {
    /// One pass over sets of bytes decides.
    Scanner(Scanner),
    /// Any other expression.
    Automaton(Automaton),
}

/// A compiled expression for whole values.
#[derive(Debug)]
pub struct Expression {
    text: Box<str>,
    program: Program,
    /// What it cost to compile, in steps.
    cost: u32,
}

impl Expression {
    /// Whether the whole value matches.
    pub fn is_match(&self, value: &[u8]) -> bool {
        match &self.program {
            Program::Scanner(scanner) => scanner.is_match(value),
            Program::Automaton(automaton) => automaton.is_match(value),
        }
    }

    /// What matching a value costs, in steps of a request's allowance.
    pub(crate) const fn steps(value: &[u8]) -> usize {
        32 + 3 * value.len()
    }

    /// The expression as it was written.
    pub fn text(&self) -> &str {
        &self.text
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
    /// It is no expression.
    DoesNotCompile {
        /// The expression.
        pattern: String,
        /// What the compiler says of it.
        error: String,
    },
    /// Its table would be too large, or the expressions of this split cost too much together.
    TooExpensive {
        /// The expression.
        pattern: String,
    },
    /// The expressions of the configuration, up to this one, cost too much together.
    NoneLeft,
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
            Self::TooExpensive { pattern } => Problem::new(
                path,
                format!("{pattern:?} is too expensive, alone or with the split's others"),
                Accepted::rule(
                    "fewer counted repetitions, above all after .*; or exact, prefix, suffix, in",
                ),
            ),
            Self::NoneLeft => Problem::new(
                path,
                "the expressions of all splits are too expensive together",
                Accepted::rule("share expressions, or use exact, prefix, suffix, in"),
            ),
        }
    }
}

/// The expressions that one split uses, and what those cost that were not accepted.
#[derive(Clone, Debug, Default)]
pub struct Used {
    expressions: Vec<Arc<Expression>>,
    refused: u32,
    /// Whether one was refused because of what other splits cost.
    is_short: bool,
}

impl Used {
    /// Whether it would be the same whatever the other splits are.
    pub fn is_for_good(&self) -> bool {
        !self.is_short
    }
}

/// Compiled expressions by their text, shared by whoever uses the same text; and what the
/// expressions of the configuration that is being read may still cost.
///
/// What is accepted depends on the configuration alone, not on what was compiled before it: an
/// expression that is known costs as much as on the day it was compiled, once for a split and once
/// for a configuration.
#[derive(Clone, Debug)]
pub struct Patterns {
    /// Weak: whoever matches with an expression owns it, and when nobody does any more, it goes.
    known: HashMap<Box<str>, Known, FnvBuildHasher>,
    configuration: u32,
    split: u32,
    left: Work,
    left_to_split: Work,
    used: Used,
}

#[derive(Clone, Debug)]
struct Known {
    expression: Weak<Expression>,
    /// The configuration that paid for it last, by number.
    configuration: u32,
    /// The split that paid for it last, by number.
    split: u32,
}

impl Default for Patterns {
    fn default() -> Self {
        Self {
            known: HashMap::default(),
            configuration: 1,
            split: 1,
            left: Work::of(MAX_PATTERN_WORK),
            left_to_split: Work::of(MAX_SPLIT_WORK),
            used: Used::default(),
        }
    }
}

impl Patterns {
    /// The expressions for the next configuration: what is known stays, nothing is paid.
    pub fn next_configuration(&self) -> Self {
        Self {
            known: self.known.clone(),
            configuration: self.configuration.wrapping_add(1),
            split: self.split.wrapping_add(1),
            ..Self::default()
        }
    }

    /// Goes on with the next split; answers what the last one used.
    pub fn next_split(&mut self) -> Used {
        self.split = self.split.wrapping_add(1);
        self.left_to_split = Work::of(MAX_SPLIT_WORK);
        std::mem::take(&mut self.used)
    }

    /// Pays for a split that was compiled for an earlier configuration. Answers whether that much
    /// was left; if not, nothing is paid, and the split must be compiled again.
    pub fn keep(&mut self, used: &Used) -> bool {
        let unpaid = used.expressions.iter().filter(|expression| {
            let known = self.known.get(expression.text());
            known.is_none_or(|known| known.configuration != self.configuration)
        });
        let cost = unpaid.fold(used.refused, |sum, expression| {
            sum.saturating_add(expression.cost)
        });
        if cost > self.left.left() {
            return false;
        }
        let _ = self.left.spend(cost as usize);
        for expression in &used.expressions {
            self.remember(expression);
        }
        // Paid by that split, not by the one that is compiled next.
        self.split = self.split.wrapping_add(1);
        true
    }

    /// The compiled expression; compiled now if it is new.
    ///
    /// # Errors
    /// Why the expression is not accepted.
    pub fn compile(&mut self, pattern: &str) -> Result<Arc<Expression>, PatternError> {
        let known = self.known.get(pattern);
        if let Some(known) = known
            && let Some(expression) = known.expression.upgrade()
        {
            let is_paid = known.configuration == self.configuration;
            let is_paid_by_split = known.split == self.split;
            if !is_paid_by_split {
                self.pay(&expression, is_paid)?;
            }
            return Ok(expression);
        }
        let limit = self.left_to_split.left().min(self.left.left());
        let mut work = Work::of(limit);
        let program = program(pattern, &mut work);
        let cost = limit - work.left();
        match program {
            Ok(program) => {
                let expression = Arc::new(Expression {
                    text: pattern.into(),
                    program,
                    cost,
                });
                self.pay(&expression, false)?;
                Ok(expression)
            }
            Err(Refused::Exhausted) => Err(self.exhausted(pattern)),
            Err(Refused::Because(error)) => {
                let _ = self.left.spend(cost as usize);
                let _ = self.left_to_split.spend(cost as usize);
                self.used.refused = self.used.refused.saturating_add(cost);
                Err(error)
            }
        }
    }

    /// Pays for an expression, for the configuration and for the split.
    fn pay(&mut self, expression: &Arc<Expression>, is_paid: bool) -> Result<(), PatternError> {
        let of_all = if is_paid { 0 } else { expression.cost };
        if expression.cost > self.left_to_split.left() || of_all > self.left.left() {
            return Err(self.exhausted(&expression.text));
        }
        let _ = self.left.spend(of_all as usize);
        let _ = self.left_to_split.spend(expression.cost as usize);
        self.remember(expression);
        self.used.expressions.push(Arc::clone(expression));
        Ok(())
    }

    fn remember(&mut self, expression: &Arc<Expression>) {
        let known = Known {
            expression: Arc::downgrade(expression),
            configuration: self.configuration,
            split: self.split,
        };
        self.known.insert(expression.text.clone(), known);
    }

    /// Takes all that is left to the split or, where that is less, to the configuration: so much
    /// was tried.
    fn exhausted(&mut self, pattern: &str) -> PatternError {
        let left = std::mem::replace(&mut self.left_to_split, Work::of(0)).left();
        if left <= self.left.left() {
            let _ = self.left.spend(left as usize);
            self.used.refused = self.used.refused.saturating_add(left);
            return PatternError::TooExpensive {
                pattern: pattern.to_owned(),
            };
        }
        self.left = Work::of(0);
        self.used.is_short = true;
        PatternError::NoneLeft
    }

    /// Keeps only the expressions that somebody still uses.
    pub fn forget_unused(&mut self) {
        self.known
            .retain(|_, known| known.expression.strong_count() > 0);
    }

    /// How many distinct expressions there are.
    pub fn len(&self) -> usize {
        self.known.len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.known.is_empty()
    }
}

/// Why there is no program.
enum Refused {
    /// Work was exhausted before it was known.
    Exhausted,
    /// It is refused whatever is left.
    Because(PatternError),
}

impl From<Exhausted> for Refused {
    fn from(_: Exhausted) -> Self {
        Self::Exhausted
    }
}

/// How an expression matches.
fn program(pattern: &str, work: &mut Work) -> Result<Program, Refused> {
    let chars = pattern.chars().count();
    if chars > MAX_PATTERN_CHARS {
        return Err(Refused::Because(PatternError::TooLong { chars }));
    }
    work.spend((chars + 1) * STEPS_PER_CHAR)?;
    if let Some(disagreement) = disagreement(pattern.as_bytes()) {
        return Err(Refused::Because(PatternError::Disagreement {
            pattern: pattern.to_owned(),
            disagreement,
        }));
    }
    let does_not_compile = |error: String| {
        Refused::Because(PatternError::DoesNotCompile {
            pattern: pattern.to_owned(),
            error,
        })
    };
    let mut parser = regex_syntax::ParserBuilder::new()
        .unicode(false)
        .utf8(false)
        .build();
    let parsed = parser
        .parse(pattern)
        .map_err(|error| does_not_compile(last_line(&error.to_string())))?;
    if let Some(scanner) = Scanner::new(&parsed) {
        return Ok(Program::Scanner(scanner));
    }
    match Automaton::of(&parsed, work) {
        Ok(automaton) => Ok(Program::Automaton(automaton)),
        Err(NoAutomaton::Exhausted) => Err(Refused::Exhausted),
        Err(NoAutomaton::TooLarge) => Err(Refused::Because(PatternError::TooExpensive {
            pattern: pattern.to_owned(),
        })),
        Err(NoAutomaton::UnknownLook) => Err(does_not_compile(
            "it looks around in a way unknown to RE2".to_owned(),
        )),
    }
}

/// The parser draws its errors over several lines; the last one says what is wrong.
fn last_line(error: &str) -> String {
    error
        .lines()
        .last()
        .unwrap_or_default()
        .trim_start_matches("error: ")
        .to_owned()
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
    fn expressions_that_cost_too_much_are_refused() {
        let cases = [
            (
                "more places than any expression may have",
                "(a{1000}){1000}x|y",
            ),
            ("remembers 900 bytes", ".*a.{900}!"),
            ("remembers twenty", ".*a.{20}!"),
        ];
        for (label, pattern) in cases {
            let pattern = pattern.to_owned();
            assert_eq!(
                refused(&pattern),
                PatternError::TooExpensive { pattern },
                "{label}"
            );
        }
    }

    #[test]
    fn expressions_that_people_write_cost_little() {
        let most = MAX_SPLIT_WORK / 20;
        for pattern in [
            r"^(.*?;\s*)?(email=[^;]*@some-company-name\.com)(;.*)?$",
            r".*(iPhone|iPad|iPod).*OS (1[5-9]|[2-9][0-9])_.*",
            r"(?i).*(chrome|firefox|safari|edge)/[0-9]+.*",
            r"(?:[a-z0-9._%+-]+)@(?:some|other|third)-company\.(?:com|co\.uk)",
            r"\bde\b.*",
            r"10\.(1[6-9]|2[0-9]|3[01])\.[0-9]{1,3}\.[0-9]{1,3}",
        ] {
            let expression = Patterns::default().compile(pattern).unwrap();
            assert!(expression.cost < most, "{pattern}: {}", expression.cost);
        }
    }

    /// Some thousand distinct expressions in splits of their own; how many were accepted before
    /// nothing was left.
    fn accepted_of(patterns: &mut Patterns) -> (usize, Vec<Used>) {
        let mut used = Vec::new();
        for number in 0..10_000 {
            let compiled = patterns.compile(&format!("(a|b){{90}}c{{{number}}}|x"));
            let refused = compiled.err();
            used.push(patterns.next_split());
            if refused == Some(PatternError::NoneLeft) {
                return (number, used);
            }
            assert_eq!(refused, None);
        }
        panic!("never too expensive");
    }

    #[test]
    fn what_is_accepted_does_not_depend_on_what_was_compiled_before() {
        let mut patterns = Patterns::default();
        let (first, used) = accepted_of(&mut patterns);
        assert!(first > 100, "{first}");
        let mut again = patterns.next_configuration();
        assert_eq!(accepted_of(&mut again).0, first, "all of them known");
        let mut kept = patterns.next_configuration();
        let paid = used
            .iter()
            .take_while(|used| kept.keep(used) && used.is_for_good());
        assert_eq!(paid.count(), first, "all of them kept");
        assert_eq!(accepted_of(&mut Patterns::default()).0, first, "none");
    }

    #[test]
    fn no_split_takes_what_is_left_to_the_others() {
        let mut patterns = Patterns::default();
        let greedy = (0..1_000).find_map(|number| {
            let compiled = patterns.compile(&format!("(a|b){{90}}c{{{number}}}|x"));
            compiled.err()
        });
        assert!(matches!(greedy, Some(PatternError::TooExpensive { .. })));
        let used = patterns.next_split();
        assert!(used.is_for_good());
        assert!(patterns.compile("a|bc").is_ok());
        assert!(patterns.left.left() > MAX_PATTERN_WORK - 2 * MAX_SPLIT_WORK);
    }

    #[test]
    fn a_split_and_a_configuration_pay_once_for_an_expression() {
        let mut patterns = Patterns::default();
        let one = patterns.compile("a|bc").unwrap();
        let left = patterns.left;
        let other = patterns.compile("a|bc").unwrap();
        patterns.next_split();
        let third = patterns.compile("a|bc").unwrap();
        assert!(Arc::ptr_eq(&one, &other) && Arc::ptr_eq(&one, &third));
        assert_eq!(patterns.left, left);
        assert_eq!(patterns.left_to_split.left(), MAX_SPLIT_WORK - one.cost);
    }

    #[test]
    fn a_split_pays_for_what_a_kept_one_has_too() {
        let mut patterns = Patterns::default();
        let one = patterns.compile("a|bc").unwrap();
        let used = patterns.next_split();
        let mut next = patterns.next_configuration();
        assert!(next.keep(&used));
        let shared = next.compile("a|bc").unwrap();
        assert!(Arc::ptr_eq(&one, &shared));
        assert_eq!(next.left_to_split.left(), MAX_SPLIT_WORK - one.cost);
        assert_eq!(next.left.left(), MAX_PATTERN_WORK - one.cost);
    }

    #[test]
    fn identical_expressions_are_compiled_once() {
        let mut patterns = Patterns::default();
        let (one, other) = (
            patterns.compile("a+").unwrap(),
            patterns.compile("a+").unwrap(),
        );
        assert!(Arc::ptr_eq(&one, &other));
        drop((one, other, patterns.next_split()));
        patterns.forget_unused();
        assert!(patterns.is_empty());
    }
}
