//! One file a command; here is what they share: the result, the store, and how a change is made.

mod abort;
mod dev;
mod diff;
mod explain;
mod get;
mod history;
mod leash;
mod redraw;
mod rollback;
mod set;
pub mod simulate;
mod status;
mod validate;

use std::path::Path;

use anyhow::bail;

use crate::change::{self, State};
use crate::cli::{Cli, Command, StoreArgs};
use crate::document::{self, Plugin};
use crate::moves::{Move, moves};
use crate::store::directory::Directory;
use crate::store::{Snapshot, Store, Urgency, Write};
use crate::weights::Owned;
use crate::{moves as plan_moves, output};
use sluice_filter::plan::{Node, Plan};

/// What became of a command that could run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// Exit code 0.
    Good,
    /// Exit code 1: it found problems.
    Problems,
}

/// Runs what was typed.
///
/// # Errors
/// Why it could not run; exit code 2.
pub fn run(cli: Cli) -> anyhow::Result<Outcome> {
    match cli.command {
        Command::Dev(arguments) => dev::run(&arguments),
        Command::Set(arguments) => set::run(&arguments),
        Command::Get(arguments) => get::run(&arguments),
        Command::Diff(arguments) => diff::run(&arguments),
        Command::Redraw(arguments) => redraw::run(&arguments),
        Command::History(arguments) => history::run(&arguments),
        Command::Rollback(arguments) => rollback::run(&arguments),
        Command::Abort(arguments) => abort::run(&arguments),
        Command::Status(arguments) => status::run(&arguments),
        Command::Validate(arguments) => validate::run(&arguments),
        Command::Explain(arguments) => explain::run(&arguments),
        Command::Simulate(arguments) => simulate::run(&arguments),
        Command::Schema => {
            output::line(serde_json::to_string_pretty(&crate::schema::schema())?);
            Ok(Outcome::Good)
        }
        Command::Leash(arguments) => leash::run(&arguments),
    }
}

/// The directory store that the arguments name, or the current directory.
fn store(arguments: &StoreArgs) -> anyhow::Result<Directory> {
    match &arguments.dir {
        Some(dir) => Directory::open(dir),
        None if Path::new("plugin.yaml").is_file() => Directory::open(Path::new(".")),
        None => {
            bail!("no store: the current directory has no plugin.yaml; name a directory with --dir DIR or SLUICE_DIR")
        }
    }
}

/// The configuration of a file or, without one, of the store.
fn plugin(file: Option<&Path>, arguments: &StoreArgs) -> anyhow::Result<Plugin> {
    match file {
        Some(file) => document::plugin(file),
        None => Ok(store(arguments)?.snapshot()?.plugin),
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
        if is_dry_run { Self::DryRun } else { Self::Write }
    }
}

/// What is remembered of a change.
struct Told<'a> {
    command: String,
    /// The split that is changed, if it is one.
    split: Option<&'a str>,
    reason: Option<&'a str>,
}

/// Makes a change that must wait for its turn and must not bring problems; says what it moves.
fn make_change(
    arguments: &StoreArgs,
    mode: Mode,
    told: &Told<'_>,
    decide: impl Fn(&Snapshot, &Plan) -> anyhow::Result<Owned>,
) -> anyhow::Result<Outcome> {
    let store = store(arguments)?;
    let mut report = String::new();
    store.update(Urgency::InTurn, &mut |snapshot| {
        let plan = snapshot.plugin.plan(&Node::default())?;
        let owned = decide(snapshot, &plan)?;
        let after = plan_with(&snapshot.state(), &owned)?;
        change::check(&plan, &after, told.split)?;
        report = describe(snapshot, &owned, &plan, &after, mode);
        let is_written = mode == Mode::Write && owned != snapshot.owned;
        Ok(is_written.then(|| Write { owned, command: told.command.clone(), reason: told.reason.map(str::to_owned) }))
    })?;
    output::line(report.trim_end());
    Ok(Outcome::Good)
}

fn plan_with(state: &State, owned: &Owned) -> anyhow::Result<Plan> {
    let document = sluice_filter::config::Document::from_value(state.with(owned))?;
    Ok(Plan::build(&document, &Node::default(), None))
}

fn describe(snapshot: &Snapshot, owned: &Owned, before: &Plan, after: &Plan, mode: Mode) -> String {
    let suffix = if mode == Mode::DryRun { " (dry run: nothing was written)" } else { "" };
    let effective = Owned::of_config(&snapshot.plugin.config);
    let wanted = Owned::of_config(&snapshot.state().with(owned));
    let changes = change::differences(&effective, &wanted);
    let mut lines: Vec<String> = changes
        .iter()
        .map(|change| {
            format!(
                "{} {} {}: {} -> {}{suffix}",
                change.split, change.audience, change.challenger, change.from, change.to
            )
        })
        .collect();
    lines.extend(redraws(&effective, &wanted).into_iter().map(|redraw| redraw + suffix));
    if lines.is_empty() {
        return format!("nothing to change: the weights are already so{suffix}");
    }
    lines.extend(moves(before, after).iter().map(sentence));
    for (split, audience, one, other) in plan_moves::meeting_challengers(after) {
        lines.push(format!("warning: {split} {audience}: the ranges of {one} and {other} meet; further changes may move users between them"));
    }
    lines.join("\n")
}

/// `web draw: none -> 2026-11-20`, for every draw that differs.
fn redraws(before: &Owned, after: &Owned) -> Vec<String> {
    let splits: std::collections::BTreeSet<&String> = before.draws.keys().chain(after.draws.keys()).collect();
    let redraw = |split: &String| {
        let draw = |owned: &Owned| owned.draws.get(split).cloned().unwrap_or_else(|| "none".to_owned());
        let (from, to) = (draw(before), draw(after));
        (from != to).then(|| format!("{split} draw: {from} -> {to}"))
    };
    splits.into_iter().filter_map(redraw).collect()
}

/// `moves 5 % of web's everyone from stable to canary`.
fn sentence(found: &Move) -> String {
    let percent = (found.percent * 1_000.0).round() / 1_000.0;
    format!("moves {percent} % of {}'s {} from {} to {}", found.split, found.audience, found.from, found.to)
}
