//! A deterministic automaton for whole values: one table look-up a byte, whatever the expression.
//!
//! Every other way to match has expressions and values on which it takes thousands of times longer
//! than on others: a request could then keep a proxy busy. Here the price is paid once, when an
//! expression is compiled, and one whose table would become too large is refused ([`MAX_CELLS`]).
//! The subset construction of Rabin and Scott (1959) over [`super::steps`].

use std::collections::HashMap;

use fnv::FnvBuildHasher;
use regex_syntax::hir::{Hir, Look};

use super::steps::{NoSteps, Place, Step, Steps};
use super::work::{Exhausted, Work};
use crate::byte_set::ByteSet;

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

/// Why an expression has no automaton.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NoAutomaton {
    /// It has too many places, or its table would have too many cells.
    TooLarge,
    /// Work was exhausted before it was built.
    Exhausted,
    /// It looks around in a way that RE2 does not have.
    UnknownLook,
}

impl From<Exhausted> for NoAutomaton {
    fn from(_: Exhausted) -> Self {
        Self::Exhausted
    }
}

impl From<NoSteps> for NoAutomaton {
    fn from(error: NoSteps) -> Self {
        match error {
            NoSteps::TooMany => Self::TooLarge,
            NoSteps::Exhausted => Self::Exhausted,
            NoSteps::UnknownLook => Self::UnknownLook,
        }
    }
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

/// What stands beside a place, as far as an expression looks at it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum Beside {
    /// Nothing: the value begins or ends here.
    Nothing,
    /// A line feed.
    LineFeed,
    /// A letter, a digit or _.
    Word,
    /// Any other byte.
    Other,
}

/// Which differences an expression looks at.
#[derive(Clone, Copy, Debug, Default)]
struct Sights {
    ends: bool,
    lines: bool,
    words: bool,
}

impl Sights {
    fn of(steps: &Steps) -> Result<Self, NoAutomaton> {
        let mut sights = Self::default();
        for look in steps.looks() {
            match look {
                Look::Start | Look::End => sights.ends = true,
                Look::StartLF | Look::EndLF => sights.lines = true,
                Look::WordAscii | Look::WordAsciiNegate => sights.words = true,
                _ => return Err(NoAutomaton::UnknownLook),
            }
        }
        Ok(sights)
    }

    fn beside(self, byte: u8) -> Beside {
        match byte {
            b'\n' if self.lines => Beside::LineFeed,
            _ if self.words && is_word(byte) => Beside::Word,
            _ => Beside::Other,
        }
    }

    fn nothing(self) -> Beside {
        if self.ends || self.lines || self.words {
            Beside::Nothing
        } else {
            Beside::Other
        }
    }
}

const fn is_word(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || byte == b'_'
}

fn holds(look: Look, before: Beside, after: Beside) -> bool {
    let is_line_end = |beside| matches!(beside, Beside::Nothing | Beside::LineFeed);
    let is_between_words = (before == Beside::Word) != (after == Beside::Word);
    match look {
        Look::Start => before == Beside::Nothing,
        Look::End => after == Beside::Nothing,
        Look::StartLF => is_line_end(before),
        Look::EndLF => is_line_end(after),
        Look::WordAscii => is_between_words,
        _ => !is_between_words,
    }
}

/// Bytes that no part of an expression tells apart.
struct Classes {
    of_byte: Box<[u8; 256]>,
    /// A byte of each class, in order.
    examples: Vec<u8>,
    number: u8,
}

impl Classes {
    fn of(steps: &Steps, sights: &Sights, work: &mut Work) -> Result<Self, NoAutomaton> {
        let mut of_byte = Box::new([0; 256]);
        let mut number = 1_usize;
        let mut cut = |is_in: &dyn Fn(u8) -> bool| -> Result<(), Exhausted> {
            work.spend(256)?;
            cut(&mut of_byte, &mut number, is_in);
            Ok(())
        };
        for set in steps.sets() {
            cut(&|byte| ByteSet::contains(set, byte))?;
        }
        if sights.lines {
            cut(&|byte| byte == b'\n')?;
        }
        if sights.words {
            cut(&is_word)?;
        }
        let mut examples = Vec::with_capacity(number);
        for class in 0..number {
            let example = (0..=u8::MAX).find(|&byte| class_of(&of_byte, byte) == class);
            examples.extend(example);
        }
        // A class for every single byte would need a row of 257 cells: such a table is too large.
        let number = u8::try_from(number).map_err(|_| NoAutomaton::TooLarge)?;
        Ok(Self {
            of_byte,
            examples,
            number,
        })
    }
}

fn class_of(of_byte: &[u8; 256], byte: u8) -> usize {
    of_byte.get(usize::from(byte)).copied().unwrap_or(0).into()
}

/// Splits every class that has bytes inside and outside of a set.
fn cut(of_byte: &mut [u8; 256], number: &mut usize, is_in: &dyn Fn(u8) -> bool) {
    // For each class: whether it has bytes outside, and the class of those inside.
    let mut has_outside = [false; 256];
    for byte in (0..=u8::MAX).filter(|&byte| !is_in(byte)) {
        if let Some(outside) = has_outside.get_mut(class_of(of_byte, byte)) {
            *outside = true;
        }
    }
    let mut inside = [None; 256];
    for byte in (0..=u8::MAX).filter(|&byte| is_in(byte)) {
        let class = class_of(of_byte, byte);
        if !has_outside.get(class).copied().unwrap_or(false) {
            continue;
        }
        let Some(new) = inside.get_mut(class) else {
            continue;
        };
        let new = *new.get_or_insert_with(|| {
            *number += 1;
            *number - 1
        });
        if let (Some(class), Ok(new)) = (of_byte.get_mut(usize::from(byte)), u8::try_from(new)) {
            *class = new;
        }
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
