//! Signatures of images in cosign's format: a payload that says which digest is signed, and a
//! manifest at a tag made of that digest, whose layers are payloads with their signatures.
//!
//! Pure: what is read and written is [`super::super::sign`]'s and [`super::super::verify`]'s
//! (sigstore/cosign, specs/SIGNATURE_SPEC.md; containers/image, "simple signing").

use std::collections::BTreeMap;

use anyhow::{Context as _, bail};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};

use super::digest::hex;
use super::key::{PrivateKey, PublicKey};
use super::manifest::{CONFIG, Descriptor, IMAGE, Manifest};

/// How many signatures of one image are looked at, from its first. Chosen: one for each that
/// vouches for it.
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
    /// A layer whose digest is of another kind.
    #[error("has a payload that is not named by its SHA-256")]
    NoDigest,
    /// Its payload has too many bytes to be looked at.
    #[error("has a payload of {size} bytes; accepted: at most {MAX_SIGNED_BYTES}")]
    TooLong {
        /// How many they are said to be.
        size: u64,
    },
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

    /// What it calls the image, as `HOST/REPOSITORY`, if it says by this key that this one is
    /// meant.
    ///
    /// # Errors
    /// Why it does not.
    pub fn check(&self, digest: &str, key: &PublicKey) -> Result<String, Flaw> {
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
                    return Ok(critical.identity.docker_reference);
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

/// What a registry has at the tag of an image's signatures. What others wrote there is kept as it
/// is, and what is no signature among it spoils none that is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Signatures {
    manifest: Map<String, Value>,
    layers: Vec<Value>,
}

impl Signatures {
    /// Of an image that nobody signed.
    pub fn none() -> Self {
        let (manifest, layers) = (Map::new(), Vec::new());
        Self { manifest, layers }
    }

    /// What is in a manifest of signatures.
    ///
    /// # Errors
    /// When it is none.
    pub fn read(manifest: &Manifest) -> anyhow::Result<Self> {
        let mut manifest: Map<String, Value> = serde_json::from_slice(&manifest.bytes)
            .context("no manifest; accepted: a manifest of signatures")?;
        match manifest.remove("layers") {
            Some(Value::Array(layers)) if !manifest.contains_key("manifests") => {
                Ok(Self { manifest, layers })
            }
            _ => bail!("an index, or no layers; accepted: a manifest of signatures"),
        }
    }

    /// How many there are, what is no signature among them.
    pub fn count(&self) -> usize {
        self.layers.len()
    }

    /// The layers of the first [`MAX_SIGNATURES`]; why it is no signature for one that is none.
    pub fn layers(&self) -> impl Iterator<Item = Result<Descriptor, Flaw>> {
        self.layers.iter().take(MAX_SIGNATURES).map(|layer| {
            let layer = Descriptor::deserialize(layer).map_err(|_| Flaw::Absent)?;
            if hex(&layer.digest).is_none() {
                return Err(Flaw::NoDigest);
            }
            let size = layer.size;
            if size > MAX_SIGNED_BYTES as u64 {
                return Err(Flaw::TooLong { size });
            }
            Ok(layer)
        })
    }

    /// The manifest of these signatures and one more, and its config.
    ///
    /// # Errors
    /// When there are too many.
    pub fn with(mut self, new: &Signature) -> anyhow::Result<(Manifest, Vec<u8>)> {
        let count = self.layers.len();
        if count >= MAX_SIGNATURES {
            bail!("the image has {count} signatures already; accepted: at most {MAX_SIGNATURES}");
        }
        self.layers.push(serde_json::to_value(new.layer())?);
        let digests = self.layers.iter().filter_map(|layer| layer.get("digest"));
        let config = serde_json::to_vec(&json!({
            "architecture": "", "os": "", "config": {},
            "rootfs": {"type": "layers", "diff_ids": digests.collect::<Vec<_>>()},
        }))?;
        let fields = [
            ("schemaVersion", json!(2)),
            ("mediaType", json!(IMAGE)),
            ("config", json!(Descriptor::of(CONFIG, &config))),
            ("layers", json!(self.layers)),
        ];
        let fields = fields.map(|(name, value)| (name.to_owned(), value));
        self.manifest.extend(fields);
        let manifest = Manifest {
            media_type: IMAGE.to_owned(),
            bytes: serde_json::to_vec(&self.manifest)?,
        };
        Ok((manifest, config))
    }
}

#[cfg(test)]
mod tests;
