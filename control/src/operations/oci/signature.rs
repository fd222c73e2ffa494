//! Signatures of images in cosign's format: a payload that says which digest is signed, and a
//! manifest at a tag made of that digest, whose layers are payloads with their signatures.
//!
//! Pure: what is read and written is [`super::super::sign`]'s and [`super::super::verify`]'s
//! (sigstore/cosign, specs/SIGNATURE_SPEC.md; containers/image, "simple signing").

use std::collections::BTreeMap;

use anyhow::bail;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::digest::hex;
use super::key::{PrivateKey, PublicKey};
use super::manifest::{CONFIG, Descriptor, IMAGE, Manifest, Named};

/// How many signatures of one image are looked at. Chosen: one for each that vouches for it.
pub const MAX_SIGNATURES: usize = 64;

/// How long a payload may be. Chosen: ours has 300 bytes; others may add annotations.
pub const MAX_SIGNED_BYTES: usize = 64 * 1024;

/// The kind of a layer that is a payload.
const PAYLOAD: &str = "application/vnd.dev.cosign.simplesigning.v1+json";

/// Where the signature of a payload is: base64 of DER.
const ANNOTATION: &str = "dev.cosignproject.cosign/signature";

/// What a payload says it is.
const TYPE: &str = "cosign container image signature";

/// Where the signatures of a digest are.
pub fn tag(digest: &str) -> String {
    format!("{}.sig", digest.replacen(':', "-", 1))
}

#[derive(Serialize, Deserialize)]
struct Payload {
    critical: Critical,
    optional: Option<Value>,
}

#[derive(Serialize, Deserialize)]
struct Critical {
    identity: Identity,
    image: Image,
    #[serde(rename = "type")]
    kind: String,
}

#[derive(Serialize, Deserialize)]
struct Identity {
    #[serde(rename = "docker-reference")]
    docker_reference: String,
}

#[derive(Serialize, Deserialize)]
struct Image {
    #[serde(rename = "docker-manifest-digest")]
    docker_manifest_digest: String,
}

/// A payload with its signature, as a registry has it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Signature {
    /// JSON, byte by byte.
    pub payload: Vec<u8>,
    /// Base64.
    pub signature: String,
}

/// Why a signature says nothing of an image.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Flaw {
    /// A layer without an annotation, or of another kind.
    #[error("has no signature in {ANNOTATION}")]
    Absent,
    /// Its payload is gone.
    #[error("has no payload in the registry")]
    NoPayload,
    /// Its payload's bytes are not those of its digest.
    #[error("has a payload whose bytes were changed")]
    Changed,
    /// Not base64.
    #[error("is no base64")]
    Unreadable,
    /// Another key's, or of other bytes.
    #[error("is not by this key")]
    AnotherKey,
    /// By this key, but of something else.
    #[error("is by this key, but not of an image")]
    NoImage,
    /// By this key, but of another image.
    #[error("is by this key, but of {digest}")]
    AnotherImage {
        /// Which.
        digest: String,
    },
}

impl Signature {
    /// Signs a digest of a repository, which is `HOST/REPOSITORY`.
    ///
    /// # Errors
    /// When the machine gives no random numbers.
    pub fn of(repository: &str, digest: &str, key: &PrivateKey) -> anyhow::Result<Self> {
        let payload = serde_json::to_vec(&Payload {
            critical: Critical {
                identity: Identity {
                    docker_reference: repository.to_owned(),
                },
                image: Image {
                    docker_manifest_digest: digest.to_owned(),
                },
                kind: TYPE.to_owned(),
            },
            optional: None,
        })?;
        let signature = STANDARD.encode(key.sign(&payload)?);
        Ok(Self { payload, signature })
    }

    /// Whether it says, by this key, that an image is meant.
    ///
    /// # Errors
    /// Why not.
    pub fn check(&self, digest: &str, key: &PublicKey) -> Result<(), Flaw> {
        let signature = STANDARD.decode(&self.signature);
        let signature = signature.map_err(|_| Flaw::Unreadable)?;
        if !key.has_signed(&self.payload, &signature) {
            return Err(Flaw::AnotherKey);
        }
        let payload: Result<Payload, _> = serde_json::from_slice(&self.payload);
        match payload {
            Ok(Payload { critical, .. }) if critical.kind == TYPE => {
                let signed = critical.image.docker_manifest_digest;
                if signed == digest {
                    return Ok(());
                }
                match hex(&signed) {
                    Some(_) => Err(Flaw::AnotherImage { digest: signed }),
                    None => Err(Flaw::NoImage),
                }
            }
            _ => Err(Flaw::NoImage),
        }
    }

    /// What its layer is in a manifest of signatures.
    fn layer(&self) -> Descriptor {
        let annotation = (ANNOTATION.to_owned(), self.signature.clone());
        Descriptor {
            annotations: BTreeMap::from([annotation]),
            ..Descriptor::of(PAYLOAD, &self.payload)
        }
    }
}

/// The signature that a layer carries; the payload is another blob's.
pub fn carried(layer: &Descriptor) -> Option<&str> {
    let signature = layer.annotations.get(ANNOTATION)?;
    (layer.media_type == PAYLOAD).then_some(signature)
}

/// What is in a manifest of signatures.
///
/// # Errors
/// When it is none, or has too many.
pub fn layers(manifest: &Manifest) -> anyhow::Result<Vec<Descriptor>> {
    let named = manifest.named()?;
    if named.manifests.is_some() {
        bail!("an index; accepted: a manifest of signatures");
    }
    let count = named.layers.len();
    if count > MAX_SIGNATURES {
        bail!("{count} signatures; accepted: at most {MAX_SIGNATURES}");
    }
    Ok(named.layers)
}

/// The manifest of these signatures and one more, and its config. What the former layers carry
/// besides is kept.
///
/// # Errors
/// When there are too many.
pub fn with(mut layers: Vec<Descriptor>, new: &Signature) -> anyhow::Result<(Manifest, Vec<u8>)> {
    if layers.len() >= MAX_SIGNATURES {
        bail!("the image has {MAX_SIGNATURES} signatures already; accepted: at most that");
    }
    layers.push(new.layer());
    let digests: Vec<&String> = layers.iter().map(|layer| &layer.digest).collect();
    let config = serde_json::to_vec(&json!({
        "architecture": "", "os": "", "config": {},
        "rootfs": {"type": "layers", "diff_ids": digests},
    }))?;
    let named = Named {
        config: Some(Descriptor::of(CONFIG, &config)),
        layers,
        ..Named::default()
    };
    Ok((named.manifest(IMAGE)?, config))
}

#[cfg(test)]
mod tests;
