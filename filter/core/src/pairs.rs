//! The named values of a long cookie header or query, found in one pass.
//!
//! A short one is searched anew for each name: that allocates nothing, and few names are asked for.
//! A long one would cost as much again for each rule, so it is read once. Used by
//! [`crate::request`]; that both ways find the same is tested there.

use std::ops::Range;

/// What a search for a name gives.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Found<'t> {
    /// The first value with the name.
    Value(&'t [u8]),
    /// There is none.
    Absent,
    /// There is none within the limits, and something lies beyond them.
    Beyond,
}

/// Where the names and values of a text are, in their order.
#[derive(Debug)]
pub(crate) struct Pairs {
    pairs: Vec<(Range<u32>, Range<u32>)>,
    is_cut: bool,
}

impl Pairs {
    /// The pairs of a text, of which only so many are read; one that is no pair counts too.
    pub(crate) fn of<'t>(
        text: &'t [u8],
        mut all: impl Iterator<Item = Option<(&'t [u8], &'t [u8])>>,
        most: usize,
    ) -> Self {
        // A name and its value are parts of the text, which no request has 4 GB of.
        let begin = text.as_ptr().addr();
        let place = |part: &[u8]| {
            let at = part.as_ptr().addr().wrapping_sub(begin) as u32;
            at..at.wrapping_add(part.len() as u32)
        };
        let pairs = all.by_ref().take(most).flatten();
        let pairs = pairs.map(|(name, value)| (place(name), place(value)));
        Self {
            pairs: pairs.collect(),
            is_cut: all.next().is_some(),
        }
    }

    /// How many there are.
    pub(crate) fn len(&self) -> usize {
        self.pairs.len()
    }

    /// The first value with this name; `text` is what the pairs are of.
    pub(crate) fn find<'t>(&self, text: &'t [u8], name: &[u8]) -> Found<'t> {
        let part = |place: &Range<u32>| text.get(place.start as usize..place.end as usize);
        let mut named = self
            .pairs
            .iter()
            .filter(|(key, _)| key.len() == name.len() && part(key) == Some(name));
        match named.next().and_then(|(_, value)| part(value)) {
            Some(value) => Found::Value(value),
            None if self.is_cut => Found::Beyond,
            None => Found::Absent,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    use crate::cookies;
    #[cfg(all(target_arch = "wasm32", target_os = "unknown"))]
    use wasm_bindgen_test::wasm_bindgen_test as test;

    #[test]
    fn cookies_are_the_same_read_at_once_or_one_by_one() {
        let headers: [&[u8]; 9] = [
            b"a=1; uid=7; b=2",
            b"a=1;\t uid =\t7 ;b=2",
            b"uid=1; uid=2",
            b"uid=\"7\"",
            b"uid; uid=7",
            b"uid=",
            b";;=;uid==;",
            b"UID=1",
            b"",
        ];
        let many = [b"a=1;".repeat(cookies::MAX_COOKIES), b"uid=7".to_vec()].concat();
        let long = [b"a=".to_vec(), vec![b'x'; 40_000], b";uid=7".to_vec()].concat();
        for header in headers.into_iter().chain([many.as_slice(), &long]) {
            let pairs = Pairs::of(header, cookies::all(header), cookies::MAX_COOKIES);
            for name in [b"uid".as_slice(), b"a", b"b", b"x"] {
                let at_once = match pairs.find(header, name) {
                    Found::Value(value) => Some(value),
                    Found::Absent | Found::Beyond => None,
                };
                assert_eq!(at_once, cookies::value(header, name), "{header:?} {name:?}");
            }
        }
    }

    #[test]
    fn a_name_beyond_the_limit_is_told_from_an_absent_one() {
        let all = |text: &'static [u8]| Pairs::of(text, cookies::all(text), 2);
        assert_eq!(
            all(b"a=1;b=2;c=3").find(b"a=1;b=2;c=3", b"c"),
            Found::Beyond
        );
        assert_eq!(all(b"a=1;b=2").find(b"a=1;b=2", b"c"), Found::Absent);
    }
}
