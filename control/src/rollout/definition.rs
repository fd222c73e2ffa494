//! A Rollout's spec, checked: what is allowed together, with presets written out and defaults
//! filled in. The only validator of a spec; what other objects must have is found when it runs.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use serde_json::{Value, json};
use sluice_core::allocation::Percent;
use sluice_core::decode::Decode as _;
use sluice_core::plan::EVERYONE;
use sluice_core::problem::{Accepted, Problem};

use super::analysis::plan as analysis;
use super::gates::{self, Gate};
use super::notifications::{self, Receiver};
use super::resource::{self, From, MAX_STEPS, OnHandEdit, Preset, Share, Spec, Unconverged};
use super::windows::{self, Windows};
use super::workload::{self, Workload};

/// The longest version, in bytes; see docs/limits.md.
pub const MAX_VERSION_BYTES: usize = 128;

/// The longest name of a split, an audience, a variant or a group. Chosen: as in the plugin.
const LONGEST_NAME: usize = 63;

/// A spec ready to run.
#[derive(Clone, Debug, PartialEq)]
pub struct Definition {
    /// The plugin's name, where one is written.
    pub plugin: Option<String>,
    /// The split.
    pub split: String,
    /// The challenger, where one is written.
    pub challenger: Option<String>,
    /// The version; a new one begins a run.
    pub version: Option<String>,
    /// The Rollouts that step together.
    pub group: Option<String>,
    /// Whether each run draws other users.
    pub redraw: bool,
    /// Where a run begins.
    pub from: From,
    /// The steps: at least one.
    pub steps: Vec<Step>,
    /// How proxies must follow.
    pub converge: Converge,
    /// What happens when somebody else sets a weight.
    pub on_hand_edit: OnHandEdit,
    /// How a run is watched.
    pub analysis: Option<analysis::Plan>,
    /// When it may go forward.
    pub windows: Windows,
    /// Who is asked before it goes forward.
    pub gates: Vec<Gate>,
    /// Who is told what it does.
    pub receivers: Vec<Receiver>,
    /// The Deployment whose template is the version.
    pub workload: Option<Workload>,
    /// What is wrong with the spec that came after this one: until it is right, a run stands still.
    pub mistakes: Vec<String>,
}

/// One step.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Step {
    /// Whose weight.
    pub audience: String,
    /// The challenger's weight.
    pub weight: Percent,
    /// How long at least.
    pub hold: Duration,
    /// Whether it ends only when somebody approves it.
    pub needs_approval: bool,
}

/// How proxies must follow.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Converge {
    /// Which part of them at least, 0 to 1.
    pub at_least: f64,
    /// How long the run waits.
    pub within: Duration,
    /// What happens then.
    pub otherwise: Unconverged,
}

impl Definition {
    /// The Prometheus that its analysis names.
    pub fn prometheus(&self) -> Option<&analysis::Prometheus> {
        self.analysis.as_ref()?.prometheus.as_ref()
    }

    /// Reads and checks a spec as it stands in a manifest, at `path`.
    ///
    /// # Errors
    /// Every mistake in it.
    pub fn read(path: &str, value: &Value) -> Result<Self, Vec<Problem>> {
        let mut problems = Vec::new();
        let spec = Spec::decode(path, value, &mut problems);
        let compiled = spec.map(|spec| Reader::new(path, &mut problems).definition(&spec));
        match compiled {
            Some(definition) if problems.is_empty() => Ok(definition),
            _ => Err(problems),
        }
    }

    /// The audiences whose weights the steps move.
    pub fn audiences(&self) -> BTreeSet<&str> {
        self.steps.iter().map(|step| &*step.audience).collect()
    }

    /// Whether the analysis watches a step: where the challenger has users of its audience.
    pub fn is_watched(&self, step: usize) -> bool {
        let step = self.steps.get(step);
        let has_users = step.is_some_and(|step| step.weight > Percent::ZERO);
        has_users && self.analysis.is_some()
    }

    /// What each of these audiences has at a step: its own last weight so far, else nobody.
    pub fn weights_at(&self, step: usize) -> BTreeMap<String, Percent> {
        let audiences = self.audiences().into_iter();
        let mut weights: BTreeMap<String, Percent> = audiences
            .map(|audience| (audience.to_owned(), Percent::ZERO))
            .collect();
        for step in self.steps.iter().take(step.saturating_add(1)) {
            weights.insert(step.audience.clone(), step.weight);
        }
        weights
    }
}

/// Checks a spec, collecting what is wrong with it.
struct Reader<'r> {
    path: &'r str,
    problems: &'r mut Vec<Problem>,
}

impl<'r> Reader<'r> {
    fn new(path: &'r str, problems: &'r mut Vec<Problem>) -> Self {
        Self { path, problems }
    }

    fn at(&self, field: &str) -> String {
        format!("{}.{field}", self.path)
    }

    fn report(&mut self, field: &str, found: impl Into<String>, accepted: Accepted) {
        let path = self.at(field);
        self.problems
            .push(Problem::new(path, found.into(), accepted));
    }

    fn definition(mut self, spec: &Spec) -> Definition {
        self.names(spec);
        let steps = self.steps(spec);
        let workload = self.workload(spec, &steps);
        Definition {
            plugin: spec.plugin.clone(),
            split: spec.split.clone(),
            challenger: spec.challenger.clone(),
            version: spec.version.clone(),
            group: spec.group.clone(),
            redraw: spec.redraw.unwrap_or(true),
            from: spec.from,
            steps,
            workload,
            converge: converge(spec.converge.as_ref()),
            on_hand_edit: spec.on_hand_edit,
            analysis: self.analysis(spec),
            windows: windows::checked(&self.at("windows"), &spec.windows, self.problems),
            gates: gates::checked(&self.at("gates"), &spec.gates, self.problems),
            receivers: notifications::checked(&self.at("notify"), &spec.notify, self.problems),
            mistakes: Vec::new(),
        }
    }

    fn names(&mut self, spec: &Spec) {
        if spec.split.is_empty() {
            let accepted = Accepted::value("a split's name");
            self.report("split", "missing", accepted);
        }
        let names = [
            ("split", Some(&spec.split)),
            ("challenger", spec.challenger.as_ref()),
            ("audience", spec.audience.as_ref()),
            ("previewAudience", spec.preview_audience.as_ref()),
            ("group", spec.group.as_ref()),
        ];
        for (field, name) in names {
            if let Some(name) = name.filter(|name| name.len() > LONGEST_NAME) {
                let accepted = Accepted::rule(format!("at most {LONGEST_NAME}"));
                self.report(field, format!("{} bytes", name.len()), accepted);
            }
        }
        if spec.version.as_deref() == Some("") {
            let accepted = Accepted::value("a text, or no such field");
            self.report("version", "empty", accepted);
        }
        let version = spec.version.as_ref();
        if let Some(version) = version.filter(|version| version.len() > MAX_VERSION_BYTES) {
            let accepted = Accepted::rule(format!("at most {MAX_VERSION_BYTES}"));
            self.report("version", format!("{} bytes", version.len()), accepted);
        }
    }

    fn steps(&mut self, spec: &Spec) -> Vec<Step> {
        let audience = spec.audience.as_deref().unwrap_or(EVERYONE);
        if spec.preview_audience.is_some() && spec.preset != Some(Preset::BlueGreen) {
            let accepted = Accepted::rule("it belongs to the preset blueGreen");
            self.report("previewAudience", "given", accepted);
        }
        match (spec.preset, spec.steps.as_slice()) {
            (None, []) => {
                let presets = "steps, or a preset: progressive, emergency, blueGreen, migration";
                self.report("steps", "missing", Accepted::value(presets));
                Vec::new()
            }
            (Some(_), [_, ..]) => {
                let accepted = Accepted::rule("a preset has its own steps: write one of them");
                self.report("preset", "a preset and steps", accepted);
                Vec::new()
            }
            (Some(preset), []) => preset_steps(preset, audience, spec.preview_audience.as_deref()),
            (None, steps) => self.written_steps(steps, audience),
        }
    }

    fn written_steps(&mut self, written: &[resource::Step], audience: &str) -> Vec<Step> {
        if written.len() > MAX_STEPS {
            let accepted = Accepted::rule(format!("at most {MAX_STEPS}"));
            self.report("steps", format!("{} steps", written.len()), accepted);
            return Vec::new();
        }
        let mut steps: Vec<Step> = Vec::with_capacity(written.len());
        for (index, step) in written.iter().enumerate() {
            let own = step.audience.as_deref().unwrap_or(audience);
            let Some(weight) = step.weight else {
                let accepted = Accepted::value("a percentage: 0 to 100 in steps of 0.001");
                // One that is written and wrong was reported where it was read.
                if !self.is_reported(&format!("steps[{index}].weight")) {
                    self.report(&format!("steps[{index}].weight"), "missing", accepted);
                }
                continue;
            };
            let former = steps.iter().rfind(|step| step.audience == own);
            if let Some(former) = former.filter(|former| former.weight > weight.0) {
                let accepted = Accepted::rule(format!(
                    "a step never takes users away: at least {} here",
                    former.weight
                ));
                let field = format!("steps[{index}].weight");
                self.report(&field, weight.0.to_string(), accepted);
            }
            steps.push(Step {
                audience: own.to_owned(),
                weight: weight.0,
                hold: step.hold.unwrap_or_default().as_duration(),
                needs_approval: step.approval,
            });
        }
        steps
    }

    fn workload(&mut self, spec: &Spec, steps: &[Step]) -> Option<Workload> {
        let written = spec.workload.as_ref()?;
        let path = self.at("workload");
        let mut steps_of_all = steps.iter().filter(|step| step.audience == EVERYONE);
        let last = steps_of_all.next_back().map(|step| step.weight);
        // Steps that are wrong are reported as such.
        let last = last.or((!steps.is_empty()).then_some(Percent::ZERO));
        let version = spec.version.as_deref();
        let checked = workload::checked(&path, written, version, last, self.problems);
        let everyone = steps.iter().filter(|step| step.audience == EVERYONE);
        let everyone = everyone.map(|step| step.weight);
        Some(Workload {
            services: workload::services::named(&path, written, everyone, self.problems),
            ..checked
        })
    }

    fn analysis(&mut self, spec: &Spec) -> Option<analysis::Plan> {
        let path = format!("{}.analysis", self.path);
        let watched = match (spec.preset, &spec.analysis) {
            (Some(Preset::Emergency), Some(_)) => {
                let accepted = Accepted::rule("the preset emergency has none: write steps instead");
                self.report("analysis", "given", accepted);
                return None;
            }
            (Some(Preset::Migration), written) => {
                let mut watched = written.clone().unwrap_or_default();
                if watched.checks.is_empty() {
                    watched.checks = self.migration_checks();
                }
                watched
            }
            (_, written) => written.clone()?,
        };
        analysis::checked(&path, &watched, self.problems)
    }

    fn migration_checks(&mut self) -> Vec<resource::Check> {
        let checks = json!([
            {"name": "p95", "metric": "latency", "quantile": 0.95, "against": "fallback",
             "pass": "<= +15%", "fail": "> +50%"},
            {"name": "errors", "metric": "errorRate", "pass": "<= 0.1%", "fail": "> 1%"},
            {"name": "availability", "metric": "successRate", "fail": "< 99%"},
        ]);
        let path = format!("{}.preset", self.path);
        Vec::<resource::Check>::decode(&path, &checks, self.problems).unwrap_or_default()
    }

    fn is_reported(&self, field: &str) -> bool {
        let path = self.at(field);
        self.problems.iter().any(|problem| problem.path == path)
    }
}

fn converge(written: Option<&resource::Converge>) -> Converge {
    let written = written.cloned().unwrap_or_default();
    Converge {
        at_least: written.at_least.map_or(0.95, Share::as_fraction),
        within: written
            .within
            .map_or(Duration::from_secs(120), resource::Span::as_duration),
        otherwise: written.otherwise,
    }
}

/// The weights of the presets that only step, with their holds in seconds. Chosen: the holds grow
/// with the share of users, within what the presets promise.
const PROGRESSIVE: [(u32, u64); 7] = [
    (5, 120),
    (10, 120),
    (20, 180),
    (40, 180),
    (60, 300),
    (80, 300),
    (100, 300),
];
const MIGRATION: [(u32, u64); 9] = [
    (5, 300),
    (10, 300),
    (25, 300),
    (40, 300),
    (50, 300),
    (75, 300),
    (90, 300),
    (95, 300),
    (100, 300),
];

/// How long blueGreen watches after everybody has moved.
const WATCHED: Duration = Duration::from_secs(600);

fn preset_steps(preset: Preset, audience: &str, preview: Option<&str>) -> Vec<Step> {
    let ramp = |weights: &[(u32, u64)]| {
        let steps = weights.iter().map(|(percent, seconds)| Step {
            audience: audience.to_owned(),
            weight: percent_of(*percent),
            hold: Duration::from_secs(*seconds),
            needs_approval: false,
        });
        steps.collect()
    };
    match preset {
        Preset::Progressive => ramp(&PROGRESSIVE),
        Preset::Migration => ramp(&MIGRATION),
        Preset::Emergency => ramp(&[(100, 0)]),
        Preset::BlueGreen => {
            let previewed = preview.map(|preview| Step {
                audience: preview.to_owned(),
                weight: Percent::HUNDRED,
                hold: Duration::ZERO,
                needs_approval: false,
            });
            let approved = Step {
                audience: audience.to_owned(),
                weight: Percent::ZERO,
                hold: Duration::ZERO,
                needs_approval: true,
            };
            let everybody = Step {
                audience: audience.to_owned(),
                weight: Percent::HUNDRED,
                hold: WATCHED,
                needs_approval: false,
            };
            previewed.into_iter().chain([approved, everybody]).collect()
        }
    }
}

fn percent_of(whole: u32) -> Percent {
    Percent::of_buckets(whole.saturating_mul(1_000)).unwrap_or(Percent::HUNDRED)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn problems(spec: Value) -> Vec<String> {
        let problems = Definition::read("spec", &spec).unwrap_err();
        problems.iter().map(ToString::to_string).collect()
    }

    #[test]
    fn the_commonest_rollout_is_three_lines() {
        let spec = json!({"split": "web", "version": "v1.2.3", "preset": "progressive"});
        let definition = Definition::read("spec", &spec).unwrap();
        let steps = definition.steps.iter();
        let steps: Vec<(f64, u64)> = steps
            .map(|step| (step.weight.as_f64(), step.hold.as_secs()))
            .collect();
        let expected = [
            (5.0, 120),
            (10.0, 120),
            (20.0, 180),
            (40.0, 180),
            (60.0, 300),
            (80.0, 300),
            (100.0, 300),
        ];
        assert_eq!(steps, expected);
        assert_eq!(definition.audiences(), BTreeSet::from(["everyone"]));
        assert!(definition.redraw);
        assert_eq!(definition.converge.at_least, 0.95);
    }

    #[test]
    fn weights_at_a_step_are_those_of_every_ring_so_far() {
        let spec = json!({"split": "web", "steps": [
            {"audience": "staff", "weight": 100, "hold": "1h"},
            {"weight": 5},
            {"weight": 50.5, "approval": true},
        ]});
        let definition = Definition::read("spec", &spec).unwrap();
        let at = |step: usize| {
            let weights = definition.weights_at(step).into_iter();
            let weights: Vec<String> = weights
                .map(|(who, weight)| format!("{who} {weight}"))
                .collect();
            weights.join(", ")
        };
        assert_eq!(at(0), "everyone 0, staff 100");
        assert_eq!(at(1), "everyone 5, staff 100");
        assert_eq!(at(2), "everyone 50.5, staff 100");
        assert_eq!(at(9), "everyone 50.5, staff 100");
    }

    #[test]
    fn a_preview_comes_before_everybody_and_is_approved() {
        let spec = json!({"split": "web", "preset": "blueGreen", "previewAudience": "staff"});
        let definition = Definition::read("spec", &spec).unwrap();
        let steps = definition.steps.iter();
        let steps: Vec<_> = steps
            .map(|step| (&*step.audience, step.weight.as_f64(), step.needs_approval))
            .collect();
        let expected = [
            ("staff", 100.0, false),
            ("everyone", 0.0, true),
            ("everyone", 100.0, false),
        ];
        assert_eq!(steps, expected);
    }

    #[test]
    fn every_mistake_is_said_at_once() {
        let spec = json!({
            "splt": "web",
            "version": 5,
            "steps": [{"weight": 140}, {"hold": "5"}, {"weight": 20}, {"weight": 10}],
            "converge": {"atLeast": "120%", "else": "stop"},
            "onHandEdit": 5,
        });
        let expected = [
            "spec.version: a number (5); accepted: a string; YAML reads unquoted true, false, on, off, yes, no and \
             digits as something else: quote it",
            "spec.steps[0].weight: a number (140); accepted: a percentage: 0 to 100 in steps of 0.001",
            "spec.steps[1].hold: a string (\"5\"); accepted: a time of 0s to 90d such as 90s, 5m or 1h30m",
            "spec.converge.atLeast: a string (\"120%\"); accepted: 0% to 100%, such as 95%",
            "spec.converge.else: a string (\"stop\"); accepted: one of pause, abort, proceed",
            "spec.onHandEdit: a number (5); accepted: one of pause, abort",
            "spec.splt: unknown field; accepted: plugin, split, challenger, audience, previewAudience, version, workload, \
             group, redraw, from, preset, steps, converge, onHandEdit, analysis, windows, gates, notify",
            "spec.split: missing; accepted: a split's name",
            "spec.steps[1].weight: missing; accepted: a percentage: 0 to 100 in steps of 0.001",
            "spec.steps[3].weight: 10; a step never takes users away: at least 20 here",
        ];
        assert_eq!(problems(spec), expected);
    }

    #[test]
    fn a_migration_is_watched_by_checks_of_its_own_unless_others_are_written() {
        let names = |spec: Value| {
            let definition = Definition::read("spec", &spec).unwrap();
            let checks = definition.analysis.unwrap().checks;
            checks
                .into_iter()
                .map(|check| check.name)
                .collect::<Vec<_>>()
        };
        let spec = json!({"split": "web", "preset": "migration"});
        assert_eq!(names(spec), ["p95", "errors", "availability"]);
        let own = json!([{"name": "errors", "metric": "errorRate", "fail": "> 1%"}]);
        let spec = json!({"split": "web", "preset": "migration", "analysis": {"checks": own}});
        assert_eq!(names(spec), ["errors"]);
    }

    #[test]
    fn services_of_a_workload_go_with_steps_of_all_or_nobody() {
        let workload = json!({"deployment": "web", "activeService": "web-active", "previewService": "web-preview"});
        let rings = json!([{"audience": "staff", "weight": 50}, {"weight": 0, "approval": true}, {"weight": 100}]);
        for spec in [
            json!({"split": "web", "workload": workload, "preset": "blueGreen", "previewAudience": "staff"}),
            json!({"split": "web", "workload": workload, "preset": "emergency"}),
            json!({"split": "web", "workload": workload, "steps": rings}),
        ] {
            let definition = Definition::read("spec", &spec).unwrap();
            let names = definition.workload.unwrap().services;
            assert_eq!(names.active.as_deref(), Some("web-active"), "{spec}");
            assert_eq!(names.preview.as_deref(), Some("web-preview"), "{spec}");
        }
    }

    #[test]
    fn what_does_not_go_together_is_refused() {
        let many: Vec<Value> = (0..51).map(|_| json!({"weight": 5})).collect();
        let cases = [
            (
                json!({"split": "web"}),
                "spec.steps: missing; accepted: steps, or a preset: progressive, emergency, blueGreen, migration",
            ),
            (
                json!({"split": "web", "preset": "emergency", "steps": [{"weight": 5}]}),
                "spec.preset: a preset and steps; a preset has its own steps: write one of them",
            ),
            (
                json!({"split": "web", "steps": many}),
                "spec.steps: 51 steps; at most 50",
            ),
            (
                json!({"split": "web", "preset": "progressive", "version": "v".repeat(129)}),
                "spec.version: 129 bytes; at most 128",
            ),
            (
                json!({"split": "web", "preset": "emergency", "analysis": {}}),
                "spec.analysis: given; the preset emergency has none: write steps instead",
            ),
            (
                json!({"split": "w".repeat(64), "preset": "progressive"}),
                "spec.split: 64 bytes; at most 63",
            ),
            (
                json!({"split": "web", "preset": "progressive", "previewAudience": "staff"}),
                "spec.previewAudience: given; it belongs to the preset blueGreen",
            ),
            (
                json!({"split": "web", "workload": {}, "preset": "progressive"}),
                "spec.workload.deployment: missing; accepted: a Deployment's name, of at most 246 bytes",
            ),
            (
                json!({"split": "web", "workload": {"deployment": "Web"}, "preset": "progressive"}),
                "spec.workload.deployment: \"Web\"; accepted: a Deployment's name, of at most 246 bytes",
            ),
            (
                json!({"split": "web", "workload": {"deployment": "web"}, "version": "v1", "preset": "progressive"}),
                "spec.workload: given beside a version; the template of the workload is the version: write no \
                 spec.version",
            ),
            (
                json!({"split": "web", "workload": {"deployment": "web"}, "steps": [{"weight": 50}]}),
                "spec.workload: 50 % at the end; with a workload the last step gives 100 % to everyone",
            ),
            (
                json!({"split": "web", "workload": {"deployment": "web"}, "audience": "staff", "preset": "emergency"}),
                "spec.workload: 0 % at the end; with a workload the last step gives 100 % to everyone",
            ),
            (
                json!({"split": "web", "workload": {"deployment": "web", "scale": "half"}, "preset": "emergency"}),
                "spec.workload.scale: a string (\"half\"); accepted: one of matchWeight, full",
            ),
            (
                json!({"split": "web", "preset": "emergency",
                    "workload": {"deployment": "web", "rollbackWindow": {"runs": 11}}}),
                "spec.workload.rollbackWindow.runs: a number (11); accepted: a whole number of 1 to 10",
            ),
            (
                json!({"split": "web", "preset": "emergency",
                    "workload": {"deployment": "web", "rollbackWindow": {}}}),
                "spec.workload.rollbackWindow.runs: missing; accepted: a whole number of 1 to 10",
            ),
            (
                json!({"split": "web", "preset": "emergency",
                    "workload": {"deployment": "web", "onFirstSight": "judge"}}),
                "spec.workload.onFirstSight: a string (\"judge\"); accepted: one of adopt, run",
            ),
            (
                json!({"split": "web", "preset": "progressive",
                    "workload": {"deployment": "web", "activeService": "web-active"}}),
                "spec.workload.activeService: given, and a step with 5 %; a Service has the pods of one version: each \
                 step gives everyone 0 or 100 %, as those of the preset blueGreen do",
            ),
            (
                json!({"split": "web", "steps": [{"weight": 50}, {"weight": 100}],
                    "workload": {"deployment": "web", "previewService": "web-preview"}}),
                "spec.workload.previewService: given, and a step with 50 %; a Service has the pods of one version: each \
                 step gives everyone 0 or 100 %, as those of the preset blueGreen do",
            ),
            (
                json!({"split": "web", "preset": "blueGreen",
                    "workload": {"deployment": "web", "activeService": "web.shop"}}),
                "spec.workload.activeService: \"web.shop\"; accepted: a Service's name, of at most 63 bytes",
            ),
            (
                json!({"split": "web", "preset": "blueGreen",
                    "workload": {"deployment": "web", "activeService": "web", "previewService": "web"}}),
                "spec.workload.previewService: \"web\"; it is another Service than activeService",
            ),
        ];
        for (spec, expected) in cases {
            assert_eq!(problems(spec), [expected]);
        }
    }
}
