//! `sluice promote`: copies a split's weights from one namespace or cluster to another; with
//! `--workload`, says which images Git should have there.

mod workload;

use std::path::PathBuf;

use anyhow::Context as _;

use super::arguments::{ClusterArgs, DryRunArgs, ForceArgs, ReasonArgs};
use super::changes::{say, say_parked, terms};
use super::outcome::Outcome;
use super::{output, stores};
use crate::cluster::Cluster;
use crate::operations::Caller;
use crate::operations::promote::{PromoteError, Side, promote as promote_weights};
use crate::rollout::parked::parked;
use crate::rollout::workload::promote;
use crate::store::AnyStore;
use crate::store::kubernetes::Kubernetes;

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
    /// Whether it is only described.
    #[command(flatten)]
    dry_run: DryRunArgs,
    /// Whether fields that somebody else set are taken over.
    #[command(flatten)]
    force: ForceArgs,
    /// Why the change is made.
    #[command(flatten)]
    reason: ReasonArgs,
    /// What follows a Deployment.
    #[command(flatten)]
    workload: workload::WorkloadArgs,
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
    if arguments.workload.workload.is_some() {
        let from = environment(arguments, &arguments.from).await?;
        let to = environment(arguments, &arguments.to).await?;
        let options = &arguments.workload;
        return workload::run(options, &arguments.split, (&from, &to), arguments.dry_run).await;
    }
    let (from, to) = (
        side(arguments, &arguments.from).await?,
        side(arguments, &arguments.to).await?,
    );
    let terms = terms(arguments.dry_run, arguments.force, &arguments.reason);
    let target = AnyStore::Kubernetes(to.store.clone());
    let made = promote_weights((&from, &to), caller, &arguments.split, &terms);
    let (made, parked) = tokio::join!(made, parked(&target));
    output::note(format!(
        "on {}, from {}",
        to.store.title(),
        from.store.title()
    ));
    let made = made.map_err(|error| located(error, &from.name, &to.name))?;
    say(&made);
    say_parked(&parked, &made.changes);
    Ok(Outcome::Good)
}

async fn side(arguments: &Promote, environment: &Environment) -> anyhow::Result<Side<Kubernetes>> {
    let name = environment.to_string();
    let cluster = cluster(arguments, environment).await?;
    let store = Kubernetes::new(cluster, arguments.plugin.clone()).telling(stores::tell);
    Ok(Side { name, store })
}

async fn environment(
    arguments: &Promote,
    environment: &Environment,
) -> anyhow::Result<promote::Environment> {
    Ok(promote::Environment {
        name: environment.to_string(),
        cluster: cluster(arguments, environment).await?,
    })
}

async fn cluster(arguments: &Promote, environment: &Environment) -> anyhow::Result<Cluster> {
    let named = ClusterArgs {
        namespace: Some(environment.namespace.clone()),
        context: environment.context.clone(),
        kubeconfig: arguments.kubeconfig.clone(),
        plugin: None,
    };
    let cluster = stores::cluster(&named).await;
    cluster.with_context(|| environment.to_string())
}

/// The error with the option that it is about.
fn located(error: PromoteError, from: &str, to: &str) -> anyhow::Error {
    match error {
        PromoteError::Source(error) => anyhow::Error::from(error).context(format!("--from {from}")),
        PromoteError::Unreadable(error) => error,
        PromoteError::Target(error) => anyhow::Error::from(error).context(format!("--to {to}")),
    }
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
