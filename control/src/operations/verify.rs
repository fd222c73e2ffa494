//! Whether an image is what the owner of a key signed, byte by byte.
//!
//! The signature is of a digest, so it is looked at first; only then what the manifest names is
//! read, each config and layer of each platform to its last byte. What refers to the image is not
//! looked at, and is no image itself: it is good by its own digest only. A refusal is a result; an
//! error says that it could not be found out.

mod kind;
mod refusal;

use std::collections::BTreeSet;
use std::time::Duration;

use anyhow::{Context as _, bail};
use serde::Serialize;

use super::oci::key::PublicKey;
use super::oci::manifest::{Descriptor, MAX_MANIFEST_BYTES, Manifest, Named, Platform};
use super::oci::name;
use super::oci::registry::{Access, Blob, Registry, Transport};
use super::oci::signature::{self, MAX_SIGNATURES, Signatures};
use super::sign::{carried, signatures};
use kind::{is_config, other_than_image};
use refusal::Refusal;

/// How long it may take altogether. Chosen: an image of the largest size that is read, at 2 MB/s,
/// and half as much again.
const VERIFY_PATIENCE: Duration = Duration::from_secs(900);

/// How many bytes an image may have that is read to its end. Chosen: forty times ours.
pub const MAX_VERIFIED_BYTES: u64 = 1024 * 1024 * 1024;

/// What was found; serialized, it is the JSON of `sluice verify`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Verdict {
    /// The image, as it was named.
    pub image: String,
    /// `sha256:…` of the manifest that came.
    pub digest: String,
    /// How many of its signatures are by the key and of it.
    pub signatures: usize,
    /// What these call it: `HOST/REPOSITORY`, which need not be where it is now.
    pub signed_as: BTreeSet<String>,
    /// Its label `org.opencontainers.image.title`.
    pub title: Option<String>,
    /// Its label `org.opencontainers.image.version`.
    pub version: Option<String>,
    /// Whom its images are for, as `OS/ARCHITECTURE`.
    pub platforms: BTreeSet<String>,
    /// How many manifests, configs and layers were read, and are right.
    pub blobs: usize,
    /// How many bytes they have.
    pub bytes: u64,
    /// `oci://HOST/REPOSITORY@sha256:…`, where it was named by a tag: only this is vouched for, and
    /// the registry says what the tag names.
    pub pin: Option<String>,
    /// Why it is refused; nothing if it is good.
    pub refused: Vec<String>,
}

/// Checks an image by the key of whoever should have signed it.
///
/// # Errors
/// When it cannot be found out: there is no such image, or the registry does not answer, takes
/// longer than a quarter of an hour, or has what cannot be read within bounds.
pub async fn verify(image: &str, key: &PublicKey, transport: Transport) -> anyhow::Result<Verdict> {
    within(VERIFY_PATIENCE, image, key, transport).await
}

async fn within(
    patience: Duration,
    image: &str,
    key: &PublicKey,
    transport: Transport,
) -> anyhow::Result<Verdict> {
    let checked = tokio::time::timeout(patience, checked(image, key, transport)).await;
    let seconds = patience.as_secs();
    checked.with_context(|| format!("{image}: not read within {seconds} seconds"))?
}

async fn checked(image: &str, key: &PublicKey, transport: Transport) -> anyhow::Result<Verdict> {
    let reference = name::any(image)?;
    let registry = Registry::open(&reference, transport, Access::Pull).await?;
    let asked = reference.digest().or(reference.tag()).unwrap_or_default();
    let manifest = registry.manifest(asked).await?;
    let manifest = manifest.with_context(|| format!("{image}: the registry has no such image"))?;
    let digest = manifest.digest();
    let mut checking = Checking {
        registry: &registry,
        verdict: Verdict {
            image: image.to_owned(),
            digest: digest.clone(),
            ..Verdict::default()
        },
        seen: BTreeSet::new(),
    };
    match reference.digest() {
        Some(asked) if asked != digest => {
            checking.refuse(&Refusal::AnotherManifest {
                asked: asked.to_owned(),
                found: digest,
            });
            return Ok(checking.verdict);
        }
        Some(_) => {}
        None => {
            let repository = registry.repository();
            checking.verdict.pin = Some(format!("oci://{repository}@{digest}"));
        }
    }
    checking.signatures(key).await?;
    if checking.verdict.signatures > 0 {
        checking.image(&manifest).await?;
    }
    Ok(checking.verdict)
}

struct Checking<'a> {
    registry: &'a Registry,
    verdict: Verdict,
    seen: BTreeSet<String>,
}

impl Checking<'_> {
    fn refuse(&mut self, refusal: &Refusal) {
        self.verdict.refused.push(refusal.to_string());
    }

    /// Looks for a signature by the key; why the others are none is said only where there is none.
    async fn signatures(&mut self, key: &PublicKey) -> anyhow::Result<()> {
        let tag = signature::tag(&self.verdict.digest);
        let signatures = signatures(self.registry, &tag).await?;
        let signatures = signatures.unwrap_or_else(Signatures::none);
        let count = signatures.count();
        if count == 0 {
            self.refuse(&Refusal::Unsigned { tag });
        }
        let mut flaws = Vec::new();
        for (at, layer) in signatures.layers().enumerate() {
            let signature = carried(self.registry, layer).await?;
            match signature.and_then(|signature| signature.check(&self.verdict.digest, key)) {
                Ok(signed_as) => {
                    self.verdict.signatures += 1;
                    self.verdict.signed_as.insert(signed_as);
                }
                Err(flaw) => flaws.push(Refusal::Flawed {
                    number: at + 1,
                    count,
                    flaw,
                }),
            }
        }
        if count > MAX_SIGNATURES {
            flaws.push(Refusal::LeftOut { count });
        }
        if self.verdict.signatures == 0 {
            flaws.iter().for_each(|flaw| self.refuse(flaw));
        }
        Ok(())
    }

    /// Reads everything that a signed manifest names, if it is an image's.
    async fn image(&mut self, manifest: &Manifest) -> anyhow::Result<()> {
        let named = manifest.named()?;
        if let Some(what) = other_than_image(&named)
            && self.verdict.pin.is_some()
        {
            self.refuse(&Refusal::NoImage { what });
            return Ok(());
        }
        let label = |name: &str| {
            let name = format!("org.opencontainers.image.{name}");
            named.annotations.get(&name).cloned()
        };
        self.verdict.title = label("title");
        self.verdict.version = label("version");
        self.count(&manifest.descriptor())?;
        for child in named.children() {
            self.child(child).await?;
        }
        self.blobs(&named).await
    }

    /// Reads an image of an index. No other index may be there: what it named would have to be
    /// read, too, and neither kubelets nor Istio's agents want one.
    async fn child(&mut self, child: &Descriptor) -> anyhow::Result<()> {
        if !self.count(child)? {
            return Ok(());
        }
        let Some(manifest) = self.registry.manifest(&child.digest).await? else {
            self.missing(child);
            return Ok(());
        };
        let (found, size) = (manifest.digest(), manifest.bytes.len() as u64);
        if found != child.digest {
            self.changed(child, format!("its digest is {found}"));
            return Ok(());
        }
        if size != child.size {
            let said = child.size;
            self.changed(child, format!("{size} bytes, and the index says {said}"));
            return Ok(());
        }
        let named = manifest.named()?;
        if named.manifests.is_some() {
            self.verdict.blobs -= 1;
            let digest = child.digest.clone();
            self.refuse(&Refusal::IndexInIndex { digest });
            return Ok(());
        }
        self.blobs(&named).await
    }

    async fn blobs(&mut self, named: &Named) -> anyhow::Result<()> {
        for blob in named.blobs() {
            self.blob(blob).await?;
        }
        Ok(())
    }

    async fn blob(&mut self, blob: &Descriptor) -> anyhow::Result<()> {
        if !self.count(blob)? {
            return Ok(());
        }
        let found = if is_config(blob) && blob.size <= MAX_MANIFEST_BYTES as u64 {
            self.config(blob).await?
        } else {
            self.registry.check(blob).await?
        };
        match found {
            Blob::Whole(()) => {}
            Blob::Missing => self.missing(blob),
            Blob::Changed { digest: None, .. } => {
                self.changed(blob, format!("it has more than {} bytes", blob.size));
            }
            Blob::Changed {
                size,
                digest: Some(digest),
            } => self.changed(blob, format!("{size} bytes with the digest {digest}")),
        }
        Ok(())
    }

    /// Reads a config, which says whom the image is for.
    async fn config(&mut self, config: &Descriptor) -> anyhow::Result<Blob<()>> {
        let bytes = match self.registry.blob(config, MAX_MANIFEST_BYTES).await? {
            Blob::Whole(bytes) => bytes,
            Blob::Missing => return Ok(Blob::Missing),
            Blob::Changed { size, digest } => return Ok(Blob::Changed { size, digest }),
        };
        if let Ok(Platform { os, architecture }) = serde_json::from_slice(&bytes) {
            let platform = format!("{os}/{architecture}");
            self.verdict.platforms.insert(platform);
        }
        Ok(Blob::Whole(()))
    }

    fn missing(&mut self, one: &Descriptor) {
        let digest = one.digest.clone();
        self.verdict.blobs -= 1;
        self.refuse(&Refusal::Missing { digest });
    }

    fn changed(&mut self, one: &Descriptor, found: String) {
        let digest = one.digest.clone();
        self.verdict.blobs -= 1;
        self.refuse(&Refusal::Changed { digest, found });
    }

    /// Whether it was not read before.
    fn count(&mut self, one: &Descriptor) -> anyhow::Result<bool> {
        if !self.seen.insert(one.digest.clone()) {
            return Ok(false);
        }
        self.verdict.blobs += 1;
        self.verdict.bytes = self.verdict.bytes.saturating_add(one.size);
        if self.verdict.bytes > MAX_VERIFIED_BYTES {
            let image = &self.verdict.image;
            bail!("{image}: more than {MAX_VERIFIED_BYTES} bytes; accepted: at most that");
        }
        Ok(true)
    }
}

#[cfg(test)]
mod tests;
