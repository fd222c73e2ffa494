//! VirtualServices and HTTPRoutes against the splits whose headers they match.

mod header;
pub(super) mod http_route;
mod null;
pub(super) mod virtual_service;

use std::collections::BTreeSet;

use super::findings::{Findings, Planned, resources};
use crate::model::input::Input;
use crate::model::resources::{Resource, gateway, istio};
use header::Decided;

pub(super) fn check(plugins: &[Planned<'_>], documents: &[Input], findings: &mut Findings) {
    if plugins.is_empty() {
        return;
    }
    null::check(documents, findings);
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
