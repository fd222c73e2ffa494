//! What was typed: clap structs, and nothing that acts on them.

mod delivery;

use std::net::SocketAddr;
use std::path::PathBuf;

use clap::{Args, Parser, Subcommand, ValueEnum};

use crate::local::Upstream;
use crate::model::weights::Share;
pub use delivery::{Environment, Import, PluginKind, Promote, Push, Refetch, Render};

/// Sticky traffic splitting for Istio: moves the percentages, and shows what they do.
///
/// Exit codes: 0 good, 1 found problems, 2 could not run.
#[derive(Debug, Parser)]
#[command(version, max_term_width = 110, propagate_version = true)]
pub struct Cli {
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
}

/// Every command.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Run a local Envoy with the filter on a directory, and push every change of it
    Dev(Dev),
    /// Change a split's weights
    Set(Set),
    /// Show weights
    Get(Get),
    /// Show which share of users a change, or another configuration, would move
    Diff(Diff),
    /// Draw other users for the next canary
    Redraw(Redraw),
    /// Who changed what, when and why
    History(History),
    /// Go back to earlier weights
    Rollback(Rollback),
    /// Set every weight of a split to zero, now
    Abort(Abort),
    /// Copy a split's weights to another namespace or cluster
    Promote(Promote),
    /// Make the agents of a plugin's proxies fetch the module again
    Refetch(Refetch),
    /// Weights wanted, weights in force, measured shares
    Status(Status),
    /// Check a configuration
    Validate(Validate),
    /// Tell why one request goes where it goes
    Explain(Explain),
    /// Shares, churn and correlation over many users
    Simulate(Simulate),
    /// Write the resources of a split: routes and plugin, in the order to apply them
    Render(Render),
    /// Read splits out of VirtualServices and ingress-nginx canaries
    Import(Import),
    /// Publish the filter's module to an OCI registry, and print the digest to pin
    Push(Push),
    /// Print the JSON Schema of the plugin configuration, for editors
    Schema,
    /// Run a program that ends when this process' parent does
    #[command(hide = true)]
    Leash(Leash),
}

/// Where the plugin's configuration is kept: a directory, or a cluster.
#[derive(Args, Clone, Debug, Default)]
pub struct StoreArgs {
    /// The directory with plugin.yaml and weights.yaml [default: the current one, if it has a plugin.yaml; else the cluster]
    #[arg(long, env = "SLUICE_DIR", value_name = "DIR")]
    pub dir: Option<PathBuf>,
    /// Which cluster, and where in it.
    #[command(flatten)]
    pub cluster: ClusterArgs,
}

/// A plugin in a cluster, in kubectl's manner.
#[derive(Args, Clone, Debug, Default, PartialEq, Eq)]
#[command(next_help_heading = "Cluster")]
pub struct ClusterArgs {
    /// The plugin's namespace [default: the context's]
    #[arg(short, long, value_name = "NAMESPACE")]
    pub namespace: Option<String>,
    /// The kubeconfig's context
    #[arg(long, value_name = "NAME")]
    pub context: Option<String>,
    /// The kubeconfig file [default: KUBECONFIG, ~/.kube/config, or the pod's own account]
    #[arg(long, value_name = "FILE")]
    pub kubeconfig: Option<PathBuf>,
    /// The plugin, as NAME, wasmplugin/NAME or trafficextension/NAME [default: the one in the namespace that has splits]
    #[arg(long, value_name = "NAME")]
    pub plugin: Option<String>,
}

/// One plugin, or all of a cluster.
#[derive(Args, Clone, Copy, Debug, Default)]
#[command(next_help_heading = "Cluster")]
pub struct ScopeArgs {
    /// Every plugin of ours, in every namespace; the same split in several plugins is one split
    #[arg(short = 'A', long, conflicts_with_all = ["namespace", "plugin"])]
    pub all_namespaces: bool,
}

/// What happens to weights that somebody else set.
#[derive(Args, Clone, Copy, Debug, Default)]
pub struct ForceArgs {
    /// Take over fields that another field manager set
    #[arg(long)]
    pub force: bool,
}

/// How results are printed.
#[derive(Args, Clone, Copy, Debug)]
pub struct OutputArgs {
    /// Output format
    #[arg(short, long, value_enum, default_value_t = Format::Table)]
    pub output: Format,
}

/// Output formats, as kubectl names them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Format {
    /// For people
    Table,
    /// For programs
    Json,
    /// For programs and people
    Yaml,
}

/// `sluice dev`.
#[derive(Args, Debug)]
pub struct Dev {
    /// The directory with plugin.yaml and weights.yaml
    #[arg(value_name = "DIR", default_value = ".")]
    pub dir: PathBuf,
    /// Where Envoy listens; port 0 takes a free one
    #[arg(long, default_value = "127.0.0.1:8080", value_name = "ADDRESS")]
    pub listen: SocketAddr,
    /// Where a variant is served: SPLIT/VARIANT=ADDRESS, or ADDRESS for everything else; repeatable
    #[arg(long, value_name = "SPLIT/VARIANT=ADDRESS")]
    pub upstream: Vec<Upstream>,
    /// Bring one small server a variant, a page in the version's colour, and write DIR/plugin.yaml if there is none
    #[arg(long)]
    pub demo: bool,
    /// The Envoy binary [default: target/tools/envoy of the checkout, or envoy from PATH]
    #[arg(long, env = "ENVOY", value_name = "PATH")]
    pub envoy: Option<PathBuf>,
    /// The filter's module [default: sluice.wasm beside this program, or target/wasm/sluice.wasm of the checkout]
    #[arg(long, env = "SLUICE_MODULE", value_name = "PATH")]
    pub module: Option<PathBuf>,
    /// How many workers Envoy has
    #[arg(long, default_value_t = 1, value_name = "N")]
    pub workers: u32,
}

/// A change of one split's weights.
#[derive(Args, Clone, Debug)]
pub struct ShareArgs {
    /// The split
    pub split: String,
    /// CHALLENGER=PERCENT, such as canary=10; steps of 0.001
    #[arg(required = true, value_name = "CHALLENGER=PERCENT")]
    pub shares: Vec<Share>,
    /// Whose weights
    #[arg(long, default_value = "everyone", value_name = "NAME")]
    pub audience: String,
}

/// What is remembered about a change.
#[derive(Args, Clone, Debug)]
pub struct ReasonArgs {
    /// Why, for the history
    #[arg(long, value_name = "TEXT")]
    pub reason: Option<String>,
}

/// `sluice set`.
#[derive(Args, Debug)]
pub struct Set {
    /// What to change.
    #[command(flatten)]
    pub change: ShareArgs,
    /// Say what would happen, and change nothing
    #[arg(long)]
    pub dry_run: bool,
    /// Where.
    #[command(flatten)]
    pub store: StoreArgs,
    /// By force.
    #[command(flatten)]
    pub force: ForceArgs,
    /// One or all.
    #[command(flatten)]
    pub scope: ScopeArgs,
    /// Why.
    #[command(flatten)]
    pub reason: ReasonArgs,
}

/// `sluice get`.
#[derive(Args, Debug)]
pub struct Get {
    /// Only this split
    pub split: Option<String>,
    /// Where.
    #[command(flatten)]
    pub store: StoreArgs,
    /// One or all.
    #[command(flatten)]
    pub scope: ScopeArgs,
    /// How.
    #[command(flatten)]
    pub output: OutputArgs,
}

/// `sluice diff`.
#[derive(Args, Debug)]
#[command(group = clap::ArgGroup::new("what").required(true).args(["split", "file"]))]
pub struct Diff {
    /// The split
    pub split: Option<String>,
    /// CHALLENGER=PERCENT, such as canary=10
    #[arg(value_name = "CHALLENGER=PERCENT", required_unless_present = "file")]
    pub shares: Vec<Share>,
    /// Whose weights
    #[arg(long, default_value = "everyone", value_name = "NAME")]
    pub audience: String,
    /// Another configuration to compare with: a file, a directory, or - for standard input
    #[arg(short, long, value_name = "FILE")]
    pub file: Option<PathBuf>,
    /// Where.
    #[command(flatten)]
    pub store: StoreArgs,
    /// How.
    #[command(flatten)]
    pub output: OutputArgs,
}

/// `sluice redraw`.
#[derive(Args, Debug)]
pub struct Redraw {
    /// The split
    pub split: String,
    /// The new draw's letters [default: today's date]
    #[arg(long, value_name = "LETTERS")]
    pub draw: Option<String>,
    /// Say what would happen, and change nothing
    #[arg(long)]
    pub dry_run: bool,
    /// Where.
    #[command(flatten)]
    pub store: StoreArgs,
    /// By force.
    #[command(flatten)]
    pub force: ForceArgs,
    /// Why.
    #[command(flatten)]
    pub reason: ReasonArgs,
}

/// `sluice history`.
#[derive(Args, Debug)]
pub struct History {
    /// Only this split
    pub split: Option<String>,
    /// Where.
    #[command(flatten)]
    pub store: StoreArgs,
    /// One or all.
    #[command(flatten)]
    pub scope: ScopeArgs,
    /// How.
    #[command(flatten)]
    pub output: OutputArgs,
}

/// `sluice rollback`.
#[derive(Args, Debug)]
pub struct Rollback {
    /// The revision of `sluice history` to go back to [default: the one before the last]
    #[arg(long, value_name = "N")]
    pub to: Option<u64>,
    /// Say what would happen, and change nothing
    #[arg(long)]
    pub dry_run: bool,
    /// Where.
    #[command(flatten)]
    pub store: StoreArgs,
    /// By force.
    #[command(flatten)]
    pub force: ForceArgs,
    /// Why.
    #[command(flatten)]
    pub reason: ReasonArgs,
}

/// `sluice abort`.
#[derive(Args, Debug)]
#[command(group = clap::ArgGroup::new("what").required(true).args(["split", "all"]))]
pub struct Abort {
    /// The split
    pub split: Option<String>,
    /// Every split
    #[arg(long)]
    pub all: bool,
    /// Where.
    #[command(flatten)]
    pub store: StoreArgs,
    /// One or all.
    #[command(flatten)]
    pub scope: ScopeArgs,
    /// Why.
    #[command(flatten)]
    pub reason: ReasonArgs,
}

/// `sluice status`.
#[derive(Args, Debug)]
pub struct Status {
    /// Keep showing it
    #[arg(short, long)]
    pub watch: bool,
    /// The Prometheus that scrapes the proxies; without it, what they run is unknown
    #[arg(long, env = "SLUICE_PROMETHEUS", value_name = "URL")]
    pub prometheus: Option<String>,
    /// Over how long shares are measured, in Prometheus' words
    #[arg(long, default_value = "1m", value_name = "DURATION")]
    pub window: String,
    /// Istio's root namespace: a plugin in it selects the proxies of every namespace
    #[arg(long, default_value = "istio-system", value_name = "NAMESPACE")]
    pub root_namespace: String,
    /// Where.
    #[command(flatten)]
    pub store: StoreArgs,
    /// One or all.
    #[command(flatten)]
    pub scope: ScopeArgs,
    /// How.
    #[command(flatten)]
    pub output: OutputArgs,
}

/// `sluice validate`.
#[derive(Args, Debug)]
pub struct Validate {
    /// The configuration: a file, a directory, or - for standard input [default: the store]
    #[arg(short, long, value_name = "FILE")]
    pub file: Option<PathBuf>,
    /// The configuration it replaces: warns about what would move users between variants
    #[arg(long, value_name = "FILE")]
    pub against: Option<PathBuf>,
    /// Istio's root namespace: a plugin in it runs in every namespace
    #[arg(long, default_value = "istio-system", value_name = "NAMESPACE")]
    pub root_namespace: String,
    /// Where.
    #[command(flatten)]
    pub store: StoreArgs,
    /// One or all.
    #[command(flatten)]
    pub scope: ScopeArgs,
    /// How.
    #[command(flatten)]
    pub output: OutputArgs,
}

/// `sluice explain`.
#[derive(Args, Debug)]
pub struct Explain {
    /// The configuration: a file, a directory, or - for standard input [default: the store]
    #[arg(short, long, value_name = "FILE")]
    pub file: Option<PathBuf>,
    /// The request's host
    #[arg(long, default_value = "")]
    pub host: String,
    /// The request's path with its query
    #[arg(long, default_value = "/")]
    pub path: String,
    /// The request's method
    #[arg(long, default_value = "GET")]
    pub method: String,
    /// A request header; repeatable
    #[arg(long, value_name = "NAME: VALUE")]
    pub header: Vec<String>,
    /// A cookie; repeatable
    #[arg(long, value_name = "NAME=VALUE")]
    pub cookie: Vec<String>,
    /// A JWT claim; repeatable
    #[arg(long, value_name = "NAME=VALUE")]
    pub claim: Vec<String>,
    /// The client's address
    #[arg(long, value_name = "IP")]
    pub source: Option<std::net::IpAddr>,
    /// Which kind of proxy decides
    #[arg(long, value_enum, default_value_t = ProxyKind::Gateway)]
    pub proxy: ProxyKind,
    /// The proxy's namespace: services may be called by their short name in it [default: the plugin's]
    #[arg(long, value_name = "NAMESPACE")]
    pub proxy_namespace: Option<String>,
    /// Where.
    #[command(flatten)]
    pub store: StoreArgs,
    /// How.
    #[command(flatten)]
    pub output: OutputArgs,
}

/// Kinds of proxies.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum ProxyKind {
    /// An ingress gateway, or an Envoy that is not Istio's
    Gateway,
    /// The caller's sidecar
    Sidecar,
    /// A waypoint
    Waypoint,
}

/// `sluice simulate`.
#[derive(Args, Debug)]
pub struct Simulate {
    /// The configuration: a file, a directory, or - for standard input [default: the store]
    #[arg(short, long, value_name = "FILE")]
    pub file: Option<PathBuf>,
    /// Another configuration: who would move from the first to this one
    #[arg(long, value_name = "FILE")]
    pub against: Option<PathBuf>,
    /// How many made-up users
    #[arg(long, default_value_t = 1_000_000, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=100_000_000))]
    pub users: u32,
    /// Real ids instead, one a line; - for standard input
    #[arg(long, value_name = "FILE", conflicts_with_all = ["users", "seed"])]
    pub ids: Option<PathBuf>,
    /// Which made-up users
    #[arg(long, default_value_t = 1, value_name = "S")]
    pub seed: u64,
    /// Where.
    #[command(flatten)]
    pub store: StoreArgs,
    /// How.
    #[command(flatten)]
    pub output: OutputArgs,
}

/// `sluice leash`.
#[derive(Args, Debug)]
pub struct Leash {
    /// The process id that must stay the parent
    #[arg(long)]
    pub parent: i32,
    /// The program and its arguments
    #[arg(required = true, trailing_var_arg = true, allow_hyphen_values = true)]
    pub program: Vec<std::ffi::OsString>,
}
