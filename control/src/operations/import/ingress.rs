//! ingress-nginx's canary annotations (its user guide, "Canary"): header before cookie before weight.

use serde_json::{Map, Value, json};

use super::{Imported, name_of, title};

const PREFIX: &str = "nginx.ingress.kubernetes.io/";

pub(super) fn read(document: &Value, imported: &mut Imported) {
    let place = title(document);
    let annotations = document["metadata"]["annotations"]
        .as_object()
        .cloned()
        .unwrap_or_default();
    let text = |name: &str| {
        annotations
            .get(&format!("{PREFIX}{name}"))
            .and_then(Value::as_str)
    };
    if text("canary") != Some("true") {
        return imported.note(
            &place,
            format!("not carried over: no {PREFIX}canary: \"true\""),
        );
    }
    let split = name_of(
        document["metadata"]["name"]
            .as_str()
            .unwrap_or("split")
            .trim_end_matches("-canary"),
    );
    let mut rules = Vec::new();
    let mut weights = Vec::new();
    let mut rule = |name: &str, condition: Value, percent: Option<f64>| {
        rules.push(json!({"name": name, "match": [condition]}));
        weights.extend(
            percent.map(|percent| (split.clone(), name.to_owned(), "canary".to_owned(), percent)),
        );
    };
    if let Some(header) = text("canary-by-header") {
        let header = header.to_ascii_lowercase();
        match (
            text("canary-by-header-value"),
            text("canary-by-header-pattern"),
        ) {
            (Some(value), _) => rule(
                "header",
                json!({"headers": {header: {"exact": value}}}),
                Some(100.0),
            ),
            (None, Some(pattern)) => {
                rule(
                    "header",
                    json!({"headers": {header: {"regex": pattern}}}),
                    Some(100.0),
                );
                imported.note(
                    &place,
                    "canary-by-header-pattern is a whole value here; nginx looks for it anywhere in the value",
                );
            }
            (None, None) => {
                rule(
                    "header-always",
                    json!({"headers": {&header: {"exact": "always"}}}),
                    Some(100.0),
                );
                rule(
                    "header-never",
                    json!({"headers": {&header: {"exact": "never"}}}),
                    None,
                );
            }
        }
    }
    if let Some(cookie) = text("canary-by-cookie") {
        rule(
            "cookie-always",
            json!({"cookies": {cookie: {"exact": "always"}}}),
            Some(100.0),
        );
        rule(
            "cookie-never",
            json!({"cookies": {cookie: {"exact": "never"}}}),
            None,
        );
    }
    if let Some(percent) = weight(
        &place,
        text("canary-weight"),
        text("canary-weight-total"),
        imported,
    ) {
        weights.push((
            split.clone(),
            "everyone".to_owned(),
            "canary".to_owned(),
            percent,
        ));
    }
    let mut definition = Map::new();
    let (hosts, paths) = routes(&document["spec"]);
    for (field, values) in [("hosts", hosts), ("paths", paths)] {
        if !values.is_empty() {
            definition.insert(field.to_owned(), Value::Array(values));
        }
    }
    if !rules.is_empty() {
        definition.insert("rules".to_owned(), Value::Array(rules));
    }
    let known = [
        "canary",
        "canary-by-header",
        "canary-by-header-value",
        "canary-by-header-pattern",
        "canary-by-cookie",
        "canary-weight",
        "canary-weight-total",
    ];
    for name in annotations
        .keys()
        .filter_map(|name| name.strip_prefix(PREFIX))
        .filter(|name| !known.contains(name))
    {
        imported.note(
            &place,
            format!("not carried over: annotation {PREFIX}{name}"),
        );
    }
    imported.note(
        &place,
        "its backend is the variant canary, and that of the ingress without canary annotations is stable",
    );
    imported.splits.insert(split, Value::Object(definition));
    imported.weights.extend(weights);
}

fn weight(
    place: &str,
    weight: Option<&str>,
    total: Option<&str>,
    imported: &mut Imported,
) -> Option<f64> {
    let typed = weight?;
    let number = |text: &str| {
        text.trim()
            .parse::<f64>()
            .ok()
            .filter(|number| *number >= 0.0)
    };
    match (number(typed), number(total.unwrap_or("100"))) {
        (Some(weight), Some(total)) if total > 0.0 && weight <= total => {
            Some((weight * 100_000.0 / total).round() / 1_000.0)
        }
        _ => {
            imported.note(
                place,
                format!(
                    "not carried over: canary-weight {typed:?} of {}",
                    total.unwrap_or("100")
                ),
            );
            None
        }
    }
}

/// Hosts and path prefixes of every rule.
fn routes(spec: &Value) -> (Vec<Value>, Vec<Value>) {
    let (mut hosts, mut paths): (Vec<Value>, Vec<Value>) = (Vec::new(), Vec::new());
    for rule in spec["rules"].as_array().into_iter().flatten() {
        if let Some(host) = rule["host"].as_str() {
            hosts.push(json!(host));
        }
        for path in rule["http"]["paths"].as_array().into_iter().flatten() {
            let text = path["path"].as_str().unwrap_or("/");
            let matcher = if path["pathType"] == "Exact" {
                json!({"exact": text})
            } else {
                json!({"prefix": text})
            };
            if !paths.contains(&matcher) {
                paths.push(matcher);
            }
        }
    }
    let every_path = json!({"prefix": "/"});
    if paths.contains(&every_path) {
        paths.clear();
    }
    (hosts, paths)
}
