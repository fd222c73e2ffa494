//! Istio's VirtualService: header matches become rules, weighted routes become weights.

use serde_json::{Map, Value, json};

use super::{Imported, name_of, title};
use crate::analyze::lint::named_cookie;

/// Fields of an HTTP route that the VirtualService keeps doing: the split only decides where.
const STAYS: [&str; 3] = ["match", "route", "name"];

pub(super) fn read(document: &Value, imported: &mut Imported) {
    let place = title(document);
    let namespace = document["metadata"]["namespace"]
        .as_str()
        .unwrap_or("default");
    let spec = &document["spec"];
    for other in ["tcp", "tls"] {
        if spec.get(other).is_some() {
            imported.note(
                &place,
                format!("not carried over: spec.{other}; Sluice splits HTTP"),
            );
        }
    }
    let routes = spec["http"].as_array().cloned().unwrap_or_default();
    let Some((place_of_default, default)) = routes
        .iter()
        .enumerate()
        .find(|(_, route)| route.get("match").is_none_or(|all| all == &json!([])))
    else {
        return imported.note(
            &place,
            "not carried over: no http route without a match, so there is no fallback",
        );
    };
    if place_of_default + 1 < routes.len() {
        imported.note(
            &place,
            format!("not carried over: routes behind spec.http[{place_of_default}], which matches everything"),
        );
    }
    let split = name_of(document["metadata"]["name"].as_str().unwrap_or("split"));
    let mut reader = Reader {
        place,
        split,
        variants: Vec::new(),
        rules: Vec::new(),
        weights: Vec::new(),
        imported,
    };
    reader.default_route(place_of_default, default);
    for (at, route) in routes.iter().enumerate().take(place_of_default) {
        reader.matched_route(at, route);
    }
    reader.end(spec, namespace);
}

struct Reader<'i> {
    place: String,
    split: String,
    variants: Vec<String>,
    rules: Vec<Value>,
    weights: Vec<(String, String, f64)>,
    imported: &'i mut Imported,
}

impl Reader<'_> {
    fn note(&mut self, text: impl std::fmt::Display) {
        let place = self.place.clone();
        self.imported.note(&place, text);
    }

    fn default_route(&mut self, at: usize, route: &Value) {
        let shares = self.shares(at, route);
        // The heaviest is the fallback: the others are what is tried.
        let mut ordered = shares.clone();
        ordered.sort_by(|one, other| other.1.total_cmp(&one.1));
        self.variants
            .extend(ordered.iter().map(|(variant, _)| variant.clone()));
        let shares = ordered
            .into_iter()
            .skip(1)
            .map(|(variant, percent)| ("everyone".to_owned(), variant, percent));
        self.weights.extend(shares);
        self.route_fields(at, route);
    }

    fn matched_route(&mut self, at: usize, route: &Value) {
        let mut alternatives = Vec::new();
        for (number, found) in route["match"].as_array().into_iter().flatten().enumerate() {
            match self.alternative(&format!("spec.http[{at}].match[{number}]"), found) {
                Some(alternative) => alternatives.push(alternative),
                None => self.note(format!(
                    "not carried over: spec.http[{at}].match[{number}], as said above"
                )),
            }
        }
        if alternatives.is_empty() {
            return;
        }
        let name = route["name"]
            .as_str()
            .map(name_of)
            .unwrap_or_else(|| format!("route-{at}"));
        for (variant, percent) in self.shares(at, route) {
            if !self.variants.contains(&variant) {
                self.variants.push(variant.clone());
            }
            if self.variants.first() != Some(&variant) {
                self.weights.push((name.clone(), variant, percent));
            }
        }
        self.rules
            .push(json!({"name": name, "match": alternatives}));
        self.route_fields(at, route);
    }

    /// What a route does besides: the VirtualService that `render` writes lacks it.
    fn route_fields(&mut self, at: usize, route: &Value) {
        let fields = route
            .as_object()
            .into_iter()
            .flatten()
            .map(|(name, _)| name.as_str());
        let others: Vec<&str> = fields.filter(|field| !STAYS.contains(field)).collect();
        if !others.is_empty() {
            let others = others.join(", ");
            self.note(format!(
                "not carried over: spec.http[{at}]: {others}; keep them in the VirtualService, on every route"
            ));
        }
    }

    /// The variants of a route and their percent.
    fn shares(&mut self, at: usize, route: &Value) -> Vec<(String, f64)> {
        let destinations = route["route"].as_array().cloned().unwrap_or_default();
        if destinations.is_empty() {
            self.note(format!(
                "not carried over: spec.http[{at}] routes nowhere (redirect, delegate or directResponse)"
            ));
        }
        let weight = |destination: &Value| destination["weight"].as_f64();
        let sum: f64 = destinations.iter().filter_map(weight).sum();
        destinations
            .iter()
            .map(|destination| {
                let percent = match weight(destination) {
                    Some(weight) if sum > 0.0 => weight * 100.0 / sum,
                    Some(_) => 0.0,
                    None => {
                        if destinations.len() == 1 {
                            100.0
                        } else {
                            0.0
                        }
                    }
                };
                (
                    variant(&destination["destination"]),
                    (percent * 1_000.0).round() / 1_000.0,
                )
            })
            .collect()
    }

    /// One alternative of a rule; `None` when a part of it has no counterpart.
    fn alternative(&mut self, at: &str, found: &Value) -> Option<Value> {
        let mut all = Map::new();
        let mut is_whole = true;
        for (field, value) in found.as_object().into_iter().flatten() {
            match field.as_str() {
                "name" => {}
                "headers" => self.headers(at, value, &mut all),
                "queryParams" => {
                    for (name, matcher) in value.as_object().into_iter().flatten() {
                        put(&mut all, "query", name, string_match(matcher));
                    }
                }
                "withoutHeaders"
                    if value
                        .as_object()
                        .is_some_and(|headers| headers.values().all(is_empty)) =>
                {
                    for name in value
                        .as_object()
                        .into_iter()
                        .flatten()
                        .map(|(name, _)| name)
                    {
                        put(&mut all, "headers", name, json!({"present": false}));
                    }
                }
                other => {
                    self.note(format!("{at}.{other}: rules look at who asks, not at this"));
                    is_whole = false;
                }
            }
        }
        (is_whole && !all.is_empty()).then_some(Value::Object(all))
    }

    fn headers(&mut self, at: &str, headers: &Value, all: &mut Map<String, Value>) {
        for (name, matcher) in headers.as_object().into_iter().flatten() {
            let regex = matcher["regex"].as_str();
            match (
                name.to_ascii_lowercase().as_str(),
                regex.and_then(named_cookie),
            ) {
                ("cookie", Some((cookie, value))) => {
                    self.note(format!(
                        "{at}: the regex over the whole cookie header became the cookie {cookie} with regex '{value}', \
                         which also finds it behind other cookies and does not take a dot for any character"
                    ));
                    put(all, "cookies", &cookie, json!({"regex": value}));
                }
                ("cookie", None) => {
                    self.note(format!(
                        "{at}: a match of the whole cookie header was carried over as it is; better name the cookie, \
                         under `cookies`"
                    ));
                    put(all, "headers", "cookie", string_match(matcher));
                }
                (name, _) => put(all, "headers", name, string_match(matcher)),
            }
        }
    }

    fn end(self, spec: &Value, namespace: &str) {
        let Self {
            place,
            split,
            mut variants,
            rules,
            weights,
            imported,
        } = self;
        if variants.len() < 2 {
            return imported
                .note(&place, "not carried over: every route has the same destination, so there is nothing to split");
        }
        variants.dedup();
        let mut definition = Map::new();
        let mut hosts = Vec::new();
        let mut services = Vec::new();
        for host in spec["hosts"]
            .as_array()
            .into_iter()
            .flatten()
            .filter_map(Value::as_str)
        {
            match service(host, namespace) {
                _ if host == "*" => {}
                Some(service) => services.push(service),
                None => hosts.push(host.to_owned()),
            }
        }
        for (field, values) in [("hosts", hosts), ("services", services)] {
            if !values.is_empty() {
                definition.insert(field.to_owned(), json!(values));
            }
        }
        definition.insert("variants".to_owned(), json!(variants));
        if !rules.is_empty() {
            definition.insert("rules".to_owned(), Value::Array(rules));
        }
        imported.note(
            &place,
            format!("its users are now drawn once and stay: splits.{split}.identity may name their cookie or header"),
        );
        imported
            .splits
            .insert(split.clone(), Value::Object(definition));
        let weights = weights.into_iter().filter(|(_, _, percent)| *percent > 0.0);
        imported.weights.extend(
            weights.map(|(audience, variant, percent)| (split.clone(), audience, variant, percent)),
        );
    }
}

fn is_empty(matcher: &Value) -> bool {
    matcher.as_object().is_none_or(Map::is_empty)
}

/// Istio's StringMatch as ours; an empty one asks for presence.
fn string_match(matcher: &Value) -> Value {
    if is_empty(matcher) {
        json!({"present": true})
    } else {
        matcher.clone()
    }
}

fn put(all: &mut Map<String, Value>, group: &str, name: &str, matcher: Value) {
    let group = all.entry(group).or_insert_with(|| json!({}));
    group[name] = matcher;
}

/// A destination's name as a variant: its subset, or the first part of its host.
fn variant(destination: &Value) -> String {
    let host = destination["host"].as_str().unwrap_or("unknown");
    let host = host.split('.').next().unwrap_or(host);
    name_of(destination["subset"].as_str().unwrap_or(host))
}

/// `web.shop`, for a host that names a service of the cluster.
fn service(host: &str, namespace: &str) -> Option<String> {
    if let Some(short) = host.strip_suffix(".svc.cluster.local") {
        return Some(short.to_owned());
    }
    (!host.contains('.') && !host.contains('*')).then(|| format!("{host}.{namespace}"))
}
