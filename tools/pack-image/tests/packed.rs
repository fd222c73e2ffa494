//! What is packed: the same bytes each time, for nobody in particular, with what refers to it.

#![allow(
    clippy::unwrap_used,
    reason = "a test fails loudly, in its helpers too"
)]

use std::io::Read as _;

use pack_image::packages::Packages;
use pack_image::program::{Program, image};
use pack_image::provenance::{self, Sources};
use pack_image::{bill, referrer};
use serde_json::{Value, json};
use sluice::operations::oci::layout::Layout;
use sluice::operations::oci::manifest::{INDEX, Manifest};
use sluice::operations::push::labels;

fn packed(architectures: &[&str]) -> Layout {
    let programs = architectures.iter().map(|architecture| Program {
        architecture: (*architecture).to_owned(),
        binary: b"\x7fELF".to_vec(),
    });
    let programs: Vec<_> = programs.collect();
    image(
        &programs,
        &labels("1.2.3", Some("https://example.com/sluice")),
    )
    .unwrap()
}

/// The blob that a manifest has as its config, and the one that it has as its layer.
fn blobs<'a>(layout: &'a Layout, manifest: &Manifest) -> (Value, &'a [u8]) {
    let named = manifest.named().unwrap();
    let config = &layout.blobs[&named.config.unwrap().digest];
    let config = serde_json::from_slice(config).unwrap();
    (config, &layout.blobs[&named.layers[0].digest])
}

#[test]
fn the_program_is_for_nobody_in_particular() {
    let layout = packed(&["amd64"]);
    assert_eq!(layout, packed(&["amd64"]));
    let (config, layer) = blobs(&layout, &layout.image);
    assert_eq!(
        config["config"],
        json!({
            "User": "65532:65532", "Entrypoint": ["/sluice"], "WorkingDir": "/",
            "Labels": {
                "org.opencontainers.image.title": "sluice",
                "org.opencontainers.image.licenses": "Apache-2.0",
                "org.opencontainers.image.version": "1.2.3",
                "org.opencontainers.image.source": "https://example.com/sluice",
            },
        })
    );
    assert_eq!(
        (&config["architecture"], &config["os"]),
        (&json!("amd64"), &json!("linux"))
    );
    let mut found = Vec::new();
    let mut archive = tar::Archive::new(flate2::read::GzDecoder::new(layer));
    for entry in archive.entries().unwrap() {
        let mut entry = entry.unwrap();
        let mut content = Vec::new();
        entry.read_to_end(&mut content).unwrap();
        let header = entry.header();
        let owner = (
            header.uid().unwrap(),
            header.gid().unwrap(),
            header.mtime().unwrap(),
        );
        assert_eq!(owner, (0, 0, 0));
        let path = entry.path().unwrap().display().to_string();
        found.push((path, header.mode().unwrap(), content));
    }
    let expected = [
        ("etc/", 0o755),
        ("etc/ssl/", 0o755),
        ("etc/ssl/certs/", 0o755),
        ("etc/ssl/certs/ca-certificates.crt", 0o644),
        ("sluice", 0o755),
    ];
    let modes: Vec<_> = found
        .iter()
        .map(|(path, mode, _)| (path.as_str(), *mode))
        .collect();
    assert_eq!(modes, expected);
    assert_eq!(found[4].2, b"\x7fELF");
    let authorities = pem_count(&found[3].2);
    assert!(authorities > 100, "{authorities}");
}

fn pem_count(text: &[u8]) -> usize {
    let text = std::str::from_utf8(text).unwrap();
    text.matches("-----BEGIN CERTIFICATE-----").count()
}

#[test]
fn two_processors_make_an_index() {
    let layout = packed(&["amd64", "arm64"]);
    assert_eq!(layout.image.media_type, INDEX);
    let named = layout.image.named().unwrap();
    let platforms = named
        .children()
        .iter()
        .map(|one| one.platform.clone().unwrap());
    let platforms: Vec<_> = platforms
        .map(|one| one.os + "/" + &one.architecture)
        .collect();
    assert_eq!(platforms, ["linux/amd64", "linux/arm64"]);
    for (child, architecture) in layout.children.iter().zip(["amd64", "arm64"]) {
        assert_eq!(blobs(&layout, child).0["architecture"], architecture);
    }
}

#[test]
fn a_bill_names_what_is_linked_and_a_provenance_where_it_is_from() {
    let tree = "0|sluice v1.2.3 (/somewhere)|Apache-2.0\n1|ring v0.17.14|Apache-2.0 AND ISC\n";
    let lock = "[[package]]\nname = \"sluice\"\nversion = \"1.2.3\"\n\n[[package]]\nname = \"ring\"\n\
                version = \"0.17.14\"\nchecksum = \"ab\"\n";
    let mut layout = packed(&["amd64"]);
    let digest = layout.image.digest();
    let packages = Packages::read(tree, lock).unwrap();
    let others = [("ca-certificates-mozilla", "1", "CDLA-Permissive-2.0")];
    let bill = bill::bill(&packages, &digest, "1.95.0", &others);
    assert_eq!(
        bill["components"][0],
        json!({
            "type": "library", "bom-ref": "pkg:cargo/ring@0.17.14", "name": "ring",
            "version": "0.17.14",
            "purl": "pkg:cargo/ring@0.17.14", "licenses": [{"expression": "Apache-2.0 AND ISC"}],
            "hashes": [{"alg": "SHA-256", "content": "ab"}],
        })
    );
    let needed: Vec<_> = bill["dependencies"]
        .as_array()
        .unwrap()
        .iter()
        .map(|one| (one["ref"].as_str().unwrap(), one["dependsOn"].clone()))
        .collect();
    let expected = [
        (
            digest.as_str(),
            json!([
                "pkg:cargo/sluice@1.2.3",
                "pkg:generic/rust-std@1.95.0",
                "pkg:generic/ca-certificates-mozilla@1"
            ]),
        ),
        ("pkg:cargo/ring@0.17.14", json!([])),
        ("pkg:cargo/sluice@1.2.3", json!(["pkg:cargo/ring@0.17.14"])),
        ("pkg:generic/rust-std@1.95.0", json!([])),
        ("pkg:generic/ca-certificates-mozilla@1", json!([])),
    ];
    assert_eq!(needed, expected);
    let sources = Sources {
        source: None,
        revision: Some("0123"),
        lock: "sha256:45",
        rustc: "rustc 1.95.0",
        tools: &[("ziglang".to_owned(), "0.16.0".to_owned(), "67".to_owned())],
    };
    let statement = provenance::statement("sluice", &digest, &sources);
    assert_eq!(
        statement["predicate"]["buildDefinition"]["resolvedDependencies"],
        json!([
            {"uri": "git+https://sluice.dev/source@0123", "digest": {"gitCommit": "0123"}},
            {"name": "Cargo.lock", "digest": {"sha256": "45"}},
            {"uri": "pkg:pypi/ziglang@0.16.0", "digest": {"sha256": "67"}},
        ])
    );
    referrer::refer(&mut layout, bill::TYPE, "bill of materials", &bill).unwrap();
    let named = layout.referrers[0].named().unwrap();
    assert_eq!(named.subject, Some(layout.image.descriptor()));
    assert_eq!(
        named.artifact_type.as_deref(),
        Some("application/vnd.cyclonedx+json")
    );
    let document: Value = serde_json::from_slice(&layout.blobs[&named.layers[0].digest]).unwrap();
    assert_eq!(document, bill);
}
