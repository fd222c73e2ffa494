//! Messages to a server of the user's own, by the Standard Webhooks specification
//! (standardwebhooks.com): its payload, its headers and its symmetric signature, so that receivers
//! verify them with a library that exists.

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use jiff::Timestamp;
use reqwest::header::{HeaderMap, HeaderName, HeaderValue};
use secrecy::{ExposeSecret as _, SecretString};
use serde_json::json;

use super::message::Letter;
use crate::model::signature::{self, ID, SIGNATURE, TIMESTAMP};

pub(super) fn body(letter: &Letter) -> Vec<u8> {
    let body = json!({
        "type": letter.kind,
        "timestamp": letter.at.to_string(),
        "data": letter.data,
    });
    body.to_string().into_bytes()
}

/// The headers of a message: its key, when it is sent, and the signature of both and the body.
pub(super) fn headers(
    key: &str,
    now: Timestamp,
    body: &[u8],
    secret: Option<&SecretString>,
) -> Result<HeaderMap, String> {
    let timestamp = now.as_second().to_string();
    let mut headers = vec![(ID, key.to_owned())];
    if let Some(secret) = secret {
        let signature = signature(key, &timestamp, body, secret)?;
        headers.push((SIGNATURE, signature));
    }
    headers.push((TIMESTAMP, timestamp));
    let headers = headers.into_iter().map(|(name, value)| {
        let value = HeaderValue::try_from(value).map_err(|error| error.to_string())?;
        Ok((HeaderName::from_static(name), value))
    });
    headers.collect()
}

/// A secret that begins with `whsec_` is base64, as the specification has it; any other is taken as
/// it is.
fn signature(
    key: &str,
    timestamp: &str,
    body: &[u8],
    secret: &SecretString,
) -> Result<String, String> {
    let secret = secret.expose_secret();
    let secret = match secret.strip_prefix("whsec_") {
        None => secret.as_bytes().to_vec(),
        Some(base64) => BASE64_STANDARD
            .decode(base64)
            .map_err(|_| "the signing secret is no base64 after whsec_")?,
    };
    let tag = signature::tag(&secret, key, timestamp, body);
    Ok(signature::header(&tag))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The example in the specification's own libraries.
    #[test]
    fn the_signature_is_that_of_the_specification() {
        let secret = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw".into();
        let signature = signature(
            "msg_p5jXN8AQM9LWM0D4loKWxJek",
            "1614265330",
            br#"{"test": 2432232314}"#,
            &secret,
        );
        let expected = "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=";
        assert_eq!(signature, Ok(expected.to_owned()));
    }

    #[test]
    fn a_secret_that_is_not_what_it_says_is_told_without_it() {
        let secret = "whsec_s3cret!".into();
        let said = signature("key", "0", b"", &secret);
        let expected = "the signing secret is no base64 after whsec_";
        assert_eq!(said, Err(expected.to_owned()));
    }
}
