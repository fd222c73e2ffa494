//! A directory's configuration on its way to Envoy.

use sluice_core::plan::Plan;
use sluice_core::revision::canonical;

use crate::local::files::Files;
use crate::store::Store as _;
use crate::store::directory::Directory;

/// A configuration as it is delivered.
pub(super) struct Delivery {
    /// The configuration as Envoy gets it.
    json: String,
    /// What it means.
    pub(super) plan: Plan,
}

impl Delivery {
    /// What the directory says now.
    pub(super) async fn read(directory: &Directory) -> anyhow::Result<Self> {
        let plugin = directory.snapshot().await?.plugin;
        let plan = plugin.plan_at_home()?;
        Ok(Self {
            json: canonical(&plugin.config),
            plan,
        })
    }

    /// Hands it to Envoy.
    pub(super) fn deliver(&self, files: &Files) -> anyhow::Result<()> {
        files.deliver_routes(&self.plan)?;
        files.deliver_plugin(&self.json)
    }
}
