//! A set of bytes, as character classes of expressions are: used by [`crate::scanner`] and
//! [`crate::pattern`].

use regex_syntax::hir::Class;

/// A set of bytes, one bit each.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ByteSet([u32; 8]);

impl ByteSet {
    /// This byte alone.
    pub fn of(byte: u8) -> Self {
        let mut set = Self::default();
        set.insert(byte);
        set
    }

    /// The bytes of a class; `None` for one with characters beyond ASCII, which are several bytes
    /// each.
    pub fn of_class(class: &Class) -> Option<Self> {
        let mut set = Self::default();
        match class {
            Class::Bytes(class) => {
                for range in class.iter() {
                    (range.start()..=range.end()).for_each(|byte| set.insert(byte));
                }
            }
            Class::Unicode(class) => {
                for range in class.iter() {
                    let (start, end) = (
                        u8::try_from(range.start()).ok()?,
                        u8::try_from(range.end()).ok()?,
                    );
                    if !end.is_ascii() {
                        return None;
                    }
                    (start..=end).for_each(|byte| set.insert(byte));
                }
            }
        }
        Some(set)
    }

    fn insert(&mut self, byte: u8) {
        if let Some(word) = self.0.get_mut(usize::from(byte >> 5)) {
            *word |= 1 << (byte & 31);
        }
    }

    /// Whether the byte is one of them.
    #[inline(always)]
    pub fn contains(&self, byte: u8) -> bool {
        self.0
            .get(usize::from(byte >> 5))
            .is_some_and(|word| word & (1 << (byte & 31)) != 0)
    }

    /// Whether some byte is in both.
    pub fn meets(&self, other: &Self) -> bool {
        let mut both = self.0.iter().zip(other.0);
        both.any(|(one, other)| one & other != 0)
    }
}
