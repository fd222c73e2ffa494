//! Manifests: which blobs an image is made of, and how they name each other.
//!
//! Only what is needed to follow them is read; the bytes themselves are kept as they are, because a
//! digest is one of bytes. Both kinds are read as one: an image has a config and layers, an index
//! has manifests (OCI image specification, "Image Manifest" and "Image Index"; docker's own have
//! the same fields).

use std::collections::BTreeMap;

use anyhow::{Context as _, bail};
use serde::{Deserialize, Serialize};

use super::digest::{digest, hex};

/// An image's manifest.
pub const IMAGE: &str = "application/vnd.oci.image.manifest.v1+json";

/// An index: the manifests of an image for several platforms, or those that refer to one.
pub const INDEX: &str = "application/vnd.oci.image.index.v1+json";

/// An image's config.
pub const CONFIG: &str = "application/vnd.oci.image.config.v1+json";

/// The same, as docker calls it.
pub const DOCKER_CONFIG: &str = "application/vnd.docker.container.image.v1+json";

/// A layer.
pub const LAYER: &str = "application/vnd.oci.image.layer.v1.tar+gzip";

/// Every kind of manifest that is read: OCI's, and docker's, which older registries make of them.
pub const KINDS: [&str; 4] = [
    IMAGE,
    INDEX,
    "application/vnd.docker.distribution.manifest.v2+json",
    "application/vnd.docker.distribution.manifest.list.v2+json",
];

/// How long a manifest may be: what registries are asked to accept (OCI distribution
/// specification, "Pushing Manifests").
pub const MAX_MANIFEST_BYTES: usize = 4 * 1024 * 1024;

/// How many blobs or manifests one manifest may name. Chosen: ours names a handful, the largest
/// images have 127 layers.
pub const MAX_NAMED_BLOBS: usize = 256;

/// What a manifest says of another blob or manifest.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Descriptor {
    /// Its kind.
    pub media_type: String,
    /// `sha256:…` of its bytes.
    pub digest: String,
    /// How many they are.
    pub size: u64,
    /// What is in it, where its kind does not say that.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub artifact_type: Option<String>,
    /// Of a manifest in an index: whom the image is for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub platform: Option<Platform>,
    /// Labels.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub annotations: BTreeMap<String, String>,
}

/// Whom an image is for, in Go's words.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Platform {
    /// The processor: `amd64`, `arm64`.
    pub architecture: String,
    /// The system: `linux`.
    pub os: String,
}

impl Descriptor {
    /// What describes these bytes.
    pub fn of(media_type: &str, bytes: &[u8]) -> Self {
        Self {
            media_type: media_type.to_owned(),
            digest: digest(bytes),
            size: bytes.len() as u64,
            ..Self::default()
        }
    }
}

/// A manifest, as a registry has it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Manifest {
    /// Its kind.
    pub media_type: String,
    /// JSON, byte by byte.
    pub bytes: Vec<u8>,
}

/// What a manifest names.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Named {
    /// Always 2.
    pub schema_version: u32,
    /// Its own kind, in newer ones.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub media_type: Option<String>,
    /// What is in it, where it is no image.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub artifact_type: Option<String>,
    /// Of an image.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub config: Option<Descriptor>,
    /// Of an image.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub layers: Vec<Descriptor>,
    /// Of an index.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub manifests: Option<Vec<Descriptor>>,
    /// What it refers to.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub subject: Option<Descriptor>,
    /// Labels.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub annotations: BTreeMap<String, String>,
}

impl Named {
    /// These names as a manifest of a kind.
    ///
    /// # Errors
    /// Never in practice: every field is writable as JSON.
    pub fn manifest(mut self, media_type: &str) -> anyhow::Result<Manifest> {
        self.schema_version = 2;
        self.media_type = Some(media_type.to_owned());
        Ok(Manifest {
            media_type: media_type.to_owned(),
            bytes: serde_json::to_vec(&self)?,
        })
    }

    /// The blobs of an image: its config, and its layers.
    pub fn blobs(&self) -> impl Iterator<Item = &Descriptor> {
        self.config.iter().chain(&self.layers)
    }

    /// The manifests of an index; none of an image.
    pub fn children(&self) -> &[Descriptor] {
        self.manifests.as_deref().unwrap_or_default()
    }
}

impl Manifest {
    /// `sha256:…` of its bytes.
    pub fn digest(&self) -> String {
        digest(&self.bytes)
    }

    /// What describes it.
    pub fn descriptor(&self) -> Descriptor {
        Descriptor::of(&self.media_type, &self.bytes)
    }

    /// What it names.
    ///
    /// # Errors
    /// When it is no manifest of an image or index, or names too much or by other digests.
    pub fn named(&self) -> anyhow::Result<Named> {
        let named: Named = serde_json::from_slice(&self.bytes)
            .context("not a manifest; accepted: that of an OCI image or index")?;
        let is_said_otherwise = named
            .media_type
            .as_ref()
            .is_some_and(|said| *said != self.media_type);
        if is_said_otherwise {
            // What one program takes for an image and another for an index is refused (OCI image
            // specification 1.1, "mediaType").
            bail!(
                "the manifest calls itself {:?}, and is served as {:?}; accepted: one kind",
                named.media_type.unwrap_or_default(),
                self.media_type
            );
        }
        if named.config.is_some() == named.manifests.is_some() {
            bail!(
                "a manifest that has `config` and `manifests`, or neither; accepted: one of them"
            );
        }
        let count = named.blobs().count() + named.children().len();
        if count > MAX_NAMED_BLOBS {
            bail!("a manifest that names {count} blobs; accepted: at most {MAX_NAMED_BLOBS}");
        }
        let all = named.blobs().chain(named.children()).chain(&named.subject);
        for Descriptor { digest, .. } in all {
            if hex(digest).is_none() {
                bail!(
                    "a manifest that names {digest:?}; accepted: sha256: and 64 hexadecimal digits"
                );
            }
        }
        Ok(named)
    }
}

/// The kind that a manifest says it is, for where nobody else says it.
pub fn own_media_type(bytes: &[u8]) -> Option<String> {
    #[derive(Deserialize)]
    #[serde(rename_all = "camelCase")]
    struct Kind {
        media_type: Option<String>,
        manifests: Option<serde::de::IgnoredAny>,
    }
    let kind: Kind = serde_json::from_slice(bytes).ok()?;
    let guessed = if kind.manifests.is_some() {
        INDEX
    } else {
        IMAGE
    };
    Some(kind.media_type.unwrap_or_else(|| guessed.to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn image() -> Named {
        Named {
            config: Some(Descriptor::of(CONFIG, b"{}")),
            layers: vec![Descriptor::of(LAYER, b"a layer")],
            ..Named::default()
        }
    }

    #[test]
    fn what_was_written_is_read_again() {
        let manifest = image().manifest(IMAGE).unwrap();
        let named = manifest.named().unwrap();
        assert_eq!(named.blobs().count(), 2);
        assert_eq!(named.manifest(IMAGE).unwrap(), manifest);
        assert_eq!(own_media_type(&manifest.bytes).as_deref(), Some(IMAGE));
        assert_eq!(
            own_media_type(br#"{"manifests":[]}"#).as_deref(),
            Some(INDEX)
        );
        assert_eq!(own_media_type(b"x"), None);
    }

    #[test]
    fn a_manifest_names_so_many_blobs_and_no_more() {
        let with = |count: usize| {
            let layers = vec![Descriptor::of(LAYER, b"a layer"); count];
            Named { layers, ..image() }.manifest(IMAGE).unwrap().named()
        };
        assert!(with(MAX_NAMED_BLOBS - 1).is_ok());
        assert_eq!(
            with(MAX_NAMED_BLOBS).unwrap_err().to_string(),
            "a manifest that names 257 blobs; accepted: at most 256"
        );
    }

    #[test]
    fn what_is_no_manifest_is_refused() {
        let error = |media_type: &str, bytes: &[u8]| {
            let (media_type, bytes) = (media_type.to_owned(), bytes.to_vec());
            Manifest { media_type, bytes }
                .named()
                .unwrap_err()
                .to_string()
        };
        let written = image().manifest(IMAGE).unwrap().bytes;
        let cases = [
            (IMAGE, b"[]".to_vec(), "not a manifest"),
            (INDEX, written, "the manifest calls itself"),
            (
                IMAGE,
                br#"{"schemaVersion":2}"#.to_vec(),
                "a manifest that has `config` and",
            ),
            (
                INDEX,
                br#"{"schemaVersion":2,"manifests":[{"mediaType":"a","digest":"md5:0","size":1}]}"#
                    .to_vec(),
                "a manifest that names \"md5:0\"; accepted: sha256: and 64 hexadecimal digits",
            ),
        ];
        for (media_type, bytes, expected) in cases {
            let error = error(media_type, &bytes);
            assert!(error.starts_with(expected), "{error}");
        }
    }
}
