//! What a look at a cluster finds: how bad it is, where it is, what was found, what is accepted, and
//! how it is mended.
//!
//! Which findings there are is [`super::codes`]; when there is one, the file of its subject says.

use serde::Serialize;

use super::codes::Code;
use super::subjects::{Severity, Subject};

/// How many findings of one code are kept; the others are counted. Chosen: more than anybody mends at
/// once.
pub const MAX_FINDINGS_OF_A_CODE: usize = 20;

/// How long a text of a finding is, in characters. Chosen: some sentences.
pub const MAX_FINDING_CHARS: usize = 600;

/// One finding; serialized, it is an entry of the JSON of `sluice doctor`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Finding {
    /// How bad it is.
    pub severity: Severity,
    /// Which it is; it stays the same from version to version.
    pub code: Code,
    /// What was looked at.
    pub subject: Subject,
    /// The object, such as `WasmPlugin shop/sluice`.
    pub place: String,
    /// What was found there.
    pub found: String,
    /// What is accepted.
    pub accepted: String,
    /// What mends it: a command, or lines to put somewhere.
    pub mend: String,
}

impl Finding {
    /// A finding, with its code's severity and the mend that the code has for everybody.
    pub fn new(
        code: Code,
        place: impl Into<String>,
        found: impl Into<String>,
        accepted: impl Into<String>,
    ) -> Self {
        Self {
            severity: code.severity(),
            code,
            subject: code.subject(),
            place: bounded(place.into()),
            found: bounded(found.into()),
            accepted: bounded(accepted.into()),
            mend: code.mend().to_owned(),
        }
    }

    /// The same with a mend that names this very object.
    pub fn mended_by(mut self, mend: impl Into<String>) -> Self {
        self.mend = bounded(mend.into());
        self
    }
}

/// A text of other people's objects, up to a length.
pub fn bounded(mut text: String) -> String {
    if let Some((at, _)) = text.char_indices().nth(MAX_FINDING_CHARS) {
        text.truncate(at);
        text.push('…');
    }
    text
}

/// Some names, the first of them in full and the others counted: `a, b and 3 more`.
pub fn named<T: AsRef<str>>(names: &[T]) -> String {
    const SHOWN: usize = 5;
    let shown: Vec<&str> = names.iter().take(SHOWN).map(AsRef::as_ref).collect();
    match names.len().saturating_sub(SHOWN) {
        0 => shown.join(", "),
        more => format!("{} and {more} more", shown.join(", ")),
    }
}

/// A number with its noun: `1 proxy`, `2 proxies`.
pub fn count(number: usize, one: &str, many: &str) -> String {
    match number {
        1 => format!("1 {one}"),
        number => format!("{number} {many}"),
    }
}

/// What a look at one subject came to.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Look {
    /// What is wrong, or should be known.
    pub findings: Vec<Finding>,
    /// What was looked at and is good, a phrase each.
    pub good: Vec<String>,
}

impl Look {
    /// Adds a finding.
    pub fn find(&mut self, finding: Finding) {
        self.findings.push(finding);
    }

    /// Says that something was looked at and is good.
    pub fn praise(&mut self, good: impl Into<String>) {
        self.good.push(bounded(good.into()));
    }

    /// That something could not be looked at: no reason to stop.
    pub fn miss(&mut self, place: impl Into<String>, why: impl std::fmt::Display) {
        let accepted = "an answer, to somebody who may ask";
        self.find(Finding::new(
            Code::NotLookedAt,
            place,
            format!("not looked at: {why}"),
            accepted,
        ));
    }

    /// Adds what another look came to.
    pub fn join(&mut self, other: Self) {
        self.findings.extend(other.findings);
        self.good.extend(other.good);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_of_findings_have_a_longest_length() {
        let longest = "é".repeat(MAX_FINDING_CHARS);
        assert_eq!(bounded(longest.clone()), longest);
        let cut = bounded(longest.clone() + "!");
        assert_eq!(cut, longest + "…");
    }

    #[test]
    fn many_names_are_counted() {
        assert_eq!(named(&["a", "b"]), "a, b");
        let many: Vec<String> = (1..=8).map(|number| number.to_string()).collect();
        assert_eq!(named(&many), "1, 2, 3, 4, 5 and 3 more");
        assert_eq!(named::<&str>(&[]), "");
        let shown = [0, 1, 2].map(|number| count(number, "proxy", "proxies"));
        assert_eq!(shown, ["0 proxies", "1 proxy", "2 proxies"]);
    }
}
