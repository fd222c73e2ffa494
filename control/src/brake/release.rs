//! Brakes as people see them, and their release.

use anyhow::{Context as _, bail};
use jiff::Timestamp;
use kube::api::{Api, ListParams, Patch, PatchParams};
use serde_json::json;

use super::object::{Brake, Heard, Noted, State};
use super::watching::brakes;
use crate::cluster::Cluster;
use crate::operations::Caller;

/// The most Brakes of a namespace that are listed; see docs/limits.md.
pub const MAX_SHOWN: usize = 10_000;

/// How many are asked for at once.
const PAGE: u32 = 500;

/// A brake as people see it.
#[derive(Clone, Debug, PartialEq)]
pub struct Shown {
    /// The plugin's name.
    pub plugin: String,
    /// The split.
    pub split: String,
    /// The challenger; `None`: every one.
    pub challenger: Option<String>,
    /// Who gave it.
    pub by: String,
    /// Why.
    pub reason: Option<String>,
    /// Since when.
    pub since: Option<Timestamp>,
    /// Whether it is on.
    pub state: State,
    /// How many proxies ask, and how many have heard.
    pub heard: Heard,
    /// Why the zeros are not written yet.
    pub message: Option<String>,
}

impl Shown {
    fn of(brake: &Brake) -> Self {
        let spec = brake.spec.clone();
        let created = brake.metadata.creation_timestamp.as_ref();
        let message = brake
            .status
            .as_ref()
            .and_then(|status| status.message.clone());
        Self {
            plugin: spec.plugin,
            split: spec.split,
            challenger: spec.challenger,
            by: spec.by,
            reason: spec.reason,
            since: created.map(|time| time.0),
            state: brake.state(),
            heard: brake.heard(),
            message: message.filter(|_| brake.state() == State::On),
        }
    }
}

async fn all(cluster: &Cluster) -> anyhow::Result<Vec<Brake>> {
    let api = brakes(cluster, Some(cluster.namespace()));
    let all = all_of(&api).await;
    let all = all.map_err(|error| cluster.explain("the Brakes", error))?;
    let Some(all) = all else {
        bail!(
            "namespace {} has more than {MAX_SHOWN} Brakes; of ended ones those of the last hour stay",
            cluster.namespace()
        );
    };
    Ok(all)
}

/// All that there are; `None` where these are too many.
pub(super) async fn all_of(api: &Api<Brake>) -> kube::Result<Option<Vec<Brake>>> {
    let mut all = Vec::new();
    let mut page = ListParams::default().limit(PAGE);
    while all.len() < MAX_SHOWN {
        let listed = api.list(&page).await?;
        all.extend(listed.items);
        match listed.metadata.continue_.filter(|next| !next.is_empty()) {
            Some(next) => page = page.continue_token(&next),
            None => return Ok(Some(all)),
        }
    }
    Ok(None)
}

/// The brakes of the cluster's namespace.
///
/// # Errors
/// The API server's.
pub async fn list(cluster: &Cluster) -> anyhow::Result<Vec<Shown>> {
    Ok(all(cluster).await?.iter().map(Shown::of).collect())
}

/// Those of one plugin that are on, or were written of late.
///
/// # Errors
/// The API server's.
pub async fn in_force(cluster: &Cluster, plugin: &str) -> anyhow::Result<Vec<Shown>> {
    let mut all = list(cluster).await?;
    all.retain(|shown| {
        let may_hold = matches!(shown.state, State::On | State::Written);
        may_hold && shown.plugin == plugin
    });
    Ok(all)
}

/// Which brakes of a namespace are meant.
#[derive(Clone, Copy, Debug)]
pub struct Which<'w> {
    /// Of this plugin; of each where none is named.
    pub plugin: Option<&'w str>,
    /// Of these splits; of each where none is named.
    pub splits: &'w [String],
}

/// Releases those that proxies may have.
///
/// # Errors
/// The API server's; brakes before the one that failed are released.
pub async fn release(
    cluster: &Cluster,
    caller: &Caller,
    which: Which<'_>,
) -> anyhow::Result<Vec<Shown>> {
    let api = brakes(cluster, Some(cluster.namespace()));
    let mut released = Vec::new();
    let mut all = all(cluster).await?;
    all.retain(|brake| which.has(brake));
    // The admission policy takes no other name.
    let by = cluster.caller().await;
    let by = by.unwrap_or_else(|| caller.name.clone());
    for brake in all {
        let name = brake
            .metadata
            .name
            .as_deref()
            .context("a Brake without a name")?;
        let release = Noted {
            at: caller.now().to_string(),
            by: by.clone(),
        };
        let patch = Patch::Merge(json!({"spec": {"released": release}}));
        let patched = api.patch(name, &PatchParams::default(), &patch).await;
        let patched = patched.map_err(|error| cluster.explain(format!("Brake {name}"), error))?;
        released.push(Shown::of(&patched));
    }
    Ok(released)
}

impl Which<'_> {
    /// Whether a brake is meant, and one that proxies may have: also one that is over, as long as a proxy
    /// has not seen other weights.
    fn has(self, brake: &Brake) -> bool {
        let is_of_split = self.splits.is_empty() || self.splits.contains(&brake.spec.split);
        let is_of_plugin = self.plugin.is_none_or(|plugin| plugin == brake.spec.plugin);
        is_of_split && is_of_plugin && brake.state() != State::Released
    }
}

#[cfg(test)]
mod tests {
    use serde_json::Value;

    use super::*;

    fn brake(released: Value, status: Value) -> Brake {
        let spec = json!({
            "plugin": "sluice", "split": "web", "challenger": "canary", "by": "ann", "reason": "errors",
            "released": released,
        });
        let metadata = json!({"namespace": "shop", "creationTimestamp": "2026-01-01T00:00:00Z"});
        serde_json::from_value(json!({"metadata": metadata, "spec": spec, "status": status}))
            .unwrap()
    }

    #[test]
    fn what_proxies_may_have_is_released_and_nothing_else() {
        let at = "2026-01-01T00:01:00Z";
        let released = json!({"at": at, "by": "bob"});
        let (none, both) = (Vec::new(), ["other".to_owned(), "web".to_owned()]);
        let cases = [
            ("on, of all", Value::Null, Value::Null, &none[..], true),
            ("on, of this", Value::Null, Value::Null, &both[..], true),
            (
                "on, of another",
                Value::Null,
                Value::Null,
                &both[..1],
                false,
            ),
            (
                "written",
                Value::Null,
                json!({"written": at}),
                &none[..],
                true,
            ),
            (
                "over",
                Value::Null,
                json!({"written": at, "isOver": true}),
                &none[..],
                true,
            ),
            (
                "raised",
                Value::Null,
                json!({"written": at, "isRaised": true}),
                &none[..],
                false,
            ),
            ("released", released, Value::Null, &none[..], false),
        ];
        for (label, released, status, splits, expected) in cases {
            let brake = brake(released, status);
            for (plugin, is_its) in [(None, true), (Some("sluice"), true), (Some("other"), false)] {
                let which = Which { plugin, splits };
                assert_eq!(which.has(&brake), expected && is_its, "{label}, {plugin:?}");
            }
        }
    }

    #[test]
    fn a_brake_is_shown_with_all_who_have_heard_and_why_it_is_not_written() {
        let replicas =
            json!({"a": {"asking": 3, "following": 2}, "b": {"asking": 4, "following": 4}});
        let shown = |written: Value| {
            let status = json!({"replicas": replicas, "message": "no istiod", "written": written});
            Shown::of(&brake(Value::Null, status))
        };
        let expected = Shown {
            plugin: "sluice".to_owned(),
            split: "web".to_owned(),
            challenger: Some("canary".to_owned()),
            by: "ann".to_owned(),
            reason: Some("errors".to_owned()),
            since: "2026-01-01T00:00:00Z".parse().ok(),
            state: State::On,
            heard: Heard {
                asking: 7,
                following: 6,
            },
            message: Some("no istiod".to_owned()),
        };
        assert_eq!(shown(Value::Null), expected);
        let written = Shown {
            state: State::Written,
            message: None,
            ..expected
        };
        assert_eq!(shown(json!("2026-01-01T00:01:00Z")), written);
    }
}
