//! `sluice explain`: tells why one request goes where it goes.

use std::path::PathBuf;

use anyhow::{Context as _, bail};
use serde::Serialize;
use sluice_core::decide::{Decision, Decisions, Reason, decide};
use sluice_core::plan::{Node, NodeKind, Plan};

use super::arguments::{OutputArgs, StoreArgs};
use super::outcome::Outcome;
use super::stores;
use crate::command::output;
use crate::operations::described::{Described, is_open, sentences};

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
    /// Which kind of proxy decides
    #[arg(long, value_enum, default_value_t = ProxyKind::Gateway)]
    proxy: ProxyKind,
    /// The proxy's namespace: services may be called by their short name in it [default: the plugin's]
    #[arg(long, value_name = "NAMESPACE")]
    proxy_namespace: Option<String>,
    /// Which store holds the configuration.
    #[command(flatten)]
    store: StoreArgs,
    /// How the result is printed.
    #[command(flatten)]
    output: OutputArgs,
}

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

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Explanation {
    splits: Vec<ExplainedSplit>,
    set_cookie: Option<String>,
}

#[derive(Serialize)]
struct ExplainedSplit {
    split: String,
    header: String,
    variant: Option<String>,
    audience: Option<String>,
    identity: Option<ExplainedIdentity>,
    bucket: Option<u32>,
    reason: &'static str,
}

#[derive(Serialize)]
struct ExplainedIdentity {
    source: &'static str,
    name: Option<String>,
}

pub(super) async fn run(arguments: &Explain) -> anyhow::Result<Outcome> {
    let plugin = stores::plugin(arguments.file.as_deref(), &arguments.store).await?;
    let kind = match arguments.proxy {
        ProxyKind::Gateway => NodeKind::Gateway,
        ProxyKind::Sidecar => NodeKind::Sidecar,
        ProxyKind::Waypoint => NodeKind::Waypoint,
    };
    let plan = plugin.plan(&Node {
        kind,
        namespace: arguments
            .proxy_namespace
            .clone()
            .or_else(|| plugin.namespace.clone()),
    })?;
    for problem in plan.problems() {
        output::note(format!("{}: {problem}", plugin.source));
    }
    let request = described(arguments)?;
    let decisions = decide(&plan, &request);
    output::print(
        arguments.output.output,
        &explanation(&plan, &decisions),
        |_| text(&plan, &request, &decisions),
    )?;
    Ok(Outcome::Good)
}

fn explanation(plan: &Plan, decisions: &Decisions) -> Explanation {
    let splits = decisions
        .iter()
        .filter_map(|decision| explained(plan, decision))
        .collect();
    Explanation {
        splits,
        set_cookie: decisions.issued.map(|_| plan.cookie().name.to_string()),
    }
}

fn explained(plan: &Plan, decision: &Decision) -> Option<ExplainedSplit> {
    let definition = &plan.split(decision.split)?.definition;
    let known_variant = decision.variant.filter(|_| !is_open(decision));
    let is_audience_known = !matches!(decision.reason, Reason::OffPath | Reason::Broken);
    Some(ExplainedSplit {
        split: definition.name.to_string(),
        header: definition.header.to_string(),
        variant: known_variant
            .and_then(|place| definition.variants.get(usize::from(place)))
            .map(ToString::to_string),
        audience: is_audience_known.then(|| decision.audience.name(definition).to_owned()),
        identity: decision
            .identity
            .and_then(|place| definition.identity.get(usize::from(place)))
            .map(|source| ExplainedIdentity {
                source: source.kind(),
                name: source.name().map(str::to_owned),
            }),
        bucket: decision.bucket.filter(|_| !is_open(decision)),
        reason: decision.reason.name(),
    })
}

fn text(plan: &Plan, request: &Described, decisions: &Decisions) -> String {
    if decisions.is_empty() {
        let host = if request.host.is_empty() {
            "a request without host".to_owned()
        } else {
            format!("host {}", request.host)
        };
        return format!("no split applies to {host}; the request passes untouched");
    }
    decisions
        .iter()
        .flat_map(|decision| sentences(plan, request, decision))
        .collect::<Vec<_>>()
        .join("\n")
}

fn described(arguments: &Explain) -> anyhow::Result<Described> {
    let mut request = Described {
        host: arguments.host.clone(),
        path: arguments.path.clone(),
        source: arguments.source.map(|address| address.to_string()),
        ..Described::default()
    };
    if !arguments.path.starts_with('/') {
        bail!(
            "--path {:?}: accepted: a path that begins with /",
            arguments.path
        );
    }
    request
        .headers
        .insert(":method".to_owned(), arguments.method.clone().into_bytes());
    for header in &arguments.header {
        let (name, value) = header
            .split_once(':')
            .with_context(|| format!("--header {header:?}: accepted: 'NAME: VALUE'"))?;
        // The first of several values, as the filter reads them.
        request
            .headers
            .entry(name.trim().to_ascii_lowercase())
            .or_insert_with(|| value.trim().as_bytes().to_vec());
    }
    for cookie in &arguments.cookie {
        if !cookie.contains('=') {
            bail!("--cookie {cookie:?}: accepted: NAME=VALUE");
        }
    }
    if !arguments.cookie.is_empty() {
        if request.headers.contains_key("cookie") {
            bail!("--cookie together with --header 'cookie: …': accepted: one of them");
        }
        request.headers.insert(
            "cookie".to_owned(),
            arguments.cookie.join("; ").into_bytes(),
        );
    }
    for claim in &arguments.claim {
        let (name, value) = claim
            .split_once('=')
            .with_context(|| format!("--claim {claim:?}: accepted: NAME=VALUE"))?;
        request.claims.insert(name.to_owned(), value.to_owned());
    }
    Ok(request)
}
