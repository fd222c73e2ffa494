//! VirtualServices and HTTPRoutes against the splits whose headers they match.

use serde_json::Value;
use sluice_core::plan::Split;

use super::{Findings, Resource};
use crate::model::input::Input;
use crate::model::plugin::Kind;
use crate::model::suggest;

/// What our headers begin with unless a split names another.
const PREFIX: &str = "x-sluice-";

pub(super) fn check(resources: &[Resource<'_>], documents: &[Input], findings: &mut Findings) {
    if resources.is_empty() {
        return;
    }
    let splits: Vec<(&Resource<'_>, &Split)> = resources
        .iter()
        .flat_map(|resource| {
            resource
                .plan
                .splits()
                .iter()
                .map(move |split| (resource, split))
        })
        .collect();
    let of_kind = |kind: &'static str| {
        documents
            .iter()
            .map(|input| &input.value)
            .filter(move |value| value["kind"] == kind)
    };
    for service in of_kind("VirtualService") {
        virtual_service(
            service,
            &splits,
            &of_kind("DestinationRule").collect::<Vec<_>>(),
            findings,
        );
    }
    for route in of_kind("HTTPRoute") {
        http_route(route, &splits, findings);
    }
    unmatched(&splits, documents, findings);
}

fn title(document: &Value) -> String {
    let text = |field: &str| document["metadata"][field].as_str();
    let kind = document["kind"].as_str().unwrap_or("?");
    format!(
        "{kind} {}/{}",
        text("namespace").unwrap_or("default"),
        text("name").unwrap_or("?")
    )
}

/// A header match of ours, and the place of its route.
struct Match {
    at: String,
    header: String,
    value: Option<String>,
}

fn virtual_service(
    document: &Value,
    splits: &[(&Resource<'_>, &Split)],
    rules: &[&Value],
    findings: &mut Findings,
) {
    let place = title(document);
    let splits = &at_its_gateways(document, splits);
    let routes = document["spec"]["http"]
        .as_array()
        .cloned()
        .unwrap_or_default();
    let mut matched: Vec<&Split> = Vec::new();
    for found in routes
        .iter()
        .enumerate()
        .flat_map(|(at, route)| header_matches(at, route))
    {
        let Some(split) = matched_split(&place, &found, splits, findings) else {
            continue;
        };
        if matched
            .iter()
            .all(|known| known.definition.name != split.definition.name)
        {
            matched.push(split);
        }
    }
    let namespace = document["metadata"]["namespace"]
        .as_str()
        .unwrap_or("default");
    for split in &matched {
        for host in document["spec"]["hosts"]
            .as_array()
            .into_iter()
            .flatten()
            .filter_map(Value::as_str)
        {
            within(
                &place,
                "spec.hosts",
                &full_name(host, namespace),
                split,
                findings,
            );
        }
    }
    if !matched.is_empty() {
        same_cors_policy(&place, &routes, findings);
    }
    subsets(&place, namespace, &routes, rules, findings);
}

/// The splits that decide where a VirtualService applies: at gateways, those of the plugins in the gateways' namespaces.
/// None, where those plugins are not among the documents: then nothing can be said.
fn at_its_gateways<'r, 's>(
    document: &Value,
    splits: &[(&'r Resource<'r>, &'s Split)],
) -> Vec<(&'r Resource<'r>, &'s Split)> {
    let gateways: Vec<&str> = document["spec"]["gateways"]
        .as_array()
        .into_iter()
        .flatten()
        .filter_map(Value::as_str)
        .collect();
    if gateways.is_empty() || gateways.contains(&"mesh") {
        return splits.to_vec();
    }
    let own = document["metadata"]["namespace"]
        .as_str()
        .unwrap_or("default");
    let namespaces: Vec<&str> = gateways
        .iter()
        .map(|gateway| {
            gateway
                .split_once('/')
                .map_or(own, |(namespace, _)| namespace)
        })
        .collect();
    let is_there = |resource: &Resource<'_>| {
        resource.plugin.kind == Kind::Bare
            || resource
                .plugin
                .namespace
                .as_deref()
                .is_none_or(|namespace| namespaces.contains(&namespace))
    };
    splits
        .iter()
        .filter(|(resource, _)| is_there(resource))
        .copied()
        .collect()
}

fn header_matches(at: usize, route: &Value) -> Vec<Match> {
    let alternatives = route["match"].as_array().into_iter().flatten().enumerate();
    alternatives
        .flat_map(|(number, alternative)| {
            let headers = alternative["headers"]
                .as_object()
                .cloned()
                .unwrap_or_default();
            headers.into_iter().map(move |(header, matcher)| Match {
                at: format!("spec.http[{at}].match[{number}].headers.{header}"),
                header: header.to_ascii_lowercase(),
                value: matcher["exact"].as_str().map(str::to_owned),
            })
        })
        .collect()
}

/// The split whose header a route matches; says when it is nobody's, or the value is no variant.
fn matched_split<'s>(
    place: &str,
    found: &Match,
    splits: &[(&Resource<'_>, &'s Split)],
    findings: &mut Findings,
) -> Option<&'s Split> {
    let split = splits
        .iter()
        .map(|(_, split)| *split)
        .find(|split| *split.definition.header == *found.header);
    let Some(split) = split else {
        if found.header.starts_with(PREFIX) && !splits.is_empty() {
            let headers = splits
                .iter()
                .map(|(_, split)| split.definition.header.as_ref());
            findings.problem(
                place,
                format!(
                    "{}: no split sets this header; {}",
                    found.at,
                    suggest::hint(&found.header, headers)
                ),
            );
        }
        return None;
    };
    let variants = || split.definition.variants.iter().map(AsRef::as_ref);
    match &found.value {
        Some(value) if variants().any(|variant| variant == value) => {}
        Some(value) => findings.problem(
            place,
            format!(
                "{}: {value:?} is no variant of split {}; {}",
                found.at,
                split.definition.name,
                suggest::hint(value, variants())
            ),
        ),
        None => findings.warning(
            place,
            format!("{}: not an exact match of a variant", found.at),
        ),
    }
    Some(split)
}

/// A host of a route must be one on which the split decides: elsewhere a client's own header would be routed on.
fn within(place: &str, field: &str, host: &str, split: &Split, findings: &mut Findings) {
    let patterns = &split.definition.hosts;
    if patterns.is_empty() || patterns.iter().any(|pattern| covers(pattern, host)) {
        return;
    }
    findings.problem(
        place,
        format!(
            "{field}: {host} is none of the hosts of split {}: nobody sets {} there, and a client's own would be routed on",
            split.definition.name, split.definition.header
        ),
    );
}

/// Whether a split's host, of which a wildcard begins with a dot, covers a route's host, which may be a wildcard too.
fn covers(pattern: &str, host: &str) -> bool {
    let host = host.to_ascii_lowercase();
    match (pattern.starts_with('.'), host.strip_prefix('*')) {
        (true, Some(suffix)) => suffix.ends_with(pattern),
        (true, None) => host.ends_with(pattern) && host.len() > pattern.len(),
        (false, Some(_)) => false,
        (false, None) => host == pattern,
    }
}

fn full_name(host: &str, namespace: &str) -> String {
    if host.contains('.') || host == "*" {
        host.to_owned()
    } else {
        format!("{host}.{namespace}.svc.cluster.local")
    }
}

fn same_cors_policy(place: &str, routes: &[Value], findings: &mut Findings) {
    let policies: Vec<Option<&Value>> =
        routes.iter().map(|route| route.get("corsPolicy")).collect();
    if policies.windows(2).any(|pair| pair[0] != pair[1]) {
        findings.problem(
            place,
            "spec.http: the routes have different corsPolicy: a preflight carries no cookie, so it takes the fallback's; \
             accepted: the same one on every route",
        );
    }
}

fn subsets(
    place: &str,
    namespace: &str,
    routes: &[Value],
    rules: &[&Value],
    findings: &mut Findings,
) {
    for (at, route) in routes.iter().enumerate() {
        for destination in route["route"]
            .as_array()
            .into_iter()
            .flatten()
            .map(|route| &route["destination"])
        {
            let (Some(host), Some(subset)) =
                (destination["host"].as_str(), destination["subset"].as_str())
            else {
                continue;
            };
            let host = full_name(host, namespace);
            let of_host = |rule: &&&Value| {
                let namespace = rule["metadata"]["namespace"].as_str().unwrap_or("default");
                rule["spec"]["host"]
                    .as_str()
                    .is_some_and(|found| full_name(found, namespace) == host)
            };
            let rules: Vec<&&Value> = rules.iter().filter(of_host).collect();
            let names: Vec<&str> = rules
                .iter()
                .flat_map(|rule| rule["spec"]["subsets"].as_array().into_iter().flatten())
                .filter_map(|subset| subset["name"].as_str())
                .collect();
            if rules.is_empty() {
                findings.warning(
                    place,
                    format!("spec.http[{at}]: subset {subset}: no DestinationRule for {host} among these documents"),
                );
            } else if !names.contains(&subset) {
                findings.problem(
                    place,
                    format!(
                        "spec.http[{at}]: {host} has no subset {subset:?}; {}",
                        suggest::hint(subset, names.into_iter())
                    ),
                );
            }
        }
    }
}

fn http_route(document: &Value, splits: &[(&Resource<'_>, &Split)], findings: &mut Findings) {
    let place = title(document);
    let mut matched: Vec<&Split> = Vec::new();
    for (at, rule) in document["spec"]["rules"]
        .as_array()
        .into_iter()
        .flatten()
        .enumerate()
    {
        for (number, alternative) in rule["matches"].as_array().into_iter().flatten().enumerate() {
            for header in alternative["headers"].as_array().into_iter().flatten() {
                let name = header["name"]
                    .as_str()
                    .unwrap_or_default()
                    .to_ascii_lowercase();
                let is_exact = header["type"].as_str().is_none_or(|kind| kind == "Exact");
                let found = Match {
                    at: format!("spec.rules[{at}].matches[{number}].headers.{name}"),
                    value: header["value"]
                        .as_str()
                        .filter(|_| is_exact)
                        .map(str::to_owned),
                    header: name,
                };
                matched.extend(matched_split(&place, &found, splits, findings));
            }
        }
    }
    for split in matched {
        for host in document["spec"]["hostnames"]
            .as_array()
            .into_iter()
            .flatten()
            .filter_map(Value::as_str)
        {
            within(&place, "spec.hostnames", host, split, findings);
        }
    }
}

/// Splits whose header no route matches, where there are routes at all.
fn unmatched(splits: &[(&Resource<'_>, &Split)], documents: &[Input], findings: &mut Findings) {
    let routes: Vec<String> = documents
        .iter()
        .filter(|input| {
            input.value["kind"] == "VirtualService" || input.value["kind"] == "HTTPRoute"
        })
        .map(|input| input.value["spec"].to_string().to_ascii_lowercase())
        .collect();
    for (resource, split) in splits {
        let header = format!("\"{}\"", split.definition.header);
        if !routes.is_empty() && routes.iter().all(|route| !route.contains(&header)) {
            findings.warning(
                &resource.title,
                format!(
                    "splits.{}: no route among these documents matches {}",
                    split.definition.name, split.definition.header
                ),
            );
        }
    }
}
