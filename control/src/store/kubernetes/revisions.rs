//! The history of a plugin in a cluster: one ControllerRevision a change, owned by the plugin.
//!
//! A change's number is the plugin's generation after it: the API server counts it, so two writers
//! never get the same one, and their order is the order in which the changes took effect.

use std::collections::{BTreeMap, BTreeSet};

use k8s_openapi::api::apps::v1::ControllerRevision;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::OwnerReference;
use k8s_openapi::apimachinery::pkg::runtime::RawExtension;
use kube::Client;
use kube::api::{Api, DeleteParams, ListParams, ObjectMeta, PostParams};

use super::split_change::SplitChange;
use crate::cluster::code;
use crate::cluster::plugins::LivePlugin;
use crate::model::plugin::API_VERSION;
use crate::store::Note;
use crate::store::history::{Entry, KEPT};

/// The label that holds the plugin's uid.
const PLUGIN: &str = "sluice.dev/plugin-uid";

/// Every change that is remembered, oldest first.
pub(super) async fn read(client: &Client, live: &LivePlugin) -> kube::Result<Vec<Entry>> {
    let mut revisions = list(client, live).await?;
    revisions.sort_by_key(|revision| revision.revision);
    let entry = |revision: ControllerRevision| {
        let mut entry: Entry = serde_json::from_value(revision.data?.0).ok()?;
        entry.revision = u64::try_from(revision.revision).ok()?;
        Some(entry)
    };
    Ok(revisions.into_iter().filter_map(entry).collect())
}

/// Remembers what was applied, with the plugin's generation after it, and forgets what is too old.
/// The change is made already, so this never fails: it says what could not be remembered.
pub(super) async fn record(
    client: &Client,
    live: &LivePlugin,
    applied: &[(&SplitChange, Option<i64>)],
) -> Vec<Note> {
    if applied.is_empty() {
        return Vec::new();
    }
    let before = live.object.metadata.generation.unwrap_or_default();
    let foreign = applied
        .iter()
        .filter_map(|(change, _)| Some((before, change.foreign.as_ref()?)));
    let own = applied
        .iter()
        .filter_map(|(change, generation)| Some(((*generation)?, &change.entry)));
    let (telling, silent): (Vec<_>, Vec<_>) = own.partition(|(_, entry)| !entry.changes.is_empty());
    let mut known = BTreeSet::from([before]);
    // A patch that changed nothing was answered with the number of one that did.
    let own = telling
        .into_iter()
        .chain(silent)
        .filter(|(number, _)| known.insert(*number));
    for (number, entry) in foreign.chain(own) {
        if let Err(error) = create(client, live, number, entry).await {
            return vec![not_remembered(&error)];
        }
    }
    match forget(client, live).await {
        Ok(()) => Vec::new(),
        Err(error) if code(&error) == Some(403) => Vec::new(),
        Err(error) => vec![Note::NotForgotten {
            why: error.to_string(),
        }],
    }
}

fn not_remembered(error: &kube::Error) -> Note {
    let why = match error {
        kube::Error::Api(status) => status.message.clone(),
        other => other.to_string(),
    };
    Note::NotRemembered {
        why,
        is_forbidden: code(error) == Some(403),
    }
}

async fn create(
    client: &Client,
    live: &LivePlugin,
    number: i64,
    entry: &Entry,
) -> kube::Result<()> {
    let metadata = &live.object.metadata;
    let (name, uid) = (
        metadata.name.clone().unwrap_or_default(),
        metadata.uid.clone().unwrap_or_default(),
    );
    let mut entry = entry.clone();
    entry.revision = u64::try_from(number).unwrap_or_default();
    let owner = OwnerReference {
        api_version: API_VERSION.to_owned(),
        kind: live.plugin.kind.name().to_owned(),
        name: name.clone(),
        uid: uid.clone(),
        ..OwnerReference::default()
    };
    let short_name: String = name.chars().take(200).collect();
    let short_uid: String = uid.chars().take(8).collect();
    let revision = ControllerRevision {
        metadata: ObjectMeta {
            name: Some(format!("{short_name}-{short_uid}-{number}")),
            labels: Some(BTreeMap::from([(PLUGIN.to_owned(), uid)])),
            owner_references: Some(vec![owner]),
            ..ObjectMeta::default()
        },
        data: Some(RawExtension(
            serde_json::to_value(&entry).map_err(kube::Error::SerdeError)?,
        )),
        revision: number,
    };
    match api(client, live)
        .create(&PostParams::default(), &revision)
        .await
    {
        Ok(_) => Ok(()),
        // Somebody else noticed the same foreign change.
        Err(error) if code(&error) == Some(409) => Ok(()),
        Err(error) => Err(error),
    }
}

async fn forget(client: &Client, live: &LivePlugin) -> kube::Result<()> {
    let mut revisions = list(client, live).await?;
    revisions.sort_by_key(|revision| revision.revision);
    let surplus = revisions.len().saturating_sub(KEPT);
    for revision in revisions.into_iter().take(surplus) {
        let name = revision.metadata.name.unwrap_or_default();
        match api(client, live)
            .delete(&name, &DeleteParams::default())
            .await
        {
            Ok(_) => {}
            Err(error) if code(&error) == Some(404) => {}
            Err(error) => return Err(error),
        }
    }
    Ok(())
}

async fn list(client: &Client, live: &LivePlugin) -> kube::Result<Vec<ControllerRevision>> {
    let uid = live.object.metadata.uid.as_deref().unwrap_or_default();
    let selected = ListParams::default().labels(&format!("{PLUGIN}={uid}"));
    Ok(api(client, live).list(&selected).await?.items)
}

fn api(client: &Client, live: &LivePlugin) -> Api<ControllerRevision> {
    Api::namespaced(
        client.clone(),
        live.object
            .metadata
            .namespace
            .as_deref()
            .unwrap_or_default(),
    )
}
