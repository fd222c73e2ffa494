//! Splits out of other tools' resources: VirtualServices that route by cookie, header, query or weight, and
//! ingress-nginx canaries. Pure; what cannot be carried over is listed, never dropped in silence.

mod ingress;
mod virtual_service;

use serde_json::{Map, Value, json};

use crate::model::input::Input;

/// What was found.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Imported {
    /// Split → its definition.
    pub splits: Map<String, Value>,
    /// Split, audience, challenger, percent: what `sluice set` writes.
    pub weights: Vec<(String, String, String, f64)>,
    /// What was carried over in another form, and what was not at all.
    pub notes: Vec<String>,
}

impl Imported {
    /// Reads every document; those of other kinds are named.
    pub fn of(inputs: &[Input]) -> Self {
        let mut imported = Self::default();
        for input in inputs {
            match input.value.get("kind").and_then(Value::as_str) {
                Some("VirtualService") => virtual_service::read(&input.value, &mut imported),
                Some("Ingress") => ingress::read(&input.value, &mut imported),
                kind => imported.notes.push(format!(
                    "{}: not carried over: kind {}; accepted: VirtualService, Ingress",
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

    fn note(&mut self, place: &str, text: impl std::fmt::Display) {
        self.notes.push(format!("{place}: {text}"));
    }
}

/// A name in the grammar of splits, variants and rules, made of any text.
fn name_of(text: &str) -> String {
    let mapped: String = text
        .to_ascii_lowercase()
        .chars()
        .map(|character| {
            if character.is_ascii_alphanumeric() {
                character
            } else {
                '-'
            }
        })
        .collect();
    let name: String = mapped.trim_matches('-').chars().take(63).collect();
    let name = name.trim_matches('-').to_owned();
    if name.is_empty() {
        "split".to_owned()
    } else {
        name
    }
}

/// `Kind namespace/name`.
fn title(document: &Value) -> String {
    let text = |field: &str| document["metadata"][field].as_str();
    let kind = document["kind"].as_str().unwrap_or("?");
    match (text("namespace"), text("name")) {
        (Some(namespace), Some(name)) => format!("{kind} {namespace}/{name}"),
        (None, name) => format!("{kind} {}", name.unwrap_or("without a name")),
        (Some(namespace), None) => format!("{kind} {namespace}/?"),
    }
}

#[cfg(test)]
mod tests;
