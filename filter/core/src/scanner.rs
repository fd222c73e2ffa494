//! A matcher for the expressions people mostly write, many times faster than a general engine.
//!
//! An expression such as `[^@]+@example\.com` is a sequence of literals and runs of a byte class,
//! where what follows a run cannot be in it: then one pass from left to right, without
//! backtracking, decides. [`Scanner::new`] recognizes such expressions from regex-syntax' own
//! parse; for any other it answers `None` and [`crate::pattern`] builds an automaton. That it
//! agrees with the regex crate is a property test.

use regex_syntax::hir::{Hir, HirKind};

use crate::byte_set::ByteSet;

/// One step of a scanner.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Step {
    /// These bytes.
    Literal(Box<[u8]>),
    /// As many bytes of the set as there are: at least `min`, at most `max`.
    Run {
        set: Box<ByteSet>,
        min: u32,
        max: u32,
    },
}

/// An expression that one pass decides.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Scanner(Box<[Step]>);

impl Scanner {
    /// The scanner of a whole-value expression, if it is of that kind.
    pub fn new(expression: &Hir) -> Option<Self> {
        let mut steps = Vec::new();
        flatten(expression, &mut steps)?;
        let is_decided = steps.windows(2).all(|pair| match pair {
            [Step::Run { set, min, max }, next] => min == max || !may_begin_in(next, set),
            _ => true,
        });
        // A run that may be empty lets the step after it begin where the step before the run would
        // go on.
        let may_vanish = |step: &Step| matches!(step, Step::Run { min: 0, .. });
        let is_hidden = steps.windows(3).any(|three| match three {
            [Step::Run { set, .. }, middle, last] => may_vanish(middle) && may_begin_in(last, set),
            _ => false,
        });
        let vanishing = steps.windows(2).any(|pair| pair.iter().all(may_vanish));
        (is_decided && !is_hidden && !vanishing).then(|| Self(steps.into_boxed_slice()))
    }

    /// Whether the whole value matches.
    pub fn is_match(&self, value: &[u8]) -> bool {
        let mut rest = value;
        for step in &self.0 {
            match step {
                Step::Literal(literal) => match rest.strip_prefix(literal.as_ref()) {
                    Some(after) => rest = after,
                    None => return false,
                },
                Step::Run { set, min, max } => {
                    let most = rest.len().min(*max as usize);
                    let run = rest.get(..most).unwrap_or_default();
                    let end = run.iter().position(|&byte| !set.contains(byte));
                    let length = end.unwrap_or(most);
                    if length < *min as usize {
                        return false;
                    }
                    rest = rest.get(length..).unwrap_or_default();
                }
            }
        }
        rest.is_empty()
    }
}

fn may_begin_in(step: &Step, set: &ByteSet) -> bool {
    match step {
        Step::Literal(literal) => literal.first().is_some_and(|&byte| set.contains(byte)),
        Step::Run { set: other, .. } => set.meets(other),
    }
}

fn flatten(expression: &Hir, steps: &mut Vec<Step>) -> Option<()> {
    match expression.kind() {
        HirKind::Empty => {}
        HirKind::Literal(literal) => match steps.last_mut() {
            Some(Step::Literal(before)) => {
                *before = [before.as_ref(), literal.0.as_ref()].concat().into()
            }
            _ => steps.push(Step::Literal(literal.0.as_ref().into())),
        },
        HirKind::Class(class) => steps.push(Step::Run {
            set: Box::new(ByteSet::of_class(class)?),
            min: 1,
            max: 1,
        }),
        HirKind::Capture(group) => flatten(&group.sub, steps)?,
        HirKind::Concat(parts) => parts.iter().try_for_each(|part| flatten(part, steps))?,
        HirKind::Repetition(repetition) => {
            let set = match repetition.sub.kind() {
                HirKind::Class(class) => Box::new(ByteSet::of_class(class)?),
                HirKind::Literal(literal) => match literal.0.as_ref() {
                    [byte] => Box::new(ByteSet::of(*byte)),
                    _ => return None,
                },
                _ => return None,
            };
            steps.push(Step::Run {
                set,
                min: repetition.min,
                max: repetition.max.unwrap_or(u32::MAX),
            });
        }
        HirKind::Look(_) | HirKind::Alternation(_) => return None,
    }
    Some(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[cfg(all(target_arch = "wasm32", target_os = "unknown"))]
    use wasm_bindgen_test::wasm_bindgen_test as test;

    fn scanner(pattern: &str) -> Option<Scanner> {
        let hir = regex_syntax::ParserBuilder::new()
            .unicode(false)
            .utf8(false)
            .build()
            .parse(pattern)
            .unwrap();
        Scanner::new(&hir)
    }

    #[test]
    fn what_one_pass_decides_is_recognized() {
        for pattern in [
            "",
            "abc",
            r"[^@]+@some-company-name\.com",
            "[a-z]+",
            "[0-9]{3}-[0-9]{4}",
            "a+b",
            "(?i)abc",
            r"\d+\.\d+",
            "x[^;]*",
            ".",
            "[^@]+(@a)",
            "a?b",
            "(?:a)*b+",
            "[0-9]{2}[0-9]+",
        ] {
            assert!(scanner(pattern).is_some(), "{pattern}");
        }
    }

    #[test]
    fn what_needs_more_is_left_to_the_automaton() {
        for pattern in [
            "a|bc",
            ".*@a",
            "[^;]*a",
            "(ab)+",
            "a+a",
            "a*b*",
            "^a$",
            r"\ba",
            "a?a",
            "[a-z]{1,3}[a-c]",
            "a+b?a",
        ] {
            assert!(scanner(pattern).is_none(), "{pattern}");
        }
    }
}
