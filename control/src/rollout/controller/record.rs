//! Runs that ended, whole: one ControllerRevision each, owned by the Rollout. Nobody watches them,
//! so they cost the API server's disk and nobody's memory.

use std::collections::BTreeMap;

use k8s_openapi::api::apps::v1::ControllerRevision;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::OwnerReference;
use k8s_openapi::apimachinery::pkg::runtime::RawExtension;
use kube::Client;
use kube::api::{Api, DeleteParams, ObjectMeta, PostParams};
use serde_json::{Value, json};

use crate::cluster::code;
use crate::rollout::manifest::{API_VERSION, KIND};
use crate::rollout::object::Rollout;
use crate::rollout::status::{MAX_RUNS, Run};

/// The label that holds the Rollout's uid.
pub const ROLLOUT: &str = "sluice.dev/rollout-uid";

/// The name of a run's revision.
pub fn revision_name(rollout: &Rollout, number: u64) -> String {
    let uid = rollout.uid().get(..8).unwrap_or_default();
    format!("{}-{uid}-run-{number}", rollout.name())
}

/// Remembers a run that is over, with the spec that it went by where that is known, and forgets the
/// one that is one too many. A run that is remembered already stays as it is: nothing of it has
/// changed since.
///
/// # Errors
/// The API server's.
pub(super) async fn remember(
    client: &Client,
    rollout: &Rollout,
    run: &Run,
    spec: Option<&str>,
) -> kube::Result<()> {
    let api: Api<ControllerRevision> = Api::namespaced(client.clone(), rollout.namespace());
    let made = api
        .create(&PostParams::default(), &revision(rollout, run, spec))
        .await;
    match made {
        Err(error) if code(&error) != Some(409) => return Err(error),
        _ => {}
    }
    let Some(old) = run
        .number
        .checked_sub(MAX_RUNS as u64)
        .filter(|old| *old > 0)
    else {
        return Ok(());
    };
    let name = revision_name(rollout, old);
    match api.delete(&name, &DeleteParams::default()).await {
        Err(error) if code(&error) != Some(404) => Err(error),
        _ => Ok(()),
    }
}

fn revision(rollout: &Rollout, run: &Run, spec: Option<&str>) -> ControllerRevision {
    // Beside the rest of the run: what has a spec of its own could be a StatefulSet's.
    let mut whole = json!(run);
    whole["spec"] = spec
        .and_then(|spec| serde_json::from_str(spec).ok())
        .unwrap_or(Value::Null);
    let owner = OwnerReference {
        api_version: API_VERSION.to_owned(),
        kind: KIND.to_owned(),
        name: rollout.name().to_owned(),
        uid: rollout.uid().to_owned(),
        controller: Some(true),
        block_owner_deletion: None,
    };
    ControllerRevision {
        metadata: ObjectMeta {
            name: Some(revision_name(rollout, run.number)),
            labels: Some(BTreeMap::from([(
                ROLLOUT.to_owned(),
                rollout.uid().to_owned(),
            )])),
            owner_references: Some(vec![owner]),
            ..ObjectMeta::default()
        },
        data: Some(RawExtension(
            json!({"rollout": rollout.name(), "run": whole}),
        )),
        revision: run.number.cast_signed(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_revision_holds_a_run_whole_with_the_spec_that_it_went_by() {
        let run = json!({
            "number": 7, "version": "v2", "began": "2026-11-21T00:00:00Z", "since": "2026-11-21T01:00:00Z", "step": 1,
            "stage": "Over", "weights": {"everyone": 100.0}, "wanted": {"everyone": 100.0},
        });
        let rollout = json!({
            "metadata": {"name": "web", "namespace": "shop", "uid": "0123456789abcdef"}, "spec": {"split": "web"},
        });
        let rollout: Rollout = serde_json::from_value(rollout).unwrap();
        let of_run: Run = serde_json::from_value(run.clone()).unwrap();
        let made = revision(&rollout, &of_run, Some(r#"{"split":"web","version":"v2"}"#));
        assert_eq!(made.metadata.name.as_deref(), Some("web-01234567-run-7"));
        let data = made.data.unwrap().0;
        assert_eq!(
            data["run"]["spec"],
            json!({"split": "web", "version": "v2"})
        );
        assert_eq!(data["run"]["weights"], run["weights"]);
        let keys: Vec<&String> = data.as_object().unwrap().keys().collect();
        assert_eq!(
            keys,
            ["rollout", "run"],
            "the policy of the history lets nothing else in"
        );
        let unknown = revision(&rollout, &of_run, None).data.unwrap().0;
        assert_eq!(unknown["run"]["spec"], Value::Null);
    }
}
