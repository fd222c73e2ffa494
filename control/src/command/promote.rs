//! `sluice promote`: copies a split's weights from one namespace or cluster to another.

use std::path::PathBuf;

use anyhow::Context as _;

use super::arguments::{ClusterArgs, ForceArgs, ReasonArgs};
use super::outcome::Outcome;
use super::{Change, Mode, stores};
use crate::command::output;
use crate::model::weights::WeightSet;
use crate::model::{change, refusal};
use crate::operations::Caller;
use crate::store::Store as _;
use crate::store::kubernetes::Kubernetes;
use sluice_core::plan::Node;

/// `sluice promote`.
#[derive(clap::Args, Debug)]
pub(super) struct Promote {
    /// The split
    split: String,
    /// Where the weights are: NAMESPACE, or NAMESPACE@CONTEXT
    #[arg(long, value_name = "NAMESPACE[@CONTEXT]")]
    from: Environment,
    /// Where they go: NAMESPACE, or NAMESPACE@CONTEXT
    #[arg(long, value_name = "NAMESPACE[@CONTEXT]")]
    to: Environment,
    /// The kubeconfig file [default: KUBECONFIG, ~/.kube/config, or the pod's own account]
    #[arg(long, value_name = "FILE")]
    kubeconfig: Option<PathBuf>,
    /// The plugin in both, as NAME, wasmplugin/NAME or trafficextension/NAME [default: the one that has splits]
    #[arg(long, value_name = "NAME")]
    plugin: Option<String>,
    /// Say what would happen, and change nothing
    #[arg(long)]
    dry_run: bool,
    /// Whether fields that somebody else set are taken over.
    #[command(flatten)]
    force: ForceArgs,
    /// Why the change is made.
    #[command(flatten)]
    reason: ReasonArgs,
}

/// A namespace as an environment: `qa`, or `qa@cluster-2`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Environment {
    /// The namespace.
    namespace: String,
    /// The kubeconfig's context; the current one when it is not said.
    context: Option<String>,
}

pub(super) async fn run(arguments: &Promote, caller: &Caller) -> anyhow::Result<Outcome> {
    let split = &arguments.split;
    let (from, to) = (
        store(arguments, &arguments.from).await?,
        store(arguments, &arguments.to).await?,
    );
    let source = from
        .snapshot()
        .await
        .with_context(|| format!("--from {}", arguments.from))?
        .plugin;
    let plan = source.plan(&Node::default())?;
    refusal::find_split(&plan, split).with_context(|| format!("--from {}", arguments.from))?;
    let weights = WeightSet::of_config(&source.config).only(split);
    let change = Change {
        caller,
        mode: Mode::of(arguments.dry_run),
        force: arguments.force,
        command: format!(
            "promote {split} --from {} --to {}",
            arguments.from, arguments.to
        ),
        split: Some(split),
        reason: &arguments.reason,
    };
    let report = change
        .make(&to, |snapshot, plan| {
            Ok(change::promote(&snapshot.state(), plan, split, &weights)?)
        })
        .await
        .with_context(|| format!("--to {}", arguments.to))?;
    output::line(report);
    Ok(Outcome::Good)
}

async fn store(arguments: &Promote, environment: &Environment) -> anyhow::Result<Kubernetes> {
    let named = ClusterArgs {
        namespace: Some(environment.namespace.clone()),
        context: environment.context.clone(),
        kubeconfig: arguments.kubeconfig.clone(),
        plugin: None,
    };
    let cluster = stores::cluster(&named)
        .await
        .with_context(|| environment.to_string())?;
    Ok(Kubernetes::new(cluster, arguments.plugin.clone()))
}

impl std::str::FromStr for Environment {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let (namespace, context) = match text.split_once('@') {
            Some((namespace, context)) => (namespace, Some(context)),
            None => (text, None),
        };
        if namespace.is_empty() || context == Some("") {
            return Err(
                "write NAMESPACE or NAMESPACE@CONTEXT, such as qa or prod@europe".to_owned(),
            );
        }
        Ok(Self {
            namespace: namespace.to_owned(),
            context: context.map(str::to_owned),
        })
    }
}

impl std::fmt::Display for Environment {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.write_str(&self.namespace)?;
        self.context
            .iter()
            .try_for_each(|context| write!(formatter, "@{context}"))
    }
}
