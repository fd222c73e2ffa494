//! Runs that ended, whole: one ControllerRevision each, owned by the Rollout. Nobody watches them,
//! so they cost the API server's disk and nobody's memory.

use std::collections::BTreeMap;

use k8s_openapi::api::apps::v1::ControllerRevision;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::OwnerReference;
use k8s_openapi::apimachinery::pkg::runtime::RawExtension;
use kube::Client;
use kube::api::{Api, DeleteParams, ObjectMeta, PostParams};
use serde_json::json;

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

/// Remembers a run that is about to end, and forgets the one that is one too many. A run that is
/// remembered already stays as it is: its end was decided before, and not kept.
///
/// # Errors
/// The API server's.
pub(super) async fn remember(client: &Client, rollout: &Rollout, run: &Run) -> kube::Result<()> {
    let api: Api<ControllerRevision> = Api::namespaced(client.clone(), rollout.namespace());
    let made = api
        .create(&PostParams::default(), &revision(rollout, run))
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

fn revision(rollout: &Rollout, run: &Run) -> ControllerRevision {
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
        data: Some(RawExtension(json!({"rollout": rollout.name(), "run": run}))),
        revision: run.number.cast_signed(),
    }
}
