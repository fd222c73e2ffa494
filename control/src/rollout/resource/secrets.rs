//! Where a secret is, as people write it.

use super::fields::fields;

fields! {
    /// A key of a Secret in the Rollout's namespace.
    #[derive(Default, Eq)]
    #[schemars(default)]
    pub struct KeyOf, accepted as "a map of name and key" {
        /// The Secret.
        #[schemars(length(max = 253))]
        "name" => name: String,
        /// The key in it.
        #[schemars(length(max = 253))]
        "key" => key: String,
    }
}
