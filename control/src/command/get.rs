//! `sluice get`: shows weights; with `-A -o yaml`, everything that `sluice restore` reads.

use anyhow::bail;

use super::arguments::{Format, OutputArgs, ScopeArgs, StoreArgs};
use super::outcome::Outcome;
use super::{contexts, output, stores};
use crate::operations::backup::{Backed, taken};
use crate::operations::weights::{ServedShare, ServedShares, weights};

/// `sluice get`.
#[derive(clap::Args, Clone, Debug)]
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
    let named = &arguments.store.cluster.contexts;
    if named.len() < 2 {
        return alone(arguments).await;
    }
    let format = arguments.output.output;
    if arguments.is_backup() {
        bail!(
            "-A -o yaml is a backup, of one context; {} were named",
            named.len()
        );
    }
    let run = |context: &str| {
        let mut one = arguments.clone();
        one.store.cluster = one.store.cluster.in_context(context);
        one.output.output = contexts::format_of_each(format);
        async move { alone(&one).await }
    };
    contexts::each(named, format, run).await
}

impl Get {
    /// Whether everything that a cluster keeps is printed, for `sluice restore`.
    fn is_backup(&self) -> bool {
        self.scope.all_namespaces && self.split.is_none() && self.output.output == Format::Yaml
    }
}

async fn alone(arguments: &Get) -> anyhow::Result<Outcome> {
    if arguments.is_backup() {
        return backup(arguments).await;
    }
    let (place, stores) = stores::some(&arguments.store, arguments.scope).await?;
    let served = place.said(weights(stores, arguments.split.as_deref()));
    let ServedShares { shares, unreadable } = served.await?;
    output::print(arguments.output.output, &shares, |shares| text(shares))?;
    for error in &unreadable {
        output::error(error);
    }
    Ok(if unreadable.is_empty() {
        Outcome::Good
    } else {
        Outcome::Problems
    })
}

/// Prints what `sluice restore` reads.
async fn backup(arguments: &Get) -> anyhow::Result<Outcome> {
    let (place, stores) = stores::some(&arguments.store, arguments.scope).await?;
    let Backed { backup, failed } = place
        .said(async { anyhow::Ok(taken(stores).await) })
        .await?;
    output::document(output::yaml(&backup)?.trim_end());
    for error in &failed {
        output::error(error);
    }
    Ok(match failed.is_empty() {
        true => Outcome::Good,
        false => Outcome::Problems,
    })
}

fn text(shares: &[ServedShare]) -> String {
    let are_several = shares.iter().any(|share| share.plugin.is_some());
    // Whose a weight is, is worth a column only where it is not `sluice`'s.
    let is_others = shares.iter().any(|share| !share.managers.is_empty());
    let columns = |share: &ServedShare| {
        let of_several = are_several.then(|| share.plugin.clone().unwrap_or_default());
        let of_others = is_others.then(|| share.managers.join(", "));
        let always = [
            share.split.clone(),
            share.audience.clone(),
            share.variant.clone(),
            share.percent.to_string(),
        ];
        of_several.into_iter().chain(always).chain(of_others)
    };
    let header = are_several.then_some("PLUGIN").into_iter();
    let header = header.chain(["SPLIT", "AUDIENCE", "VARIANT", "PERCENT"]);
    let header = header.chain(is_others.then_some("SET BY"));
    output::columns(
        header.collect(),
        shares.iter().map(|share| columns(share).collect()),
    )
}
