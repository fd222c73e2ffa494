//! A VirtualService: the headers that its routes match, its hosts, its CORS policies and the
//! subsets it routes to.

use sluice_core::plan::Split;

use super::header::{Decided, HeaderMatch, must_be_decided};
use crate::analyze::findings::Findings;
use crate::model::plugin::Kind;
use crate::model::resources::Resource;
use crate::model::resources::istio::{DestinationRule, HttpRoute, VirtualService};
use crate::model::service::ServiceRef;
use crate::model::suggest;

pub(super) fn check(
    service: &Resource<VirtualService>,
    splits: &[Decided<'_>],
    rules: &[Resource<DestinationRule>],
    findings: &mut Findings,
) {
    let title = &service.title();
    let splits = &at_its_gateways(service, splits);
    let mut matched: Vec<&Split> = Vec::new();
    for header in header_matches(&service.spec.http) {
        let Some(split) = header.split(title, splits, findings) else {
            continue;
        };
        if matched
            .iter()
            .all(|known| known.definition.name != split.definition.name)
        {
            matched.push(split);
        }
    }
    for split in &matched {
        for host in &service.spec.hosts {
            let host = full_name(host, service.namespace());
            must_be_decided(title, "spec.hosts", &host, split, findings);
        }
    }
    if !matched.is_empty() {
        same_cors_policy(title, &service.spec.http, findings);
    }
    subsets(service, rules, findings);
}

/// The headers that its routes ask for, in lower case.
pub(crate) fn headers(service: &Resource<VirtualService>) -> impl Iterator<Item = String> {
    let matches = service.spec.http.iter().flat_map(|route| &route.matches);
    let names = matches.flat_map(|one| one.headers.keys().chain(one.without_headers.keys()));
    names.map(|name| name.to_ascii_lowercase())
}

/// The splits that decide where a VirtualService applies: at gateways, those of the plugins in the
/// gateways' namespaces. None, where those plugins are not among the documents: then nothing can be
/// said.
fn at_its_gateways<'p>(
    service: &Resource<VirtualService>,
    splits: &[Decided<'p>],
) -> Vec<Decided<'p>> {
    let gateways = &service.spec.gateways;
    if gateways.is_empty() || gateways.iter().any(|gateway| gateway == "mesh") {
        return splits.to_vec();
    }
    let namespace_of = |gateway: &String| match gateway.split_once('/') {
        Some((namespace, _)) => namespace.to_owned(),
        None => service.namespace().to_owned(),
    };
    let namespaces: Vec<String> = gateways.iter().map(namespace_of).collect();
    let is_there = |decided: &&Decided<'_>| {
        let plugin = decided.plugin.plugin;
        plugin.kind == Kind::Bare
            || plugin
                .namespace
                .as_ref()
                .is_none_or(|namespace| namespaces.contains(namespace))
    };
    splits.iter().filter(is_there).copied().collect()
}

fn header_matches(routes: &[HttpRoute]) -> Vec<HeaderMatch> {
    let mut matches = Vec::new();
    for (index, route) in routes.iter().enumerate() {
        for (number, alternative) in route.matches.iter().enumerate() {
            let headers = alternative.headers.iter();
            matches.extend(headers.map(|(header, matcher)| HeaderMatch {
                path: format!("spec.http[{index}].match[{number}].headers.{header}"),
                header: header.to_ascii_lowercase(),
                value: matcher.exact.clone(),
            }));
        }
    }
    matches
}

fn full_name(host: &str, namespace: &str) -> String {
    ServiceRef::of_host(host, namespace).map_or_else(|| host.to_owned(), |service| service.host())
}

fn same_cors_policy(title: &str, routes: &[HttpRoute], findings: &mut Findings) {
    let policy = |route: &HttpRoute| route.others.get("corsPolicy").cloned();
    let policies: Vec<_> = routes.iter().map(policy).collect();
    if policies.windows(2).any(|pair| pair[0] != pair[1]) {
        findings.problem(
            title,
            "spec.http: the routes have different corsPolicy: a preflight carries no cookie, so \
             it takes the fallback's; accepted: the same one on every route",
        );
    }
}

fn subsets(
    service: &Resource<VirtualService>,
    rules: &[Resource<DestinationRule>],
    findings: &mut Findings,
) {
    for (index, route) in service.spec.http.iter().enumerate() {
        for destination in route.route.iter().map(|route| &route.destination) {
            let (Some(host), Some(subset)) = (&destination.host, &destination.subset) else {
                continue;
            };
            let host = full_name(host, service.namespace());
            let rules: Vec<_> = rules
                .iter()
                .filter(|rule| full_name(&rule.spec.host, rule.namespace()) == host)
                .collect();
            let subsets = rules.iter().flat_map(|rule| &rule.spec.subsets);
            let names: Vec<&str> = subsets.map(|subset| subset.name.as_str()).collect();
            let path = format!("spec.http[{index}]");
            if rules.is_empty() {
                findings.warning(
                    &service.title(),
                    format!(
                        "{path}: subset {subset}: no DestinationRule for {host} among these \
                         documents"
                    ),
                );
            } else if !names.contains(&subset.as_str()) {
                let hint = suggest::hint(subset, names.into_iter());
                findings.problem(
                    &service.title(),
                    format!("{path}: {host} has no subset {subset:?}; {hint}"),
                );
            }
        }
    }
}
