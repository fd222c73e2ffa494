//! `sluice import`: reads splits and Rollouts out of other tools' resources. The configuration and,
//! behind it, Deployments and Rollouts go to standard output; the weights, as the commands that set
//! them, and everything that was not carried over go to standard error.

use std::collections::BTreeSet;
use std::path::PathBuf;

use anyhow::bail;

use super::outcome::Outcome;
use crate::command::output;
use crate::files;
use crate::model::input::Input;
use crate::model::weights::WeightShare;
use crate::operations::import::Imported;
use crate::rollout::import::{Carried, Known, carried};
use crate::rollout::resource::Endpoint;
use sluice_core::plan::EVERYONE;

/// `sluice import`.
#[derive(clap::Args, Debug)]
pub(super) struct Import {
    /// The resources: a file, a directory, or - for standard input
    #[arg(value_name = "FILE")]
    file: PathBuf,
    /// The Prometheus that every check of a Rollout is to ask [default: what the resources name]
    #[arg(long, value_name = "URL", value_parser = address)]
    prometheus: Option<String>,
}

fn address(text: &str) -> Result<String, String> {
    match Endpoint::new(text) {
        Some(_) => Ok(text.to_owned()),
        None => Err("accepted: a URL such as http://prometheus.istio-system:9090".to_owned()),
    }
}

pub(super) fn run(arguments: &Import) -> anyhow::Result<Outcome> {
    let documents = files::documents(&arguments.file)?;
    let documents: Vec<Input> = documents.into_iter().flat_map(items).collect();
    let known = Known {
        prometheus: arguments.prometheus.clone(),
    };
    let carried = carried(&documents, &known);
    let others: Vec<Input> = documents
        .into_iter()
        .enumerate()
        .filter_map(|(index, input)| (!carried.used.contains(&index)).then_some(input))
        .collect();
    let mut imported = Imported::of(&others);
    merge(&mut imported, &carried);
    for note in carried.notes.iter().chain(&imported.notes) {
        output::note(note);
    }
    if imported.splits.is_empty() {
        bail!(
            "{}: no split was found; nothing was written",
            arguments.file.display()
        );
    }
    let mut written = vec![output::yaml(&imported.config())?.trim_end().to_owned()];
    for document in &carried.documents {
        written.push(output::yaml(document)?.trim_end().to_owned());
    }
    output::document(written.join("\n---\n"));
    let problems = imported.problems();
    let problems = problems.iter().map(ToString::to_string);
    let problems: Vec<String> = problems.chain(carried.problems).collect();
    for problem in &problems {
        output::note(format!("problem: {problem}"));
    }
    if !imported.weights.is_empty() {
        output::note("its weights, once the plugin is applied:");
    }
    for WeightShare { key, percent } in &imported.weights {
        let audience = if key.audience == EVERYONE {
            String::new()
        } else {
            format!(" --audience {}", key.audience)
        };
        output::note(format!(
            "  sluice set {} {}={percent}{audience}",
            key.split, key.challenger
        ));
    }
    Ok(if problems.is_empty() {
        Outcome::Good
    } else {
        Outcome::Problems
    })
}

/// What `kubectl get -o yaml` prints of several is one document: its items. Any other is itself.
fn items(mut input: Input) -> Vec<Input> {
    let is_list = input.kind().is_some_and(|kind| kind.ends_with("List"));
    match input.value.get_mut("items").map(serde_json::Value::take) {
        Some(serde_json::Value::Array(items)) if is_list => {
            let source = &input.source;
            let item = |value| Input {
                source: source.clone(),
                value,
            };
            items.into_iter().map(item).collect()
        }
        Some(other) => {
            input.value["items"] = other;
            vec![input]
        }
        None => vec![input],
    }
}

/// The splits of both readers; where both have one of a name, that of the Rollout stays.
fn merge(imported: &mut Imported, carried: &Carried) {
    let mut replaced = BTreeSet::new();
    for (name, definition) in &carried.splits {
        let former = imported.splits.insert(name.clone(), definition.clone());
        if former.is_some() {
            imported.notes.push(format!(
                "split {name}: not carried over: that of a VirtualService or Ingress; a Rollout has one of this name"
            ));
            replaced.insert(name);
        }
    }
    let weights = &mut imported.weights;
    weights.retain(|weight| !replaced.contains(&weight.key.split));
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn a_list_is_its_items_and_nothing_else_is() {
        let of = |value| Input {
            source: "f".to_owned(),
            value,
        };
        let cases = [
            (
                json!({"kind": "List", "items": [{"a": 1}, {"b": 2}]}),
                vec![json!({"a": 1}), json!({"b": 2})],
            ),
            (json!({"kind": "CanaryList", "items": []}), vec![]),
            (
                json!({"kind": "ConfigMap", "items": [1]}),
                vec![json!({"kind": "ConfigMap", "items": [1]})],
            ),
            (json!({"kind": "List"}), vec![json!({"kind": "List"})]),
        ];
        for (value, expected) in cases {
            let found: Vec<_> = items(of(value))
                .into_iter()
                .map(|input| input.value)
                .collect();
            assert_eq!(found, expected);
        }
    }
}
