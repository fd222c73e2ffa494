//! Why an expression is not accepted, and how a configuration's report says so.

use super::MAX_PATTERN_CHARS;
use super::dialect::Disagreement;
use crate::problem::{Accepted, Problem};

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

#[cfg(test)]
mod tests {
    use super::*;

    #[cfg(all(target_arch = "wasm32", target_os = "unknown"))]
    use wasm_bindgen_test::wasm_bindgen_test as test;

    #[test]
    fn a_refusal_says_what_was_found_and_what_is_accepted() {
        let cases = [
            (
                PatternError::Disagreement {
                    pattern: "[^;&&]".to_owned(),
                    disagreement: Disagreement::SetOperation,
                },
                r#"p: "[^;&&]" has &&, -- or ~~ inside a character class, set operations in Rust; write the character once, or escape it"#,
            ),
            (
                PatternError::DoesNotCompile {
                    pattern: "(a".to_owned(),
                    error: "unclosed group".to_owned(),
                },
                r#"p: "(a" does not compile: unclosed group; accepted: the syntax that RE2 and Rust share"#,
            ),
        ];
        for (error, expected) in cases {
            assert_eq!(error.at("p".to_owned()).to_string(), expected);
        }
    }
}
