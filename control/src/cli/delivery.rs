//! What was typed for commands that make, publish or carry resources: promote, refetch, render, import, push.

use std::path::PathBuf;

use clap::{Args, ValueEnum};

use super::{ClusterArgs, ForceArgs, OutputArgs, ReasonArgs, ScopeArgs};
use crate::model::manifests::Service;

/// `sluice promote`.
#[derive(Args, Debug)]
pub struct Promote {
    /// The split
    pub split: String,
    /// Where the weights are: NAMESPACE, or NAMESPACE@CONTEXT
    #[arg(long, value_name = "NAMESPACE[@CONTEXT]")]
    pub from: Environment,
    /// Where they go: NAMESPACE, or NAMESPACE@CONTEXT
    #[arg(long, value_name = "NAMESPACE[@CONTEXT]")]
    pub to: Environment,
    /// The kubeconfig file [default: KUBECONFIG, ~/.kube/config, or the pod's own account]
    #[arg(long, value_name = "FILE")]
    pub kubeconfig: Option<PathBuf>,
    /// The plugin in both, as NAME, wasmplugin/NAME or trafficextension/NAME [default: the one that has splits]
    #[arg(long, value_name = "NAME")]
    pub plugin: Option<String>,
    /// Say what would happen, and change nothing
    #[arg(long)]
    pub dry_run: bool,
    /// By force.
    #[command(flatten)]
    pub force: ForceArgs,
    /// Why.
    #[command(flatten)]
    pub reason: ReasonArgs,
}

/// A namespace as an environment: `qa`, or `qa@cluster-2`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Environment {
    /// The namespace.
    pub namespace: String,
    /// The kubeconfig's context; the current one when it is not said.
    pub context: Option<String>,
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

/// `sluice refetch`.
#[derive(Args, Debug)]
pub struct Refetch {
    /// Which cluster, and where in it.
    #[command(flatten)]
    pub cluster: ClusterArgs,
    /// One or all.
    #[command(flatten)]
    pub scope: ScopeArgs,
}

/// `sluice render`.
#[derive(Args, Debug)]
pub struct Render {
    /// The split whose routes are written
    pub split: String,
    /// The configuration: a file, a directory, or - for standard input
    #[arg(short, long, value_name = "FILE")]
    pub file: PathBuf,
    /// The module's image, as `sluice push` prints it
    #[arg(long, value_name = "oci://…")]
    pub image: String,
    /// The image's digest, as `sluice push` prints it
    #[arg(long, value_name = "sha256:…")]
    pub digest: String,
    /// The service that has the variants
    #[arg(long, value_name = "SERVICE.NAMESPACE")]
    pub service: Service,
    /// The service's port; needed where it has several, and by --gateway-api
    #[arg(long, value_name = "N")]
    pub port: Option<u16>,
    /// The pods' label whose value is the variant
    #[arg(long, default_value = "version", value_name = "LABEL")]
    pub subset_label: String,
    /// Where requests come in; without it, routes and plugin are for callers in the mesh
    #[arg(long, value_name = "NAMESPACE/NAME")]
    pub gateway: Option<String>,
    /// Route to a service for each variant, SERVICE-VARIANT, instead of subsets
    #[arg(long)]
    pub service_per_variant: bool,
    /// Write an HTTPRoute to a service for each variant instead of a VirtualService
    #[arg(long)]
    pub gateway_api: bool,
    /// The plugin's kind
    #[arg(long, value_enum, default_value_t = PluginKind::WasmPlugin)]
    pub kind: PluginKind,
    /// The plugin's name
    #[arg(long, default_value = "sluice", value_name = "NAME")]
    pub name: String,
    /// The plugin's namespace, that of the proxies [default: the gateway's, or the service's]
    #[arg(short, long, value_name = "NAMESPACE")]
    pub namespace: Option<String>,
    /// A label of the proxies that get the plugin; repeatable [default: every proxy of the namespace]
    #[arg(long, value_name = "LABEL=VALUE", value_parser = label)]
    pub selector: Vec<(String, String)>,
}

/// The kinds of plugins.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum PluginKind {
    /// Every Istio
    #[value(name = "WasmPlugin")]
    WasmPlugin,
    /// Istio 1.30 and newer
    #[value(name = "TrafficExtension")]
    TrafficExtension,
}

fn label(text: &str) -> Result<(String, String), String> {
    let (name, value) = text
        .split_once('=')
        .filter(|(name, _)| !name.is_empty())
        .ok_or("write LABEL=VALUE")?;
    Ok((name.to_owned(), value.to_owned()))
}

/// `sluice import`.
#[derive(Args, Debug)]
pub struct Import {
    /// The resources: a file, a directory, or - for standard input
    #[arg(value_name = "FILE")]
    pub file: PathBuf,
}

/// `sluice push`.
#[derive(Args, Debug)]
pub struct Push {
    /// The module: what `make wasm` writes
    #[arg(value_name = "MODULE")]
    pub module: PathBuf,
    /// The image, as oci://HOST/REPOSITORY:TAG
    #[arg(value_name = "IMAGE")]
    pub image: String,
    /// The version that the image's label says [default: this program's]
    #[arg(long, value_name = "VERSION")]
    pub image_version: Option<String>,
    /// Where the source is, for the image's label
    #[arg(long, value_name = "URL")]
    pub source: Option<String>,
    /// Speak plain HTTP; registries on this machine always get it
    #[arg(long)]
    pub insecure: bool,
    /// How.
    #[command(flatten)]
    pub output: OutputArgs,
}
