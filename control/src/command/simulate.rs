//! `sluice simulate`: shares, churn and correlation over many users, as tables.

use std::path::PathBuf;

use sluice_core::plan::Node;

use super::arguments::{OutputArgs, StoreArgs};
use super::outcome::Outcome;
use super::stores;
use crate::command::output;
use crate::files;
use crate::operations::simulate::{
    Correlation, SimulatedChurn, SimulatedShare, SimulationReport, Users, simulate,
};

/// `sluice simulate`.
#[derive(clap::Args, Debug)]
pub(super) struct Simulate {
    /// The configuration: a file, a directory, or - for standard input [default: the store]
    #[arg(short, long, value_name = "FILE")]
    file: Option<PathBuf>,
    /// Another configuration: who would move from the first to this one
    #[arg(long, value_name = "FILE")]
    against: Option<PathBuf>,
    /// How many made-up users
    #[arg(long, default_value_t = 1_000_000, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=100_000_000))]
    users: u32,
    /// Real ids instead, one a line; - for standard input
    #[arg(long, value_name = "FILE", conflicts_with_all = ["users", "seed"])]
    ids: Option<PathBuf>,
    /// Which made-up users
    #[arg(long, default_value_t = 1, value_name = "S")]
    seed: u64,
    /// Which store holds the configuration.
    #[command(flatten)]
    store: StoreArgs,
    /// How the result is printed.
    #[command(flatten)]
    output: OutputArgs,
}

pub(super) async fn run(arguments: &Simulate) -> anyhow::Result<Outcome> {
    let plan = stores::plugin(arguments.file.as_deref(), &arguments.store)
        .await?
        .plan(&Node::default())?;
    let against = arguments
        .against
        .as_deref()
        .map(|file| crate::files::plugin(file)?.plan(&Node::default()))
        .transpose()?;
    let users = match &arguments.ids {
        Some(file) => Users::Given(
            files::text(file)?
                .lines()
                .filter(|id| !id.is_empty())
                .map(Into::into)
                .collect(),
        ),
        None => Users::MadeUp {
            number: arguments.users,
            seed: arguments.seed,
        },
    };
    let report = simulate(&plan, against.as_ref(), &users);
    output::print(arguments.output.output, &report, text)?;
    Ok(Outcome::Good)
}

fn text(report: &SimulationReport) -> String {
    let share = |share: &SimulatedShare| {
        let [low, high] = share.interval;
        [
            share.split.clone(),
            share.audience.clone(),
            share.variant.clone(),
            share.wanted.to_string(),
            format!("{:.4}", share.percent),
            format!("{low:.4} to {high:.4}"),
        ]
    };
    let mut text = format!("{} users\n\n", report.users);
    text += &output::table(
        [
            "SPLIT",
            "AUDIENCE",
            "VARIANT",
            "WANTED",
            "PERCENT",
            "99 % INTERVAL",
        ],
        report.shares.iter().map(share),
    );
    if let Some(churn) = &report.churn {
        let row = |row: &SimulatedChurn| {
            [
                row.split.clone(),
                row.audience.clone(),
                row.from.clone(),
                row.to.clone(),
                row.users.to_string(),
                format!("{:.4}", row.percent),
            ]
        };
        text += "\n";
        text += &output::table(
            ["SPLIT", "AUDIENCE", "FROM", "TO", "USERS", "PERCENT"],
            churn.iter().map(row),
        );
    }
    if !report.correlations.is_empty() {
        let row = |row: &Correlation| {
            let verdict = if row.is_correlated {
                "correlated"
            } else {
                "independent"
            };
            [
                row.splits.join(" ~ "),
                format!("{:.6}", row.cramers_v),
                verdict.to_owned(),
            ]
        };
        text += "\n";
        text += &output::table(
            ["SPLITS", "CRAMER'S V", "VERDICT"],
            report.correlations.iter().map(row),
        );
    }
    if report.correlations_left_out > 0 {
        text += &format!(
            "\n{} more pairs of splits were not correlated\n",
            report.correlations_left_out
        );
    }
    text
}
