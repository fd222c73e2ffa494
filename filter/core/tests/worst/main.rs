//! The promise to a VM: whatever document is readable costs little memory and little work.
//!
//! Memory is counted by the allocator. So is work, as far as that can be: bytes that were asked for
//! in all. How long the documents take in a VM is in BENCHMARKS.md.
#![cfg(not(target_arch = "wasm32"))]
#![allow(clippy::unwrap_used, reason = "helpers of tests fail like tests")]

mod counting;
mod documents;

use sluice_core::config::Document;
use sluice_core::plan::{Node, Plan};

/// What may be held at once. Pointers, and so most of what is held, are twice as long here as in a
/// VM, which may need 24 MB.
const MEGABYTES_AT_ONCE: usize = 36;

/// What may be asked for in all. Chosen: a fifth more than the worst.
const MEGABYTES_IN_ALL: usize = 85;

#[test]
fn every_readable_document_costs_little_to_build() {
    let mut unreadable = 0;
    for (label, json) in documents::all() {
        let (is_read, cost) = counting::cost_of(|| build_twice(&json));
        let (at_once, in_all) = (cost.at_once >> 20, cost.in_all >> 20);
        println!(
            "{label}: {} bytes, read {is_read}, {at_once} MB at once, {in_all} MB in all",
            json.len()
        );
        assert!(
            at_once <= MEGABYTES_AT_ONCE,
            "{label}: {at_once} MB at once"
        );
        assert!(in_all <= MEGABYTES_IN_ALL, "{label}: {in_all} MB in all");
        unreadable += usize::from(!is_read);
    }
    assert_eq!(unreadable, 0, "what is refused as a whole proves nothing");
}

/// Builds a document as a VM does that has one and gets another, with the bytes that it was received
/// as.
fn build_twice(json: &[u8]) -> bool {
    let build = |previous: Option<&Plan>| {
        let received = json.to_vec();
        let document = Document::read(&received).ok()?;
        Some(Plan::build(&document, &Node::default(), previous))
    };
    let first = build(None);
    let second = build(first.as_ref());
    second.is_some()
}
