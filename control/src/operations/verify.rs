//! Whether an image is what the owner of a key signed, byte by byte.
//!
//! The signature is of a digest, so it is looked at first; only then what the manifest names is
//! read, each config and layer of each platform to its last byte. What refers to the image is not
//! looked at. A refusal is a result; an error says that it could not be found out.

use std::collections::BTreeSet;

use anyhow::{Context as _, bail};
use serde::Serialize;

use super::oci::key::PublicKey;
use super::oci::manifest::{Descriptor, Named};
use super::oci::registry::{Access, Blob, Registry, Transport};
use super::oci::signature::{self, Flaw};
use super::oci::{digest::digest, name};
use super::sign::{carried, layers};

/// How many bytes an image may have that is read to its end. Chosen: forty times ours.
pub const MAX_VERIFIED_BYTES: u64 = 1024 * 1024 * 1024;

/// What was found; serialized, it is the JSON of `sluice verify`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Verdict {
    /// The image, as it was named.
    pub image: String,
    /// `sha256:…` of the manifest that came.
    pub digest: String,
    /// How many of its signatures are by the key and of it.
    pub signatures: usize,
    /// How many manifests, configs and layers were read, and are right.
    pub blobs: usize,
    /// How many bytes they have.
    pub bytes: u64,
    /// Why it is refused; nothing if it is good.
    pub refused: Vec<String>,
}

/// Why an image is refused.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
enum Refusal {
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
    #[error("{digest}: the registry does not have it")]
    Missing { digest: String },
    #[error("{digest}: it was changed: {found}")]
    Changed { digest: String, found: String },
}

/// Checks an image by the key of whoever should have signed it.
///
/// # Errors
/// When it cannot be found out: there is no such image, or the registry does not answer, or has what
/// cannot be read within bounds.
pub async fn verify(image: &str, key: &PublicKey, transport: Transport) -> anyhow::Result<Verdict> {
    let reference = name::any(image)?;
    let registry = Registry::open(&reference, transport, Access::Pull).await?;
    let asked = reference.digest().or(reference.tag()).unwrap_or_default();
    let manifest = registry.manifest(asked).await?;
    let manifest = manifest.with_context(|| format!("{image}: the registry has no such image"))?;
    let mut checking = Checking {
        registry: &registry,
        verdict: Verdict {
            image: image.to_owned(),
            digest: manifest.digest(),
            signatures: 0,
            blobs: 0,
            bytes: 0,
            refused: Vec::new(),
        },
        seen: BTreeSet::new(),
    };
    if let Some(asked) = reference.digest()
        && asked != checking.verdict.digest
    {
        checking.refuse(&Refusal::AnotherManifest {
            asked: asked.to_owned(),
            found: checking.verdict.digest.clone(),
        });
        return Ok(checking.verdict);
    }
    checking.signatures(key).await?;
    if checking.verdict.signatures > 0 {
        let descriptor = manifest.descriptor();
        checking.count(&descriptor)?;
        checking.contents(&manifest.named()?).await?;
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
        let layers = layers(self.registry, &tag).await?.unwrap_or_default();
        if layers.is_empty() {
            self.refuse(&Refusal::Unsigned { tag });
        }
        let count = layers.len();
        let mut flaws = Vec::new();
        for (at, layer) in layers.iter().enumerate() {
            let signature = carried(self.registry, layer).await?;
            match signature.and_then(|signature| signature.check(&self.verdict.digest, key)) {
                Ok(()) => self.verdict.signatures += 1,
                Err(flaw) => flaws.push(Refusal::Flawed {
                    number: at + 1,
                    count,
                    flaw,
                }),
            }
        }
        if self.verdict.signatures == 0 {
            flaws.iter().for_each(|flaw| self.refuse(flaw));
        }
        Ok(())
    }

    /// Reads everything that the image names.
    async fn contents(&mut self, named: &Named) -> anyhow::Result<()> {
        for child in named.children() {
            if !self.count(child)? {
                continue;
            }
            let Some(manifest) = self.registry.manifest(&child.digest).await? else {
                self.missing(child);
                continue;
            };
            let found = digest(&manifest.bytes);
            if found != child.digest {
                self.changed(child, format!("its digest is {found}"));
                continue;
            }
            for blob in manifest.named()?.blobs() {
                self.blob(blob).await?;
            }
        }
        for blob in named.blobs() {
            self.blob(blob).await?;
        }
        Ok(())
    }

    async fn blob(&mut self, blob: &Descriptor) -> anyhow::Result<()> {
        if !self.count(blob)? {
            return Ok(());
        }
        match self.registry.check(blob).await? {
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
