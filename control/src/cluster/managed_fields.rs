//! Which weights and draws are ours: what the API server's managedFields say (KEP-555, "fieldsV1").
//!
//! A leaf is ours when a manager `sluice/<split>` applied it or an abort set it; whoever took it over
//! since, or set it in Git, owns it.

use jiff::Timestamp;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ManagedFieldsEntry;
use kube::core::ObjectMeta;
use serde_json::{Map, Value};

use crate::model::plugin::Kind;
use crate::model::weights::{WeightSet, leaves};

/// What our managers' names begin with; the split's name follows.
pub const MANAGER: &str = "sluice/";

/// The manager of aborts, whatever splits they are of. A split of this name is no other's business:
/// its changes are applied, aborts are updates, and the API server keeps the two apart.
pub const ABORT_MANAGER: &str = "sluice/all";

/// The manager that the API server makes up for what was there when it knew of no owner: before
/// anybody applied, or after somebody emptied managedFields. It stands for nobody.
const NOBODY: &str = "before-first-apply";

/// The weights and draws in `config` that `sluice` applied.
pub fn managed(metadata: &ObjectMeta, kind: Kind, config: &Value) -> WeightSet {
    let effective = WeightSet::of_config(config);
    let mut managed = WeightSet::default();
    for entry in metadata.managed_fields.iter().flatten() {
        let is_ours = entry.manager.as_deref().is_some_and(is_ours);
        let fields = config_fields(entry, kind).filter(|_| is_ours);
        let Some(fields) = fields else {
            continue;
        };
        let fields = without_prefixes(fields);
        for (key, _) in leaves(&fields) {
            if let Some(weight) = effective.weight(&key) {
                managed.put(key, weight.clone());
            }
        }
        for split in fields["draws"].as_object().into_iter().flat_map(Map::keys) {
            if let Some(draw) = effective.draw(split) {
                managed.set_draw(split, draw);
            }
        }
    }
    managed
}

/// Whether `sluice` ever wrote to the object.
pub fn is_touched(metadata: &ObjectMeta) -> bool {
    let mut managers = metadata
        .managed_fields
        .iter()
        .flatten()
        .filter_map(|entry| entry.manager.as_deref());
    managers.any(is_ours)
}

/// Whether a manager is one of ours: what it owns, any change of ours takes over.
fn is_ours(manager: &str) -> bool {
    manager.starts_with(MANAGER)
}

/// Whether a manager is somebody else, whose fields are not taken over unasked.
pub fn is_others(manager: &str) -> bool {
    !is_ours(manager) && manager != NOBODY
}

/// The fields of the configuration that an entry's manager owns.
fn config_fields(entry: &ManagedFieldsEntry, kind: Kind) -> Option<&Value> {
    field(&entry.fields_v1.as_ref()?.0, kind.config_path())
}

fn field<'v>(fields: &'v Value, path: &[&str]) -> Option<&'v Value> {
    path.iter()
        .try_fold(fields, |fields, name| fields.get(format!("f:{name}")))
}

/// When the object was last changed, its status aside, to the second.
pub fn last_change(metadata: &ObjectMeta) -> Option<Timestamp> {
    let entries = metadata.managed_fields.iter().flatten();
    let entries = entries.filter(|entry| entry.subresource.is_none());
    let times = entries.filter_map(|entry| entry.time.as_ref());
    times.map(|time| time.0).max()
}

/// The fields of a set, named as in the object: fieldsV1 writes `f:` before every name.
fn without_prefixes(fields: &Value) -> Value {
    let fields = fields.as_object().into_iter().flatten();
    fields
        .filter_map(|(name, below)| Some((name.strip_prefix("f:")?, without_prefixes(below))))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn a_leaf_is_ours_when_we_applied_it() {
        let metadata: ObjectMeta = serde_json::from_value(json!({"managedFields": [
            {"manager": "gitops", "operation": "Apply", "fieldsV1": {"f:spec": {"f:pluginConfig": {
                "f:weights": {"f:web": {"f:staff": {"f:canary": {}}}}}}}},
            {"manager": "sluice/web", "operation": "Apply", "fieldsV1": {"f:spec": {"f:pluginConfig": {
                "f:weights": {"f:web": {"f:everyone": {"f:canary": {}, "f:gone": {}}}}, "f:draws": {"f:web": {}}}}}},
        ]}))
        .unwrap();
        let config = json!({"weights": {"web": {"staff": {"canary": 50}, "everyone": {"canary": 5}}}, "draws": {"web": "x"}});
        let expected =
            json!({"weights": {"web": {"everyone": {"canary": 5}}}, "draws": {"web": "x"}});
        assert_eq!(
            managed(&metadata, Kind::WasmPlugin, &config).to_config(),
            expected
        );
        assert_eq!(
            managed(&metadata, Kind::TrafficExtension, &config),
            WeightSet::default()
        );
        assert!(is_touched(&metadata));
        assert!(!is_touched(&ObjectMeta::default()));
    }

    #[test]
    fn the_last_change_is_the_newest_of_any_managers_but_for_the_status() {
        let metadata: ObjectMeta = serde_json::from_value(json!({"managedFields": [
            {"manager": "gitops", "time": "2026-11-21T10:00:00Z"},
            {"manager": "sluice/web", "time": "2026-11-21T10:00:07Z"},
            {"manager": "istiod", "time": "2026-11-21T10:00:09Z", "subresource": "status"},
        ]}))
        .unwrap();
        let expected = "2026-11-21T10:00:07Z".parse().unwrap();
        assert_eq!(last_change(&metadata), Some(expected));
        assert_eq!(last_change(&ObjectMeta::default()), None);
    }

    #[test]
    fn a_manager_is_another_unless_it_is_ours_or_nobody() {
        let managers = ["sluice/web", "sluice/all", "before-first-apply", "gitops"];
        assert_eq!(managers.map(is_others), [false, false, false, true]);
    }
}
