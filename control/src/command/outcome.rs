//! What became of a command, from which `main` makes the exit code.

/// What became of a command that could run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// Exit code 0.
    Good,
    /// Exit code 1: it found problems.
    Problems,
}
