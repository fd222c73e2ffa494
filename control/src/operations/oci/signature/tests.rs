//! Signatures that are good, and each way in which one says nothing of an image.

use super::super::digest::digest;
use super::super::key::tests::generated;
use super::*;

#[test]
fn a_signature_is_of_one_image_by_one_key() {
    let (key, other) = (generated(), generated());
    let image = digest(b"an image");
    let signature = Signature::of("r.example.com/sluice", &image, &key).unwrap();
    assert_eq!(signature.check(&image, &key.public()), Ok(()));
    let another = digest(b"another");
    let flaw = Flaw::AnotherImage {
        digest: image.clone(),
    };
    assert_eq!(signature.check(&another, &key.public()), Err(flaw));
    assert_eq!(
        signature.check(&image, &other.public()),
        Err(Flaw::AnotherKey)
    );
    for at in 0..signature.payload.len() {
        let mut changed = signature.clone();
        changed.payload[at] ^= 1;
        assert_eq!(changed.check(&image, &key.public()), Err(Flaw::AnotherKey));
    }
    let garbage = Signature {
        signature: "?".to_owned(),
        ..signature
    };
    assert_eq!(garbage.check(&image, &key.public()), Err(Flaw::Unreadable));
}

#[test]
fn what_the_key_signed_that_is_no_image_counts_for_nothing() {
    let (key, image) = (generated(), digest(b"an image"));
    let good = Signature::of("r.example.com/sluice", &image, &key).unwrap();
    let good = String::from_utf8(good.payload).unwrap();
    let payloads = [
        "a letter".to_owned(),
        "{}".to_owned(),
        good.replace(TYPE, "atomic container signature"),
        good.replace(&image, "latest"),
    ];
    for payload in payloads {
        let payload = payload.into_bytes();
        let signature = STANDARD.encode(key.sign(&payload).unwrap());
        let signature = Signature { payload, signature };
        assert_eq!(signature.check(&image, &key.public()), Err(Flaw::NoImage));
    }
}

#[test]
fn the_payload_is_cosigns_byte_by_byte() {
    // The example of sigstore's pkg/signature/payload/payload_test.go.
    let digest = "sha256:d34db33fd34db33fd34db33fd34db33fd34db33fd34db33fd34db33fd34db33f";
    let signature = Signature::of("example.com/test/image", digest, &generated()).unwrap();
    let expected = [
        r#"{"critical":{"identity":{"docker-reference":"example.com/test/image"},"#,
        r#""image":{"docker-manifest-digest":"DIGEST"},"#,
        r#""type":"cosign container image signature"},"optional":null}"#,
    ];
    let expected = expected.concat().replace("DIGEST", digest);
    assert_eq!(String::from_utf8(signature.payload).unwrap(), expected);
    let tag = tag(digest);
    assert!(
        tag.starts_with("sha256-d34db33f") && tag.ends_with("d34db33f.sig"),
        "{tag}"
    );
}

#[test]
fn what_cosign_signed_is_read() {
    // What `cosign sign --tlog-upload=false -a who=ci` of cosign 2.6.5 left in a registry.
    let manifest = Manifest {
        media_type: IMAGE.to_owned(),
        bytes: include_bytes!("tests/cosign.json").to_vec(),
    };
    let layers = layers(&manifest).unwrap();
    let signature = Signature {
        payload: include_bytes!("tests/cosign-payload.json").to_vec(),
        signature: carried(&layers[0]).unwrap().to_owned(),
    };
    assert_eq!(layers, [signature.layer()]);
    let image = "sha256:d5559d8f68f069e28fdaeba9f31550956decb28ad804d83b83172a91ad22959f";
    let key = PublicKey::read(include_bytes!("../key/tests/cosign.pub")).unwrap();
    assert_eq!(signature.check(image, &key), Ok(()));
}

#[test]
fn so_many_signatures_are_kept_and_no_more() {
    let image = digest(b"an image");
    let one = Signature::of("r.example.com/sluice", &image, &generated()).unwrap();
    let mut all = Vec::new();
    for count in 1..=MAX_SIGNATURES {
        let (manifest, _) = with(all, &one).unwrap();
        all = layers(&manifest).unwrap();
        assert_eq!(all.len(), count);
        assert_eq!(carried(&all[0]), Some(one.signature.as_str()));
    }
    let error = with(all.clone(), &one).unwrap_err().to_string();
    assert!(
        error.starts_with("the image has 64 signatures already"),
        "{error}"
    );
    all.push(one.layer());
    let named = Named {
        config: Some(Descriptor::of(CONFIG, b"{}")),
        layers: all,
        ..Named::default()
    };
    let error = layers(&named.manifest(IMAGE).unwrap())
        .unwrap_err()
        .to_string();
    assert_eq!(error, "65 signatures; accepted: at most 64");
}
