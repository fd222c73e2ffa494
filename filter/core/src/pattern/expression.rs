//! One expression for whole values: from its text to a program, and whether a value matches.

use super::MAX_PATTERN_CHARS;
use super::automaton::{Automaton, NoAutomaton};
use super::dialect::disagreement;
use super::error::PatternError;
use super::work::{Exhausted, Work};
use crate::scanner::Scanner;

/// What reading an expression costs, in steps a character.
const STEPS_PER_CHAR: usize = 150;

/// How a compiled expression matches.
#[derive(Clone, Debug)]
pub(super) enum Program {
    /// One pass over sets of bytes decides.
    Scanner(Scanner),
    /// Any other expression.
    Automaton(Automaton),
}

/// A compiled expression for whole values.
#[derive(Debug)]
pub struct Expression {
    pub(super) text: Box<str>,
    pub(super) program: Program,
    /// What it cost to compile, in steps.
    pub(super) cost: u32,
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

/// Why there is no program.
pub(super) enum Refused {
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
pub(super) fn program(pattern: &str, work: &mut Work) -> Result<Program, Refused> {
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
