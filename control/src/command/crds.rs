//! `sluice crds`: prints the CustomResourceDefinitions of Rollouts and Brakes.

use kube::CustomResourceExt as _;

use super::output;
use crate::brake::object::Brake;
use crate::rollout::crd;

/// What is printed: YAML to apply.
pub(super) fn run() -> anyhow::Result<()> {
    let rollouts = yaml_serde::to_string(&crd::crd())?;
    let brakes = yaml_serde::to_string(&Brake::crd())?;
    output::document(format!("{rollouts}---\n{}", brakes.trim_end()));
    Ok(())
}
