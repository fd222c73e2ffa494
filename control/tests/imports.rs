//! What ARCHITECTURE.md claims of imports, read from the sources: they point one way between
//! layers, and no two files need each other.
//!
//! A reader of paths, not a compiler: it sees what is written with `crate::`, `super::` or a
//! package's name, outside comments, strings and unit tests. A parent that declares a child, or
//! hands its items on with `pub use`, does not depend on it.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "a test fails loudly, in its helpers too"
)]

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

#[path = "imports/paths.rs"]
mod paths;

use paths::Named;

/// A package's sources, and the layers that each of its layers may use. What is not listed may use
/// nothing.
struct Package {
    sources: &'static str,
    /// Other packages of ours that it may use, and the SDK.
    may_use: &'static [&'static str],
    /// Empty: the package is one layer.
    layers: &'static [(&'static str, &'static [&'static str])],
}

/// Names of packages that an import can begin with.
const PACKAGES: [&str; 4] = ["sluice_core", "sluice", "sluice_e2e", "proxy_wasm"];

/// The layers of control, each of which may use those before it that it lists.
const LAYERS: &[(&str, &[&str])] = &[
    ("model", &[]),
    ("tls", &[]),
    ("files", &["model"]),
    ("analyze", &["model"]),
    ("cluster", &["model"]),
    ("local", &["model", "files"]),
    ("store", &["model", "files", "cluster"]),
    ("operations", BELOW_OPERATIONS),
    (
        "brake",
        &["model", "files", "cluster", "store", "operations"],
    ),
    ("rollout", BELOW_ROLLOUT),
    ("doctor", BELOW_DOCTOR),
    ("command", BELOW_COMMAND),
];

const BELOW_OPERATIONS: &[&str] = &["model", "files", "analyze", "cluster", "store", "local"];

const BELOW_ROLLOUT: &[&str] = &[
    "model",
    "files",
    "analyze",
    "cluster",
    "store",
    "local",
    "operations",
    "brake",
];

const BELOW_DOCTOR: &[&str] = &[
    "model",
    "analyze",
    "cluster",
    "store",
    "operations",
    "brake",
    "rollout",
];

const BELOW_COMMAND: &[&str] = &[
    "model",
    "files",
    "analyze",
    "cluster",
    "store",
    "local",
    "operations",
    "brake",
    "rollout",
    "doctor",
];

const TREE: [Package; 6] = [
    Package {
        sources: "filter/core/src",
        may_use: &[],
        layers: &[],
    },
    Package {
        sources: "filter/wasm/src",
        may_use: &["sluice_core", "proxy_wasm"],
        layers: &[],
    },
    Package {
        sources: "control/src",
        // Its own name: the binary beside the library.
        may_use: &["sluice_core", "sluice"],
        layers: LAYERS,
    },
    Package {
        sources: "e2e/src",
        // Its own name: the demo and the benchmark beside the library.
        may_use: &["sluice_core", "sluice", "sluice_e2e"],
        layers: &[],
    },
    Package {
        sources: "e2e/istio/src",
        may_use: &["sluice", "sluice_e2e"],
        layers: &[],
    },
    Package {
        sources: "filter/native/src",
        may_use: &["sluice_core"],
        layers: &[],
    },
];

/// Arrows that are part of a circle and may stay: from, to, why.
const MAY_STAY: &[(&str, &str, &str)] = &[];

/// One file needs another, at a line.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Arrow {
    from: String,
    line: usize,
    to: String,
    /// Whether it is a type, trait, or constant that is needed, and not a function or a whole
    /// module.
    is_to_type: bool,
}

impl Arrow {
    fn shown(&self, sources: &str) -> String {
        format!("{sources}/{}:{}: needs {}", self.from, self.line, self.to)
    }
}

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

/// The sources of a package without its unit tests: path below the folder, text.
fn sources(package: &Package) -> BTreeMap<String, String> {
    let folder = root().join(package.sources);
    let mut files = BTreeMap::new();
    let mut folders = vec![folder.clone()];
    while let Some(next) = folders.pop() {
        for entry in std::fs::read_dir(next).unwrap() {
            let path = entry.unwrap().path();
            let name = path.strip_prefix(&folder).unwrap().display().to_string();
            if path.is_dir() {
                folders.push(path);
            } else if name.ends_with(".rs") && !name.ends_with("tests.rs") {
                files.insert(name, std::fs::read_to_string(path).unwrap());
            }
        }
    }
    assert!(!files.is_empty(), "{} has no sources", package.sources);
    files
}

/// The modules that a file's name stands for: `a/b.rs` is `a::b`; the package's root is none.
fn module(file: &str) -> Vec<String> {
    match file.strip_suffix(".rs").unwrap_or(file) {
        "lib" | "main" => Vec::new(),
        path => path.split('/').map(str::to_owned).collect(),
    }
}

/// The file of the longest part of a path that is a module.
fn file_of(path: &[String], files: &BTreeMap<String, String>) -> Option<String> {
    (1..=path.len())
        .rev()
        .map(|length| format!("{}.rs", path[..length].join("/")))
        .find(|file| files.contains_key(file))
}

fn is_type(path: &[String]) -> bool {
    let item = path.last().and_then(|item| item.chars().next());
    item.is_some_and(char::is_uppercase)
}

/// Every arrow between two files of a package.
fn arrows(files: &BTreeMap<String, String>) -> Vec<Arrow> {
    let mut arrows = BTreeSet::new();
    for (from, text) in files {
        let own = module(from);
        for Named { line, path } in paths::of(text, &own) {
            let to = file_of(&path, files).filter(|to| to != from);
            arrows.extend(to.map(|to| Arrow {
                from: from.clone(),
                line,
                to,
                is_to_type: is_type(&path),
            }));
        }
    }
    arrows.retain(|arrow: &Arrow| {
        !MAY_STAY
            .iter()
            .any(|(from, to, _)| (*from, *to) == (&arrow.from, &arrow.to))
    });
    arrows.into_iter().collect()
}

/// The arrows of which the circles consist: those whose end leads back to their beginning.
///
/// A child may use the types of those above it: the parent holds what its children share, and calls
/// them. Calls go down only, so a child that calls its parent is part of a circle as soon as the
/// parent uses it.
fn circular(arrows: &[Arrow]) -> Vec<&Arrow> {
    let is_within = |arrow: &&Arrow| module(&arrow.from).starts_with(&module(&arrow.to));
    let arrows: Vec<&Arrow> = arrows
        .iter()
        .filter(|arrow| !(is_within(arrow) && arrow.is_to_type))
        .collect();
    let leads_back = |arrow: &Arrow| {
        let mut reached = BTreeSet::from([arrow.to.as_str()]);
        let mut next = vec![arrow.to.as_str()];
        while let Some(file) = next.pop() {
            let on = arrows.iter().filter(|on| on.from == file);
            next.extend(on.map(|on| on.to.as_str()).filter(|to| reached.insert(to)));
        }
        reached.contains(arrow.from.as_str())
    };
    arrows
        .iter()
        .copied()
        .filter(|arrow| leads_back(arrow))
        .collect()
}

/// Whether an arrow goes up, or to a layer that nobody named.
fn is_against_layers(arrow: &Arrow, package: &Package) -> bool {
    let layer = |file: &str| module(file).into_iter().next();
    let (Some(from), Some(to)) = (layer(&arrow.from), layer(&arrow.to)) else {
        return false;
    };
    let allowed = package.layers.iter().find(|(layer, _)| *layer == from);
    from != to && !allowed.is_some_and(|(_, may_use)| may_use.contains(&to.as_str()))
}

fn assert_none(what: &str, found: BTreeSet<String>) {
    let found: Vec<String> = found.into_iter().collect();
    assert!(found.is_empty(), "{what}:\n{}", found.join("\n"));
}

#[test]
fn packages_import_only_what_lies_below_them() {
    let mut found = BTreeSet::new();
    for package in &TREE {
        for (file, text) in sources(package) {
            for (line, name) in paths::packages(&text, &PACKAGES) {
                if !package.may_use.contains(&name.as_str()) {
                    found.insert(format!("{}/{file}:{line}: needs {name}", package.sources));
                }
            }
        }
    }
    assert_none("imports against the order of the packages", found);
}

#[test]
fn layers_import_only_what_lies_below_them() {
    let mut found = BTreeSet::new();
    for package in TREE.iter().filter(|package| !package.layers.is_empty()) {
        let arrows = arrows(&sources(package));
        let wrong = arrows
            .iter()
            .filter(|arrow| is_against_layers(arrow, package));
        found.extend(wrong.map(|arrow| arrow.shown(package.sources)));
    }
    assert_none("imports against the order of the layers", found);
}

#[test]
fn no_two_files_need_each_other() {
    let mut found = BTreeSet::new();
    for package in &TREE {
        let arrows = arrows(&sources(package));
        let wrong = circular(&arrows);
        found.extend(wrong.into_iter().map(|arrow| arrow.shown(package.sources)));
    }
    assert_none("imports that go round in circles", found);
}

fn package_of(files: &[(&str, &str)]) -> BTreeMap<String, String> {
    let own = |(file, text): &(&str, &str)| ((*file).to_owned(), (*text).to_owned());
    files.iter().map(own).collect()
}

#[test]
fn a_circle_over_three_files_is_found_and_what_leads_to_it_is_none() {
    let files = package_of(&[
        ("a.rs", "use crate::b::B;"),
        ("b.rs", "fn f() {\n    crate::c::g();\n}"),
        ("c.rs", "use super::a::{A, other};"),
        ("d.rs", "use crate::a::A;"),
    ]);
    let arrows = arrows(&files);
    let shown: BTreeSet<String> = circular(&arrows)
        .into_iter()
        .map(|arrow| arrow.shown("src"))
        .collect();
    assert_eq!(
        shown.into_iter().collect::<Vec<_>>(),
        [
            "src/a.rs:1: needs b.rs",
            "src/b.rs:2: needs c.rs",
            "src/c.rs:1: needs a.rs"
        ]
    );
}

#[test]
fn a_child_may_use_its_parents_types_and_its_functions_only_if_the_parent_does_not_use_it() {
    let uses = ("a.rs", "mod b;\npub struct A;\nfn f() { b::make(); }");
    let hands_on = ("a.rs", "mod b;\npub use b::B;\npub struct A;");
    let with_type = ("a/b.rs", "use super::A;\npub struct B(A);");
    let with_function = ("a/b.rs", "pub fn make() { super::f(); }");
    for (label, files, expected) in [
        ("a type of a parent that calls", [uses, with_type], 0),
        (
            "a function of a parent that calls",
            [uses, with_function],
            2,
        ),
        (
            "a function of one that hands on",
            [hands_on, with_function],
            0,
        ),
    ] {
        let files = package_of(&files);
        assert_eq!(circular(&arrows(&files)).len(), expected, "{label}");
    }
}

#[test]
fn an_arrow_up_or_to_an_unknown_layer_is_against_the_layers() {
    let is_wrong = |from: &str, to: &str| {
        let arrow = Arrow {
            from: from.to_owned(),
            line: 1,
            to: to.to_owned(),
            is_to_type: true,
        };
        is_against_layers(&arrow, &TREE[2])
    };
    assert!(is_wrong("model/change.rs", "store.rs"));
    assert!(is_wrong("operations.rs", "command/set.rs"));
    assert!(is_wrong("elsewhere.rs", "model.rs"));
    assert!(!is_wrong("command/set.rs", "operations.rs"));
    assert!(!is_wrong("store/history.rs", "store.rs"));
    assert!(!is_wrong("lib.rs", "command.rs"));
}
