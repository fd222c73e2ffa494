//! `sluice abort`: explicit zeros for every audience and challenger, now, whatever else runs and
//! whatever else is wrong.

use anyhow::bail;

use super::arguments::{Format, ReasonArgs, ScopeArgs, StoreArgs};
use super::brake::{
    MEANWHILE, is_without_answer, name_the_key, say_followed, say_meanwhile, stands_in,
};
use super::changes::say_notes;
use super::outcome::Outcome;
use super::{contexts, output, stores};
use crate::brake::abort::{self as braking, Braked, PluginAbort};
use crate::model::reach::Reach;
use crate::operations::abort::{Abort as Order, AbortOutcome};
use crate::operations::plugins::TitledStore;
use crate::operations::{Caller, OperationError};
use crate::store::Note;

/// `sluice abort`.
#[derive(clap::Args, Clone, Debug)]
#[command(group = clap::ArgGroup::new("what").required(true).args(["split", "all"]))]
pub(super) struct Abort {
    /// The split
    split: Option<String>,
    /// Every split
    #[arg(long)]
    all: bool,
    /// Which store holds the configuration.
    #[command(flatten)]
    store: StoreArgs,
    /// Whether every plugin of the cluster is meant.
    #[command(flatten)]
    scope: ScopeArgs,
    /// Why the change is made.
    #[command(flatten)]
    reason: ReasonArgs,
}

pub(super) async fn run(arguments: &Abort, caller: &Caller) -> anyhow::Result<Outcome> {
    let named = &arguments.store.cluster.contexts;
    if named.len() < 2 {
        return alone(arguments, caller).await;
    }
    let run = |context: &str| {
        let mut one = arguments.clone();
        one.store.cluster = one.store.cluster.in_context(context);
        async move { alone(&one, caller).await }
    };
    contexts::each(named, Format::Table, run).await
}

async fn alone(arguments: &Abort, caller: &Caller) -> anyhow::Result<Outcome> {
    let outcome = aborted(arguments, caller).await;
    if outcome.as_ref().is_err_and(is_without_answer) {
        name_the_key();
    }
    outcome
}

async fn aborted(arguments: &Abort, caller: &Caller) -> anyhow::Result<Outcome> {
    let (place, stores, unlisted) =
        stores::some_at_least(&arguments.store, arguments.scope).await?;
    let order = Order {
        reach: Reach {
            split: arguments.split.clone(),
            ..Reach::default()
        },
        reason: arguments.reason.reason.clone(),
    };
    if let [TitledStore { title: None, store }] = stores.as_slice() {
        let aborting = async {
            let braked = braking::abort(store, caller, &order, None, MEANWHILE).await;
            let Braked { aborted, given } = braked;
            match aborted {
                Ok(aborted) => Ok((aborted, given)),
                Err(error) => Err((error, given)),
            }
        };
        let (aborted, given) = match place.said(aborting).await {
            Ok(both) => both,
            Err((error, given)) => return stands_in(&given, error.into()).await,
        };
        say_notes(&aborted.notes);
        output::line(report(&aborted));
        let outcome = say_not_in_force(None, &aborted);
        say_followed(&given).await;
        return Ok(outcome);
    }
    let all = braking::abort_everywhere(stores, caller, &order, say_meanwhile).await;
    output::note(format!("on {place}"));
    say_notes(&unlisted);
    let is_nowhere = all.iter().all(lacks_split);
    let outcome = say(all).await;
    if is_nowhere {
        bail!(
            "no plugin has a split {:?}; nothing was aborted",
            arguments.split.as_deref().unwrap_or_default()
        );
    }
    Ok(if unlisted.is_empty() {
        outcome
    } else {
        Outcome::Problems
    })
}

/// Says what became of every plugin, but for those that merely lack the split: several are asked.
async fn say(all: Vec<PluginAbort>) -> Outcome {
    let aborted = all
        .iter()
        .filter_map(|one| one.braked.aborted.as_ref().ok());
    for aborted in aborted {
        say_notes(&aborted.notes);
    }
    let are_several = all.len() > 1;
    let (mut outcome, mut is_unanswered) = (Outcome::Good, false);
    for PluginAbort { plugin, braked } in all {
        let plugin = plugin.unwrap_or_default();
        let Braked { aborted, given } = braked;
        let said = match aborted {
            Ok(aborted) => {
                output::line(format!("{plugin}:\n{}", report(&aborted)));
                let said = say_not_in_force(Some(&plugin), &aborted);
                say_followed(&given).await;
                said
            }
            Err(error) if error.lacks_split() && are_several => Outcome::Good,
            Err(error) => {
                let error = anyhow::Error::from(error).context(format!("{plugin}: NOT ABORTED"));
                stands_in(&given, error).await.unwrap_or_else(|error| {
                    is_unanswered |= is_without_answer(&error);
                    output::note(format!("{error:#}"));
                    Outcome::Problems
                })
            }
        };
        if said == Outcome::Problems {
            outcome = Outcome::Problems;
        }
    }
    if is_unanswered {
        name_the_key();
    }
    outcome
}

/// Says where proxies do not obey.
pub(super) fn say_not_in_force(plugin: Option<&str>, aborted: &AbortOutcome) -> Outcome {
    let Some(why) = &aborted.not_in_force else {
        let is_problem = aborted.notes.iter().any(Note::is_problem);
        return if is_problem {
            Outcome::Problems
        } else {
            Outcome::Good
        };
    };
    let plugin = plugin
        .map(|plugin| format!("{plugin}: "))
        .unwrap_or_default();
    output::note(format!("{plugin}NOT IN FORCE: {why}"));
    Outcome::Problems
}

fn lacks_split(one: &PluginAbort) -> bool {
    one.braked
        .aborted
        .as_ref()
        .is_err_and(OperationError::lacks_split)
}

/// What an abort changed, in words.
pub(super) fn report(aborted: &AbortOutcome) -> String {
    if aborted.changes.is_empty() && aborted.not_in_force.is_some() {
        return "no weight was changed".to_owned();
    }
    if aborted.changes.is_empty()
        && let Some(why) = &aborted.was_unreadable
    {
        return format!("the zeros are now explicit; what was served before is not known: {why}");
    }
    if aborted.changes.is_empty() {
        return "every weight was zero already; the zeros are now explicit".to_owned();
    }
    let lines: Vec<String> = aborted.changes.iter().map(ToString::to_string).collect();
    lines.join("\n")
}
