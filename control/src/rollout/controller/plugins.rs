//! Which plugins change: Rollouts that move their weights are then looked at, at once and not when
//! they would be by themselves. That a hand edit or an abort is seen does not hang on it.
//!
//! Nothing is stored: of a plugin only its name is read.

use std::borrow::Cow;
use std::sync::Arc;
use std::time::Duration;

use futures::StreamExt as _;
use kube::Resource;
use kube::api::{Api, ObjectMeta};
use kube::core::ApiResource;
use kube::runtime::WatchStreamExt as _;
use kube::runtime::watcher::{self, watcher};
use serde::Deserialize;

use super::context::Context;
use crate::cluster::pause::Pause;
use crate::cluster::plugins::resource;
use crate::model::plugin::Kind;

/// How long a watch that failed is left alone at most. Chosen as of a look that failed; a cluster that
/// lacks one of the kinds is asked for it that often.
pub(super) const LONGEST_PAUSE: Duration = Duration::from_secs(10);

/// How long one watch lasts. Chosen: shorter than a connection may be silent.
pub(super) const WATCH_SECONDS: u32 = 10;

/// How often a kind is asked for that the cluster does not know, or that may not be watched.
const ABSENT: Duration = Duration::from_secs(60);

/// Tells of every plugin that changes; it never ends.
pub(super) async fn poke(context: Arc<Context>, namespace: Option<String>) {
    let kinds = [Kind::WasmPlugin, Kind::TrafficExtension];
    let watches = kinds.map(|kind| watch(&context, namespace.as_deref(), kind));
    futures::future::join_all(watches).await;
}

async fn watch(context: &Context, namespace: Option<&str>, kind: Kind) {
    let (client, resource) = (context.cluster.client().clone(), resource(kind));
    let api: Api<Named> = match namespace {
        Some(namespace) => Api::namespaced_with(client, namespace, &resource),
        None => Api::all_with(client, &resource),
    };
    loop {
        let config = watcher::Config::default().timeout(WATCH_SECONDS);
        let changes = watcher(api.clone(), config)
            .touched_objects()
            .backoff(Pause::up_to(LONGEST_PAUSE));
        let mut changes = std::pin::pin!(changes);
        while let Some(change) = changes.next().await {
            match change {
                Ok(Named { metadata, .. }) => {
                    let namespace = metadata.namespace.unwrap_or_default();
                    context.poke(&namespace, metadata.name.as_deref());
                }
                Err(error) if is_absent(&error) => break,
                Err(_) => {}
            }
        }
        tokio::time::sleep(ABSENT).await;
    }
}

fn is_absent(error: &watcher::Error) -> bool {
    match error {
        watcher::Error::InitialListFailed(kube::Error::Api(status)) => {
            matches!(status.code, 403 | 404)
        }
        _ => false,
    }
}

/// A plugin of which nothing matters but which one it is.
#[derive(Clone, Debug, Deserialize)]
struct Named {
    metadata: ObjectMeta,
}

impl Resource for Named {
    type DynamicType = ApiResource;
    type Scope = kube::core::DynamicResourceScope;

    fn kind(resource: &ApiResource) -> Cow<'_, str> {
        Cow::Borrowed(&resource.kind)
    }

    fn group(resource: &ApiResource) -> Cow<'_, str> {
        Cow::Borrowed(&resource.group)
    }

    fn version(resource: &ApiResource) -> Cow<'_, str> {
        Cow::Borrowed(&resource.version)
    }

    fn plural(resource: &ApiResource) -> Cow<'_, str> {
        Cow::Borrowed(&resource.plural)
    }

    fn meta(&self) -> &ObjectMeta {
        &self.metadata
    }

    fn meta_mut(&mut self) -> &mut ObjectMeta {
        &mut self.metadata
    }
}
