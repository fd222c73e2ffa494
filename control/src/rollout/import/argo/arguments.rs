//! Arguments of AnalysisTemplates: what `{{args.NAME}}` stands for.

use std::collections::BTreeMap;

use serde_json::Value;

use super::super::fields::Fields;
use super::super::notes::Notes;
use super::super::query::{filled, plain};
use super::resource::Source;

/// What a name in `{{args.…}}` stands for, or why that is not known.
pub(super) type Arguments = BTreeMap<String, Result<String, String>>;

/// The arguments that a Rollout gives, or a template has.
pub(super) fn arguments(source: &Source<'_>, fields: &mut Fields, notes: &mut Notes) -> Arguments {
    let mut arguments = Arguments::new();
    for mut argument in fields.maps("args", notes) {
        let Some(name) = argument.text("name", notes) else {
            continue;
        };
        let value = match (argument.take("value"), argument.map("valueFrom", notes)) {
            (Some(Value::String(value)), _) => Some(Ok(value)),
            (Some(other), _) => Some(Ok(other.to_string())),
            (None, Some(from)) => Some(value_from(source, from, notes)),
            // One without a value must be given.
            (None, None) => None,
        };
        argument.end(notes);
        if let Some(value) = value {
            arguments.insert(name, value);
        }
    }
    arguments
}

fn value_from(source: &Source<'_>, mut from: Fields, notes: &mut Notes) -> Result<String, String> {
    if let Some(mut field) = from.map("fieldRef", notes) {
        let path = field.text("fieldPath", notes).unwrap_or_default();
        field.end(notes);
        from.end(notes);
        return at(&source.input.value, &path)
            .ok_or_else(|| format!("the Rollout has no text at {path:.80}"));
    }
    if from.take("podTemplateHashValue").is_some() {
        from.end(notes);
        return Err(
            "it is the hash of Argo's ReplicaSets; tell pods apart by their Deployment (NAME, NAME-stable) or by \
             sluice.dev/variant"
                .to_owned(),
        );
    }
    if from.take("secretKeyRef").is_some() {
        from.end(notes);
        return Err(
            "it stands in a Secret; only Prometheus' own credentials are read from Secrets"
                .to_owned(),
        );
    }
    from.end(notes);
    Err("it comes from elsewhere".to_owned())
}

/// The text at a path such as `metadata.labels['app']`.
fn at(document: &Value, path: &str) -> Option<String> {
    let (mut value, mut rest) = (document, path);
    while !rest.is_empty() {
        if let Some(quoted) = rest.strip_prefix("['").or_else(|| rest.strip_prefix("[\"")) {
            let (name, tail) = quoted
                .split_once("']")
                .or_else(|| quoted.split_once("\"]"))?;
            (value, rest) = (value.get(name)?, tail);
            continue;
        }
        let plain = rest.strip_prefix('.').unwrap_or(rest);
        let end = plain.find(['.', '[']).unwrap_or(plain.len());
        let (name, tail) = plain.split_at(end);
        (value, rest) = (value.get(name)?, tail);
    }
    match value {
        Value::String(text) => Some(text.clone()),
        Value::Number(number) => Some(number.to_string()),
        _ => None,
    }
}

/// A text of a template with its arguments filled in.
///
/// # Errors
/// A name that is none of the arguments, or whose value is not known.
pub(super) fn with_arguments(text: &str, arguments: &Arguments) -> Result<String, String> {
    filled(text, |name| {
        let argument = name.strip_prefix("args.").map(str::trim);
        match argument.and_then(|name| arguments.get(name)) {
            Some(Ok(value)) => plain(name, value),
            Some(Err(why)) => Err(format!("{name:.80}: {why}")),
            None => Err(format!("{name:.80}: it is given no value")),
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn a_field_of_the_rollout_is_found_by_its_path() {
        let document = json!({"metadata": {"name": "web", "labels": {"a.b/c": "x", "n": 5}}, "spec": {"replicas": 3}});
        let cases = [
            ("metadata.name", Some("web")),
            ("metadata.labels['a.b/c']", Some("x")),
            ("metadata.labels.n", Some("5")),
            ("spec.replicas", Some("3")),
            ("metadata", None),
            ("metadata.labels['a", None),
            ("nothing.here", None),
        ];
        for (path, expected) in cases {
            assert_eq!(at(&document, path).as_deref(), expected, "{path}");
        }
    }
}
