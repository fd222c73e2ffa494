//! Which brakes there are: watched by every replica, whoever leads.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use futures::StreamExt as _;
use jiff::Timestamp;
use kube::api::Api;
use kube::runtime::WatchStreamExt as _;
use kube::runtime::reflector::store::Writer;
use kube::runtime::reflector::{self, Store};
use kube::runtime::watcher::{self, watcher};

use super::desk::Desk;
use super::key::held::Shelf;
use super::object::{Brake, Noted, State};
use super::table::Table;
use crate::cluster::Cluster;

/// How often what was released long ago is left out, and who asked long ago is forgotten.
const TIDIED_EVERY: Duration = Duration::from_secs(5);

/// How long one watch lasts. Chosen: shorter than a connection may be silent.
const WATCH_SECONDS: u32 = 10;

/// How many deleted Brakes proxies are told of; of more, the newest.
const MAX_DELETED: usize = 512;

/// Whoever deletes a brake releases it.
fn released(mut brake: Brake, now: Timestamp) -> Brake {
    if brake.state() == State::On {
        brake.spec.released = Some(Noted {
            at: now.to_string(),
            by: String::new(),
        });
    }
    brake
}

/// The Brakes of a cluster, or of one namespace.
pub fn brakes(cluster: &Cluster, namespace: Option<&str>) -> Api<Brake> {
    let client = cluster.client().clone();
    match namespace {
        Some(namespace) => Api::namespaced(client, namespace),
        None => Api::all(client),
    }
}

/// Those that the watch has, and what keeps them: a future that never ends.
pub fn watch(
    api: Api<Brake>,
    desk: Arc<Desk>,
    shelf: Arc<Shelf>,
    clock: fn() -> Timestamp,
) -> (Store<Brake>, impl Future<Output = ()> + Send) {
    let writer = Writer::default();
    let store = writer.as_reader();
    let known = store.clone();
    let watching = async move {
        let config = watcher::Config::default().timeout(WATCH_SECONDS);
        let changes = reflector::reflector(writer, watcher(api, config).default_backoff());
        let mut changes = std::pin::pin!(changes);
        let mut tidied = tokio::time::interval(TIDIED_EVERY);
        let mut are_known = false;
        let mut deleted: VecDeque<Brake> = VecDeque::new();
        let mut given = shelf.given();
        loop {
            tokio::select! {
                change = changes.next() => match change {
                    // A list is known when it is whole.
                    Some(Ok(watcher::Event::Init | watcher::Event::InitApply(_)) | Err(_)) => continue,
                    Some(Ok(watcher::Event::Delete(brake))) => {
                        deleted.truncate(MAX_DELETED - 1);
                        deleted.push_front(released(brake, clock()));
                    }
                    Some(Ok(_)) => are_known = true,
                    None => std::future::pending().await,
                },
                _ = tidied.tick() => desk.forget(),
                // Never closed: the shelf is held here.
                _ = given.changed() => {}
            }
            let number = *given.borrow_and_update();
            let brakes = known.state();
            let brakes: Vec<&Brake> = brakes.iter().map(AsRef::as_ref).chain(&deleted).collect();
            lay(&desk, &shelf, are_known.then_some(brakes), clock());
            shelf.told(number);
        }
    };
    (store, watching)
}

/// Tells proxies of the Brakes that there are, once they are known, and of what the key gave.
pub fn lay(desk: &Desk, shelf: &Shelf, brakes: Option<Vec<&Brake>>, now: Timestamp) {
    let held = shelf.beside(brakes.as_deref().unwrap_or_default(), now);
    match brakes {
        Some(brakes) => desk.lay(Table::of(brakes.into_iter().chain(&held), now)),
        None if held.is_empty() => {}
        None => desk.lay(Table::of_some(&held, now)),
    }
}
