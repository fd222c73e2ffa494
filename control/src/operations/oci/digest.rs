//! Digests: what registries call a blob or manifest by, `sha256:` and 64 lower-case hexadecimal
//! digits.
//!
//! Only SHA-256: registries must have it, and Istio pins nothing else (OCI image specification,
//! "Registered Algorithms").

use sha2::Digest as _;

/// The digest of bytes, as `sha256:…`.
pub fn digest(bytes: &[u8]) -> String {
    let mut running = Running::default();
    running.add(bytes);
    running.end()
}

/// A digest of bytes that come piece by piece.
#[derive(Default)]
pub struct Running(sha2::Sha256);

impl Running {
    /// Takes the next bytes.
    pub fn add(&mut self, bytes: &[u8]) {
        self.0.update(bytes);
    }

    /// The digest of all of them, as `sha256:…`.
    pub fn end(self) -> String {
        let hash = self.0.finalize();
        let hex: String = hash.iter().map(|byte| format!("{byte:02x}")).collect();
        format!("sha256:{hex}")
    }
}

/// The hexadecimal digits of a digest; `None` for what is not one. They may stand in a path.
pub fn hex(digest: &str) -> Option<&str> {
    let hex = digest.strip_prefix("sha256:")?;
    let is_hex = hex
        .bytes()
        .all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'));
    (hex.len() == 64 && is_hex).then_some(hex)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_digest_is_that_of_sha_256() {
        // NIST's example of FIPS 180: "abc".
        let expected = "sha256:ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";
        assert_eq!(digest(b"abc"), expected);
        assert_eq!(hex(expected), expected.strip_prefix("sha256:"));
    }

    #[test]
    fn what_is_no_digest_has_no_digits() {
        let good = digest(b"");
        for wrong in [
            "",
            "sha256:",
            &good[1..],
            &good[..70],
            &format!("{good}0"),
            &good.to_uppercase(),
            &good.replace("sha256", "sha512"),
            &format!("sha256:../{}", &good[10..]),
        ] {
            assert_eq!(hex(wrong), None, "{wrong}");
        }
    }
}
