//! What the sources say of trouble: every literal of at least three words, but for what a rule below
//! leaves out. So whoever writes a further message, in whatever way, has it found.
//!
//! A reader of tokens, not a compiler: it sees in which attribute, macro or call a literal stands.

use std::collections::BTreeMap;
use std::path::Path;
use std::str::FromStr as _;

use proc_macro2::{Delimiter, Literal, TokenStream, TokenTree};

use crate::constants::Constants;
use crate::wording;

const FOLDERS: [&str; 4] = [
    "control/src",
    "filter/core/src",
    "filter/native/src",
    "filter/wasm/src",
];

/// Subjects whose words are no refusals: `doctor` has a page of its own that a test holds, each note
/// of an import says itself what to write instead, and the others are figures, completion, comments
/// of what is rendered, the playground's pages, the log's own page, a child whose parent is gone, and
/// what only tests and fuzzers run.
const LEFT_OUT: [&str; 12] = [
    "/completion",
    "/crd.rs",
    "/demo",
    "/doctor",
    "/fake",
    "/fuzzing",
    "/import",
    "/leash.rs",
    "/logged.rs",
    "/metrics",
    "/receiver.rs",
    "/render/native.rs",
];

/// Macros and calls whose text is code, a lookup, a figure's help, or a bug's last words.
const NO_WORDS: [&str; 22] = [
    "assert",
    "assert_eq",
    "codes",
    "column",
    "concat",
    "contains",
    "ends_with",
    "env",
    "expect",
    "gauge",
    "json",
    "json_schema",
    "matches",
    "names",
    "option_env",
    "panic",
    "pointer",
    "register",
    "starts_with",
    "strip_prefix",
    "trim_start_matches",
    "unreachable",
];

/// `command` prints results too; of its words, only those in one of these are of trouble.
const TROUBLE: [&str; 13] = [
    "Err",
    "anyhow",
    "bail",
    "context",
    "ensure",
    "map_err",
    "note",
    "ok_or",
    "ok_or_else",
    "problem",
    "refused",
    "report",
    "with_context",
];

/// What only code has: conditions of CEL, queries, and what a format calls itself.
const CODE: [&str; 4] = [
    " && ",
    "increase(",
    "metadata.filter_metadata",
    "cosign container image signature",
];

/// Every message, and a file that says it.
pub(crate) fn messages(root: &Path) -> BTreeMap<String, String> {
    let mut found = BTreeMap::new();
    let files = files(root);
    let mut constants = Constants::default();
    for tokens in files.values() {
        constants.read(tokens.clone());
    }
    for (file, tokens) in files {
        if LEFT_OUT.iter().any(|subject| file.contains(subject)) {
            continue;
        }
        constants.read(tokens.clone());
        let is_of_command = file.starts_with("control/src/command");
        for message in of(tokens, is_of_command, &constants) {
            found.insert(message, file.clone());
        }
    }
    found
}

/// The sources but tests, by their paths.
fn files(root: &Path) -> BTreeMap<String, TokenStream> {
    let mut files = BTreeMap::new();
    for folder in FOLDERS {
        for path in crate::files(&root.join(folder), ".rs") {
            let file = path.strip_prefix(root).unwrap().display().to_string();
            if !file.ends_with("/tests.rs") && !file.contains("/tests/") {
                let text = std::fs::read_to_string(&path).unwrap();
                files.insert(file, TokenStream::from_str(&text).unwrap());
            }
        }
    }
    files
}

/// The messages of one file.
fn of(tokens: TokenStream, is_of_command: bool, constants: &Constants) -> Vec<String> {
    let mut reader = Reader {
        is_of_command,
        constants,
        within: Vec::new(),
        found: Vec::new(),
    };
    reader.read(tokens);
    reader.found
}

struct Reader<'c> {
    is_of_command: bool,
    constants: &'c Constants,
    /// The names before the brackets around a token, the outermost first.
    within: Vec<String>,
    found: Vec<String>,
}

impl Reader<'_> {
    fn read(&mut self, tokens: TokenStream) {
        let tokens: Vec<TokenTree> = tokens.into_iter().collect();
        let mut next = 0;
        while let Some(token) = tokens.get(next) {
            if is_sign(token, '#') {
                next = self.attribute(&tokens, next);
                continue;
            }
            match token {
                TokenTree::Literal(literal) => self.literal(literal),
                TokenTree::Group(group) => {
                    self.within.push(name_before(&tokens[..next]));
                    self.read(group.stream());
                    self.within.pop();
                }
                TokenTree::Ident(_) | TokenTree::Punct(_) => {}
            }
            next += 1;
        }
    }

    /// Reads an attribute, and says where to go on: behind what only tests have.
    fn attribute(&mut self, tokens: &[TokenTree], at: usize) -> usize {
        let is_inner = tokens.get(at + 1).is_some_and(|token| is_sign(token, '!'));
        let behind = at + 2 + usize::from(is_inner);
        let Some(TokenTree::Group(group)) = tokens.get(behind - 1) else {
            return at + 1;
        };
        let text = group.stream().to_string();
        if text.starts_with("error") {
            self.within.push("error".to_owned());
            self.read(group.stream());
            self.within.pop();
        }
        if text != "cfg (test)" && text != "cfg(test)" {
            return behind;
        }
        let is_end = |token: &TokenTree| match token {
            TokenTree::Group(group) => group.delimiter() == Delimiter::Brace,
            other => is_sign(other, ';'),
        };
        let item = tokens.iter().skip(behind);
        behind + item.take_while(|token| !is_end(token)).count() + 1
    }

    fn literal(&mut self, literal: &Literal) {
        let Some(text) = unquoted(&literal.to_string()) else {
            return;
        };
        let is_in = |names: &[&str]| self.within.iter().any(|name| names.contains(&&**name));
        let is_of_error = is_in(&["error"]);
        if is_in(&NO_WORDS) || (self.is_of_command && !is_of_error && !is_in(&TROUBLE)) {
            return;
        }
        let shown = wording::shown(&text, |name| self.constants.value(name));
        // What begins with a sign goes on with another message.
        let is_rest = shown.starts_with([',', ';', ':', '(', '#', '|', '!', '<']);
        let is_code = CODE.iter().any(|code| text.contains(code));
        if is_rest || is_code || !wording::is_prose(&shown) {
            return;
        }
        // The half of a problem that stands behind what was found.
        let is_half = is_in(&["Accepted::value", "Accepted::rule"]);
        let before = if is_half { "…; accepted: " } else { "" };
        self.found.push(format!("{before}{shown}"));
    }
}

fn is_sign(token: &TokenTree, sign: char) -> bool {
    matches!(token, TokenTree::Punct(punct) if punct.as_char() == sign)
}

/// The name of the macro or call whose bracket follows these tokens, with its type where that is
/// `Accepted`; empty: there is none.
fn name_before(tokens: &[TokenTree]) -> String {
    let is_of_accepted = matches!(tokens, [.., TokenTree::Ident(of), _, _, _] if of == "Accepted");
    let mut tokens = tokens.iter().rev();
    match tokens.next() {
        Some(TokenTree::Ident(name)) if is_of_accepted => format!("Accepted::{name}"),
        Some(TokenTree::Ident(name)) => name.to_string(),
        Some(sign) if is_sign(sign, '!') => match tokens.next() {
            Some(TokenTree::Ident(name)) => name.to_string(),
            _ => String::new(),
        },
        _ => String::new(),
    }
}

/// The text of a literal of the source, where it is one of text.
pub(crate) fn unquoted(literal: &str) -> Option<String> {
    let raw = literal.trim_start_matches(['b', 'c']);
    if let Some(hashed) = raw.strip_prefix('r') {
        let inner = hashed.trim_matches('#').strip_prefix('"')?;
        return inner.strip_suffix('"').map(str::to_owned);
    }
    let mut letters = raw.strip_prefix('"')?.strip_suffix('"')?.chars().peekable();
    let mut text = String::new();
    while let Some(letter) = letters.next() {
        if letter != '\\' {
            text.push(letter);
            continue;
        }
        match letters.next()? {
            'n' => text.push('\n'),
            't' => text.push('\t'),
            // A line that goes on: its beginning's spaces are not there.
            '\n' => while letters.next_if(|letter| letter.is_whitespace()).is_some() {},
            other => text.push(other),
        }
    }
    Some(text)
}

#[test]
fn a_message_is_found_however_it_is_made() {
    let source = r##"
        #[error("{path}: cannot be read")]
        fn f() { bail!("there is no\
             such {thing:?}"); Err(r#"so it "is" not"#) }
        fn e() { let accepted = Accepted::value(format!("{one} of the two")); }
        #[cfg(test)]
        mod tests { fn g() { bail!("words of a test") } }
        fn h() { json!("words of a query"); log(&format!("too many of them: {}", 1)) }
        const MAX: usize = 64 << 10; fn i() { bail!("at most {MAX} of {KIND}") }
    "##;
    let tokens = TokenStream::from_str(source).unwrap();
    let expected = [
        "PATH: cannot be read",
        "there is nosuch \"THING\"",
        "so it \"is\" not",
        "…; accepted: ONE of the two",
        "too many of them: …",
        "at most 65536 of KIND",
    ];
    let mut constants = Constants::default();
    constants.read(tokens.clone());
    assert_eq!(of(tokens.clone(), false, &constants), expected);
    let of_a_command = [expected[0], expected[1], expected[2], expected[5]];
    assert_eq!(of(tokens, true, &constants), of_a_command);
}
