//! What people say to a Rollout: `start`, `pause`, `resume`, `skip`, `approve`, `promote`, `retry`,
//! `finish`. Each is left for whoever runs it, and says what became of it.

use std::time::Duration;

use super::place::{PlaceArgs, print};
use crate::command::arguments::{Format, OutputArgs, ReasonArgs};
use crate::command::outcome::Outcome;
use crate::command::output;
use crate::operations::Caller;
use crate::rollout::asking::{self, Asked, Became, Order};
use crate::rollout::commands::Verb;
use crate::rollout::resource::Span;
use crate::rollout::rollouts::RolloutStore;

/// What such a command takes.
#[derive(clap::Args, Debug)]
pub(super) struct Ask {
    /// The Rollout
    pub(super) name: String,
    /// How long an answer is waited for
    #[arg(long, default_value = "10s", value_name = "DURATION", value_parser = length)]
    timeout: Duration,
    /// Why.
    #[command(flatten)]
    reason: ReasonArgs,
    /// Where it is.
    #[command(flatten)]
    pub(super) place: PlaceArgs,
    /// How the result is printed.
    #[command(flatten)]
    output: OutputArgs,
}

/// `sluice rollout promote`.
#[derive(clap::Args, Debug)]
pub(super) struct Promote {
    /// Skip every step before the last one, and what the last one waits for
    #[arg(long, required = true)]
    full: bool,
    /// The rest.
    #[command(flatten)]
    pub(super) ask: Ask,
}

/// A length of time that was typed.
pub(super) fn length(text: &str) -> Result<Duration, String> {
    let span: Result<Span, _> = text.parse();
    span.map(Span::as_duration)
        .map_err(|error| error.to_string())
}

pub(super) async fn run(arguments: &Ask, verb: Verb, caller: &Caller) -> anyhow::Result<Outcome> {
    let store = arguments.place.one().await?;
    let asked = asked(arguments, &store, verb, caller).await?;
    // Where nobody runs it, work that is asked for begins with whoever does.
    let is_for_later = matches!(verb, Verb::Start | Verb::Retry | Verb::Finish);
    Ok(match asked.outcome {
        Became::Obeyed => Outcome::Good,
        Became::Left if is_for_later => Outcome::Good,
        _ => Outcome::Problems,
    })
}

/// Asks, and prints what became of it.
pub(super) async fn asked(
    arguments: &Ask,
    store: &RolloutStore,
    verb: Verb,
    caller: &Caller,
) -> anyhow::Result<Asked> {
    let order = Order {
        rollout: &arguments.name,
        verb,
        reason: arguments.reason.reason.as_deref(),
        patience: arguments.timeout,
    };
    let asked = asking::ask(store, caller, order).await?;
    let is_done = asked.outcome == Became::Obeyed;
    let format = arguments.output.output;
    match format {
        Format::Table if !is_done => output::note(text(&asked)),
        _ => print(format, &asked, text)?,
    }
    Ok(asked)
}

fn text(asked: &Asked) -> String {
    let Asked {
        rollout,
        outcome,
        message,
        ..
    } = asked;
    let message = output::quoted(message);
    match outcome {
        Became::Obeyed => format!("{rollout}: {message}"),
        Became::Refused => format!("{rollout}: refused: {message}"),
        Became::Left => message,
        Became::Unanswered => format!("{rollout}: NOT DONE: {message}"),
        Became::Forgotten => format!("{rollout}: {message}; see `sluice rollout status {rollout}`"),
    }
}
