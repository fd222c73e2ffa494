//! The EnvoyFilter of a plugin that is annotated as native, kept as the plugin is: made, changed on
//! what was read of it, and deleted when the annotation goes.
//!
//! The plugin is the truth, and is written first. Of two writers the one that saw the older
//! generation of the plugin never overwrites what the other wrote. Called by every write of weights,
//! by `sluice apply` and by the controller.

use std::collections::BTreeMap;
use std::time::Duration;

use kube::api::DynamicObject;
use serde_json::{Value, json};
use tokio::time::Instant;

use crate::cluster::custom::{self, Kind};
use crate::cluster::plugins::LivePlugin;
use crate::cluster::{Cluster, code, words};
use crate::model::native::annotations::{Library, NATIVE, REFETCH, wanted};
use crate::model::native::envoy_filter::{FIELD, NativePlugin, envoy_filter, mirror_name};
use crate::model::native::refusal::NativeError;
use crate::model::plugin::API_VERSION;
use crate::model::resources::plugin::Scope;
use crate::store::Note;

/// The kind that is written.
pub const ENVOY_FILTER: Kind = Kind {
    api_version: "networking.istio.io/v1alpha3",
    kind: "EnvoyFilter",
    plural: "envoyfilters",
};

/// The annotation with the plugin's generation of which the EnvoyFilter is.
const GENERATION: &str = "sluice.dev/generation";

/// How often it is tried to write what others write. Chosen: a write takes milliseconds, and each
/// that overtakes is a newer one.
const MAX_MIRROR_TRIES: usize = 10;

/// How long a command waits for the EnvoyFilter in all, its own write or a controller's. Chosen: some
/// times what a controller takes.
const PATIENCE: Duration = Duration::from_secs(5);

/// How often it is looked whether a controller has written it.
const LOOK_EVERY: Duration = Duration::from_millis(100);

/// What became of a plugin's EnvoyFilter.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Mirrored {
    /// The plugin is not native, and nothing of it was there.
    Off,
    /// It was deleted: the plugin is not native any more.
    Deleted,
    /// It says already what it should, or what a newer plugin says.
    Unchanged,
    /// It was written.
    Written,
}

/// Why the EnvoyFilter is not as the plugin is; what stands there stays.
#[derive(Debug, thiserror::Error)]
pub enum NotMirrored {
    /// The plugin cannot be native as it is.
    #[error("{0}")]
    Refused(#[from] NativeError),
    /// Somebody else has one of this name.
    #[error(
        "there is an EnvoyFilter of this name that is not the plugin's: it has no label {}={}, or \
         another owner",
        FIELD.0,
        FIELD.1
    )]
    Others,
    /// This account may not write it.
    #[error("this account may not: {0}")]
    Forbidden(String),
    /// The API server refused it, or did not answer.
    #[error("{0}")]
    Failed(String),
}

impl From<kube::Error> for NotMirrored {
    fn from(error: kube::Error) -> Self {
        match code(&error) {
            Some(401 | 403) => Self::Forbidden(words(&error)),
            _ => Self::Failed(words(&error)),
        }
    }
}

/// Whether a plugin says anything of being native, be it nonsense.
pub fn is_annotated(live: &LivePlugin) -> bool {
    annotations(live).is_some_and(|annotations| annotations.contains_key(NATIVE))
}

fn annotations(live: &LivePlugin) -> Option<&BTreeMap<String, String>> {
    live.object.metadata.annotations.as_ref()
}

/// Makes the EnvoyFilter of a plugin what the plugin says.
///
/// # Errors
/// Why it could not be.
pub async fn mirror(cluster: &Cluster, live: &LivePlugin) -> Result<Mirrored, NotMirrored> {
    let none = BTreeMap::new();
    let library = wanted(annotations(live).unwrap_or(&none))?;
    let document = library
        .map(|library| document(live, &library))
        .transpose()?;
    let (namespace, name) = (live.namespace(), mirror_name(live.name()));
    let mut last = None;
    for _ in 0..MAX_MIRROR_TRIES {
        let present = custom::get(cluster, &ENVOY_FILTER, namespace, &name).await?;
        let sent = match (&document, present) {
            (None, None) => return Ok(Mirrored::Off),
            (None, Some(present)) if !is_of(&present, live) => return Ok(Mirrored::Off),
            (None, Some(present)) => {
                let deleted = custom::delete(cluster, &ENVOY_FILTER, &present).await;
                deleted.map(|()| Mirrored::Deleted)
            }
            (Some(_), Some(present)) if !is_of(&present, live) => return Err(NotMirrored::Others),
            (Some(document), Some(present))
                if is_newer(&present, live) || is_same(&present, document) =>
            {
                return Ok(Mirrored::Unchanged);
            }
            (Some(document), Some(present)) => {
                let change = replacing(document);
                let merged = custom::merge(cluster, &ENVOY_FILTER, &present, change).await;
                merged.map(|_| Mirrored::Written)
            }
            (Some(document), None) => {
                let made = custom::create(cluster, &ENVOY_FILTER, namespace, document).await;
                made.map(|_| Mirrored::Written)
            }
        };
        match sent {
            Err(error) if matches!(code(&error), Some(404 | 409)) => last = Some(error),
            sent => return Ok(sent?),
        }
    }
    let why = last.map_or_else(String::new, |error| words(&error));
    Err(NotMirrored::Failed(format!(
        "others write it again and again: {why}"
    )))
}

/// What is to be written.
fn document(live: &LivePlugin, library: &Library) -> Result<Value, NativeError> {
    let plugin = NativePlugin {
        kind: live.plugin.kind,
        namespace: live.namespace(),
        name: live.name(),
        scope: scope(live)?,
        config: &live.plugin.config,
        pushed: annotations(live).and_then(|all| Some(all.get(REFETCH)?.as_str())),
    };
    let mut document = envoy_filter(&plugin, library)?;
    let metadata = &mut document["metadata"];
    metadata["annotations"] = json!({GENERATION: live.generation().to_string()});
    metadata["ownerReferences"] = json!([{
        "apiVersion": API_VERSION, "kind": live.plugin.kind.name(), "name": live.name(),
        "uid": live.uid(),
    }]);
    Ok(document)
}

fn scope(live: &LivePlugin) -> Result<Scope, NativeError> {
    let spec = json!({"spec": without_config(&live.object)});
    Scope::read(&spec).map_err(|error| NativeError::Field(error.to_string()))
}

/// The spec without its largest part.
fn without_config(object: &DynamicObject) -> Value {
    let fields = object.data.get("spec").and_then(Value::as_object);
    let fields = fields.into_iter().flatten();
    let fields = fields.filter(|(name, _)| !["pluginConfig", "wasm"].contains(&name.as_str()));
    Value::Object(
        fields
            .map(|(name, value)| (name.clone(), value.clone()))
            .collect(),
    )
}

/// Whether an EnvoyFilter is the plugin's: ours by its label, and of no other kind of plugin.
fn is_of(present: &DynamicObject, live: &LivePlugin) -> bool {
    let labels = present.metadata.labels.as_ref();
    let is_ours = labels
        .and_then(|labels| labels.get(FIELD.0))
        .is_some_and(|by| by == FIELD.1);
    let mut owners = present.metadata.owner_references.iter().flatten();
    is_ours
        && owners.all(|owner| {
            (owner.kind.as_str(), owner.name.as_str()) == (live.plugin.kind.name(), live.name())
        })
}

/// Whether it is of a later state of this very plugin.
fn is_newer(present: &DynamicObject, live: &LivePlugin) -> bool {
    let mut owners = present.metadata.owner_references.iter().flatten();
    owners.any(|owner| owner.uid == live.uid())
        && generation(present).is_some_and(|generation| generation > live.generation())
}

fn generation(present: &DynamicObject) -> Option<i64> {
    let annotations = present.metadata.annotations.as_ref()?;
    annotations.get(GENERATION)?.parse().ok()
}

fn is_same(present: &DynamicObject, document: &Value) -> bool {
    let owners = present.metadata.owner_references.as_ref();
    let owner = owners.and_then(|owners| owners.first());
    let wanted = &document["metadata"];
    present.data.get("spec") == Some(&document["spec"])
        && generation(present)
            .map(|generation| generation.to_string())
            .as_deref()
            == wanted["annotations"][GENERATION].as_str()
        && owner.map(|owner| owner.uid.as_str()) == wanted["ownerReferences"][0]["uid"].as_str()
}

/// What a merge patch must say so that it is this document: nothing else stays in the spec (RFC
/// 7396: null removes a field).
fn replacing(document: &Value) -> Value {
    let metadata = &document["metadata"];
    let mut spec = json!({"workloadSelector": null, "targetRefs": null, "priority": null});
    for (name, value) in document["spec"].as_object().into_iter().flatten() {
        spec[name] = value.clone();
    }
    json!({
        "metadata": {
            "labels": metadata["labels"], "annotations": metadata["annotations"],
            "ownerReferences": metadata["ownerReferences"],
        },
        "spec": spec,
    })
}

/// The same after a write of the plugin: done, or waited for where a controller must do it; what a
/// person should know of it. Nothing is done for a plugin that says nothing of being native.
pub async fn follow(cluster: &Cluster, live: &LivePlugin) -> Vec<Note> {
    if !is_annotated(live) {
        return Vec::new();
    }
    let filter = format!(
        "EnvoyFilter {}/{}",
        live.namespace(),
        mirror_name(live.name())
    );
    let ends = Instant::now() + PATIENCE;
    let not_mirrored = |why: String| {
        let filter = filter.clone();
        vec![Note::NotMirrored { filter, why }]
    };
    match tokio::time::timeout_at(ends, mirror(cluster, live)).await {
        Err(_) => not_mirrored(format!("no answer in {} s", PATIENCE.as_secs())),
        Ok(Ok(_)) => Vec::new(),
        Ok(Err(why @ NotMirrored::Forbidden(_))) => match until_mirrored(cluster, live, ends).await
        {
            Some(true) => Vec::new(),
            Some(false) => {
                let seconds = PATIENCE.as_secs();
                let nor = format!("{why}; nor has a controller written it within {seconds} s");
                not_mirrored(nor)
            }
            None => vec![Note::MirrorUnseen { filter }],
        },
        Ok(Err(why)) => not_mirrored(why.to_string()),
    }
}

/// Waits until somebody has written what this state of the plugin says; `None`: this account may not
/// look.
async fn until_mirrored(cluster: &Cluster, live: &LivePlugin, ends: Instant) -> Option<bool> {
    let name = mirror_name(live.name());
    loop {
        let looked = custom::get(cluster, &ENVOY_FILTER, live.namespace(), &name);
        match tokio::time::timeout_at(ends, looked).await {
            Ok(Ok(Some(present)))
                if generation(&present).is_some_and(|seen| seen >= live.generation()) =>
            {
                return Some(true);
            }
            Ok(Err(error)) if matches!(code(&error), Some(401 | 403)) => return None,
            _ => {}
        }
        if Instant::now() + LOOK_EVERY >= ends {
            return Some(false);
        }
        tokio::time::sleep(LOOK_EVERY).await;
    }
}
