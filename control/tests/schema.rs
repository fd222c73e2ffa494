//! The committed JSON Schema is the one that `sluice schema` prints, and names what the filter
//! reads.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::collections::BTreeSet;
use std::path::Path;

use serde_json::json;
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

/// Of the top level alone: every other type is declared once, for the filter and for the schema.
#[test]
fn the_schema_names_exactly_the_top_level_fields_that_the_filter_reads() {
    let document = Document::from_value(json!({"x": 1})).unwrap();
    let plan = Plan::build(&document, &Node::default(), None);
    let accepted = plan.problems()[0].accepted.to_string();
    let accepted: BTreeSet<&str> = accepted.split(", ").collect();
    let schema = sluice::model::schema::schema();
    let properties = schema["properties"].as_object().unwrap();
    let named: BTreeSet<&str> = properties.keys().map(String::as_str).collect();
    assert_eq!(named, accepted);
}
