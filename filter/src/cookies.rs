//! Reading one cookie out of a Cookie header, in bytes.
//!
//! Split at ";", trim, first duplicate wins, one pair of quotes stripped, as Envoy's own parser does, so that both
//! hash the same value (facts/splitting.md, section 5). No percent-decoding.

use crate::request::MAX_SCANNED_BYTES;

/// How many cookies of a header are looked at (DESIGN section 2, limits).
pub const MAX_COOKIES: usize = 180;

/// The value of the first cookie with this name; names are case-sensitive.
///
/// ```
/// use sluice_filter::cookies::value;
/// assert_eq!(value(b"a=1; email=\"joe@example.com\"", b"email"), Some(&b"joe@example.com"[..]));
/// assert_eq!(value(b"a=1; b", b"b"), None);
/// ```
pub fn value<'h>(header: &'h [u8], name: &[u8]) -> Option<&'h [u8]> {
    let mut rest = scanned(header);
    for _ in 0..MAX_COOKIES {
        let (pair, after) = split_at(rest, b';');
        // A look at the length first: most cookies are another one.
        if pair.len() > name.len()
            && let (key, Some(value)) = split_at(pair, b'=')
            && trim(key) == name
        {
            return Some(unquote(trim(value)));
        }
        rest = after?;
    }
    None
}

/// What stands before the first `separator` and, if there is one, what follows it.
#[inline(always)]
fn split_at(bytes: &[u8], separator: u8) -> (&[u8], Option<&[u8]>) {
    // A plain loop: size-optimised iterator adaptors cost a call a byte, and this is every request's longest loop.
    let mut at = 0;
    while let Some(&byte) = bytes.get(at) {
        if byte == separator {
            return (bytes.get(..at).unwrap_or_default(), bytes.get(at + 1..));
        }
        at += 1;
    }
    (bytes, None)
}

/// The header within the byte limit, without the pair that the limit cuts.
fn scanned(header: &[u8]) -> &[u8] {
    match header.get(..MAX_SCANNED_BYTES) {
        Some(scanned) if header.get(MAX_SCANNED_BYTES).is_some_and(|&next| next != b';') => {
            let last_end = scanned.iter().rposition(|&byte| byte == b';').unwrap_or(0);
            scanned.get(..last_end).unwrap_or_default()
        }
        Some(scanned) => scanned,
        None => header,
    }
}

#[inline(always)]
const fn trim(mut bytes: &[u8]) -> &[u8] {
    while let [b' ' | b'\t', rest @ ..] | [rest @ .., b' ' | b'\t'] = bytes {
        bytes = rest;
    }
    bytes
}

const fn unquote(value: &[u8]) -> &[u8] {
    match value {
        [b'"', inner @ .., b'"'] => inner,
        _ => value,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[cfg(all(target_arch = "wasm32", target_os = "unknown"))]
    use wasm_bindgen_test::wasm_bindgen_test as test;

    #[test]
    fn a_cookie_is_found_as_browsers_and_envoy_write_it() {
        let cases: &[(&str, &[u8], Option<&[u8]>)] = &[
            ("alone", b"uid=7", Some(b"7")),
            ("browser style", b"a=1; uid=7; b=2", Some(b"7")),
            ("no spaces", b"a=1;uid=7;b=2", Some(b"7")),
            ("tabs and spaces", b"a=1;\t uid =\t7 ;b=2", Some(b"7")),
            ("first duplicate wins", b"uid=1; uid=2", Some(b"1")),
            ("quotes are Envoy's", b"uid=\"7\"", Some(b"7")),
            ("only one pair of them", b"uid=\"\"7\"\"", Some(b"\"7\"")),
            ("a lone quote stays", b"uid=\"", Some(b"\"")),
            ("empty is present", b"uid=", Some(b"")),
            ("value keeps its equals signs", b"uid=a=b==", Some(b"a=b==")),
            ("without equals sign it is no cookie", b"uid; uid=7", Some(b"7")),
            ("names are case-sensitive", b"UID=7", None),
            ("names are whole", b"xuid=7; uidx=8", None),
            ("bytes that are no text", b"uid=\xff\xfe", Some(b"\xff\xfe")),
            ("separators only", b";;; ;", None),
            ("nothing", b"", None),
        ];
        for (label, header, expected) in cases {
            assert_eq!(value(header, b"uid"), *expected, "{label}");
        }
    }

    #[test]
    fn cookies_beyond_the_limits_are_absent() {
        let many = |before: usize| [b"a=1;".repeat(before), b"uid=7".to_vec()].concat();
        assert_eq!(value(&many(MAX_COOKIES - 1), b"uid"), Some(&b"7"[..]));
        assert_eq!(value(&many(MAX_COOKIES), b"uid"), None);

        let long = |filler: usize, tail: &[u8]| {
            [b"a=".to_vec(), vec![b'x'; filler], b";uid=7".to_vec(), tail.to_vec()].concat()
        };
        let to_the_brim = MAX_SCANNED_BYTES - 8;
        assert_eq!(value(&long(to_the_brim, b""), b"uid"), Some(&b"7"[..]));
        assert_eq!(value(&long(to_the_brim, b"; b=2"), b"uid"), Some(&b"7"[..]), "ends exactly at the limit");
        assert_eq!(value(&long(to_the_brim, b"8"), b"uid"), None, "cut, not shortened");
        assert_eq!(value(&long(MAX_SCANNED_BYTES, b""), b"uid"), None);
    }
}
