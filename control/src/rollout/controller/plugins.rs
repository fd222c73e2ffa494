//! Which plugins change: Rollouts that move their weights are then looked at, at once and not when
//! they would be by themselves. That a hand edit or an abort is seen does not hang on it.
//!
//! Of a plugin only what it wants is kept, for who watches ([`super::served`]).

use std::borrow::Cow;
use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use futures::StreamExt as _;
use kube::Resource;
use kube::api::{Api, ObjectMeta};
use kube::core::ApiResource;
use kube::runtime::WatchStreamExt as _;
use kube::runtime::watcher::{self, Event, watcher};
use serde::Deserialize;
use serde_json::Value;
use tokio::time::Instant;

use super::context::Context;
use super::served::{self, Wanted};
use crate::cluster::pause::Pause;
use crate::cluster::plugins::resource;
use crate::model::native::annotations::NATIVE;
use crate::model::plugin::Kind;

/// How long a watch that failed is left alone at most. Chosen as of a look that failed; a cluster that
/// lacks one of the kinds is asked for it that often.
pub(super) const LONGEST_PAUSE: Duration = Duration::from_secs(10);

/// How long one watch lasts. Chosen: shorter than a connection may be silent.
pub(super) const WATCH_SECONDS: u32 = 10;

/// How many plugins are listed at once. Chosen: each may have a megabyte, and they are kept until what
/// they want was read.
const LISTED_AT_ONCE: u32 = 50;

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
        let config = watcher::Config::default()
            .timeout(WATCH_SECONDS)
            .page_size(LISTED_AT_ONCE);
        let changes = watcher(api.clone(), config).backoff(Pause::up_to(LONGEST_PAUSE));
        let mut changes = std::pin::pin!(changes);
        let mut listed = BTreeSet::new();
        while let Some(change) = changes.next().await {
            match change {
                Ok(Event::Init) => listed.clear(),
                Ok(Event::InitApply(named)) => {
                    listed.insert(named.plugin(kind));
                    tell(context, kind, named).await;
                }
                Ok(Event::InitDone) => {
                    context.served.retain(kind, &listed);
                    context.mirrors.retain(kind, &listed);
                }
                Ok(Event::Apply(named)) => tell(context, kind, named).await,
                Ok(Event::Delete(named)) => {
                    let plugin = named.plugin(kind);
                    context.poke(&plugin.1, Some(&plugin.2));
                    context.mirrors.forget(&plugin);
                    context.served.note(plugin, None);
                }
                Err(error) if is_absent(&error) => break,
                Err(_) => {}
            }
        }
        context.served.retain(kind, &BTreeSet::new());
        tokio::time::sleep(ABSENT).await;
    }
}

/// Has a plugin's Rollouts looked at, and remembers what it wants where its spec changed. That may take
/// a second, and holds nobody else up.
async fn tell(context: &Context, kind: Kind, named: Named) {
    let (plugin, version) = (named.plugin(kind), named.version());
    context.poke(&plugin.1, Some(&plugin.2));
    context
        .mirrors
        .note(&plugin, named.is_native(), Instant::now());
    if context.served.knows(&plugin, version.as_ref()) {
        return;
    }
    let read = move || Wanted::of(&named.spec).map(|wanted| wanted.at(version));
    // A reader that panics has read nothing.
    let wanted = tokio::task::spawn_blocking(read).await.ok().flatten();
    context.served.note(plugin, wanted);
}

fn is_absent(error: &watcher::Error) -> bool {
    match error {
        watcher::Error::InitialListFailed(kube::Error::Api(status)) => {
            matches!(status.code, 403 | 404)
        }
        _ => false,
    }
}

/// A plugin of which nothing matters but which one it is, and its spec until it has been read.
#[derive(Clone, Debug, Deserialize)]
struct Named {
    metadata: ObjectMeta,
    #[serde(default, deserialize_with = "served::spec")]
    spec: Value,
}

impl Named {
    fn plugin(&self, kind: Kind) -> served::Named {
        let metadata = &self.metadata;
        let namespace = metadata.namespace.clone().unwrap_or_default();
        let name = metadata.name.clone().unwrap_or_default();
        (kind.name(), namespace, name)
    }

    /// Whether it says anything of being native.
    fn is_native(&self) -> bool {
        let annotations = self.metadata.annotations.as_ref();
        annotations.is_some_and(|annotations| annotations.contains_key(NATIVE))
    }

    fn version(&self) -> Option<served::Version> {
        let metadata = &self.metadata;
        metadata.uid.clone().zip(metadata.generation)
    }
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
