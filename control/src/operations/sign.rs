//! Signing what a registry has, and reading the signatures that it has.
//!
//! Signatures of others are kept. A registry has no way to write only what nobody else wrote
//! meanwhile: of two that sign the same image in the same second, one may have to sign again. What
//! a signature is, is [`super::oci::signature`]'s; what it is worth, [`super::verify`]'s.

use anyhow::Context as _;
use serde::Serialize;

use super::oci::key::PrivateKey;
use super::oci::manifest::Descriptor;
use super::oci::registry::{Blob, Registry};
use super::oci::signature::{self, Flaw, MAX_SIGNED_BYTES, Signature};

/// What became of signing.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Signed {
    /// Where the signatures are.
    pub tag: String,
    /// How many the image has.
    pub signatures: usize,
    /// Whether this key's was there already.
    pub was_signed: bool,
}

/// Signs a digest; where this key has done so before, nothing is written.
///
/// # Errors
/// When the registry refuses, or what it has under the tag is no manifest of signatures.
pub(super) async fn sign(
    registry: &Registry,
    digest: &str,
    key: &PrivateKey,
) -> anyhow::Result<Signed> {
    let tag = signature::tag(digest);
    let layers = layers(registry, &tag).await?.unwrap_or_default();
    let public = key.public();
    for layer in &layers {
        let Ok(signature) = carried(registry, layer).await? else {
            continue;
        };
        if signature.check(digest, &public).is_ok() {
            return Ok(Signed {
                tag,
                signatures: layers.len(),
                was_signed: true,
            });
        }
    }
    let signatures = layers.len() + 1;
    let new = Signature::of(&registry.repository(), digest, key)?;
    let (manifest, config) = signature::with(layers, &new)?;
    registry.push_blob(&new.payload).await?;
    registry.push_blob(&config).await?;
    registry.push_manifest(&tag, &manifest).await?;
    Ok(Signed {
        tag,
        signatures,
        was_signed: false,
    })
}

/// The layers of the signatures at a tag; `None` where there is nothing.
///
/// # Errors
/// When the registry refuses, or it is no manifest of signatures.
pub(super) async fn layers(
    registry: &Registry,
    tag: &str,
) -> anyhow::Result<Option<Vec<Descriptor>>> {
    let Some(manifest) = registry.manifest(tag).await? else {
        return Ok(None);
    };
    let layers = signature::layers(&manifest);
    let layers = layers.with_context(|| format!("{tag}: not signatures of an image"))?;
    Ok(Some(layers))
}

/// The signature of a layer, with its payload; inside, why it is none.
///
/// # Errors
/// When the registry refuses, or the payload is too long.
pub(super) async fn carried(
    registry: &Registry,
    layer: &Descriptor,
) -> anyhow::Result<Result<Signature, Flaw>> {
    let Some(signature) = signature::carried(layer) else {
        return Ok(Err(Flaw::Absent));
    };
    let signature = signature.to_owned();
    Ok(match registry.blob(layer, MAX_SIGNED_BYTES).await? {
        Blob::Whole(payload) => Ok(Signature { payload, signature }),
        Blob::Missing => Err(Flaw::NoPayload),
        Blob::Changed { .. } => Err(Flaw::Changed),
    })
}
