//! The pods of Argo's Rollout: the Deployment that it names, or one made of the template in it.

use std::time::Duration;

use serde_json::{Map, Value, json};

use super::super::documents::DEPLOYMENT;
use super::super::fields::Fields;
use super::super::length;
use super::super::notes::Notes;
use super::super::split::CANARY;
use super::resource::{Read, Source};
use crate::model::workload::VARIANT_LABEL;
use crate::rollout::resource::MAX_WINDOW_RUNS;

/// Writes `workload`, and returns a Deployment where the template stands in the Rollout.
pub(super) fn read(
    source: &Source<'_>,
    spec: &mut Fields,
    read: &mut Read,
    rollout: &mut Map<String, Value>,
    notes: &mut Notes,
) -> Option<Value> {
    let deadline = seconds(spec, "progressDeadlineSeconds", notes);
    let progress = spec.take("progressDeadlineAbort");
    if progress == Some(Value::Bool(false)) {
        notes.lost(
            "spec.progressDeadlineAbort",
            "pods that are not ready in time fail the run",
        );
    }
    let window = spec.map("rollbackWindow", notes);
    let (deployment, document) = match spec.map("workloadRef", notes) {
        Some(reference) => {
            spec.all_lost(
                &[
                    (
                        "replicas",
                        "the copy has as many pods as the Deployment had when it was taken over",
                    ),
                    ("selector", "the Deployment has its own"),
                    ("template", "the Deployment has its own"),
                    ("minReadySeconds", "the Deployment has its own"),
                    ("revisionHistoryLimit", "the Deployment has its own"),
                ],
                notes,
            );
            (referred(source, reference, notes)?, None)
        }
        None => of_template(source, spec, notes)?,
    };
    let mut workload = json!({"deployment": deployment});
    let lengths = [("progressDeadline", deadline), ("drain", read.drain)];
    for (field, length) in lengths {
        if let Some(length) = length.and_then(length::written) {
            workload[field] = json!(length);
        }
    }
    for (field, service) in ["activeService", "previewService"]
        .iter()
        .zip(&read.services)
    {
        if let Some(service) = service {
            workload[*field] = json!(service);
        }
    }
    if read.is_full {
        workload["scale"] = json!("full");
    }
    if let Some(mut window) = window {
        if let Some(runs) = window.whole("revisions", notes) {
            let most = i64::from(MAX_WINDOW_RUNS);
            if runs > most {
                notes.lost(
                    &window.at("revisions"),
                    format!("{runs}; accepted: at most {most}"),
                );
            }
            if runs > 0 {
                workload["rollbackWindow"] = json!({"runs": runs.min(most)});
            }
        }
        window.end(notes);
    }
    rollout.insert("workload".to_owned(), workload);
    document
}

/// A field with a number of seconds.
pub(super) fn seconds(fields: &mut Fields, name: &str, notes: &mut Notes) -> Option<Duration> {
    #[expect(clippy::cast_precision_loss, reason = "seconds that somebody waits")]
    let seconds = fields.whole(name, notes).map(|seconds| seconds as f64);
    length::of_seconds(seconds?)
}

fn referred(source: &Source<'_>, mut reference: Fields, notes: &mut Notes) -> Option<String> {
    let name = reference.text("name", notes).unwrap_or_default();
    let kind = reference.text("kind", notes).unwrap_or_default();
    reference.take("apiVersion");
    reference.lost(
        "scaleDown",
        "the Deployment's own pods are the canary's: it stays, and is scaled by the controller",
        notes,
    );
    reference.end(notes);
    if kind != "Deployment" {
        notes.lost(
            "spec.workloadRef",
            format!("kind {kind:.80}: a Rollout follows Deployments alone"),
        );
        return None;
    }
    let given = source.beside(DEPLOYMENT, &name);
    if given.is_some_and(|(_, input)| input.value.pointer("/spec/replicas") == Some(&json!(0))) {
        notes.said(
            "spec.workloadRef",
            format!("Deployment {name:.80} has 0 replicas in Git: give it as many as serve before the Rollout takes it over"),
        );
    }
    Some(name)
}

/// The Deployment that stands in the Rollout: the template with the label of the challenger.
fn of_template(
    source: &Source<'_>,
    spec: &mut Fields,
    notes: &mut Notes,
) -> Option<(String, Option<Value>)> {
    let name = source.input.name().unwrap_or("rollout").to_owned();
    let Some(mut template) = spec.take("template").filter(Value::is_object) else {
        notes.lost(
            "spec.template",
            "neither a template nor a workloadRef: no pods are followed",
        );
        return None;
    };
    if !template["metadata"].is_object() {
        template["metadata"] = json!({});
    }
    if !template["metadata"]["labels"].is_object() {
        template["metadata"]["labels"] = json!({});
    }
    template["metadata"]["labels"][VARIANT_LABEL] = json!(CANARY);
    let mut selector = spec
        .take("selector")
        .filter(Value::is_object)
        .unwrap_or_else(|| json!({}));
    if !selector["matchLabels"].is_object() {
        selector["matchLabels"] = json!({});
    }
    selector["matchLabels"][VARIANT_LABEL] = json!(CANARY);
    let mut deployment = json!({"selector": selector, "template": template});
    for field in ["replicas", "minReadySeconds", "revisionHistoryLimit"] {
        if let Some(value) = spec.take(field) {
            deployment[field] = value;
        }
    }
    let mut metadata = json!({"name": name});
    if let Some(namespace) = source.input.namespace() {
        metadata["namespace"] = json!(namespace);
    }
    notes.said(
        "spec.template",
        format!("it became Deployment {name}, whose selector and template have the label {VARIANT_LABEL}: {CANARY}"),
    );
    let document = json!({"apiVersion": "apps/v1", "kind": "Deployment", "metadata": metadata, "spec": deployment});
    Some((name, Some(document)))
}
