//! Reads the paths that a source file names: `crate::a::{b, c::D}`, `super::a`, and those of its
//! own children.

/// A path that a file names, from the root of its package.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Named {
    /// Counted from 1.
    pub(crate) line: usize,
    /// The modules and the item.
    pub(crate) path: Vec<String>,
}

/// The paths of the file's own package: `own` is the file's module.
pub(crate) fn of(text: &str, own: &[String]) -> Vec<Named> {
    let tokens = tokens(text);
    let children = declared_modules(&tokens);
    let mut named = Vec::new();
    for (at, token) in tokens.iter().enumerate() {
        let is_first = at == 0 || tokens[at - 1].text != "::";
        if !is_first || tokens.get(at + 1).is_none_or(|next| next.text != "::") {
            continue;
        }
        let begin = match token.text.as_str() {
            "crate" => Vec::new(),
            "self" => own.to_vec(),
            "super" => own[..own.len().saturating_sub(1)].to_vec(),
            child if children.iter().any(|name| name == child) && !is_handed_on(&tokens, at) => {
                [own, &[child.to_owned()]].concat()
            }
            _ => continue,
        };
        tree(&tokens, at + 2, &begin, &mut named);
    }
    named
}

/// The packages that a file names, of those that are asked for.
pub(crate) fn packages(text: &str, names: &[&str]) -> Vec<(usize, String)> {
    let tokens = tokens(text);
    let is_package = |at: &usize| {
        let is_first = *at == 0 || tokens[*at - 1].text != "::";
        let leads_on = tokens.get(at + 1).is_some_and(|next| next.text == "::");
        is_first && leads_on && names.contains(&tokens[*at].text.as_str())
    };
    let at = (0..tokens.len()).filter(is_package);
    at.map(|at| (tokens[at].line, tokens[at].text.clone()))
        .collect()
}

/// A word, `::`, or another character.
#[derive(Clone, Debug)]
struct Token {
    line: usize,
    text: String,
}

/// What is left of a text without comments, strings, and the unit tests at its end.
fn tokens(text: &str) -> Vec<Token> {
    let end = text.find("#[cfg(test)]\nmod tests {").unwrap_or(text.len());
    let text: Vec<char> = text[..end].chars().collect();
    let starts = |at: usize, with: &str| {
        with.chars()
            .enumerate()
            .all(|(i, c)| text.get(at + i) == Some(&c))
    };
    let (mut tokens, mut at, mut line) = (Vec::new(), 0, 1);
    while at < text.len() {
        let begin = at;
        if starts(at, "//") {
            at = (at..text.len())
                .find(|&at| text[at] == '\n')
                .unwrap_or(text.len());
        } else if text[at] == '"' {
            at = end_of_string(&text, at);
        } else if starts(at, "r\"") || starts(at, "r#\"") {
            at = end_of_raw_string(&text, at);
        } else if starts(at, "'\"'") || starts(at, "'\\\"'") {
            at += if text[at + 1] == '\\' { 4 } else { 3 };
        } else if starts(at, "::") {
            at += 2;
        } else if text[at].is_alphanumeric() || text[at] == '_' {
            while text
                .get(at)
                .is_some_and(|c| c.is_alphanumeric() || *c == '_')
            {
                at += 1;
            }
        } else {
            at += 1;
        }
        let taken: String = text[begin..at].iter().collect();
        let is_dropped = taken.trim().is_empty() || taken.starts_with("//") || taken.contains('"');
        if !is_dropped {
            tokens.push(Token {
                line,
                text: taken.clone(),
            });
        }
        line += taken.matches('\n').count();
    }
    tokens
}

fn end_of_string(text: &[char], begin: usize) -> usize {
    let mut at = begin + 1;
    while at < text.len() && text[at] != '"' {
        at += if text[at] == '\\' { 2 } else { 1 };
    }
    (at + 1).min(text.len())
}

fn end_of_raw_string(text: &[char], begin: usize) -> usize {
    let hashes = text[begin + 1..].iter().take_while(|c| **c == '#').count();
    let closes = |at: &usize| {
        text[*at] == '"'
            && text[at + 1..]
                .iter()
                .take(hashes)
                .filter(|c| **c == '#')
                .count()
                == hashes
    };
    let first = begin + hashes + 2;
    (first..text.len())
        .find(closes)
        .map_or(text.len(), |at| at + 1 + hashes)
}

/// The modules that a file declares: `mod a;`.
fn declared_modules(tokens: &[Token]) -> Vec<String> {
    let declarations = tokens
        .windows(3)
        .filter(|three| three[0].text == "mod" && three[2].text == ";");
    declarations.map(|three| three[1].text.clone()).collect()
}

/// Whether the path at a token is a re-export: `pub use`, `pub(crate) use`.
fn is_handed_on(tokens: &[Token], at: usize) -> bool {
    at >= 2 && tokens[at - 1].text == "use" && ["pub", ")"].contains(&tokens[at - 2].text.as_str())
}

/// Adds the paths that begin with `begin` and go on at a token; gives the token behind them.
fn tree(tokens: &[Token], at: usize, begin: &[String], named: &mut Vec<Named>) -> usize {
    let Some(token) = tokens.get(at) else {
        return at;
    };
    if token.text == "{" {
        let mut at = at + 1;
        while tokens.get(at).is_some_and(|token| token.text != "}") {
            at = if tokens[at].text == "," {
                at + 1
            } else {
                tree(tokens, at, begin, named)
            };
        }
        return at + 1;
    }
    let path = match token.text.as_str() {
        "super" => begin[..begin.len().saturating_sub(1)].to_vec(),
        "self" => begin.to_vec(),
        name => [begin, &[name.to_owned()]].concat(),
    };
    if tokens.get(at + 1).is_some_and(|next| next.text == "::") {
        return tree(tokens, at + 2, &path, named);
    }
    named.push(Named {
        line: token.line,
        path,
    });
    // `as other` names nothing more.
    let is_renamed = tokens.get(at + 1).is_some_and(|next| next.text == "as");
    if is_renamed { at + 3 } else { at + 1 }
}

#[cfg(test)]
mod tests {
    use super::of;

    fn named(text: &str, own: &str) -> Vec<String> {
        let own: Vec<String> = own.split("::").map(str::to_owned).collect();
        let shown = of(text, &own);
        shown
            .into_iter()
            .map(|named| format!("{} {}", named.line, named.path.join("::")))
            .collect()
    }

    #[test]
    fn paths_are_read_from_uses_groups_and_bodies() {
        for (label, text, expected) in [
            ("a use", "use crate::a::B;", vec!["1 a::B"]),
            (
                "a group over lines",
                "use crate::{\n  a::B,\n  c::{self, D as E},\n};",
                vec!["2 a::B", "3 c", "3 c::D"],
            ),
            ("a body", "fn f() {\n  crate::a::b();\n}", vec!["2 a::b"]),
            ("a sibling", "use super::z;", vec!["1 x::z"]),
            ("an uncle", "use super::super::z::A;", vec!["1 z::A"]),
            ("a child", "mod c;\nuse c::D;", vec!["2 x::y::c::D"]),
            ("a child by self", "use self::c::D;", vec!["1 x::y::c::D"]),
            ("what is handed on", "mod c;\npub(crate) use c::D;", vec![]),
            ("another package", "use other::crate_::A;", vec![]),
            (
                "a comment",
                "// crate::a\n/// [`crate::b`]\nfn f() {}",
                vec![],
            ),
            (
                "strings",
                "f(\"crate::a \\\" crate::b\", r#\"crate::c\" crate::d\"#, '\"'); crate::e::f();",
                vec!["1 e::f"],
            ),
            (
                "unit tests",
                "fn f() {}\n#[cfg(test)]\nmod tests {\n  use crate::a::B;\n}",
                vec![],
            ),
        ] {
            assert_eq!(named(text, "x::y"), expected, "{label}");
        }
    }
}
