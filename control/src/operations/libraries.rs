//! The native module as an OCI image: an index with one image for each processor, whose one layer
//! holds `libsluice-VERSION.so`.
//!
//! So Kubernetes can mount it as a volume (an image volume, from 1.35 on), and each node takes the
//! library of its own processor. The version is in the file's name because Envoy does not load a
//! file again whose name it has loaded. Pure, and the same bytes for the same libraries and labels.
//! Who publishes it is [`super::push`]; nothing is loaded here.

use std::collections::BTreeMap;

use anyhow::{Context as _, bail};
use object::read::elf::ElfFile64;
use object::{Architecture, LittleEndian, Object as _, ObjectKind, ObjectSymbol as _};
use serde_json::json;

use super::image::{gzip, tar};
use super::oci::digest::digest;
use super::oci::layout::Layout;
use super::oci::manifest::{CONFIG, Descriptor, IMAGE, INDEX, LAYER, Manifest, Named, Platform};

/// How long the version in a library's file name may be. Chosen: a tar has 100 bytes for the whole
/// name.
pub const MAX_FILE_VERSION_BYTES: usize = 64;

/// What the image calls itself.
const TITLE: &str = "sluice-native";

/// What Envoy calls first in a dynamic module; without it, it is none.
const HOOK: &str = "envoy_dynamic_module_on_program_init";

/// A label's name, without what all of them begin with.
fn label(name: &str) -> String {
    format!("org.opencontainers.image.{name}")
}

/// A shared library that Envoy can load, and the processor it is for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Library {
    /// As images call it: `amd64`, `arm64`.
    architecture: &'static str,
    bytes: Vec<u8>,
}

impl Library {
    /// Takes the bytes of a library for one.
    ///
    /// # Errors
    /// When they are no shared library for Linux on a processor that we build for, or none of
    /// Envoy's dynamic modules.
    pub fn read(bytes: Vec<u8>) -> anyhow::Result<Self> {
        let file = ElfFile64::<LittleEndian>::parse(bytes.as_slice()).map_err(|_| {
            let found = found(&bytes);
            anyhow::anyhow!(
                "{found}; accepted: a shared library of 64 bits, as `make native` writes"
            )
        })?;
        if file.kind() != ObjectKind::Dynamic {
            bail!(
                "an ELF file, but no shared library: {:?}; accepted: what `make native` writes",
                file.kind()
            );
        }
        let architecture = match file.architecture() {
            Architecture::X86_64 => "amd64",
            Architecture::Aarch64 => "arm64",
            _ => bail!(
                "a library for the processor {} of ELF; accepted: 62 (x86_64) and 183 (aarch64)",
                file.elf_header().e_machine.get(LittleEndian)
            ),
        };
        let is_hook = |name: object::Result<&str>| name.is_ok_and(|name| name == HOOK);
        let is_module = file
            .dynamic_symbols()
            .any(|symbol| symbol.is_definition() && is_hook(symbol.name()));
        if !is_module {
            bail!("a shared library, but not one for Envoy: it exports no {HOOK}");
        }
        Ok(Self {
            architecture,
            bytes,
        })
    }
}

/// What bytes are that are no library.
fn found(bytes: &[u8]) -> &'static str {
    match bytes {
        [] => "an empty file",
        [0, b'a', b's', b'm', ..] => "a WebAssembly module, which is no native library",
        [0x7f, b'E', b'L', b'F', 1, ..] => "an ELF file of 32 bits",
        [0x7f, b'E', b'L', b'F', _, 2, ..] => "an ELF file with the other order of bytes",
        [0x7f, b'E', b'L', b'F', ..] => "an ELF file that is cut or broken",
        _ => "not an ELF file",
    }
}

/// The libraries of one version as an image.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Libraries {
    /// The index and what is in it.
    pub layout: Layout,
    /// What the file is called in each image: `libsluice-0.1.0.so`.
    pub file: String,
    /// The systems it is for, such as `linux/amd64`, in order.
    pub platforms: Vec<String>,
}

impl Libraries {
    /// Wraps libraries, one a processor, with the labels of the module beside which they are
    /// published; their version is the labels', or else `version`.
    ///
    /// # Errors
    /// When there is none, two are for the same processor, or the version is no part of a file's
    /// name.
    pub fn pack(
        mut libraries: Vec<Library>,
        labels: &BTreeMap<String, String>,
        version: &str,
    ) -> anyhow::Result<Self> {
        let mut labels = labels.clone();
        labels.insert(label("title"), TITLE.to_owned());
        let version = labels
            .entry(label("version"))
            .or_insert_with(|| version.to_owned());
        let file = file(version)?;
        libraries.sort_by_key(|library| library.architecture);
        for pair in libraries.windows(2) {
            if let [one, other] = pair
                && one.architecture == other.architecture
            {
                let twice = one.architecture;
                bail!("two libraries for linux/{twice}; accepted: one for each processor");
            }
        }
        if libraries.is_empty() {
            bail!("no library; accepted: one for each processor");
        }
        let mut index = Vec::new();
        let mut children = Vec::new();
        let mut blobs = Vec::new();
        for library in &libraries {
            let (child, its_blobs) = library.image(&file, &labels)?;
            index.push(Descriptor {
                platform: Some(Platform {
                    architecture: library.architecture.to_owned(),
                    os: "linux".to_owned(),
                }),
                ..child.descriptor()
            });
            children.push(child);
            blobs.extend(its_blobs);
        }
        let named = Named {
            manifests: Some(index),
            annotations: labels,
            ..Named::default()
        };
        let mut layout = Layout::of(named.manifest(INDEX)?, blobs);
        layout.children = children;
        let platform = |library: &Library| format!("linux/{}", library.architecture);
        Ok(Self {
            layout,
            file,
            platforms: libraries.iter().map(platform).collect(),
        })
    }
}

impl Library {
    /// Its image: the manifest, and the blobs that it names.
    fn image(
        &self,
        file: &str,
        labels: &BTreeMap<String, String>,
    ) -> anyhow::Result<(Manifest, [Vec<u8>; 2])> {
        let tar = tar(file, &self.bytes)?;
        let layer = gzip(&tar)?;
        let config = serde_json::to_vec(&json!({
            "architecture": self.architecture, "os": "linux", "config": {"Labels": labels},
            "rootfs": {"type": "layers", "diff_ids": [digest(&tar)]},
        }))?;
        let named = Named {
            config: Some(Descriptor::of(CONFIG, &config)),
            layers: vec![Descriptor::of(LAYER, &layer)],
            annotations: labels.clone(),
            ..Named::default()
        };
        Ok((named.manifest(IMAGE)?, [config, layer]))
    }
}

/// The name of a version's file.
fn file(version: &str) -> anyhow::Result<String> {
    let is_accepted = |letter: char| letter.is_ascii_alphanumeric() || "._-+".contains(letter);
    let is_short = (1..=MAX_FILE_VERSION_BYTES).contains(&version.len());
    if !is_short || !version.chars().all(is_accepted) {
        bail!(
            "the version {version:?} cannot be part of a file's name; accepted: 1 to \
             {MAX_FILE_VERSION_BYTES} letters, digits, dots, dashes, underscores and plus signs"
        );
    }
    Ok(format!("libsluice-{version}.so"))
}

/// The name of the image of the libraries, beside that of the module: its tag with `-native`.
///
/// # Errors
/// When the name has no tag.
pub fn beside(image: &str) -> anyhow::Result<String> {
    let reference = super::oci::name::tagged(image)?;
    let tag = reference.tag().context("a name with a tag")?;
    let (registry, repository) = (reference.registry(), reference.repository());
    Ok(format!("oci://{registry}/{repository}:{tag}-native"))
}

#[cfg(test)]
mod fixture;
#[cfg(test)]
mod tests;
