//! `sluice rollout abort`: takes a run's users back at once, whoever runs it and where nobody does,
//! and ends it for good.

use super::place::{PlaceArgs, print};
use crate::command::abort::{report, say_not_in_force};
use crate::command::arguments::{OutputArgs, ReasonArgs};
use crate::command::brake::{MEANWHILE, is_without_answer, name_the_key, say_followed, stands_in};
use crate::command::changes::say_notes;
use crate::command::outcome::Outcome;
use crate::command::output;
use crate::operations::Caller;
use crate::rollout::abort::{self, Ended, NotAborted, RolloutAbort};

/// `sluice rollout abort`.
#[derive(clap::Args, Debug)]
pub(super) struct Abort {
    /// The Rollout
    name: String,
    /// Why.
    #[command(flatten)]
    reason: ReasonArgs,
    /// Where it is.
    #[command(flatten)]
    place: PlaceArgs,
    /// How the result is printed.
    #[command(flatten)]
    output: OutputArgs,
}

pub(super) async fn run(arguments: &Abort, caller: &Caller) -> anyhow::Result<Outcome> {
    let outcome = aborted(arguments, caller).await;
    if outcome.as_ref().is_err_and(is_without_answer) {
        name_the_key();
    }
    outcome
}

async fn aborted(arguments: &Abort, caller: &Caller) -> anyhow::Result<Outcome> {
    let store = arguments.place.one().await?;
    let reason = arguments.reason.reason.as_deref();
    let ended = abort::abort(&store, caller, &arguments.name, reason, MEANWHILE).await;
    let Ended { aborted, given } = ended;
    let aborted = match aborted {
        Err(no_run @ NotAborted::NoRun { .. }) => {
            output::error(&no_run.into());
            return Ok(Outcome::Problems);
        }
        Err(error) => return stands_in(&given, error.into()).await,
        Ok(aborted) => aborted,
    };
    say_notes(&aborted.weights.notes);
    print(arguments.output.output, &aborted, text)?;
    let in_force = say_not_in_force(Some(&aborted.rollout), &aborted.weights);
    say_followed(&given).await;
    let Some(why) = &aborted.not_left else {
        return Ok(in_force);
    };
    output::note(format!(
        "{}: its users are back, but whoever runs it was not told: {why}",
        aborted.rollout
    ));
    Ok(Outcome::Problems)
}

fn text(aborted: &RolloutAbort) -> String {
    let ended = match aborted.number {
        Some(number) => format!("its run ends as aborted (command {number})"),
        None => "its run had ended".to_owned(),
    };
    let rollout = &aborted.rollout;
    format!("{}\n{rollout}: {ended}", report(&aborted.weights))
}
