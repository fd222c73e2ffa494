//! Rollouts out of Flagger's Canaries and Argo's Rollouts, with the metrics, templates and alerts
//! that they name.
//!
//! Pure. What has no counterpart is listed with its path, never dropped in silence. VirtualServices
//! and ingress-nginx canaries are [`crate::operations::import`]'s. Called by `sluice import`.

mod analysis;
mod argo;
mod condition;
mod fields;
mod flagger;
mod found;
mod length;
mod notes;
mod query;
mod split;
mod written;

use std::collections::BTreeSet;

use serde_json::{Map, Value, json};

use super::manifest;
use crate::model::input::Input;
use found::Found;
pub use found::Known;
pub use notes::MAX_IMPORT_NOTES;
use notes::Notes;

/// What Canaries and Rollouts of others became.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Carried {
    /// Split → its definition.
    pub splits: Map<String, Value>,
    /// Deployments that other tools kept inside of their own resource, and Rollouts, in the order
    /// in which one applies them.
    pub documents: Vec<Value>,
    /// What was carried over in another form, and what was not at all, each with its path.
    pub notes: Vec<String>,
    /// What our own reader refuses in the documents; each needs a person.
    pub problems: Vec<String>,
    /// Which of the inputs were used, counted from 0; the others are for other readers.
    pub used: BTreeSet<usize>,
}

/// Reads every Canary and every Rollout of Argo's among documents, with what they refer to.
pub fn carried(inputs: &[Input], known: &Known) -> Carried {
    let mut carried = Carried::default();
    let mut notes = Notes::default();
    for (index, input) in inputs.iter().enumerate() {
        let found = match (input.group(), input.kind()) {
            (Some(flagger::GROUP), Some("Canary")) => {
                flagger::canary(inputs, input, known, &mut notes)
            }
            (Some(argo::GROUP), Some("Rollout")) => argo::rollout(inputs, input, known, &mut notes),
            // They are read where a Canary or a Rollout names them.
            (Some(flagger::GROUP), Some("MetricTemplate" | "AlertProvider"))
            | (Some(argo::GROUP), Some("AnalysisTemplate" | "ClusterAnalysisTemplate")) => {
                carried.used.insert(index);
                continue;
            }
            _ => continue,
        };
        carried.used.insert(index);
        if let Some(found) = found {
            carried.take(found, input, &mut notes);
        }
    }
    unused(inputs, &carried.used.clone(), &mut notes, &mut carried);
    carried.notes = notes.into_lines();
    carried
}

impl Carried {
    fn take(&mut self, found: Found, input: &Input, notes: &mut Notes) {
        let Found {
            split: (name, definition),
            deployment,
            mut rollout,
            used,
        } = found;
        notes.about(input);
        self.used.extend(used);
        let is_there = |other: &Value| {
            other["kind"] == rollout["kind"] && other["metadata"] == rollout["metadata"]
        };
        if self.documents.iter().any(is_there) {
            notes.lost("metadata.name", "a Rollout of this name is there already");
            return;
        }
        let free = self.free_name(&name, input);
        if free != name {
            notes.said(
                "metadata.name",
                format!("its split is called {free}: {name} is another one's"),
            );
            rollout["spec"]["split"] = json!(free);
        }
        self.splits.insert(free, definition);
        self.documents.extend(deployment);
        let written = Input {
            source: notes.title().to_owned(),
            value: rollout,
        };
        if let Err(problems) = manifest::manifest(&written) {
            let lines = problems.iter();
            let title = notes.title();
            self.problems
                .extend(lines.map(|problem| format!("{title}: in the Rollout: {problem}")));
        }
        self.documents.push(written.value);
    }

    /// The name of a split, with the namespace where another one has it.
    fn free_name(&self, name: &str, input: &Input) -> String {
        let beside = format!("{name}-{}", input.namespace().unwrap_or("default"));
        let names = [name.to_owned(), beside];
        let numbered = (2..).map(|number: u32| format!("{name}-{number}"));
        let mut free = names.into_iter().chain(numbered);
        let free = free.find(|name| !self.splits.contains_key(name));
        free.unwrap_or_else(|| name.to_owned())
    }
}

/// Templates that nobody names were read for nothing: that is said.
fn unused(inputs: &[Input], used: &BTreeSet<usize>, notes: &mut Notes, carried: &mut Carried) {
    let is_template = |input: &Input| {
        matches!(
            input.kind(),
            Some(
                "MetricTemplate" | "AlertProvider" | "AnalysisTemplate" | "ClusterAnalysisTemplate"
            )
        )
    };
    let has_any = !carried.documents.is_empty();
    for input in used.iter().filter_map(|index| inputs.get(*index)) {
        if is_template(input) && !(has_any && notes.is_named(input)) {
            notes.about(input);
            notes.lost("spec", "no Canary or Rollout among the documents names it");
        }
    }
}

#[cfg(test)]
mod tests;
