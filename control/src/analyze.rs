//! What is wrong between documents: plugins, the routes that match their headers, subsets. What one
//! configuration says is the plan's and [`crate::analyze::lint`]'s; what only a running cluster
//! knows is nobody's here.

pub mod claims;
pub mod lint;
mod plugins;
mod routes;

use serde_json::{Map, Value};
use sluice_core::plan::{Node, Plan};

use crate::model::input::Input;
use crate::model::plugin::{Kind, Plugin, merge};
use crate::model::resources::plugin::PluginSpec;
use crate::model::resources::{Resource, Spec};

/// What is wrong; each line begins with the resource it is about.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Findings {
    /// What cannot work.
    pub problems: Vec<String>,
    /// What is likely a mistake.
    pub warnings: Vec<String>,
}

impl Findings {
    fn problem(&mut self, title: &str, text: impl std::fmt::Display) {
        self.problems.push(format!("{title}: {text}"));
    }

    fn warning(&mut self, title: &str, text: impl std::fmt::Display) {
        self.warnings.push(format!("{title}: {text}"));
    }
}

/// A plugin with its plan and the resource that it came from.
struct Planned<'d> {
    title: String,
    plugin: &'d Plugin,
    /// None for a bare configuration, and where a field has another type.
    spec: Option<PluginSpec>,
    plan: Plan,
}

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
    let node = Node {
        namespace: plugin.namespace.clone(),
        ..Node::default()
    };
    let plan = plugin.plan(&node).ok()?;
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

/// The resources of one kind; says of the others which field has another type.
fn resources<S: Spec>(documents: &[Input], findings: &mut Findings) -> Vec<Resource<S>> {
    let of_kind = documents
        .iter()
        .filter(|input| input.kind() == Some(S::KIND));
    let read = |input: &Input| {
        Resource::read(&input.value)
            .inspect_err(|error| {
                let namespace = input.namespace().unwrap_or("default");
                let name = input.name().unwrap_or("?");
                findings.problem(&format!("{} {namespace}/{name}", S::KIND), error);
            })
            .ok()
    };
    of_kind.filter_map(read).collect()
}

#[cfg(test)]
mod tests;
