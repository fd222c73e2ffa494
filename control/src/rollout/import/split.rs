//! The split that a Canary or a Rollout of others moves: made of the routes that the tool would
//! have written.

use serde_json::{Value, json};

use super::notes::Notes;
use crate::model::resources::Resource;
use crate::model::resources::istio::VirtualService;
use crate::operations::import::of_routes;

/// The variant with the pods of everyone.
pub(super) const STABLE: &str = "stable";

/// The variant that is tried.
pub(super) const CANARY: &str = "canary";

/// Routes by which some requests reach the canary whatever the weights say.
pub(super) struct Rule {
    /// What the rule is called.
    pub(super) name: String,
    /// Istio's HTTPMatchRequests.
    pub(super) matches: Vec<Value>,
    /// Where they stand in the resource.
    pub(super) path: String,
}

/// What is routed.
pub(super) struct Routes {
    /// The split's name.
    pub(super) name: String,
    /// The namespace in which hosts are meant.
    pub(super) namespace: String,
    /// The hosts and services.
    pub(super) hosts: Vec<String>,
    /// What is routed to the canary by itself.
    pub(super) rules: Vec<Rule>,
}

impl Routes {
    /// The split's name and definition; `None` where there is nothing to split.
    pub(super) fn split(&self, notes: &mut Notes) -> Option<(String, Value)> {
        let to = |subset: &str, weight: u32| json!({"destination": {"host": "x", "subset": subset}, "weight": weight});
        let rules = self.rules.iter().map(
            |rule| json!({"name": rule.name, "match": rule.matches, "route": [to(CANARY, 100)]}),
        );
        let last = json!({"route": [to(STABLE, 100), to(CANARY, 0)]});
        let routes: Vec<Value> = rules.chain([last]).collect();
        let document = json!({
            "metadata": {"name": self.name, "namespace": self.namespace},
            "spec": {"hosts": self.hosts, "http": routes},
        });
        let resource = match Resource::<VirtualService>::read(&document) {
            Ok(resource) => resource,
            Err(error) => {
                notes.lost(&self.in_the_resource(&error.path), error.why);
                return None;
            }
        };
        let imported = of_routes(&resource);
        for note in &imported.notes {
            notes.said("the split", self.in_the_resource(note));
        }
        imported.splits.into_iter().next()
    }

    /// A path of the routes that were made up, as it stands in the resource.
    fn in_the_resource(&self, text: &str) -> String {
        let rules = self.rules.iter().enumerate();
        rules.fold(text.to_owned(), |text, (index, rule)| {
            text.replace(&format!("spec.http[{index}].match"), &rule.path)
        })
    }
}

/// Whether a split has a rule.
pub(super) fn has_rule(definition: &Value, name: &str) -> bool {
    let rules = definition.get("rules").and_then(Value::as_array);
    let mut rules = rules.into_iter().flatten();
    rules.any(|rule| rule["name"] == name)
}
