//! `sluice get`: shows weights.

use serde::Serialize;
use sluice_core::plan::{Node, Plan};

use super::arguments::{OutputArgs, ScopeArgs, StoreArgs};
use super::outcome::Outcome;
use super::stores;
use crate::command::output;
use crate::model::churn::audiences;
use crate::model::suggest;
use crate::store::Store as _;

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

/// One weight.
#[derive(Serialize)]
pub(super) struct Weight {
    /// The plugin, where several are asked.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) plugin: Option<String>,
    pub(super) split: String,
    pub(super) audience: String,
    pub(super) variant: String,
    pub(super) percent: f64,
}

pub(super) async fn run(arguments: &Get) -> anyhow::Result<Outcome> {
    let stores = stores::some(&arguments.store, arguments.scope).await?;
    let mut all = Vec::new();
    for (title, store) in stores {
        let plan = store.snapshot().await?.plugin.plan(&Node::default())?;
        match (weights(&plan, arguments.split.as_deref()), title) {
            (Ok(found), None) => all.extend(found),
            (Err(error), None) => return Err(error),
            // Of several plugins, some may lack the split.
            (Err(_), Some(_)) => {}
            (Ok(found), Some(title)) => {
                all.extend(found.into_iter().map(|weight| Weight {
                    plugin: Some(title.clone()),
                    ..weight
                }));
            }
        }
    }
    if let (Some(split), true) = (&arguments.split, all.is_empty()) {
        anyhow::bail!("no plugin has a split {split:?}");
    }
    output::print(arguments.output.output, &all, |weights| text(weights))?;
    Ok(Outcome::Good)
}

fn text(weights: &[Weight]) -> String {
    let cells = |weight: &Weight| {
        [
            weight.split.clone(),
            weight.audience.clone(),
            weight.variant.clone(),
            weight.percent.to_string(),
        ]
    };
    if weights.iter().all(|weight| weight.plugin.is_none()) {
        return output::table(
            ["SPLIT", "AUDIENCE", "VARIANT", "PERCENT"],
            weights.iter().map(cells),
        );
    }
    let with_plugin = |weight: &Weight| {
        let [split, audience, variant, percent] = cells(weight);
        [
            weight.plugin.clone().unwrap_or_default(),
            split,
            audience,
            variant,
            percent,
        ]
    };
    output::table(
        ["PLUGIN", "SPLIT", "AUDIENCE", "VARIANT", "PERCENT"],
        weights.iter().map(with_plugin),
    )
}

/// The share of every variant, as the filter serves it.
pub(super) fn weights(plan: &Plan, split: Option<&str>) -> anyhow::Result<Vec<Weight>> {
    let names = || {
        plan.splits()
            .iter()
            .map(|split| split.definition.name.as_ref())
    };
    if let Some(wanted) = split
        && names().all(|name| name != wanted)
    {
        anyhow::bail!(
            "there is no split {wanted:?}; {}",
            suggest::hint(wanted, names())
        );
    }
    let mut weights = Vec::new();
    for found in plan
        .splits()
        .iter()
        .filter(|found| split.is_none_or(|wanted| *found.definition.name == *wanted))
    {
        for (audience, rule) in audiences(found) {
            for (variant, place) in found.definition.variants.iter().zip(0_u8..) {
                weights.push(Weight {
                    plugin: None,
                    split: found.definition.name.to_string(),
                    audience: audience.clone(),
                    variant: variant.to_string(),
                    percent: found.allocation(rule).share(place).as_f64(),
                });
            }
        }
    }
    Ok(weights)
}
