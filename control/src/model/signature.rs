//! The symmetric signature of the Standard Webhooks specification (standardwebhooks.com): over a
//! message's id, its time and its body.
//!
//! Messages that are sent carry it, and requests with a controller's key.

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use ring::hmac;

/// The header that names a message, the same however often it is sent.
pub const ID: &str = "webhook-id";
/// The header that says when it is sent, in seconds since 1970.
pub const TIMESTAMP: &str = "webhook-timestamp";
/// The header with the signature.
pub const SIGNATURE: &str = "webhook-signature";

/// A signature's version, before the base64.
const VERSION: &str = "v1,";

/// The HMAC-SHA256 of a message.
pub fn tag(secret: &[u8], id: &str, timestamp: &str, body: &[u8]) -> hmac::Tag {
    let mut signed = hmac::Context::with_key(&hmac::Key::new(hmac::HMAC_SHA256, secret));
    signed.update(format!("{id}.{timestamp}.").as_bytes());
    signed.update(body);
    signed.sign()
}

/// The header's value.
pub fn header(tag: &hmac::Tag) -> String {
    format!("{VERSION}{}", BASE64_STANDARD.encode(tag))
}

/// Whether a header's value is the signature of a message, in a time that tells nothing of where it
/// differs.
pub fn is_good(secret: &[u8], id: &str, timestamp: &str, body: &[u8], value: &str) -> bool {
    let base64 = value.strip_prefix(VERSION).unwrap_or_default();
    let given = BASE64_STANDARD.decode(base64).unwrap_or_default();
    let mut signed = format!("{id}.{timestamp}.").into_bytes();
    signed.extend_from_slice(body);
    let key = hmac::Key::new(hmac::HMAC_SHA256, secret);
    hmac::verify(&key, &signed, &given).is_ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECRET: &[u8] = b"s3cret";

    #[test]
    fn only_the_signature_of_the_whole_message_is_good() {
        let value = header(&tag(SECRET, "id", "5", b"body"));
        let is_good = |secret: &[u8], id: &str, timestamp: &str, body: &[u8], value: &str| {
            super::is_good(secret, id, timestamp, body, value)
        };
        let short = format!("{VERSION}{}", BASE64_STANDARD.encode([0; 5]));
        let cases = [
            (
                "as it was signed",
                is_good(SECRET, "id", "5", b"body", &value),
                true,
            ),
            (
                "another secret",
                is_good(b"other", "id", "5", b"body", &value),
                false,
            ),
            (
                "another id",
                is_good(SECRET, "ie", "5", b"body", &value),
                false,
            ),
            (
                "another time",
                is_good(SECRET, "id", "6", b"body", &value),
                false,
            ),
            (
                "another body",
                is_good(SECRET, "id", "5", b"bodY", &value),
                false,
            ),
            (
                "no version",
                is_good(SECRET, "id", "5", b"body", &value[3..]),
                false,
            ),
            (
                "no base64",
                is_good(SECRET, "id", "5", b"body", "v1,?"),
                false,
            ),
            (
                "a part of it",
                is_good(SECRET, "id", "5", b"body", &short),
                false,
            ),
            ("nothing", is_good(SECRET, "id", "5", b"body", ""), false),
        ];
        for (label, found, expected) in cases {
            assert_eq!(found, expected, "{label}");
        }
    }
}
