//! `sluice rollout`: a percentage that moves by itself, and what people say to it.

mod abort;
mod ask;
mod check;
mod history;
mod place;
mod release;
mod run;
mod status;

use clap::Subcommand;

use super::outcome::Outcome;
use crate::operations::Caller;
use crate::rollout::commands::Verb;

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
    /// How far Rollouts are; once, watched, or until the run has ended
    Status(status::Status),
    /// Begin a run, also of a version that was brought already
    Start(ask::Ask),
    /// Let a run stand still
    Pause(ask::Ask),
    /// Let a run go on; a weight that somebody else set is set again
    Resume(ask::Ask),
    /// End the step now
    Skip(ask::Ask),
    /// Let a step that waits for it end
    Approve(ask::Ask),
    /// Go to the last step now
    Promote(ask::Promote),
    /// Take a run's users back at once, whoever runs it, and end it
    Abort(abort::Abort),
    /// Try the version again that failed
    Retry(ask::Ask),
    /// Take the weight to 0, since the fallback is the new version now
    Finish(ask::Ask),
    /// Hand everything back to the one Deployment of a workload, without an interruption
    Release(release::Release),
    /// Ask every query of the analysis once, and say what it would decide; nothing moves
    Check(check::Check),
    /// The last runs, a line each
    History(history::History),
}

pub(super) async fn run(arguments: &Rollout, caller: &Caller) -> anyhow::Result<Outcome> {
    match &arguments.command {
        Command::Run(arguments) => run::run(arguments, caller).await,
        Command::Status(arguments) => status::run(arguments, caller).await,
        Command::Start(arguments) => ask::run(arguments, Verb::Start, caller).await,
        Command::Pause(arguments) => ask::run(arguments, Verb::Pause, caller).await,
        Command::Resume(arguments) => ask::run(arguments, Verb::Resume, caller).await,
        Command::Skip(arguments) => ask::run(arguments, Verb::Skip, caller).await,
        Command::Approve(arguments) => ask::run(arguments, Verb::Approve, caller).await,
        Command::Promote(arguments) => ask::run(&arguments.ask, Verb::PromoteFull, caller).await,
        Command::Abort(arguments) => abort::run(arguments, caller).await,
        Command::Retry(arguments) => ask::run(arguments, Verb::Retry, caller).await,
        Command::Finish(arguments) => ask::run(arguments, Verb::Finish, caller).await,
        Command::Release(arguments) => release::run(arguments, caller).await,
        Command::Check(arguments) => check::run(arguments, caller).await,
        Command::History(arguments) => history::run(arguments).await,
    }
}
