//! Whether a manifest is that of an image, or of something else that registries keep: a bill of
//! materials, a provenance, whatever refers to an image.
//!
//! By what the manifest says of itself, which its signer signed.

use super::super::oci::manifest::{CONFIG, DOCKER_CONFIG, Descriptor, Named};

/// Whether it is an image's config.
pub(super) fn is_config(descriptor: &Descriptor) -> bool {
    [CONFIG, DOCKER_CONFIG].contains(&descriptor.media_type.as_str())
}

/// What a manifest is, if neither an image nor an index of images.
pub(super) fn other_than_image(named: &Named) -> Option<String> {
    let kind = named.artifact_type.clone();
    let strange = named.config.as_ref().filter(|config| !is_config(config));
    let kind = kind.or_else(|| strange.map(|config| config.media_type.clone()));
    match (&named.subject, kind) {
        (Some(subject), kind) => {
            let kind = kind.unwrap_or_else(|| "something".to_owned());
            Some(format!("{kind} that refers to {}", subject.digest))
        }
        (None, kind) => kind,
    }
}
