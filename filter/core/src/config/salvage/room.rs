//! Room for the entries of a document that has too many values.
//!
//! The small entries come first, so that no number of large ones takes the room of a small one. Which
//! entries find room depends on their sizes alone, and where the last room is short for several of
//! one size, on their order: filter and control, who count in text and in values, leave out the same.

use super::super::MAX_DOCUMENT_VALUES;

/// The room that entries have.
pub(super) struct Room {
    /// Entries of up to so many values find room.
    small: usize,
    /// How many values of those entries find room that have one more.
    left: usize,
}

impl Room {
    /// The room in a document of so many values, of which entries have `sizes`. `None`: there is too
    /// much outside of entries.
    pub(super) fn of(values: usize, sizes: &[usize]) -> Option<Self> {
        let outside = values.saturating_sub(sizes.iter().sum());
        let mut room = Self {
            small: 0,
            left: MAX_DOCUMENT_VALUES.checked_sub(outside)?,
        };
        let all = room.left;
        for bit in (0..usize::BITS - MAX_DOCUMENT_VALUES.leading_zeros()).rev() {
            let small = room.small | (1 << bit);
            let taken = sizes.iter().filter(|size| **size <= small).sum();
            if let Some(left) = all.checked_sub(taken) {
                room = Self { small, left };
            }
        }
        Some(room)
    }

    /// Whether the next entry, of so many values, finds room; takes it.
    pub(super) fn takes(&mut self, values: usize) -> bool {
        if values <= self.small {
            return true;
        }
        let after = self.left.checked_sub(values);
        let after = after.filter(|_| values == self.small + 1);
        self.left = after.unwrap_or(self.left);
        after.is_some()
    }
}
