//! `sluice get`: shows weights.

use super::arguments::{OutputArgs, ScopeArgs, StoreArgs};
use super::outcome::Outcome;
use super::{output, stores};
use crate::operations::weights::{ServedShare, weights};

/// `sluice get`.
#[derive(clap::Args, Debug)]
pub(super) struct Get {
    /// Only this split
    split: Option<String>,
    /// Which store holds the configuration.
    #[command(flatten)]
    store: StoreArgs,
    /// Whether every plugin of the cluster is meant.
    #[command(flatten)]
    scope: ScopeArgs,
    /// How the result is printed.
    #[command(flatten)]
    output: OutputArgs,
}

pub(super) async fn run(arguments: &Get) -> anyhow::Result<Outcome> {
    let (place, stores) = stores::some(&arguments.store, arguments.scope).await?;
    let shares = place.said(weights(stores, arguments.split.as_deref()));
    let shares = shares.await?;
    output::print(arguments.output.output, &shares, |shares| text(shares))?;
    Ok(Outcome::Good)
}

fn text(shares: &[ServedShare]) -> String {
    let cells = |share: &ServedShare| {
        [
            share.split.clone(),
            share.audience.clone(),
            share.variant.clone(),
            share.percent.to_string(),
        ]
    };
    if shares.iter().all(|share| share.plugin.is_none()) {
        return output::table(
            ["SPLIT", "AUDIENCE", "VARIANT", "PERCENT"],
            shares.iter().map(cells),
        );
    }
    let with_plugin = |share: &ServedShare| {
        let [split, audience, variant, percent] = cells(share);
        [
            share.plugin.clone().unwrap_or_default(),
            split,
            audience,
            variant,
            percent,
        ]
    };
    output::table(
        ["PLUGIN", "SPLIT", "AUDIENCE", "VARIANT", "PERCENT"],
        shares.iter().map(with_plugin),
    )
}
