//! Who set which part of a plugin's configuration, and when, as the API server's managedFields say
//! (KEP-555, "fieldsV1").
//!
//! Which weights are `sluice`'s own is [`super::managed_fields`]'s question; here is everybody else
//! with them.

use kube::core::ObjectMeta;
use serde_json::Value;

use super::managed_fields::MANAGER;
use crate::model::plugin::Kind;

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
        let at = |fields: &Value, name: &&str| fields.get(format!("f:{name}")).cloned();
        let found = path
            .iter()
            .try_fold(self.fields.clone(), |fields, name| at(&fields, name));
        found.is_some()
    }

    /// Whether it is one of `sluice`'s own.
    pub fn is_ours(&self) -> bool {
        self.manager.starts_with(MANAGER)
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
    }
}
