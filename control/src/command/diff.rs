//! `sluice diff`: shows which share of users a change, or another configuration, would move.

use std::path::PathBuf;

use sluice_core::plan::Node;

use super::arguments::{OutputArgs, StoreArgs};
use super::outcome::Outcome;
use super::{plan_with, sentence, stores};
use crate::command::output;
use crate::model::churn::moves;
use crate::model::weights::Share;
use crate::model::{change, plugin, refusal};
use crate::store::Store as _;

/// `sluice diff`.
#[derive(clap::Args, Debug)]
#[command(group = clap::ArgGroup::new("what").required(true).args(["split", "file"]))]
pub(super) struct Diff {
    /// The split
    split: Option<String>,
    /// CHALLENGER=PERCENT, such as canary=10
    #[arg(value_name = "CHALLENGER=PERCENT", required_unless_present = "file")]
    shares: Vec<Share>,
    /// Whose weights
    #[arg(long, default_value = "everyone", value_name = "NAME")]
    audience: String,
    /// Another configuration to compare with: a file, a directory, or - for standard input
    #[arg(short, long, value_name = "FILE")]
    file: Option<PathBuf>,
    /// Which store holds the configuration.
    #[command(flatten)]
    store: StoreArgs,
    /// How the result is printed.
    #[command(flatten)]
    output: OutputArgs,
}

pub(super) async fn run(arguments: &Diff) -> anyhow::Result<Outcome> {
    let snapshot = stores::one(&arguments.store).await?.snapshot().await?;
    let before = snapshot.plugin.plan(&Node::default())?;
    let after = match (&arguments.file, &arguments.split) {
        (Some(file), _) => plugin::plugin(file)?.plan(&Node::default())?,
        (None, Some(split)) => {
            let owned = change::set(
                &snapshot.state(),
                &before,
                split,
                &arguments.audience,
                &arguments.shares,
            )?;
            let after = plan_with(&snapshot.state(), &owned)?;
            refusal::check(&before, &after, Some(split))?;
            after
        }
        (None, None) => {
            anyhow::bail!("name a split and its new shares, or another configuration with -f")
        }
    };
    output::print(
        arguments.output.output,
        &moves(&before, &after),
        |moves| match moves.as_slice() {
            [] => "nobody would move".to_owned(),
            moves => moves.iter().map(sentence).collect::<Vec<_>>().join("\n"),
        },
    )?;
    Ok(Outcome::Good)
}
