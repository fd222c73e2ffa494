//! Everything that is wrong with configurations and with the routes around them, and what is likely
//! a mistake.
//!
//! What one configuration may say is the plan's to judge, what is likely a mistake is
//! [`lint`]'s, and how plugins and routes go together is [`analyze`]'s; here is what
//! they are asked about and the one report of it.

use std::collections::BTreeMap;

use serde::Serialize;
use sluice_core::plan::Node;
use sluice_core::problem::Problem;

use crate::analyze::{self, Findings, ProxyKinds, Surroundings, lint};
use crate::cluster::authors::{authors, client_side_weights, others_fields};
use crate::cluster::plugins::LivePlugin;
use crate::cluster::pods;
use crate::cluster::routes::{gateways, routes};
use crate::files;
use crate::model::input::Input;
use crate::model::plugin::Plugin;
use crate::store::directory::Directory;
use crate::store::kubernetes::Kubernetes;
use crate::store::{AnyStore, Store as _};

/// What is validated: plugins, and every resource around them.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Subject {
    /// The plugins.
    pub plugins: Vec<Plugin>,
    /// The documents that routes, subsets, Gateways and the plugins themselves stand in.
    pub documents: Vec<Input>,
    /// What the API server knows of a plugin, by where that was read from, and is likely a mistake.
    pub known: BTreeMap<String, Vec<String>>,
    /// The kinds of the proxies that the plugins select; of a cluster.
    pub proxies: ProxyKinds,
}

impl Subject {
    /// The plugins of stores, and what lies beside each.
    ///
    /// # Errors
    /// When one of them cannot be read.
    pub async fn of_stores(stores: &[AnyStore], root_namespace: &str) -> anyhow::Result<Self> {
        let mut subject = Self::default();
        for store in stores {
            match store {
                AnyStore::Directory(directory) => subject.add(Self::of_directory(directory).await?),
                AnyStore::Kubernetes(store) => {
                    subject.add_of_cluster(store, root_namespace).await?
                }
            }
        }
        Ok(subject)
    }

    fn add(&mut self, other: Self) {
        self.plugins.extend(other.plugins);
        self.documents.extend(other.documents);
        self.proxies.extend(other.proxies);
        self.known.extend(other.known);
    }

    /// A directory's plugin, and the resources that lie beside it.
    ///
    /// # Errors
    /// When a file cannot be read.
    pub async fn of_directory(directory: &Directory) -> anyhow::Result<Self> {
        let mut documents = files::documents(directory.path())?;
        // `sluice` keeps the weights there itself, so those are no reason for a warning.
        documents.retain(|input| !input.source.ends_with("weights.yaml"));
        Ok(Self {
            plugins: vec![directory.snapshot().await?.plugin],
            documents,
            ..Self::default()
        })
    }

    /// Adds a plugin of a cluster, the kinds of the pods that it selects, the routes in its
    /// namespace, and the Gateways, as far as the account may see them.
    async fn add_of_cluster(
        &mut self,
        store: &Kubernetes,
        root_namespace: &str,
    ) -> anyhow::Result<()> {
        let (cluster, live) = (store.cluster(), store.read().await?);
        self.documents.push(live.resource()?);
        // One answer has the Gateways of every namespace.
        let is_gateway = |input: &Input| input.kind() == Some("Gateway");
        if !self.documents.iter().any(is_gateway) {
            self.documents.extend(gateways(cluster, &live).await);
        }
        let (routes, kinds) = tokio::join!(
            routes(cluster, &live),
            pods::kinds(cluster, &live, root_namespace)
        );
        self.documents.extend(routes);
        let source = live.plugin.source.clone();
        self.known.insert(source.clone(), known(&live));
        self.proxies.extend(kinds.map(|kinds| (source, kinds)));
        self.plugins.push(live.plugin);
        Ok(())
    }

    /// What lies around the plugins, as the analysis takes it.
    pub fn surroundings<'s>(&'s self, root_namespace: &'s str) -> Surroundings<'s> {
        Surroundings {
            documents: &self.documents,
            proxies: &self.proxies,
            root_namespace,
        }
    }
}

/// What a validation found; serialized, it is the JSON of `sluice validate`.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct ValidationReport {
    /// Whether there is no problem at all; warnings are none.
    pub is_good: bool,
    /// What each plugin's configuration says by itself.
    pub plugins: Vec<PluginReport>,
    /// What cannot work between plugins and routes, each with the resource that it is about.
    pub problems: Vec<String>,
    /// What is likely a mistake between them.
    pub warnings: Vec<String>,
    /// What each Rollout among the documents says by itself; who reads Rollouts adds it.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub rollouts: Vec<RolloutReport>,
}

/// What is wrong with one Rollout.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct RolloutReport {
    /// Where it was read from.
    pub source: String,
    /// Its name.
    pub name: String,
    /// Everything that is wrong with it.
    pub problems: Vec<ReportedProblem>,
}

/// What is wrong with one plugin's configuration.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct PluginReport {
    /// Where it was read from.
    pub source: String,
    /// Whether a proxy reads it at all; otherwise each keeps the last one that it could read.
    #[serde(rename = "isReadable")]
    pub is_readable: bool,
    /// What the filter would refuse; a split with any is served as if its weights were 0.
    pub problems: Vec<ReportedProblem>,
    /// What is allowed and likely a mistake.
    pub warnings: Vec<String>,
}

/// A problem, taken apart.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct ReportedProblem {
    /// The field's path in the configuration.
    pub path: String,
    /// What stands there.
    pub found: String,
    /// What may stand there.
    pub accepted: String,
}

impl From<Problem> for ReportedProblem {
    fn from(problem: Problem) -> Self {
        Self {
            path: problem.path,
            found: problem.found.into_owned(),
            accepted: problem.accepted.to_string(),
        }
    }
}

/// Validates plugins and what is around them. Against the plugins that they replace, if those are
/// given, it also warns about what would move users between variants.
///
/// # Errors
/// When a plugin that is replaced cannot be read as a configuration.
pub fn validate(
    subject: &Subject,
    replaced: &[Plugin],
    root_namespace: &str,
) -> anyhow::Result<ValidationReport> {
    let mut plugins = Vec::new();
    for plugin in &subject.plugins {
        let mut report = alone(plugin);
        let known = subject.known.get(&plugin.source).into_iter().flatten();
        report.warnings.extend(known.cloned());
        if let Some(former) = former(plugin, subject, replaced)
            && let Ok(later) = plugin.document()
        {
            let earlier = former.document()?;
            report.warnings.extend(lint::against(&earlier, &later));
        }
        plugins.push(report);
    }
    let Findings {
        problems, warnings, ..
    } = analyze::check(&subject.plugins, &subject.surroundings(root_namespace));
    Ok(ValidationReport {
        is_good: problems.is_empty() && plugins.iter().all(|plugin| plugin.problems.is_empty()),
        plugins,
        problems,
        warnings,
        rollouts: Vec::new(),
    })
}

/// Whose its weights are, where they are not `sluice`'s, and what the next apply may do to them.
fn known(live: &LivePlugin) -> Vec<String> {
    let (metadata, kind) = (&live.object.metadata, live.plugin.kind);
    let fields = others_fields(&live.plugin.config, &authors(metadata, kind));
    let fields = fields.iter().map(ToString::to_string);
    let applied = client_side_weights(metadata, kind).map(str::to_owned);
    fields.chain(applied).collect()
}

fn alone(plugin: &Plugin) -> PluginReport {
    let plan = plugin.plan(&Node::default()).ok();
    let warnings = plan
        .as_ref()
        .map(|plan| lint::warnings(plan, &plugin.config));
    PluginReport {
        source: plugin.source.clone(),
        is_readable: plan.is_some(),
        problems: plugin.problems().into_iter().map(Into::into).collect(),
        warnings: warnings.unwrap_or_default(),
    }
}

/// The plugin that one replaces: where there is one of each, that one, whatever it is called; else
/// the one of the same name.
fn former<'r>(plugin: &Plugin, subject: &Subject, replaced: &'r [Plugin]) -> Option<&'r Plugin> {
    match replaced {
        [only] if subject.plugins.len() == 1 => Some(only),
        several => several
            .iter()
            .find(|former| former.name == plugin.name && former.namespace == plugin.namespace),
    }
}
