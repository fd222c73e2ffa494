//! docs/errors against the sources: everything that Sluice says of trouble stands there, and
//! nothing that it does not say any more.
//!
//! What is a message is found by a rule in `messages/sources.rs`, not by a list. A message stands in
//! a line of its own, `` - `message` ``, its placeholders in capitals or as `…` and its constants with
//! their values; the paragraph behind such lines is their mend.
#![allow(clippy::unwrap_used, reason = "helpers of tests fail like tests")]

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

#[path = "messages/admission.rs"]
mod admission;
#[path = "messages/constants.rs"]
mod constants;
#[path = "messages/sources.rs"]
mod sources;
#[path = "messages/wording.rs"]
mod wording;

const PAGES: &str = "docs/errors";

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

/// Every file below a folder whose name ends so.
fn files(folder: &Path, ending: &str) -> Vec<PathBuf> {
    sluice_book::tree::files(folder, ending).unwrap()
}

/// Every message, and a file that says it.
fn said() -> BTreeMap<String, String> {
    let mut said = sources::messages(&root());
    said.extend(admission::messages(&root()));
    said
}

/// A line of a page that is a message: what stands between its backticks.
fn message(line: &str) -> Option<&str> {
    let span = line.strip_prefix("- ")?;
    let fence = &span[..span.len() - span.trim_start_matches('`').len()];
    let text = span.strip_prefix(fence)?.strip_suffix(fence)?;
    (!fence.is_empty()).then_some(text.trim())
}

/// The pages' messages, each with the page that has it.
fn documented() -> BTreeMap<String, String> {
    let mut documented = BTreeMap::new();
    for page in files(&root().join(PAGES), ".md") {
        for line in std::fs::read_to_string(&page).unwrap().lines() {
            if let Some(message) = message(line) {
                let former = documented.insert(message.to_owned(), page.display().to_string());
                assert_eq!(former, None, "{message}: there twice");
            }
        }
    }
    documented
}

#[test]
fn every_message_of_the_sources_is_on_a_page() {
    let documented = documented();
    let said = said();
    assert!(said.len() > 500, "{} messages were found", said.len());
    let missing: Vec<String> = said
        .iter()
        .filter(|(message, _)| !documented.contains_key(*message))
        .map(|(message, file)| format!("{file}: {}", wording::line(message)))
        .collect();
    assert!(
        missing.is_empty(),
        "these lines are on no page of {PAGES}; write each there, and below it what mends it:\n{}",
        missing.join("\n")
    );
}

#[test]
fn every_message_on_a_page_is_in_the_sources() {
    let said = said();
    let stale: Vec<String> = documented()
        .into_iter()
        .filter(|(message, _)| !said.contains_key(message))
        .map(|(message, page)| format!("{page}: {message}"))
        .collect();
    assert!(
        stale.is_empty(),
        "nothing says these any more:\n{}",
        stale.join("\n")
    );
}

#[test]
fn below_every_message_stands_what_mends_it() {
    for page in files(&root().join(PAGES), ".md") {
        let text = std::fs::read_to_string(&page).unwrap();
        let blocks: Vec<&str> = text.split("\n\n").collect();
        for (index, block) in blocks.iter().enumerate() {
            let Some(last) = block.lines().last().and_then(message) else {
                continue;
            };
            let mend = blocks.get(index + 1).copied().unwrap_or_default();
            let is_words = mend.starts_with(|first: char| first.is_alphabetic() || first == '`');
            assert!(is_words, "{}: {last}: no mend", page.display());
        }
    }
}

#[test]
fn no_mend_is_said_of_nothing() {
    let is_list = |block: &&str| block.lines().any(|line| message(line).is_some());
    for page in files(&root().join(PAGES), ".md") {
        let text = std::fs::read_to_string(&page).unwrap();
        let mixed: BTreeSet<&str> = text
            .split("\n\n")
            .filter(is_list)
            .filter(|block| !block.lines().all(|line| message(line).is_some()))
            .collect();
        assert!(mixed.is_empty(), "{}: {mixed:?}", page.display());
    }
}
