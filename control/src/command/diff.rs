//! `sluice diff`: shows which share of users a change, or another configuration, would move.

use std::path::PathBuf;

use anyhow::bail;

use super::arguments::{OutputArgs, StoreArgs};
use super::changes::sentence;
use super::outcome::Outcome;
use super::stores::Place;
use super::{output, stores};
use crate::files::plugin;
use crate::model::churn::Move;
use crate::model::weights::Share;
use crate::operations::diff::{Against, diff};
use crate::operations::set::Setting;

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
    let store = stores::one(&arguments.store).await?;
    let against = match (&arguments.file, &arguments.split) {
        (Some(file), _) => Against::Plugin(plugin(file)?),
        (None, Some(split)) => Against::Setting(Setting {
            split,
            audience: &arguments.audience,
            shares: &arguments.shares,
        }),
        (None, None) => {
            bail!("name a split and its new shares, or another configuration with -f")
        }
    };
    let place = Place::One(store.clone());
    let moves = place.said(diff(&store, &against)).await?;
    output::print(arguments.output.output, &moves, |moves| text(moves))?;
    Ok(Outcome::Good)
}

fn text(moves: &[Move]) -> String {
    if moves.is_empty() {
        return "nobody would move".to_owned();
    }
    moves.iter().map(sentence).collect::<Vec<_>>().join("\n")
}
