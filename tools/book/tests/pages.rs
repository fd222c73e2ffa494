//! Every page of the tree: its links lead somewhere, those of docs/ are in the book, and what they
//! have `make` do is there.
#![allow(clippy::unwrap_used, reason = "a test fails loudly")]

use std::collections::BTreeSet;

use sluice_book::build::{SUMMARY, chapters, lay_out, summary};
use sluice_book::shell::typed;
use sluice_book::{Page, links, tree};

fn pages() -> Vec<Page> {
    let pages = tree::pages(&tree::root()).unwrap();
    assert!(pages.len() > 30, "{} pages were read", pages.len());
    pages
}

#[test]
fn every_link_leads_to_a_file_and_a_heading() {
    let problems = links::problems(&tree::root(), &pages());
    assert!(problems.is_empty(), "{}", problems.join("\n"));
}

#[test]
fn every_page_of_docs_is_in_the_book_once() {
    let pages = pages();
    let chapters = chapters(&summary(&tree::root()).unwrap());
    let once: BTreeSet<&String> = chapters.iter().collect();
    assert_eq!(once.len(), chapters.len(), "a page is there twice");
    let is_of_the_book = |path: &str| {
        path != SUMMARY
            && (path.starts_with("docs/")
                || (path.starts_with("wasmplugin/examples/") && path.ends_with("README.md")))
    };
    let missing: Vec<&str> = pages
        .iter()
        .map(|page| page.path.as_str())
        .filter(|path| is_of_the_book(path) && !once.contains(&(*path).to_owned()))
        .collect();
    assert!(missing.is_empty(), "not in {SUMMARY}: {missing:?}");
}

#[test]
fn the_book_can_be_laid_out() {
    let folder = tree::root().join(format!("target/book-test-{}", std::process::id()));
    lay_out(&tree::root(), &folder).unwrap();
    let copied = std::fs::read_to_string(folder.join("src/SUMMARY.md")).unwrap();
    assert!(copied.contains("](docs/rollouts.md)"), "{copied}");
    assert!(folder.join("src/wasmplugin/base/config.yaml").is_file());
    std::fs::remove_dir_all(folder).unwrap();
}

#[test]
fn every_target_of_make_is_there() {
    let mut targets = BTreeSet::new();
    let root = tree::root();
    let tools = std::fs::read_dir(root.join("tools"))
        .unwrap()
        .map(|entry| entry.unwrap().path());
    let is_make = |path: &std::path::PathBuf| path.extension().is_some_and(|end| end == "mk");
    for path in tools.filter(is_make).chain([root.join("Makefile")]) {
        for line in std::fs::read_to_string(path).unwrap().lines() {
            let name = line.split(':').next().unwrap_or_default();
            let is_name = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
            if line.contains(':') && !name.is_empty() && name.chars().all(is_name) {
                targets.insert(name.to_owned());
            }
        }
    }
    let mut asked = 0;
    for page in pages() {
        for typed in typed(&page).iter().filter(|typed| typed.words[0] == "make") {
            let is_target = |word: &&String| !word.starts_with('-') && !word.contains('=');
            for target in typed.words[1..].iter().filter(is_target) {
                asked += 1;
                assert!(
                    targets.contains(target),
                    "{}: there is no `make {target}`",
                    page.at(typed.line)
                );
            }
        }
    }
    assert!(asked > 20, "{asked} targets were looked for");
}
