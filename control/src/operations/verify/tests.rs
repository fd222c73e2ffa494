//! What is called good, and what a registry may put in its place.

use serde_json::json;

use super::super::oci::digest::digest;
use super::super::oci::key::PrivateKey;
use super::super::oci::key::tests::generated;
use super::super::oci::manifest::{CONFIG, IMAGE, INDEX, LAYER};
use super::super::oci::registry::fake::Fake;
use super::super::oci::signature::{MAX_SIGNED_BYTES, Signature};
use super::super::sign::sign;
use super::*;

const OF_LINUX: &[u8] = br#"{"os":"linux","architecture":"amd64"}"#;

/// An image whose layer and config the registry has.
fn image(fake: &Fake, layer: &[u8]) -> Named {
    fake.put_blob(OF_LINUX);
    fake.put_blob(layer);
    let label = |name: &str| format!("org.opencontainers.image.{name}");
    Named {
        config: Some(Descriptor::of(CONFIG, OF_LINUX)),
        layers: vec![Descriptor::of(LAYER, layer)],
        annotations: [
            (label("title"), "a title".to_owned()),
            (label("version"), "1.2.3".to_owned()),
        ]
        .into(),
        ..Named::default()
    }
}

/// An index of what the registry has besides.
fn index(fake: &Fake, children: &[Manifest]) -> Manifest {
    for child in children {
        fake.put(&child.digest(), child);
    }
    let named = Named {
        manifests: Some(children.iter().map(Manifest::descriptor).collect()),
        ..Named::default()
    };
    named.manifest(INDEX).unwrap()
}

/// Puts it at the tag `1`, signed.
async fn signed(fake: &Fake, manifest: &Manifest) -> PrivateKey {
    let key = generated();
    fake.put("1", manifest);
    let digest = manifest.digest();
    sign(&fake.open().await, &digest, &key).await.unwrap();
    key
}

async fn verdict(image: &str, key: &PrivateKey) -> Verdict {
    verify(image, &key.public(), Transport::Secure)
        .await
        .unwrap()
}

#[tokio::test]
async fn what_was_signed_is_said_and_what_to_pin() {
    let fake = Fake::start();
    let one = image(&fake, b"a layer").manifest(IMAGE).unwrap();
    let manifest = index(&fake, std::slice::from_ref(&one));
    let key = signed(&fake, &manifest).await;
    let found = verdict(&fake.image("1"), &key).await;
    let digest = manifest.digest();
    let pin = fake.image(&format!("@{digest}"));
    let by_tag = Verdict {
        image: fake.image("1"),
        digest,
        signatures: 1,
        signed_as: [fake.open().await.repository()].into(),
        platforms: ["linux/amd64".to_owned()].into(),
        blobs: 4,
        bytes: (manifest.bytes.len() + one.bytes.len() + OF_LINUX.len() + 7) as u64,
        pin: Some(pin.clone()),
        ..Verdict::default()
    };
    assert_eq!(found, by_tag);
    let by_digest = Verdict {
        image: pin.clone(),
        pin: None,
        ..by_tag
    };
    assert_eq!(verdict(&pin, &key).await, by_digest);

    let key = signed(&fake, &one).await;
    let found = verdict(&fake.image("1"), &key).await;
    assert_eq!(
        (found.title.as_deref(), found.version.as_deref()),
        (Some("a title"), Some("1.2.3"))
    );
}

#[tokio::test]
async fn what_is_no_image_is_good_by_its_digest_only() {
    let fake = Fake::start();
    let plain = image(&fake, b"{}");
    let subject = Some(Descriptor::of(IMAGE, b"an image"));
    let kind = Some("application/vnd.cyclonedx+json".to_owned());
    let empty = Descriptor::of("application/vnd.oci.empty.v1+json", OF_LINUX);
    let refers = format!("refers to {}", digest(b"an image"));
    let cases = [
        (
            Named {
                subject: subject.clone(),
                artifact_type: kind.clone(),
                ..plain.clone()
            },
            format!("application/vnd.cyclonedx+json that {refers}"),
        ),
        (
            Named {
                subject,
                ..plain.clone()
            },
            format!("something that {refers}"),
        ),
        (
            Named {
                artifact_type: kind,
                ..plain.clone()
            },
            "application/vnd.cyclonedx+json".to_owned(),
        ),
        (
            Named {
                config: Some(empty),
                ..plain
            },
            "application/vnd.oci.empty.v1+json".to_owned(),
        ),
    ];
    for (named, what) in cases {
        let manifest = named.manifest(IMAGE).unwrap();
        let key = signed(&fake, &manifest).await;
        let by_tag = verdict(&fake.image("1"), &key).await;
        let refused = format!(
            "signed, but no image: {what}; accepted by a tag: images, and by its digest anything"
        );
        assert_eq!((by_tag.refused, by_tag.blobs), (vec![refused], 0));
        let by_digest = fake.image(&format!("@{}", manifest.digest()));
        let by_digest = verdict(&by_digest, &key).await;
        assert_eq!((by_digest.refused, by_digest.blobs), (vec![], 3));
    }
}

#[tokio::test]
async fn an_index_names_images_of_its_size_and_no_index() {
    let fake = Fake::start();
    let layer = b"a layer";
    let one = image(&fake, layer).manifest(IMAGE).unwrap();
    let inner = index(&fake, std::slice::from_ref(&one));
    let outer = index(&fake, &[inner.clone(), one.clone()]);
    let key = signed(&fake, &outer).await;
    let found = verdict(&fake.image("1"), &key).await;
    let refused = format!(
        "{}: an index within an index, which was not read; accepted: images",
        inner.digest()
    );
    assert_eq!((found.refused, found.blobs), (vec![refused], 4));

    let mut longer: Named = inner.named().unwrap();
    let size = one.bytes.len();
    longer.manifests.as_mut().unwrap()[0].size = size as u64 + 1;
    let key = signed(&fake, &longer.manifest(INDEX).unwrap()).await;
    let found = verdict(&fake.image("1"), &key).await;
    let (digest, said) = (one.digest(), size + 1);
    let refused = format!("{digest}: it was changed: {size} bytes, and the index says {said}");
    assert_eq!((found.refused, found.blobs), (vec![refused], 1));
}

#[tokio::test]
async fn a_good_signature_counts_whatever_is_beside_it() {
    let fake = Fake::start();
    let manifest = image(&fake, b"a layer").manifest(IMAGE).unwrap();
    let key = signed(&fake, &manifest).await;
    let tag = signature::tag(&manifest.digest());
    let good = fake.kept().manifests[&tag].clone();
    let with = |before: usize, after: usize| {
        let mut value: serde_json::Value = serde_json::from_slice(&good.bytes).unwrap();
        let layers = value["layers"].as_array_mut().unwrap();
        let mut long = layers[0].clone();
        long["size"] = json!(MAX_SIGNED_BYTES + 1);
        let good = layers.pop().unwrap();
        layers.extend(vec![long.clone(); before]);
        layers.push(good);
        layers.extend(vec![long; after]);
        let bytes = value.to_string().into_bytes();
        let media_type = IMAGE.to_owned();
        fake.kept()
            .manifests
            .insert(tag.clone(), Manifest { media_type, bytes });
    };
    for (before, after) in [(1, 0), (63, 0), (0, 300)] {
        with(before, after);
        let found = verdict(&fake.image("1"), &key).await;
        assert_eq!((found.signatures, found.refused), (1, vec![]));
        let signed = sign(&fake.open().await, &manifest.digest(), &key).await;
        assert!(signed.unwrap().was_signed);
    }
    with(64, 0);
    let refused = verdict(&fake.image("1"), &key).await.refused;
    assert_eq!(
        (refused[0].as_str(), refused[64].as_str()),
        (
            "signature 1 of 65 has a payload of 65537 bytes; accepted: at most 65536",
            "only the first 64 of 65 signatures were looked at"
        )
    );
    let error = sign(&fake.open().await, &manifest.digest(), &key).await;
    assert_eq!(
        error.unwrap_err().to_string(),
        "the image has 65 signatures already; accepted: at most 64"
    );
}

#[tokio::test]
async fn a_registry_that_does_not_answer_ends_it() {
    let fake = Fake::start();
    let manifest = image(&fake, b"a layer").manifest(IMAGE).unwrap();
    let key = signed(&fake, &manifest).await;
    let image = fake.image("1");
    let payload = Signature::of(&fake.open().await.repository(), &manifest.digest(), &key);
    let payload = digest(&payload.unwrap().payload);
    for silent in [payload, digest(b"a layer")] {
        fake.kept().silent = [silent].into();
        let patience = Duration::from_secs(1);
        let error = within(patience, &image, &key.public(), Transport::Secure).await;
        let error = error.unwrap_err().to_string();
        assert_eq!(error, format!("{image}: not read within 1 seconds"));
    }
}
