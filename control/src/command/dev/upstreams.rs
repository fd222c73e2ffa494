//! Whether the upstreams that were named with `--upstream` go with the configuration.

use anyhow::bail;
use sluice_core::plan::Plan;

use crate::local::Upstream;
use crate::model::suggest;

/// Refuses upstreams of splits and variants that do not exist, and two of one variant.
///
/// # Errors
/// Names the first such upstream, and what is accepted.
pub(super) fn check(upstreams: &[Upstream], plan: &Plan) -> anyhow::Result<()> {
    for (split, variant) in upstreams
        .iter()
        .filter_map(|upstream| upstream.serves.as_ref())
    {
        let names = || {
            plan.splits()
                .iter()
                .map(|split| split.definition.name.as_ref())
        };
        let Some(named) = plan.split_named(split) else {
            bail!(
                "--upstream {split}/{variant}: there is no split {split:?}; {}",
                suggest::hint(split, names())
            );
        };
        if named.definition.variant(variant.as_bytes()).is_none() {
            let variants = named.definition.variants.iter().map(AsRef::as_ref);
            bail!(
                "--upstream {split}/{variant}: split {split} has no variant {variant:?}; {}",
                suggest::hint(variant, variants)
            );
        }
    }
    let mut clusters: Vec<String> = upstreams.iter().map(Upstream::cluster).collect();
    clusters.sort();
    if let Some(pair) = clusters.windows(2).find(|pair| pair[0] == pair[1]) {
        bail!(
            "--upstream {}: given twice; accepted: one address each",
            pair[0]
        );
    }
    Ok(())
}
