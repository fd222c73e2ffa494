//! On whose behalf an operation runs, and by which clock: arguments of every operation that writes.

use jiff::Timestamp;

/// Who asks for an operation, and the clock that says when.
#[derive(Clone, Debug)]
pub struct Caller {
    /// The caller's name, for the history; advisory. A cluster's API server may know a better one.
    pub name: String,
    /// The time now.
    pub clock: fn() -> Timestamp,
}

impl Caller {
    /// The time now.
    pub fn now(&self) -> Timestamp {
        (self.clock)()
    }

    /// The date in UTC, as `2026-11-21`.
    pub fn today(&self) -> String {
        self.now().to_string().chars().take(10).collect()
    }
}
