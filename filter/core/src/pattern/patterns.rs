//! The expressions of a configuration, each compiled once and paid once.
//!
//! What compiling may cost is bounded for each split and for the whole configuration.

use std::collections::HashMap;
use std::sync::{Arc, Weak};

use fnv::FnvBuildHasher;

use super::error::PatternError;
use super::expression::{Expression, Refused, program};
use super::work::Work;

/// What the expressions of one split may cost to compile, in steps. Chosen: some thirty times the
/// classic email rule on a whole cookie header, and a tenth of a configuration's, so that no split
/// takes it all.
pub const MAX_SPLIT_WORK: u32 = 1_000_000;

/// What the distinct expressions of one configuration may cost to compile together, in steps.
/// Chosen: at most 100 ms of a VM in the worst case measured (BENCHMARKS.md, "The worst").
pub const MAX_PATTERN_WORK: u32 = 10_000_000;

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

#[cfg(test)]
mod tests;
