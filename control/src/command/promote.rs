//! `sluice promote`: copies a split's weights from one namespace or cluster to another; with
//! `--workload`, says which images Git should have there.

mod workload;

use std::path::PathBuf;

use anyhow::{Context as _, bail};

use super::arguments::{ClusterArgs, DryRunArgs, ForceArgs, ReasonArgs};
use super::changes::{say, say_parked, terms};
use super::outcome::Outcome;
use super::{contexts, output, stores};
use crate::cluster::Cluster;
use crate::operations::Caller;
use crate::operations::promote::{PromoteError, Side, promote as promote_weights};
use crate::rollout::parked::parked;
use crate::rollout::workload::promote;
use crate::store::AnyStore;
use crate::store::kubernetes::Kubernetes;

/// `sluice promote`.
#[derive(clap::Args, Clone, Debug)]
pub(super) struct Promote {
    /// The split
    split: String,
    /// Where the weights are: NAMESPACE, or NAMESPACE@CONTEXT
    #[arg(long, value_name = "NAMESPACE[@CONTEXT]")]
    from: Environment,
    /// Where they go: NAMESPACE, or NAMESPACE@CONTEXT; may be repeated
    #[arg(long, value_name = "NAMESPACE[@CONTEXT]", required = true)]
    to: Vec<Environment>,
    /// The context of each --to without one; may be repeated
    #[arg(long = "context", value_name = "NAME")]
    contexts: Vec<String>,
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
    let is_placed = |environment: &Environment| environment.context.is_some();
    if !arguments.contexts.is_empty() && arguments.to.iter().all(is_placed) {
        bail!(
            "--context and a --to that names its own; accepted: --to NAMESPACE with --context, or --to NAMESPACE@CONTEXT"
        );
    }
    let targets = targets(&arguments.to, &arguments.contexts);
    if let [target] = targets.as_slice() {
        return alone(arguments, target, caller).await;
    }
    let names: Vec<String> = targets.iter().map(ToString::to_string).collect();
    let format = arguments.workload.format();
    let run = |name: &str| {
        let mut one = arguments.clone();
        one.workload.print_as(contexts::format_of_each(format));
        let target = targets.iter().find(|target| target.to_string() == name);
        let target = target.cloned();
        async move {
            let target = target.context("no such target")?;
            alone(&one, &target, caller).await
        }
    };
    contexts::each(&names, format, run).await
}

/// Every place that is meant: what names no context is meant in each that is named beside it.
fn targets(to: &[Environment], contexts: &[String]) -> Vec<Environment> {
    let mut targets = Vec::new();
    for environment in to {
        if environment.context.is_some() || contexts.is_empty() {
            targets.push(environment.clone());
            continue;
        }
        targets.extend(contexts.iter().map(|context| Environment {
            context: Some(context.clone()),
            ..environment.clone()
        }));
    }
    targets
}

async fn alone(
    arguments: &Promote,
    target: &Environment,
    caller: &Caller,
) -> anyhow::Result<Outcome> {
    if arguments.workload.workload.is_some() {
        let from = environment(arguments, &arguments.from).await?;
        let to = environment(arguments, target).await?;
        let options = &arguments.workload;
        return workload::run(options, &arguments.split, (&from, &to), arguments.dry_run).await;
    }
    let (from, to) = (
        side(arguments, &arguments.from).await?,
        side(arguments, target).await?,
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
    let outcome = say(&made);
    say_parked(&parked, &made.changes);
    Ok(outcome)
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
        contexts: environment.context.clone().into_iter().collect(),
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_target_without_a_context_is_meant_in_each() {
        let cases: [(&[&str], &[&str], &[&str]); 4] = [
            (&["prod"], &[], &["prod"]),
            (&["prod"], &["eu", "us"], &["prod@eu", "prod@us"]),
            (&["prod@eu", "prod@us"], &[], &["prod@eu", "prod@us"]),
            (&["prod", "stage@eu"], &["us"], &["prod@us", "stage@eu"]),
        ];
        for (to, contexts, expected) in cases {
            let to: Vec<Environment> = to.iter().map(|text| text.parse().unwrap()).collect();
            let contexts: Vec<String> = contexts.iter().map(|&name| name.to_owned()).collect();
            let found: Vec<String> = targets(&to, &contexts)
                .iter()
                .map(ToString::to_string)
                .collect();
            assert_eq!(found, expected);
        }
    }
}
