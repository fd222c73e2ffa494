//! `sluice render --native`: writes the EnvoyFilter of a plugin for proxies that run the native
//! module.

use std::path::Path;

use crate::command::output;
use crate::files;
use crate::model::native::annotations::{Library, library};
use crate::operations::render::native::{RenderedNative, native};

/// Where the native module is.
#[derive(clap::Args, Clone, Debug)]
#[group(requires = "native")]
pub(super) struct NativeArgs {
    /// Write the EnvoyFilter of the plugin of -f for proxies that run the native module
    #[arg(long, conflicts_with_all = ["split", "image", "digest", "service", "workload"])]
    pub(super) native: bool,
    /// The native module's file as proxies see it [default: what the plugin's annotations say, or
    /// /opt/sluice/libsluice-VERSION.so]
    #[arg(long, value_name = "PATH", conflicts_with_all = ["fetch", "sha256", "cluster"])]
    library: Option<String>,
    /// Where proxies fetch the native module instead
    #[arg(long, value_name = "URI", requires_all = ["sha256", "cluster"])]
    fetch: Option<String>,
    /// The hash of what is fetched
    #[arg(long, value_name = "HEX", requires = "fetch")]
    sha256: Option<String>,
    /// Envoy's name of the cluster that has the URI's host
    #[arg(long, value_name = "NAME", requires = "fetch")]
    cluster: Option<String>,
}

impl NativeArgs {
    fn library(&self) -> anyhow::Result<Option<Library>> {
        let said = [&self.library, &self.fetch, &self.sha256, &self.cluster];
        if said.iter().all(|value| value.is_none()) {
            return Ok(None);
        }
        let names = ["--library", "--fetch", "--sha256", "--cluster"];
        Ok(Some(library(names, said.map(Option::as_deref))?))
    }
}

/// The EnvoyFilter of a file's plugin, below what pods need.
pub(super) fn text(file: &Path, arguments: &NativeArgs) -> anyhow::Result<String> {
    let documents = files::documents(file)?;
    let plugin = files::only_plugin(&file.display().to_string(), documents.clone())?;
    let RenderedNative { document, needs } = native(&plugin, &documents, arguments.library()?)?;
    let lines = needs.iter().flat_map(|line| line.lines());
    let comments: String = lines.map(|line| format!("# {line}\n")).collect();
    Ok(comments + &output::yaml(&document)?)
}
