//! Which bytes lead to the same states: a table has a column for each class, not for each byte.

use super::error::NoAutomaton;
use super::sights::{Sights, is_word};
use crate::byte_set::ByteSet;
use crate::pattern::steps::Steps;
use crate::pattern::work::{Exhausted, Work};

/// Bytes that no part of an expression tells apart.
pub(super) struct Classes {
    pub(super) of_byte: Box<[u8; 256]>,
    /// A byte of each class, in order.
    pub(super) examples: Vec<u8>,
    pub(super) number: u8,
}

impl Classes {
    pub(super) fn of(steps: &Steps, sights: &Sights, work: &mut Work) -> Result<Self, NoAutomaton> {
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
