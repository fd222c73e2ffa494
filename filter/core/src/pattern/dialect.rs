//! Where the regular expressions of RE2 (Envoy, Istio) and of Rust part: each point is named, found
//! in an expression by one pass over its bytes, and refused, because a rule must mean the same in a
//! route and in the filter.
//!
//! Both engines were run on each point (2026-11-20: RE2 of Envoy 1.40, Rust's regex 1.13).

/// The most repetitions RE2 accepts.
const MAX_REPEAT: u32 = 1_000;

/// A point on which RE2 and Rust disagree.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Disagreement {
    /// `\<` and `\>`.
    AngleEscape,
    /// `\b{…}`.
    BracedBoundary,
    /// `\Q` and `\E`.
    Quoting,
    /// `\C`.
    AnyByte,
    /// `\u` and `\U`.
    UnicodeEscape,
    /// `\1`, `\012`.
    OctalOrBackreference,
    /// `(?x)`, `(?u)`, `(?R)`.
    Flag,
    /// `[[a]`.
    NestedClass,
    /// `[a&&b]`, `[a--b]`, `[a~~b]`.
    SetOperation,
    /// `a**`.
    RepeatedRepetition,
    /// `a{1001}`.
    ManyRepetitions,
}

impl Disagreement {
    /// What was found, and how each reads it.
    pub const fn found(self) -> &'static str {
        match self {
            Self::AngleEscape => r"\< or \>, a literal in RE2 and a word boundary in Rust",
            Self::BracedBoundary => r"\b{…}, which RE2 reads as a repetition",
            Self::Quoting => r"\Q or \E, which only RE2 knows",
            Self::AnyByte => r"\C, which only RE2 knows",
            Self::UnicodeEscape => r"\u, which only Rust knows",
            Self::OctalOrBackreference => "an octal escape or a backreference",
            Self::Flag => "a flag that only Rust knows",
            Self::NestedClass => "[ inside a character class, a nested class in Rust",
            Self::SetOperation => "&&, -- or ~~ inside a character class, set operations in Rust",
            Self::RepeatedRepetition => "a repetition of a repetition, which RE2 refuses",
            Self::ManyRepetitions => "more than 1000 repetitions, which RE2 refuses",
        }
    }

    /// What to write instead.
    pub const fn instead(self) -> &'static str {
        match self {
            Self::AngleEscape => "write < or > without the backslash",
            Self::BracedBoundary => r"\b alone",
            Self::Quoting => "escape each character",
            Self::AnyByte => ".",
            Self::UnicodeEscape | Self::OctalOrBackreference => r"\x{…}",
            Self::Flag => "the flags i, m, s, U",
            Self::NestedClass => r"\[",
            Self::SetOperation => "write the character once, or escape it",
            Self::RepeatedRepetition => "put the inner one in (?:…)",
            Self::ManyRepetitions => "at most 1000",
        }
    }
}

/// The first point in an expression on which RE2 and Rust disagree.
pub(super) fn disagreement(pattern: &[u8]) -> Option<Disagreement> {
    let mut rest = pattern;
    let mut after_quantifier = false;
    while let Some((&byte, after)) = rest.split_first() {
        let was_quantifier = std::mem::take(&mut after_quantifier);
        rest = match byte {
            b'\\' => {
                let (escaped, after) = after.split_first()?;
                if let Some(disagreement) = escape_disagreement(*escaped, after) {
                    return Some(disagreement);
                }
                after
            }
            b'[' => match class_end(after) {
                Ok(after) => after,
                Err(disagreement) => return Some(disagreement),
            },
            b'(' if after.starts_with(b"?") => {
                match flags_disagreement(after.get(1..).unwrap_or_default()) {
                    Some(disagreement) => return Some(disagreement),
                    None => after,
                }
            }
            b'*' | b'+' | b'{' if was_quantifier => {
                return Some(Disagreement::RepeatedRepetition);
            }
            b'?' if was_quantifier => after,
            b'*' | b'+' | b'?' => {
                after_quantifier = true;
                after
            }
            b'{' => {
                let end = after
                    .iter()
                    .position(|&byte| byte == b'}')
                    .unwrap_or(after.len());
                let (counts, after) = after.split_at(end);
                let is_too_many = counts
                    .split(|&byte| byte == b',')
                    .filter_map(|count| std::str::from_utf8(count).ok()?.trim().parse::<u32>().ok())
                    .any(|count| count > MAX_REPEAT);
                if is_too_many {
                    return Some(Disagreement::ManyRepetitions);
                }
                after_quantifier = true;
                after.get(1..).unwrap_or_default()
            }
            _ => after,
        };
    }
    None
}

fn escape_disagreement(escaped: u8, after: &[u8]) -> Option<Disagreement> {
    match escaped {
        b'<' | b'>' => Some(Disagreement::AngleEscape),
        b'b' | b'B' if after.starts_with(b"{") => Some(Disagreement::BracedBoundary),
        b'Q' | b'E' => Some(Disagreement::Quoting),
        b'C' => Some(Disagreement::AnyByte),
        b'u' | b'U' => Some(Disagreement::UnicodeEscape),
        b'0'..=b'9' => Some(Disagreement::OctalOrBackreference),
        _ => None,
    }
}

fn flags_disagreement(after_question: &[u8]) -> Option<Disagreement> {
    after_question
        .iter()
        .take_while(|byte| byte.is_ascii_alphabetic() || **byte == b'-')
        .find_map(|flag| match flag {
            b'P' => None,
            b'x' | b'u' | b'R' => Some(Disagreement::Flag),
            _ => None,
        })
        .filter(|_| !after_question.starts_with(b"P") && !after_question.starts_with(b"<"))
}

/// What follows a character class whose content begins `class`.
fn class_end(class: &[u8]) -> Result<&[u8], Disagreement> {
    let content = class.strip_prefix(b"^").unwrap_or(class);
    let mut rest = content.strip_prefix(b"]").unwrap_or(content);
    while let Some((&byte, after)) = rest.split_first() {
        rest = match byte {
            b']' => return Ok(after),
            b'\\' => after.get(1..).unwrap_or_default(),
            b'[' if after.starts_with(b":") => match after.iter().position(|&byte| byte == b']') {
                Some(end) => after.get(end + 1..).unwrap_or_default(),
                None => return Ok(&[]),
            },
            b'[' => return Err(Disagreement::NestedClass),
            b'&' | b'~' | b'-' if after.first() == Some(&byte) => {
                return Err(Disagreement::SetOperation);
            }
            _ => after,
        };
    }
    Ok(&[])
}
