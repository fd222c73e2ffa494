//! Which headers are removed from a request because their splits found no place on its host.
//!
//! A client's own value would reach the routes otherwise. Removing one is a call of the host, and a
//! thousand splits may have found no place: of many, only those are removed that the request has.
//! Called by the adapter before it sets what was decided.

use std::hash::Hasher as _;

use fnv::FnvHasher;

use crate::hosts::Places;
use crate::plan::Plan;

/// Up to so many headers are removed without a look at the request. Chosen: the look costs as much
/// as some of these calls.
pub const MAX_UNSEEN: usize = 8;

/// The headers to be removed from a request. `present` gives the headers that the request
/// has, with names in lower case; it is asked only where many might be removed.
///
/// There are no more than the request has headers, or [`MAX_UNSEEN`].
pub fn removed_headers(
    plan: &Plan,
    places: Places,
    present: impl FnOnce() -> Vec<(String, Vec<u8>)>,
) -> Vec<&str> {
    let splits = plan.hosts().left_out(places);
    let headers = splits.iter().filter_map(|&split| plan.split(split));
    let headers = headers.map(|split| &*split.definition.header);
    let mut removed = Vec::new();
    if splits.len() <= MAX_UNSEEN {
        for header in headers {
            if !removed.contains(&header) {
                removed.push(header);
            }
        }
        return removed;
    }
    // Hashes first: a thousand headers are looked for among all that a client may send.
    let mut names = Vec::new();
    for (name, _) in present() {
        names.push((hash(&name), name));
    }
    for header in headers {
        let hash = hash(header);
        let is_it = |(other, name): &&mut (u64, String)| *other == hash && name == header;
        if let Some((_, name)) = names.iter_mut().find(is_it) {
            name.clear();
            removed.push(header);
        }
    }
    removed
}

fn hash(name: &str) -> u64 {
    let mut hash = FnvHasher::default();
    hash.write(name.as_bytes());
    hash.finish()
}

#[cfg(test)]
mod tests {
    use serde_json::{Map, Value, json};

    use super::*;
    use crate::config::Document;
    use crate::decide::decide;
    use crate::plan::Node;
    use crate::request::{Bytes, Request};

    #[cfg(all(target_arch = "wasm32", target_os = "unknown"))]
    use wasm_bindgen_test::wasm_bindgen_test as test;

    struct ToHost;
    impl Request for ToHost {
        fn authority(&self) -> Option<Bytes<'_>> {
            Some(b"a.org".into())
        }
    }

    /// What is removed from a request to a.org with these headers.
    fn removed(splits: Map<String, Value>, present: &[&str]) -> Vec<String> {
        let document = Document::from_value(json!({ "splits": splits })).unwrap();
        let plan = Plan::build(&document, &Node::default(), None);
        let present = || {
            present
                .iter()
                .map(|name| (name.to_string(), vec![]))
                .collect()
        };
        let places = decide(&plan, &ToHost).places;
        let removed = removed_headers(&plan, places, present);
        removed.into_iter().map(str::to_owned).collect()
    }

    /// So many splits of a.org, by numbers with three digits.
    fn splits(number: usize) -> Map<String, Value> {
        let split = |number| (format!("s{number:03}"), json!({"hosts": ["a.org"]}));
        (0..number).map(split).collect()
    }

    #[test]
    fn a_few_headers_are_removed_without_a_look_at_the_request() {
        let mut splits = splits(18);
        assert_eq!(
            removed(splits.clone(), &[]),
            ["x-sluice-s016", "x-sluice-s017"]
        );
        splits.insert(
            "t".into(),
            json!({"hosts": ["a.org"], "header": "x-sluice-s017"}),
        );
        assert_eq!(
            removed(splits, &[]),
            ["x-sluice-s016", "x-sluice-s017"],
            "each once"
        );
    }

    #[test]
    fn of_many_headers_those_are_removed_that_the_request_has() {
        let present = [
            "x-sluice-s999",
            "x-sluice-s000",
            "x-sluice-s016",
            "x-sluice-s999",
            "x-sluice-s",
            "cookie",
        ];
        assert_eq!(
            removed(splits(1_000), &present),
            ["x-sluice-s016", "x-sluice-s999"]
        );
        assert_eq!(removed(splits(1_000), &[]), [""; 0]);
    }
}
