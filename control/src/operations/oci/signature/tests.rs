//! Signatures that are good, and each way in which one says nothing of an image.

use super::super::digest::digest;
use super::super::key::tests::generated;
use super::*;

#[test]
fn a_signature_is_of_one_image_by_one_key() {
    let (key, other) = (generated(), generated());
    let image = digest(b"an image");
    let signature = Signature::of("r.example.com/sluice", &image, &key).unwrap();
    let name = "r.example.com/sluice".to_owned();
    assert_eq!(signature.check(&image, &key.public()), Ok(name));
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
    let signatures = Signatures::read(&manifest).unwrap();
    let layers: Vec<_> = signatures.layers().map(Result::unwrap).collect();
    let signature = Signature {
        payload: include_bytes!("tests/cosign-payload.json").to_vec(),
        signature: carried(&layers[0]).unwrap().to_owned(),
    };
    assert_eq!(layers, [signature.layer()]);
    let image = "sha256:d5559d8f68f069e28fdaeba9f31550956decb28ad804d83b83172a91ad22959f";
    let key = PublicKey::read(include_bytes!("../key/tests/cosign.pub")).unwrap();
    assert!(signature.check(image, &key).is_ok());
}

#[test]
fn so_many_signatures_are_kept_and_looked_at_and_no_more() {
    let image = digest(b"an image");
    let one = Signature::of("r.example.com/sluice", &image, &generated()).unwrap();
    let mut all = Signatures::none();
    for count in 1..=MAX_SIGNATURES {
        let (manifest, _) = all.with(&one).unwrap();
        all = Signatures::read(&manifest).unwrap();
        assert_eq!((all.count(), all.layers().count()), (count, count));
        let first = all.layers().next().unwrap().unwrap();
        assert_eq!(carried(&first), Some(one.signature.as_str()));
    }
    let error = all.clone().with(&one).unwrap_err().to_string();
    assert_eq!(
        error,
        "the image has 64 signatures already; accepted: at most 64"
    );
    all.layers.push(json!({}));
    assert_eq!((all.count(), all.layers().count()), (65, 64));
}

#[test]
fn what_others_wrote_is_kept_as_it_is_and_spoils_nothing() {
    let digest = digest(b"a payload");
    let layer = |digest: &str, size: usize| {
        let annotations = json!({ANNOTATION: "AAAA"});
        json!({"mediaType": PAYLOAD, "digest": digest, "size": size, "annotations": annotations})
    };
    let mut with_data = layer(&digest, 3);
    with_data["data"] = json!("e30=");
    with_data["urls"] = json!(["https://example.com/a"]);
    let layers = [
        with_data,
        layer(&digest, MAX_SIGNED_BYTES),
        layer(&digest, MAX_SIGNED_BYTES + 1),
        layer("sha512:0", 3),
        json!({"digest": digest, "size": -1}),
        json!("a letter"),
    ];
    let manifest = Manifest {
        media_type: IMAGE.to_owned(),
        bytes: json!({"annotations": {"a": "b"}, "layers": layers})
            .to_string()
            .into_bytes(),
    };
    let signatures = Signatures::read(&manifest).unwrap();
    let flaws: Vec<_> = signatures.layers().map(Result::err).collect();
    let too_long = Some(Flaw::TooLong { size: 65537 });
    assert_eq!(
        flaws,
        [
            None,
            None,
            too_long,
            Some(Flaw::NoDigest),
            Some(Flaw::Absent),
            Some(Flaw::Absent)
        ]
    );
    let new = Signature::of("r.example.com/sluice", &digest, &generated()).unwrap();
    let (written, _) = signatures.with(&new).unwrap();
    let written: Value = serde_json::from_slice(&written.bytes).unwrap();
    assert_eq!(written["annotations"], json!({"a": "b"}));
    assert_eq!(written["layers"].as_array().unwrap()[..6], layers);
    assert_eq!(written["layers"][6], json!(new.layer()));
}

#[test]
fn what_is_no_manifest_of_signatures_is_an_error() {
    for bytes in ["[]", "{}", r#"{"layers":[],"manifests":[]}"#] {
        let manifest = Manifest {
            media_type: IMAGE.to_owned(),
            bytes: bytes.as_bytes().to_vec(),
        };
        let error = Signatures::read(&manifest).unwrap_err().to_string();
        assert!(
            error.ends_with("accepted: a manifest of signatures"),
            "{error}"
        );
    }
}
