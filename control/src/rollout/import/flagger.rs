//! Flagger's Canary (flagger.app/v1beta1) as a split and a Rollout.
//!
//! The primary is the fallback `stable`, the Deployment of the Canary the challenger `canary`: as in
//! a Rollout with a workload, whose copy `NAME-stable` takes the place of Flagger's `NAME-primary`.

mod alerts;
mod canary;
mod metrics;
mod steps;
mod webhooks;

use std::collections::BTreeSet;

use serde_json::Map;

use super::documents::Documents;
use super::fields::Fields;
use super::found::{Found, Known};
use super::notes::Notes;
use super::split::{Routes, Rule};
use super::written;
use crate::model::input::Input;
pub(super) use canary::GROUP;
use canary::{AB_TEST, Canary};
use steps::Tried;

/// What becomes of a Canary.
pub(super) fn canary(
    documents: &Documents<'_>,
    input: &Input,
    known: &Known,
    notes: &mut Notes,
) -> Option<Found> {
    notes.about(input);
    written::metadata(input, notes);
    let mut spec = Fields::of("spec", input.value.get("spec").cloned(), notes);
    let mut canary = Canary::new(documents, input, known, &mut spec, notes);
    let analysis_field = match spec.has("analysis") {
        true => "analysis",
        false => "canaryAnalysis",
    };
    let mut analysis = spec.map(analysis_field, notes).unwrap_or_default();
    let is_skipped = spec.flag("skipAnalysis", notes) == Some(true);
    let matches = analysis.list("match", notes);
    let rules = match matches.is_empty() {
        true => Vec::new(),
        false => vec![Rule {
            name: AB_TEST.to_owned(),
            matches,
            path: analysis.at("match"),
        }],
    };
    let hosts = canary.service(&mut spec, notes);
    let routes = Routes {
        name: canary.service.clone(),
        namespace: canary.namespace.clone(),
        hosts,
        rules,
    };
    let split = routes.split(notes)?;
    let mut rollout = Map::new();
    canary.workload(&mut spec, &mut rollout, notes);
    let tried = Tried::of(&routes, &split.1);
    let plan = steps::read(&mut analysis, tried, is_skipped, notes);
    rollout.insert(
        "steps".to_owned(),
        written::steps(&plan.steps, &analysis.at("stepWeights"), notes),
    );
    metrics::read(&mut canary, &mut analysis, &plan, &mut rollout, notes);
    webhooks::read(&mut analysis, &mut rollout, notes);
    alerts::read(&mut canary, &mut analysis, &mut rollout, notes);
    affinity(&mut analysis, notes);
    analysis.end(notes);
    rest(&mut spec, notes);
    spec.end(notes);
    notes.said("spec", NEXT);
    let rollout = written::rollout(input, &split.0, rollout, notes);
    Some(Found {
        split,
        deployment: None,
        rollout,
        used: BTreeSet::new(),
    })
}

/// What a person does with what was written.
const NEXT: &str = "before the Rollout is applied: the label sluice.dev/variant: canary in the Deployment's template, the \
                    split in a plugin, and the subsets and routes that `sluice render SPLIT --workload DEPLOYMENT` \
                    writes; then delete the Canary with revertOnDeletion, which gives the Deployment its pods back";

/// Flagger's stickiness, which a split has by itself.
fn affinity(analysis: &mut Fields, notes: &mut Notes) {
    let why = "a split is sticky by itself, by the identity of its users and without a cookie for each run; \
               splits.NAME.identity and cookie say by what";
    analysis.lost("sessionAffinity", why, notes);
}

/// What is left of a Canary's spec.
fn rest(spec: &mut Fields, notes: &mut Notes) {
    if let Some(provider) = spec.text("provider", notes)
        && !provider.starts_with("istio")
    {
        let why = "Istio's proxies split, and its metrics count";
        notes.lost("spec.provider", format!("{provider:.80}: {why}"));
    }
    if let Some(mut scaler) = spec.map("autoscalerRef", notes) {
        let kind = scaler.text("kind", notes).unwrap_or_default();
        scaler.take("name");
        scaler.take("apiVersion");
        match kind.as_str() {
            "HorizontalPodAutoscaler" => notes.said(
                "spec.autoscalerRef",
                "the controller keeps one like it for NAME-stable by itself",
            ),
            _ => notes.lost(
                "spec.autoscalerRef",
                format!("{kind:.80}: only a HorizontalPodAutoscaler is followed; scale NAME-stable by one of its own"),
            ),
        }
        let why = "NAME-stable gets the same autoscaler; write one of its own for another";
        scaler.all_lost(
            &[
                ("primaryScalerQueries", why),
                ("primaryScalerReplicas", why),
            ],
            notes,
        );
        scaler.end(notes);
    }
    if spec.flag("suspend", notes) == Some(true) {
        notes.lost(
            "spec.suspend",
            "it is no part of a spec: `sluice rollout pause`",
        );
    }
    if spec.take("revertOnDeletion").is_some() {
        let why = "deleting a Rollout changes nothing; `sluice rollout release` hands everything back first";
        notes.lost("spec.revertOnDeletion", why);
    }
    spec.all_lost(
        &[
            ("upstreamRef", "it is Gloo's"),
            ("primaryMetadata", "NAME-stable has the template's metadata"),
        ],
        notes,
    );
}
