//! `sluice explain`: tells why one request goes where it goes.

mod request;
mod sentences;

use std::path::PathBuf;

use anyhow::{Context as _, bail};
use sluice_core::plan::{Node, NodeKind, Plan};

use super::arguments::{OutputArgs, StoreArgs};
use super::brake::say_in_force;
use super::outcome::Outcome;
use super::stores::{self, Place};
use crate::analyze::ROOT_NAMESPACE;
use crate::analyze::proxies::Decider;
use crate::command::output;
use crate::files;
use crate::model::plugin::Plugin;
use crate::operations::described::Described;
use crate::operations::explain::{brake, decider, explain, take_out};
use crate::operations::status::directory::status;
use crate::operations::status::observed::Tripped;
use crate::operations::validate::Subject;
use crate::store::AnyStore;

/// `sluice explain`.
#[derive(clap::Args, Debug)]
pub(super) struct Explain {
    /// The configuration: a file, a directory, or - for standard input [default: the store]
    #[arg(short, long, value_name = "FILE")]
    file: Option<PathBuf>,
    /// The request's host
    #[arg(long, default_value = "")]
    host: String,
    /// The request's path with its query
    #[arg(long, default_value = "/")]
    path: String,
    /// The request's method
    #[arg(long, default_value = "GET")]
    method: String,
    /// A request header; repeatable
    #[arg(long, value_name = "NAME: VALUE")]
    header: Vec<String>,
    /// A cookie; repeatable
    #[arg(long, value_name = "NAME=VALUE")]
    cookie: Vec<String>,
    /// A JWT claim; repeatable
    #[arg(long, value_name = "NAME=VALUE")]
    claim: Vec<String>,
    /// The client's address
    #[arg(long, value_name = "IP")]
    source: Option<std::net::IpAddr>,
    /// Which kind of proxy decides [default: the one that the plugin runs on; where nothing tells, a
    /// gateway]
    #[arg(long, value_enum)]
    proxy: Option<ProxyKind>,
    /// The proxy's namespace: services may be called by their short name in it [default: the
    /// plugin's]
    #[arg(long, value_name = "NAMESPACE")]
    proxy_namespace: Option<String>,
    /// A challenger that the proxy's guard took out, as `sluice status` names them; repeatable
    /// [default: in a directory, what the Envoy of a running `sluice dev` took out]
    #[arg(long, value_name = "SPLIT=CHALLENGER")]
    tripped: Vec<String>,
    /// Which store holds the configuration.
    #[command(flatten)]
    store: StoreArgs,
    /// How the result is printed.
    #[command(flatten)]
    output: OutputArgs,
}

/// What proxies leave out of the weights.
#[derive(Default)]
struct Out {
    /// What a guard took out.
    tripped: Vec<Tripped>,
    /// The splits that are braked, and of which challenger; `None`: of every one.
    braked: Vec<(String, Option<String>)>,
}

/// Why a gateway answers where nothing else is known.
const UNTOLD: &str =
    "assumed, because nothing here says on which proxies the plugin runs; --proxy names another";

/// Kinds of proxies.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub(super) enum ProxyKind {
    /// An ingress gateway, or an Envoy that is not Istio's
    Gateway,
    /// The caller's sidecar
    Sidecar,
    /// A waypoint
    Waypoint,
}

pub(super) async fn run(arguments: &Explain) -> anyhow::Result<Outcome> {
    let (plugin, subject, out) = subject(arguments).await?;
    let request = request::described(arguments)?;
    let (kind, why) = proxy(arguments.proxy, &plugin, &subject, &request);
    let mut plan = plugin.plan(&Node {
        kind,
        namespace: arguments
            .proxy_namespace
            .clone()
            .or_else(|| plugin.namespace.clone()),
    })?;
    for problem in plan.problems() {
        output::note(format!("{}: {problem}", plugin.source));
    }
    for tripped in &arguments.tripped {
        trip(&mut plan, tripped)?;
    }
    for Tripped { split, variant, .. } in out.tripped {
        // Of another configuration's splits nothing is out here.
        let _ = take_out(&mut plan, &split, &variant);
    }
    for (split, challenger) in out.braked {
        brake(&mut plan, &split, challenger.as_deref());
    }
    let explanation = explain(&plan, &request);
    output::print(arguments.output.output, &explanation, |explanation| {
        sentences::text(&request, explanation, &why)
    })?;
    Ok(Outcome::Good)
}

fn trip(plan: &mut Plan, tripped: &str) -> anyhow::Result<()> {
    let Some((split, challenger)) = tripped.split_once('=') else {
        bail!("--tripped {tripped:?}: accepted: SPLIT=CHALLENGER, such as web=canary");
    };
    take_out(plan, split, challenger)
        .with_context(|| format!("--tripped {}", output::quoted(tripped)))
}

/// The plugin of a file or, without one, of the store; what lies around it; and what the guard of an
/// Envoy that serves a directory took out, unless it is said, and what is braked.
async fn subject(arguments: &Explain) -> anyhow::Result<(Plugin, Subject, Out)> {
    if let Some(file) = &arguments.file {
        let documents = files::documents(file)?;
        let plugin = files::only_plugin(&file.display().to_string(), documents.clone())?;
        let subject = Subject {
            documents,
            ..Subject::default()
        };
        return Ok((plugin, subject, Out::default()));
    }
    let store = stores::one(&arguments.store).await?;
    let place = Place::One(store.clone());
    let read = Subject::of_stores(std::slice::from_ref(&store), ROOT_NAMESPACE);
    let mut subject = place.said(read).await?;
    let plugin = subject.plugins.pop().context("a store without a plugin")?;
    let out = match &store {
        AnyStore::Directory(directory) if arguments.tripped.is_empty() => {
            let status = status(directory).await?;
            let braked = status.braked.into_iter();
            Out {
                tripped: status.tripped,
                braked: braked.map(|one| (one.split, Some(one.variant))).collect(),
            }
        }
        AnyStore::Kubernetes(store) if plugin.config.get("brake").is_some() => {
            let name = plugin.name.as_deref().unwrap_or_default();
            let braked = say_in_force(store.cluster(), name).await.into_iter();
            Out {
                tripped: Vec::new(),
                braked: braked.map(|one| (one.split, one.challenger)).collect(),
            }
        }
        _ => Out::default(),
    };
    Ok((plugin, subject, out))
}

/// Which kind of proxy answers, and why that one.
fn proxy(
    asked: Option<ProxyKind>,
    plugin: &Plugin,
    subject: &Subject,
    request: &Described,
) -> (NodeKind, String) {
    match asked {
        Some(ProxyKind::Gateway) => (NodeKind::Gateway, "--proxy".to_owned()),
        Some(ProxyKind::Sidecar) => (NodeKind::Sidecar, "--proxy".to_owned()),
        Some(ProxyKind::Waypoint) => (NodeKind::Waypoint, "--proxy".to_owned()),
        None => match decider(plugin, subject, request) {
            Some(Decider { kind, evidence }) => (kind, evidence.to_string()),
            None => (NodeKind::Gateway, UNTOLD.to_owned()),
        },
    }
}
