//! Arguments that several commands share: where the configuration is kept, whether a change takes
//! over, why it is made, how its result is printed.
//!
//! What only one command takes is in that command's own file; which store the arguments name is
//! answered by `stores`.

use std::path::PathBuf;

use clap::{Args, ValueEnum};

use crate::cluster::prometheus::Prometheus;

/// Where the plugin's configuration is kept: a directory, or a cluster.
#[derive(Args, Clone, Debug, Default)]
pub(super) struct StoreArgs {
    /// The directory with plugin.yaml and weights.yaml [default: the current one, if it has a
    /// plugin.yaml; else the cluster]
    #[arg(long, env = "SLUICE_DIR", value_name = "DIR")]
    pub(super) dir: Option<PathBuf>,
    /// Which cluster, and where in it.
    #[command(flatten)]
    pub(super) cluster: ClusterArgs,
}

/// A plugin in a cluster, in kubectl's manner.
#[derive(Args, Clone, Debug, Default, PartialEq, Eq)]
#[command(next_help_heading = "Cluster")]
pub(super) struct ClusterArgs {
    /// The plugin's namespace [default: the context's]
    #[arg(short, long, value_name = "NAMESPACE")]
    pub(super) namespace: Option<String>,
    /// The kubeconfig's context; `status`, `get`, `abort` and `promote` take several
    #[arg(long = "context", value_name = "NAME")]
    pub(super) contexts: Vec<String>,
    /// The kubeconfig file [default: KUBECONFIG, ~/.kube/config, or the pod's own account]
    #[arg(long, value_name = "FILE")]
    pub(super) kubeconfig: Option<PathBuf>,
    /// The plugin, as NAME, wasmplugin/NAME or trafficextension/NAME [default: the one in the
    /// namespace that has splits]
    #[arg(long, value_name = "NAME")]
    pub(super) plugin: Option<String>,
}

impl ClusterArgs {
    /// The one context that is meant, where one is named.
    ///
    /// # Errors
    /// When there are several.
    pub(super) fn context(&self) -> anyhow::Result<Option<String>> {
        match self.contexts.as_slice() {
            [] => Ok(None),
            [one] => Ok(Some(one.clone())),
            several => anyhow::bail!(
                "--context: {} of them ({}); accepted: one (status, get, abort and promote take several)",
                several.len(),
                several.join(", ")
            ),
        }
    }

    /// The same in one context.
    pub(super) fn in_context(&self, context: &str) -> Self {
        Self {
            contexts: vec![context.to_owned()],
            ..self.clone()
        }
    }
}

/// One plugin, or all of a cluster.
#[derive(Args, Clone, Copy, Debug, Default)]
#[command(next_help_heading = "Cluster")]
pub(super) struct ScopeArgs {
    /// Every plugin of ours, in every namespace; the same split in several plugins is one split
    #[arg(short = 'A', long, conflicts_with_all = ["namespace", "plugin"])]
    pub(super) all_namespaces: bool,
}

/// What happens to weights that somebody else set.
#[derive(Args, Clone, Copy, Debug, Default)]
pub(super) struct ForceArgs {
    /// Take over fields that another field manager set
    #[arg(long)]
    pub(super) force: bool,
}

/// Whether a change is made at all.
#[derive(Args, Clone, Copy, Debug, Default)]
pub(super) struct DryRunArgs {
    /// Say what would happen, and change nothing
    #[arg(long)]
    pub(super) dry_run: bool,
}

/// What is remembered about a change.
#[derive(Args, Clone, Debug)]
pub(super) struct ReasonArgs {
    /// Why, for the history; at most 1 KiB
    #[arg(long, value_name = "TEXT", value_parser = reason)]
    pub(super) reason: Option<String>,
}

/// How long a reason may be: it is kept with every change, and in an annotation of the plugin.
/// Chosen: some sentences and a link.
const MAX_REASON_BYTES: usize = 1_024;

fn reason(text: &str) -> Result<String, String> {
    if text.len() > MAX_REASON_BYTES {
        let length = text.len();
        return Err(format!(
            "{length} bytes; accepted: at most {MAX_REASON_BYTES} bytes"
        ));
    }
    Ok(text.to_owned())
}

/// The Prometheus that `--prometheus` names.
pub(super) fn prometheus(url: Option<&str>) -> anyhow::Result<Option<Prometheus>> {
    let named = url.map(Prometheus::new).transpose();
    named.map_err(|error| anyhow::anyhow!("--prometheus {error}"))
}

/// How results are printed.
#[derive(Args, Clone, Copy, Debug)]
pub(super) struct OutputArgs {
    /// Output format
    #[arg(short, long, value_enum, default_value_t = Format::Table)]
    pub(super) output: Format,
}

/// Output formats, as kubectl names them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(super) enum Format {
    /// For people
    Table,
    /// For programs
    Json,
    /// For programs and people
    Yaml,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_command_of_one_cluster_takes_one_context() {
        let of = |contexts: &[&str]| ClusterArgs {
            contexts: contexts.iter().map(|&name| name.to_owned()).collect(),
            ..ClusterArgs::default()
        };
        assert_eq!(of(&[]).context().unwrap(), None);
        assert_eq!(of(&["a"]).context().unwrap(), Some("a".to_owned()));
        assert_eq!(
            of(&["a", "b"]).context().unwrap_err().to_string(),
            "--context: 2 of them (a, b); accepted: one (status, get, abort and promote take several)"
        );
    }

    #[test]
    fn a_reason_has_a_longest_length() {
        let longest = "é".repeat(512);
        assert_eq!(reason(&longest), Ok(longest.clone()));
        assert_eq!(
            reason(&format!("{longest}!")),
            Err("1025 bytes; accepted: at most 1024 bytes".to_owned())
        );
    }
}
