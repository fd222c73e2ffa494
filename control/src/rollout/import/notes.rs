//! What is said of an import: a line for each thing that has no counterpart, or another form.

use std::collections::BTreeSet;
use std::fmt::Display;

use crate::model::input::Input;

/// The most lines that are said of one import. Chosen: more than anybody reads; a file of 16 MiB
/// may have a hundred thousand unknown fields.
pub const MAX_IMPORT_NOTES: usize = 1_000;

/// The lines, and what they are about.
#[derive(Debug, Default)]
pub(super) struct Notes {
    title: String,
    lines: Vec<String>,
    left_out: usize,
    named: BTreeSet<String>,
}

impl Notes {
    /// The lines that follow are about this resource.
    pub(super) fn about(&mut self, input: &Input) {
        self.title = title(input);
    }

    /// What they are about: `Canary shop/web`.
    pub(super) fn title(&self) -> &str {
        &self.title
    }

    /// Something has no counterpart: where, and why, and what to do instead.
    pub(super) fn lost(&mut self, path: &str, why: impl Display) {
        let line = format!("{}: not carried over: {path}: {why}", self.title);
        self.push(line);
    }

    /// Something has another form now.
    pub(super) fn said(&mut self, path: &str, what: impl Display) {
        let line = format!("{}: {path}: {what}", self.title);
        self.push(line);
    }

    /// Somebody named a resource.
    pub(super) fn name(&mut self, input: &Input) {
        self.named.insert(title(input));
    }

    /// Whether somebody did.
    pub(super) fn is_named(&self, input: &Input) -> bool {
        self.named.contains(&title(input))
    }

    /// Every line; where there are too many, how many more there were.
    pub(super) fn into_lines(mut self) -> Vec<String> {
        if self.left_out > 0 {
            self.lines.push(format!("and {} lines more", self.left_out));
        }
        self.lines
    }

    fn push(&mut self, line: String) {
        if self.lines.len() < MAX_IMPORT_NOTES {
            self.lines.push(line);
        } else {
            self.left_out += 1;
        }
    }
}

/// `Kind namespace/name`.
fn title(input: &Input) -> String {
    let kind = input.kind().unwrap_or("?");
    let name = input.name().unwrap_or("without a name");
    match input.namespace() {
        Some(namespace) => format!("{kind} {namespace}/{name}"),
        None => format!("{kind} {name}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn there_is_a_longest_list() {
        let mut notes = Notes::default();
        for _ in 0..MAX_IMPORT_NOTES {
            notes.lost("a", "b");
        }
        assert_eq!(notes.lines.len(), MAX_IMPORT_NOTES);
        assert_eq!(notes.left_out, 0);
        notes.said("a", "c");
        notes.lost("a", "d");
        let lines = notes.into_lines();
        assert_eq!(lines.len(), MAX_IMPORT_NOTES + 1);
        assert_eq!(lines.last().unwrap(), "and 2 lines more");
    }
}
