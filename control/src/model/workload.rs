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

/// The longest name of an object.
const OBJECT_NAME_BYTES: usize = 253;

/// What the template of a version of a copy is kept as: by the hash at the version's end.
pub fn template_of(copy: &str, version: &str) -> String {
    let hash = version.rsplit_once('(').map_or(version, |(_, hash)| hash);
    let hash = hash.trim_end_matches(')');
    let room = OBJECT_NAME_BYTES.saturating_sub(hash.len() + 1);
    // A name is ASCII.
    let copy = copy
        .get(..room)
        .unwrap_or(copy)
        .trim_end_matches(['-', '.']);
    format!("{copy}-{hash}")
}

/// Whether a text may be the name of a Deployment that is followed.
pub fn is_name(text: &str) -> bool {
    text.len() <= MAX_DEPLOYMENT_NAME_BYTES && is_subdomain(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_template_is_kept_by_the_name_of_its_copy_and_the_hash_of_its_version() {
        let name = template_of("web-stable", "web:v2 (3f9a1c20d4)");
        assert_eq!(name, "web-stable-3f9a1c20d4");
        let longest = "w".repeat(MAX_DEPLOYMENT_NAME_BYTES);
        let name = template_of(&copy_of(&longest), "web:v2 (3f9a1c20d4)");
        assert_eq!((name.len(), is_subdomain(&name)), (253, true));
    }
}
