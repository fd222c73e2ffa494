//! Rollouts as people write them in files: which documents are some, and each with what is wrong
//! with it. What a spec may say is [`super::definition`]'s.

use serde_json::Value;
use sluice_core::decode::kind_of;
use sluice_core::problem::{Accepted, Problem};

use super::definition::Definition;
use crate::model::input::Input;
use crate::model::object_names;
pub use crate::model::workload::{ROLLOUT_API_VERSION as API_VERSION, ROLLOUT_KIND as KIND};

/// The resource's group, in which every version of it is one of ours.
pub const GROUP: &str = "sluice.dev";

/// The most Rollouts that one process of `sluice rollout run` runs; see docs/limits.md.
pub const MAX_ROLLOUTS: usize = 100;

/// The longest name of a Rollout: that of a DNS label (RFC 1123), since it names files too.
pub const MAX_ROLLOUT_NAME_BYTES: usize = 63;

/// A Rollout of a file.
#[derive(Clone, Debug, PartialEq)]
pub struct Manifest {
    /// The file as it was named.
    pub source: String,
    /// Its namespace, where one is written.
    pub namespace: Option<String>,
    /// Its name.
    pub name: String,
    /// What it wants.
    pub definition: Definition,
}

/// What is wrong with Rollouts of files: everything, a line each.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{}", .0.join("\n"))]
pub struct Mistakes(pub Vec<String>);

/// Whether a document is a Rollout of ours.
pub fn is_one(input: &Input) -> bool {
    input.kind() == Some(KIND) && input.group() == Some(GROUP)
}

/// The Rollouts among documents.
///
/// # Errors
/// Every mistake in any of them.
pub fn rollouts(inputs: &[Input]) -> Result<Vec<Manifest>, Mistakes> {
    let mut manifests: Vec<Manifest> = Vec::new();
    let mut mistakes = Vec::new();
    for input in inputs.iter().filter(|input| is_one(input)) {
        match manifest(input) {
            Ok(manifest) if manifests.iter().any(|other| other.is_same(&manifest)) => {
                let name = &manifest.name;
                mistakes.push(format!("{}: Rollout {name} is there twice", input.source));
            }
            Ok(manifest) => manifests.push(manifest),
            Err(problems) => {
                let name = input.name().unwrap_or("without a name");
                let source = &input.source;
                let lines = problems.iter();
                mistakes
                    .extend(lines.map(|problem| format!("{source}: Rollout {name}: {problem}")));
            }
        }
    }
    if manifests.len() > MAX_ROLLOUTS {
        mistakes.push(format!(
            "{} Rollouts; at most {MAX_ROLLOUTS}",
            manifests.len()
        ));
    }
    if mistakes.is_empty() {
        Ok(manifests)
    } else {
        Err(Mistakes(mistakes))
    }
}

impl Manifest {
    fn is_same(&self, other: &Self) -> bool {
        self.name == other.name && self.namespace == other.namespace
    }
}

/// Reads one.
///
/// # Errors
/// Every mistake in it.
pub fn manifest(input: &Input) -> Result<Manifest, Vec<Problem>> {
    let mut problems = envelope(input);
    let spec = input.value.get("spec").unwrap_or(&Value::Null);
    match Definition::read("spec", spec) {
        Ok(definition) if problems.is_empty() => Ok(Manifest {
            source: input.source.clone(),
            namespace: input.namespace().map(str::to_owned),
            name: input.name().unwrap_or_default().to_owned(),
            definition,
        }),
        Ok(_) => Err(problems),
        Err(more) => {
            problems.extend(more);
            Err(problems)
        }
    }
}

/// What is wrong around the spec.
fn envelope(input: &Input) -> Vec<Problem> {
    let mut problems = Vec::new();
    let version = input.value.get("apiVersion").and_then(Value::as_str);
    if version != Some(API_VERSION) {
        let found = version.unwrap_or_default().to_owned();
        problems.push(Problem::new(
            "apiVersion",
            found,
            Accepted::value(API_VERSION),
        ));
    }
    if !input.name().is_some_and(is_label) {
        problems.push(no_label(input, "name"));
    }
    let has_namespace = input.value.pointer("/metadata/namespace").is_some();
    if has_namespace && !input.namespace().is_some_and(is_label) {
        problems.push(no_label(input, "namespace"));
    }
    let fields = input.value.as_object().into_iter().flatten();
    let known = ["apiVersion", "kind", "metadata", "spec", "status"];
    for (field, _) in fields.filter(|(field, _)| !known.contains(&field.as_str())) {
        let accepted = Accepted::value("apiVersion, kind, metadata, spec");
        problems.push(Problem::new(field.clone(), "unknown field", accepted));
    }
    problems
}

/// A field of the metadata that is no name.
fn no_label(input: &Input, field: &str) -> Problem {
    let path = format!("metadata.{field}");
    let accepted = format!(
        "a name of 1 to {MAX_ROLLOUT_NAME_BYTES} of a-z, 0-9 and -, which neither begins nor ends with -"
    );
    let found = input.value.pointer(&format!("/metadata/{field}"));
    let accepted = match found {
        Some(Value::Bool(_) | Value::Number(_)) => Accepted::QuotedName(accepted.into()),
        _ => Accepted::value(accepted),
    };
    let found = found.map_or_else(|| "missing".to_owned(), kind_of);
    Problem::new(path, found, accepted)
}

/// Whether a text is a name that a Rollout may have.
pub fn is_label(name: &str) -> bool {
    name.len() <= MAX_ROLLOUT_NAME_BYTES && object_names::is_label(name)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::input::parse;

    #[test]
    fn metadata_that_is_something_else_is_shown_as_it_was_found() {
        let accepted = "a name of 1 to 63 of a-z, 0-9 and -, which neither begins nor ends with -";
        let cases = [
            ("{name: 1}", "name: a number (1)"),
            ("{name: [web]}", "name: a list of 1"),
            ("{}", "name: missing"),
            ("{name: web, namespace: 5}", "namespace: a number (5)"),
            (
                "{name: web, namespace: Shop}",
                "namespace: a string (\"Shop\")",
            ),
        ];
        for (metadata, found) in cases {
            let text = format!(
                "apiVersion: {API_VERSION}\nkind: {KIND}\nmetadata: {metadata}\n\
                 spec: {{split: web, preset: emergency}}\n"
            );
            let mistakes = rollouts(&parse("r.yaml", &text).unwrap()).unwrap_err();
            let expected = format!("metadata.{found}; accepted: {accepted}");
            assert!(
                mistakes.to_string().contains(&expected),
                "{metadata}: {mistakes}"
            );
            assert_eq!(mistakes.0.len(), 1, "{metadata}: {mistakes}");
        }
    }

    #[test]
    fn every_mistake_of_every_rollout_is_said_with_its_file() {
        let text = "apiVersion: sluice.dev/v1alpha1
kind: Rollout
metadata: {name: web}
spec: {split: web, preset: fast}
---
apiVersion: sluice.dev/v2
kind: Rollout
metadata: {name: Web}
spek: {}
---
kind: Deployment
---
apiVersion: sluice.dev/v1alpha1
kind: Rollout
metadata: {name: api}
spec: {split: api, preset: progressive}
---
apiVersion: sluice.dev/v1alpha1
kind: Rollout
metadata: {name: api}
spec: {split: api, preset: progressive}
";
        let mistakes = rollouts(&parse("r.yaml", text).unwrap()).unwrap_err();
        let expected = "\
r.yaml: Rollout web: spec.preset: a string (\"fast\"); accepted: one of progressive, emergency, blueGreen, migration
r.yaml: Rollout web: spec.steps: missing; accepted: steps, or a preset: progressive, emergency, blueGreen, migration
r.yaml: Rollout Web: apiVersion: sluice.dev/v2; accepted: sluice.dev/v1alpha1
r.yaml: Rollout Web: metadata.name: a string (\"Web\"); accepted: a name of 1 to 63 of a-z, 0-9 and -, which neither begins nor ends with -
r.yaml: Rollout Web: spek: unknown field; accepted: apiVersion, kind, metadata, spec
r.yaml: Rollout Web: spec: null; accepted: a map
r.yaml: Rollout Web: spec.split: missing; accepted: a split's name
r.yaml: Rollout Web: spec.steps: missing; accepted: steps, or a preset: progressive, emergency, blueGreen, migration
r.yaml: Rollout api is there twice";
        assert_eq!(mistakes.to_string(), expected);
    }
}
