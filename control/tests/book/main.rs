//! What the pages of this repository say to type, to apply and to see: commands are the program's,
//! YAML and JSON are good, and what a console shows is what is printed.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    reason = "a test fails loudly, in its helpers too"
)]

mod blocks;
mod commands;
mod consoles;

use sluice_book::{Page, tree};

/// Every page of the tree.
fn pages() -> Vec<Page> {
    let pages = tree::pages(&tree::root()).unwrap();
    assert!(pages.len() > 30, "{} pages were read", pages.len());
    pages
}
