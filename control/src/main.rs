//! `sluice`: parses what was typed, runs it on the one runtime, and turns the result into an exit
//! code.

use std::ffi::OsString;
use std::process::ExitCode;

use sluice::command::{self, Cli, Outcome, completion};
use sluice::operations::Caller;
use sluice::tls;

fn main() -> ExitCode {
    let words: Vec<OsString> = std::env::args_os().collect();
    tls::set_up();
    if completion::answered(&words) {
        return ExitCode::SUCCESS;
    }
    let cli = Cli::parsed(&words);
    match run(cli) {
        Ok(Outcome::Good) => ExitCode::SUCCESS,
        Ok(Outcome::Problems) => ExitCode::from(1),
        Ok(Outcome::Unable) => ExitCode::from(2),
        Err(error) => {
            command::output::error(&error);
            ExitCode::from(2)
        }
    }
}

fn run(cli: Cli) -> anyhow::Result<Outcome> {
    let caller = Caller {
        name: user(),
        clock: jiff::Timestamp::now,
    };
    // Two workers: connections go on while the command itself, which stays on this thread, waits
    // for a file or decides.
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()?;
    runtime.block_on(command::run(cli, &caller))
}

/// Who runs this, as the machine has it.
fn user() -> String {
    std::env::var("USER")
        .or_else(|_| std::env::var("LOGNAME"))
        .unwrap_or_else(|_| "unknown".to_owned())
}
