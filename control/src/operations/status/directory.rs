//! The status of a directory, whose Envoy is that of a running `sluice dev`.

use serde::Serialize;
use sluice_core::problem::Problem;
use sluice_core::revision::Revision;

use super::measured::{Measured, WeightRow, rows};
use super::observed::{Braked, Gauge, Tripped, UsersSeen, braked, tripped};
use super::text;
use crate::local::admin::Admin;
use crate::local::metrics::{Sample, sum};
use crate::local::running::Running;
use crate::store::Store as _;
use crate::store::directory::Directory;

/// A directory's status; serialized, it is the JSON of `sluice status`.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct DirectoryStatus {
    /// The directory, as people call it: `directory ./shop`.
    pub store: String,
    /// The revision of what the directory says.
    pub wanted_revision: String,
    /// The revision that Envoy runs; `None` while no `sluice dev` serves the directory.
    pub revision_in_force: Option<String>,
    /// Whether Envoy took the last configuration.
    pub is_valid: Option<bool>,
    /// What is wrong with the configuration.
    #[serde(serialize_with = "text::all")]
    pub problems: Vec<Problem>,
    /// Weights and shares.
    pub weights: Vec<WeightRow>,
    /// What Envoy's guard took out.
    pub tripped: Vec<Tripped>,
    /// What is braked.
    pub braked: Vec<Braked>,
}

impl DirectoryStatus {
    /// Whether Envoy runs what is wanted, as far as is known.
    pub fn is_converged(&self) -> bool {
        self.revision_in_force
            .as_ref()
            .is_none_or(|revision| *revision == self.wanted_revision)
    }

    /// Whether nothing is known to be wrong.
    pub fn is_good(&self) -> bool {
        self.problems.is_empty()
            && self.tripped.is_empty()
            && self.braked.is_empty()
            && self.is_valid != Some(false)
            && self.is_converged()
    }
}

/// What the Envoy of a directory says.
#[derive(Debug)]
pub enum Asked {
    /// No `sluice dev` serves the directory.
    Nobody,
    /// It does not answer; why.
    Silent(anyhow::Error),
    /// The filter's metrics.
    Answered(Vec<Sample>),
}

/// Asks the Envoy that serves a directory, if one does.
///
/// # Errors
/// When what a `sluice dev` left in it cannot be read.
pub async fn asked(store: &Directory) -> anyhow::Result<Asked> {
    let running = match store.runtime()? {
        Some(runtime) => Running::read(&runtime)?,
        None => None,
    };
    let Some(running) = running else {
        return Ok(Asked::Nobody);
    };
    let samples = Admin::new(running.admin).samples().await;
    Ok(samples.map_or_else(Asked::Silent, Asked::Answered))
}

/// Reads the directory and asks the Envoy that serves it, if one does.
///
/// # Errors
/// When the directory's configuration, or what a `sluice dev` left in it, cannot be read. An Envoy
/// that does not answer is no error.
pub async fn status(store: &Directory) -> anyhow::Result<DirectoryStatus> {
    let plugin = store.snapshot().await?.plugin;
    let plan = plugin.plan_at_home()?;
    let samples = match asked(store).await? {
        Asked::Answered(samples) => Some(samples),
        Asked::Silent(_) | Asked::Nobody => None,
    };
    let measured = samples.as_deref().map(Measured::of);
    let gauges: Option<Vec<Gauge<'_>>> = samples
        .as_deref()
        .map(|samples| samples.iter().map(Gauge::of_sample).collect());
    let users = gauges
        .as_deref()
        .map(|gauges| UsersSeen::joined(&plan, gauges));
    let gauge = |name: &str| samples.as_deref().map(|samples| sum(samples, name, &[]));
    Ok(DirectoryStatus {
        store: store.title(),
        wanted_revision: plan.revision().to_string(),
        revision_in_force: gauge("sluice_config_revision")
            .map(|value| Revision::from_gauge(value as u64).to_string()),
        is_valid: gauge("sluice_config_valid").map(|value| value == 1.0),
        problems: plan.problems().to_vec(),
        weights: rows(&plan, measured.as_ref(), users.as_ref()),
        tripped: gauges
            .as_deref()
            .map(|gauges| tripped(&plan, gauges))
            .unwrap_or_default(),
        braked: gauges
            .map(|gauges| braked(&plan, &gauges))
            .unwrap_or_default(),
    })
}
