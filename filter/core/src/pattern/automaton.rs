//! A deterministic automaton for whole values: one table look-up a byte, whatever the expression.
//!
//! Every other way to match has expressions and values on which it takes thousands of times longer
//! than on others: a request could then keep a proxy busy. Here the price is paid once, when an
//! expression is compiled, and one whose table would become too large is refused ([`MAX_CELLS`]).
//! The subset construction of Rabin and Scott (1959) over [`super::steps`].

mod classes;
mod error;
mod sights;

use std::collections::HashMap;

use fnv::FnvBuildHasher;
use regex_syntax::hir::Hir;

use super::steps::{Place, Step, Steps};
use super::work::Work;
use classes::Classes;
use sights::{Beside, Sights, holds};

pub use error::NoAutomaton;

/// The largest table of one expression, in cells of two bytes. Chosen: ten times what the classic
/// rule on a whole cookie header needs.
pub const MAX_CELLS: usize = 16 * 1024;

/// A compiled expression.
#[derive(Clone, Debug)]
pub struct Automaton {
    /// The class of each byte: bytes of one class lead to the same states.
    classes: Box<[u8; 256]>,
    /// For each state its row: a cell for each class, and one that says whether the value may end
    /// here. A state is the place of its row.
    cells: Box<[u16]>,
    /// How long a row is.
    row: u16,
}

/// No value that came here can match any more.
const DEAD: u16 = 0;

impl Automaton {
    /// The automaton of a whole-value expression.
    ///
    /// # Errors
    /// When its table would have more than [`MAX_CELLS`], when work is exhausted before it is built, or
    /// when it looks around in a way that RE2 does not have.
    pub fn of(expression: &Hir, work: &mut Work) -> Result<Self, NoAutomaton> {
        let steps = Steps::of(expression, work)?;
        let sights = Sights::of(&steps)?;
        let classes = Classes::of(&steps, &sights, work)?;
        let mut builder = Builder {
            row: u16::from(classes.number) + 1,
            marked: Marked::of(steps.number()),
            states: HashMap::default(),
            cells: Vec::new(),
            unfinished: Vec::new(),
            steps,
            sights,
            classes,
            work,
        };
        builder.build()?;
        Ok(Self {
            classes: builder.classes.of_byte,
            row: builder.row,
            cells: builder.cells.into_boxed_slice(),
        })
    }

    /// Whether the whole value matches.
    pub fn is_match(&self, value: &[u8]) -> bool {
        // The first row is the dead state's, the second the beginning's.
        let mut state = self.row;
        for &byte in value {
            let class = self.classes.get(usize::from(byte)).copied().unwrap_or(0);
            state = self.cell(state, class.into());
            if state == DEAD {
                return false;
            }
        }
        self.cell(state, self.row - 1) != 0
    }

    #[inline(always)]
    fn cell(&self, state: u16, column: u16) -> u16 {
        let place = usize::from(state) + usize::from(column);
        self.cells.get(place).copied().unwrap_or(DEAD)
    }
}

/// A state of the automaton before it has a number: the places where a value that came so far may
/// be, and what stood before them.
#[derive(Clone, PartialEq, Eq, Hash)]
struct Key {
    before: Beside,
    places: Box<[u32]>,
}

struct Builder<'w> {
    steps: Steps,
    sights: Sights,
    classes: Classes,
    row: u16,
    marked: Marked,
    states: HashMap<Key, u16, FnvBuildHasher>,
    cells: Vec<u16>,
    unfinished: Vec<(Key, u16)>,
    work: &'w mut Work,
}

impl Builder<'_> {
    fn build(&mut self) -> Result<(), NoAutomaton> {
        self.new_row()?;
        let mut begin = Key {
            before: self.sights.nothing(),
            places: self.marked.nowhere(),
        };
        insert(&mut begin.places, self.steps.start);
        self.state(begin)?;
        while let Some((key, state)) = self.unfinished.pop() {
            self.fill(&key, state)?;
        }
        Ok(())
    }

    /// Fills a state's row.
    fn fill(&mut self, key: &Key, state: u16) -> Result<(), NoAutomaton> {
        let mut reached: Option<(Beside, Vec<Place>)> = None;
        for class in 0..self.classes.number {
            let example = self.classes.examples.get(usize::from(class));
            let byte = example.copied().unwrap_or_default();
            let after = self.sights.beside(byte);
            // Where nothing is looked at, all classes reach the same places.
            let places = match reached.take() {
                Some((beside, places)) if beside == after => places,
                _ => self.reach(key, after)?.0,
            };
            let next = self.step(&places, byte, after)?;
            self.set(state, class.into(), next);
            reached = Some((after, places));
        }
        let (_, may_end) = self.reach(key, self.sights.nothing())?;
        self.set(state, self.row - 1, may_end.into());
        Ok(())
    }

    /// The places that need a byte, reached without one where `after` comes next; and whether the
    /// end is reached.
    fn reach(&mut self, key: &Key, after: Beside) -> Result<(Vec<Place>, bool), NoAutomaton> {
        self.marked.clear();
        let mut open = places_of(&key.places);
        let mut waiting = Vec::new();
        let mut is_end = false;
        self.work.spend(key.places.len())?;
        while let Some(place) = open.pop() {
            self.work.spend(1)?;
            if !self.marked.mark(place) {
                continue;
            }
            match self.steps.step(place) {
                Step::Byte(..) => waiting.push(place),
                Step::Either(one, other) => open.extend([one, other]),
                Step::Where(look, next) if holds(look, key.before, after) => open.push(next),
                Step::Where(..) => {}
                Step::End => is_end = true,
            }
        }
        Ok((waiting, is_end))
    }

    /// The state after a byte.
    fn step(&mut self, places: &[Place], byte: u8, before: Beside) -> Result<u16, NoAutomaton> {
        let mut next = self.marked.nowhere();
        // A key is hashed and compared by its bytes.
        self.work.spend(4 + places.len() + 2 * next.len())?;
        let mut is_dead = true;
        for &place in places {
            if let Step::Byte(set, target) = self.steps.step(place)
                && self.steps.contains(set, byte)
            {
                insert(&mut next, target);
                is_dead = false;
            }
        }
        if is_dead {
            return Ok(DEAD);
        }
        self.state(Key {
            before,
            places: next,
        })
    }

    /// The number of a state; a new one is to be filled.
    fn state(&mut self, key: Key) -> Result<u16, NoAutomaton> {
        if let Some(&known) = self.states.get(&key) {
            return Ok(known);
        }
        let state = self.new_row()?;
        self.states.insert(key.clone(), state);
        self.unfinished.push((key, state));
        Ok(state)
    }

    fn new_row(&mut self) -> Result<u16, NoAutomaton> {
        let state = self.cells.len();
        let end = state + usize::from(self.row);
        if end > MAX_CELLS {
            return Err(NoAutomaton::TooLarge);
        }
        self.cells.resize(end, DEAD);
        u16::try_from(state).map_err(|_| NoAutomaton::TooLarge)
    }

    fn set(&mut self, state: u16, column: u16, value: u16) {
        let place = usize::from(state) + usize::from(column);
        if let Some(cell) = self.cells.get_mut(place) {
            *cell = value;
        }
    }
}

fn insert(places: &mut [u32], place: Place) {
    if let Some(word) = places.get_mut(usize::from(place >> 5)) {
        *word |= 1 << (place & 31);
    }
}

fn places_of(places: &[u32]) -> Vec<Place> {
    let mut all = Vec::new();
    for (&word, first) in places.iter().zip((0..).step_by(32)) {
        let mut rest = word;
        while rest != 0 {
            all.push(first + rest.trailing_zeros() as Place);
            rest &= rest - 1;
        }
    }
    all
}

/// The places that one search has been at. A number instead of a bit, so that the next search need
/// not clear them all.
struct Marked {
    search: u32,
    places: Vec<u32>,
}

impl Marked {
    fn of(number: usize) -> Self {
        Self {
            search: 0,
            places: vec![0; number],
        }
    }

    fn clear(&mut self) {
        self.search += 1;
    }

    /// Whether it is new.
    fn mark(&mut self, place: Place) -> bool {
        let Some(last) = self.places.get_mut(usize::from(place)) else {
            return false;
        };
        std::mem::replace(last, self.search) != self.search
    }

    /// No place at all, as the bits of a key.
    fn nowhere(&self) -> Box<[u32]> {
        vec![0; self.places.len().div_ceil(32)].into()
    }
}
