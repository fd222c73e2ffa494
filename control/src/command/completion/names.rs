//! Which names fit where while somebody types: splits, audiences, variants, plugins, namespaces and
//! contexts, from the folder or the cluster that the line means so far.
//!
//! Whatever cannot be found out in time is left out without a word. A name that a shell might take
//! for more than a name is left out too: whoever may name a split must not write others' lines.

use std::collections::BTreeSet;
use std::ffi::OsString;
use std::sync::{Arc, mpsc};
use std::time::Duration;

use clap::{Arg, Command};
use clap_complete::{ArgValueCandidates, CompletionCandidate};
use futures::future::join_all;
use k8s_openapi::api::core::v1::Namespace;
use kube::api::{Api, ListParams};
use sluice_core::plan::{Node, Plan, Split};

use super::asked::Asked;
use crate::cluster::{self, Cluster};
use crate::command::stores::{self, Backend};
use crate::files;
use crate::model::churn;
use crate::operations::plugins::as_listed;
use crate::rollout::rollouts::{ClusterRollouts, RolloutStore};
use crate::store::kubernetes::Kubernetes;
use crate::store::{AnyStore, Store as _};

/// How long a person who typed waits at most. Chosen: kubectl's own completions take about a second
/// behind a slow network; what takes longer is not worth it.
const COMPLETION_PATIENCE: Duration = Duration::from_secs(3);

/// How many names are offered at most. Chosen: more than a screen; what is typed narrows them.
const MAX_NAMES_COMPLETED: usize = 500;

/// How long an offered name may be. Chosen: Kubernetes' longest, a variant and a sign.
const MAX_NAME_COMPLETED_BYTES: usize = 512;

/// What may be typed at an argument.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Names {
    Splits,
    Audiences,
    /// `CHALLENGER=`, to which a percentage is added.
    Challengers,
    /// `SPLIT=CHALLENGER`.
    ChallengersOfSplits,
    Plugins,
    Rollouts,
    Namespaces,
    Contexts,
}

/// The commands, each argument of which knows its names; `typed` are the words of the line.
pub(super) fn told(command: Command, typed: &[OsString]) -> Command {
    told_below(command, &Arc::new(Asked::of(typed)), "")
}

fn told_below(command: Command, asked: &Arc<Asked>, parent: &str) -> Command {
    let name = command.get_name().to_owned();
    let arguments = Arc::clone(asked);
    let command = command.mut_args(|argument| match names_of(&argument, &name, parent) {
        None => argument,
        Some(names) => {
            let asked = Arc::clone(&arguments);
            argument.add(ArgValueCandidates::new(move || candidates(names, &asked)))
        }
    });
    command.mut_subcommands(|below| told_below(below, asked, &name))
}

/// What an argument of a command takes, by the name that it has in all commands.
fn names_of(argument: &Arg, command: &str, parent: &str) -> Option<Names> {
    Some(match argument.get_id().as_str() {
        "split" | "splits" => Names::Splits,
        "audience" => Names::Audiences,
        "shares" => Names::Challengers,
        "tripped" => Names::ChallengersOfSplits,
        "plugin" => Names::Plugins,
        "name" if parent == "rollout" && command != "run" => Names::Rollouts,
        "namespace" | "root_namespace" | "proxy_namespace" | "from" | "to"
            if takes(argument, "NAMESPACE") =>
        {
            Names::Namespaces
        }
        "context" | "contexts" => Names::Contexts,
        _ => return None,
    })
}

fn takes(argument: &Arg, word: &str) -> bool {
    let names = argument.get_value_names().unwrap_or_default();
    names.iter().any(|name| name.starts_with(word))
}

fn candidates(names: Names, asked: &Arc<Asked>) -> Vec<CompletionCandidate> {
    let found = in_time(names, asked).unwrap_or_default();
    let safe = found.into_iter().filter(|name| is_plain(name));
    safe.take(MAX_NAMES_COMPLETED)
        .map(CompletionCandidate::new)
        .collect()
}

/// What is found within the time. A thread of its own does it: asking a name server, or running the
/// command that the kubeconfig has for a login, cannot be broken off. It ends with the process.
fn in_time(names: Names, asked: &Arc<Asked>) -> Option<BTreeSet<String>> {
    let (done, waiting) = mpsc::channel();
    let asked = Arc::clone(asked);
    std::thread::spawn(move || done.send(found(names, &asked)));
    waiting.recv_timeout(COMPLETION_PATIENCE).ok()?
}

/// Whether every shell takes it for one word, and a terminal for nothing but text.
fn is_plain(name: &str) -> bool {
    let is_plain = |letter: char| letter.is_ascii_alphanumeric() || "-_.:/@=".contains(letter);
    name.len() <= MAX_NAME_COMPLETED_BYTES && !name.starts_with('-') && name.chars().all(is_plain)
}

fn found(names: Names, asked: &Asked) -> Option<BTreeSet<String>> {
    if names == Names::Contexts {
        let contexts = cluster::contexts(asked.kubeconfig().as_deref()).ok()?;
        return Some(contexts.into_iter().collect());
    }
    // Not the program's runtime: nothing was parsed yet, and nothing else is to be done.
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .ok()?;
    runtime.block_on(ask(names, asked)).ok()
}

async fn ask(names: Names, asked: &Asked) -> anyhow::Result<BTreeSet<String>> {
    match names {
        Names::Contexts => Ok(BTreeSet::new()),
        Names::Namespaces => namespaces(&stores::cluster(&asked.store().cluster).await?).await,
        Names::Rollouts => rollouts(asked).await,
        Names::Plugins => plugins(&stores::cluster(&asked.store().cluster).await?).await,
        Names::Splits | Names::Audiences | Names::Challengers | Names::ChallengersOfSplits => {
            let plans = plans(asked).await?;
            let splits: Vec<&Split> = plans.iter().flat_map(Plan::splits).collect();
            Ok(of_splits(names, asked, &splits))
        }
    }
}

/// Of the splits that the line names, where it names one, else of all.
fn of_splits(names: Names, asked: &Asked, splits: &[&Split]) -> BTreeSet<String> {
    let is_named = |split: &&&Split| asked.has(&split.definition.name);
    let is_one_named = names != Names::Splits && splits.iter().any(|split| is_named(&split));
    let meant = splits
        .iter()
        .filter(|split| !is_one_named || is_named(split));
    meant
        .flat_map(|split| -> Vec<String> {
            let name = &split.definition.name;
            let challengers = split.definition.challengers().iter();
            match names {
                Names::Audiences => churn::audiences(split)
                    .into_iter()
                    .map(|(name, _)| name)
                    .collect(),
                Names::Challengers => challengers
                    .map(|challenger| format!("{challenger}="))
                    .collect(),
                Names::ChallengersOfSplits => challengers
                    .map(|challenger| format!("{name}={challenger}"))
                    .collect(),
                _ => vec![name.to_string()],
            }
        })
        .collect()
}

/// The configurations that the line means: that of `-f`, of a folder, of a plugin, or of all.
async fn plans(asked: &Asked) -> anyhow::Result<Vec<Plan>> {
    if let Some(file) = asked.file() {
        return Ok(vec![files::plugin(&file)?.plan(&Node::default())?]);
    }
    let stores: Vec<AnyStore> = match stores::backend(&asked.store()).await? {
        Backend::Directory(directory) => vec![AnyStore::Directory(directory)],
        Backend::Cluster(cluster) if asked.is_everywhere() => {
            let (stores, _) = as_listed(&cluster).await?;
            stores
                .into_iter()
                .map(|(_, store)| AnyStore::Kubernetes(store))
                .collect()
        }
        Backend::Cluster(cluster) => {
            let plugin = asked.store().cluster.plugin;
            vec![AnyStore::Kubernetes(Kubernetes::new(cluster, plugin))]
        }
    };
    let stores = stores.iter().take(MAX_NAMES_COMPLETED);
    let read = join_all(
        stores.map(async |store: &AnyStore| -> anyhow::Result<Plan> {
            store.snapshot().await?.plugin.plan(&Node::default())
        }),
    );
    Ok(read.await.into_iter().flatten().collect())
}

async fn namespaces(cluster: &Cluster) -> anyhow::Result<BTreeSet<String>> {
    let limit = u32::try_from(MAX_NAMES_COMPLETED)?;
    let api: Api<Namespace> = Api::all(cluster.client().clone());
    let listed = api
        .list_metadata(&ListParams::default().limit(limit))
        .await?;
    Ok(listed
        .items
        .into_iter()
        .filter_map(|namespace| namespace.metadata.name)
        .collect())
}

async fn plugins(cluster: &Cluster) -> anyhow::Result<BTreeSet<String>> {
    let (stores, _) = as_listed(cluster).await?;
    let here = stores
        .iter()
        .filter(|(_, store)| store.namespace() == cluster.namespace());
    Ok(here
        .filter_map(|(title, _)| Some(title.rsplit_once('/')?.1.to_owned()))
        .collect())
}

async fn rollouts(asked: &Asked) -> anyhow::Result<BTreeSet<String>> {
    let store = match stores::backend(&asked.store()).await? {
        Backend::Directory(directory) => RolloutStore::Directory(directory),
        Backend::Cluster(cluster) => RolloutStore::Cluster(ClusterRollouts::of_namespace(cluster)),
    };
    let listed = store.rollouts().await?;
    Ok(listed
        .found
        .into_iter()
        .map(|found| found.rollout.name)
        .collect())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::command::cli;

    /// Every argument of every command, as `command argument`.
    fn arguments(command: &Command, parent: &str, all: &mut Vec<(String, Option<Names>)>) {
        for argument in command.get_arguments() {
            let name = format!("{parent} {} {}", command.get_name(), argument.get_id());
            all.push((name, names_of(argument, command.get_name(), parent)));
        }
        for below in command.get_subcommands() {
            arguments(below, command.get_name(), all);
        }
    }

    #[test]
    fn arguments_that_take_a_name_know_it() {
        let mut all = Vec::new();
        arguments(&cli::command(cli::Name::Sluice), "", &mut all);
        let of = |name: &str| {
            let found = all.iter().find(|(argument, _)| argument == name);
            found.unwrap_or_else(|| panic!("{name}")).1
        };
        assert_eq!(of("sluice get split"), Some(Names::Splits));
        assert_eq!(of("sluice set shares"), Some(Names::Challengers));
        assert_eq!(of("sluice set audience"), Some(Names::Audiences));
        assert_eq!(
            of("sluice explain tripped"),
            Some(Names::ChallengersOfSplits)
        );
        assert_eq!(of("sluice promote from"), Some(Names::Namespaces));
        assert_eq!(of("sluice rollback to"), None);
        assert_eq!(of("rollout status name"), Some(Names::Rollouts));
        assert_eq!(of("sluice render name"), None);
        assert_eq!(of("brake release splits"), Some(Names::Splits));
        let lacking = all.iter().filter(|(argument, names)| {
            let id = argument.rsplit(' ').next().unwrap_or_default();
            names.is_none() && (id.contains("namespace") && id != "all_namespaces")
        });
        assert_eq!(
            lacking.collect::<Vec<_>>(),
            [] as [&(String, Option<Names>); 0]
        );
    }

    #[test]
    fn a_name_that_a_shell_could_run_is_not_offered() {
        for plain in ["web", "canary=", "shop@kind-2", "a.b/c_d:1"] {
            assert!(is_plain(plain), "{plain}");
        }
        let longest = "a".repeat(MAX_NAME_COMPLETED_BYTES);
        assert!(is_plain(&longest) && !is_plain(&format!("{longest}a")));
        for other in [
            "$(id)",
            "a b",
            "a;b",
            "a`b",
            "--force",
            "a\u{1b}[2J",
            "é",
            "a\nb",
            "a'b",
        ] {
            assert!(!is_plain(other), "{other}");
        }
    }
}
