//! Places by which the parts of a plan refer to one another, each a type of its own, so that one is
//! not taken for another. Names are looked up with them: [`crate::plan::Plan::split`],
//! [`crate::definition::Definition::variant_name`].

/// A split's place in a plan: by byte order of the names.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct SplitIndex(u16);

impl SplitIndex {
    /// The split at this place, counted from 0.
    pub const fn new(index: u16) -> Self {
        Self(index)
    }

    /// The place, counted from 0.
    pub const fn number(self) -> u16 {
        self.0
    }
}

/// A variant's place in its split: 0 is the fallback, then come the challengers.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct VariantIndex(u8);

impl VariantIndex {
    /// The variant of everybody who gets no challenger.
    pub const FALLBACK: Self = Self(0);

    /// The variant at this place, counted from 0, which is the fallback's.
    pub const fn new(index: u8) -> Self {
        Self(index)
    }

    /// The place, counted from 0.
    pub const fn number(self) -> u8 {
        self.0
    }
}

/// Some of a split's variants.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Variants(u8);

impl Variants {
    /// One variant; none, beyond the eight that a split may have.
    pub const fn of(variant: VariantIndex) -> Self {
        if variant.0 < 8 {
            Self(1 << variant.0)
        } else {
            Self(0)
        }
    }

    /// Whether all of these are among them.
    pub const fn contain(self, others: Self) -> bool {
        self.0 & others.0 == others.0
    }

    /// These and others.
    #[must_use]
    pub const fn and(self, others: Self) -> Self {
        Self(self.0 | others.0)
    }
}

impl From<SplitIndex> for usize {
    fn from(split: SplitIndex) -> Self {
        Self::from(split.0)
    }
}

impl From<VariantIndex> for usize {
    fn from(variant: VariantIndex) -> Self {
        Self::from(variant.0)
    }
}
