//! The committed JSON Schema is the one that `sluice schema` prints, and names what the filter reads.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::collections::BTreeSet;
use std::path::Path;

use serde_json::{Value, json};
use sluice_core::config::Document;
use sluice_core::plan::{Node, Plan};

#[test]
fn the_committed_schema_is_the_generated_one() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../wasmplugin/config.schema.json");
    let generated = serde_json::to_string_pretty(&sluice::model::schema::schema()).unwrap() + "\n";
    if std::env::var_os("GOLDEN").is_some() {
        std::fs::write(&path, &generated).unwrap();
    }
    assert_eq!(
        std::fs::read_to_string(path).unwrap_or_default(),
        generated,
        "`make golden` rewrites"
    );
}

/// The fields that the filter accepts at a place, from its complaint about one that it does not.
fn accepted(config: Value) -> BTreeSet<String> {
    let plan = Plan::build(
        &Document::from_value(config).unwrap(),
        &Node::default(),
        None,
    );
    let problem = plan
        .problems()
        .iter()
        .find(|problem| problem.found.starts_with("unknown field"))
        .expect("a complaint");
    problem
        .accepted
        .trim_start_matches("accepted: ")
        .split(", ")
        .map(str::to_owned)
        .collect()
}

#[test]
fn the_schema_names_exactly_the_fields_that_the_filter_reads() {
    let schema = sluice::model::schema::schema();
    let properties = |place: &Value| {
        place["properties"]
            .as_object()
            .unwrap()
            .keys()
            .cloned()
            .collect::<BTreeSet<_>>()
    };
    let definition = |name: &str| properties(&schema["$defs"][name]);
    let split = |inner: Value| json!({"splits": {"web": inner}});
    let matching = |inner: Value| split(json!({"rules": [{"name": "a", "match": [inner]}]}));
    assert_eq!(properties(&schema), accepted(json!({"x": 1})));
    assert_eq!(definition("Split"), accepted(split(json!({"x": 1}))));
    assert_eq!(
        definition("Source"),
        accepted(split(json!({"identity": [{"x": 1}]})))
    );
    assert_eq!(
        definition("Override"),
        accepted(split(json!({"override": {"x": 1}})))
    );
    assert_eq!(
        definition("Rule"),
        accepted(split(json!({"rules": [{"x": 1}]})))
    );
    assert_eq!(definition("Match"), accepted(matching(json!({"x": 1}))));
    assert_eq!(
        definition("StringMatch"),
        accepted(matching(json!({"cookies": {"a": {"x": 1}}})))
    );
    assert_eq!(definition("Cookie"), accepted(json!({"cookie": {"x": 1}})));
}
