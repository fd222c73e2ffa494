//! The grammars of names: of splits, variants and rules, and of what a request carries.

use super::Reader;
use crate::problem::Accepted;

/// What names of headers (RFC 9110) and cookies (RFC 6265) are made of.
pub(crate) const TOKEN: &str = "letters, digits and !#$%&'*+-.^_`|~";

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

/// Whether `name` is a cookie's name by RFC 6265: an HTTP token.
pub fn is_cookie_name(name: &str) -> bool {
    !name.is_empty() && name.bytes().all(is_token_byte)
}

pub(super) fn is_header_name(name: &str) -> bool {
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
    pub(super) fn header_name(&mut self, path: &str, received: &str) -> Box<str> {
        let name = received.to_ascii_lowercase();
        if !is_header_name(&name) {
            self.report(
                path,
                format!("{received:?} is not a header name"),
                Accepted::value(TOKEN),
            );
        }
        name.into()
    }

    pub(super) fn cookie_name(&mut self, path: &str, name: String) -> Box<str> {
        if !is_cookie_name(&name) {
            self.report(
                path,
                format!("{name:?} is not a cookie name"),
                Accepted::value(TOKEN),
            );
        }
        name.into()
    }

    pub(super) fn parameter_name(&mut self, path: &str, name: String) -> Box<str> {
        if name.is_empty()
            || name
                .bytes()
                .any(|byte| matches!(byte, b'&' | b'=' | b'#' | 0..=32))
        {
            self.report(
                path,
                format!("{name:?} can never be a parameter's name"),
                Accepted::value("text without &, =, # and spaces, as it stands in the URL"),
            );
        }
        name.into()
    }

    pub(super) fn claim_name(&mut self, path: &str, name: String) -> Box<str> {
        if name.is_empty() || name.contains('\0') {
            self.report(
                path,
                format!("{name:?} is not a claim's name"),
                Accepted::value("a name without NUL"),
            );
        }
        name.into()
    }
}
