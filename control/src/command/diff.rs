//! `sluice diff`: shows which share of users a change, or another configuration, would move.

use sluice_core::plan::Node;

use super::{Outcome, plan_with, sentence, stores};
use crate::cli::Diff;
use crate::command::output;
use crate::model::churn::moves;
use crate::model::{change, plugin};

pub(super) fn run(arguments: &Diff) -> anyhow::Result<Outcome> {
    let snapshot = stores::one(&arguments.store)?.snapshot()?;
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
            change::check(&before, &after, Some(split))?;
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
