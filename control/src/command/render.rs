//! `sluice render`: writes the resources of a split, in the order in which they are applied.

use std::path::PathBuf;

use anyhow::{Context as _, bail};
use sluice_core::plan::Node;

use super::outcome::Outcome;
use crate::command::output;
use crate::model::manifests::{Rendering, Routing, Service, documents, needs_claims};
use crate::model::plugin::{self, Kind};
use crate::model::refusal::find_split;

/// `sluice render`.
#[derive(clap::Args, Debug)]
pub(super) struct Render {
    /// The split whose routes are written
    split: String,
    /// The configuration: a file, a directory, or - for standard input
    #[arg(short, long, value_name = "FILE")]
    file: PathBuf,
    /// The module's image, as `sluice push` prints it
    #[arg(long, value_name = "oci://…")]
    image: String,
    /// The image's digest, as `sluice push` prints it
    #[arg(long, value_name = "sha256:…")]
    digest: String,
    /// The service that has the variants
    #[arg(long, value_name = "SERVICE.NAMESPACE")]
    service: Service,
    /// The service's port; needed where it has several, and by --gateway-api
    #[arg(long, value_name = "N")]
    port: Option<u16>,
    /// The pods' label whose value is the variant
    #[arg(long, default_value = "version", value_name = "LABEL")]
    subset_label: String,
    /// Where requests come in; without it, routes and plugin are for callers in the mesh
    #[arg(long, value_name = "NAMESPACE/NAME")]
    gateway: Option<String>,
    /// Route to a service for each variant, SERVICE-VARIANT, instead of subsets
    #[arg(long)]
    service_per_variant: bool,
    /// Write an HTTPRoute to a service for each variant instead of a VirtualService
    #[arg(long)]
    gateway_api: bool,
    /// The plugin's kind
    #[arg(long, value_enum, default_value_t = PluginKind::WasmPlugin)]
    kind: PluginKind,
    /// The plugin's name
    #[arg(long, default_value = "sluice", value_name = "NAME")]
    name: String,
    /// The plugin's namespace, that of the proxies [default: the gateway's, or the service's]
    #[arg(short, long, value_name = "NAMESPACE")]
    namespace: Option<String>,
    /// A label of the proxies that get the plugin; repeatable [default: every proxy of the namespace]
    #[arg(long, value_name = "LABEL=VALUE", value_parser = label)]
    selector: Vec<(String, String)>,
}

/// The kinds of plugins.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub(super) enum PluginKind {
    /// Every Istio
    #[value(name = "WasmPlugin")]
    WasmPlugin,
    /// Istio 1.30 and newer
    #[value(name = "TrafficExtension")]
    TrafficExtension,
}

pub(super) fn run(arguments: &Render) -> anyhow::Result<Outcome> {
    let plugin = plugin::plugin(&arguments.file)?;
    let plan = plugin.plan(&Node::default())?;
    if !plan.problems().is_empty() {
        let problems: Vec<String> = plan.problems().iter().map(ToString::to_string).collect();
        bail!(
            "{}: nothing was rendered\n{}",
            plugin.source,
            problems.join("\n")
        );
    }
    let split = &find_split(&plan, &arguments.split)?.definition;
    let sha256 = sha256(&arguments.digest)?;
    if !arguments.image.starts_with("oci://") {
        bail!(
            "--image {:?}: accepted: oci://HOST/REPOSITORY:TAG, as `sluice push` prints it",
            arguments.image
        );
    }
    let gateway = arguments.gateway.as_deref().map(gateway).transpose()?;
    let hosts = plugin.config["splits"][&arguments.split]["hosts"]
        .as_array()
        .into_iter()
        .flatten();
    let hosts: Vec<String> = hosts
        .filter_map(|host| host.as_str().map(str::to_owned))
        .collect();
    if gateway.is_some() && hosts.is_empty() {
        bail!(
            "splits.{}.hosts: none; accepted with --gateway: the hosts that the gateway serves",
            arguments.split
        );
    }
    if gateway.is_none() && needs_claims(split) {
        bail!(
            "splits.{} asks for claims, which only gateways know; accepted: --gateway",
            arguments.split
        );
    }
    let routing = match (arguments.gateway_api, arguments.service_per_variant) {
        (true, _) => Routing::HttpRoute,
        (false, true) => Routing::Services,
        (false, false) => Routing::Subsets,
    };
    if routing == Routing::HttpRoute && arguments.port.is_none() {
        bail!("--gateway-api: an HTTPRoute names its backends' port; accepted: --port N");
    }
    let mut config = plugin.config.clone();
    if let Some(fields) = config.as_object_mut()
        && (fields.remove("weights").is_some() | fields.remove("draws").is_some())
    {
        output::note(
            "note: weights and draws are left out: in Git they would undo an abort; `sluice set` writes them",
        );
    }
    let namespace = arguments
        .namespace
        .clone()
        .or_else(|| gateway.as_ref().map(|gateway| gateway.0.clone()));
    let rendering = Rendering {
        split,
        asks_for_claims: plan
            .splits()
            .iter()
            .any(|split| needs_claims(&split.definition)),
        hosts,
        config,
        kind: if arguments.kind == PluginKind::TrafficExtension {
            Kind::TrafficExtension
        } else {
            Kind::WasmPlugin
        },
        name: arguments.name.clone(),
        namespace: namespace.unwrap_or_else(|| arguments.service.namespace.clone()),
        selector: arguments.selector.clone(),
        image: arguments.image.clone(),
        sha256,
        service: arguments.service.clone(),
        port: arguments.port,
        subset_label: arguments.subset_label.clone(),
        routing,
        gateway,
    };
    let texts = documents(&rendering)
        .iter()
        .map(yaml_serde::to_string)
        .collect::<Result<Vec<String>, _>>()?;
    output::line(joined(&texts, routing).trim_end());
    Ok(Outcome::Good)
}

/// The documents as one stream. Envoy may route to a subset before it has warmed it, when both come in one push: measured,
/// 1 to 5 of 1,290 requests at 300/s on six proxies were answered 503; none with a pause between.
fn joined(texts: &[String], routing: Routing) -> String {
    match (texts, routing) {
        ([subsets, rest @ ..], Routing::Subsets) => format!(
            "{subsets}---\n# Where the service has traffic already: apply what is above first, and this some seconds later.\n{}",
            rest.join("---\n")
        ),
        (texts, _) => texts.join("---\n"),
    }
}

fn sha256(digest: &str) -> anyhow::Result<String> {
    let hex = digest.strip_prefix("sha256:").unwrap_or(digest);
    let is_digest = hex.len() == 64
        && hex
            .bytes()
            .all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'));
    if !is_digest {
        bail!(
            "--digest {digest:?}: accepted: sha256: and 64 hex digits, as `sluice push` prints it"
        );
    }
    Ok(hex.to_owned())
}

fn gateway(named: &str) -> anyhow::Result<(String, String)> {
    let (namespace, name) = named
        .split_once('/')
        .filter(|(namespace, name)| !namespace.is_empty() && !name.is_empty())
        .with_context(|| format!("--gateway {named:?}: accepted: NAMESPACE/NAME"))?;
    Ok((namespace.to_owned(), name.to_owned()))
}

fn label(text: &str) -> Result<(String, String), String> {
    let (name, value) = text
        .split_once('=')
        .filter(|(name, _)| !name.is_empty())
        .ok_or("write LABEL=VALUE")?;
    Ok((name.to_owned(), value.to_owned()))
}
