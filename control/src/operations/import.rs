//! Splits out of other tools' resources: VirtualServices that route by cookie, header, query or
//! weight, and ingress-nginx canaries. Pure; what cannot be carried over is listed, never dropped
//! in silence.

mod ingress;
mod name;
mod virtual_service;

pub use name::name_of;

use serde_json::{Map, Value, json};
use sluice_core::problem::Problem;

use crate::model::input::Input;
use crate::model::plugin::{Kind, Plugin};
use crate::model::resources::istio::VirtualService;
use crate::model::resources::{FieldError, Resource, Spec};
use crate::model::weights::WeightShare;

/// What other tools' resources became.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Imported {
    /// Split → its definition.
    pub splits: Map<String, Value>,
    /// What `sluice set` writes once the plugin is applied.
    pub weights: Vec<WeightShare>,
    /// What was carried over in another form, and what was not at all.
    pub notes: Vec<String>,
}

impl Imported {
    /// Reads every document; those of other kinds are named.
    pub fn of(inputs: &[Input]) -> Self {
        let mut imported = Self::default();
        for input in inputs {
            match input.kind() {
                Some("VirtualService") => imported.read(input, virtual_service::read),
                Some("Ingress") => imported.read(input, ingress::read),
                kind => imported.notes.push(format!(
                    "{}: not carried over: kind {}; accepted: VirtualService, Ingress, \
                     Flagger's Canary, Argo's Rollout",
                    input.source,
                    kind.unwrap_or("missing")
                )),
            }
        }
        imported
    }

    /// The plugin configuration, without weights.
    pub fn config(&self) -> Value {
        json!({"splits": self.splits})
    }

    /// Everything that is wrong with the configuration, such as an expression that the filter does
    /// not take.
    pub fn problems(&self) -> Vec<Problem> {
        let plugin = Plugin {
            source: "the result".to_owned(),
            kind: Kind::Bare,
            name: None,
            namespace: None,
            config: self.config(),
        };
        plugin.problems()
    }

    fn read<S: Spec>(&mut self, input: &Input, read: fn(&str, &Resource<S>, &mut Self)) {
        let title = title(input);
        match Resource::read(&input.value) {
            Ok(resource) => read(&title, &resource, self),
            Err(FieldError { path, why }) => {
                self.note(&title, format!("not carried over: {path}: {why}"));
            }
        }
    }

    fn note(&mut self, title: &str, text: impl std::fmt::Display) {
        self.notes.push(format!("{title}: {text}"));
    }
}

/// The split of a VirtualService's routes, with notes that have no title.
pub fn of_routes(service: &Resource<VirtualService>) -> Imported {
    let mut imported = Imported::default();
    virtual_service::read("", service, &mut imported);
    for note in &mut imported.notes {
        *note = note.trim_start_matches(": ").to_owned();
    }
    imported
}

/// `Kind namespace/name`.
fn title(input: &Input) -> String {
    let kind = input.kind().unwrap_or("?");
    match (input.namespace(), input.name()) {
        (Some(namespace), Some(name)) => format!("{kind} {namespace}/{name}"),
        (None, name) => format!("{kind} {}", name.unwrap_or("without a name")),
        (Some(namespace), None) => format!("{kind} {namespace}/?"),
    }
}

#[cfg(test)]
mod tests;
