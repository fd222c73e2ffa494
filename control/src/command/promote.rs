//! `sluice promote`: copies a split's weights from one namespace or cluster to another.

use anyhow::Context as _;

use super::{Change, Mode, Outcome, stores};
use crate::cli::{ClusterArgs, Environment, Promote};
use crate::command::output;
use crate::model::change;
use crate::model::weights::Owned;
use crate::store::Store as _;
use crate::store::kubernetes::Kubernetes;
use sluice_core::plan::Node;

pub(super) fn run(arguments: &Promote) -> anyhow::Result<Outcome> {
    let split = &arguments.split;
    let (from, to) = (
        store(arguments, &arguments.from)?,
        store(arguments, &arguments.to)?,
    );
    let source = from
        .snapshot()
        .with_context(|| format!("--from {}", arguments.from))?
        .plugin;
    let plan = source.plan(&Node::default())?;
    change::find_split(&plan, split).with_context(|| format!("--from {}", arguments.from))?;
    let weights = Owned::of_config(&source.config).only(split);
    let change = Change {
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
        .with_context(|| format!("--to {}", arguments.to))?;
    output::line(report);
    Ok(Outcome::Good)
}

fn store(arguments: &Promote, environment: &Environment) -> anyhow::Result<Kubernetes> {
    let cluster = stores::cluster(&ClusterArgs {
        namespace: Some(environment.namespace.clone()),
        context: environment.context.clone(),
        kubeconfig: arguments.kubeconfig.clone(),
        plugin: None,
    });
    let cluster = cluster.with_context(|| environment.to_string())?;
    Ok(Kubernetes::new(cluster, arguments.plugin.clone()))
}
