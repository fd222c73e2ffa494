use super::*;
use crate::model::input;

mod argo;
mod flagger;

/// What documents became, by the reader that `sluice import` has too.
fn carried_from(yaml: &str) -> Carried {
    carried(&input::parse("f", yaml).unwrap(), &Known::default())
}

/// The Rollout's spec, where there is one Rollout and our own reader takes it.
fn spec(carried: &Carried) -> &Value {
    assert_eq!(carried.problems, [""; 0]);
    &carried.documents.last().unwrap()["spec"]
}

/// Whether some line says all of these parts.
fn says(carried: &Carried, parts: &[&str]) -> bool {
    let mut notes = carried.notes.iter();
    notes.any(|note| parts.iter().all(|part| note.contains(part)))
}

#[test]
fn two_of_one_name_keep_their_own_splits() {
    let canary = |namespace: &str| {
        format!(
            "apiVersion: flagger.app/v1beta1
kind: Canary
metadata: {{name: web, namespace: {namespace}}}
spec:
  targetRef: {{kind: Deployment, name: web}}
  service: {{}}
  analysis: {{stepWeights: [50]}}
"
        )
    };
    let all = [canary("a"), canary("b"), canary("b")].join("---\n");
    let carried = carried_from(&all);
    let names: Vec<&String> = carried.splits.keys().collect();
    assert_eq!(names, ["web", "web-b"]);
    assert_eq!(carried.documents.len(), 2);
    assert_eq!(carried.documents[1]["spec"]["split"], "web-b");
    assert!(says(
        &carried,
        &["Canary b/web: not carried over: metadata.name: a Rollout of this name is there already"]
    ));
}

#[test]
fn namesakes_are_numbered() {
    let canary = |name: &str| {
        format!(
            "apiVersion: flagger.app/v1beta1
kind: Canary
metadata: {{name: {name}, namespace: a}}
spec:
  targetRef: {{kind: Deployment, name: web}}
  service: {{name: web}}
  analysis: {{stepWeights: [50]}}
"
        )
    };
    let carried = carried_from(&["a", "b", "c", "d"].map(canary).join("---\n"));
    let splits = carried.documents.iter();
    let splits: Vec<&Value> = splits.map(|rollout| &rollout["spec"]["split"]).collect();
    assert_eq!(splits, ["web", "web-a", "web-2", "web-3"]);
}

#[test]
fn what_our_reader_refuses_is_a_problem() {
    let carried = carried_from(
        "apiVersion: flagger.app/v1beta1
kind: Canary
metadata: {name: web}
spec:
  targetRef: {kind: Deployment, name: Web_1}
  service: {name: web}
  analysis: {stepWeights: [50]}
",
    );
    assert_eq!(
        carried.problems,
        [
            "Canary web: in the Rollout: spec.workload.deployment: \"Web_1\"; accepted: a Deployment's name, of at most 246 bytes"
        ]
    );
}
