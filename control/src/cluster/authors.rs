//! Who set which part of a plugin's configuration, and when, as the API server's managedFields say
//! (KEP-555, "fieldsV1").
//!
//! Which weights are `sluice`'s own is [`super::managed_fields`]'s question; here is everybody else
//! with them.

use std::fmt;

use kube::core::ObjectMeta;
use serde::Serialize;
use serde_json::Value;

use super::managed_fields::{MANAGER, is_others};
use crate::model::plugin::Kind;
use crate::model::weights::{WeightKey, leaves};

/// One field manager, and what it set of the configuration.
#[derive(Clone, Debug, PartialEq)]
pub struct Author {
    /// Its name.
    pub manager: String,
    /// When it last set anything, RFC 3339 to the second.
    pub at: Option<String>,
    /// How it sets fields.
    pub way: Way,
    /// What it set of the configuration, as fieldsV1 has it.
    fields: Value,
}

/// How a manager sets fields.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Way {
    /// By server-side apply: what it no longer names is removed, and nothing else.
    Apply,
    /// By any other write; client-side apply is one.
    Update,
}

impl Author {
    /// Whether it set anything at this path of the configuration, such as `weights`, `web`.
    pub fn has(&self, path: &[&str]) -> bool {
        let mut path = path.iter();
        let found = path.try_fold(&self.fields, |fields, name| fields.get(format!("f:{name}")));
        found.is_some()
    }

    /// Whether it is one of `sluice`'s own.
    pub fn is_ours(&self) -> bool {
        self.manager.starts_with(MANAGER)
    }

    /// Whether it is somebody else, whose fields are not taken over unasked.
    pub fn is_another(&self) -> bool {
        is_others(&self.manager)
    }
}

/// Every manager of the object, with what it set of the configuration.
pub fn authors(metadata: &ObjectMeta, kind: Kind) -> Vec<Author> {
    let entries = metadata.managed_fields.iter().flatten();
    let author = entries.map(|entry| {
        let all = entry.fields_v1.as_ref().map(|fields| &fields.0);
        let mut path = kind.config_path().iter();
        let of_config = path.try_fold(all?, |fields, name| fields.get(format!("f:{name}")));
        Some(Author {
            manager: entry.manager.clone()?,
            at: entry.time.as_ref().map(|time| time.0.to_string()),
            way: match entry.operation.as_deref() {
                Some("Apply") => Way::Apply,
                _ => Way::Update,
            },
            fields: of_config.cloned().unwrap_or_default(),
        })
    });
    author.flatten().collect()
}

/// A weight or draw that other field managers set: a change of it is refused without `--force`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct OthersField {
    /// Its path in the configuration, such as `weights.web.everyone.canary`.
    pub path: String,
    /// Whose it is.
    pub managers: Vec<String>,
}

impl fmt::Display for OthersField {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            formatter,
            "{} belongs to field manager {}: `sluice` changes it only with --force, or by an abort",
            self.path,
            self.managers
                .iter()
                .map(|manager| format!("{manager:?}"))
                .collect::<Vec<_>>()
                .join(" and ")
        )
    }
}

/// The weights and draws of a configuration that are not `sluice`'s alone.
pub fn others_fields(config: &Value, authors: &[Author]) -> Vec<OthersField> {
    let weights = leaves(config).map(|(key, _)| {
        let WeightKey {
            split,
            audience,
            challenger,
        } = key;
        vec!["weights".to_owned(), split, audience, challenger]
    });
    let draws = config.get("draws").and_then(Value::as_object);
    let draws = draws.into_iter().flatten();
    let draws = draws.map(|(split, _)| vec!["draws".to_owned(), split.clone()]);
    let of_others = |path: Vec<String>| {
        let managers = others(authors, &path);
        (!managers.is_empty()).then(|| OthersField {
            path: path.join("."),
            managers,
        })
    };
    weights.chain(draws).filter_map(of_others).collect()
}

/// The names of the managers that set a field, but for ours.
pub fn others(authors: &[Author], path: &[impl AsRef<str>]) -> Vec<String> {
    let path: Vec<&str> = path.iter().map(AsRef::as_ref).collect();
    let others = authors
        .iter()
        .filter(|author| !author.is_ours() && author.has(&path));
    others.map(|author| author.manager.clone()).collect()
}

/// Where client-side apply keeps what it applied last.
const LAST_APPLIED: &str = "kubectl.kubernetes.io/last-applied-configuration";

/// What is to be known of a plugin whose last client-side apply held weights or draws: the next one
/// removes whatever it no longer names, and with the map of weights everybody's.
pub fn client_side_weights(metadata: &ObjectMeta, kind: Kind) -> Option<&'static str> {
    let applied = metadata.annotations.as_ref()?.get(LAST_APPLIED)?;
    let applied: Value = serde_json::from_str(applied).ok()?;
    let mut path = kind.config_path().iter();
    let config = path.try_fold(&applied, |value, field| value.get(field))?;
    let holds = ["weights", "draws"]
        .iter()
        .any(|field| config.get(field).is_some());
    holds.then_some(
        "weights came with the last client-side apply: a manifest without them deletes every weight at the next \
         `kubectl apply`, those of `sluice` too. Leave them out of the manifest, and before it is applied, run \
         `kubectl apply set-last-applied -f` with it",
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn an_author_is_known_by_what_it_set() {
        let metadata: ObjectMeta = serde_json::from_value(json!({"managedFields": [
            {"manager": "gitops", "operation": "Apply", "time": "2026-11-20T10:00:00Z", "fieldsV1": {"f:spec": {
                "f:pluginConfig": {"f:weights": {"f:web": {"f:staff": {"f:canary": {}}}}}}}},
            {"manager": "kubectl-client-side-apply", "operation": "Update", "fieldsV1": {"f:metadata": {}}},
        ]}))
        .unwrap();
        let authors = authors(&metadata, Kind::WasmPlugin);
        let seen: Vec<_> = authors
            .iter()
            .map(|author| {
                let at = author.at.as_deref();
                (author.manager.as_str(), at, author.way, author.is_ours())
            })
            .collect();
        let expected = [
            ("gitops", Some("2026-11-20T10:00:00Z"), Way::Apply, false),
            ("kubectl-client-side-apply", None, Way::Update, false),
        ];
        assert_eq!(seen, expected);
        let paths: [&[&str]; 4] = [
            &["weights", "web"],
            &["weights", "web", "staff", "canary"],
            &["weights", "web", "everyone"],
            &["draws"],
        ];
        let has = paths.map(|path| authors[0].has(path));
        assert_eq!(has, [true, true, false, false]);
        assert!(!authors[1].has(paths[0]));
        let config = json!({
            "weights": {"web": {"staff": {"canary": 5}, "everyone": {"canary": 7}}}, "draws": {"web": "b"},
        });
        let fields = others_fields(&config, &authors);
        let expected = OthersField {
            path: "weights.web.staff.canary".to_owned(),
            managers: vec!["gitops".to_owned()],
        };
        assert_eq!(fields, [expected]);
    }

    #[test]
    fn weights_of_a_client_side_apply_are_seen() {
        let applied = |config: Value| {
            let applied = json!({"spec": {"pluginConfig": config}}).to_string();
            let metadata = json!({"annotations": {LAST_APPLIED: applied}});
            let metadata: ObjectMeta = serde_json::from_value(metadata).unwrap();
            client_side_weights(&metadata, Kind::WasmPlugin).is_some()
        };
        assert!(applied(json!({"weights": {}})));
        assert!(applied(json!({"draws": {"web": "b"}})));
        assert!(!applied(json!({"splits": {}})));
        assert_eq!(
            client_side_weights(&ObjectMeta::default(), Kind::WasmPlugin),
            None
        );
    }
}
