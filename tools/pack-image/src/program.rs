//! The image of the program: one layer with a static binary and the authorities that TLS trusts.

use std::collections::BTreeMap;

use anyhow::Context as _;
use serde_json::json;
use sluice::operations::image::gzip;
use sluice::operations::oci::digest::digest;
use sluice::operations::oci::layout::Layout;
use sluice::operations::oci::manifest::{
    CONFIG, Descriptor, IMAGE, INDEX, LAYER, Manifest, Named, Platform,
};

/// As whom it runs: nobody in particular, by number, as Kubernetes' `runAsNonRoot` wants it; the
/// number that distroless images have.
pub const USER: &str = "65532:65532";

/// Where the program is.
pub const ENTRYPOINT: &str = "/sluice";

/// Where rustls' native certificates look, as Debian has it.
const AUTHORITIES: &str = "etc/ssl/certs/ca-certificates.crt";

/// A binary, and the processor it is for, in Go's words.
pub struct Program {
    /// `amd64`, `arm64`.
    pub architecture: String,
    /// An ELF file without an interpreter.
    pub binary: Vec<u8>,
}

/// The image of these programs: one manifest, or an index where there are several.
///
/// # Errors
/// Never in practice: it is written to memory.
pub fn image(programs: &[Program], labels: &BTreeMap<String, String>) -> anyhow::Result<Layout> {
    let mut all = Vec::new();
    let mut blobs = Vec::new();
    for program in programs {
        let tar = tar(&program.binary)?;
        let layer = gzip(&tar)?;
        let config = serde_json::to_vec(&json!({
            "architecture": program.architecture, "os": "linux",
            "config": {
                "User": USER, "Entrypoint": [ENTRYPOINT], "WorkingDir": "/", "Labels": labels,
            },
            "rootfs": {"type": "layers", "diff_ids": [digest(&tar)]},
        }))?;
        let named = Named {
            config: Some(Descriptor::of(CONFIG, &config)),
            layers: vec![Descriptor::of(LAYER, &layer)],
            annotations: labels.clone(),
            ..Named::default()
        };
        all.push((program, named.manifest(IMAGE)?));
        blobs.extend([config, layer]);
    }
    if all.len() == 1 {
        let (_, manifest) = all.remove(0);
        return Ok(Layout::of(manifest, blobs));
    }
    let described = |(program, manifest): &(&Program, Manifest)| Descriptor {
        platform: Some(Platform {
            architecture: program.architecture.clone(),
            os: "linux".to_owned(),
        }),
        ..manifest.descriptor()
    };
    let index = Named {
        manifests: Some(all.iter().map(described).collect()),
        annotations: labels.clone(),
        ..Named::default()
    };
    let mut layout = Layout::of(index.manifest(INDEX)?, blobs);
    layout.children = all.into_iter().map(|(_, manifest)| manifest).collect();
    Ok(layout)
}

fn tar(binary: &[u8]) -> anyhow::Result<Vec<u8>> {
    let mut archive = tar::Builder::new(Vec::new());
    for folder in ["etc/", "etc/ssl/", "etc/ssl/certs/"] {
        append(&mut archive, folder, tar::EntryType::Directory, 0o755, &[])?;
    }
    let authorities = authorities();
    let file = tar::EntryType::Regular;
    append(
        &mut archive,
        AUTHORITIES,
        file,
        0o644,
        authorities.as_bytes(),
    )?;
    append(&mut archive, "sluice", file, 0o755, binary)?;
    archive.into_inner().context("the layer cannot be written")
}

fn append(
    archive: &mut tar::Builder<Vec<u8>>,
    path: &str,
    kind: tar::EntryType,
    mode: u32,
    content: &[u8],
) -> anyhow::Result<()> {
    let mut header = tar::Header::new_ustar();
    header.set_path(path)?;
    header.set_entry_type(kind);
    header.set_size(content.len() as u64);
    header.set_mode(mode);
    header.set_mtime(0);
    header.set_uid(0);
    header.set_gid(0);
    header.set_cksum();
    Ok(archive.append(&header, content)?)
}

/// Mozilla's authorities, as PEM.
fn authorities() -> String {
    let all = webpki_root_certs::TLS_SERVER_ROOT_CERTS.iter();
    let pem = |certificate: &[u8]| pem::encode(&pem::Pem::new("CERTIFICATE", certificate));
    all.map(|certificate| pem(certificate.as_ref())).collect()
}
