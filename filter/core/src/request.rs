//! What a decision may ask of a request: bytes only, and only what the configuration needs.
//!
//! Implemented by Envoy's host calls, by the `sluice` binary and by tests. [`Seen`] remembers what
//! was asked, so that it is asked once, and bounds what reading a request may cost: a proxy's worker
//! must not be kept busy by one request, whatever its headers are.

mod allowance;
mod remembered;

use std::borrow::Cow;
use std::cell::{Cell, OnceCell, RefCell};

use crate::cookies::{self, MAX_SCANNED_BYTES, find_byte};
use crate::pairs::{Found, Pairs};
use crate::pattern::Expression;
use allowance::Allowance;
use remembered::{Kind, Remembered};

/// The longest value that an expression or the bucket's hash is given; a longer one is absent for
/// them. Chosen: as long as all headers of a usual request together.
pub const MAX_VALUE_BYTES: usize = 8 * 1024;

/// How many parameters of a query are looked at; see docs/limits.md.
pub const MAX_PARAMETERS: usize = 256;

/// A text up to this length is searched anew for each name.
const SHORT_BYTES: usize = 1024;

/// A longer cookie header is read into pairs from this look-up on; the first few are cheaper
/// without.
const FEW_COOKIES: u8 = 3;

/// What a call of the host costs, in steps.
const STEPS_PER_CALL: usize = 1_000;

/// How many results of expressions one request remembers. Chosen: four for each of sixteen splits.
const REMEMBERED_MATCHES: usize = 64;

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

/// A request, with what was asked of it once, and with what may still be asked.
pub struct Seen<'r, R> {
    /// The request itself.
    pub request: &'r R,
    allowance: Allowance,
    cookie_header: OnceCell<Option<Bytes<'r>>>,
    cookies_asked: Cell<u8>,
    /// The cookie that was found last, and where its value stands in the header: a rule and an identity
    /// often ask for the same one.
    last_cookie: Cell<Option<(&'r [u8], usize, usize)>>,
    path: OnceCell<Option<Bytes<'r>>>,
    path_end: OnceCell<Option<usize>>,
    remembered: Remembered<'r>,
    rare: OnceCell<Box<Rare>>,
}

/// What few requests need: those with long headers, and those that several splits ask about.
#[derive(Default)]
struct Rare {
    cookies: OnceCell<Pairs>,
    parameters: OnceCell<Pairs>,
    matches: RefCell<Vec<Match>>,
}

/// The result of an expression on a value, each by its address: both stay where they are for the
/// time of a request.
struct Match {
    expression: usize,
    value: (usize, usize),
    is_match: bool,
}

impl<'r, R: Request> Seen<'r, R> {
    /// Nothing asked yet.
    pub fn new(request: &'r R) -> Self {
        Self {
            request,
            allowance: Allowance::default(),
            cookie_header: OnceCell::new(),
            cookies_asked: Cell::new(0),
            last_cookie: Cell::new(None),
            path: OnceCell::new(),
            path_end: OnceCell::new(),
            remembered: Remembered::default(),
            rare: OnceCell::new(),
        }
    }

    /// One of so many splits begins: it gets its part of what is left.
    #[inline]
    pub(crate) fn begin_turn(&self, turns_left: u32) {
        self.allowance.begin_turn(turns_left);
    }

    /// Whether something was absent for this split only because it lies beyond a limit.
    #[inline]
    pub(crate) fn is_cut(&self) -> bool {
        self.allowance.is_cut()
    }

    /// Whether so many steps may be taken for this split; takes them.
    #[inline]
    pub(crate) fn affords(&self, steps: usize) -> bool {
        self.allowance.take(steps)
    }

    /// What must be known at any price: whose request this is. It is bounded by how few sources a
    /// split has.
    #[inline]
    pub(crate) fn at_any_price<T>(&self, read: impl FnOnce() -> T) -> T {
        let left = self.allowance.lift();
        let read = read();
        self.allowance.restore(left);
        read
    }

    /// The value, where it is no longer than an expression and the hash are given.
    #[inline]
    pub(crate) fn is_short_enough(&self, value: &[u8]) -> bool {
        let is_short_enough = value.len() <= MAX_VALUE_BYTES;
        if !is_short_enough {
            self.allowance.cut();
        }
        is_short_enough
    }

    /// Whether an expression matches a value of this request.
    pub(crate) fn is_match(&self, expression: &Expression, value: &[u8]) -> bool {
        if !self.is_short_enough(value) {
            return false;
        }
        if self.allowance.is_shared() {
            return self.is_match_remembered(expression, value);
        }
        self.affords(Expression::steps(value)) && expression.is_match(value)
    }

    /// The same, where several splits may ask the same.
    fn is_match_remembered(&self, expression: &Expression, value: &[u8]) -> bool {
        let mut matches = self.rare().matches.borrow_mut();
        let asked = (
            std::ptr::from_ref(expression).addr(),
            (value.as_ptr().addr(), value.len()),
        );
        if !self.affords(matches.len()) {
            return false;
        }
        let mut known = matches.iter();
        let known = known.find(|known| (known.expression, known.value) == asked);
        if let Some(known) = known {
            return known.is_match;
        }
        if !self.affords(Expression::steps(value)) {
            return false;
        }
        let is_match = expression.is_match(value);
        if matches.len() < REMEMBERED_MATCHES {
            matches.push(Match {
                expression: asked.0,
                value: asked.1,
                is_match,
            });
        }
        is_match
    }

    /// A cookie's value.
    pub fn cookie(&self, name: &'r [u8]) -> Option<&[u8]> {
        let header = self.cookie_header()?;
        if let Some((last, start, end)) = self.last_cookie.get()
            && last == name
        {
            return self.found(0, || {
                Found::Value(header.get(start..end).unwrap_or_default())
            });
        }
        let value = self.cookie_in(header, name)?;
        let start = value.as_ptr().addr().wrapping_sub(header.as_ptr().addr());
        let place = (name, start, start.wrapping_add(value.len()));
        self.last_cookie.set(Some(place));
        Some(value)
    }

    /// A cookie's value, where it is not the last one again.
    #[inline(always)]
    fn cookie_in<'t>(&'t self, header: &'t [u8], name: &[u8]) -> Option<&'t [u8]> {
        let asked = self.cookies_asked.get();
        let is_short =
            header.len() <= SHORT_BYTES || (header.len() <= MAX_VALUE_BYTES && asked < FEW_COOKIES);
        self.cookies_asked.set(asked.saturating_add(1));
        if is_short {
            return self.found(header.len(), || cookies::find(header, name));
        }
        let cookies = self
            .rare()
            .cookies
            .get_or_init(|| Pairs::of(header, cookies::all(header), cookies::MAX_COOKIES));
        let is_long = header.len() > MAX_SCANNED_BYTES;
        self.found(2 * cookies.len(), || match cookies.find(header, name) {
            Found::Absent if is_long => Found::Beyond,
            found => found,
        })
    }

    /// A header's value. The cookie header beyond the limit is absent, as its cookies are.
    pub fn header(&self, name: &'r str) -> Option<&[u8]> {
        if name == "cookie" {
            return self.within_limit(self.cookie_header()?);
        }
        self.remembered(Kind::Header, name, || self.request.header(name))
    }

    /// A claim's value.
    pub fn claim(&self, name: &'r str) -> Option<&[u8]> {
        self.remembered(Kind::Claim, name, || self.request.claim(name))
    }

    /// The path without the query; absent beyond the limit.
    pub fn path_without_query(&self) -> Option<&[u8]> {
        let path = self.path()?;
        match self.path_end(path) {
            Some(end) => path.get(..end),
            None => self.within_limit(path),
        }
    }

    /// A query parameter's value, not percent-decoded; the first duplicate. `a` and `a=` are
    /// present and empty.
    pub fn query(&self, name: &[u8]) -> Option<&[u8]> {
        let path = self.path()?;
        let Some(end) = self.path_end(path) else {
            self.within_limit(path)?;
            return None;
        };
        let of_path = || Pairs::of(path, parameters(path, end), MAX_PARAMETERS);
        let is_long = path.len() > MAX_SCANNED_BYTES;
        if path.len() <= SHORT_BYTES {
            return self.found(path.len(), || {
                let mut all = parameters(path, end);
                let mut named = all.by_ref().take(MAX_PARAMETERS).flatten();
                match named.find(|(key, _)| *key == name) {
                    Some((_, value)) => Found::Value(value),
                    None if all.next().is_some() => Found::Beyond,
                    None => Found::Absent,
                }
            });
        }
        let parameters = self.rare().parameters.get_or_init(of_path);
        self.found(2 * parameters.len(), || match parameters.find(path, name) {
            Found::Absent if is_long => Found::Beyond,
            found => found,
        })
    }

    /// Looks for something at a price.
    #[inline(always)]
    fn found<'t>(&self, steps: usize, look: impl FnOnce() -> Found<'t>) -> Option<&'t [u8]> {
        if !self.affords(16 + steps) {
            return None;
        }
        match look() {
            Found::Value(value) => Some(value),
            Found::Absent => None,
            Found::Beyond => {
                self.allowance.cut();
                None
            }
        }
    }

    #[cold]
    fn rare(&self) -> &Rare {
        self.rare.get_or_init(Box::default)
    }

    fn within_limit<'t>(&self, text: &'t [u8]) -> Option<&'t [u8]> {
        let is_within = text.len() <= MAX_SCANNED_BYTES;
        if !is_within {
            self.allowance.cut();
        }
        is_within.then_some(text)
    }

    fn remembered(
        &self,
        kind: Kind,
        name: &'r str,
        ask: impl FnOnce() -> Option<Bytes<'r>>,
    ) -> Option<&[u8]> {
        let (known, place) = self.remembered.find(kind, name);
        if !self.affords(8 * place + 16) {
            return None;
        }
        if let Some(value) = known {
            return value;
        }
        if !self.affords(STEPS_PER_CALL) {
            return None;
        }
        let value = self.remembered.add(kind, name, ask())?;
        self.affords(value.len() / 4).then_some(value)
    }

    fn cookie_header(&self) -> Option<&[u8]> {
        let header = self
            .cookie_header
            .get_or_init(|| self.request.header("cookie"));
        header.as_deref()
    }

    fn path(&self) -> Option<&[u8]> {
        self.path.get_or_init(|| self.request.path()).as_deref()
    }

    /// Where the path ends and the query begins, within the limit.
    fn path_end(&self, path: &[u8]) -> Option<usize> {
        let scanned = path.get(..MAX_SCANNED_BYTES).unwrap_or(path);
        *self.path_end.get_or_init(|| find_byte::<b'?'>(scanned))
    }
}

/// The parameters of a query that begins after `end`, by name and value; without the one that the
/// limit cuts.
fn parameters(path: &[u8], end: usize) -> impl Iterator<Item = Option<(&[u8], &[u8])>> {
    let scanned = path.get(end + 1..path.len().min(MAX_SCANNED_BYTES));
    let is_cut = path
        .get(MAX_SCANNED_BYTES)
        .is_some_and(|&next| next != b'&');
    let mut pairs = scanned
        .unwrap_or_default()
        .split(|&byte| byte == b'&')
        .peekable();
    std::iter::from_fn(move || {
        let pair = pairs.next()?;
        let is_last = pairs.peek().is_none();
        (!is_last || !is_cut).then(|| Some(split_at_equals(pair)))
    })
}

fn split_at_equals(pair: &[u8]) -> (&[u8], &[u8]) {
    match pair.iter().position(|&byte| byte == b'=') {
        Some(at) => (
            pair.get(..at).unwrap_or_default(),
            pair.get(at + 1..).unwrap_or_default(),
        ),
        None => pair.split_at(pair.len()),
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
    fn a_long_query_is_read_as_a_short_one() {
        let mut path = b"/?a&uid=7&uid=8&b=".to_vec();
        path.resize(SHORT_BYTES + 1, b'x');
        let long = Path(path);
        let seen = Seen::new(&long);
        let cases: [(&[u8], Option<&[u8]>); 4] = [
            (b"uid", Some(b"7")),
            (b"a", Some(b"")),
            (b"c", None),
            (b"", None),
        ];
        for (name, expected) in cases {
            assert_eq!(seen.query(name), expected, "{name:?}");
        }
        assert_eq!(seen.query(b"b").map(<[u8]>::len), Some(SHORT_BYTES - 17));
        assert!(!seen.is_cut());
    }

    #[test]
    fn a_parameter_beyond_the_number_is_absent_and_that_is_said() {
        let before = b"a&".repeat(MAX_PARAMETERS);
        let path = Path([b"/?".to_vec(), before, b"uid=7".to_vec()].concat());
        for path in [path.0.clone(), [path.0, vec![b'x'; SHORT_BYTES]].concat()] {
            let path = Path(path);
            let seen = Seen::new(&path);
            assert_eq!(seen.query(b"uid"), None);
            assert!(seen.is_cut());
        }
    }

    /// A request with one header for every name, which counts how often it is asked.
    #[derive(Default)]
    struct Asked {
        value: Vec<u8>,
        times: Cell<usize>,
    }

    impl Request for Asked {
        fn header(&self, _: &str) -> Option<Bytes<'_>> {
            self.times.set(self.times.get() + 1);
            Some(Cow::Borrowed(&self.value))
        }
        fn claim(&self, _: &str) -> Option<Bytes<'_>> {
            self.header("")
        }
    }

    #[test]
    fn a_host_is_asked_once_for_each_header_and_claim() {
        let request = Asked::default();
        let seen = Seen::new(&request);
        for _ in 0..3 {
            for name in ["a", "b", "cookie"] {
                assert_eq!(seen.header(name), Some(&b""[..]));
                assert_eq!(seen.claim(name), Some(&b""[..]));
            }
            assert_eq!(seen.cookie(b"a"), None);
        }
        assert_eq!(request.times.get(), 6);
    }

    #[test]
    fn the_cookie_that_was_found_last_is_found_again_for_little() {
        let request = Asked {
            value: b"b=\"2\"; a=1; c=".to_vec(),
            ..Asked::default()
        };
        let seen = Seen::new(&request);
        let price = |name: &'static [u8], expected: Option<&[u8]>| {
            let before = seen.allowance.left();
            assert_eq!(seen.cookie(name), expected, "{name:?}");
            before - seen.allowance.left()
        };
        let prices = [
            price(b"b", Some(b"2")),
            price(b"b", Some(b"2")),
            price(b"a", Some(b"1")),
            price(b"x", None),
            price(b"a", Some(b"1")),
            price(b"c", Some(b"")),
            price(b"c", Some(b"")),
            price(b"b", Some(b"2")),
        ];
        assert_eq!(prices, [30, 16, 30, 30, 16, 30, 16, 30]);
    }

    #[test]
    fn a_long_value_is_absent_for_expressions_only() {
        let mut patterns = crate::pattern::Patterns::default();
        let expression = patterns.compile("(a|b)*").unwrap();
        for (length, is_match) in [(MAX_VALUE_BYTES, true), (MAX_VALUE_BYTES + 1, false)] {
            let request = Asked {
                value: vec![b'a'; length],
                ..Asked::default()
            };
            let seen = Seen::new(&request);
            let value = seen.header("x").unwrap();
            assert_eq!(value.len(), length);
            assert_eq!(seen.is_match(&expression, value), is_match);
            assert_eq!(seen.is_cut(), !is_match);
        }
    }

    #[test]
    fn a_request_stops_being_read_when_its_allowance_is_used_up() {
        let request = Asked::default();
        let seen = Seen::new(&request);
        let names: Vec<String> = (0..1_000).map(|number| number.to_string()).collect();
        let read = names.iter().filter(|name| seen.header(name).is_some());
        assert_eq!(read.count(), 214);
        assert_eq!(request.times.get(), 214);
        assert!(seen.is_cut());
        let identity = seen.at_any_price(|| seen.claim("sub").is_some());
        assert!(identity, "whose request it is, is read all the same");
        seen.begin_turn(1);
        assert!(!seen.is_cut(), "the next split says for itself");
        assert_eq!(seen.header("another"), None, "and has what is left");
    }

    #[test]
    fn every_split_of_a_host_has_its_part_of_the_allowance() {
        let request = Asked::default();
        let seen = Seen::new(&request);
        let names: Vec<Vec<String>> = (0..4)
            .map(|split| (0..1_000).map(|name| format!("{split} {name}")).collect())
            .collect();
        let mut read = Vec::new();
        for (names, turns_left) in names.iter().zip([4, 3, 2, 1]) {
            seen.begin_turn(turns_left);
            let mut asked = 0;
            // The third is content with little, and leaves more to the last.
            let wanted = if turns_left == 2 { 5 } else { 1_000 };
            for name in names.iter().take(wanted) {
                asked += usize::from(seen.header(name).is_some());
            }
            read.push(asked);
        }
        assert_eq!(read, [75, 54, 5, 79]);
    }

    #[test]
    fn an_expression_meets_a_value_once_for_all_splits() {
        let mut patterns = crate::pattern::Patterns::default();
        let expression = patterns.compile("(a|b)*").unwrap();
        let request = Asked {
            value: vec![b'a'; 4_000],
            ..Asked::default()
        };
        let seen = Seen::new(&request);
        let price = |turns_left| {
            seen.begin_turn(turns_left);
            let before = seen.allowance.left();
            let value = seen.header("x").unwrap();
            assert!(seen.is_match(&expression, value));
            before - seen.allowance.left()
        };
        assert_eq!([price(3), price(2), price(1)], [14_048, 17, 17]);
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
