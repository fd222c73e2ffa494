//! `sluice version`: this sluice, and what runs in a cluster; what of it does not fit together.

use super::arguments::{self as shared, ClusterArgs, OutputArgs, ScopeArgs};
use super::doctor::lines_of;
use super::outcome::Outcome;
use super::{output, stores};
use crate::cluster::plugins::Scope;
use crate::doctor::finding::count;
use crate::doctor::query::Query;
use crate::doctor::running::{InCluster, Module, Running, RunningModule, running};
use crate::operations::Caller;

/// `sluice version`.
#[derive(clap::Args, Debug)]
pub(super) struct Version {
    /// Ask no cluster
    #[arg(long)]
    client: bool,
    /// The Prometheus that scrapes the proxies; without it, which modules they run is unknown
    #[arg(long, env = "SLUICE_PROMETHEUS", value_name = "URL")]
    prometheus: Option<String>,
    /// Istio's root namespace, where istiod is
    #[arg(long, default_value = "istio-system", value_name = "NAMESPACE")]
    root_namespace: String,
    /// Which cluster, and where in it.
    #[command(flatten)]
    cluster: ClusterArgs,
    /// Whether every plugin of the cluster is meant.
    #[command(flatten)]
    scope: ScopeArgs,
    /// How the result is printed.
    #[command(flatten)]
    output: OutputArgs,
}

pub(super) async fn run(arguments: &Version, caller: &Caller) -> anyhow::Result<Outcome> {
    if arguments.client {
        output::print(arguments.output.output, &Running::client(), text)?;
        return Ok(Outcome::Good);
    }
    let prometheus = shared::prometheus(arguments.prometheus.as_deref())?;
    let cluster = match stores::cluster(&arguments.cluster).await {
        Ok(cluster) => cluster,
        // Who names no cluster, and has none, asks for this sluice's version.
        Err(_) if arguments.cluster == ClusterArgs::default() => {
            output::note("note: no cluster was asked: there is no kubeconfig");
            output::print(arguments.output.output, &Running::client(), text)?;
            return Ok(Outcome::Good);
        }
        Err(error) => return Err(error),
    };
    let scope = match arguments.scope.all_namespaces {
        true => Scope::Everywhere,
        false => Scope::Namespace(cluster.namespace().to_owned()),
    };
    output::note(format!("on {}", cluster.title()));
    let query = Query {
        scope: &scope,
        plugin: arguments.cluster.plugin.as_deref(),
        prometheus: prometheus.as_ref(),
        root_namespace: &arguments.root_namespace,
        clock: caller.clock,
    };
    let found = match running(&cluster, query).await {
        Ok(found) => found,
        Err(error) => {
            // What can be said is said all the same.
            output::print(arguments.output.output, &Running::client(), text)?;
            return Err(error);
        }
    };
    output::print(arguments.output.output, &found, text)?;
    Ok(match found.fits() {
        true => Outcome::Good,
        false => Outcome::Problems,
    })
}

fn text(running: &Running) -> String {
    let mut rows = vec![row("sluice", running.client, "this client")];
    if let Some(cluster) = &running.cluster {
        rows.extend(of_cluster(cluster));
    }
    let mut text = output::table(["WHAT", "VERSION", "WHERE"], rows);
    if !running.findings.is_empty() {
        text.push('\n');
    }
    text.extend(running.findings.iter().map(lines_of));
    text
}

fn row(what: &str, version: &str, place: &str) -> [String; 3] {
    [what, version, place].map(str::to_owned)
}

fn of_cluster(cluster: &InCluster) -> Vec<[String; 3]> {
    let shown = |version: Option<String>| version.unwrap_or_else(|| "unknown".to_owned());
    let kubernetes = cluster.kubernetes.map(|version| version.to_string());
    let mut rows = vec![row("Kubernetes", &shown(kubernetes), &cluster.name)];
    for istiod in &cluster.istiods {
        rows.push(row("istiod", &istiod.version.to_string(), &istiod.place));
    }
    for controller in &cluster.controllers {
        let version = controller.version.map(|version| version.to_string());
        let place = format!("{}, held by {}", controller.place, controller.holder);
        rows.push(row("controller", &shown(version), &place));
    }
    rows.extend(cluster.plugins.iter().flat_map(of_plugin));
    rows
}

fn of_plugin(module: &Module) -> Vec<[String; 3]> {
    let wanted = format!("wants {}", module.wanted);
    let mut rows = vec![row("plugin", "", &format!("{} {wanted}", module.plugin))];
    let running = module.running.iter().flatten();
    rows.extend(running.map(|RunningModule { version, proxies }| {
        let version = version.map_or("unknown".to_owned(), |version| version.to_string());
        row(
            "module",
            &version,
            &format!(
                "{} of {}",
                count(*proxies, "proxy", "proxies"),
                module.plugin
            ),
        )
    }));
    if module.running.is_none() {
        let place = format!("proxies of {}: --prometheus URL tells", module.plugin);
        rows.push(row("module", "unknown", &place));
    }
    rows
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::doctor::running::Controller;
    use crate::doctor::versions::Version;

    #[test]
    fn what_runs_is_told_in_a_table() {
        let version = Version::read("0.1.0");
        let running = Running {
            cluster: Some(InCluster {
                name: "context kind".to_owned(),
                kubernetes: Version::read("1.35.4"),
                istiods: Vec::new(),
                controllers: vec![Controller {
                    place: "Lease sluice/sluice-controller".to_owned(),
                    holder: "pod-1".to_owned(),
                    version: None,
                }],
                plugins: vec![Module {
                    plugin: "WasmPlugin a/s".to_owned(),
                    wanted: "oci://r/s:1".to_owned(),
                    running: Some(vec![RunningModule {
                        version,
                        proxies: 6,
                    }]),
                }],
            }),
            ..Running::client()
        };
        let client = running.client;
        assert_eq!(
            text(&running),
            format!(
                "WHAT         VERSION   WHERE\nsluice       {client}     this client\nKubernetes   1.35.4    context kind\n\
                 controller   unknown   Lease sluice/sluice-controller, held by pod-1\nplugin                 WasmPlugin a/s \
                 wants oci://r/s:1\nmodule       0.1.0     6 proxies of WasmPlugin a/s\n"
            )
        );
        assert_eq!(
            text(&Running::client()),
            format!("WHAT     VERSION   WHERE\nsluice   {client}     this client\n")
        );
    }
}
