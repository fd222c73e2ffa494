//! What is wrong between documents: plugins, the routes that match their headers, subsets. What one
//! configuration says is the plan's and [`crate::analyze::lint`]'s; what only a running cluster
//! knows is nobody's here.

pub mod anonymous;
mod around;
pub mod claims;
mod findings;
pub mod lint;
mod plain_http;
mod plugins;
pub mod proxies;
mod routes;
mod selected_services;
mod workloads;

use std::collections::BTreeMap;

use serde_json::{Map, Value};
use sluice_core::plan::Split;

use crate::model::input::Input;
use crate::model::plugin::{Kind, Plugin, merge};
use crate::model::resources::plugin::PluginSpec;
use anonymous::Unserved;
use around::Around;
pub use around::{ProxyKinds, Surroundings};
pub use findings::Findings;
use findings::Planned;
use proxies::Decider;

/// Istio's root namespace unless its mesh configuration names another.
pub const ROOT_NAMESPACE: &str = "istio-system";

/// Checks every document against the others.
pub fn check(plugins: &[Plugin], surroundings: &Surroundings<'_>) -> Findings {
    let mut findings = Findings::default();
    let planned = all_planned(plugins, surroundings, &mut findings);
    for plugin in &planned {
        plugins::alone(plugin, &mut findings);
    }
    plugins::together(&planned, surroundings.root_namespace, &mut findings);
    routes::check(&planned, surroundings.documents, &mut findings);
    workloads::check(&planned, surroundings.documents, &mut findings);
    let around = Around::read(surroundings, &mut findings);
    for unserved in anonymous::unserved(&planned, &around) {
        let of = |plugin: &&Planned<'_>| plugin.plugin.source == unserved.plugin;
        if let Some(plugin) = planned.iter().find(of) {
            findings.warning(&plugin.title, &unserved);
        }
    }
    plain_http::check(&planned, &around, &mut findings);
    findings.counted()
}

/// The splits that move nobody, because only gateways could tell their users apart.
pub fn unserved(plugins: &[Plugin], surroundings: &Surroundings<'_>) -> Vec<Unserved> {
    let findings = &mut Findings::default();
    let planned = all_planned(plugins, surroundings, findings);
    anonymous::unserved(&planned, &Around::read(surroundings, findings))
}

/// On which kind of proxy each split of a plugin is decided, as far as something tells.
pub fn deciders(plugin: &Plugin, surroundings: &Surroundings<'_>) -> BTreeMap<String, Decider> {
    let findings = &mut Findings::default();
    let around = Around::read(surroundings, findings);
    let Some(plugin) = planned(plugin, surroundings.documents, findings) else {
        return BTreeMap::new();
    };
    let splits = plugin.plan.splits().iter();
    let decider = |split: &Split| {
        let name = split.definition.name.to_string();
        Some((name, proxies::decider(&plugin, split, &around)?))
    };
    splits.filter_map(decider).collect()
}

fn all_planned<'d>(
    plugins: &'d [Plugin],
    surroundings: &Surroundings<'_>,
    findings: &mut Findings,
) -> Vec<Planned<'d>> {
    let planned = |plugin| planned(plugin, surroundings.documents, findings);
    plugins.iter().filter_map(planned).collect()
}

fn planned<'d>(
    plugin: &'d Plugin,
    documents: &[Input],
    findings: &mut Findings,
) -> Option<Planned<'d>> {
    let plan = plugin.plan_at_home().ok()?;
    let title = title(plugin);
    let spec = match plugin.kind {
        Kind::Bare => None,
        kind => PluginSpec::read(kind, &merged(plugin, documents))
            .inspect_err(|error| findings.problem(&title, error))
            .ok(),
    };
    Some(Planned {
        title,
        plugin,
        spec,
        plan,
    })
}

/// The plugin's documents as one.
fn merged(plugin: &Plugin, documents: &[Input]) -> Value {
    let is_part = |input: &&Input| {
        input.kind() == Some(plugin.kind.name())
            && input.name() == plugin.name.as_deref()
            && input.namespace() == plugin.namespace.as_deref()
    };
    let mut merged = Value::Object(Map::new());
    for part in documents.iter().filter(is_part) {
        merge(&mut merged, part.value.clone());
    }
    merged
}

fn title(plugin: &Plugin) -> String {
    match (&plugin.kind, &plugin.namespace, &plugin.name) {
        (Kind::Bare, ..) => plugin.source.clone(),
        (kind, Some(namespace), Some(name)) => kind.title(namespace, name),
        (kind, _, name) => format!(
            "{} {}",
            kind.name(),
            name.as_deref().unwrap_or("without a name")
        ),
    }
}

#[cfg(test)]
mod tests;
