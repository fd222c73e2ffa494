//! What a decision may ask of a request: bytes only, and only what the configuration needs.
//!
//! Implemented by Envoy's host calls, by the `sluice` binary and by tests. [`Seen`] remembers what
//! costs a host call and is asked more than once.

use std::borrow::Cow;
use std::cell::OnceCell;

use crate::cookies::{self, MAX_SCANNED_BYTES};

/// Bytes of a request, borrowed where the host allows it.
pub type Bytes<'a> = Cow<'a, [u8]>;

/// One request, as far as a decision may see it. Every answer is stable during one decision, but
/// for [`Request::random`].
///
/// What a host does not implement, it does not have: the answer is `None`.
pub trait Request {
    /// The `:authority` or Host header, with its port if it has one.
    fn authority(&self) -> Option<Bytes<'_>> {
        None
    }
    /// The name of the virtual host that the proxy routes the request by. Istio's begin with the
    /// service's name.
    fn virtual_host(&self) -> Option<Bytes<'_>> {
        None
    }
    /// The path with its query.
    fn path(&self) -> Option<Bytes<'_>> {
        None
    }
    /// The first value of a request header; the name is in lower case. Also `:method`.
    fn header(&self, _name: &str) -> Option<Bytes<'_>> {
        None
    }
    /// A string claim of the verified JWT.
    fn claim(&self, _name: &str) -> Option<Bytes<'_>> {
        None
    }
    /// The client address that Envoy trusts, with the port if it has one.
    fn source_address(&self) -> Option<Bytes<'_>> {
        None
    }
    /// 128 bits of the host's randomness; `None` when it has none to give.
    fn random(&self) -> Option<[u8; 16]> {
        None
    }
}

/// A request, with what was asked of it once.
pub struct Seen<'r, R> {
    /// The request itself.
    pub request: &'r R,
    cookie_header: OnceCell<Option<Bytes<'r>>>,
    path: OnceCell<Option<Bytes<'r>>>,
}

impl<'r, R: Request> Seen<'r, R> {
    /// Nothing asked yet.
    pub fn new(request: &'r R) -> Self {
        Self {
            request,
            cookie_header: OnceCell::new(),
            path: OnceCell::new(),
        }
    }

    /// A cookie's value.
    pub fn cookie(&self, name: &[u8]) -> Option<&[u8]> {
        let header = self
            .cookie_header
            .get_or_init(|| self.request.header("cookie"));
        cookies::value(header.as_deref()?, name)
    }

    /// A header's value. The cookie header beyond the limit is absent, as its cookies are.
    pub fn header(&self, name: &str) -> Option<Bytes<'_>> {
        if name == "cookie" {
            let header = self
                .cookie_header
                .get_or_init(|| self.request.header("cookie"));
            return header
                .as_deref()
                .filter(|header| header.len() <= MAX_SCANNED_BYTES)
                .map(Cow::Borrowed);
        }
        self.request.header(name)
    }

    /// The path without the query; absent beyond the limit.
    pub fn path_without_query(&self) -> Option<&[u8]> {
        let path = self.path()?;
        let end = path
            .iter()
            .take(MAX_SCANNED_BYTES)
            .position(|&byte| byte == b'?');
        match end {
            Some(end) => path.get(..end),
            None => (path.len() <= MAX_SCANNED_BYTES).then_some(path),
        }
    }

    /// A query parameter's value, not percent-decoded; the first duplicate. `a` and `a=` are
    /// present and empty.
    pub fn query(&self, name: &[u8]) -> Option<&[u8]> {
        let path = self.path()?;
        let query_at = path
            .iter()
            .take(MAX_SCANNED_BYTES)
            .position(|&byte| byte == b'?')?
            + 1;
        let (scanned, is_cut) = match path.get(query_at..MAX_SCANNED_BYTES) {
            Some(scanned) => (scanned, path.len() > MAX_SCANNED_BYTES),
            None => (path.get(query_at..)?, false),
        };
        let mut pairs = scanned.split(|&byte| byte == b'&').peekable();
        while let Some(pair) = pairs.next() {
            let is_last = pairs.peek().is_none();
            if is_last && is_cut && path.get(MAX_SCANNED_BYTES) != Some(&b'&') {
                return None;
            }
            let (key, value) = split_at_equals(pair);
            if key == name {
                return Some(value);
            }
        }
        None
    }

    fn path(&self) -> Option<&[u8]> {
        self.path.get_or_init(|| self.request.path()).as_deref()
    }
}

fn split_at_equals(pair: &[u8]) -> (&[u8], &[u8]) {
    match pair.iter().position(|&byte| byte == b'=') {
        Some(at) => (
            pair.get(..at).unwrap_or_default(),
            pair.get(at + 1..).unwrap_or_default(),
        ),
        None => (pair, &[]),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[cfg(all(target_arch = "wasm32", target_os = "unknown"))]
    use wasm_bindgen_test::wasm_bindgen_test as test;

    struct Path(Vec<u8>);

    impl Request for Path {
        fn path(&self) -> Option<Bytes<'_>> {
            Some(Cow::Borrowed(&self.0))
        }
    }

    #[test]
    fn the_path_ends_at_the_query() {
        let long = [b'/'; MAX_SCANNED_BYTES + 1];
        let cases: &[(&str, &[u8], Option<&[u8]>)] = &[
            ("no query", b"/shop", Some(b"/shop")),
            ("a query", b"/shop?a=/b?c", Some(b"/shop")),
            ("nothing", b"", Some(b"")),
            ("beyond the limit", &long, None),
        ];
        for (label, path, expected) in cases {
            let path = Path(path.to_vec());
            assert_eq!(Seen::new(&path).path_without_query(), *expected, "{label}");
        }
    }

    #[test]
    fn query_parameters_are_read_as_they_stand() {
        let cases: &[(&str, &[u8], Option<&[u8]>)] = &[
            ("plain", b"/?uid=7&b=1", Some(b"7")),
            ("later", b"/?b=1&uid=7", Some(b"7")),
            ("first duplicate wins", b"/?uid=1&uid=2", Some(b"1")),
            ("no percent-decoding", b"/?uid=%37&%75id=8", Some(b"%37")),
            ("empty is present", b"/?uid=", Some(b"")),
            ("so is no value", b"/?uid", Some(b"")),
            ("value keeps its equals signs", b"/?uid=a=b", Some(b"a=b")),
            ("name must be whole", b"/?xuid=1&uidx=2", None),
            ("only in the query", b"/uid=7", None),
        ];
        for (label, path, expected) in cases {
            let path = Path(path.to_vec());
            assert_eq!(Seen::new(&path).query(b"uid"), *expected, "{label}");
        }
    }

    #[test]
    fn a_parameter_that_the_limit_cuts_is_absent() {
        let mut whole = b"/?".to_vec();
        whole.resize(MAX_SCANNED_BYTES - 6, b'x');
        whole.extend(b"&uid=7");
        assert_eq!(
            Seen::new(&Path(whole.clone())).query(b"uid"),
            Some(&b"7"[..])
        );
        whole.extend(b"&b=1");
        assert_eq!(
            Seen::new(&Path(whole.clone())).query(b"uid"),
            Some(&b"7"[..]),
            "ends exactly at the limit"
        );
        whole.insert(2, b'x');
        assert_eq!(
            Seen::new(&Path(whole)).query(b"uid"),
            None,
            "one byte is beyond"
        );
    }
}
