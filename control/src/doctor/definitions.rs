//! The definitions of Rollouts and Brakes in the cluster, against those of this binary.
//!
//! Which fields there are is compared; their bounds are not.

use std::collections::BTreeSet;

use kube::CustomResourceExt as _;
use kube::api::{DynamicObject, ListParams};
use serde_json::Value;

use super::codes::Code;
use super::finding::{Finding, Look, named};
use super::objects::{self, DEFINITION};
use super::query::Ground;
use crate::brake::object::Brake;
use crate::cluster::plugins::Scope;
use crate::rollout::crd;

/// How deep a definition is compared. Chosen: ours are less than half as deep.
const MAX_DEFINITION_DEPTH: usize = 40;

/// The definitions that `sluice crds` prints.
pub fn own() -> Vec<Value> {
    let brakes = serde_json::to_value(Brake::crd()).unwrap_or_default();
    vec![crd::crd(), brakes]
}

/// Looks at the cluster's definitions; `is_needed`: a controller or a plugin cannot do without them.
pub async fn look(ground: &Ground<'_>, is_needed: bool) -> Look {
    let mut look = Look::default();
    for own in own() {
        let name = name_of(&own).to_owned();
        let parameters = ListParams::default().fields(&format!("metadata.name={name}"));
        let everywhere = Scope::Everywhere;
        match objects::all(ground.cluster, &DEFINITION, &everywhere, &parameters).await {
            Ok(found) => look.join(judge(&own, found.first(), is_needed)),
            Err(why) => look.miss(format!("CustomResourceDefinition {name}"), why),
        }
    }
    look
}

/// What one definition of the cluster's is, against ours.
pub fn judge(own: &Value, theirs: Option<&DynamicObject>, is_needed: bool) -> Look {
    let mut look = Look::default();
    let name = name_of(own);
    let place = format!("CustomResourceDefinition {name}");
    let Some(theirs) = theirs else {
        let code = match is_needed {
            true => Code::DefinitionNeeded,
            false => Code::DefinitionMissing,
        };
        look.find(Finding::new(
            code,
            place,
            "not there",
            "what `sluice crds` prints",
        ));
        return look;
    };
    let conditions = theirs.data.pointer("/status/conditions");
    let mut conditions = conditions.and_then(Value::as_array).into_iter().flatten();
    let is_established = conditions.any(|is| is["type"] == "Established" && is["status"] == "True");
    if !is_established {
        look.find(
            Finding::new(
                Code::DefinitionNotEstablished,
                place,
                "its condition Established is not True",
                "a definition that is served",
            )
            .mended_by(format!(
                "kubectl describe customresourcedefinition {name}: its conditions say why"
            )),
        );
        return look;
    }
    let (ours, cluster) = (fields(own), fields(&theirs.data));
    let lacks: Vec<&String> = ours.difference(&cluster).collect();
    let more: Vec<&String> = cluster.difference(&ours).collect();
    if !lacks.is_empty() {
        look.find(Finding::new(
            Code::DefinitionOlder,
            place.clone(),
            format!("it lacks {}", named(&lacks)),
            "every field that this sluice writes",
        ));
    }
    if !more.is_empty() {
        look.find(Finding::new(
            Code::DefinitionNewer,
            place,
            format!("it has {} beside what this sluice knows", named(&more)),
            "the fields that this sluice knows",
        ));
    }
    if look.findings.is_empty() {
        look.praise(format!("{name} is this sluice's"));
    }
    look
}

fn name_of(definition: &Value) -> &str {
    let name = definition.pointer("/metadata/name");
    name.and_then(Value::as_str).unwrap_or_default()
}

/// The paths of every field of a definition's versions, such as `v1alpha1.spec.split`.
fn fields(definition: &Value) -> BTreeSet<String> {
    let mut paths = BTreeSet::new();
    let versions = definition
        .pointer("/spec/versions")
        .and_then(Value::as_array);
    for version in versions.into_iter().flatten() {
        let name = version["name"].as_str().unwrap_or_default();
        collect(name, &version["schema"]["openAPIV3Schema"], 0, &mut paths);
    }
    paths
}

fn collect(path: &str, schema: &Value, depth: usize, paths: &mut BTreeSet<String>) {
    if depth > MAX_DEFINITION_DEPTH {
        return;
    }
    let properties = schema.get("properties").and_then(Value::as_object);
    for (name, of) in properties.into_iter().flatten() {
        let is_outer = depth == 0 && matches!(name.as_str(), "apiVersion" | "kind" | "metadata");
        if !is_outer {
            let own = format!("{path}.{name}");
            collect(&own, of, depth + 1, paths);
            paths.insert(own);
        }
    }
    for (inner, mark) in [("items", "[]"), ("additionalProperties", ".*")] {
        if let Some(of) = schema.get(inner).filter(|of| of.is_object()) {
            collect(&format!("{path}{mark}"), of, depth + 1, paths);
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn codes(look: &Look) -> Vec<&'static str> {
        look.findings
            .iter()
            .map(|found| found.code.as_str())
            .collect()
    }

    fn installed(definition: &Value, established: &str) -> DynamicObject {
        let mut value = definition.clone();
        value["status"] = json!({"conditions": [{"type": "Established", "status": established}]});
        serde_json::from_value(value).unwrap()
    }

    #[test]
    fn a_definition_is_ours_older_newer_not_served_or_missing() {
        for own in own() {
            let mut without = own.clone();
            let path = "/spec/versions/0/schema/openAPIV3Schema/properties/spec/properties";
            let split = without.pointer_mut(path).unwrap().as_object_mut().unwrap();
            let split = split.remove("split").unwrap();
            let mut more = own.clone();
            more.pointer_mut(path).unwrap()["later"] = split;
            let rows: [(&str, Option<DynamicObject>, &[&str]); 5] = [
                ("ours", Some(installed(&own, "True")), &[]),
                (
                    "older",
                    Some(installed(&without, "True")),
                    &["definition-older"],
                ),
                (
                    "newer",
                    Some(installed(&more, "True")),
                    &["definition-newer"],
                ),
                (
                    "not served",
                    Some(installed(&own, "False")),
                    &["definition-not-established"],
                ),
                ("missing", None, &["definition-missing"]),
            ];
            for (label, theirs, expected) in rows {
                assert_eq!(
                    codes(&judge(&own, theirs.as_ref(), false)),
                    expected,
                    "{label}"
                );
            }
            assert_eq!(codes(&judge(&own, None, true)), ["definition-needed"]);
            let look = judge(&own, Some(&installed(&without, "True")), false);
            assert_eq!(look.findings[0].found, "it lacks v1alpha1.spec.split");
        }
    }

    #[test]
    fn a_definition_is_read_to_a_depth() {
        let mut schema = json!({});
        for _ in 0..100 {
            schema = json!({"properties": {"a": schema}});
        }
        let definition = json!({"spec": {"versions": [
            {"name": "v1", "schema": {"openAPIV3Schema": schema}},
        ]}});
        assert_eq!(fields(&definition).len(), MAX_DEFINITION_DEPTH + 1);
    }
}
