//! cosign's encrypted private keys: a JSON document with a key that scrypt derives from the password
//! and a NaCl secretbox (sigstore's `encrypted` package of go-securesystemslib).
//!
//! What scrypt may cost is bounded, because the document says it itself.

use anyhow::{Context as _, bail};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use poly1305::Poly1305;
use poly1305::universal_hash::KeyInit as _;
use salsa20::XSalsa20;
use salsa20::cipher::{KeyIvInit as _, StreamCipher as _};
use serde::Deserialize;

/// How much memory a password may take, 128 · N · r (RFC 7914). Chosen: cosign's keys take 64 MiB.
pub(super) const MAX_SCRYPT_BYTES: u64 = 256 * 1024 * 1024;

/// How often that is done over. Chosen: cosign's keys say 1.
pub(super) const MAX_SCRYPT_ROUNDS: u32 = 4;

#[derive(Deserialize)]
struct Document {
    kdf: Derivation,
    cipher: Cipher,
    ciphertext: String,
}

#[derive(Deserialize)]
struct Derivation {
    name: String,
    params: Cost,
    salt: String,
}

#[derive(Deserialize)]
struct Cost {
    #[serde(rename = "N")]
    n: u64,
    r: u32,
    p: u32,
}

#[derive(Deserialize)]
struct Cipher {
    name: String,
    nonce: String,
}

/// What is in an encrypted key: PKCS #8.
///
/// # Errors
/// When it is no such document, asks for too much, or the password is missing or another one.
pub(super) fn open(document: &[u8], password: Option<&str>) -> anyhow::Result<Vec<u8>> {
    let unreadable = "an encrypted key that cannot be read; accepted: cosign's";
    let document: Document = serde_json::from_slice(document).context(unreadable)?;
    let names = (document.kdf.name.as_str(), document.cipher.name.as_str());
    if names != ("scrypt", "nacl/secretbox") {
        let (kdf, cipher) = names;
        bail!("a key encrypted with {kdf:?} and {cipher:?}; accepted: scrypt and nacl/secretbox");
    }
    let decoded = |text: &str| STANDARD.decode(text).context(unreadable);
    let salt = decoded(&document.kdf.salt)?;
    let nonce = decoded(&document.cipher.nonce)?;
    let boxed = decoded(&document.ciphertext)?;
    let nonce: [u8; 24] = nonce.try_into().ok().context(unreadable)?;
    let parameters = document.kdf.params.checked()?;
    let Some(password) = password else {
        bail!("an encrypted key; accepted: its password in COSIGN_PASSWORD");
    };
    let mut key = [0; 32];
    scrypt::scrypt(password.as_bytes(), &salt, &parameters, &mut key).context(unreadable)?;
    opened(&key, &nonce, &boxed).context("COSIGN_PASSWORD is not the password of this key")
}

impl Cost {
    fn checked(&self) -> anyhow::Result<scrypt::Params> {
        let bytes = self.n.saturating_mul(u64::from(self.r)).saturating_mul(128);
        if bytes > MAX_SCRYPT_BYTES || self.p > MAX_SCRYPT_ROUNDS {
            bail!(
                "a key whose password takes {bytes} bytes {} times; accepted: at most \
                 {MAX_SCRYPT_BYTES} and {MAX_SCRYPT_ROUNDS}",
                self.p
            );
        }
        let log_n = self.n.checked_ilog2().filter(|log| 1 << log == self.n);
        let parameters = log_n
            .and_then(|log_n| scrypt::Params::new(u8::try_from(log_n).ok()?, self.r, self.p).ok());
        parameters.with_context(|| {
            let Self { n, r, p } = self;
            format!("scrypt has no N={n}, r={r}, p={p}; accepted: such as N=65536, r=8, p=1")
        })
    }
}

/// What a secretbox holds: XSalsa20, whose first 32 bytes are the key of the Poly1305 before it
/// (Bernstein, "Cryptography in NaCl", 2009).
fn opened(key: &[u8; 32], nonce: &[u8; 24], boxed: &[u8]) -> Option<Vec<u8>> {
    let (tag, message) = boxed.split_first_chunk::<16>()?;
    let mut stream = XSalsa20::new(key.into(), nonce.into());
    let mut authenticator = [0; 32];
    stream.apply_keystream(&mut authenticator);
    let expected = Poly1305::new(&authenticator.into()).compute_unpadded(message);
    if expected.as_slice() != tag {
        return None;
    }
    let mut message = message.to_vec();
    stream.apply_keystream(&mut message);
    Some(message)
}
