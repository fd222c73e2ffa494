//! What compiling may cost, counted in steps instead of time, so that every proxy and every command
//! draws the same line.

/// It would take more steps than are left.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Exhausted;

/// Steps that are left. One is a few nanoseconds: looking at a state, at a byte, at a character.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Work(u32);

impl Work {
    /// So many steps.
    pub const fn of(steps: u32) -> Self {
        Self(steps)
    }

    /// How many are left.
    pub const fn left(self) -> u32 {
        self.0
    }

    /// Takes some of the steps.
    ///
    /// # Errors
    /// When there are not so many any more; then none is left.
    pub fn spend(&mut self, steps: usize) -> Result<(), Exhausted> {
        let steps = u32::try_from(steps).unwrap_or(u32::MAX);
        let left = self.0.checked_sub(steps);
        self.0 = left.unwrap_or(0);
        left.map(drop).ok_or(Exhausted)
    }
}
