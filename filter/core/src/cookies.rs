//! Reading one cookie out of a Cookie header, in bytes.
//!
//! The header is split at ";", names and values are trimmed, the first of two cookies of one name
//! wins, and one pair of quotes is stripped. Envoy's own parser does the same, so that both see the
//! same value. Nothing is percent-decoded.

use crate::pairs::Found;

/// How much of a cookie header or a path is scanned, in bytes; see docs/limits.md.
pub const MAX_SCANNED_BYTES: usize = 32 * 1024;

/// How many cookies of a header are looked at; see docs/limits.md.
pub const MAX_COOKIES: usize = 180;

/// The value of the first cookie with this name; names are case-sensitive.
///
/// ```
/// use sluice_core::cookies::value;
/// assert_eq!(value(b"a=1; email=\"joe@example.com\"", b"email"), Some(&b"joe@example.com"[..]));
/// assert_eq!(value(b"a=1; b", b"b"), None);
/// ```
pub fn value<'h>(header: &'h [u8], name: &[u8]) -> Option<&'h [u8]> {
    match find(header, name) {
        Found::Value(value) => Some(value),
        Found::Absent | Found::Beyond => None,
    }
}

/// As [`value`], telling what is absent from what lies beyond the limits.
#[inline]
pub(crate) fn find<'h>(header: &'h [u8], name: &[u8]) -> Found<'h> {
    let mut rest = scanned(header);
    for _ in 0..MAX_COOKIES {
        rest = trim_start(rest);
        // A name has neither spaces nor "=" in it, so what begins with it and goes on with "=" has
        // it as its key. The first byte tells most apart, without a call.
        if rest.first() == name.first()
            && let Some(after_name) = rest.strip_prefix(name)
            && let [b'=', value @ ..] = trim_start(after_name)
        {
            let end = semicolon(value).unwrap_or(value.len());
            return Found::Value(unquote(trim(value.get(..end).unwrap_or_default())));
        }
        let Some(end) = semicolon(rest) else {
            return if header.len() > MAX_SCANNED_BYTES {
                Found::Beyond
            } else {
                Found::Absent
            };
        };
        rest = rest.get(end + 1..).unwrap_or_default();
    }
    Found::Beyond
}

/// Every cookie of a header within the byte limit, by name and value; `None` for a pair without
/// "=".
pub(crate) fn all(header: &[u8]) -> impl Iterator<Item = Option<(&[u8], &[u8])>> {
    let mut rest = Some(scanned(header));
    std::iter::from_fn(move || {
        let text = rest?;
        let end = semicolon(text);
        rest = end.and_then(|end| text.get(end + 1..));
        let pair = text.get(..end.unwrap_or(text.len()))?;
        let equals = find_byte::<b'='>(pair);
        Some(equals.and_then(|at| {
            let (name, value) = (pair.get(..at)?, pair.get(at + 1..)?);
            Some((trim(name), unquote(trim(value))))
        }))
    })
}

const LOW_BITS: u64 = 0x0101_0101_0101_0101;
const HIGH_BITS: u64 = 0x8080_8080_8080_8080;

#[inline(always)]
fn semicolon(bytes: &[u8]) -> Option<usize> {
    find_byte::<b';'>(bytes)
}

/// Where a byte stands first. Eight bytes at a time: for cookies this is every request's longest
/// loop, and a byte at a time took half of a decision's instructions. The trick is Mycroft's (1987):
/// a byte of `x` is zero where `x - 1` borrows.
#[inline(always)]
pub(crate) fn find_byte<const BYTE: u8>(bytes: &[u8]) -> Option<usize> {
    let (eights, rest) = bytes.as_chunks::<8>();
    let mut at = 0;
    for eight in eights {
        let differing = u64::from_le_bytes(*eight) ^ (LOW_BITS * BYTE as u64);
        let zeros = differing.wrapping_sub(LOW_BITS) & !differing & HIGH_BITS;
        if zeros != 0 {
            return Some(at + (zeros.trailing_zeros() / 8) as usize);
        }
        at += 8;
    }
    rest.iter()
        .position(|&byte| byte == BYTE)
        .map(|index| at + index)
}

/// The header within the byte limit, without the pair that the limit cuts.
fn scanned(header: &[u8]) -> &[u8] {
    match header.get(..MAX_SCANNED_BYTES) {
        Some(scanned)
            if header
                .get(MAX_SCANNED_BYTES)
                .is_some_and(|&next| next != b';') =>
        {
            let last_end = scanned.iter().rposition(|&byte| byte == b';').unwrap_or(0);
            scanned.get(..last_end).unwrap_or_default()
        }
        Some(scanned) => scanned,
        None => header,
    }
}

#[inline(always)]
const fn trim_start(mut bytes: &[u8]) -> &[u8] {
    while let [b' ' | b'\t', rest @ ..] = bytes {
        bytes = rest;
    }
    bytes
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
            (
                "without equals sign it is no cookie",
                b"uid; uid=7",
                Some(b"7"),
            ),
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
    fn a_semicolon_is_found_wherever_it_stands() {
        for length in 0..40 {
            let mut bytes = vec![0xba; length];
            assert_eq!(semicolon(&bytes), None, "{length}");
            for index in (0..length).rev() {
                bytes[index] = b';';
                assert_eq!(semicolon(&bytes), Some(index), "{index} of {length}");
            }
        }
        assert_eq!(
            semicolon(b"\x3a\x3c\xbb;;"),
            Some(3),
            "neighbours of the byte are not taken for it"
        );
    }

    #[test]
    fn cookies_beyond_the_limits_are_absent() {
        let many = |before: usize| [b"a=1;".repeat(before), b"uid=7".to_vec()].concat();
        assert_eq!(value(&many(MAX_COOKIES - 1), b"uid"), Some(&b"7"[..]));
        assert_eq!(value(&many(MAX_COOKIES), b"uid"), None);

        let long = |filler: usize, tail: &[u8]| {
            [
                b"a=".to_vec(),
                vec![b'x'; filler],
                b";uid=7".to_vec(),
                tail.to_vec(),
            ]
            .concat()
        };
        let to_the_brim = MAX_SCANNED_BYTES - 8;
        assert_eq!(value(&long(to_the_brim, b""), b"uid"), Some(&b"7"[..]));
        assert_eq!(
            value(&long(to_the_brim, b"; b=2"), b"uid"),
            Some(&b"7"[..]),
            "ends exactly at the limit"
        );
        assert_eq!(
            value(&long(to_the_brim, b"8"), b"uid"),
            None,
            "cut, not shortened"
        );
        assert_eq!(value(&long(MAX_SCANNED_BYTES, b""), b"uid"), None);
    }
}
