//! ingress-nginx's canary annotations (its user guide, "Canary"): header before cookie before
//! weight.

use std::collections::BTreeMap;

use k8s_openapi::api::networking::v1::IngressSpec;
use serde_json::{Map, Value, json};
use sluice_core::allocation::Percent;
use sluice_core::plan::EVERYONE;

use super::Imported;
use super::name::name_of;
use crate::model::resources::Resource;
use crate::model::weights::{WeightKey, WeightShare};

const PREFIX: &str = "nginx.ingress.kubernetes.io/";

/// The annotations that are carried over.
const KNOWN: [&str; 7] = [
    "canary",
    "canary-by-header",
    "canary-by-header-value",
    "canary-by-header-pattern",
    "canary-by-cookie",
    "canary-weight",
    "canary-weight-total",
];

/// nginx's canary annotations of one Ingress, by their names without the prefix.
type Annotations<'i> = BTreeMap<&'i str, &'i str>;

pub(super) fn read(title: &str, ingress: &Resource<IngressSpec>, imported: &mut Imported) {
    let annotations: Annotations<'_> = ingress
        .metadata
        .annotations
        .iter()
        .flatten()
        .filter_map(|(name, text)| Some((name.strip_prefix(PREFIX)?, text.as_str())))
        .collect();
    if annotations.get("canary") != Some(&"true") {
        return imported.note(
            title,
            format!("not carried over: no {PREFIX}canary: \"true\""),
        );
    }
    let name = ingress.metadata.name.as_deref().unwrap_or("split");
    let split = name_of(name.trim_end_matches("-canary"));
    let rules = rules(title, &annotations, imported);
    let share = |audience: &str, percent| WeightShare {
        key: WeightKey::new(&split, audience, "canary"),
        percent,
    };
    let always = rules.iter().filter(|rule| rule.gets_canary);
    let mut weights: Vec<WeightShare> = always
        .map(|rule| share(rule.name, Percent::HUNDRED))
        .collect();
    weights.extend(weight(title, &annotations, imported).map(|percent| share(EVERYONE, percent)));
    for name in annotations.keys().filter(|name| !KNOWN.contains(name)) {
        imported.note(
            title,
            format!("not carried over: annotation {PREFIX}{name}"),
        );
    }
    imported.note(
        title,
        "its backend is the variant canary, and that of the ingress without canary annotations is stable",
    );
    imported
        .splits
        .insert(split, definition(&ingress.spec, &rules));
    imported.weights.extend(weights);
}

/// A rule, and whether its users get the canary or never do.
struct Rule {
    name: &'static str,
    condition: Value,
    gets_canary: bool,
}

/// The rules for header and cookie, in nginx's order.
fn rules(title: &str, annotations: &Annotations<'_>, imported: &mut Imported) -> Vec<Rule> {
    let text = |name: &str| annotations.get(name).copied();
    let rule = |name, condition, gets_canary| Rule {
        name,
        condition,
        gets_canary,
    };
    let mut rules = Vec::new();
    if let Some(header) = text("canary-by-header") {
        let header = header.to_ascii_lowercase();
        let is = |matcher: Value| json!({"headers": {&header: matcher}});
        match (
            text("canary-by-header-value"),
            text("canary-by-header-pattern"),
        ) {
            (Some(value), _) => rules.push(rule("header", is(json!({"exact": value})), true)),
            (None, Some(pattern)) => {
                rules.push(rule("header", is(json!({"regex": pattern})), true));
                imported.note(
                    title,
                    "canary-by-header-pattern is a whole value here; nginx looks for it anywhere in the value",
                );
            }
            (None, None) => rules.extend([
                rule("header-always", is(json!({"exact": "always"})), true),
                rule("header-never", is(json!({"exact": "never"})), false),
            ]),
        }
    }
    if let Some(cookie) = text("canary-by-cookie") {
        let is = |value: &str| json!({"cookies": {cookie: {"exact": value}}});
        rules.extend([
            rule("cookie-always", is("always"), true),
            rule("cookie-never", is("never"), false),
        ]);
    }
    rules
}

fn definition(spec: &IngressSpec, rules: &[Rule]) -> Value {
    let mut definition = Map::new();
    let (hosts, paths) = routes(spec);
    let rules = rules
        .iter()
        .map(|rule| json!({"name": rule.name, "match": [rule.condition]}))
        .collect();
    for (field, values) in [("hosts", hosts), ("paths", paths), ("rules", rules)] {
        if !values.is_empty() {
            definition.insert(field.to_owned(), Value::Array(values));
        }
    }
    Value::Object(definition)
}

/// `canary-weight` of `canary-weight-total`.
fn weight(title: &str, annotations: &Annotations<'_>, imported: &mut Imported) -> Option<Percent> {
    let weight = *annotations.get("canary-weight")?;
    let total = annotations
        .get("canary-weight-total")
        .copied()
        .unwrap_or("100");
    let percent = percent(weight, total);
    if percent.is_none() {
        imported.note(
            title,
            format!("not carried over: canary-weight {weight:?} of {total}"),
        );
    }
    percent
}

fn percent(weight: &str, total: &str) -> Option<Percent> {
    let number = |text: &str| {
        text.trim()
            .parse::<f64>()
            .ok()
            .filter(|number| *number >= 0.0)
    };
    let (weight, total) = (number(weight)?, number(total)?);
    let percent = (weight * 100_000.0 / total).round() / 1_000.0;
    (total > 0.0).then(|| Percent::new(percent)).flatten()
}

/// Hosts and path prefixes of every rule.
fn routes(spec: &IngressSpec) -> (Vec<Value>, Vec<Value>) {
    let rules = || spec.rules.iter().flatten();
    let hosts = rules().filter_map(|rule| rule.host.as_ref().map(|host| json!(host)));
    let mut paths: Vec<Value> = Vec::new();
    for path in rules().flat_map(|rule| rule.http.iter().flat_map(|http| &http.paths)) {
        let text = path.path.as_deref().unwrap_or("/");
        let matcher = if path.path_type == "Exact" {
            json!({"exact": text})
        } else {
            json!({"prefix": text})
        };
        if !paths.contains(&matcher) {
            paths.push(matcher);
        }
    }
    let every_path = json!({"prefix": "/"});
    if paths.contains(&every_path) {
        paths.clear();
    }
    (hosts.collect(), paths)
}
