//! `sluice crds`: prints the CustomResourceDefinition of a Rollout.

use super::output;
use crate::rollout::crd;

/// What is printed: YAML to apply.
pub(super) fn run() -> anyhow::Result<()> {
    let text = yaml_serde::to_string(&crd::crd())?;
    output::document(text.trim_end());
    Ok(())
}
