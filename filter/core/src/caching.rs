//! What a response that sets a cookie tells caches: that no shared one may keep it.
//!
//! `Cache-Control` (RFC 9111) becomes private, and what speaks to one kind of shared cache only,
//! which obeys it in place of `Cache-Control` (RFC 9213, and what vendors had before), says that
//! nothing is stored. Whatever else stands there is kept. Asked only for responses that set the
//! anonymous cookie; whether a split page may be kept at all is said in docs/semantics.md.

/// Fields that some shared caches obey in place of `Cache-Control`.
const TARGETED: [&str; 9] = [
    "cdn-cache-control",
    "cloudflare-cdn-cache-control",
    "netlify-cdn-cache-control",
    "vercel-cdn-cache-control",
    // W3C's Edge Architecture Specification: Fastly, Varnish and others.
    "surrogate-control",
    // Akamai.
    "akamai-cache-control",
    "edge-control",
    // nginx, and LiteSpeed.
    "x-accel-expires",
    "x-litespeed-cache-control",
];

/// The headers to set on a response so that no shared cache keeps it. `header` gives the values of
/// a header, those of several lines joined with a comma.
pub(crate) fn private(
    header: impl Fn(&str) -> Option<Vec<u8>>,
) -> impl Iterator<Item = (&'static str, Vec<u8>)> {
    let own = header("cache-control").unwrap_or_default();
    let targeted = TARGETED.into_iter().filter_map(move |name| {
        let value = header(name)?;
        Some((name, not_stored(name, &value)))
    });
    let own = with(b"private", &own, |name| {
        !is_any(name, &[b"public", b"private", b"s-maxage"])
    });
    std::iter::once(("cache-control", own)).chain(targeted)
}

/// Such a field that lets nothing be stored. `content` says how a surrogate processes the body.
fn not_stored(name: &str, value: &[u8]) -> Vec<u8> {
    match name {
        // Seconds, not directives: 0 is no caching.
        "x-accel-expires" => b"0".to_vec(),
        _ => with(b"no-store", value, |name| is_any(name, &[b"content"])),
    }
}

/// A directive, and those of a field that are to be kept.
fn with(directive: &[u8], field: &[u8], is_kept: impl Fn(&[u8]) -> bool) -> Vec<u8> {
    let mut value = directive.to_vec();
    let directives = Directives {
        rest: field,
        are_quotes_closed: true,
    };
    for directive in directives {
        let name = directive.split(|&byte| byte == b'=').next();
        let name = name.unwrap_or_default().trim_ascii_end();
        if !name.is_empty() && is_kept(name) {
            value.extend(b", ");
            value.extend(directive);
        }
    }
    value
}

/// The directives of a field, trimmed. A comma in a quoted string separates nothing; from the first
/// quote on that is never closed, quotes are letters like any other.
struct Directives<'f> {
    rest: &'f [u8],
    are_quotes_closed: bool,
}

impl<'f> Iterator for Directives<'f> {
    type Item = &'f [u8];

    fn next(&mut self) -> Option<&'f [u8]> {
        let mut end = 0;
        while let Some(&byte) = self.rest.get(end) {
            match byte {
                b',' => break,
                b'"' if self.are_quotes_closed => {
                    let length = quoted(self.rest.get(end..).unwrap_or_default());
                    self.are_quotes_closed = length.is_some();
                    end += length.unwrap_or(1);
                }
                _ => end += 1,
            }
        }
        let directive = self.rest.get(..end).filter(|_| !self.rest.is_empty())?;
        self.rest = self.rest.get(end + 1..).unwrap_or_default();
        Some(directive.trim_ascii())
    }
}

/// The length of the quoted string that text begins with; `None` when it has no end.
fn quoted(text: &[u8]) -> Option<usize> {
    let mut is_escaped = false;
    for (at, byte) in text.iter().enumerate().skip(1) {
        match byte {
            _ if is_escaped => is_escaped = false,
            b'\\' => is_escaped = true,
            b'"' => return Some(at + 1),
            _ => {}
        }
    }
    None
}

fn is_any(name: &[u8], names: &[&[u8]]) -> bool {
    names.iter().any(|other| name.eq_ignore_ascii_case(other))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[cfg(all(target_arch = "wasm32", target_os = "unknown"))]
    use wasm_bindgen_test::wasm_bindgen_test as test;

    /// What becomes of a response with this one header.
    fn after(name: &str, value: &str) -> Vec<(&'static str, String)> {
        let header = |asked: &str| (asked == name).then(|| value.as_bytes().to_vec());
        private(header)
            .map(|(name, value)| (name, String::from_utf8(value).unwrap()))
            .collect()
    }

    #[test]
    fn what_contradicts_private_goes_and_the_rest_stays() {
        let cases = [
            ("nothing there", "", "private"),
            ("public", "public", "private"),
            (
                "for shared caches",
                "public, max-age=60, s-maxage=600",
                "private, max-age=60",
            ),
            (
                "in capitals",
                "Public, S-MaxAge=1, No-Cache",
                "private, No-Cache",
            ),
            ("spaces", "s-maxage = 5 ,\tmax-age=6", "private, max-age=6"),
            ("private already", "private", "private"),
            (
                "private but for fields",
                "private=\"x, y\", no-store",
                "private, no-store",
            ),
            (
                "a quoted comma",
                "no-cache=\"set-cookie, x\", s-maxage=1",
                "private, no-cache=\"set-cookie, x\"",
            ),
            (
                "an escaped quote",
                r#"a="\", s-maxage=1", b"#,
                r#"private, a="\", s-maxage=1", b"#,
            ),
            (
                "a quote that is never closed hides nothing",
                "a=\"b, s-maxage=600, no-store",
                "private, a=\"b, no-store",
            ),
            ("a quoted number", "s-maxage=\"5\"", "private"),
            ("empty directives", ",, max-age=5 ,", "private, max-age=5"),
            ("no name", "=5, a", "private, a"),
            ("names are whole", "publicity", "private, publicity"),
            (
                "unknown ones",
                "stale-while-revalidate=9, x-own=\"1\"",
                "private, stale-while-revalidate=9, x-own=\"1\"",
            ),
        ];
        for (label, before, expected) in cases {
            let expected = [("cache-control", expected.to_owned())];
            assert_eq!(after("cache-control", before), expected, "{label}");
        }
    }

    #[test]
    fn a_field_for_one_kind_of_cache_lets_it_store_nothing() {
        let cases = [
            ("cdn-cache-control", "max-age=600", "no-store"),
            ("cloudflare-cdn-cache-control", "public", "no-store"),
            (
                "surrogate-control",
                "max-age=600, content=\"ESI/1.0\"",
                "no-store, content=\"ESI/1.0\"",
            ),
            ("edge-control", "!no-store, cache-maxage=1d", "no-store"),
            ("x-accel-expires", "3600", "0"),
            ("x-accel-expires", "@1800000000", "0"),
        ];
        for (name, before, expected) in cases {
            let expected = [
                ("cache-control", "private".to_owned()),
                (name, expected.to_owned()),
            ];
            assert_eq!(after(name, before), expected, "{name}: {before}");
        }
    }
}
