//! What `sluice rollout run` keeps in a cluster: a ConfigMap for each Rollout, in its namespace. The
//! status is written by the process that runs it, what people asked for is an annotation, as a
//! Rollout's of a controller.
//!
//! A ConfigMap, since a cluster without a controller need not know Rollouts.

use anyhow::{Context as _, bail};
use kube::api::{DynamicObject, ListParams};
use serde_json::{Value, json};

use super::kept::{Kept, MAX_KEPT_BYTES};
use crate::cluster::custom::{self, Kind, Scope};
use crate::cluster::{Cluster, code, words};

/// The kind of what is kept.
pub const CONFIG_MAPS: Kind = Kind {
    api_version: "v1",
    kind: "ConfigMap",
    plural: "configmaps",
};

/// The label that tells those of ours; its value is [`ROLLOUT`].
const LABEL: &str = "sluice.dev/kept";

/// Its value.
const ROLLOUT: &str = "rollout";

/// The key of the Rollout in it.
const KEY: &str = "rollout.json";

/// The key of the process that wrote it last.
const WRITER: &str = "writer";

/// How often a status is written anew because a command came first. Chosen: a person gives one at a
/// time.
const MAX_KEPT_ANEW: usize = 5;

/// The name of a Rollout's ConfigMap, and of the Lease that says which process runs it.
pub fn map_name(rollout: &str) -> String {
    format!("sluice-rollout-{rollout}")
}

/// The ConfigMap of a Rollout; `None` where there is none.
///
/// # Errors
/// The API server's.
pub async fn get(
    cluster: &Cluster,
    namespace: &str,
    rollout: &str,
) -> kube::Result<Option<DynamicObject>> {
    custom::get(cluster, &CONFIG_MAPS, namespace, &map_name(rollout)).await
}

/// Every ConfigMap of ours.
///
/// # Errors
/// The API server's.
pub async fn all(cluster: &Cluster, scope: &Scope) -> kube::Result<Vec<DynamicObject>> {
    let ours = ListParams::default().labels(&format!("{LABEL}={ROLLOUT}"));
    custom::selected(cluster, &CONFIG_MAPS, scope, &ours).await
}

/// What one keeps.
///
/// # Errors
/// When it is none of ours.
pub fn kept(map: &DynamicObject) -> anyhow::Result<Kept> {
    let name = map.metadata.name.as_deref().unwrap_or_default();
    let not_ours = || {
        format!(
            "ConfigMap {name}: not what `sluice rollout` keeps; with it gone, the run begins anew"
        )
    };
    let text = text(map).filter(|text| text.len() <= MAX_KEPT_BYTES);
    let text = text.with_context(not_ours)?;
    let kept: Kept = serde_json::from_str(text).with_context(not_ours)?;
    if map_name(&kept.rollout.name) != name {
        let found = kept.rollout.name;
        return Err(anyhow::anyhow!("it is of Rollout {found:?}")).with_context(not_ours);
    }
    Ok(kept)
}

/// What one keeps, whatever it is.
pub fn as_it_stands(map: &DynamicObject) -> Option<Value> {
    let text = text(map).filter(|text| text.len() <= MAX_KEPT_BYTES)?;
    serde_json::from_str(text).ok()
}

fn text(map: &DynamicObject) -> Option<&str> {
    map.data.get("data")?.get(KEY)?.as_str()
}

fn writer(map: &DynamicObject) -> Option<&str> {
    map.data.get("data")?.get(WRITER)?.as_str()
}

/// Keeps a Rollout in place of what was read; what is there then. The writer has a name of its own,
/// by which it knows a write whose answer was lost.
///
/// # Errors
/// When another process kept something meanwhile, or the API server refuses.
pub async fn keep(
    cluster: &Cluster,
    namespace: &str,
    read: Option<&DynamicObject>,
    kept: &Kept,
    own_name: &str,
) -> anyhow::Result<DynamicObject> {
    let (name, title) = (map_name(&kept.rollout.name), &kept.rollout.name);
    let data = json!({KEY: serde_json::to_string(kept)?, WRITER: own_name});
    let mut read = read.cloned();
    for _ in 0..MAX_KEPT_ANEW {
        let written = match &read {
            Some(read) => {
                let change = json!({"data": data});
                custom::merge(cluster, &CONFIG_MAPS, read, change).await
            }
            None => {
                let labels = json!({LABEL: ROLLOUT, "app.kubernetes.io/managed-by": "sluice"});
                let map = json!({
                    "apiVersion": CONFIG_MAPS.api_version, "kind": CONFIG_MAPS.kind,
                    "metadata": {"name": name, "labels": labels}, "data": data,
                });
                custom::create(cluster, &CONFIG_MAPS, namespace, &map).await
            }
        };
        match written {
            Ok(map) => return Ok(map),
            // A command came first, or somebody deleted it; or another process runs the Rollout.
            Err(error) if matches!(code(&error), Some(404 | 409)) => {}
            Err(error) => return Err(explained(cluster, title, error)),
        }
        let now = get(cluster, namespace, title).await;
        let now = now.map_err(|error| explained(cluster, title, error))?;
        let is_anothers = |now: &DynamicObject| {
            text(now) != read.as_ref().and_then(text) && writer(now) != Some(own_name)
        };
        if now.as_ref().is_some_and(is_anothers) {
            bail!("ConfigMap {name}: somebody else wrote what is kept of Rollout {title}");
        }
        read = now;
    }
    bail!("ConfigMap {name}: others were first {MAX_KEPT_ANEW} times")
}

/// What a failed request for a Rollout's ConfigMap means.
pub fn explained(cluster: &Cluster, rollout: &str, error: kube::Error) -> anyhow::Error {
    refused(cluster, format!("ConfigMap {}", map_name(rollout)), error)
}

/// What a failed request of `sluice rollout run` means.
pub fn refused(cluster: &Cluster, doing: String, error: kube::Error) -> anyhow::Error {
    if code(&error) == Some(403) {
        let why = words(&error);
        return anyhow::anyhow!(
            "{doing}: not allowed: {why}; the Role in wasmplugin/controller/foreground.yaml has what `sluice rollout \
             run` needs"
        );
    }
    cluster.explain(doing, error).into()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rollout::peers::Summary;

    fn map(name: &str, text: &str) -> DynamicObject {
        let map = json!({"metadata": {"name": name}, "data": {KEY: text}});
        serde_json::from_value(map).unwrap()
    }

    #[test]
    fn what_was_kept_is_read_and_everything_else_is_named() {
        let of_web = Kept {
            rollout: Summary {
                name: "web".to_owned(),
                ..Summary::default()
            },
            ..Kept::default()
        };
        let text = serde_json::to_string(&of_web).unwrap();
        assert_eq!(kept(&map("sluice-rollout-web", &text)).unwrap(), of_web);
        let huge = format!("{text}{}", " ".repeat(MAX_KEPT_BYTES));
        for (name, text) in [
            ("sluice-rollout-web", "{"),
            ("sluice-rollout-web", r#"{"status": {"phase": "Fine"}}"#),
            ("sluice-rollout-web", &huge),
            ("sluice-rollout-api", &text),
        ] {
            let error = kept(&map(name, text)).unwrap_err().to_string();
            let expected = format!(
                "ConfigMap {name}: not what `sluice rollout` keeps; with it gone, the run begins anew"
            );
            assert_eq!(error, expected);
        }
    }
}
