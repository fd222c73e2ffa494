//! Istio's VirtualService: header matches become rules, weighted routes become weights.

use serde_json::{Map, Value, json};
use sluice_core::allocation::Percent;
use sluice_core::plan::EVERYONE;

use super::Imported;
use super::name::name_of;
use crate::analyze::lint::named_cookie;
use crate::model::resources::Resource;
use crate::model::resources::istio::{
    Destination, HttpMatch, HttpRoute, RouteDestination, StringMatch, VirtualService,
};
use crate::model::service::ServiceRef;
use crate::model::weights::{WeightKey, WeightShare};

pub(super) fn read(title: &str, service: &Resource<VirtualService>, imported: &mut Imported) {
    let spec = &service.spec;
    for (field, is_there) in [("tcp", spec.tcp.is_some()), ("tls", spec.tls.is_some())] {
        if is_there {
            imported.note(
                title,
                format!("not carried over: spec.{field}; Sluice splits HTTP"),
            );
        }
    }
    let Some(last) = spec.http.iter().position(|route| route.matches.is_empty()) else {
        return imported.note(
            title,
            "not carried over: no http route without a match, so there is no fallback",
        );
    };
    if last + 1 < spec.http.len() {
        imported.note(
            title,
            format!("not carried over: routes behind spec.http[{last}], which matches everything"),
        );
    }
    let mut split = Split {
        title,
        name: name_of(service.metadata.name.as_deref().unwrap_or("split")),
        variants: Vec::new(),
        rules: Vec::new(),
        weights: Vec::new(),
        imported,
    };
    let routes = || spec.http.iter().enumerate();
    // The fallback's variants come first, whatever the routes before it say.
    routes()
        .skip(last)
        .take(1)
        .for_each(|(index, route)| split.default_route(index, route));
    routes()
        .take(last)
        .for_each(|(index, route)| split.matched_route(index, route));
    split.end(service);
}

/// The split that a VirtualService becomes.
struct Split<'i> {
    title: &'i str,
    name: String,
    variants: Vec<String>,
    rules: Vec<Value>,
    weights: Vec<WeightShare>,
    imported: &'i mut Imported,
}

impl Split<'_> {
    fn note(&mut self, text: impl std::fmt::Display) {
        self.imported.note(self.title, text);
    }

    fn weight(&mut self, audience: &str, variant: &str, percent: Percent) {
        let key = WeightKey::new(&self.name, audience, variant);
        self.weights.push(WeightShare { key, percent });
    }

    fn default_route(&mut self, index: usize, route: &HttpRoute) {
        let mut shares = self.shares(index, route);
        // The heaviest is the fallback: the others are what is tried.
        shares.sort_by_key(|(_, percent)| std::cmp::Reverse(*percent));
        for (variant, percent) in shares.iter().skip(1) {
            self.weight(EVERYONE, variant, *percent);
        }
        self.variants
            .extend(shares.into_iter().map(|(variant, _)| variant));
        self.other_fields(index, route);
    }

    fn matched_route(&mut self, index: usize, route: &HttpRoute) {
        let mut alternatives = Vec::new();
        for (number, alternative) in route.matches.iter().enumerate() {
            let path = format!("spec.http[{index}].match[{number}]");
            match self.alternative(&path, alternative) {
                Some(alternative) => alternatives.push(alternative),
                None => self.note(format!("not carried over: {path}, as said above")),
            }
        }
        if alternatives.is_empty() {
            return;
        }
        let name = match &route.name {
            Some(name) => name_of(name),
            None => format!("route-{index}"),
        };
        for (variant, percent) in self.shares(index, route) {
            if !self.variants.contains(&variant) {
                self.variants.push(variant.clone());
            }
            if self.variants.first() != Some(&variant) {
                self.weight(&name, &variant, percent);
            }
        }
        self.rules
            .push(json!({"name": name, "match": alternatives}));
        self.other_fields(index, route);
    }

    /// What a route does besides: the VirtualService that `render` writes lacks it.
    fn other_fields(&mut self, index: usize, route: &HttpRoute) {
        let others: Vec<&str> = route.others.keys().map(String::as_str).collect();
        if !others.is_empty() {
            self.note(format!(
                "not carried over: spec.http[{index}]: {}; keep them in the VirtualService, on every route",
                others.join(", ")
            ));
        }
    }

    /// The variants of a route and their shares.
    fn shares(&mut self, index: usize, route: &HttpRoute) -> Vec<(String, Percent)> {
        if route.route.is_empty() {
            self.note(format!(
                "not carried over: spec.http[{index}] routes nowhere (redirect, delegate or directResponse)"
            ));
        }
        let shares = route.route.iter();
        shares
            .map(|one| (variant(&one.destination), share(one, &route.route)))
            .collect()
    }

    /// One alternative of a rule; `None` when a part of it has no counterpart.
    fn alternative(&mut self, path: &str, alternative: &HttpMatch) -> Option<Value> {
        let mut all = Map::new();
        self.headers(path, alternative, &mut all);
        for (name, matcher) in &alternative.query_params {
            put(&mut all, "query", name, string_match(matcher));
        }
        let mut others: Vec<&str> = alternative.others.keys().map(String::as_str).collect();
        let without = &alternative.without_headers;
        if without.values().all(StringMatch::is_empty) {
            for name in without.keys() {
                put(&mut all, "headers", name, json!({"present": false}));
            }
        } else {
            others.push("withoutHeaders");
        }
        for other in &others {
            self.note(format!(
                "{path}.{other}: rules look at who asks, not at this"
            ));
        }
        (others.is_empty() && !all.is_empty()).then_some(Value::Object(all))
    }

    fn headers(&mut self, path: &str, alternative: &HttpMatch, all: &mut Map<String, Value>) {
        for (name, matcher) in &alternative.headers {
            let name = name.to_ascii_lowercase();
            if name != "cookie" {
                put(all, "headers", &name, string_match(matcher));
                continue;
            }
            match matcher.regex.as_deref().and_then(named_cookie) {
                Some((cookie, value)) => {
                    self.note(format!(
                        "{path}: the regex over the whole cookie header became the cookie {cookie} with regex '{value}', \
                         which also finds it behind other cookies and does not take a dot for any character"
                    ));
                    put(all, "cookies", &cookie, json!({"regex": value}));
                }
                None => {
                    self.note(format!(
                        "{path}: a match of the whole cookie header was carried over as it is; better name the cookie, \
                         under `cookies`"
                    ));
                    put(all, "headers", "cookie", string_match(matcher));
                }
            }
        }
    }

    fn end(mut self, service: &Resource<VirtualService>) {
        if self.variants.len() < 2 {
            return self.note(
                "not carried over: every route has the same destination, so there is nothing to split",
            );
        }
        self.variants.dedup();
        let (services, hosts) = services_and_hosts(service);
        let mut definition = Map::new();
        for (field, values) in [("hosts", hosts), ("services", services)] {
            if !values.is_empty() {
                definition.insert(field.to_owned(), json!(values));
            }
        }
        definition.insert("variants".to_owned(), json!(self.variants));
        if !self.rules.is_empty() {
            definition.insert(
                "rules".to_owned(),
                Value::Array(std::mem::take(&mut self.rules)),
            );
        }
        self.note(format!(
            "its users are now drawn once and stay: splits.{}.identity may name their cookie or header",
            self.name
        ));
        let weights = self.weights.into_iter();
        let weights = weights.filter(|weight| weight.percent > Percent::ZERO);
        self.imported.weights.extend(weights);
        self.imported
            .splits
            .insert(self.name, Value::Object(definition));
    }
}

/// The services of the cluster and the other hosts for which a VirtualService is; `*` is every one,
/// as is none.
fn services_and_hosts(service: &Resource<VirtualService>) -> (Vec<String>, Vec<String>) {
    let (mut services, mut hosts) = (Vec::new(), Vec::new());
    for host in service.spec.hosts.iter().filter(|host| *host != "*") {
        match ServiceRef::of_host(host, service.namespace()) {
            Some(named) => services.push(named.to_string()),
            None => hosts.push(host.clone()),
        }
    }
    (services, hosts)
}

/// A destination's part of a route's requests.
fn share(one: &RouteDestination, all: &[RouteDestination]) -> Percent {
    let sum: f64 = all.iter().filter_map(|one| one.weight).sum();
    let percent = match one.weight {
        Some(weight) if sum > 0.0 => weight * 100.0 / sum,
        None if all.len() == 1 => 100.0,
        _ => 0.0,
    };
    Percent::new((percent * 1_000.0).round() / 1_000.0).unwrap_or_default()
}

/// Istio's StringMatch as ours; an empty one asks for presence.
fn string_match(matcher: &StringMatch) -> Value {
    if matcher.is_empty() {
        json!({"present": true})
    } else {
        json!(matcher)
    }
}

fn put(all: &mut Map<String, Value>, group: &str, name: &str, matcher: Value) {
    let group = all.entry(group).or_insert_with(|| json!({}));
    group[name] = matcher;
}

/// A destination's name as a variant: its subset, or the first part of its host.
fn variant(destination: &Destination) -> String {
    let host = destination.host.as_deref().unwrap_or("unknown");
    let host = host.split('.').next().unwrap_or(host);
    name_of(destination.subset.as_deref().unwrap_or(host))
}
