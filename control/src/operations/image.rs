//! The module as an OCI image, in the form that every Istio accepts: one tar+gzip layer that holds
//! plugin.wasm.
//!
//! Pure, and the same bytes for the same module, labels and `sluice`: nothing in it tells the time
//! or the machine. Istio's agent looks for the file by name in the last layer (istio
//! pkg/wasm/imagefetcher.go); what it calls the sha256 of an `oci://` plugin is the digest of the
//! manifest.

use std::collections::BTreeMap;
use std::io::Write as _;

use anyhow::{Context as _, bail};
use serde_json::json;

use super::oci::digest::digest;
use super::oci::layout::Layout;
use super::oci::manifest::{CONFIG, Descriptor, IMAGE, LAYER, Named};

/// The file that Istio's agent looks for.
const FILE: &str = "plugin.wasm";

/// What a WebAssembly module begins with (WebAssembly core specification 5.5.16).
const MAGIC: &[u8] = b"\0asm";

/// What proxy-wasm modules export to say their ABI.
const ABI: &str = "proxy_abi_version_";

/// How hosts get memory in a module: the ABI's name, and the one that it had before.
const ALLOCATORS: [&str; 2] = ["proxy_on_memory_allocate", "malloc"];

/// Wraps a module.
///
/// # Errors
/// When the bytes are no proxy-wasm module.
pub fn image(module: &[u8], labels: &BTreeMap<String, String>) -> anyhow::Result<Layout> {
    check(module)?;
    let tar = tar(FILE, module)?;
    let layer = gzip(&tar)?;
    let config = serde_json::to_vec(&json!({
        "architecture": "wasm", "os": "wasip1", "config": {"Labels": labels},
        "rootfs": {"type": "layers", "diff_ids": [digest(&tar)]},
    }))?;
    let named = Named {
        config: Some(Descriptor::of(CONFIG, &config)),
        layers: vec![Descriptor::of(LAYER, &layer)],
        annotations: labels.clone(),
        ..Named::default()
    };
    Ok(Layout::of(named.manifest(IMAGE)?, [config, layer]))
}

/// The same bytes for the same bytes, as small as they get.
///
/// # Errors
/// Never in practice: it is written to memory.
pub fn gzip(bytes: &[u8]) -> anyhow::Result<Vec<u8>> {
    let mut gzip = flate2::GzBuilder::new()
        .mtime(0)
        .write(Vec::new(), flate2::Compression::best());
    gzip.write_all(bytes)?;
    Ok(gzip.finish()?)
}

/// Refuses what Envoy would refuse: a proxy that starts with such a module answers 500 to
/// everything, whatever its failStrategy (measured on Istio 1.31).
fn check(module: &[u8]) -> anyhow::Result<()> {
    if !module.starts_with(MAGIC) {
        bail!(
            "not a WebAssembly module (it does not begin with \\0asm); accepted: what `make wasm` writes"
        );
    }
    wasmparser::validate(module)
        .context("not a valid WebAssembly module; accepted: what `make wasm` writes")?;
    let mut exports = Vec::new();
    for payload in wasmparser::Parser::new(0).parse_all(module) {
        if let wasmparser::Payload::ExportSection(section) = payload? {
            for export in section {
                exports.push(export?.name);
            }
        }
    }
    let needed = [
        ("memory", exports.contains(&"memory")),
        (
            "proxy_abi_version_*",
            exports.iter().any(|name| name.starts_with(ABI)),
        ),
        (
            "proxy_on_memory_allocate",
            exports.iter().any(|name| ALLOCATORS.contains(name)),
        ),
    ];
    if let Some((missing, _)) = needed.iter().find(|(_, is_there)| !is_there) {
        bail!("a WebAssembly module, but not one for Envoy: it exports no {missing}");
    }
    Ok(())
}

/// A tar of one file that everyone may read.
///
/// # Errors
/// When the name is too long for a tar: 100 bytes.
pub(super) fn tar(name: &str, content: &[u8]) -> anyhow::Result<Vec<u8>> {
    let mut header = tar::Header::new_ustar();
    header.set_path(name)?;
    header.set_size(content.len() as u64);
    header.set_mode(0o644);
    header.set_mtime(0);
    header.set_uid(0);
    header.set_gid(0);
    header.set_cksum();
    let mut archive = tar::Builder::new(Vec::new());
    archive.append(&header, content)?;
    archive.into_inner().context("the layer cannot be written")
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A module that Envoy runs and that does nothing.
    fn idle() -> Vec<u8> {
        let mut exports = vec![3];
        for (name, kind, index) in [
            ("memory", 2, 0),
            ("proxy_abi_version_0_2_1", 0, 0),
            ("proxy_on_memory_allocate", 0, 1),
        ] {
            exports.push(name.len() as u8);
            exports.extend(name.as_bytes());
            exports.extend([kind, index]);
        }
        let mut module = b"\0asm\x01\0\0\0".to_vec();
        module.extend([1, 9, 2, 0x60, 0, 0, 0x60, 1, 0x7f, 1, 0x7f]); // () -> (), (i32) -> i32
        module.extend([3, 3, 2, 0, 1, 5, 3, 1, 0, 1, 7, exports.len() as u8]);
        module.extend(exports);
        module.extend([10, 9, 2, 2, 0, 0x0b, 4, 0, 0x41, 0, 0x0b]);
        module
    }

    #[test]
    fn the_same_module_gives_the_same_digest() {
        let module = &idle();
        let labels = BTreeMap::from([(
            "org.opencontainers.image.version".to_owned(),
            "1".to_owned(),
        )]);
        let image = super::image(module, &labels).unwrap();
        assert_eq!(image, super::image(module, &labels).unwrap());
        assert_ne!(image, super::image(module, &BTreeMap::new()).unwrap());
        let layer = &image.image.named().unwrap().layers[0].digest;
        let layer = image.blobs[layer].as_slice();
        let mut unpacked = tar::Archive::new(flate2::read::GzDecoder::new(layer));
        let mut entry = unpacked.entries().unwrap().next().unwrap().unwrap();
        let mut content = Vec::new();
        std::io::Read::read_to_end(&mut entry, &mut content).unwrap();
        assert_eq!(
            (entry.path().unwrap().to_str(), content.as_slice()),
            (Some(FILE), module.as_slice())
        );
    }

    #[test]
    fn what_no_envoy_would_load_is_refused() {
        let refused = |bytes: &[u8]| image(bytes, &BTreeMap::new()).unwrap_err().to_string();
        assert_eq!(
            refused(b"#!/bin/sh"),
            "not a WebAssembly module (it does not begin with \\0asm); accepted: what `make wasm` writes"
        );
        let no_envoy = "a WebAssembly module, but not one for Envoy: it exports no memory";
        assert_eq!(refused(b"\0asm\x01\0\0\0"), no_envoy);
        assert_eq!(
            refused(&idle()[..40]),
            "not a valid WebAssembly module; accepted: what `make wasm` writes"
        );
    }
}
