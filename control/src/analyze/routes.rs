//! VirtualServices and HTTPRoutes against the splits whose headers they match.

mod http_route;
mod virtual_service;

use std::collections::BTreeSet;

use sluice_core::hosts::MatchHost;
use sluice_core::plan::Split;

use super::{Findings, Planned, resources};
use crate::model::input::Input;
use crate::model::resources::{Resource, gateway, istio};
use crate::model::suggest;

/// What our headers begin with unless a split names another.
const PREFIX: &str = "x-sluice-";

/// A split and the plugin that decides it.
#[derive(Clone, Copy)]
struct Decided<'p> {
    plugin: &'p Planned<'p>,
    split: &'p Split,
}

pub(super) fn check(plugins: &[Planned<'_>], documents: &[Input], findings: &mut Findings) {
    if plugins.is_empty() {
        return;
    }
    let splits: Vec<Decided<'_>> = plugins.iter().flat_map(decided).collect();
    let services: Vec<Resource<istio::VirtualService>> = resources(documents, findings);
    let rules: Vec<Resource<istio::DestinationRule>> = resources(documents, findings);
    let routes: Vec<Resource<gateway::HttpRoute>> = resources(documents, findings);
    for service in &services {
        virtual_service::check(service, &splits, &rules, findings);
    }
    for route in &routes {
        http_route::check(route, &splits, findings);
    }
    if !services.is_empty() || !routes.is_empty() {
        let matched = services.iter().flat_map(virtual_service::headers);
        let matched = matched.chain(routes.iter().flat_map(http_route::headers));
        unmatched(&splits, &matched.collect(), findings);
    }
}

fn decided<'p>(plugin: &'p Planned<'p>) -> impl Iterator<Item = Decided<'p>> {
    let splits = plugin.plan.splits().iter();
    splits.map(move |split| Decided { plugin, split })
}

/// A match of a header.
struct HeaderMatch {
    /// The field, such as `spec.http[0].match[0].headers.x-sluice-web`.
    path: String,
    /// In lower case.
    header: String,
    /// The value, where it is matched exactly.
    value: Option<String>,
}

impl HeaderMatch {
    /// The split whose header it is; says when it is nobody's, or the value is no variant.
    fn split<'p>(
        &self,
        title: &str,
        splits: &[Decided<'p>],
        findings: &mut Findings,
    ) -> Option<&'p Split> {
        let split = splits
            .iter()
            .map(|decided| decided.split)
            .find(|split| *split.definition.header == *self.header);
        match split {
            Some(split) => self.value_of(title, split, findings),
            None if self.header.starts_with(PREFIX) && !splits.is_empty() => {
                let headers = splits
                    .iter()
                    .map(|decided| decided.split.definition.header.as_ref());
                let hint = suggest::hint(&self.header, headers);
                findings.problem(
                    title,
                    format!("{}: no split sets this header; {hint}", self.path),
                );
            }
            None => {}
        }
        split
    }

    fn value_of(&self, title: &str, split: &Split, findings: &mut Findings) {
        let path = &self.path;
        let variants = || split.definition.variants.iter().map(AsRef::as_ref);
        match &self.value {
            Some(value) if variants().any(|variant| variant == value) => {}
            Some(value) => {
                let hint = suggest::hint(value, variants());
                findings.problem(
                    title,
                    format!(
                        "{path}: {value:?} is no variant of split {}; {hint}",
                        split.definition.name
                    ),
                );
            }
            None => findings.warning(title, format!("{path}: not an exact match of a variant")),
        }
    }
}

/// A host of a route must be one on which the split decides: elsewhere a client's own header would
/// be routed on.
fn must_be_decided(title: &str, field: &str, host: &str, split: &Split, findings: &mut Findings) {
    let patterns = &split.definition.hosts;
    if patterns.is_empty() || patterns.iter().any(|own| covers(own, host)) {
        return;
    }
    findings.problem(
        title,
        format!(
            "{field}: {host} is none of the hosts of split {}: nobody sets {} there, and a client's own would be routed on",
            split.definition.name, split.definition.header
        ),
    );
}

/// Whether a split's host covers a route's host, which may be a wildcard too.
fn covers(own: &MatchHost, host: &str) -> bool {
    let host = host.to_ascii_lowercase();
    match own {
        MatchHost::Exact(name) => host == **name,
        // What is left of a name below is a label and a dot; of a wildcard, at least `*.`.
        MatchHost::Suffix(suffix) => host
            .strip_suffix(suffix.as_ref())
            .is_some_and(|rest| rest.ends_with('.') && rest.len() > 1),
    }
}

/// Splits whose header no route matches.
fn unmatched(splits: &[Decided<'_>], matched: &BTreeSet<String>, findings: &mut Findings) {
    for Decided { plugin, split } in splits {
        let header = split.definition.header.as_ref();
        if !matched.contains(header) {
            findings.warning(
                &plugin.title,
                format!(
                    "splits.{}: no route among these documents matches {header}",
                    split.definition.name
                ),
            );
        }
    }
}
