//! How documents fit together: plugins, the routes that match their headers, subsets. What one configuration says is
//! the plan's and [`crate::analyze::lint`]'s; what only a running cluster knows is nobody's here.

pub mod lint;
mod plugins;
mod routes;

use serde_json::Value;
use sluice_core::plan::{Node, Plan};

use crate::model::input::Input;
use crate::model::plugin::{Kind, Plugin};

/// What was found; each line begins with the resource it is about.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Findings {
    /// What cannot work.
    pub problems: Vec<String>,
    /// What is likely a mistake.
    pub warnings: Vec<String>,
}

impl Findings {
    fn problem(&mut self, place: &str, text: impl std::fmt::Display) {
        self.problems.push(format!("{place}: {text}"));
    }

    fn warning(&mut self, place: &str, text: impl std::fmt::Display) {
        self.warnings.push(format!("{place}: {text}"));
    }
}

/// A plugin with the resource that it came from, and its plan.
struct Resource<'d> {
    title: String,
    plugin: &'d Plugin,
    /// The resource's documents merged; empty for a bare configuration.
    document: Value,
    plan: Plan,
}

/// Checks every document against the others.
///
/// `root_namespace` is Istio's: a plugin in it runs in every namespace.
pub fn check(plugins: &[Plugin], documents: &[Input], root_namespace: &str) -> Findings {
    let mut findings = Findings::default();
    let resources: Vec<Resource<'_>> = plugins
        .iter()
        .filter_map(|plugin| resource(plugin, documents))
        .collect();
    for resource in &resources {
        plugins::alone(resource, &mut findings);
    }
    plugins::together(&resources, root_namespace, &mut findings);
    routes::check(&resources, documents, &mut findings);
    findings
}

fn resource<'d>(plugin: &'d Plugin, documents: &[Input]) -> Option<Resource<'d>> {
    let plan = plugin
        .plan(&Node {
            namespace: plugin.namespace.clone(),
            ..Node::default()
        })
        .ok()?;
    let is_part = |document: &&Value| {
        document["kind"] == plugin.kind.name()
            && document["metadata"]["name"].as_str() == plugin.name.as_deref()
            && document["metadata"]["namespace"].as_str() == plugin.namespace.as_deref()
    };
    let mut document = Value::Object(serde_json::Map::new());
    if plugin.kind != Kind::Bare {
        for part in documents.iter().map(|input| &input.value).filter(is_part) {
            crate::model::plugin::merge(&mut document, part.clone());
        }
    }
    let title = match (&plugin.kind, &plugin.namespace, &plugin.name) {
        (Kind::Bare, ..) => plugin.source.clone(),
        (kind, Some(namespace), Some(name)) => {
            crate::cluster::plugins::title(*kind, namespace, name)
        }
        (kind, _, name) => format!(
            "{} {}",
            kind.name(),
            name.as_deref().unwrap_or("without a name")
        ),
    };
    Some(Resource {
        title,
        plugin,
        document,
        plan,
    })
}

#[cfg(test)]
mod tests;
