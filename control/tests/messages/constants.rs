//! The constants that messages name, with what they hold: a page says `at most 128 bytes`, as a reader
//! sees it, and changes with the constant.

use std::collections::{BTreeMap, BTreeSet};

use proc_macro2::{TokenStream, TokenTree};

/// Constants of the sources that hold a number or a text, by name.
#[derive(Debug, Default)]
pub(crate) struct Constants {
    /// Those of one file, which come before others of the same name.
    here: BTreeMap<String, String>,
    /// Those of all files, with each value that they have somewhere.
    all: BTreeMap<String, BTreeSet<String>>,
}

impl Constants {
    /// Takes in those of a file; the last one's are those that come first.
    pub(crate) fn read(&mut self, tokens: TokenStream) {
        self.here.clear();
        self.declarations(tokens);
        for (name, value) in &self.here {
            let values = self.all.entry(name.clone()).or_default();
            values.insert(value.clone());
        }
    }

    /// What a constant holds; `None`: it is no constant, or there are several of that name elsewhere.
    pub(crate) fn value(&self, name: &str) -> Option<&str> {
        let here = self.here.get(name);
        let all = || match self.all.get(name)?.first() {
            Some(value) if self.all[name].len() == 1 => Some(value),
            _ => None,
        };
        here.or_else(all).map(String::as_str)
    }

    fn declarations(&mut self, tokens: TokenStream) {
        let tokens: Vec<TokenTree> = tokens.into_iter().collect();
        for (at, token) in tokens.iter().enumerate() {
            match token {
                TokenTree::Group(group) => self.declarations(group.stream()),
                TokenTree::Ident(word) if word == "const" => {
                    if let Some((name, value)) = self.declaration(&tokens[at + 1..]) {
                        self.here.insert(name, value);
                    }
                }
                _ => {}
            }
        }
    }

    /// The name and value of `NAME: TYPE = VALUE;`.
    fn declaration(&self, tokens: &[TokenTree]) -> Option<(String, String)> {
        let TokenTree::Ident(name) = tokens.first()? else {
            return None;
        };
        let is_sign = |token: &TokenTree, sign| matches!(token, TokenTree::Punct(punct) if punct.as_char() == sign);
        let begin = tokens.iter().position(|token| is_sign(token, '='))? + 1;
        let end = tokens.iter().position(|token| is_sign(token, ';'))?;
        let value = self.evaluated(tokens.get(begin..end)?)?;
        Some((name.to_string(), value))
    }

    /// The value of a text, or of numbers multiplied and shifted from left to right.
    fn evaluated(&self, tokens: &[TokenTree]) -> Option<String> {
        if let [TokenTree::Literal(literal)] = tokens
            && let Some(text) = super::sources::unquoted(&literal.to_string())
        {
            return Some(text);
        }
        let text: String = tokens.iter().map(ToString::to_string).collect();
        let mut value = 1_u64;
        for factor in text.split('*') {
            let mut shifted = factor.split("<<");
            let mut number = self.number(shifted.next()?)?;
            for by in shifted {
                number = number.checked_shl(u32::try_from(self.number(by)?).ok()?)?;
            }
            value = value.checked_mul(number)?;
        }
        Some(value.to_string())
    }

    fn number(&self, text: &str) -> Option<u64> {
        let digits = text.replace('_', "");
        let kinds = ["usize", "u64", "u32", "u16", "u8"];
        let digits = kinds
            .iter()
            .find_map(|kind| digits.strip_suffix(kind))
            .unwrap_or(&digits);
        digits
            .parse()
            .ok()
            .or_else(|| self.here.get(text)?.parse().ok())
    }
}

#[test]
fn a_constant_is_known_by_its_value() {
    use std::str::FromStr as _;

    let mut constants = Constants::default();
    let files = [
        r#"const MAX: usize = 64 * 1024; pub(crate) const HALF: u64 = 1 << 5; const SAME: u8 = 1;"#,
        r#"impl X { const WORD: &str = "a word"; const TWICE: u64 = SIX * 2; } const SIX: u64 = 6; const SAME: u8 = 2;"#,
        r#"const SIX: u64 = 6_000; const TWICE: u64 = SIX * 2; const OF: Duration = Duration::from_secs(1);"#,
    ];
    for file in files {
        constants.read(TokenStream::from_str(file).unwrap());
    }
    for (name, value) in [
        ("MAX", Some("65536")),
        ("HALF", Some("32")),
        ("WORD", Some("a word")),
        ("SIX", Some("6000")),
        ("TWICE", Some("12000")),
        ("SAME", None),
        ("OF", None),
        ("UNKNOWN", None),
    ] {
        assert_eq!(constants.value(name), value, "{name}");
    }
}
