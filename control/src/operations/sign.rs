//! Signing what a registry has, and reading the signatures that it has.
//!
//! Signatures of others are kept. A registry has no way to write only what nobody else wrote
//! meanwhile, so what was written is read again, and written anew where another's came in its
//! place; one that comes later than that is not seen. What a signature is, is
//! [`super::oci::signature`]'s; what it is worth, [`super::verify`]'s.

use anyhow::{Context as _, bail};
use serde::Serialize;

use super::oci::key::PrivateKey;
use super::oci::manifest::Descriptor;
use super::oci::registry::{Blob, Registry};
use super::oci::signature::{self, Flaw, MAX_SIGNED_BYTES, Signature, Signatures};

/// How often a signature is written that is not there afterwards. Chosen: others are as quick.
const MAX_SIGNING_ATTEMPTS: usize = 3;

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
/// When the registry refuses or does not keep what was written, what it has under the tag is no
/// manifest of signatures, or it has too many.
pub(super) async fn sign(
    registry: &Registry,
    digest: &str,
    key: &PrivateKey,
) -> anyhow::Result<Signed> {
    let tag = signature::tag(digest);
    let new = Signature::of(&registry.repository(), digest, key)?;
    let mut attempts = 0;
    loop {
        let signatures = signatures(registry, &tag).await?;
        let signatures = signatures.unwrap_or_else(Signatures::none);
        if has_signed(registry, &signatures, digest, key).await? {
            return Ok(Signed {
                tag,
                signatures: signatures.count(),
                was_signed: attempts == 0,
            });
        }
        if attempts == MAX_SIGNING_ATTEMPTS {
            bail!(
                "{tag}: the signature was written {attempts} times, and was not there afterwards, as \
                 where others sign the same image at once; sign again"
            );
        }
        let (manifest, config) = signatures.with(&new)?;
        registry.push_blob(&new.payload).await?;
        registry.push_blob(&config).await?;
        registry.push_manifest(&tag, &manifest).await?;
        attempts += 1;
    }
}

/// Whether one of the signatures is by this key.
async fn has_signed(
    registry: &Registry,
    signatures: &Signatures,
    digest: &str,
    key: &PrivateKey,
) -> anyhow::Result<bool> {
    let public = key.public();
    for layer in signatures.layers() {
        let signature = carried(registry, layer).await?;
        if signature.is_ok_and(|signature| signature.check(digest, &public).is_ok()) {
            return Ok(true);
        }
    }
    Ok(false)
}

/// The signatures at a tag; `None` where there is nothing.
///
/// # Errors
/// When the registry refuses, or it is no manifest of signatures.
pub(super) async fn signatures(
    registry: &Registry,
    tag: &str,
) -> anyhow::Result<Option<Signatures>> {
    let Some(manifest) = registry.manifest(tag).await? else {
        return Ok(None);
    };
    let signatures = Signatures::read(&manifest);
    let signatures = signatures.with_context(|| format!("{tag}: not signatures of an image"))?;
    Ok(Some(signatures))
}

/// The signature of a layer, with its payload; inside, why it is none.
///
/// # Errors
/// When the registry refuses.
pub(super) async fn carried(
    registry: &Registry,
    layer: Result<Descriptor, Flaw>,
) -> anyhow::Result<Result<Signature, Flaw>> {
    let layer = match layer {
        Ok(layer) => layer,
        Err(flaw) => return Ok(Err(flaw)),
    };
    let Some(signature) = signature::carried(&layer) else {
        return Ok(Err(Flaw::Absent));
    };
    let signature = signature.to_owned();
    Ok(match registry.blob(&layer, MAX_SIGNED_BYTES).await? {
        Blob::Whole(payload) => Ok(Signature { payload, signature }),
        Blob::Missing => Err(Flaw::NoPayload),
        Blob::Changed { .. } => Err(Flaw::Changed),
    })
}

#[cfg(test)]
mod tests;
