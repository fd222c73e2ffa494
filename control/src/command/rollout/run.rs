//! `sluice rollout run`: runs the Rollouts of a file until each has ended.

use std::path::PathBuf;

use anyhow::bail;
use clap::ValueEnum;

use super::super::interruption::Interruption;
use super::super::outcome::Outcome;
use super::super::output;
use crate::cluster::Cluster;
use crate::command::arguments::{self as shared, ClusterArgs, StoreArgs};
use crate::command::stores::{self, Backend};
use crate::files;
use crate::operations::Caller;
use crate::rollout::ground::{Happened, ONLY_A_CONTROLLER};
use crate::rollout::host::cluster::{self, Place};
use crate::rollout::host::directory;
use crate::rollout::manifest::{self, Manifest};
use crate::rollout::mesh::Scraped;
use crate::rollout::status::Run as RunOf;

/// `sluice rollout run`.
#[derive(clap::Args, Debug)]
pub(super) struct Run {
    /// The file with the Rollouts; other documents in it are passed over
    #[arg(short, long, value_name = "FILE")]
    file: PathBuf,
    /// The Prometheus that scrapes a cluster's proxies, for Rollouts that name none
    #[arg(long, env = "SLUICE_PROMETHEUS", value_name = "URL")]
    prometheus: Option<String>,
    /// Istio's root namespace: a plugin in it selects the proxies of every namespace
    #[arg(long, default_value = "istio-system", value_name = "NAMESPACE")]
    root_namespace: String,
    /// Where their splits are.
    #[command(flatten)]
    store: StoreArgs,
    /// How what happens is printed
    #[arg(short, long, value_enum, default_value_t)]
    output: Lines,
}

/// How what happens is printed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
enum Lines {
    /// A line for people
    #[default]
    Text,
    /// One JSON object a line
    Json,
}

pub(super) async fn run(arguments: &Run, caller: &Caller) -> anyhow::Result<Outcome> {
    let mut manifests = manifests(&arguments.file)?;
    refuse_workloads(&manifests)?;
    let tell = |happened: &Happened<'_>| say(arguments.output, happened);
    let mut interruption = Interruption::listen()?;
    let stop = async {
        interruption.received().await;
    };
    let statuses = match stores::backend(&arguments.store).await? {
        Backend::Directory(directory) => {
            let running = directory::run(&directory, caller, &manifests, &tell);
            tokio::select! {
                statuses = running => Some(statuses?),
                () = stop => None,
            }
        }
        Backend::Cluster(cluster) => {
            output::note(format!("on {}", cluster.title()));
            fill_in(&mut manifests, &arguments.store.cluster)?;
            let place = Place {
                own_name: own_name(caller, &cluster).await,
                cluster,
                scraped: Scraped {
                    prometheus: shared::prometheus(arguments.prometheus.as_deref())?,
                    root_namespace: arguments.root_namespace.clone(),
                },
                note: &|words| output::note(words),
            };
            cluster::run(&place, caller, &manifests, &tell, stop).await?
        }
    };
    let Some(statuses) = statuses else {
        bail!("stopped; weights stay as they are, and the same command goes on where it was")
    };
    let are_good = statuses
        .iter()
        .all(|status| status.run.as_ref().is_some_and(RunOf::has_succeeded));
    for (manifest, status) in manifests.iter().zip(&statuses) {
        if arguments.output == Lines::Text {
            let name = &manifest.name;
            output::note(format!("{name}: {:?}: {}", status.phase, status.message));
        }
    }
    Ok(if are_good {
        Outcome::Good
    } else {
        Outcome::Problems
    })
}

/// Deployments are followed by a process that stays.
fn refuse_workloads(manifests: &[Manifest]) -> anyhow::Result<()> {
    let mut of_workloads = manifests.iter();
    match of_workloads.find(|manifest| manifest.definition.workload.is_some()) {
        Some(Manifest { source, name, .. }) => {
            bail!("{source}: Rollout {name}: {ONLY_A_CONTROLLER}")
        }
        None => Ok(()),
    }
}

/// What the arguments say of Rollouts that do not say it; those that say something else are refused,
/// all at once.
fn fill_in(manifests: &mut [Manifest], named: &ClusterArgs) -> anyhow::Result<()> {
    let mut mistakes = Vec::new();
    for manifest in manifests {
        let Manifest {
            source,
            namespace,
            name,
            definition,
        } = manifest;
        for (field, written, option, typed) in [
            (
                "metadata.namespace",
                &mut *namespace,
                "-n",
                &named.namespace,
            ),
            (
                "spec.plugin",
                &mut definition.plugin,
                "--plugin",
                &named.plugin,
            ),
        ] {
            match (&written, typed) {
                (Some(written), Some(typed)) if written != typed => mistakes.push(format!(
                    "{source}: Rollout {name}: {field}: {written}, and {option} {typed}; accepted: one of them"
                )),
                (None, Some(_)) => written.clone_from(typed),
                _ => {}
            }
        }
    }
    if mistakes.is_empty() {
        return Ok(());
    }
    bail!("{}", mistakes.join("\n"))
}

/// A name that no other process has, and by which people know whom to ask.
async fn own_name(caller: &Caller, cluster: &Cluster) -> String {
    let who = cluster.caller().await;
    let who = who.unwrap_or_else(|| caller.name.clone());
    let (id, now) = (std::process::id(), caller.now().as_microsecond());
    format!("{who} process {id} {now:x}")
}

/// The Rollouts of a file: at least one, and all without a mistake.
pub(super) fn manifests(file: &std::path::Path) -> anyhow::Result<Vec<Manifest>> {
    let manifests = manifest::rollouts(&files::documents(file)?)?;
    if manifests.is_empty() {
        bail!(
            "{}: no Rollout; accepted: apiVersion {}, kind {}",
            file.display(),
            manifest::API_VERSION,
            manifest::KIND
        );
    }
    Ok(manifests)
}

fn say(lines: Lines, happened: &Happened<'_>) {
    match lines {
        Lines::Json => match serde_json::to_string(happened) {
            Ok(line) => output::document(line),
            Err(error) => output::note(error),
        },
        Lines::Text => {
            let at = happened.at.strftime("%H:%M:%S");
            let (rollout, message) = (happened.rollout, output::quoted(happened.message));
            output::line(format!("{at}  {rollout}  {message}"));
        }
    }
}
