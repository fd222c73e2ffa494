//! An image with what refers to it, in memory and as a folder: the OCI image layout, in which images
//! go from hand to hand without a registry.
//!
//! Read, every byte is checked against its digest; written, the same image gives the same files
//! (OCI image specification, "Image Layout"). What is in the image is not this file's.

use std::collections::BTreeMap;
use std::path::Path;

use anyhow::{Context as _, bail};
use serde::Deserialize;

use super::digest::{digest, hex};
use super::manifest::{Descriptor, INDEX, MAX_MANIFEST_BYTES, Manifest, Named};
use crate::files;

/// How many bytes a layout may have. Chosen: ten times ours.
pub const MAX_LAYOUT_BYTES: usize = 256 * 1024 * 1024;

/// How many manifests a layout may list. Chosen: ours has three.
pub const MAX_LAYOUT_MANIFESTS: usize = 64;

/// What the folder says of itself.
const MARK: &str = r#"{"imageLayoutVersion":"1.0.0"}"#;

/// How the one image of a layout says its name.
const REF_NAME: &str = "org.opencontainers.image.ref.name";

/// An image, and what refers to it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Layout {
    /// What the tag names: an image's manifest, or an index of several.
    pub image: Manifest,
    /// The manifests of an index.
    pub children: Vec<Manifest>,
    /// What has the image as its subject.
    pub referrers: Vec<Manifest>,
    /// Every config and layer, by digest.
    pub blobs: BTreeMap<String, Vec<u8>>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Mark {
    image_layout_version: String,
}

impl Layout {
    /// An image of one manifest.
    pub fn of(image: Manifest, blobs: impl IntoIterator<Item = Vec<u8>>) -> Self {
        let mut layout = Self {
            image,
            children: Vec::new(),
            referrers: Vec::new(),
            blobs: BTreeMap::new(),
        };
        layout.add(blobs);
        layout
    }

    /// Adds blobs.
    pub fn add(&mut self, blobs: impl IntoIterator<Item = Vec<u8>>) {
        let named = blobs.into_iter().map(|blob| (digest(&blob), blob));
        self.blobs.extend(named);
    }

    /// Writes it into a folder, which is made anew.
    ///
    /// # Errors
    /// When the folder cannot be written.
    pub fn write(&self, folder: &Path) -> anyhow::Result<()> {
        if folder.exists() {
            std::fs::remove_dir_all(folder)?;
        }
        let blobs = folder.join("blobs/sha256");
        std::fs::create_dir_all(&blobs)?;
        let manifests = self.manifests().map(|manifest| &manifest.bytes);
        for bytes in self.blobs.values().chain(manifests) {
            let name = digest(bytes);
            std::fs::write(blobs.join(hex(&name).unwrap_or_default()), bytes)?;
        }
        let mut image = self.image.descriptor();
        let annotation = (REF_NAME.to_owned(), "latest".to_owned());
        image.annotations.extend([annotation]);
        let listed = std::iter::once(image).chain(self.referrers.iter().map(Manifest::descriptor));
        let index = Named {
            manifests: Some(listed.collect()),
            ..Named::default()
        };
        std::fs::write(folder.join("index.json"), index.manifest(INDEX)?.bytes)?;
        std::fs::write(folder.join("oci-layout"), MARK)?;
        Ok(())
    }

    /// Every manifest.
    fn manifests(&self) -> impl Iterator<Item = &Manifest> {
        let image = std::iter::once(&self.image);
        image.chain(&self.children).chain(&self.referrers)
    }

    /// Reads a folder.
    ///
    /// # Errors
    /// When it is no layout, has none or several images, or a byte of it is not as its digest says.
    pub fn read(folder: &Path) -> anyhow::Result<Self> {
        let mut reading = Reading {
            folder,
            left: MAX_LAYOUT_BYTES,
            blobs: BTreeMap::new(),
        };
        reading
            .layout()
            .with_context(|| format!("{}: not the layout of an image", folder.display()))
    }
}

struct Reading<'a> {
    folder: &'a Path,
    left: usize,
    blobs: BTreeMap<String, Vec<u8>>,
}

impl Reading<'_> {
    fn layout(&mut self) -> anyhow::Result<Layout> {
        let mark = files::bytes(&self.folder.join("oci-layout"), MAX_MANIFEST_BYTES)?;
        let mark: Mark = serde_json::from_slice(&mark).context("oci-layout")?;
        if mark.image_layout_version != "1.0.0" {
            let found = mark.image_layout_version;
            bail!("oci-layout: imageLayoutVersion {found:?}; accepted: 1.0.0");
        }
        let bytes = files::bytes(&self.folder.join("index.json"), MAX_MANIFEST_BYTES)?;
        let media_type = INDEX.to_owned();
        let index = Manifest { media_type, bytes }
            .named()
            .context("index.json")?;
        if index.children().len() > MAX_LAYOUT_MANIFESTS {
            let count = index.children().len();
            bail!("index.json: {count} manifests; accepted: at most {MAX_LAYOUT_MANIFESTS}");
        }
        let (mut images, mut referrers) = (Vec::new(), Vec::new());
        for descriptor in index.children() {
            let (manifest, named) = self.manifest(descriptor)?;
            match &named.subject {
                Some(subject) => referrers.push((subject.digest.clone(), manifest)),
                None => images.push((manifest, named)),
            }
        }
        let Ok([(image, named)]) = <[_; 1]>::try_from(images) else {
            bail!("index.json: accepted: one image, and what refers to it");
        };
        let subject = image.digest();
        if let Some((other, _)) = referrers.iter().find(|(digest, _)| *digest != subject) {
            bail!("index.json: a manifest that refers to {other}, which is not its image");
        }
        let mut children = Vec::new();
        for descriptor in named.children() {
            children.push(self.manifest(descriptor)?.0);
        }
        Ok(Layout {
            image,
            children,
            referrers: referrers
                .into_iter()
                .map(|(_, manifest)| manifest)
                .collect(),
            blobs: std::mem::take(&mut self.blobs),
        })
    }

    /// A manifest, whose blobs are read too.
    fn manifest(&mut self, descriptor: &Descriptor) -> anyhow::Result<(Manifest, Named)> {
        let manifest = Manifest {
            media_type: descriptor.media_type.clone(),
            bytes: self.bytes(descriptor, MAX_MANIFEST_BYTES)?,
        };
        let named = manifest
            .named()
            .with_context(|| descriptor.digest.clone())?;
        for blob in named.blobs() {
            let bytes = self.bytes(blob, MAX_LAYOUT_BYTES)?;
            self.blobs.insert(blob.digest.clone(), bytes);
        }
        Ok((manifest, named))
    }

    fn bytes(&mut self, descriptor: &Descriptor, max_bytes: usize) -> anyhow::Result<Vec<u8>> {
        let name = &descriptor.digest;
        let path = self.folder.join("blobs/sha256");
        let path = path.join(hex(name).with_context(|| format!("{name:?} is no digest"))?);
        let bytes = files::bytes(&path, max_bytes.min(self.left))?;
        self.left -= bytes.len();
        let found = digest(&bytes);
        if found != *name || bytes.len() as u64 != descriptor.size {
            let (shown, size, expected) = (path.display(), bytes.len(), descriptor.size);
            bail!(
                "{shown}: {size} bytes with the digest {found}; accepted: {expected} with its own"
            );
        }
        Ok(bytes)
    }
}

#[cfg(test)]
mod tests {
    use super::super::manifest::{CONFIG, IMAGE, LAYER};
    use super::*;

    fn image(layer: &[u8], subject: Option<Descriptor>) -> Manifest {
        let named = Named {
            config: Some(Descriptor::of(CONFIG, b"{}")),
            layers: vec![Descriptor::of(LAYER, layer)],
            subject,
            ..Named::default()
        };
        named.manifest(IMAGE).unwrap()
    }

    fn layout() -> Layout {
        let mut layout = Layout::of(
            image(b"a layer", None),
            [b"{}".to_vec(), b"a layer".to_vec()],
        );
        let subject = Some(layout.image.descriptor());
        layout.referrers.push(image(b"a bill", subject));
        layout.add([b"a bill".to_vec()]);
        layout
    }

    #[test]
    fn what_was_written_is_read_again() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("image");
        let index = Named {
            manifests: Some(vec![layout().image.descriptor()]),
            ..Named::default()
        };
        let of_two = Layout {
            image: index.manifest(INDEX).unwrap(),
            children: vec![layout().image],
            referrers: Vec::new(),
            ..Layout::of(layout().image, [b"{}".to_vec(), b"a layer".to_vec()])
        };
        for layout in [layout(), of_two] {
            layout.write(&path).unwrap();
            assert_eq!(Layout::read(&path).unwrap(), layout);
        }
    }

    #[test]
    fn a_changed_byte_of_any_file_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        layout().write(folder.path()).unwrap();
        let blobs = folder.path().join("blobs/sha256");
        let mut changed = 0;
        for entry in std::fs::read_dir(blobs).unwrap() {
            let path = entry.unwrap().path();
            let good = std::fs::read(&path).unwrap();
            let mut bad = good.clone();
            bad[0] ^= 1;
            std::fs::write(&path, bad).unwrap();
            let error = Layout::read(folder.path()).unwrap_err();
            let error = format!("{error:#}");
            assert!(error.contains("bytes with the digest sha256:"), "{error}");
            std::fs::write(&path, good).unwrap();
            changed += 1;
        }
        assert_eq!(changed, 5, "two manifests, a config, two layers");
        assert_eq!(Layout::read(folder.path()).unwrap(), layout());
    }

    #[test]
    fn a_folder_has_one_image_and_what_refers_to_it() {
        let folder = tempfile::tempdir().unwrap();
        let refused = |layout: &Layout, expected: &str| {
            layout.write(folder.path()).unwrap();
            let error = format!("{:#}", Layout::read(folder.path()).unwrap_err());
            assert!(error.contains(expected), "{error}");
        };
        let mut two = layout();
        two.referrers.push(image(b"a bill", None));
        refused(&two, "accepted: one image, and what refers to it");
        let mut stranger = layout();
        let subject = Some(Descriptor::of(IMAGE, b"another"));
        stranger.referrers.push(image(b"a bill", subject));
        refused(&stranger, "which is not its image");
        let mut many = layout();
        let referrer = many.referrers[0].clone();
        many.referrers.resize(MAX_LAYOUT_MANIFESTS, referrer);
        refused(&many, "index.json: 65 manifests; accepted: at most 64");
        many.referrers.pop();
        many.write(folder.path()).unwrap();
        assert!(Layout::read(folder.path()).is_ok());
    }
}
