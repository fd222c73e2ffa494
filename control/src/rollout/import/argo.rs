//! Argo's Rollout (argoproj.io/v1alpha1) as a split, a Rollout and, where its pods' template stands
//! in it, a Deployment.

mod arguments;
mod blue_green;
mod canary;
mod place;
mod resource;
mod templates;
mod workload;

use serde_json::{Map, Value, json};

use super::documents::Documents;
use super::fields::Fields;
use super::found::{Found, Known};
use super::notes::Notes;
use super::split::has_rule;
use super::written::{self, Step};
use crate::model::input::Input;
pub(super) use resource::GROUP;
use resource::{Read, Source};

/// What becomes of a Rollout.
pub(super) fn rollout(
    documents: &Documents<'_>,
    input: &Input,
    known: &Known,
    notes: &mut Notes,
) -> Option<Found> {
    notes.about(input);
    written::metadata(input, notes);
    let mut spec = Fields::of("spec", input.value.get("spec").cloned(), notes);
    let source = Source { documents, input };
    let mut read = Read::new(known.prometheus.as_deref());
    let mut strategy = spec.map("strategy", notes).unwrap_or_default();
    let blue_green = strategy.map("blueGreen", notes);
    let canary = strategy.map("canary", notes);
    match (canary, blue_green) {
        (Some(canary), None) => canary::read(&source, canary, &mut read, notes),
        (None, Some(blue_green)) => blue_green::read(&source, blue_green, &mut read, notes),
        (None, None) => {
            notes.lost("spec.strategy", "neither canary nor blueGreen");
            return None;
        }
        (Some(_), Some(_)) => {
            notes.lost(
                "spec.strategy",
                "both canary and blueGreen; Argo takes one of them",
            );
            return None;
        }
    }
    strategy.end(notes);
    let split = place::routes(&source, &mut read, notes).split(notes)?;
    let mut fields = Map::new();
    let deployment = workload::read(&source, &mut spec, &mut read, &mut fields, notes);
    fields.insert(
        "steps".to_owned(),
        written::steps(
            &kept(read.steps, &split.1, notes),
            "spec.strategy.canary.steps",
            notes,
        ),
    );
    if !read.checks.is_empty() {
        if !read.checks.has_server() {
            notes.lost(
                "the analysis",
                "no metric has an address, which is the controller's own: give it by --prometheus, or write \
                 spec.analysis.prometheus.address",
            );
        }
        notes.said("the analysis", UNMEASURED);
        let mut others =
            json!({"interval": read.timing.interval(), "window": read.timing.window()});
        if let Some(on_no_data) = read.no_data.agreed(notes) {
            others["onNoData"] = json!(on_no_data);
        }
        fields.insert("analysis".to_owned(), read.checks.written(others));
    }
    rest(&mut spec, notes);
    spec.end(notes);
    notes.said("spec", NEXT);
    let rollout = written::rollout(input, &split.0, fields, notes);
    Some(Found {
        split,
        deployment,
        rollout,
        used: read.used,
    })
}

/// What a person does with what was written.
const NEXT: &str = "before the Rollout is applied: the label sluice.dev/variant: canary in the Deployment's template, the \
                    split in a plugin, and the subsets and routes that `sluice render SPLIT --workload DEPLOYMENT` \
                    writes; Argo's Rollout goes last, because its pods go with it";

/// What happens where a metric has no value. Argo's limit: consecutiveErrorLimit, by default 4
/// (utils/defaults, DefaultConsecutiveErrorLimit).
const UNMEASURED: &str = "where a check has no value (no answer, NaN, an empty result of which no condition says what it means) \
                          the step is held for as long as that is so; Argo ends a run at the fifth error in a row of a metric \
                          (consecutiveErrorLimit), and takes NaN for a failure where there is a successCondition alone. \
                          spec.analysis.onError: fail and onNoData: fail count each as a failed measurement; then let \
                          failureLimit forgive as many as may be";

/// The steps but those of rules that the split has not; what one of these waits for, the step
/// before waits for.
fn kept(steps: Vec<Step>, split: &Value, notes: &mut Notes) -> Vec<Step> {
    let mut kept: Vec<Step> = Vec::with_capacity(steps.len());
    for step in steps {
        let lost = step.audience.clone().filter(|rule| !has_rule(split, rule));
        let Some(rule) = lost else {
            kept.push(step);
            continue;
        };
        if step.hold.is_zero() && !step.approval {
            continue;
        }
        notes.said(
            "spec.strategy.canary.steps",
            format!(
                "there is no step of the rule {rule:.80}, which the split has not; what came after it, a pause, an analysis \
                 or an approval, is part of the step before"
            ),
        );
        let mut before = kept.pop().unwrap_or_default();
        before.hold = before.hold.saturating_add(step.hold);
        before.approval |= step.approval;
        kept.push(before);
    }
    kept
}

/// What is left of a Rollout's spec.
fn rest(spec: &mut Fields, notes: &mut Notes) {
    if spec.flag("paused", notes) == Some(true) {
        notes.lost(
            "spec.paused",
            "it is no part of a spec: `sluice rollout pause`",
        );
    }
    spec.all_lost(
        &[
            ("restartAt", "`kubectl rollout restart` of the Deployment"),
            (
                "analysis",
                "the last ten runs are kept, each with its analysis",
            ),
        ],
        notes,
    );
}
