//! Where Rollouts are: beside the weights of a directory, or in a cluster. And how what was found is
//! printed: an object a line for programs.

use std::path::PathBuf;

use serde::Serialize;

use crate::command::arguments::{ClusterArgs, Format, StoreArgs};
use crate::command::output;
use crate::command::stores::{self, Backend};
use crate::rollout::rollouts::{ClusterRollouts, RolloutStore};

/// Where Rollouts are.
#[derive(clap::Args, Clone, Debug, Default)]
pub(super) struct PlaceArgs {
    /// The directory with plugin.yaml and weights.yaml [default: the current one, if it has a
    /// plugin.yaml; else the cluster]
    #[arg(long, env = "SLUICE_DIR", value_name = "DIR")]
    dir: Option<PathBuf>,
    /// The Rollout's namespace [default: the context's]
    #[arg(short, long, value_name = "NAMESPACE", help_heading = "Cluster")]
    namespace: Option<String>,
    /// The kubeconfig's context
    #[arg(long, value_name = "NAME", help_heading = "Cluster")]
    context: Option<String>,
    /// The kubeconfig file [default: KUBECONFIG, ~/.kube/config, or the pod's own account]
    #[arg(long, value_name = "FILE", help_heading = "Cluster")]
    kubeconfig: Option<PathBuf>,
}

impl PlaceArgs {
    fn store(&self) -> StoreArgs {
        StoreArgs {
            dir: self.dir.clone(),
            cluster: ClusterArgs {
                namespace: self.namespace.clone(),
                contexts: self.context.clone().into_iter().collect(),
                kubeconfig: self.kubeconfig.clone(),
                plugin: None,
            },
        }
    }

    /// The directory, or the cluster.
    pub(super) async fn backend(&self) -> anyhow::Result<Backend> {
        stores::backend(&self.store()).await
    }

    /// The directory or the namespace that is meant, which is said on standard error.
    pub(super) async fn one(&self) -> anyhow::Result<RolloutStore> {
        let store = match stores::backend(&self.store()).await? {
            Backend::Directory(directory) => RolloutStore::Directory(directory),
            Backend::Cluster(cluster) => {
                RolloutStore::Cluster(ClusterRollouts::of_namespace(cluster))
            }
        };
        output::note(format!("on {}", store.title()));
        Ok(store)
    }

    /// Every namespace of a cluster, which is said on standard error.
    pub(super) async fn everywhere(&self) -> anyhow::Result<RolloutStore> {
        let cluster = stores::whole_cluster(&self.store()).await?;
        let store = RolloutStore::Cluster(ClusterRollouts::everywhere(cluster));
        output::note(format!("on {}", store.title()));
        Ok(store)
    }
}

/// Prints a value: for people as `text` has it, else as an object on one line, or a YAML document.
pub(super) fn print<T: Serialize>(
    format: Format,
    value: &T,
    text: impl FnOnce(&T) -> String,
) -> anyhow::Result<()> {
    match format {
        Format::Table => output::line(text(value).trim_end()),
        Format::Json => output::document(serde_json::to_string(value)?),
        Format::Yaml => output::document(format!("---\n{}", output::yaml(value)?.trim_end())),
    }
    Ok(())
}
