//! What became of a command, from which `main` makes the exit code.

/// What became of a command.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// Exit code 0.
    Good,
    /// Exit code 1: it found problems.
    Problems,
    /// Exit code 2: it could not run, and has said why.
    Unable,
}
