//! `sluice`: parses what was typed, runs it, and turns the result into an exit code.

use std::process::ExitCode;

use clap::Parser as _;
use sluice::command::{self, Cli, Outcome};

fn main() -> ExitCode {
    match command::run(Cli::parse()) {
        Ok(Outcome::Good) => ExitCode::SUCCESS,
        Ok(Outcome::Problems) => ExitCode::from(1),
        Err(error) => {
            sluice::command::output::error(&error);
            ExitCode::from(2)
        }
    }
}
