//! docs/limits.md against the code: every limit that the code names stands there, with its value.
#![allow(clippy::unwrap_used, reason = "helpers of tests fail like tests")]

use std::collections::BTreeMap;
use std::path::Path;

use sluice_book::tree;

/// Constants of the page, by name: what the code in its last column says they are.
fn documented() -> BTreeMap<String, String> {
    let page = std::fs::read_to_string("../docs/limits.md").unwrap();
    let cells = page.lines().filter_map(|line| line.rsplit('|').nth(1));
    let constants = cells.filter_map(|cell| cell.trim().strip_prefix('`')?.strip_suffix('`'));
    constants
        .filter_map(|constant| constant.split_once(" = "))
        .map(|(name, value)| (name.to_owned(), value.to_owned()))
        .collect()
}

/// Every constant of the sources that holds a number, by name, with each value that it is declared
/// with.
fn declared() -> BTreeMap<String, Vec<String>> {
    let mut constants: BTreeMap<String, Vec<String>> = BTreeMap::new();
    let folders = ["core", "native", "wasm"].map(|package| format!("../filter/{package}/src"));
    for folder in folders.iter().map(String::as_str).chain(["src"]) {
        for file in tree::files(Path::new(folder), ".rs").unwrap() {
            for line in std::fs::read_to_string(&file).unwrap().lines() {
                if let Some((name, value)) = constant(line) {
                    constants.entry(name).or_default().push(value);
                }
            }
        }
    }
    constants
}

/// The name and value of `pub(crate) const NAME: usize = VALUE;`.
fn constant(line: &str) -> Option<(String, String)> {
    let (before, declaration) = line.split_once("const ")?;
    let is_declaration = before.trim().is_empty() || before.trim().starts_with("pub");
    let (name, rest) = declaration.split_once(": ")?;
    let (kind, value) = rest.split_once(" = ")?;
    let is_number = ["usize", "u8", "u16", "u32", "u64"].contains(&kind);
    (is_declaration && is_number).then(|| (name.to_owned(), value.trim_end_matches(';').to_owned()))
}

#[test]
fn every_documented_limit_is_what_the_code_says() {
    let declared = declared();
    let documented = documented();
    assert!(
        documented.len() > 10,
        "the page has a table: {documented:?}"
    );
    for (name, value) in documented {
        assert_eq!(declared.get(&name), Some(&vec![value]), "{name}");
    }
}

#[test]
fn every_maximum_of_the_code_is_documented() {
    let documented = documented();
    for name in declared().keys().filter(|name| name.starts_with("MAX_")) {
        assert!(
            documented.contains_key(name),
            "{name} is not in docs/limits.md"
        );
    }
}
