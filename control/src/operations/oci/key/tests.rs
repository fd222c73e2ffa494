//! Keys that openssl and cosign made, keys of other kinds, and what is no key.

use ring::signature::Ed25519KeyPair;

use super::*;

/// A key that nobody else has.
pub(in super::super::super) fn generated() -> PrivateKey {
    let random = SystemRandom::new();
    let pkcs8 = EcdsaKeyPair::generate_pkcs8(&ECDSA_P256_SHA256_ASN1_SIGNING, &random).unwrap();
    let pem = pem::Pem::new("PRIVATE KEY", pkcs8.as_ref());
    PrivateKey::read(pem::encode(&pem).as_bytes(), None).unwrap()
}

/// What `cosign generate-key-pair` of cosign 2.6.5 wrote, with the password `sluice`.
const PRIVATE_OF_COSIGN: &str = include_str!("tests/cosign.key");
const PUBLIC_OF_COSIGN: &str = include_str!("tests/cosign.pub");

fn refused(text: &str, password: Option<&str>) -> String {
    match PrivateKey::read(text.as_bytes(), password) {
        Ok(_) => "accepted".to_owned(),
        Err(error) => format!("{error:#}"),
    }
}

fn pem_of(tag: &str, content: impl Into<Vec<u8>>) -> String {
    pem::encode(&pem::Pem::new(tag, content))
}

#[test]
fn a_key_of_cosigns_is_opened_by_its_password() {
    let key = PrivateKey::read(PRIVATE_OF_COSIGN.as_bytes(), Some("sluice")).unwrap();
    let public = PublicKey::read(PUBLIC_OF_COSIGN.as_bytes()).unwrap();
    assert_eq!(key.public(), public);
    assert!(public.has_signed(b"a letter", &key.sign(b"a letter").unwrap()));
    assert_eq!(
        refused(PRIVATE_OF_COSIGN, Some("Sluice")),
        "COSIGN_PASSWORD is not the password of this key"
    );
    assert_eq!(
        refused(PRIVATE_OF_COSIGN, None),
        "an encrypted key; accepted: its password in COSIGN_PASSWORD"
    );
}

/// The document of cosign's key with something else in it.
fn changed(pointer: &str, value: serde_json::Value) -> String {
    let pem = pem::parse(PRIVATE_OF_COSIGN).unwrap();
    let mut document: serde_json::Value = serde_json::from_slice(pem.contents()).unwrap();
    *document.pointer_mut(pointer).unwrap() = value;
    pem_of(pem.tag(), document.to_string())
}

#[test]
fn an_encrypted_key_costs_no_more_than_so_much() {
    // 128 · 8 · N is the limit at N = 262144.
    let dear = changed("/kdf/params/N", 524_288.into());
    assert!(refused(&dear, Some("a")).starts_with("a key whose password takes 536870912 bytes"));
    let endless = changed("/kdf/params/N", u64::MAX.into());
    assert!(refused(&endless, Some("a")).starts_with("a key whose password takes 1844674407370"));
    let often = changed("/kdf/params/p", 5.into());
    assert!(refused(&often, Some("a")).ends_with("accepted: at most 268435456 and 4"));
    let wrong = "COSIGN_PASSWORD is not the password of this key";
    let cheap = serde_json::json!({"N": 16, "r": 8, "p": 4});
    assert_eq!(
        refused(&changed("/kdf/params", cheap), Some("sluice")),
        wrong
    );
    for (n, r) in [(3, 8), (0, 8), (65_536, 0)] {
        let mut pem = changed("/kdf/params/N", n.into());
        if r == 0 {
            pem = changed("/kdf/params/r", 0.into());
        }
        let error = refused(&pem, Some("a"));
        assert!(
            error.starts_with(&format!("scrypt has no N={n}, r={r}")),
            "{error}"
        );
    }
    let other = changed("/cipher/name", "rot13".into());
    assert_eq!(
        refused(&other, Some("a")),
        "a key encrypted with \"scrypt\" and \"rot13\"; accepted: scrypt and nacl/secretbox"
    );
}

#[test]
fn what_is_no_private_key_is_refused() {
    let ed25519 = Ed25519KeyPair::generate_pkcs8(&SystemRandom::new()).unwrap();
    let cases = [
        (
            "".to_owned(),
            "not a private key; accepted: what `cosign generate-key-pair`",
        ),
        (
            pem_of("PRIVATE KEY", *b"garbage"),
            "not an ECDSA key on P-256 (",
        ),
        (
            pem_of("EC PRIVATE KEY", *b"x"),
            "an EC PRIVATE KEY; accepted: ",
        ),
        (
            pem_of("ENCRYPTED PRIVATE KEY", *b"x"),
            "a key that openssl encrypted; ",
        ),
        (
            PUBLIC_OF_COSIGN.to_owned(),
            "a public key, which cannot sign; ",
        ),
        (
            pem_of("CERTIFICATE", *b"x"),
            "\"CERTIFICATE\" is not a private key; ",
        ),
        (
            pem_of("ENCRYPTED SIGSTORE PRIVATE KEY", *b"x"),
            "an encrypted key that cannot be read; accepted: cosign's",
        ),
        (
            pem_of("PRIVATE KEY", ed25519.as_ref()),
            "not an ECDSA key on P-256 (",
        ),
    ];
    for (text, expected) in cases {
        let error = refused(&text, Some(""));
        assert!(error.starts_with(expected), "{error}");
    }
}

#[test]
fn what_is_no_public_key_is_refused() {
    let refused = |text: &str| PublicKey::read(text.as_bytes()).unwrap_err().to_string();
    let of_another_kind = "not an ECDSA key on P-256; accepted: ";
    let good = pem::parse(PUBLIC_OF_COSIGN).unwrap().into_contents();
    let cases = [
        ("garbage".to_owned(), "not a public key; accepted: "),
        (
            PRIVATE_OF_COSIGN.to_owned(),
            "\"ENCRYPTED SIGSTORE PRIVATE KEY\" is not a public key; ",
        ),
        (pem_of("PUBLIC KEY", &good[..90]), of_another_kind),
        (
            pem_of("PUBLIC KEY", [good.as_slice(), &[0]].concat()),
            of_another_kind,
        ),
        // `openssl ecparam -name secp384r1 -genkey | openssl pkey -pubout`.
        (include_str!("tests/p384.pub").to_owned(), of_another_kind),
        // `openssl genpkey -algorithm ed25519 | openssl pkey -pubout`.
        (
            include_str!("tests/ed25519.pub").to_owned(),
            of_another_kind,
        ),
    ];
    for (text, expected) in cases {
        let error = refused(&text);
        assert!(error.starts_with(expected), "{error}");
    }
}
