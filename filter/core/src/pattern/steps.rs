//! An expression as steps from one place to the next: what [`super::automaton`] determines.
//!
//! Thompson's construction (1968), backwards: each part is built with the place that follows it.
//! Groups capture nothing and repetitions have no preference, because only whole values are matched
//! and only the answer yes or no is wanted.

use regex_syntax::hir::{Hir, HirKind, Look, Repetition};

use super::work::{Exhausted, Work};
use crate::byte_set::ByteSet;

/// The most places of an expression. Chosen: as many as a repetition of the longest literal's kind
/// needs, and few enough for a set of them to be 256 bytes.
pub const MAX_PLACES: usize = 2_048;

/// A place in an expression.
pub type Place = u16;

/// What may happen at a place.
#[derive(Clone, Copy, Debug)]
pub enum Step {
    /// A byte of the set leads on.
    Byte(SetIndex, Place),
    /// Both lead on, without a byte.
    Either(Place, Place),
    /// Leads on without a byte, where this holds.
    Where(Look, Place),
    /// The expression ends here.
    End,
}

/// A set's place among those of the expression.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SetIndex(u16);

/// An expression's places.
#[derive(Debug)]
pub struct Steps {
    steps: Vec<Step>,
    sets: Vec<ByteSet>,
    /// Where it begins.
    pub start: Place,
}

/// Why an expression has no steps.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NoSteps {
    /// It has too many.
    TooMany,
    /// Work was exhausted before they were found.
    Exhausted,
    /// It looks around in a way that RE2 does not have.
    UnknownLook,
}

impl From<Exhausted> for NoSteps {
    fn from(_: Exhausted) -> Self {
        Self::Exhausted
    }
}

impl Steps {
    /// The steps of an expression.
    ///
    /// # Errors
    /// When there are too many, or work is exhausted before they are found.
    pub fn of(expression: &Hir, work: &mut Work) -> Result<Self, NoSteps> {
        let mut steps = Self {
            steps: vec![Step::End],
            sets: Vec::new(),
            start: 0,
        };
        steps.start = steps.add(expression, 0, work)?;
        Ok(steps)
    }

    /// How many places there are.
    pub fn number(&self) -> usize {
        self.steps.len()
    }

    /// What may happen at a place.
    pub fn step(&self, place: Place) -> Step {
        let step = self.steps.get(usize::from(place));
        step.copied().unwrap_or(Step::End)
    }

    /// Every distinct set of bytes.
    pub fn sets(&self) -> &[ByteSet] {
        &self.sets
    }

    /// Whether a set has a byte.
    pub fn contains(&self, set: SetIndex, byte: u8) -> bool {
        let set = self.sets.get(usize::from(set.0));
        set.is_some_and(|set| set.contains(byte))
    }

    /// What the expression looks around for.
    pub fn looks(&self) -> impl Iterator<Item = Look> {
        self.steps.iter().filter_map(|step| match step {
            Step::Where(look, _) => Some(*look),
            _ => None,
        })
    }

    /// Adds a part that goes on at `next`; answers where it begins.
    fn add(&mut self, part: &Hir, next: Place, work: &mut Work) -> Result<Place, NoSteps> {
        work.spend(1)?;
        match part.kind() {
            HirKind::Empty => Ok(next),
            HirKind::Literal(literal) => {
                let mut bytes = literal.0.iter().rev();
                bytes.try_fold(next, |next, byte| self.byte(ByteSet::of(*byte), next, work))
            }
            HirKind::Class(class) => {
                let set = ByteSet::of_class(class).ok_or(NoSteps::UnknownLook)?;
                self.byte(set, next, work)
            }
            HirKind::Look(look) => self.push(Step::Where(*look, next)),
            HirKind::Capture(group) => self.add(&group.sub, next, work),
            HirKind::Concat(parts) => {
                let mut parts = parts.iter().rev();
                parts.try_fold(next, |next, part| self.add(part, next, work))
            }
            HirKind::Alternation(parts) => {
                let mut begins = None;
                for part in parts.iter().rev() {
                    let begin = self.add(part, next, work)?;
                    begins = Some(match begins {
                        None => begin,
                        Some(others) => self.push(Step::Either(begin, others))?,
                    });
                }
                Ok(begins.unwrap_or(next))
            }
            HirKind::Repetition(repetition) => self.repetition(repetition, next, work),
        }
    }

    fn repetition(
        &mut self,
        repetition: &Repetition,
        next: Place,
        work: &mut Work,
    ) -> Result<Place, NoSteps> {
        let Repetition { min, max, sub, .. } = repetition;
        let mut begin = next;
        match max {
            None => {
                let again = self.push(Step::Either(next, next))?;
                let once = self.add(sub, again, work)?;
                if let Some(step) = self.steps.get_mut(usize::from(again)) {
                    *step = Step::Either(once, next);
                }
                begin = again;
            }
            Some(max) => {
                for _ in *min..*max {
                    let once = self.add(sub, begin, work)?;
                    begin = self.push(Step::Either(once, next))?;
                }
            }
        }
        for _ in 0..*min {
            begin = self.add(sub, begin, work)?;
        }
        Ok(begin)
    }

    fn byte(&mut self, set: ByteSet, next: Place, work: &mut Work) -> Result<Place, NoSteps> {
        let known = self.sets.iter().position(|known| *known == set);
        let index = known.unwrap_or(self.sets.len());
        work.spend(1 + index)?;
        if known.is_none() {
            self.sets.push(set);
        }
        let index = u16::try_from(index).map_err(|_| NoSteps::TooMany)?;
        self.push(Step::Byte(SetIndex(index), next))
    }

    fn push(&mut self, step: Step) -> Result<Place, NoSteps> {
        if self.steps.len() == MAX_PLACES {
            return Err(NoSteps::TooMany);
        }
        let place = Place::try_from(self.steps.len()).map_err(|_| NoSteps::TooMany)?;
        self.steps.push(step);
        Ok(place)
    }
}
