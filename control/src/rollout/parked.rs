//! Deployments of Rollouts that have no pods now, because no run is under way: whoever sends users
//! there by hand is told that they get 503 until there are some.
//!
//! The Rollout gives such a weight pods, but only once it has seen it. Looked at by the commands that
//! set weights, while they write, so that the answer is of before: it never holds up a write, and
//! where the account may not read Rollouts, or they take too long, nothing is said.

use std::fmt;
use std::time::Duration;

use futures::StreamExt as _;
use kube::api::DynamicObject;
use serde::Deserialize as _;
use serde_json::Value;
use sluice_core::allocation::Percent;

use super::rollouts::ROLLOUTS;
use super::status::Status;
use super::workload::kept::Kept;
use super::world::means;
use crate::cluster::custom::{self, Scope};
use crate::model::change::WeightChange;
use crate::model::weights::Weight;
use crate::operations::MAX_AT_ONCE;
use crate::operations::unserved::MAX_JUDGED_PLUGINS;
use crate::store::kubernetes::Kubernetes;
use crate::store::{AnyStore, Store as _};

/// How long the Rollouts of a namespace may take. Chosen: what is told is worth no longer wait.
const PATIENCE: Duration = Duration::from_secs(2);

/// A Rollout that follows a Deployment which has no pods now.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Parked {
    /// Its namespace.
    namespace: String,
    /// Its name.
    rollout: String,
    /// The plugin, where its spec names one: `NAME` or `KIND/NAME`.
    plugin: Option<String>,
    /// The split that it moves.
    split: String,
    /// The challenger, where its spec names one of several.
    challenger: Option<String>,
    /// The Deployment that has the challenger's pods.
    deployment: String,
}

impl fmt::Display for Parked {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            namespace,
            rollout,
            split,
            deployment,
            ..
        } = self;
        write!(
            formatter,
            "Deployment {deployment} in {namespace} has no pods while no run of Rollout {rollout} is under way: whoever \
             these weights send there gets 503 until the Rollout has given it pods and they are ready; `sluice abort \
             {split}` takes them back"
        )
    }
}

impl Parked {
    /// That of a Rollout as the API server has it; `None` where its Deployment has pods, or may.
    fn of(object: &DynamicObject) -> Option<Self> {
        let (metadata, spec) = (&object.metadata, &object.data["spec"]);
        let text = |field: &str| spec[field].as_str().map(str::to_owned);
        let deployment = spec.pointer("/workload/deployment");
        let deployment = deployment.and_then(Value::as_str)?.to_owned();
        let status = Status::deserialize(&object.data["status"]).ok()?;
        let has_none = |kept: &Kept| {
            kept.is_parked && kept.given.is_none() && kept.handing_back_of(&deployment).is_none()
        };
        let is_between_runs = status.under_way().is_none();
        let is_parked = is_between_runs && status.workload.as_ref().is_some_and(has_none);
        is_parked.then_some(())?;
        Some(Self {
            namespace: metadata.namespace.clone()?,
            rollout: metadata.name.clone()?,
            plugin: text("plugin"),
            split: text("split")?,
            challenger: text("challenger"),
            deployment,
        })
    }

    /// Whether changes send users to it.
    pub fn is_meant_by(&self, changes: &[WeightChange]) -> bool {
        let mut changes = changes.iter();
        changes.any(|change| {
            let named = self.challenger.as_ref();
            let is_some = matches!(change.to, Weight::Percent(percent) if percent > Percent::ZERO);
            change.key.split == self.split
                && named.is_none_or(|challenger| *challenger == change.key.challenger)
                && is_some
        })
    }
}

/// The Rollouts of a plugin whose Deployments have no pods now; of a directory, none.
pub async fn parked(store: &AnyStore) -> Vec<Parked> {
    let Some(store) = store.in_cluster() else {
        return Vec::new();
    };
    let looked = tokio::time::timeout(PATIENCE, look(store)).await;
    looked.ok().flatten().unwrap_or_default()
}

/// The same of several plugins, in their order: of as many as a change of many plugins is judged for,
/// and of the others none.
pub async fn parked_of_each(stores: &[AnyStore]) -> Vec<Vec<Parked>> {
    let looks = stores.iter().take(MAX_JUDGED_PLUGINS).map(parked);
    futures::stream::iter(looks)
        .buffered(MAX_AT_ONCE)
        .collect()
        .await
}

async fn look(store: &Kubernetes) -> Option<Vec<Parked>> {
    let scope = Scope::Namespace(store.namespace().to_owned());
    let listed = custom::list(store.cluster(), &ROLLOUTS, &scope)
        .await
        .ok()?;
    let mut parked: Vec<Parked> = listed.iter().filter_map(Parked::of).collect();
    if parked.iter().any(|parked| parked.plugin.is_some()) {
        let own = store.named(&store.snapshot().await.ok()?)?;
        parked.retain(|parked| {
            let named = parked.plugin.as_ref();
            named.is_none_or(|named| means(named, &own))
        });
    }
    Some(parked)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn rollout(spec: Value, status: Value) -> Option<Parked> {
        let object = json!({
            "apiVersion": "sluice.dev/v1alpha1", "kind": "Rollout",
            "metadata": {"name": "web", "namespace": "shop"}, "spec": spec, "status": status,
        });
        Parked::of(&serde_json::from_value(object).unwrap())
    }

    fn following() -> Value {
        json!({"split": "web", "workload": {"deployment": "web"}, "preset": "progressive"})
    }

    fn at_rest() -> Value {
        json!({"phase": "Idle", "workload": {"isParked": true, "isAtRest": true}})
    }

    #[test]
    fn a_deployment_has_no_pods_only_where_its_rollout_took_them_away() {
        let run = json!({
            "number": 1, "version": "web:v2 (02)", "began": "2026-11-21T09:00:00Z", "step": 0,
            "since": "2026-11-21T09:00:00Z", "weights": {}, "wanted": {}, "stage": "Holding",
        });
        let handing = json!({"deployment": "web", "stage": "Scaling"});
        let cases = [
            ("at rest", at_rest(), true),
            ("no status", Value::Null, false),
            ("with pods", json!({"workload": {"isAtRest": true}}), false),
            (
                "in a run",
                json!({"workload": {"isParked": true}, "run": run}),
                false,
            ),
            (
                "given pods by hand",
                json!({"workload": {"isParked": true, "given": "2026-11-21T09:00:00Z"}}),
                false,
            ),
            (
                "handed back",
                json!({"workload": {"isParked": true, "handingBack": handing}}),
                false,
            ),
        ];
        for (label, status, expected) in cases {
            let found = rollout(following(), status);
            assert_eq!(found.is_some(), expected, "{label}");
        }
        let no_workload = json!({"split": "web", "version": "v1", "preset": "progressive"});
        assert_eq!(rollout(no_workload, at_rest()), None);
    }

    #[test]
    fn weights_above_zero_of_its_split_and_challenger_mean_it() {
        let change = |split: &str, challenger: &str, to: f64| -> WeightChange {
            let change = json!({
                "split": split, "audience": "everyone", "challenger": challenger, "from": 1, "to": to,
            });
            serde_json::from_value(change).unwrap()
        };
        let mut named = following();
        named["challenger"] = json!("canary");
        let any = rollout(following(), at_rest()).unwrap();
        let named = rollout(named, at_rest()).unwrap();
        let cases = [
            ("sent there", change("web", "canary", 5.0), [true, true]),
            ("taken away", change("web", "canary", 0.0), [false, false]),
            (
                "another split",
                change("api", "canary", 5.0),
                [false, false],
            ),
            (
                "another challenger",
                change("web", "beta", 5.0),
                [true, false],
            ),
        ];
        for (label, change, expected) in cases {
            let changes = [change];
            let meant = [&any, &named].map(|parked| parked.is_meant_by(&changes));
            assert_eq!(meant, expected, "{label}");
        }
    }
}
