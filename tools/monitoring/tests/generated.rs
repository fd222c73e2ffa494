//! What is committed is what is written here, and names nothing that is not there: metrics of queries,
//! metrics of the sources, pages of alerts, cases of their tests. `GOLDEN=1` rewrites what is generated.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use serde_json::Value;
use sluice_monitoring::{alerts, dashboards, generated, metrics, tables};

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

fn read(path: &str) -> String {
    std::fs::read_to_string(root().join(path)).unwrap_or_default()
}

fn assert_committed(path: &str, text: &str) {
    if std::env::var_os("GOLDEN").is_some() {
        std::fs::write(root().join(path), text).unwrap();
    }
    assert!(
        read(path) == text,
        "{path} is not what is written from here: `make manifests` rewrites"
    );
}

/// Every query of dashboards and alerts.
fn queries() -> Vec<String> {
    let dashboards = dashboards::all();
    let panels = dashboards.iter().flat_map(|dashboard| &dashboard.panels);
    let asked = panels.flat_map(|panel| &panel.queries);
    let asked = asked.map(|query| query.expression.clone());
    let variables = dashboards
        .iter()
        .map(|dashboard| dashboard.json()["templating"].to_string());
    let alerts = alerts::all().into_iter().map(|alert| alert.expression);
    asked.chain(variables).chain(alerts).collect()
}

/// The names that begin like a metric of ours, and are not labels.
fn named(text: &str) -> BTreeSet<String> {
    let is_part = |c: char| c.is_ascii_alphanumeric() || c == '_';
    let words = text.split(|c: char| !is_part(c));
    words
        .filter(|word| word.starts_with("sluice_") && !LABELS.contains(word))
        .map(str::to_owned)
        .collect()
}

const LABELS: [&str; 8] = [
    "sluice_split",
    "sluice_audience",
    "sluice_variant",
    "sluice_source",
    "sluice_class",
    "sluice_plugin",
    "sluice_word",
    "sluice_namespace",
];

#[test]
fn every_generated_file_is_the_committed_one() {
    for file in generated().unwrap() {
        assert_committed(&file.path, &file.text);
    }
}

#[test]
fn the_tables_of_the_page_are_the_generated_ones() {
    let page = "docs/monitoring.md";
    assert_committed(page, &tables::fill(&read(page)).unwrap());
}

#[test]
fn queries_use_metrics_that_are_listed() {
    for query in queries() {
        for name in named(&query) {
            assert!(metrics::of_series(&name).is_some(), "{name} in {query}");
        }
    }
}

#[test]
fn every_metric_of_the_sources_is_listed_and_every_listed_one_is_there() {
    let (mut said, mut texts) = (BTreeSet::new(), BTreeSet::new());
    for text in sources("filter/core/src") {
        for (before, literal) in literals(&text) {
            let name = format!("sluice_{literal}");
            let mut calls = ["add_to_counter(", "set_gauge(", "add_to_histogram("].iter();
            let is_told = calls.any(|call| before.trim_end().ends_with(call));
            if is_told || literal.ends_with("_total") || literal.ends_with("_word") {
                said.insert(name.clone());
            }
            texts.insert(name);
        }
    }
    for folder in ["control/src/rollout/controller", "control/src/brake"] {
        for (_, literal) in sources(folder).iter().flat_map(|text| literals(text)) {
            if literal.starts_with("sluice_") && !LABELS.contains(&literal) {
                said.insert(literal.to_owned());
            }
        }
    }
    // The registry adds the ending of a controller's counters.
    let plain = |name: &str| name.trim_end_matches("_total").to_owned();
    let listed: BTreeSet<String> = metrics::all().map(|metric| plain(metric.name)).collect();
    for name in &said {
        assert!(listed.contains(&plain(name)), "{name} is not listed");
    }
    let there: BTreeSet<String> = said.iter().chain(&texts).map(|name| plain(name)).collect();
    for name in &listed {
        assert!(there.contains(name), "{name} is listed, and nowhere said");
    }
}

#[test]
fn every_condition_and_every_event_of_the_brake_is_on_the_page() {
    let page = read("docs/monitoring.md");
    let mut found = 0;
    for file in ["rollout/conditions.rs", "brake/key/writing.rs"] {
        let text = read(&format!("control/src/{file}"));
        let code = text.split("#[cfg(test)]\nmod tests").next().unwrap();
        for word in code.split('"').skip(1).step_by(2) {
            let is_name = word.starts_with(|c: char| c.is_ascii_uppercase())
                && word.chars().all(|c| c.is_ascii_alphabetic());
            if !is_name || ["True", "False"].contains(&word) {
                continue;
            }
            found += 1;
            assert!(
                page.contains(&format!("`{word}`")),
                "{word} of {file} is not on the page"
            );
        }
    }
    assert!(found > 7, "{found}");
}

/// Each name between quotation marks, with what stands before it.
fn literals(text: &str) -> Vec<(&str, &str)> {
    let parts: Vec<&str> = text.split('"').collect();
    let pairs = parts.windows(2).map(|pair| (pair[0], pair[1]));
    let is_name = |literal: &str| {
        let mut letters = literal.chars();
        !literal.is_empty() && letters.all(|c| c.is_ascii_lowercase() || c == '_')
    };
    pairs.filter(|(_, literal)| is_name(literal)).collect()
}

/// The sources of a folder, without unit tests.
fn sources(folder: &str) -> Vec<String> {
    let (mut files, mut folders) = (Vec::new(), vec![root().join(folder)]);
    while let Some(next) = folders.pop() {
        for entry in std::fs::read_dir(next).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else {
                let text = std::fs::read_to_string(&path).unwrap();
                let code = text.split("#[cfg(test)]\nmod tests").next().unwrap();
                files.push(code.to_owned());
            }
        }
    }
    files
}

#[test]
fn every_alert_has_its_page_and_a_case_that_fires_and_one_that_does_not() {
    let tests: Value =
        yaml_serde::from_str(&read("wasmplugin/monitoring/tests/alerts.yaml")).unwrap();
    let mut cases: BTreeMap<&str, (usize, usize)> = BTreeMap::new();
    for case in tests["tests"].as_array().unwrap().iter() {
        for asked in case["alert_rule_test"].as_array().unwrap() {
            let (fires, silent) = cases
                .entry(asked["alertname"].as_str().unwrap())
                .or_default();
            match asked["exp_alerts"]
                .as_array()
                .is_some_and(|alerts| !alerts.is_empty())
            {
                true => *fires += 1,
                false => *silent += 1,
            }
        }
    }
    let names: BTreeSet<&str> = alerts::all().iter().map(|alert| alert.name).collect();
    let tested: BTreeSet<&str> = cases.keys().copied().collect();
    assert_eq!(names, tested);
    for (name, (fires, silent)) in cases {
        assert!(
            fires > 0 && silent > 0,
            "{name}: {fires} cases fire, {silent} do not"
        );
    }
    let pages = std::fs::read_dir(root().join("docs/runbooks")).unwrap();
    let pages: BTreeSet<String> = pages
        .map(|page| page.unwrap().file_name().into_string().unwrap())
        .collect();
    let expected: BTreeSet<String> = names.iter().map(|name| format!("{name}.md")).collect();
    assert_eq!(pages, expected);
    for name in names {
        let page = read(&format!("docs/runbooks/{name}.md"));
        assert!(page.starts_with(&format!("# {name}\n")), "{name}");
        for part in ["## What it means", "## What to look at", "## How it ends"] {
            assert!(page.contains(part), "{name} has no {part:?}");
        }
    }
}

#[test]
fn every_panel_says_what_to_do_and_every_variable_is_used() {
    for dashboard in dashboards::all() {
        let json = dashboard.json();
        let text = json.to_string();
        for panel in &dashboard.panels {
            let (title, says) = (panel.title, panel.description);
            assert!(!says.is_empty() && !panel.queries.is_empty(), "{title}");
        }
        for variable in &dashboard.variables {
            let name = format!("${}", variable.name());
            assert!(
                text.contains(&name),
                "{}: {name} is asked for nothing",
                dashboard.name
            );
        }
        let panels = json["panels"].as_array().unwrap();
        let right = |panel: &Value| {
            panel["gridPos"]["x"].as_u64().unwrap() + panel["gridPos"]["w"].as_u64().unwrap()
        };
        assert!(
            panels.iter().all(|panel| right(panel) <= 24),
            "{}",
            dashboard.name
        );
    }
}
