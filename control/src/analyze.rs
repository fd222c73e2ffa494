//! What is wrong between documents: plugins, the routes that match their headers, subsets. What one
//! configuration says is the plan's and [`crate::analyze::lint`]'s; what only a running cluster
//! knows is nobody's here.

pub mod claims;
mod findings;
pub mod lint;
mod plugins;
mod routes;

use serde_json::{Map, Value};

use crate::model::input::Input;
use crate::model::plugin::{Kind, Plugin, merge};
use crate::model::resources::plugin::PluginSpec;
pub use findings::Findings;
use findings::Planned;

/// Checks every document against the others.
///
/// `root_namespace` is Istio's: a plugin in it runs in every namespace.
pub fn check(plugins: &[Plugin], documents: &[Input], root_namespace: &str) -> Findings {
    let mut findings = Findings::default();
    let planned: Vec<Planned<'_>> = plugins
        .iter()
        .filter_map(|plugin| planned(plugin, documents, &mut findings))
        .collect();
    for plugin in &planned {
        plugins::alone(plugin, &mut findings);
    }
    plugins::together(&planned, root_namespace, &mut findings);
    routes::check(&planned, documents, &mut findings);
    findings
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
