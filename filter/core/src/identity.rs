//! Who asks: the first source that gives bytes, and the random identity of a newcomer.
//!
//! Which source an identity came from is not part of the hash, so a user keeps their variant when
//! the same id moves from a cookie into a header.

use std::borrow::Cow;
use std::sync::Arc;

use crate::request::{Bytes, Request, Seen};

/// Where an identity may come from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Source {
    /// A cookie.
    Cookie(Arc<str>),
    /// A request header; the name is in lower case.
    Header(Arc<str>),
    /// A query parameter.
    Query(Arc<str>),
    /// A JWT claim.
    Claim(Arc<str>),
    /// The client address without the port.
    Address,
    /// The anonymous cookie.
    Anonymous,
}

impl Source {
    /// The identity in a request; an empty value is none, and so is one that is longer than
    /// [`crate::request::MAX_VALUE_BYTES`].
    pub fn value<'a, 'r, R: Request>(
        &'r self,
        seen: &'a Seen<'r, R>,
        anonymous_cookie: &'r str,
    ) -> Option<Bytes<'a>> {
        let value = match self {
            Self::Cookie(name) => seen.cookie(name.as_bytes()),
            Self::Header(name) => seen.header(name),
            Self::Query(name) => seen.query(name.as_bytes()),
            Self::Claim(name) => seen.claim(name),
            Self::Anonymous => seen.cookie(anonymous_cookie.as_bytes()),
            Self::Address => return seen.request.source_address().map(without_port),
        };
        value
            .filter(|value| !value.is_empty() && seen.is_short_enough(value))
            .map(Cow::Borrowed)
    }

    /// What kind of source it is, as in metric labels and `explain`.
    pub const fn kind(&self) -> &'static str {
        match self {
            Self::Cookie(_) => "cookie",
            Self::Header(_) => "header",
            Self::Query(_) => "query",
            Self::Claim(_) => "claim",
            Self::Address => "address",
            Self::Anonymous => "anonymous",
        }
    }

    /// Its name, where it has one of its own.
    pub fn name(&self) -> Option<&str> {
        match self {
            Self::Cookie(name) | Self::Header(name) | Self::Query(name) | Self::Claim(name) => {
                Some(name)
            }
            Self::Address | Self::Anonymous => None,
        }
    }
}

/// Drops `:port` from `1.2.3.4:80` and `[::1]:80`; an address without a port stays as it is.
fn without_port(address: Bytes<'_>) -> Bytes<'_> {
    let kept = match address.as_ref() {
        [b'[', rest @ ..] => rest.split(|&byte| byte == b']').next().unwrap_or_default(),
        bytes if bytes.iter().filter(|&&byte| byte == b':').count() == 1 => {
            bytes.split(|&byte| byte == b':').next().unwrap_or_default()
        }
        _ => return address,
    };
    Cow::Owned(kept.to_vec())
}

/// How long a random identity is in text.
pub const NEW_IDENTITY_CHARS: usize = 22;

/// The identity of a newcomer: 128 random bits as base64url without padding (RFC 4648, section 5).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NewIdentity([u8; NEW_IDENTITY_CHARS]);

impl NewIdentity {
    /// The identity of these random bits.
    pub fn of(random: [u8; 16]) -> Self {
        // 21 characters of 6 bits and a last one of 2 bits, padded with zeros on the right.
        let mut bits = u128::from_be_bytes(random);
        Self(std::array::from_fn(|_| {
            let six = (bits >> 122) as u8;
            bits <<= 6;
            base64url(six)
        }))
    }

    /// The text that goes into the cookie and into the hash.
    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }
}

const fn base64url(six_bits: u8) -> u8 {
    match six_bits {
        0..=25 => b'A' + six_bits,
        26..=51 => b'a' + (six_bits - 26),
        52..=61 => b'0' + (six_bits - 52),
        62 => b'-',
        _ => b'_',
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[cfg(all(target_arch = "wasm32", target_os = "unknown"))]
    use wasm_bindgen_test::wasm_bindgen_test as test;

    #[test]
    fn the_port_is_no_part_of_an_address() {
        let cases: &[(&[u8], &[u8])] = &[
            (b"203.0.113.9:51234", b"203.0.113.9"),
            (b"203.0.113.9", b"203.0.113.9"),
            (b"[2001:db8::1]:51234", b"2001:db8::1"),
            (b"[2001:db8::1]", b"2001:db8::1"),
            (b"2001:db8::1", b"2001:db8::1"),
            (b"", b""),
        ];
        for (address, expected) in cases {
            assert_eq!(without_port(Cow::Borrowed(address)).as_ref(), *expected);
        }
    }

    #[test]
    fn a_new_identity_is_base64url_of_its_bits() {
        let text = |random| String::from_utf8(NewIdentity::of(random).as_bytes().to_vec()).unwrap();
        assert_eq!(text([0; 16]), "AAAAAAAAAAAAAAAAAAAAAA");
        assert_eq!(text([0xff; 16]), "_____________________w");
        // python3: base64.urlsafe_b64encode(bytes(range(16)))
        assert_eq!(
            text(std::array::from_fn(|index| index as u8)),
            "AAECAwQFBgcICQoLDA0ODw"
        );
    }
}
