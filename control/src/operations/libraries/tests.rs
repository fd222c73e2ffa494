//! The image of the native libraries: what is in it, and what is refused.

use std::io::Read as _;

use super::fixture::library;
use super::*;

fn module(machine: u16) -> Vec<u8> {
    library(machine, HOOK)
}

fn both() -> Vec<Library> {
    [183, 62]
        .map(|machine| Library::read(module(machine)).unwrap())
        .into()
}

fn labels(version: &str) -> BTreeMap<String, String> {
    crate::operations::push::labels(version, Some("https://example.com/source"))
}

#[test]
fn each_processor_finds_its_own_library_under_the_name_of_the_version() {
    let packed = Libraries::pack(both(), &labels("1.2"), "3").unwrap();
    assert_eq!(packed.file, "libsluice-1.2.so");
    assert_eq!(packed.platforms, ["linux/amd64", "linux/arm64"]);
    let index = packed.layout.image.named().unwrap();
    assert_eq!(
        index.annotations["org.opencontainers.image.title"],
        "sluice-native"
    );
    assert_eq!(
        index.annotations["org.opencontainers.image.source"],
        "https://example.com/source"
    );
    for (place, (architecture, machine)) in [("amd64", 62), ("arm64", 183)].into_iter().enumerate()
    {
        let platform = index.children()[place].platform.clone().unwrap();
        assert_eq!(
            (platform.os.as_str(), platform.architecture.as_str()),
            ("linux", architecture)
        );
        let child = packed.layout.children[place].named().unwrap();
        assert_eq!(
            index.children()[place].digest,
            packed.layout.children[place].digest()
        );
        let [layer] = child.layers.as_slice() else {
            unreachable!("one layer");
        };
        let layer = packed.layout.blobs[&layer.digest].as_slice();
        let mut unpacked = tar::Archive::new(flate2::read::GzDecoder::new(layer));
        let mut entries = unpacked.entries().unwrap();
        let mut entry = entries.next().unwrap().unwrap();
        let mut content = Vec::new();
        entry.read_to_end(&mut content).unwrap();
        assert_eq!(entry.path().unwrap().to_str(), Some("libsluice-1.2.so"));
        assert_eq!(content, module(machine));
        assert!(entries.next().is_none());
    }
}

#[test]
fn the_same_libraries_give_the_same_digest_in_whatever_order() {
    let mut turned = both();
    turned.reverse();
    let packed = Libraries::pack(both(), &labels("1"), "1").unwrap();
    assert_eq!(packed, Libraries::pack(turned, &labels("1"), "1").unwrap());
    let other = Libraries::pack(both(), &labels("2"), "1").unwrap();
    assert_ne!(packed.layout.image, other.layout.image);
}

#[test]
fn an_image_without_a_version_has_the_programs() {
    let packed = Libraries::pack(both(), &BTreeMap::new(), "0.1.0").unwrap();
    assert_eq!(packed.file, "libsluice-0.1.0.so");
}

#[test]
fn what_no_envoy_could_load_is_refused() {
    let refused = |bytes: Vec<u8>| Library::read(bytes).unwrap_err().to_string();
    let of_32_bits = b"\x7fELF\x01\x01\x01".to_vec();
    let mut turned = module(62);
    turned[5] = 2;
    let mut program = module(62);
    program[16] = 2;
    let accepted = "accepted: a shared library of 64 bits, as `make native` writes";
    let cases = [
        (refused(Vec::new()), format!("an empty file; {accepted}")),
        (
            refused(b"#!/bin/sh".to_vec()),
            format!("not an ELF file; {accepted}"),
        ),
        (
            refused(b"\0asm\x01\0\0\0".to_vec()),
            format!("a WebAssembly module, which is no native library; {accepted}"),
        ),
        (
            refused(of_32_bits),
            format!("an ELF file of 32 bits; {accepted}"),
        ),
        (
            refused(turned),
            format!("an ELF file with the other order of bytes; {accepted}"),
        ),
        (
            refused(module(62)[..40].to_vec()),
            format!("an ELF file that is cut or broken; {accepted}"),
        ),
        (
            refused(program),
            "an ELF file, but no shared library: Executable; accepted: what `make native` writes"
                .to_owned(),
        ),
        (
            refused(module(243)),
            "a library for the processor 243 of ELF; accepted: 62 (x86_64) and 183 (aarch64)"
                .to_owned(),
        ),
        (
            refused(library(62, "main")),
            format!("a shared library, but not one for Envoy: it exports no {HOOK}"),
        ),
    ];
    for (error, expected) in cases {
        assert_eq!(error, expected);
    }
}

#[test]
fn every_cut_of_a_library_is_refused_without_a_panic() {
    let whole = module(62);
    for length in 0..whole.len() {
        assert!(Library::read(whole[..length].to_vec()).is_err(), "{length}");
    }
}

#[test]
fn two_libraries_for_one_processor_are_refused() {
    let mut three = both();
    three.push(Library::read(module(62)).unwrap());
    let error = |libraries| {
        Libraries::pack(libraries, &labels("1"), "1")
            .unwrap_err()
            .to_string()
    };
    assert_eq!(
        error(three),
        "two libraries for linux/amd64; accepted: one for each processor"
    );
    assert_eq!(
        error(Vec::new()),
        "no library; accepted: one for each processor"
    );
}

#[test]
fn a_version_that_is_no_part_of_a_name_is_refused() {
    let packed = |version: &str| Libraries::pack(both(), &labels(version), "1");
    let longest = "1".repeat(MAX_FILE_VERSION_BYTES);
    assert_eq!(
        packed(&longest).unwrap().file,
        format!("libsluice-{longest}.so")
    );
    for version in ["", "../1", "1 2", "ü", &format!("{longest}1")] {
        let error = packed(version).unwrap_err().to_string();
        let expected = format!("the version {version:?} cannot be part of a file's name; accepted");
        assert!(error.starts_with(&expected), "{error}");
    }
}

#[test]
fn the_libraries_have_the_modules_name_with_another_tag() {
    assert_eq!(
        beside("oci://127.0.0.1:5000/team/sluice:1.0").unwrap(),
        "oci://127.0.0.1:5000/team/sluice:1.0-native"
    );
    assert!(beside("oci://127.0.0.1:5000/sluice").is_err());
}
