//! Keys that sign images, and that signatures are checked with: ECDSA on P-256 with SHA-256, which
//! is what `cosign generate-key-pair` makes.
//!
//! A key is PEM: a private one PKCS #8, or encrypted as cosign does it (`encrypted`); a public one
//! SubjectPublicKeyInfo (RFC 5958, 5480). Nothing here reads a file or shows a private key.

mod encrypted;

use anyhow::{Context as _, bail};
use ring::rand::SystemRandom;
use ring::signature::{
    ECDSA_P256_SHA256_ASN1, ECDSA_P256_SHA256_ASN1_SIGNING, EcdsaKeyPair, KeyPair as _,
    UnparsedPublicKey,
};

/// How long a key's file may be. Chosen: ten times cosign's.
pub const MAX_PEM_BYTES: usize = 8 * 1024;

/// What a public key on P-256 begins with, before its 65 bytes: the two object identifiers
/// id-ecPublicKey and secp256r1 (RFC 5480, 2.1).
const PUBLIC_PREFIX: [u8; 26] = [
    0x30, 0x59, 0x30, 0x13, 0x06, 0x07, 0x2a, 0x86, 0x48, 0xce, 0x3d, 0x02, 0x01, 0x06, 0x08, 0x2a,
    0x86, 0x48, 0xce, 0x3d, 0x03, 0x01, 0x07, 0x03, 0x42, 0x00,
];

/// What a private key is accepted as.
const PRIVATE: &str =
    "accepted: what `cosign generate-key-pair` writes, or an ECDSA key on P-256 as PKCS #8 (PEM)";

/// What a public key is accepted as.
const PUBLIC: &str = "accepted: an ECDSA key on P-256 as `cosign generate-key-pair` or \
                      `openssl pkey -pubout` writes it (PEM)";

/// What signs.
pub struct PrivateKey(EcdsaKeyPair);

/// What checks signatures.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PublicKey(Vec<u8>);

impl PrivateKey {
    /// Reads a key; an encrypted one with its password.
    ///
    /// # Errors
    /// When it is no such key, or the password is missing or another one.
    pub fn read(text: &[u8], password: Option<&str>) -> anyhow::Result<Self> {
        let pem = pem::parse(text).ok();
        let pem = pem.with_context(|| format!("not a private key; {PRIVATE}"))?;
        let pkcs8 = match pem.tag() {
            "PRIVATE KEY" => pem.into_contents(),
            "ENCRYPTED SIGSTORE PRIVATE KEY" | "ENCRYPTED COSIGN PRIVATE KEY" => {
                encrypted::open(pem.contents(), password)?
            }
            "EC PRIVATE KEY" => bail!(
                "an EC PRIVATE KEY; {PRIVATE}: `openssl pkcs8 -topk8 -nocrypt -in KEY` writes it so"
            ),
            "ENCRYPTED PRIVATE KEY" => bail!("a key that openssl encrypted; {PRIVATE}"),
            "PUBLIC KEY" => bail!("a public key, which cannot sign; {PRIVATE}"),
            other => bail!("{other:?} is not a private key; {PRIVATE}"),
        };
        let algorithm = &ECDSA_P256_SHA256_ASN1_SIGNING;
        EcdsaKeyPair::from_pkcs8(algorithm, &pkcs8, &SystemRandom::new())
            .map(Self)
            .map_err(|error| anyhow::anyhow!("not an ECDSA key on P-256 ({error}); {PRIVATE}"))
    }

    /// The key that checks what this one signs.
    pub fn public(&self) -> PublicKey {
        PublicKey(self.0.public_key().as_ref().to_vec())
    }

    /// Signs bytes: an ECDSA-Sig-Value in DER (RFC 3279, 2.2.3), another one each time.
    ///
    /// # Errors
    /// When the machine gives no random numbers.
    pub fn sign(&self, bytes: &[u8]) -> anyhow::Result<Vec<u8>> {
        match self.0.sign(&SystemRandom::new(), bytes) {
            Ok(signature) => Ok(signature.as_ref().to_vec()),
            Err(_) => bail!("the machine gives no random numbers to sign with"),
        }
    }
}

impl PublicKey {
    /// Reads a key.
    ///
    /// # Errors
    /// When it is no such key.
    pub fn read(text: &[u8]) -> anyhow::Result<Self> {
        let pem = pem::parse(text).ok();
        let pem = pem.with_context(|| format!("not a public key; {PUBLIC}"))?;
        if pem.tag() != "PUBLIC KEY" {
            bail!("{:?} is not a public key; {PUBLIC}", pem.tag());
        }
        match pem.contents().strip_prefix(&PUBLIC_PREFIX) {
            Some(point) if point.len() == 65 && point[0] == 4 => Ok(Self(point.to_vec())),
            _ => bail!("not an ECDSA key on P-256; {PUBLIC}"),
        }
    }

    /// Whether this key's owner signed these bytes.
    pub fn has_signed(&self, bytes: &[u8], signature: &[u8]) -> bool {
        let key = UnparsedPublicKey::new(&ECDSA_P256_SHA256_ASN1, &self.0);
        key.verify(bytes, signature).is_ok()
    }
}

#[cfg(test)]
pub(in super::super) mod tests;
