//! What an expression looks at beside a place: the ends of the value, of lines and of words.

use regex_syntax::hir::Look;

use super::error::NoAutomaton;
use crate::pattern::steps::Steps;

/// What stands beside a place, as far as an expression looks at it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum Beside {
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
pub(super) struct Sights {
    ends: bool,
    pub(super) lines: bool,
    pub(super) words: bool,
}

impl Sights {
    pub(super) fn of(steps: &Steps) -> Result<Self, NoAutomaton> {
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

    pub(super) fn beside(self, byte: u8) -> Beside {
        match byte {
            b'\n' if self.lines => Beside::LineFeed,
            _ if self.words && is_word(byte) => Beside::Word,
            _ => Beside::Other,
        }
    }

    pub(super) fn nothing(self) -> Beside {
        if self.ends || self.lines || self.words {
            Beside::Nothing
        } else {
            Beside::Other
        }
    }
}

pub(super) const fn is_word(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || byte == b'_'
}

pub(super) fn holds(look: Look, before: Beside, after: Beside) -> bool {
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
