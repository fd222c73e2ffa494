//! What may be written in a Rollout: each type declared once, with the names of its fields, its
//! decoding and what editors and API servers know of it.
//!
//! What is allowed together is not said here. Decoding collects every mistake instead of stopping
//! at the first, as the filter's own configuration does ([`sluice_core::decode`]).

mod analysis;
mod endpoint;
pub(in crate::rollout) mod fields;
mod gates;
mod notify;
mod numbers;
mod secrets;
mod steps;
mod threshold;
mod units;
mod windows;
mod workload;

pub use analysis::{Against, Analysis, BasicAuth, Check, IstioLabel, IstioMetrics, MAX_CHECKS};
pub use analysis::{Metric, OnMissing, Prometheus};
pub use endpoint::{Endpoint, MAX_URL_BYTES};
pub use gates::{Before, Gate, MAX_GATES};
pub use notify::{Event, MAX_RECEIVERS, Notify, Robot, Webhook};
pub use numbers::{Count, MAX_COUNT, Probability};
pub use secrets::KeyOf;
pub use steps::{Converge, From, MAX_STEPS, OnHandEdit, Preset, Step, Unconverged};
pub use threshold::{Amount, Comparison, Threshold, ThresholdError};
pub use units::{MAX_SPAN, Share, Span, Weight};
pub use windows::{Edge, MAX_WINDOWS, Override, Window, Windows, Zone};

pub use workload::{FirstSight, MAX_WINDOW_RUNS, RollbackWindow, Runs, Scale, Workload};

use fields::fields;

fields! {
    /// What a Rollout wants.
    #[derive(Default)]
    #[schemars(default)]
    pub struct Spec, accepted as "a Rollout's spec" {
        /// The plugin whose split it is. Default: the one in the namespace that has splits.
        #[schemars(length(max = 253))]
        "plugin" => plugin: Option<String>,
        /// The split.
        #[schemars(length(min = 1, max = 63))]
        "split" => split: String,
        /// The variant that gets users. Default: the split's only challenger.
        #[schemars(length(max = 63))]
        "challenger" => challenger: Option<String>,
        /// Whose weight moves: a rule's name, or everyone. Default: everyone.
        #[schemars(length(max = 63))]
        "audience" => audience: Option<String>,
        /// Who sees the version of the preset blueGreen before everybody else: a rule's name.
        #[schemars(length(max = 63))]
        "previewAudience" => preview_audience: Option<String>,
        /// Which version the challenger is, in your words; another one begins a run.
        #[schemars(length(max = 128))]
        "version" => version: Option<String>,
        /// The Deployment whose pod template is the version, in the version's place.
        "workload" => workload: Option<Workload>,
        /// Rollouts of one group in a namespace step together; when one fails, all go back.
        #[schemars(length(max = 63))]
        "group" => group: Option<String>,
        /// Whether each run draws other users when it begins at 0. Default: true.
        "redraw" => redraw: Option<bool>,
        /// Where a run begins. Default: zero.
        "from" => from: From,
        /// Steps that many teams want; or write steps.
        "preset" => preset: Option<Preset>,
        /// The steps, in their order.
        #[schemars(length(max = 50))]
        "steps" => steps: Vec<Step>,
        /// How many proxies must have followed before a step may end.
        "converge" => converge: Option<Converge>,
        /// What happens when somebody else sets a weight of the run. Default: pause.
        "onHandEdit" => on_hand_edit: OnHandEdit,
        /// How the run is watched. Default: as its preset says.
        "analysis" => analysis: Option<Analysis>,
        /// When a run may go forward. Default: always.
        "windows" => windows: Windows,
        /// Who is asked before a run goes forward.
        #[schemars(length(max = 8))]
        "gates" => gates: Vec<Gate>,
        /// Who is told what a run does.
        #[schemars(length(max = 8))]
        "notify" => notify: Vec<Notify>,
    }
}
