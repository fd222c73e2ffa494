//! Publishing an image to an OCI registry: in which order, and with what beside it.
//!
//! The tag comes last: whoever pulls by it finds an image whose signature, bill of materials and
//! provenance are there. What is published, byte by byte, is [`super::image`]'s or a folder's
//! ([`super::oci::layout`]); how a registry is spoken to, [`super::oci::registry`]'s.

use std::collections::BTreeMap;

use anyhow::Context as _;
use serde::Serialize;

use super::libraries::{Libraries, beside};
use super::oci::key::PrivateKey;
use super::oci::layout::Layout;
use super::oci::registry::{Access, Registry, Transport};
use super::oci::{name, referrers};
use super::sign::{Signed, sign};

/// What was published; serialized, it is the JSON of `sluice push`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Pushed {
    /// The image, as `oci://HOST/REPOSITORY:TAG`.
    pub image: String,
    /// The digest to pin: `sha256:…` of the manifest.
    pub digest: String,
    /// The digests of what refers to it: bill of materials, provenance.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub referrers: Vec<String>,
    /// Its signature, where one was wanted.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub signed: Option<Signed>,
    /// The native libraries beside it, where there are any.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub native: Option<Native>,
}

/// The native libraries that were published.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Native {
    /// Their image, as `oci://HOST/REPOSITORY:TAG-native`.
    pub image: String,
    /// The digest to pin: `sha256:…` of the index.
    pub digest: String,
    /// What the file is called in it.
    pub file: String,
    /// The systems it is for.
    pub platforms: Vec<String>,
    /// Its signature, where one was wanted.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub signed: Option<Signed>,
}

/// Publishes a module as [`push`] does, and its native libraries before it, under the same name with
/// `-native` behind the tag: whoever finds the module's tag finds the libraries.
///
/// # Errors
/// As [`push`].
pub async fn push_with_libraries(
    layout: &Layout,
    libraries: &Libraries,
    name: &str,
    transport: Transport,
    key: Option<&PrivateKey>,
) -> anyhow::Result<Pushed> {
    let beside = push(&libraries.layout, &beside(name)?, transport, key).await?;
    let pushed = push(layout, name, transport, key).await?;
    Ok(Pushed {
        native: Some(Native {
            image: beside.image,
            digest: beside.digest,
            file: libraries.file.clone(),
            platforms: libraries.platforms.clone(),
            signed: beside.signed,
        }),
        ..pushed
    })
}

/// Publishes an image under a name such as `oci://registry.example.com/sluice:1.0`, signed if there
/// is a key, and so is what refers to it.
///
/// # Errors
/// When the name is none with a tag, docker's login cannot be used, or the registry refuses.
pub async fn push(
    layout: &Layout,
    name: &str,
    transport: Transport,
    key: Option<&PrivateKey>,
) -> anyhow::Result<Pushed> {
    let reference = name::tagged(name)?;
    let registry = Registry::open(&reference, transport, Access::Push).await?;
    let digest = layout.image.digest();
    for blob in layout.blobs.values() {
        registry.push_blob(blob).await?;
    }
    for child in &layout.children {
        registry.push_manifest(&child.digest(), child).await?;
    }
    if key.is_some() || !layout.referrers.is_empty() {
        registry.push_manifest(&digest, &layout.image).await?;
    }
    refer(&registry, layout, &digest).await?;
    let mut signed = None;
    if let Some(key) = key {
        for referrer in &layout.referrers {
            sign(&registry, &referrer.digest(), key).await?;
        }
        signed = Some(sign(&registry, &digest, key).await?);
    }
    let tag = reference.tag().unwrap_or_default();
    registry.push_manifest(tag, &layout.image).await?;
    let referrers = layout.referrers.iter();
    Ok(Pushed {
        image: format!("oci://{reference}"),
        digest,
        referrers: referrers.map(|referrer| referrer.digest()).collect(),
        signed,
        native: None,
    })
}

/// Writes what refers to the image, and lists it where the registry does not by itself.
async fn refer(registry: &Registry, layout: &Layout, digest: &str) -> anyhow::Result<()> {
    let mut described = Vec::new();
    for referrer in &layout.referrers {
        registry.push_manifest(&referrer.digest(), referrer).await?;
        described.push(referrers::descriptor(referrer)?);
    }
    if described.is_empty() || registry.lists_referrers(digest).await? {
        return Ok(());
    }
    let tag = referrers::tag(digest);
    let existing = registry.manifest(&tag).await?;
    let listing = referrers::listing(existing.as_ref(), &described).with_context(|| tag.clone())?;
    if let Some(listing) = listing {
        registry.push_manifest(&tag, &listing).await?;
    }
    Ok(())
}

/// The labels of an image of `version`, whose source is at a URL.
pub fn labels(version: &str, source: Option<&str>) -> BTreeMap<String, String> {
    [
        ("title", Some("sluice")),
        ("licenses", Some("Apache-2.0")),
        ("version", Some(version)),
        ("source", source),
    ]
    .into_iter()
    .filter_map(|(name, value)| {
        Some((
            format!("org.opencontainers.image.{name}"),
            value?.to_owned(),
        ))
    })
    .collect()
}
