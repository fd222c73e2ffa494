//! A Deployment that a Rollout follows, and the copy of it that has the pods of everybody else: how
//! both are called, and how their pods are told apart.

/// The API group and version of the Rollouts that we write.
pub const ROLLOUT_API_VERSION: &str = "sluice.dev/v1alpha1";

/// Their kind.
pub const ROLLOUT_KIND: &str = "Rollout";

/// The label of pods whose value is their variant.
pub const VARIANT_LABEL: &str = "sluice.dev/variant";

/// What the copy's name ends with.
const COPY: &str = "-stable";

/// The longest name of an object (RFC 1123); the copy's is one too.
const LONGEST_NAME: usize = 253;

/// The name of a Deployment's copy.
pub fn copy_of(deployment: &str) -> String {
    format!("{deployment}{COPY}")
}

/// Whether a text may be the name of a Deployment that is followed.
pub fn is_name(text: &str) -> bool {
    let is_part = |part: &str| {
        let is_inner =
            |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
        let is_bare = !part.starts_with('-') && !part.ends_with('-');
        !part.is_empty() && is_bare && part.bytes().all(is_inner)
    };
    copy_of(text).len() <= LONGEST_NAME && text.split('.').all(is_part)
}
