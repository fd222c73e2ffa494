//! A Deployment that a Rollout follows, and the copy of it that has the pods of everybody else: how
//! both are called, and how their pods are told apart.

use super::object_names::is_subdomain;

/// The API group and version of the Rollouts that we write.
pub const ROLLOUT_API_VERSION: &str = "sluice.dev/v1alpha1";

/// Their kind.
pub const ROLLOUT_KIND: &str = "Rollout";

/// The label of pods whose value is their variant.
pub const VARIANT_LABEL: &str = "sluice.dev/variant";

/// The label of a copy that a Rollout made: whose it is.
pub const ROLLOUT_LABEL: &str = "sluice.dev/rollout";

/// What the copy's name ends with.
const COPY: &str = "-stable";

/// The longest name of such a Deployment: that of its copy is still an object's (RFC 1123).
pub const MAX_DEPLOYMENT_NAME_BYTES: usize = 246;

/// The name of a Deployment's copy.
pub fn copy_of(deployment: &str) -> String {
    format!("{deployment}{COPY}")
}

/// Whether a text may be the name of a Deployment that is followed.
pub fn is_name(text: &str) -> bool {
    text.len() <= MAX_DEPLOYMENT_NAME_BYTES && is_subdomain(text)
}
