//! The grammars of names: of splits, variants and rules, and of what a request carries.

use std::sync::Arc;

use super::Reader;
use crate::problem::Accepted;

/// What names of headers (RFC 9110) and cookies (RFC 6265) are made of.
pub const TOKEN: &str = "1 to 256 letters, digits and !#$%&'*+-.^_`|~";

/// The longest name of a header, cookie, parameter or claim that is asked for; see docs/limits.md.
/// Chosen: far longer than those in use.
const MAX_NAME_BYTES: usize = 256;

/// Whether `text` is of the grammar of split, variant and rule names.
pub fn is_name(text: &str) -> bool {
    let is_inner = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
    text.len() <= 63
        && !text.is_empty()
        && text.bytes().all(is_inner)
        && !text.starts_with('-')
        && !text.ends_with('-')
}

/// What is accepted as such a name.
pub(super) fn accepted() -> Accepted {
    Accepted::value("1 to 63 of a-z, 0-9 and -, beginning and ending with a letter or digit")
}

/// Whether `name` is a cookie's name by RFC 6265, an HTTP token, and not too long.
pub fn is_cookie_name(name: &str) -> bool {
    (1..=MAX_NAME_BYTES).contains(&name.len()) && name.bytes().all(is_token_byte)
}

/// The longest name of a split's header; see docs/limits.md. Chosen: room for `x-sluice-` and the
/// longest name of a split, and far below what an upstream takes of headers.
pub(super) const MAX_HEADER_BYTES: usize = 100;

/// Headers of requests that others depend on, of those that begin with `x-`: a variant's name in
/// one of them would break or forge something, and so would its absence. A * stands for
/// any end.
const TAKEN: [&str; 18] = [
    "x-amz*",
    "x-api-key",
    "x-auth-*",
    "x-b3-*",
    "x-client-*",
    "x-cloud-trace-context",
    "x-csrf-token",
    "x-datadog-*",
    "x-envoy-*",
    "x-forwarded*",
    "x-goog-*",
    "x-http-method*",
    "x-istio-*",
    "x-original-*",
    "x-ot-span-context",
    "x-real-ip",
    "x-request-id",
    "x-rewrite-url",
];

/// What stands against a header as a split's own.
pub(super) enum HeaderUse {
    /// Nothing.
    Free,
    /// It is no header's name.
    NotAHeader,
    /// It does not begin with `x-`: others give those a meaning, now or later.
    NotOurs,
    /// Others give it a meaning.
    Taken,
    /// It is longer than [`MAX_HEADER_BYTES`].
    TooLong,
}

/// What stands against a header, in lower case, as a split's own.
pub(super) fn header_use(name: &str) -> HeaderUse {
    let is_taken = |taken: &&str| match taken.strip_suffix('*') {
        Some(prefix) => name.starts_with(prefix),
        None => name == *taken,
    };
    if !is_header_name(name) {
        HeaderUse::NotAHeader
    } else if !name.starts_with("x-") {
        HeaderUse::NotOurs
    } else if TAKEN.iter().any(is_taken) {
        HeaderUse::Taken
    } else if name.len() > MAX_HEADER_BYTES {
        HeaderUse::TooLong
    } else {
        HeaderUse::Free
    }
}

fn is_header_name(name: &str) -> bool {
    is_cookie_name(name)
}

const fn is_token_byte(byte: u8) -> bool {
    byte.is_ascii_alphanumeric()
        || matches!(
            byte,
            b'!' | b'#'
                | b'$'
                | b'%'
                | b'&'
                | b'\''
                | b'*'
                | b'+'
                | b'-'
                | b'.'
                | b'^'
                | b'_'
                | b'`'
                | b'|'
                | b'~'
        )
}

impl Reader<'_> {
    pub(super) fn header_name(&mut self, path: &str, received: &str) -> Arc<str> {
        let name = received.to_ascii_lowercase();
        if !is_header_name(&name) {
            self.report(
                path,
                format!("{received:?} is not a header name"),
                Accepted::value(TOKEN),
            );
        }
        self.common.text(&name)
    }

    pub(super) fn cookie_name(&mut self, path: &str, name: String) -> Arc<str> {
        if !is_cookie_name(&name) {
            self.report(
                path,
                format!("{name:?} is not a cookie name"),
                Accepted::value(TOKEN),
            );
        }
        self.common.text(&name)
    }

    pub(super) fn parameter_name(&mut self, path: &str, name: String) -> Arc<str> {
        if name.is_empty()
            || name.len() > MAX_NAME_BYTES
            || name
                .bytes()
                .any(|byte| matches!(byte, b'&' | b'=' | b'#' | 0..=32))
        {
            self.report(
                path,
                format!("{name:?} can never be a parameter's name"),
                Accepted::value(
                    "at most 256 bytes without &, =, # and spaces, as they stand in the URL",
                ),
            );
        }
        self.common.text(&name)
    }

    pub(super) fn claim_name(&mut self, path: &str, name: String) -> Arc<str> {
        if name.is_empty() || name.len() > MAX_NAME_BYTES || name.contains('\0') {
            self.report(
                path,
                format!("{name:?} is not a claim's name"),
                Accepted::value("1 to 256 bytes without NUL"),
            );
        }
        self.common.text(&name)
    }
}
