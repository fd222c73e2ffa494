//! Images in a real registry: signed, verified, and refused where a byte is not as it was signed.

use std::path::{Path, PathBuf};

use pack_image::program::Program;
use pack_image::{bill, program, referrer};
use serde_json::{Value, json};
use sluice::operations::oci::layout::Layout;
use sluice::operations::oci::manifest::Manifest;
use sluice::operations::oci::name;
use sluice::operations::oci::registry::{Access, Registry, Transport};
use sluice::operations::oci::signature;
use sluice::operations::push::labels;
use sluice_e2e_istio::registry::ADDRESS;

use crate::world::World;

#[path = "../../../../control/src/operations/libraries/fixture.rs"]
mod fixture;

/// Writes a new key, NAME.key and NAME.pub.
fn key(folder: &Path, name: &str) {
    let pair = rcgen::KeyPair::generate().unwrap();
    std::fs::write(folder.join(format!("{name}.key")), pair.serialize_pem()).unwrap();
    std::fs::write(folder.join(format!("{name}.pub")), pair.public_key_pem()).unwrap();
}

/// What `sluice push` said, as JSON.
async fn pushed(world: &World, arguments: &str) -> Value {
    let said = world.sluice(&format!("push {arguments} -o json")).await;
    serde_json::from_str(&said.good().out).unwrap()
}

/// A repository of the registry.
async fn repository(of: &str) -> Registry {
    sluice::tls::set_up();
    let reference = name::any(&format!("oci://{ADDRESS}/{of}:1")).unwrap();
    let opened = Registry::open(&reference, Transport::Secure, Access::Push).await;
    opened.unwrap()
}

/// Where the registry keeps the bytes of a digest.
fn stored(world: &World, digest: &str) -> PathBuf {
    let hex = digest.strip_prefix("sha256:").unwrap();
    let blobs = "registry-5000/docker/registry/v2/blobs/sha256";
    let blobs = world.chain.folder().join(blobs);
    blobs.join(&hex[..2]).join(hex).join("data")
}

/// Verifies while the registry has other bytes of a digest; what was said, with the exit code.
async fn verified_with(
    world: &World,
    verify: &str,
    digest: &str,
    change: impl FnOnce(&mut Vec<u8>),
) -> (i32, String) {
    let path = stored(world, digest);
    let good = std::fs::read(&path).unwrap();
    let mut bad = good.clone();
    change(&mut bad);
    assert_ne!(good, bad);
    std::fs::write(&path, bad).unwrap();
    let said = world.sluice(verify).await;
    std::fs::write(&path, good).unwrap();
    (said.code, said.out + &said.err)
}

/// Gives a manifest's label another title; it is still a manifest.
fn retitle(bytes: &mut Vec<u8>) {
    let text = String::from_utf8(std::mem::take(bytes)).unwrap();
    let other = text.replace(r#"title":"sluice"#, r#"title":"sluicE"#);
    *bytes = other.into_bytes();
}

pub async fn what_a_key_signed_is_verified_and_anything_else_refused(world: &mut World) {
    let folder = world.chain.folder().join("keys");
    std::fs::create_dir_all(&folder).unwrap();
    key(&folder, "ours");
    key(&folder, "theirs");
    let keys = folder.display();
    let module = world.chain.tools.module.display();
    let image = format!("oci://{ADDRESS}/signed:1");
    let ours = format!("verify {image} --key {keys}/ours.pub");
    let theirs = format!("verify {image} --key {keys}/theirs.pub");

    let unsigned = pushed(world, &format!("{module} {image}")).await;
    let digest = unsigned["digest"].as_str().unwrap().to_owned();
    let refused = world.sluice(&ours).await.ended_with(1).out;
    assert!(refused.contains("REFUSED\nsha256:"), "{refused}");
    assert!(
        refused.contains("no signature: the registry has no tag"),
        "{refused}"
    );

    let sign = |who: &str| format!("{module} {image} --sign {keys}/{who}.key");
    let signed = pushed(world, &sign("ours")).await;
    assert_eq!(signed["digest"], digest.as_str());
    assert_eq!(signed["signed"]["signatures"], 1);
    world.sluice(&ours).await.good();
    let refused = world.sluice(&theirs).await.ended_with(1).out;
    assert!(
        refused.contains("signature 1 of 1 is not by this key"),
        "{refused}"
    );

    // Another one's signature is one more; the same again is none.
    assert_eq!(
        pushed(world, &sign("theirs")).await["signed"]["signatures"],
        2
    );
    let again = pushed(world, &sign("ours")).await;
    assert_eq!(
        again["signed"],
        json!({
            "tag": signature::tag(&digest), "signatures": 2, "wasSigned": true,
        })
    );
    world.sluice(&theirs).await.good();
    let by_digest = format!("verify oci://{ADDRESS}/signed@{digest} --key {keys}/ours.pub");
    let verdict = world
        .sluice(&format!("{by_digest} -o json"))
        .await
        .good()
        .out;
    let verdict: Value = serde_json::from_str(&verdict).unwrap();
    assert_eq!(
        (&verdict["signatures"], &verdict["blobs"]),
        (&json!(1), &json!(3))
    );
    assert_eq!(verdict["refused"], json!([]));

    // The same signatures say nothing of another image.
    let other = format!("oci://{ADDRESS}/signed:2");
    let labelled = format!("{module} {other} --image-version another");
    let other_digest = pushed(world, &labelled).await["digest"]
        .as_str()
        .unwrap()
        .to_owned();
    let repository = repository("signed").await;
    let signatures = repository
        .manifest(&signature::tag(&digest))
        .await
        .unwrap()
        .unwrap();
    let tag = signature::tag(&other_digest);
    repository.push_manifest(&tag, &signatures).await.unwrap();
    let verify_other = format!("verify {other} --key {keys}/ours.pub");
    let refused = world.sluice(&verify_other).await.ended_with(1).out;
    let expected = format!("signature 1 of 2 is by this key, but of {digest}");
    assert!(refused.contains(&expected), "{refused}");

    changed_bytes_are_refused(world, &ours, &by_digest, &digest).await;
    garbage_is_refused(world, &repository, &ours, &digest).await;
}

/// Each thing that the registry keeps, with one byte changed on its disk.
async fn changed_bytes_are_refused(world: &World, by_tag: &str, by_digest: &str, digest: &str) {
    let image = repository("signed")
        .await
        .manifest(digest)
        .await
        .unwrap()
        .unwrap();
    let named = image.named().unwrap();
    for blob in named.blobs() {
        let flip = |bytes: &mut Vec<u8>| *bytes.last_mut().unwrap() ^= 1;
        let (code, said) = verified_with(world, by_tag, &blob.digest, flip).await;
        let expected = format!(
            "{}: it was changed: {} bytes with the",
            blob.digest, blob.size
        );
        assert!(code == 1 && said.contains(&expected), "{said}");
        let longer = |bytes: &mut Vec<u8>| bytes.push(0);
        let (code, said) = verified_with(world, by_tag, &blob.digest, longer).await;
        let expected = format!("{}: it was changed: it has more than", blob.digest);
        assert!(code == 1 && said.contains(&expected), "{said}");
    }
    let (code, said) = verified_with(world, by_tag, digest, retitle).await;
    assert!(
        code == 1 && said.contains("no signature: the registry has no tag"),
        "{said}"
    );
    let (code, said) = verified_with(world, by_digest, digest, retitle).await;
    let expected = format!("asked for {digest}, the registry gave a manifest whose digest is");
    assert!(code == 1 && said.contains(&expected), "{said}");
    world.sluice(by_tag).await.good();
}

/// What is no signature where signatures should be, and what is no key.
async fn garbage_is_refused(world: &World, repository: &Registry, verify: &str, digest: &str) {
    let tag = signature::tag(digest);
    let good = repository.manifest(&tag).await.unwrap().unwrap();
    let payload = good.named().unwrap().layers[0].digest.clone();
    let flip = |bytes: &mut Vec<u8>| bytes[20] ^= 1;
    let (code, said) = verified_with(world, verify, &payload, flip).await;
    let expected = "signature 1 of 2 has a payload whose bytes were changed";
    assert!(code == 1 && said.contains(expected), "{said}");
    let rewritten = |change: &dyn Fn(&mut Value)| {
        let mut value: Value = serde_json::from_slice(&good.bytes).unwrap();
        value["layers"].as_array_mut().unwrap().truncate(1);
        change(&mut value["layers"][0]);
        Manifest {
            bytes: value.to_string().into_bytes(),
            ..good.clone()
        }
    };
    let annotation = "dev.cosignproject.cosign/signature";
    type Change = Box<dyn Fn(&mut Value)>;
    let cases: [(Change, &str); 3] = [
        (
            Box::new(|one| one["annotations"] = json!({})),
            "has no signature in dev.cosign",
        ),
        (
            Box::new(move |one| one["annotations"][annotation] = json!("?")),
            "is no base64",
        ),
        (
            Box::new(move |one| one["annotations"][annotation] = json!("AAAA")),
            "is not by this key",
        ),
    ];
    for (change, expected) in cases {
        repository
            .push_manifest(&tag, &rewritten(&change))
            .await
            .unwrap();
        let said = world.sluice(verify).await.ended_with(1).out;
        assert!(said.contains(expected), "{said}");
    }
    repository.push_manifest(&tag, &good).await.unwrap();
    world.sluice(verify).await.good();
    let no_key = verify.replace("ours.pub", "ours.key");
    let said = world.sluice(&no_key).await.ended_with(2).err;
    assert!(
        said.contains("is not a public key; accepted: an ECDSA key on P-256"),
        "{said}"
    );
}

/// A packed program for two processors, with a bill of materials.
fn packed(labels_of: &str) -> Layout {
    let program = |architecture: &str| Program {
        architecture: architecture.to_owned(),
        binary: format!("a program for {architecture}").into_bytes(),
    };
    let programs = [program("amd64"), program("arm64")];
    let mut layout = program::image(&programs, &labels(labels_of, None)).unwrap();
    let document = json!({"bomFormat": "CycloneDX"});
    referrer::refer(&mut layout, bill::TYPE, "bill of materials", &document).unwrap();
    layout
}

pub async fn an_image_brings_what_refers_to_it_also_where_nobody_lists_it(world: &mut World) {
    let folder = world.chain.folder().join("packed");
    key(world.chain.folder(), "packer");
    let keys = world.chain.folder().display();
    let layout = packed("1");
    layout.write(&folder).unwrap();
    let image = format!("oci://{ADDRESS}/packed:1");
    let push = format!("{} {image} --sign {keys}/packer.key", folder.display());
    let said = pushed(world, &push).await;
    let (digest, bill) = (layout.image.digest(), layout.referrers[0].digest());
    assert_eq!(
        (&said["digest"], &said["referrers"]),
        (&json!(digest), &json!([bill]))
    );

    // Debian's registry has no such list of its own; oci-client, as others do, looks for the tag.
    let repository = repository("packed").await;
    assert!(!repository.lists_referrers(&digest).await.unwrap());
    let reference = name::any(&format!("oci://{ADDRESS}/packed@{digest}")).unwrap();
    let client = oci_client::Client::new(oci_client::client::ClientConfig {
        protocol: oci_client::client::ClientProtocol::Http,
        ..Default::default()
    });
    let listed = client
        .pull_referrers(&reference, Some(bill::TYPE))
        .await
        .unwrap();
    let digests: Vec<_> = listed
        .manifests
        .iter()
        .map(|one| one.digest.clone())
        .collect();
    assert_eq!(digests, [bill.as_str()]);
    // Once more adds nothing, and another's entry stays.
    let before = repository
        .manifest(&digest.replace(':', "-"))
        .await
        .unwrap();
    pushed(world, &push).await;
    let after = repository
        .manifest(&digest.replace(':', "-"))
        .await
        .unwrap();
    assert_eq!(before, after);

    // Both platforms are read, and the bill is signed, too.
    let verify = |name: &str| format!("verify {name} --key {keys}/packer.pub -o json");
    let verdict = world.sluice(&verify(&image)).await.good().out;
    let verdict: Value = serde_json::from_str(&verdict).unwrap();
    assert_eq!(
        verdict["blobs"], 7,
        "an index, two manifests, configs and layers"
    );
    let bill_of = format!("oci://{ADDRESS}/packed@{bill}");
    world.sluice(&verify(&bill_of)).await.good();
    for child in &layout.children {
        let digest = child.digest();
        let (code, said) = verified_with(world, &verify(&image), &digest, retitle).await;
        assert!(
            code == 1 && said.contains("it was changed: its digest is"),
            "{said}"
        );
    }

    // A folder that was tampered with is pushed by nobody.
    let layer = layout.children[0].named().unwrap().layers[0].digest.clone();
    let path = folder
        .join("blobs/sha256")
        .join(layer.trim_start_matches("sha256:"));
    std::fs::write(path, b"something else").unwrap();
    let said = world
        .sluice(&format!("push {push}"))
        .await
        .ended_with(2)
        .err;
    assert!(said.contains("14 bytes with the digest sha256:"), "{said}");
}

pub async fn native_libraries_are_signed_and_verified_as_the_module_is(world: &mut World) {
    let folder = world.chain.folder().join("native");
    std::fs::create_dir_all(&folder).unwrap();
    key(&folder, "ours");
    let libraries = [("x86_64", 62), ("aarch64", 183)].map(|(name, machine)| {
        let library = fixture::library(machine, "envoy_dynamic_module_on_program_init");
        let path = folder.join(format!("{name}.so"));
        std::fs::write(&path, &library).unwrap();
        (path.display().to_string(), library)
    });
    let (keys, module) = (folder.display(), world.chain.tools.module.display());
    let image = format!("oci://{ADDRESS}/both:1");
    let native: Vec<String> = libraries
        .iter()
        .map(|(path, _)| format!("--native {path}"))
        .collect();
    let native = native.join(" ");
    let sign = format!("{native} --image-version 7 --sign {keys}/ours.key");
    let said = pushed(world, &format!("{module} {image} {sign}")).await;
    let beside = &said["native"];
    assert_eq!(beside["image"], format!("{image}-native"));
    assert_eq!(beside["file"], "libsluice-7.so");
    assert_eq!(beside["platforms"], json!(["linux/amd64", "linux/arm64"]));
    assert_eq!(
        (
            &said["signed"]["signatures"],
            &beside["signed"]["signatures"]
        ),
        (&json!(1), &json!(1))
    );

    // The module's image is what it is without libraries.
    let alone = format!("{module} oci://{ADDRESS}/both:2 --image-version 7");
    assert_eq!(pushed(world, &alone).await["digest"], said["digest"]);

    let verify = format!("verify {image}-native --key {keys}/ours.pub");
    let verdict = world.sluice(&verify).await.good().out;
    let facts = "title sluice-native; version 7; for linux/amd64, linux/arm64; signed as";
    assert!(verdict.contains(facts), "{verdict}");

    // What a node unpacks is the library of its own processor.
    let digest = beside["digest"].as_str().unwrap();
    let repository = repository("both").await;
    let index = repository.manifest(digest).await.unwrap().unwrap();
    for (child, (_, library)) in index.named().unwrap().children().iter().zip(&libraries) {
        let manifest = repository.manifest(&child.digest).await.unwrap().unwrap();
        let layer = manifest.named().unwrap().layers[0].digest.clone();
        let packed = std::fs::read(stored(world, &layer)).unwrap();
        let mut archive = tar::Archive::new(flate2::read::GzDecoder::new(packed.as_slice()));
        let mut entry = archive.entries().unwrap().next().unwrap().unwrap();
        assert_eq!(entry.path().unwrap().to_str(), Some("libsluice-7.so"));
        let mut unpacked = Vec::new();
        std::io::Read::read_to_end(&mut entry, &mut unpacked).unwrap();
        assert_eq!(&unpacked, library);

        let flip = |bytes: &mut Vec<u8>| *bytes.last_mut().unwrap() ^= 1;
        let (code, said) = verified_with(world, &verify, &layer, flip).await;
        let expected = format!("{layer}: it was changed");
        assert!(code == 1 && said.contains(&expected), "{said}");
    }
    world.sluice(&verify).await.good();
}
