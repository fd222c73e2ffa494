//! Every command: one file each, and here which one was typed.
//!
//! A command parses its arguments, calls an operation and prints what that returns. Nothing outside
//! calls a command, and no command imports this file.

mod abort;
mod apply;
mod arguments;
mod brake;
mod changes;
mod cli;
pub mod completion;
mod contexts;
mod controller;
mod crds;
mod dev;
mod diff;
mod doctor;
mod explain;
mod get;
mod history;
mod import;
mod interruption;
mod leash;
mod man;
mod outcome;
pub mod output;
mod promote;
mod push;
mod redraw;
mod refetch;
mod render;
mod restore;
mod rollback;
mod rollout;
mod set;
mod simulate;
mod status;
mod stores;
mod validate;
mod verify;
mod version;
mod weights_table;

use clap::{Parser, Subcommand};

pub use outcome::Outcome;

use crate::model::schema;
use crate::operations::{Caller, OperationError};

/// Sticky traffic splitting for Istio: moves the percentages, and shows what they do.
///
/// Exit codes: 0 good, 1 found problems, 2 could not run.
#[derive(Debug, Parser)]
#[command(version, max_term_width = 110, propagate_version = true)]
pub struct Cli {
    /// What to do.
    #[command(subcommand)]
    command: Command,
}

/// Every command.
#[derive(Debug, Subcommand)]
enum Command {
    /// Run a local Envoy with the filter on a directory, and push every change of it
    Dev(dev::Dev),
    /// Change a split's weights
    Set(set::Set),
    /// Show weights
    Get(get::Get),
    /// Show which share of users a change, or another configuration, would move
    Diff(diff::Diff),
    /// Draw other users for the next canary
    Redraw(redraw::Redraw),
    /// Who changed what, when and why
    History(history::History),
    /// Go back to earlier weights
    Rollback(rollback::Rollback),
    /// Give every plugin of a backup its weights, draws and history again
    Restore(restore::Restore),
    /// Set every weight of a split to zero, now
    Abort(abort::Abort),
    /// Show and release the brakes of a cluster
    Brake(brake::Brake),
    /// Move a percentage by itself, step by step, watched
    Rollout(rollout::Rollout),
    /// Run the Rollouts of a cluster
    Controller(controller::Controller),
    /// Copy a split's weights to another namespace or cluster
    Promote(promote::Promote),
    /// Make the agents of a plugin's proxies fetch the module again
    Refetch(refetch::Refetch),
    /// Weights wanted, weights in force, measured shares
    Status(status::Status),
    /// Look at a cluster for what is wrong with it, and say what mends it
    Doctor(doctor::Doctor),
    /// What runs: this sluice, the controller, modules; what does not fit together
    Version(version::Version),
    /// Check a configuration
    Validate(validate::Validate),
    /// Tell why one request goes where it goes
    Explain(explain::Explain),
    /// Shares, churn and correlation over many users
    Simulate(simulate::Simulate),
    /// Write the resources of a split: routes and plugin, in the order to apply them
    Render(render::Render),
    /// Apply the resources of a split in the order in which no request fails
    Apply(apply::Apply),
    /// Read splits and Rollouts out of other tools' resources: Flagger, Argo, VirtualServices, ingress-nginx
    Import(import::Import),
    /// Publish the filter's module, or an image, to an OCI registry, and print the digest to pin
    Push(push::Push),
    /// Check that an image is what the owner of a key signed
    Verify(verify::Verify),
    /// Print the JSON Schema of the plugin configuration, for editors
    Schema,
    /// Print the CustomResourceDefinitions of Rollouts and Brakes, to apply to a cluster
    Crds,
    /// Write what a shell needs to complete commands, and names of splits and namespaces
    Completion(completion::Completion),
    /// Write the manual pages, one a command
    Man(man::Man),
    /// Run a program that ends when this process' parent does
    #[command(hide = true)]
    Leash(leash::Leash),
}

/// Runs what was typed, on behalf of a caller.
///
/// # Errors
/// Why it could not run; exit code 2.
pub async fn run(cli: Cli, caller: &Caller) -> anyhow::Result<Outcome> {
    match dispatch(cli.command, caller).await {
        Err(error) if is_found_problem(&error) => {
            output::error(&error);
            Ok(Outcome::Problems)
        }
        other => other,
    }
}

/// Whether a command that ended with an error ran all the same, and what it found is the problem.
fn is_found_problem(error: &anyhow::Error) -> bool {
    let error = error.downcast_ref::<OperationError>();
    error.is_some_and(OperationError::is_found_problem)
}

async fn dispatch(command: Command, caller: &Caller) -> anyhow::Result<Outcome> {
    match command {
        Command::Dev(arguments) => dev::run(&arguments).await,
        Command::Set(arguments) => set::run(&arguments, caller).await,
        Command::Get(arguments) => get::run(&arguments).await,
        Command::Diff(arguments) => diff::run(&arguments).await,
        Command::Redraw(arguments) => redraw::run(&arguments, caller).await,
        Command::History(arguments) => history::run(&arguments).await,
        Command::Rollback(arguments) => rollback::run(&arguments, caller).await,
        Command::Restore(arguments) => restore::run(&arguments, caller).await,
        Command::Abort(arguments) => abort::run(&arguments, caller).await,
        Command::Brake(arguments) => brake::run(&arguments, caller).await,
        Command::Rollout(arguments) => rollout::run(&arguments, caller).await,
        Command::Controller(arguments) => controller::run(&arguments, caller).await,
        Command::Promote(arguments) => promote::run(&arguments, caller).await,
        Command::Refetch(arguments) => refetch::run(&arguments, caller).await,
        Command::Status(arguments) => status::run(&arguments, caller).await,
        Command::Doctor(arguments) => doctor::run(&arguments, caller).await,
        Command::Version(arguments) => version::run(&arguments, caller).await,
        Command::Validate(arguments) => validate::run(&arguments).await,
        Command::Explain(arguments) => explain::run(&arguments).await,
        Command::Simulate(arguments) => simulate::run(&arguments).await,
        Command::Render(arguments) => render::run(&arguments),
        Command::Apply(arguments) => apply::run(&arguments).await,
        Command::Import(arguments) => import::run(&arguments),
        Command::Push(arguments) => push::run(&arguments).await,
        Command::Verify(arguments) => verify::run(&arguments).await,
        Command::Schema => {
            output::document(serde_json::to_string_pretty(&schema::schema())?);
            Ok(Outcome::Good)
        }
        Command::Crds => crds::run().map(|()| Outcome::Good),
        Command::Completion(arguments) => completion::run(&arguments),
        Command::Man(arguments) => man::run(&arguments),
        Command::Leash(arguments) => leash::run(&arguments),
    }
}
