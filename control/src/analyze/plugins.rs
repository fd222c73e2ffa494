//! Plugins by themselves, and beside each other on the same proxies.

use serde_json::{Map, Value};

use super::{Findings, Resource};
use crate::model::manifests::needs_claims;
use crate::model::plugin::{Kind, target_refs};

/// Where the module's settings lie: at spec, or at spec.wasm of a TrafficExtension.
fn wasm(resource: &Resource<'_>) -> Value {
    match resource.plugin.kind {
        Kind::TrafficExtension => resource.document["spec"]["wasm"].clone(),
        _ => resource.document["spec"].clone(),
    }
}

fn modes(resource: &Resource<'_>) -> Vec<String> {
    let matches = resource.document["spec"]["match"]
        .as_array()
        .cloned()
        .unwrap_or_default();
    let mode = |entry: &Value| {
        entry["mode"]
            .as_str()
            .unwrap_or("CLIENT_AND_SERVER")
            .to_owned()
    };
    if matches.is_empty() {
        vec!["CLIENT_AND_SERVER".to_owned()]
    } else {
        matches.iter().map(mode).collect()
    }
}

fn targets(resource: &Resource<'_>) -> Vec<Value> {
    target_refs(&resource.document["spec"])
}

pub(super) fn alone(resource: &Resource<'_>, findings: &mut Findings) {
    if resource.plugin.kind == Kind::Bare {
        return;
    }
    module(resource, findings);
    scope(resource, findings);
    let path = resource.plugin.kind.config_path().iter();
    let has_weights = path
        .chain(&["weights"])
        .try_fold(&resource.document, |value, field| value.get(field))
        .is_some();
    let from_one_file = !resource.plugin.source.contains(" + ");
    if has_weights && from_one_file {
        findings.warning(
            &resource.title,
            "weights beside the splits: whoever applies this again undoes what `sluice` did since, an abort too; leave \
             weights to `sluice set`",
        );
    }
}

fn module(resource: &Resource<'_>, findings: &mut Findings) {
    let wasm = wasm(resource);
    let title = &resource.title;
    let url = wasm["url"].as_str().unwrap_or_default();
    // A patch of weights only has no module.
    if wasm.get("url").is_none() && wasm.get("failStrategy").is_none() {
        return;
    }
    if url.starts_with("file://") {
        findings.warning(
            title,
            "a file:// module: agents do not handle it, so every edit of the resource, also of a label, makes new VMs",
        );
    } else if wasm["sha256"].as_str().is_none_or(str::is_empty) && !url.contains("@sha256:") {
        findings.warning(
            title,
            format!("{url} is not pinned: whoever pushes that tag runs code in every proxy; add the sha256 that `sluice push` printed"),
        );
    }
    match wasm["failStrategy"].as_str() {
        Some("FAIL_OPEN") => {}
        found => findings.warning(
            title,
            format!(
                "failStrategy {}: where the module cannot be fetched, every request is answered 403; accepted: FAIL_OPEN",
                found.unwrap_or("FAIL_CLOSE, the default")
            ),
        ),
    }
}

/// Match mode and phase against what the splits ask for.
fn scope(resource: &Resource<'_>, findings: &mut Findings) {
    let title = &resource.title;
    let (modes, targets) = (modes(resource), targets(resource));
    let is_waypoint = targets
        .iter()
        .any(|target| matches!(target["kind"].as_str(), Some("Service" | "ServiceEntry")));
    let is_gateway = targets
        .iter()
        .any(|target| matches!(target["kind"].as_str(), Some("Gateway" | "GatewayClass")));
    let is_client = modes.iter().any(|mode| mode != "SERVER");
    let is_server = modes.iter().any(|mode| mode != "CLIENT");
    if is_waypoint && !is_server {
        findings.problem(
            title,
            "mode CLIENT never matches on a waypoint; accepted with such targetRefs: SERVER",
        );
    }
    if !is_waypoint && !is_client {
        findings.problem(
            title,
            "mode SERVER runs where the route is chosen already; accepted: CLIENT (callers and gateways), or targetRefs to \
             a service with a waypoint",
        );
    }
    if !is_waypoint && !is_gateway && is_client && is_server {
        findings.warning(
            title,
            "no match mode: it runs on the callee's side too, for nothing; add match: [{mode: CLIENT}]",
        );
    }
    let phase = resource.document["spec"]["phase"].as_str();
    for split in resource
        .plan
        .splits()
        .iter()
        .filter(|split| needs_claims(&split.definition))
    {
        let name = &split.definition.name;
        if phase == Some("AUTHN") {
            findings.problem(
                title,
                format!(
                    "splits.{name} asks for claims, which phase AUTHN runs before; accepted: AUTHZ"
                ),
            );
        } else if !is_gateway && !is_waypoint {
            findings.warning(
                title,
                format!(
                    "splits.{name} asks for claims, which only gateways and waypoints know; a caller's sidecar has none"
                ),
            );
        }
    }
}

/// Two plugins on the same proxies.
pub(super) fn together(resources: &[Resource<'_>], root_namespace: &str, findings: &mut Findings) {
    for (at, one) in resources.iter().enumerate() {
        for other in resources
            .iter()
            .skip(at + 1)
            .filter(|other| meet(one, other, root_namespace))
        {
            shared_headers(one, other, findings);
            let priority = |resource: &Resource<'_>| resource.document["spec"]["priority"].as_i64();
            let phase = |resource: &Resource<'_>| {
                resource.document["spec"]["phase"]
                    .as_str()
                    .map(str::to_owned)
            };
            if phase(one) == phase(other) && priority(one) == priority(other) {
                findings.warning(
                    &one.title,
                    format!(
                        "phase and priority are those of {}, on the same proxies: which runs first depends on their age",
                        other.title
                    ),
                );
            }
        }
    }
}

fn shared_headers(one: &Resource<'_>, other: &Resource<'_>, findings: &mut Findings) {
    for split in one.plan.splits() {
        let header = &split.definition.header;
        let same = other
            .plan
            .splits()
            .iter()
            .find(|candidate| candidate.definition.header == *header);
        if let Some(same) = same {
            findings.problem(
                &one.title,
                format!(
                    "splits.{} sets {header}, and so does splits.{} of {}, which runs on the same proxies: the one that \
                     runs last wins; accepted: one plugin, or headers of their own",
                    split.definition.name, same.definition.name, other.title
                ),
            );
        }
    }
}

/// Whether two plugins may run in one proxy.
fn meet(one: &Resource<'_>, other: &Resource<'_>, root_namespace: &str) -> bool {
    if one.plugin.kind == Kind::Bare || other.plugin.kind == Kind::Bare {
        return false;
    }
    let namespace = |resource: &Resource<'_>| resource.plugin.namespace.clone().unwrap_or_default();
    let (here, there) = (namespace(one), namespace(other));
    let is_one_namespace = here == there || here == root_namespace || there == root_namespace;
    is_one_namespace
        && targets(one) == targets(other)
        && !are_disjoint(&labels(one), &labels(other))
}

fn labels(resource: &Resource<'_>) -> Map<String, Value> {
    resource.document["spec"]["selector"]["matchLabels"]
        .as_object()
        .cloned()
        .unwrap_or_default()
}

/// No pod has two values of one label.
fn are_disjoint(one: &Map<String, Value>, other: &Map<String, Value>) -> bool {
    one.iter()
        .any(|(label, value)| other.get(label).is_some_and(|found| found != value))
}
