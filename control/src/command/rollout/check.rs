//! `sluice rollout check`: asks every query of an analysis once, before anything moves.

use std::path::PathBuf;

use super::place::PlaceArgs;
use super::run::manifests;
use crate::cluster::pods::plugin_names;
use crate::command::arguments::OutputArgs;
use crate::command::outcome::Outcome;
use crate::command::output;
use crate::command::stores::Backend;
use crate::local::files::PLUGIN;
use crate::operations::Caller;
use crate::rollout::analysis::Standing;
use crate::rollout::check::{Tried, Whereabouts, check};
use crate::rollout::manifest::Manifest;
use crate::rollout::secrets::{OfNamespace, OfThisMachine};
use crate::rollout::sources::Source;
use crate::store::kubernetes::Kubernetes;

/// `sluice rollout check`.
#[derive(clap::Args, Debug)]
pub(super) struct Check {
    /// The file with the Rollouts; other documents in it are passed over
    #[arg(short, long, value_name = "FILE")]
    file: PathBuf,
    /// Where their splits are.
    #[command(flatten)]
    place: PlaceArgs,
    /// How the result is printed.
    #[command(flatten)]
    output: OutputArgs,
}

pub(super) async fn run(arguments: &Check, caller: &Caller) -> anyhow::Result<Outcome> {
    let manifests = manifests(&arguments.file)?;
    let backend = arguments.place.backend().await?;
    let mut all = Vec::with_capacity(manifests.len());
    for manifest in &manifests {
        all.push(tried(manifest, &backend, caller).await?);
    }
    output::print(arguments.output.output, &all, |all| text(all))?;
    Ok(if all.iter().all(Tried::is_good) {
        Outcome::Good
    } else {
        Outcome::Problems
    })
}

async fn tried(manifest: &Manifest, backend: &Backend, caller: &Caller) -> anyhow::Result<Tried> {
    let now = caller.now();
    match backend {
        Backend::Directory(directory) => {
            let whereabouts = Whereabouts {
                plugin_names: vec![PLUGIN.to_owned()],
                ..Whereabouts::default()
            };
            let own = Source::of_envoy(directory.clone());
            check(
                directory,
                manifest,
                whereabouts,
                &OfThisMachine,
                Some(own),
                now,
            )
            .await
        }
        Backend::Cluster(cluster) => {
            let namespace = manifest.namespace.as_deref();
            let cluster = cluster.in_namespace(namespace.unwrap_or(cluster.namespace()));
            let plugin = manifest.definition.plugin.clone();
            let store = Kubernetes::new(cluster.clone(), plugin);
            let live = store.read().await?;
            let whereabouts = Whereabouts {
                plugin: [live.namespace().to_owned(), live.name().to_owned()],
                plugin_names: plugin_names(&live).to_vec(),
            };
            let secrets = OfNamespace::new(cluster.client().clone(), cluster.namespace());
            check(&store, manifest, whereabouts, &secrets, None, now).await
        }
    }
}

fn text(all: &[Tried]) -> String {
    let mut lines = Vec::new();
    for tried in all {
        let name = &tried.rollout;
        for check in &tried.checks {
            let standing = match check.state.standing {
                Standing::Hold => "hold",
                Standing::Pass => "pass",
                Standing::Fail => "fail",
                Standing::NotApplicable => "does not apply",
            };
            let role = if check.decides { "" } else { ", dry run" };
            lines.push(format!("{name}: {standing}{role}: {}", check.line));
            lines.extend(check.query.iter().map(|query| format!("    {query}")));
        }
        for asked in &tried.asked {
            lines.push(format!("    {}", asked.query));
            let trouble = asked.trouble.iter();
            lines.extend(trouble.map(|trouble| format!("    {trouble}")));
        }
        let warnings = tried.warnings.iter();
        lines.extend(warnings.map(|warning| format!("{name}: warning: {warning}")));
    }
    let lines: Vec<String> = lines.iter().map(output::quoted).collect();
    lines.join("\n")
}
