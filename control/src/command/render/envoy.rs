//! `sluice render --envoy`: writes the filter of a plugin, with its weights, for an Envoy without Istio.
//!
//! Envoy reads the file by ECDS and follows it when another one takes its place. Routes and clusters
//! stay in Envoy's own configuration.

use std::path::{Path, PathBuf};

use sluice_core::plan::Node;

use crate::command::output;
use crate::files;
use crate::local::adapter::Adapter;
use crate::operations::render::RenderError;

/// What the filter is called in Envoy's listener.
const FILTER: &str = "sluice";

/// An Envoy without Istio.
#[derive(clap::Args, Clone, Debug)]
#[group(requires = "envoy")]
pub(super) struct EnvoyArgs {
    /// Write the filter of the plugin of -f, weights and all, for an Envoy without Istio: a file that
    /// it reads by ECDS, of the filter `sluice`
    #[arg(
        long,
        requires = "module",
        conflicts_with_all = [
            "split", "image", "digest", "service", "workload", "native", "namespace", "port", "subset_label",
            "gateway", "service_per_variant", "gateway_api", "mirror", "kind", "name", "selector",
        ]
    )]
    pub(super) envoy: bool,
    /// The module's file as Envoy sees it
    #[arg(long, value_name = "PATH")]
    module: Option<PathBuf>,
}

/// The file that Envoy reads, of a plugin without problems.
pub(super) fn text(file: &Path, arguments: &EnvoyArgs) -> anyhow::Result<String> {
    let plugin = files::plugin(file)?;
    let plan = plugin.plan(&Node::default())?;
    if !plan.problems().is_empty() {
        let problems = plan.problems().iter().map(ToString::to_string);
        return Err(RenderError::Problems {
            problems: problems.collect(),
            plugin: plugin.source,
        }
        .into());
    }
    let module = arguments.module.clone().unwrap_or_default();
    let configuration = serde_json::to_string(&plugin.config)?;
    let file = Adapter::Wasm(module).extension(FILTER, FILTER, &configuration);
    output::yaml(&file)
}
