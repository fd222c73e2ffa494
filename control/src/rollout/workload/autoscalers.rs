//! The autoscalers of a Rollout's Deployments in a cluster: read seldom and in pages, and the copy's
//! written as ours.

use std::time::Duration;

use kube::api::{Api, DeleteParams, DynamicObject, ListParams, Patch, PatchParams, Preconditions};
use kube::core::{ApiResource, GroupVersionKind};
use parking_lot::Mutex;
use serde_json::{Value, json};
use tokio::time::Instant;

use super::Workload;
use super::autoscaler::{API_VERSION, Autoscalers, autoscalers};
use super::remembered::MANAGER;
use crate::cluster::Cluster;
use crate::model::workload::ROLLOUT_LABEL;

/// How often they are read. Chosen: nobody waits for it, and they seldom change.
const EVERY: Duration = Duration::from_secs(30);

/// How many autoscalers of a namespace are looked at. Chosen: a namespace of a team has dozens.
const MAX_AUTOSCALERS: usize = 500;

/// How many one answer has. Chosen: half a megabyte at most but for what nobody writes by hand.
const MAX_AUTOSCALERS_PAGE: u32 = 50;

/// What was read of them, and when.
#[derive(Debug)]
struct Read {
    at: Instant,
    seen: Vec<Value>,
}

/// The autoscalers of one Rollout's namespace.
#[derive(Debug)]
pub(super) struct Scalers {
    api: Api<DynamicObject>,
    rollout: String,
    read: Mutex<Option<Read>>,
}

impl Scalers {
    /// Those of a Rollout in the cluster's namespace.
    pub(super) fn of(cluster: &Cluster, rollout: &str) -> Self {
        let (group, version) = API_VERSION.split_once('/').unwrap_or_default();
        let kind = GroupVersionKind::gvk(group, version, "HorizontalPodAutoscaler");
        let resource = ApiResource::from_gvk(&kind);
        let client = cluster.client().clone();
        Self {
            api: Api::namespaced_with(client, cluster.namespace(), &resource),
            rollout: rollout.to_owned(),
            read: Mutex::default(),
        }
    }

    /// What is seen of them; where they cannot be read, nothing is done about them.
    pub(super) async fn look(&self, workload: &Workload, is_copied: bool) -> Autoscalers {
        let known = {
            let read = self.read.lock();
            let read = read.as_ref().filter(|read| read.at.elapsed() < EVERY);
            read.map(|read| read.seen.clone())
        };
        let seen = match known {
            Some(seen) => seen,
            None => {
                let seen = self.listed(workload).await.unwrap_or_default();
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
        let matters = |object: &Value| {
            let target = &object["spec"]["scaleTargetRef"]["name"];
            *target == *workload.deployment
                || *target == *copy
                || object["metadata"]["name"] == *copy
        };
        let mut parameters = ListParams::default().limit(MAX_AUTOSCALERS_PAGE);
        let mut matter = Vec::new();
        let mut looked_at = 0;
        while looked_at < MAX_AUTOSCALERS {
            let page = self.api.list(&parameters).await?;
            looked_at += page.items.len().max(1);
            let items = page.items.into_iter().map(whole);
            matter.extend(items.filter(|object| matters(object)));
            match page.metadata.continue_.filter(|token| !token.is_empty()) {
                Some(token) => parameters.continue_token = Some(token),
                None => break,
            }
        }
        Ok(matter)
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
            let seen = known.as_ref().map(|known| &*known.seen).unwrap_or_default();
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
            "apiVersion": API_VERSION, "kind": "HorizontalPodAutoscaler",
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

fn whole(object: DynamicObject) -> Value {
    let mut whole = object.data;
    let metadata = object.metadata;
    whole["metadata"] =
        json!({"name": metadata.name, "uid": metadata.uid, "labels": metadata.labels});
    whole
}
