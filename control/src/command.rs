//! One file a command; here is what they share: the result, the store, and how a change is made.

mod abort;
mod arguments;
mod dev;
mod diff;
mod explain;
mod get;
mod history;
mod import;
mod leash;
mod outcome;
pub mod output;
mod promote;
mod push;
mod redraw;
mod refetch;
mod render;
mod rollback;
mod set;
mod simulate;
mod status;
mod stores;
mod validate;

use clap::{Parser, Subcommand};

use arguments::{ForceArgs, ReasonArgs, ScopeArgs, StoreArgs};
pub use outcome::Outcome;

use crate::model::change::{self, State};
use crate::model::churn;
use crate::model::churn::{Move, moves};
use crate::model::refusal;
use crate::model::weights::WeightSet;
use crate::operations::Caller;
use crate::store::{Manner, OthersFields, Snapshot, Store, Write};
use sluice_core::plan::{Node, Plan};

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
    /// Set every weight of a split to zero, now
    Abort(abort::Abort),
    /// Copy a split's weights to another namespace or cluster
    Promote(promote::Promote),
    /// Make the agents of a plugin's proxies fetch the module again
    Refetch(refetch::Refetch),
    /// Weights wanted, weights in force, measured shares
    Status(status::Status),
    /// Check a configuration
    Validate(validate::Validate),
    /// Tell why one request goes where it goes
    Explain(explain::Explain),
    /// Shares, churn and correlation over many users
    Simulate(simulate::Simulate),
    /// Write the resources of a split: routes and plugin, in the order to apply them
    Render(render::Render),
    /// Read splits out of VirtualServices and ingress-nginx canaries
    Import(import::Import),
    /// Publish the filter's module to an OCI registry, and print the digest to pin
    Push(push::Push),
    /// Print the JSON Schema of the plugin configuration, for editors
    Schema,
    /// Run a program that ends when this process' parent does
    #[command(hide = true)]
    Leash(leash::Leash),
}

/// Runs what was typed, on behalf of a caller.
///
/// # Errors
/// Why it could not run; exit code 2.
pub async fn run(cli: Cli, caller: &Caller) -> anyhow::Result<Outcome> {
    match cli.command {
        Command::Dev(arguments) => dev::run(&arguments).await,
        Command::Set(arguments) => set::run(&arguments, caller).await,
        Command::Get(arguments) => get::run(&arguments).await,
        Command::Diff(arguments) => diff::run(&arguments).await,
        Command::Redraw(arguments) => redraw::run(&arguments, caller).await,
        Command::History(arguments) => history::run(&arguments).await,
        Command::Rollback(arguments) => rollback::run(&arguments, caller).await,
        Command::Abort(arguments) => abort::run(&arguments, caller).await,
        Command::Promote(arguments) => promote::run(&arguments, caller).await,
        Command::Refetch(arguments) => refetch::run(&arguments, caller).await,
        Command::Status(arguments) => status::run(&arguments, caller).await,
        Command::Validate(arguments) => validate::run(&arguments).await,
        Command::Explain(arguments) => explain::run(&arguments).await,
        Command::Simulate(arguments) => simulate::run(&arguments).await,
        Command::Render(arguments) => render::run(&arguments),
        Command::Import(arguments) => import::run(&arguments),
        Command::Push(arguments) => push::run(&arguments).await,
        Command::Schema => {
            output::line(serde_json::to_string_pretty(
                &crate::model::schema::schema(),
            )?);
            Ok(Outcome::Good)
        }
        Command::Leash(arguments) => leash::run(&arguments),
    }
}

/// Whether a change is made or only described.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Mode {
    Write,
    DryRun,
}

impl Mode {
    fn of(is_dry_run: bool) -> Self {
        if is_dry_run {
            Self::DryRun
        } else {
            Self::Write
        }
    }
}

/// A change that must wait for its turn and must not bring problems.
struct Change<'a> {
    caller: &'a Caller,
    mode: Mode,
    force: ForceArgs,
    /// The command, for the history.
    command: String,
    /// The split that is changed, if it is one.
    split: Option<&'a str>,
    reason: &'a ReasonArgs,
}

impl Change<'_> {
    /// Makes the change; answers what it moves.
    async fn make(
        &self,
        store: &impl Store,
        decide: impl Fn(&Snapshot, &Plan) -> anyhow::Result<WeightSet> + Send + Sync,
    ) -> anyhow::Result<String> {
        let mut report = String::new();
        let others_fields = if self.force.force {
            OthersFields::TakeOver
        } else {
            OthersFields::Respect
        };
        let manner = Manner {
            others_fields,
            ..Manner::IN_TURN
        };
        let mut decide = |snapshot: &Snapshot| {
            let plan = snapshot.plugin.plan(&Node::default())?;
            let owned = decide(snapshot, &plan)?;
            let after = plan_with(&snapshot.state(), &owned)?;
            refusal::check(&plan, &after, self.split)?;
            report = describe(snapshot, &owned, &plan, &after, self.mode);
            let splits = change::differing_splits(&snapshot.owned, &owned);
            let is_written = self.mode == Mode::Write && !splits.is_empty();
            Ok(is_written.then(|| Write {
                owned,
                splits,
                at: self.caller.now(),
                by: self.caller.name.clone(),
                command: self.command.clone(),
                reason: self.reason.reason.clone(),
            }))
        };
        let updated = store.update(manner, &mut decide).await?;
        for note in updated.notes {
            output::note(format!("note: {note}"));
        }
        Ok(report.trim_end().to_owned())
    }

    /// Makes the change wherever the arguments point, also where one of several fails; prints what it moves.
    async fn make_in(
        &self,
        arguments: &StoreArgs,
        scope: ScopeArgs,
        decide: impl Fn(&Snapshot, &Plan) -> anyhow::Result<WeightSet> + Send + Sync,
    ) -> anyhow::Result<Outcome> {
        if !scope.all_namespaces {
            let store = stores::one(arguments).await?;
            output::line(self.make(&store, decide).await?);
            return Ok(Outcome::Good);
        }
        let mut outcome = Outcome::Good;
        for (title, store) in stores::with_split(arguments, self.split).await? {
            match self.make(&store, &decide).await {
                Ok(report) => output::line(format!("{title}:\n{report}")),
                Err(error) => {
                    output::error(&error.context(title));
                    outcome = Outcome::Problems;
                }
            }
        }
        Ok(outcome)
    }
}

fn plan_with(state: &State, owned: &WeightSet) -> anyhow::Result<Plan> {
    let document = sluice_core::config::Document::from_value(state.with(owned))?;
    Ok(Plan::build(&document, &Node::default(), None))
}

fn describe(
    snapshot: &Snapshot,
    owned: &WeightSet,
    before: &Plan,
    after: &Plan,
    mode: Mode,
) -> String {
    let suffix = if mode == Mode::DryRun {
        " (dry run: nothing was written)"
    } else {
        ""
    };
    let effective = WeightSet::of_config(&snapshot.plugin.config);
    let wanted = WeightSet::of_config(&snapshot.state().with(owned));
    let changes = change::differences(&effective, &wanted);
    let mut lines: Vec<String> = changes
        .iter()
        .map(|change| format!("{change}{suffix}"))
        .collect();
    lines.extend(
        redraws(&effective, &wanted)
            .into_iter()
            .map(|redraw| redraw + suffix),
    );
    if lines.is_empty() {
        return format!("nothing to change: the weights are already so{suffix}");
    }
    lines.extend(moves(before, after).iter().map(sentence));
    for meeting in churn::meetings(after) {
        let [one, other] = &meeting.challengers;
        lines.push(format!(
            "warning: {} {}: the ranges of {one} and {other} meet; further changes may move users between them",
            meeting.split, meeting.audience
        ));
    }
    lines.join("\n")
}

/// `web draw: none -> 2026-11-20`, for every draw that differs.
fn redraws(before: &WeightSet, after: &WeightSet) -> Vec<String> {
    let mut splits = before.splits();
    splits.extend(after.splits());
    let redraw = |split: &str| {
        let (from, to) = (before.draw(split), after.draw(split));
        let [from, to] = [from, to].map(|draw| draw.unwrap_or("none"));
        (from != to).then(|| format!("{split} draw: {from} -> {to}"))
    };
    splits.into_iter().filter_map(redraw).collect()
}

/// `moves 5 % of web's everyone from stable to canary`.
fn sentence(found: &Move) -> String {
    let percent = (found.percent * 1_000.0).round() / 1_000.0;
    format!(
        "moves {percent} % of {}'s {} from {} to {}",
        found.split, found.audience, found.from, found.to
    )
}
