//! `sluice rollout`: a percentage that moves by itself, and what people say to it.

mod run;

use clap::Subcommand;

use super::outcome::Outcome;
use crate::operations::Caller;

/// `sluice rollout`.
#[derive(clap::Args, Debug)]
pub(super) struct Rollout {
    /// What to do.
    #[command(subcommand)]
    command: Command,
}

/// Every command of a Rollout.
#[derive(Debug, Subcommand)]
enum Command {
    /// Run Rollouts in the foreground until they have ended
    Run(run::Run),
}

pub(super) async fn run(arguments: &Rollout, caller: &Caller) -> anyhow::Result<Outcome> {
    match &arguments.command {
        Command::Run(arguments) => run::run(arguments, caller).await,
    }
}
