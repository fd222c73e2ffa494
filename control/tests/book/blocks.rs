//! Every block of YAML on a page is good: configurations by the filter's own core, Rollouts by the
//! reader that a controller has, parts of a Rollout as parts of one; all others are read. Every
//! block of JSON is JSON.

use std::collections::BTreeSet;

use serde_json::{Map, Value, json};
use sluice::model::input::{Input, parse};
use sluice::rollout::{definition::Definition, manifest};
use sluice_book::{Block, Page};
use sluice_core::config::Document;
use sluice_core::plan::{Node, Plan};

use super::pages;

/// What a block is taken for, by its fields.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Subject {
    /// A plugin's configuration.
    Configuration,
    /// A Rollout.
    Rollout,
    /// Some fields of a Rollout's `spec`.
    RolloutPart,
    /// A resource of another kind.
    Resource,
    /// None of these: it is read, and nothing else is known of it.
    Other,
}

/// Fields by which a part of a Rollout is known.
const OF_A_ROLLOUT: [&str; 6] = [
    "steps", "windows", "gates", "notify", "analysis", "workload",
];

fn subject(value: &Value) -> Subject {
    let has = |field: &str| value.get(field).is_some();
    let kind = value.get("kind").and_then(Value::as_str);
    let version = value
        .get("apiVersion")
        .and_then(Value::as_str)
        .unwrap_or_default();
    match kind {
        Some("Rollout") if version.starts_with("sluice.dev/") => Subject::Rollout,
        Some(_) if has("metadata") => Subject::Resource,
        _ if has("splits") || has("weights") || has("brake") => Subject::Configuration,
        _ if OF_A_ROLLOUT.iter().any(|field| has(field))
            || value.pointer("/spec/split").is_some() =>
        {
            Subject::RolloutPart
        }
        _ => Subject::Other,
    }
}

/// What is wrong with one document of a block.
fn wrong(input: &Input) -> Option<String> {
    let value = &input.value;
    match subject(value) {
        Subject::Configuration => configuration(value),
        Subject::Rollout => match manifest::rollouts(std::slice::from_ref(input)) {
            Ok(_) => None,
            Err(mistakes) => Some(mistakes.to_string()),
        },
        Subject::RolloutPart => {
            let part = value.get("spec").unwrap_or(value);
            let problems = Definition::read("spec", &whole(part)).err()?;
            Some(
                problems
                    .iter()
                    .map(ToString::to_string)
                    .collect::<Vec<_>>()
                    .join("\n"),
            )
        }
        Subject::Resource => {
            if !value["apiVersion"].is_string() && value["kind"].is_string() {
                return Some("has no apiVersion".to_owned());
            }
            let plugin = value.pointer("/spec/pluginConfig");
            let extension = value.pointer("/spec/wasm/pluginConfig");
            plugin.or(extension).and_then(configuration)
        }
        Subject::Other => None,
    }
}

/// A part of a `spec` with what each needs.
fn whole(part: &Value) -> Value {
    let mut spec = Map::new();
    spec.insert("split".to_owned(), "web".into());
    if part.get("steps").is_none() && part.get("preset").is_none() {
        spec.insert("preset".to_owned(), "progressive".into());
    }
    if part.get("workload").is_none() {
        spec.insert("version".to_owned(), "v2".into());
    }
    for (field, value) in part.as_object().into_iter().flatten() {
        spec.insert(field.clone(), value.clone());
    }
    Value::Object(spec)
}

fn configuration(value: &Value) -> Option<String> {
    let value = value.clone();
    let document = match Document::from_value(value) {
        Ok(document) => document,
        Err(error) => return Some(error.to_string()),
    };
    let plan = Plan::build(&document, &Node::default(), None);
    let problems: Vec<String> = plan.problems().iter().map(ToString::to_string).collect();
    (!problems.is_empty()).then(|| problems.join("\n"))
}

/// The blocks of a language, each with its page.
fn blocks<'a>(pages: &'a [Page], language: &str) -> Vec<(&'a Page, &'a Block)> {
    let all = pages
        .iter()
        .flat_map(|page| page.blocks.iter().map(move |block| (page, block)));
    all.filter(|(_, block)| block.language() == language)
        .collect()
}

#[test]
fn every_yaml_on_a_page_is_good() {
    let pages = pages();
    let mut mistakes = Vec::new();
    let mut subjects = Vec::new();
    for (page, block) in blocks(&pages, "yaml") {
        let at = page.at(block.line);
        match parse(&at, &block.text) {
            Err(error) => mistakes.push(format!(
                "{at}: {error}: {:?}",
                std::error::Error::source(&error)
            )),
            Ok(inputs) => {
                subjects.extend(inputs.iter().map(|input| subject(&input.value)));
                let wrong = inputs.iter().filter_map(wrong);
                mistakes.extend(wrong.map(|problem| format!("{at}: {problem}")));
            }
        }
    }
    assert!(mistakes.is_empty(), "{}", mistakes.join("\n"));
    subjects.sort_unstable();
    subjects.dedup();
    assert_eq!(subjects.len(), 5, "of {subjects:?} alone");
}

/// Every property that a schema names, its definitions' too.
fn properties(schema: &Value, found: &mut BTreeSet<String>) {
    match schema {
        Value::Object(fields) => {
            let named = fields.get("properties").and_then(Value::as_object);
            found.extend(named.into_iter().flat_map(|named| named.keys().cloned()));
            fields.values().for_each(|value| properties(value, found));
        }
        Value::Array(values) => values.iter().for_each(|value| properties(value, found)),
        _ => {}
    }
}

/// How a value is compared is said by a sentence instead.
const COMPARISONS: [&str; 6] = ["exact", "in", "prefix", "present", "regex", "suffix"];

#[test]
fn the_whole_configuration_names_every_field() {
    let pages = pages();
    let page = pages
        .iter()
        .find(|page| page.path == "docs/splits.md")
        .unwrap();
    let whole = page.text.split("## Everything there is").nth(1).unwrap();
    let mut fields = BTreeSet::new();
    properties(&sluice::model::schema::schema(), &mut fields);
    assert!(fields.len() > 30, "{fields:?}");
    let is_missing = |field: &&String| !whole.contains(&format!("{field}:"));
    let missing: Vec<&String> = fields
        .iter()
        .filter(|field| !COMPARISONS.contains(&field.as_str()))
        .filter(is_missing)
        .collect();
    assert!(missing.is_empty(), "docs/splits.md lacks {missing:?}");
}

#[test]
fn every_json_on_a_page_is_json() {
    let pages = pages();
    let blocks = blocks(&pages, "json");
    assert!(!blocks.is_empty());
    for (page, block) in blocks {
        if let Err(error) = serde_json::from_str::<Value>(&block.text) {
            panic!("{}: {error}", page.at(block.line));
        }
    }
}

#[test]
fn what_is_wrong_is_found() {
    let rows = [
        (
            "a configuration",
            json!({"splits": {"web": {"host": ["a"]}}}),
        ),
        (
            "a weight",
            json!({"splits": {"web": {}}, "weights": {"web": {"everyone": {"canary": 140}}}}),
        ),
        ("a part of a Rollout", json!({"steps": [{"weight": 140}]})),
        (
            "a Rollout",
            json!({"apiVersion": "sluice.dev/v1alpha1", "kind": "Rollout",
            "metadata": {"name": "web"}, "spec": {"split": "web", "presett": "x"}}),
        ),
        (
            "a plugin",
            json!({"apiVersion": "x", "kind": "WasmPlugin", "metadata": {"name": "a"},
            "spec": {"pluginConfig": {"splits": {"web": {"host": 1}}}}}),
        ),
        (
            "a resource",
            json!({"kind": "Service", "metadata": {"name": "a"}}),
        ),
    ];
    for (label, value) in rows {
        let source = label.to_owned();
        assert!(wrong(&Input { source, value }).is_some(), "{label}");
    }
}
