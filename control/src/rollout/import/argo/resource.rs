//! What is read of Argo's Rollout, put together by the readers of its parts.

use std::collections::BTreeSet;
use std::time::Duration;

use super::super::analysis::{Analysis, within};
use super::super::documents::{Documents, Sort};
use super::super::notes::Notes;
use super::super::split::Rule;
use super::super::written::Step;
use crate::model::input::Input;

/// The group of its kinds.
pub(crate) const GROUP: &str = "argoproj.io";

/// The Rollout, and the documents beside it.
pub(super) struct Source<'i> {
    pub(super) documents: &'i Documents<'i>,
    pub(super) input: &'i Input,
}

impl<'i> Source<'i> {
    /// Where it is; what has no namespace of its own is taken for the same one.
    pub(super) fn namespace(&self) -> &'i str {
        self.input.namespace().unwrap_or("default")
    }

    /// A document of a kind and name in the Rollout's namespace, and which of the inputs it is.
    pub(super) fn beside(&self, sort: Sort<'_>, name: &str) -> Option<(usize, &'i Input)> {
        self.documents.find(sort, name, self.input.namespace())
    }
}

/// A VirtualService that a Rollout names.
pub(super) struct VirtualServiceNamed {
    /// NAME or NAME.NAMESPACE.
    pub(super) name: String,
    /// Which of its HTTP routes are Argo's; none: the only one.
    pub(super) routes: Vec<String>,
}

/// What is known so far.
pub(super) struct Read {
    pub(super) steps: Vec<Step>,
    pub(super) rules: Vec<Rule>,
    pub(super) checks: Analysis,
    pub(super) timing: Timing,
    pub(super) no_data: NoData,
    /// The VirtualServices that it names.
    pub(super) virtual_services: Vec<VirtualServiceNamed>,
    /// Routes that Argo writes into them and takes out again.
    pub(super) managed: Vec<String>,
    /// The Service that is routed, where no VirtualService says it.
    pub(super) service: Option<String>,
    /// Services that it sets the selectors of: the active one and the one for previews.
    pub(super) services: [Option<String>; 2],
    /// How long pods stay.
    pub(super) drain: Option<Duration>,
    /// Whether every pod is there before the first step.
    pub(super) is_full: bool,
    /// Which of the inputs were read beside it.
    pub(super) used: BTreeSet<usize>,
}

impl Read {
    pub(super) fn new(prometheus: Option<&str>) -> Self {
        Self {
            steps: Vec::new(),
            rules: Vec::new(),
            checks: Analysis::new(prometheus),
            timing: Timing::default(),
            no_data: NoData::default(),
            virtual_services: Vec::new(),
            managed: Vec::new(),
            service: None,
            services: [None, None],
            drain: None,
            is_full: false,
            used: BTreeSet::new(),
        }
    }

    /// The step that pauses and analyses belong to.
    pub(super) fn step(&mut self) -> &mut Step {
        if self.steps.is_empty() {
            self.steps.push(Step::of(0.0));
        }
        let last = self.steps.len() - 1;
        &mut self.steps[last]
    }

    /// What everyone has so far.
    pub(super) fn weight(&self) -> f64 {
        let mut steps = self.steps.iter().rev();
        let last = steps.find(|step| step.audience.is_none());
        last.map_or(0.0, |step| step.weight)
    }
}

/// How often metrics are measured.
#[derive(Default)]
pub(super) struct Timing {
    shortest: Option<Duration>,
}

impl Timing {
    pub(super) fn add(&mut self, interval: Duration) {
        let shortest = self.shortest.unwrap_or(interval).min(interval);
        self.shortest = Some(shortest);
    }

    /// The shortest interval of a metric.
    pub(super) fn interval(&self) -> Option<String> {
        let interval = self.shortest.unwrap_or(Duration::from_secs(30));
        within(interval, "1s", "1h")
    }

    /// A window as long as that at least.
    pub(super) fn window(&self) -> Option<String> {
        let interval = self.shortest.unwrap_or_default();
        within(interval.max(Duration::from_secs(300)), "1s", "24h")
    }
}

/// What conditions say of no result: they all must say the same, since a Rollout has one word for it.
#[derive(Default)]
pub(super) struct NoData {
    passing: Vec<String>,
    failing: Vec<String>,
    silent: usize,
}

impl NoData {
    pub(super) fn add(&mut self, metric: &str, passes: Option<bool>) {
        match passes {
            Some(true) => self.passing.push(metric.to_owned()),
            Some(false) => self.failing.push(metric.to_owned()),
            None => self.silent += 1,
        }
    }

    pub(super) fn agreed(&self, notes: &mut Notes) -> Option<&'static str> {
        match (
            self.passing.is_empty(),
            self.failing.is_empty(),
            self.silent,
        ) {
            (true, true, _) => None,
            (false, true, 0) => Some("pass"),
            (true, false, 0) => Some("fail"),
            _ => {
                let named: Vec<String> =
                    self.passing.iter().chain(&self.failing).cloned().collect();
                notes.lost(
                    "the analysis",
                    format!(
                        "what {} say of no result, since others say something else and spec.analysis.onNoData is for \
                         all; a query that ends with `or vector(0)` always has one",
                        named.join(", ")
                    ),
                );
                None
            }
        }
    }
}
