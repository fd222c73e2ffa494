//! `sluice crds`: prints the CustomResourceDefinitions of Rollouts and Brakes.

use kube::CustomResourceExt as _;

use super::output;
use crate::brake::object::Brake;
use crate::rollout::crd;

/// What is printed: YAML to apply.
pub(super) fn run() -> anyhow::Result<()> {
    let rollouts = yaml_serde::to_string(&crd::crd())?;
    let brakes = yaml_serde::to_string(&Brake::crd())?;
    let text = format!("{rollouts}---\n{}", brakes.trim_end());
    output::document(for_kubectl(&text));
    Ok(())
}

/// kubectl and Helm read YAML 1.1, in which `on` is a boolean, also as a key: unquoted, the field
/// would be applied as `true`, and Rollouts would have no `on`.
fn for_kubectl(yaml: &str) -> String {
    yaml.replace(" on:\n", " \"on\":\n")
}

#[cfg(test)]
mod tests {
    use super::for_kubectl;

    #[test]
    fn a_key_that_kubectl_reads_as_a_boolean_is_quoted() {
        let written = "properties:\n  on:\n    type: array\n";
        let quoted = "properties:\n  \"on\":\n    type: array\n";
        assert_eq!(for_kubectl(written), quoted);
    }
}
