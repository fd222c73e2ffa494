//! Why an image is refused, in the words of `sluice verify`.

use super::super::oci::signature::{Flaw, MAX_SIGNATURES};

/// Why an image is refused.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum Refusal {
    #[error("asked for {asked}, the registry gave a manifest whose digest is {found}")]
    AnotherManifest { asked: String, found: String },
    #[error(
        "no signature: the registry has no tag {tag}; either nobody signed this digest, or the \
         image was copied without its signatures"
    )]
    Unsigned { tag: String },
    #[error("signature {number} of {count} {flaw}")]
    Flawed {
        number: usize,
        count: usize,
        flaw: Flaw,
    },
    #[error("only the first {MAX_SIGNATURES} of {count} signatures were looked at")]
    LeftOut { count: usize },
    #[error("signed, but no image: {what}; accepted by a tag: images, and by its digest anything")]
    NoImage { what: String },
    #[error("{digest}: an index within an index, which was not read; accepted: images")]
    IndexInIndex { digest: String },
    #[error("{digest}: the registry does not have it")]
    Missing { digest: String },
    #[error("{digest}: it was changed: {found}")]
    Changed { digest: String, found: String },
}
