//! The Helm chart against what is said of it: its version, its values in docs/install.md, and the
//! rights that the page explains. What Helm makes of it is tested with Helm, in e2e/istio.

#![allow(clippy::unwrap_used, clippy::panic, reason = "tests")]

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use serde_json::Value;

const BEGIN: &str =
    "<!-- values: rendered from values.schema.json and values.yaml by `make manifests` -->\n";
const END: &str = "<!-- end of values -->\n";

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

fn read(path: &str) -> String {
    std::fs::read_to_string(root().join(path)).unwrap()
}

fn yaml(path: &str) -> Vec<Value> {
    let inputs = sluice::model::input::parse(path, &read(path)).unwrap();
    inputs.into_iter().map(|input| input.value).collect()
}

#[test]
fn the_charts_version_is_the_programs() {
    let chart = &yaml("wasmplugin/chart/Chart.yaml")[0];
    let program = env!("CARGO_PKG_VERSION");
    assert_eq!(
        (&chart["version"], &chart["appVersion"]),
        (&program.into(), &program.into())
    );
}

/// A row for each value below a schema: its path, its default as JSON, and what it is.
fn rows(path: &str, schema: &Value, default: &Value, rows: &mut Vec<String>) {
    match schema["properties"].as_object() {
        Some(properties) => {
            let given = default
                .as_object()
                .unwrap_or_else(|| panic!("{path}: {default}"));
            for name in given.keys() {
                assert!(
                    properties.contains_key(name),
                    "{path}.{name} is not in the schema"
                );
            }
            for (name, schema) in properties {
                // It is every chart's, and has no default.
                if path.is_empty() && name == "global" || !given.contains_key(name) {
                    continue;
                }
                let path = format!("{path}.{name}");
                self::rows(path.trim_start_matches('.'), schema, &given[name], rows);
            }
        }
        None => {
            let meaning = schema["description"].as_str();
            let meaning = meaning.unwrap_or_else(|| panic!("{path} has no description"));
            rows.push(format!("| `{path}` | `{default}` | {meaning} |"));
        }
    }
}

#[test]
fn every_value_is_in_the_page_with_its_default() {
    let schema: Value = serde_json::from_str(&read("wasmplugin/chart/values.schema.json")).unwrap();
    let mut table = vec![
        "| value | default | what it is |".to_owned(),
        "|---|---|---|".to_owned(),
    ];
    rows(
        "",
        &schema,
        &yaml("wasmplugin/chart/values.yaml")[0],
        &mut table,
    );
    let page = read("docs/install.md");
    let (before, rest) = page.split_once(BEGIN).unwrap();
    let (_, after) = rest.split_once(END).unwrap();
    let wanted = format!("{before}{BEGIN}\n{}\n\n{END}{after}", table.join("\n"));
    if std::env::var_os("GOLDEN").is_some() {
        std::fs::write(root().join("docs/install.md"), &wanted).unwrap();
    }
    assert_eq!(read("docs/install.md"), wanted, "`make manifests` rewrites");
}

/// A right: group, resource, the name that it is limited to, verb.
type Right = (String, String, String, String);

/// Every right of the rules of a file's Roles.
fn granted(path: &str) -> BTreeSet<Right> {
    let texts = |value: &Value| -> Vec<String> {
        let texts = value.as_array().into_iter().flatten();
        texts
            .map(|text| text.as_str().unwrap().to_owned())
            .collect()
    };
    let mut granted = BTreeSet::new();
    for document in yaml(path) {
        for rule in document["rules"].as_array().into_iter().flatten() {
            let mut names = texts(&rule["resourceNames"]);
            names.extend(names.is_empty().then(String::new));
            for group in texts(&rule["apiGroups"]) {
                for resource in texts(&rule["resources"]) {
                    for name in &names {
                        for verb in texts(&rule["verbs"]) {
                            let right = (group.clone(), resource.clone(), name.clone(), verb);
                            granted.insert(right);
                        }
                    }
                }
            }
        }
    }
    granted
}

/// The words of a cell that are code.
fn code(cell: &str) -> Vec<String> {
    cell.split('`')
        .skip(1)
        .step_by(2)
        .map(str::to_owned)
        .collect()
}

/// Every right of the page's table.
fn explained() -> BTreeSet<Right> {
    let page = read("docs/install.md");
    let (_, section) = page.split_once("### Its rights").unwrap();
    let rows = section.lines().skip_while(|line| !line.starts_with("|---"));
    let rows = rows.skip(1).take_while(|line| line.starts_with('|'));
    let mut explained = BTreeSet::new();
    for row in rows {
        let cells: Vec<&str> = row.split('|').collect();
        assert!(!cells[4].trim().is_empty(), "{row}: no reason");
        let group = code(cells[1]).first().cloned().unwrap_or_default();
        let (resources, name) = cells[2].split_once(" named ").unwrap_or((cells[2], ""));
        let name = code(name).first().cloned().unwrap_or_default();
        for resource in code(resources) {
            for verb in code(cells[3]) {
                explained.insert((group.clone(), resource.clone(), name.clone(), verb));
            }
        }
    }
    explained
}

#[test]
fn every_right_of_the_controller_is_explained_and_no_other() {
    assert_eq!(granted("wasmplugin/controller/cluster.yaml"), explained());
    assert_eq!(
        granted("wasmplugin/controller/namespaced.yaml"),
        explained()
    );
}

#[test]
fn what_a_replica_may_have_is_what_the_page_says() {
    let resources = &yaml("wasmplugin/chart/values.yaml")[0]["resources"];
    let said = |quantity: &Value| quantity.as_str().unwrap().replace("Mi", " MiB");
    let memory = (
        &resources["requests"]["memory"],
        &resources["limits"]["memory"],
    );
    let memory = format!(
        "| memory | {} requested, {} at most |",
        said(memory.0),
        said(memory.1)
    );
    let cpu = resources["requests"]["cpu"].as_str().unwrap();
    let page = read("docs/install.md");
    assert!(page.contains(&memory), "{memory}");
    assert!(
        page.contains(&format!("| CPU | {cpu} requested, no limit |")),
        "{cpu}"
    );
}
