//! The EnvoyFilters of plugins that are annotated as native, written by whoever leads: as soon as a
//! plugin changes, and once a minute in case somebody else changed one.
//!
//! What is written, and when it is not, is [`crate::store::kubernetes::native`]'s. A controller does
//! it only where it was told to: whoever may write EnvoyFilters may do anything to proxies.

use std::sync::Arc;
use std::time::Duration;

use futures::StreamExt as _;
use futures::stream::FuturesUnordered;
use kube::Resource as _;
use kube::api::ListParams;
use kube::runtime::events::{Event, EventType};
use tokio::time::{Instant, sleep_until, timeout};

use super::context::Context;
use super::mirrors::{Done, MAX_MIRRORED_AT_ONCE, RESYNC};
use super::served::Named;
use crate::cluster::custom;
use crate::cluster::plugins::{self, LivePlugin, Scope};
use crate::cluster::{Cluster, code, words};
use crate::model::native::annotations::NATIVE;
use crate::model::native::envoy_filter::{FIELD, mirror_name};
use crate::model::plugin::Kind;
use crate::rollout::logged::{Entry, Occasion};
use crate::store::kubernetes::native::{ENVOY_FILTER, mirror};

/// How long one may take. Chosen: some requests, each of which may be slow.
const PATIENCE: Duration = Duration::from_secs(30);

/// How often it is looked whether this process leads.
const LOOK_EVERY: Duration = Duration::from_millis(250);

/// Writes them; it never ends.
pub(super) async fn keep(context: Arc<Context>, namespace: Option<String>) {
    tokio::join!(write(&context), sweep(&context, namespace.as_deref()));
}

async fn write(context: &Context) {
    let mirrors = &context.mirrors;
    let mut under_way = FuturesUnordered::new();
    loop {
        tokio::select! {
            () = mirrors.changed() => {}
            () = sleep_until(Instant::now() + LOOK_EVERY) => {}
            Some((plugin, done)) = under_way.next(), if !under_way.is_empty() => {
                if let Some(why) = mirrors.done(&plugin, &done, Instant::now()) {
                    say(context, &plugin, done, &why);
                }
            }
        }
        if !context.leads() {
            continue;
        }
        let room = MAX_MIRRORED_AT_ONCE.saturating_sub(under_way.len());
        for plugin in mirrors.take(room, Instant::now()) {
            under_way.push(async {
                let done = timeout(PATIENCE, one(context, &plugin)).await;
                let late =
                    |_| Done::Failed(format!("not done within {} s", PATIENCE.as_secs()), None);
                let done = done.unwrap_or_else(late);
                (plugin, done)
            });
        }
    }
}

/// Finds what is left of plugins whose annotation went while nobody watched: once it leads, and
/// again and again.
async fn sweep(context: &Context, namespace: Option<&str>) {
    let mut next = Instant::now();
    loop {
        tokio::time::sleep(LOOK_EVERY).await;
        if !context.mirrors.is_on() || !context.leads() {
            next = Instant::now();
        } else if next <= Instant::now() {
            find(context, namespace).await;
            next = Instant::now() + RESYNC;
        }
    }
}

async fn find(context: &Context, namespace: Option<&str>) {
    let scope = match namespace {
        Some(namespace) => Scope::Namespace(namespace.to_owned()),
        None => Scope::Everywhere,
    };
    let label = format!("{}={}", FIELD.0, FIELD.1);
    let parameters = ListParams::default().labels(&label);
    let listed = custom::selected(&context.cluster, &ENVOY_FILTER, &scope, &parameters).await;
    // What cannot be listed now is looked for again.
    for filter in listed.unwrap_or_default() {
        let owners = filter.metadata.owner_references.iter().flatten();
        for owner in owners {
            let kinds = [Kind::WasmPlugin, Kind::TrafficExtension];
            let kind = kinds.into_iter().find(|kind| kind.name() == owner.kind);
            let namespace = filter.metadata.namespace.clone();
            if let (Some(kind), Some(namespace)) = (kind, namespace) {
                let plugin = (kind.name(), namespace, owner.name.clone());
                context.mirrors.expect(plugin, Instant::now());
            }
        }
    }
}

/// Makes the EnvoyFilter of one plugin what the plugin says.
async fn one(context: &Context, (kind, namespace, name): &Named) -> Done {
    let kinds = [Kind::WasmPlugin, Kind::TrafficExtension];
    let Some(kind) = kinds.into_iter().find(|known| known.name() == *kind) else {
        return Done::Over;
    };
    let live = match read(&context.cluster, namespace, kind, name).await {
        Ok(Some(live)) => live,
        Ok(None) => return Done::Over,
        Err(why) => return Done::Failed(why, None),
    };
    let annotations = live.object.metadata.annotations.as_ref();
    let is_annotated = annotations.is_some_and(|annotations| annotations.contains_key(NATIVE));
    if !context.mirrors.is_on() {
        let why = "it is annotated as native, and this controller writes no EnvoyFilters: \
                   `sluice controller --native` does, or `sluice set` by who may";
        return match is_annotated {
            true => Done::Failed(why.to_owned(), Some(live.object.into())),
            false => Done::Over,
        };
    }
    match mirror(&context.cluster, &live).await {
        Ok(_) if is_annotated => Done::Good,
        Ok(_) => Done::Over,
        Err(why) => {
            let why = format!("EnvoyFilter {} stays as it is: {why}", mirror_name(name));
            Done::Failed(why, Some(live.object.into()))
        }
    }
}

async fn read(
    cluster: &Cluster,
    namespace: &str,
    kind: Kind,
    name: &str,
) -> Result<Option<LivePlugin>, String> {
    match plugins::read(cluster, namespace, kind, name).await {
        Err(error) if code(&error) == Some(404) => Ok(None),
        read => read.map(Some).map_err(|error| words(&error)),
    }
}

/// Logs why one failed, and says it on the plugin.
fn say(context: &Context, (kind, namespace, name): &Named, done: Done, why: &str) {
    let message = format!("{kind} {namespace}/{name}: {why}");
    context.events.log(Entry::of(Occasion::Native, &message));
    if let Done::Failed(_, Some(object)) = done {
        let event = Event {
            type_: EventType::Warning,
            reason: "NativeNotWritten".to_owned(),
            note: Some(why.to_owned()),
            action: "WriteEnvoyFilter".to_owned(),
            secondary: None,
        };
        let plugin = plugins::resource(match *kind {
            "TrafficExtension" => Kind::TrafficExtension,
            _ => Kind::WasmPlugin,
        });
        context.events.say_of(event, object.object_ref(&plugin));
    }
}
