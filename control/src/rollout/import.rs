//! Rollouts out of Flagger's Canaries and Argo's Rollouts, with the metrics, templates and alerts
//! that they name.
//!
//! Pure. What has no counterpart is listed with its path, never dropped in silence. VirtualServices
//! and ingress-nginx canaries are [`crate::operations::import`]'s. Called by `sluice import`.

mod analysis;
mod argo;
mod condition;
mod documents;
mod fields;
mod flagger;
mod found;
mod length;
mod notes;
mod query;
mod split;
mod written;

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Map, Value, json};

use super::manifest;
use crate::model::input::Input;
use documents::Documents;
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
    let mut names = Names::default();
    let documents = Documents::of(inputs);
    for (index, input) in inputs.iter().enumerate() {
        let found = match (input.group(), input.kind()) {
            (Some(flagger::GROUP), Some("Canary")) => {
                flagger::canary(&documents, input, known, &mut notes)
            }
            (Some(argo::GROUP), Some("Rollout")) => {
                argo::rollout(&documents, input, known, &mut notes)
            }
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
            carried.take(found, input, &mut names, &mut notes);
        }
    }
    unused(inputs, &carried.used.clone(), &mut notes, &mut carried);
    carried.notes = notes.into_lines();
    carried
}

impl Carried {
    fn take(&mut self, found: Found, input: &Input, names: &mut Names, notes: &mut Notes) {
        let Found {
            split: (name, definition),
            deployment,
            mut rollout,
            used,
        } = found;
        notes.about(input);
        self.used.extend(used);
        let metadata = &rollout["metadata"];
        let of_rollout = ["namespace", "name"].map(|field| metadata[field].as_str());
        if !names
            .rollouts
            .insert(of_rollout.map(|text| text.map(str::to_owned)))
        {
            notes.lost("metadata.name", "a Rollout of this name is there already");
            return;
        }
        let free = self.free_name(&name, input, names);
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
    fn free_name(&self, name: &str, input: &Input, names: &mut Names) -> String {
        let beside = format!("{name}-{}", input.namespace().unwrap_or("default"));
        let firsts = [name.to_owned(), beside].into_iter();
        if let Some(free) = firsts.into_iter().find(|name| self.is_free(name)) {
            return free;
        }
        // Numbers below the last one were tried for another of the name.
        let last = names.numbers.entry(name.to_owned()).or_insert(2);
        let mut numbers = *last..;
        let free = numbers.find(|number| self.is_free(&format!("{name}-{number}")));
        *last = free.unwrap_or(u32::MAX);
        format!("{name}-{last}")
    }

    fn is_free(&self, name: &str) -> bool {
        !self.splits.contains_key(name)
    }
}

/// Which names are taken, so that nobody looks through everything that is written.
#[derive(Default)]
struct Names {
    /// Namespace and name of each Rollout.
    rollouts: BTreeSet<[Option<String>; 2]>,
    /// Split → the number behind which its next namesake's is looked for.
    numbers: BTreeMap<String, u32>,
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
