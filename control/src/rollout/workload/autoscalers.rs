//! The autoscalers of a Rollout's Deployments in a cluster: read seldom, and the copy's written as ours.

use std::time::Duration;

use kube::api::{Api, DeleteParams, DynamicObject, Patch, PatchParams, Preconditions};
use kube::core::{ApiResource, GroupVersionKind};
use parking_lot::Mutex;
use serde_json::{Value, json};
use tokio::time::Instant;

use super::Workload;
use super::autoscaler::{API_VERSION, Autoscalers, KIND, autoscalers};
use super::remembered::MANAGER;
use crate::cluster::routes::search;
use crate::cluster::{Cluster, code};
use crate::model::workload::ROLLOUT_LABEL;

/// How often they are read. Chosen: nobody waits for it, and they seldom change.
const EVERY: Duration = Duration::from_secs(30);

/// How long it may take. Chosen: whether pods are ready is looked at in the same two seconds.
const PATIENCE: Duration = Duration::from_millis(300);

/// How many are taken that matter. Chosen: one scales the Deployment, one its copy.
const MAX_SCALERS: usize = 16;

/// What was read of them, and when.
#[derive(Debug)]
struct Read {
    at: Instant,
    seen: Vec<Value>,
}

/// The autoscalers of one Rollout's namespace.
#[derive(Debug)]
pub(super) struct Scalers {
    cluster: Cluster,
    api: Api<DynamicObject>,
    rollout: String,
    read: Mutex<Option<Read>>,
}

impl Scalers {
    /// Those of a Rollout in the cluster's namespace.
    pub(super) fn of(cluster: &Cluster, rollout: &str) -> Self {
        let (group, version) = API_VERSION.split_once('/').unwrap_or_default();
        let kind = GroupVersionKind::gvk(group, version, KIND);
        let resource = ApiResource::from_gvk(&kind);
        let client = cluster.client().clone();
        Self {
            api: Api::namespaced_with(client, cluster.namespace(), &resource),
            cluster: cluster.clone(),
            rollout: rollout.to_owned(),
            read: Mutex::default(),
        }
    }

    /// What is seen of them; where they cannot be read, what was seen before.
    pub(super) async fn look(&self, workload: &Workload, is_copied: bool) -> Autoscalers {
        let known = {
            let read = self.read.lock();
            read.as_ref().map(|read| (read.at, read.seen.clone()))
        };
        let seen = match known {
            Some((at, seen)) if at.elapsed() < EVERY => seen,
            known => {
                let former = || known.map(|(_, seen)| seen).unwrap_or_default();
                let listing = tokio::time::timeout(PATIENCE, self.listed(workload));
                let listed = listing.await.ok().and_then(Result::ok);
                let seen = listed.unwrap_or_else(former);
                *self.read.lock() = Some(Read {
                    at: Instant::now(),
                    seen: seen.clone(),
                });
                seen
            }
        };
        let copy = workload.copy();
        autoscalers(
            &seen,
            [&workload.deployment, &copy],
            &self.rollout,
            is_copied,
        )
    }

    /// Those of the Deployment, of its copy, and of the copy's name.
    async fn listed(&self, workload: &Workload) -> kube::Result<Vec<Value>> {
        let copy = workload.copy();
        let matter = |object: &DynamicObject| {
            let target = &object.data["spec"]["scaleTargetRef"]["name"];
            let is_ours = *target == *workload.deployment
                || *target == *copy
                || object.metadata.name.as_ref() == Some(&copy);
            is_ours.then(|| whole(object))
        };
        search(&self.cluster, (API_VERSION, KIND), MAX_SCALERS, matter).await
    }

    /// Gives the copy an autoscaler as the Deployment has one, or takes ours away.
    pub(super) async fn tend(
        &self,
        workload: &Workload,
        wanted: Option<&Value>,
    ) -> kube::Result<()> {
        let name = workload.copy();
        let known = self.read.lock().take();
        let Some(spec) = wanted else {
            let is_own = |object: &&Value| {
                let metadata = &object["metadata"];
                metadata["name"] == *name && metadata["labels"][ROLLOUT_LABEL] == self.rollout
            };
            let seen = match known {
                Some(known) => known.seen,
                None => match self.listed(workload).await {
                    // Whoever may not list them made none.
                    Err(error) if code(&error) == Some(403) => Vec::new(),
                    listed => listed?,
                },
            };
            let Some(own) = seen.iter().find(is_own) else {
                return Ok(());
            };
            let uid = own["metadata"]["uid"].as_str().map(str::to_owned);
            let parameters = DeleteParams {
                preconditions: Some(Preconditions {
                    uid,
                    resource_version: None,
                }),
                ..DeleteParams::default()
            };
            return self.api.delete(&name, &parameters).await.map(drop);
        };
        let object = json!({
            "apiVersion": API_VERSION, "kind": KIND,
            "metadata": {
                "name": name,
                "labels": {"app.kubernetes.io/managed-by": "sluice", ROLLOUT_LABEL: self.rollout},
            },
            "spec": spec,
        });
        let parameters = PatchParams::apply(MANAGER).force();
        let patched = self
            .api
            .patch(&name, &parameters, &Patch::Apply(&object))
            .await;
        patched.map(drop)
    }
}

fn whole(object: &DynamicObject) -> Value {
    let metadata = &object.metadata;
    json!({
        "metadata": {"name": metadata.name, "uid": metadata.uid, "labels": metadata.labels},
        "spec": object.data["spec"],
    })
}
