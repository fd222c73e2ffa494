//! `sluice get`: shows weights.

use serde::Serialize;
use sluice_filter::plan::{Node, Plan};

use super::{Outcome, store};
use crate::cli::Get;
use crate::moves::audiences;
use crate::store::Store as _;
use crate::{near, output};

/// One weight.
#[derive(Serialize)]
pub(super) struct Weight {
    pub(super) split: String,
    pub(super) audience: String,
    pub(super) variant: String,
    pub(super) percent: f64,
}

pub(super) fn run(arguments: &Get) -> anyhow::Result<Outcome> {
    let plan = store(&arguments.store)?.snapshot()?.plugin.plan(&Node::default())?;
    let weights = weights(&plan, arguments.split.as_deref())?;
    output::print(arguments.output.output, &weights, |weights| {
        let row = |weight: &Weight| {
            [weight.split.clone(), weight.audience.clone(), weight.variant.clone(), weight.percent.to_string()]
        };
        output::table(["SPLIT", "AUDIENCE", "VARIANT", "PERCENT"], weights.iter().map(row))
    })?;
    Ok(Outcome::Good)
}

/// The share of every variant, as the filter serves it.
pub(super) fn weights(plan: &Plan, split: Option<&str>) -> anyhow::Result<Vec<Weight>> {
    let names = || plan.splits().iter().map(|split| split.definition.name.as_ref());
    if let Some(wanted) = split
        && names().all(|name| name != wanted)
    {
        anyhow::bail!("there is no split {wanted:?}; {}", near::hint(wanted, names()));
    }
    let mut weights = Vec::new();
    for found in plan.splits().iter().filter(|found| split.is_none_or(|wanted| *found.definition.name == *wanted)) {
        for (audience, rule) in audiences(found) {
            for (variant, place) in found.definition.variants.iter().zip(0_u8..) {
                weights.push(Weight {
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
