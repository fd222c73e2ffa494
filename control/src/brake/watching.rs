//! Which brakes there are: watched by every replica, whoever leads.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use futures::StreamExt as _;
use jiff::{SignedDuration, Timestamp};
use kube::api::{Api, ObjectMeta};
use kube::runtime::WatchStreamExt as _;
use kube::runtime::reflector::store::Writer;
use kube::runtime::reflector::{self, ObjectRef, Store};
use kube::runtime::watcher::{self, watcher};
use tokio::time::Instant;

use super::desk::Desk;
use super::key::held::Shelf;
use super::object::{Brake, Noted, State};
use super::plugin::PluginName;
use super::table::{Page, RELEASED_HOURS, Table};
use crate::cluster::Cluster;
use crate::cluster::pause::Pause;

/// How often what was released long ago is left out, and who asked long ago is forgotten.
const TIDIED_EVERY: Duration = Duration::from_secs(5);

/// How long one watch lasts. Chosen: shorter than a connection may be silent.
const WATCH_SECONDS: u32 = 10;

/// How long a watch that failed is left alone at most. Chosen: the first brake after an API server's
/// return comes sooner than people give up.
const LONGEST_PAUSE: Duration = Duration::from_secs(1);

/// How many deleted Brakes proxies are told of; of more, the newest.
const MAX_DELETED: usize = 512;

/// Whoever deletes a brake releases it.
fn released(brake: Brake, now: Timestamp) -> Brake {
    match brake.state() {
        State::On => released_at(brake, now),
        State::Written | State::Over | State::Released => brake,
    }
}

fn released_at(mut brake: Brake, now: Timestamp) -> Brake {
    brake.spec.released = Some(Noted {
        at: now.to_string(),
        by: String::new(),
    });
    brake
}

/// Whether it is said to have been released so long ago that no proxy would hear of it.
fn is_released_late(brake: &Brake, now: Timestamp) -> bool {
    let told = SignedDuration::from_hours(RELEASED_HOURS);
    let is_past = |ended| now.duration_since(ended) >= told;
    brake.state() == State::Released && brake.ended().is_some_and(is_past)
}

/// Keeps of a brake what is read: whoever gives one can write much beside it.
fn forget_rest(brake: &mut Brake) {
    brake.metadata = ObjectMeta {
        name: brake.metadata.name.take(),
        namespace: brake.metadata.namespace.take(),
        uid: brake.metadata.uid.take(),
        resource_version: brake.metadata.resource_version.take(),
        creation_timestamp: brake.metadata.creation_timestamp.take(),
        deletion_timestamp: brake.metadata.deletion_timestamp.take(),
        ..ObjectMeta::default()
    };
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
    let mut follower = Follower::new(desk, shelf, store.clone());
    let watching = async move {
        let config = watcher::Config::default().timeout(WATCH_SECONDS);
        let changes = watcher(api, config).backoff(Pause::up_to(LONGEST_PAUSE));
        let changes = reflector::reflector(writer, changes.modify(forget_rest));
        let mut changes = std::pin::pin!(changes);
        let mut tidied = tokio::time::interval(TIDIED_EVERY);
        let mut given = follower.shelf.given();
        loop {
            tokio::select! {
                change = changes.next() => match change {
                    Some(Ok(change)) => follower.follow(change, clock()),
                    Some(Err(_)) => follower.fail(),
                    None => std::future::pending().await,
                },
                // Never closed: the shelf is held here.
                _ = given.changed() => {
                    let number = *given.borrow_and_update();
                    follower.lay(clock());
                    follower.shelf.told(number);
                }
                _ = tidied.tick() => follower.tidy(clock()),
            }
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

/// What lays on the desk what the watch has.
struct Follower {
    desk: Arc<Desk>,
    shelf: Arc<Shelf>,
    known: Store<Brake>,
    are_known: bool,
    /// Those that there were when a list began.
    former: Vec<Arc<Brake>>,
    /// With those that were released late.
    deleted: VecDeque<Brake>,
}

impl Follower {
    fn new(desk: Arc<Desk>, shelf: Arc<Shelf>, known: Store<Brake>) -> Self {
        Self {
            desk,
            shelf,
            known,
            are_known: false,
            former: Vec::new(),
            deleted: VecDeque::new(),
        }
    }

    /// A change that the store of those known has already.
    fn follow(&mut self, change: watcher::Event<Brake>, now: Timestamp) {
        match change {
            watcher::Event::Init => self.former = self.known.state(),
            // A list is known when it is whole.
            watcher::Event::InitApply(_) => {}
            watcher::Event::InitDone => {
                self.are_known = true;
                self.desk.reading().succeeded();
                self.miss_deleted(now);
                self.lay(now);
            }
            watcher::Event::Apply(brake) => {
                self.desk.reading().succeeded();
                let plugin = brake.plugin();
                // It was released just now, by a clock that is behind.
                if is_released_late(&brake, now) {
                    self.remember(released_at(brake, now));
                }
                self.turn(&plugin, now);
            }
            watcher::Event::Delete(brake) => {
                self.desk.reading().succeeded();
                let plugin = brake.plugin();
                self.delete(brake, now);
                self.turn(&plugin, now);
            }
        }
    }

    /// Nothing could be read. Who has read nothing yet tells nobody anything.
    fn fail(&self) {
        if self.are_known {
            self.desk.reading().failed(Instant::now());
        }
    }

    /// What a list lacks that was there before was deleted while nobody looked.
    fn miss_deleted(&mut self, now: Timestamp) {
        for former in std::mem::take(&mut self.former) {
            let there = self.known.get(&ObjectRef::from_obj(&*former));
            if there.is_none_or(|there| there.id() != former.id()) {
                self.delete(Brake::clone(&former), now);
            }
        }
    }

    fn delete(&mut self, brake: Brake, now: Timestamp) {
        self.shelf.gone(brake.told_as(), now);
        if self.deleted.iter().all(|former| former.id() != brake.id()) {
            self.remember(released(brake, now));
        }
    }

    fn remember(&mut self, brake: Brake) {
        self.deleted.retain(|former| former.id() != brake.id());
        self.deleted.truncate(MAX_DELETED - 1);
        self.deleted.push_front(brake);
    }

    /// What is said changes with time alone, too.
    fn tidy(&self, now: Timestamp) {
        self.desk.forget();
        self.lay(now);
    }

    fn lay(&self, now: Timestamp) {
        let known = self.known.state();
        let brakes = known.iter().map(AsRef::as_ref).chain(&self.deleted);
        let brakes = self.are_known.then(|| brakes.collect());
        lay(&self.desk, &self.shelf, brakes, now);
    }

    /// The same for the proxies of one plugin.
    fn turn(&self, plugin: &PluginName, now: Timestamp) {
        let known = self.known.state();
        let brakes = known.iter().map(AsRef::as_ref).chain(&self.deleted);
        let mut brakes: Vec<&Brake> = brakes.filter(|brake| brake.is_of(plugin)).collect();
        let held = self.shelf.beside(&brakes, now);
        brakes.extend(held.iter().filter(|brake| brake.is_of(plugin)));
        self.desk.turn(plugin, Page::of(brakes, now));
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};
    use sluice_core::brake::Answer;

    use super::*;
    use crate::brake::key::request::{Counted, Pull};
    use crate::brake::key::uses::Use;
    use crate::brake::object::name_of_key;

    struct Watch {
        writer: Writer<Brake>,
        follower: Follower,
    }

    impl Watch {
        fn begin() -> Self {
            let writer = Writer::default();
            let follower = Follower::new(Arc::default(), Arc::default(), writer.as_reader());
            Self { writer, follower }
        }

        /// As the reflector does: first the store has it, and then who follows.
        fn say(&mut self, change: watcher::Event<Brake>, now: &str) {
            self.writer.apply_watcher_event(&change);
            self.follower.follow(change, now.parse().unwrap());
        }

        /// The ids of those that are on, and of those released, or `None` before they are known.
        fn told(&self, plugin: &str) -> Option<(Vec<String>, Vec<String>)> {
            let page = self
                .follower
                .desk
                .page(&PluginName::of_envoy(plugin).unwrap())?;
            let answer = Answer::read(&page.json, &mut Vec::new()).unwrap();
            let on = answer.brakes.into_iter().map(|brake| brake.id).collect();
            Some((on, answer.released))
        }
    }

    fn brake(plugin: &str, uid: &str, more: &Value) -> Brake {
        let mut spec = json!({"plugin": plugin, "split": "web", "by": "ann"});
        json_patch::merge(&mut spec, more);
        let created = "2026-01-01T00:00:00Z";
        let metadata =
            json!({"namespace": "shop", "name": uid, "uid": uid, "creationTimestamp": created});
        serde_json::from_value(json!({"metadata": metadata, "spec": spec})).unwrap()
    }

    fn of<const N: usize, const M: usize>(
        on: [&str; N],
        released: [&str; M],
    ) -> Option<(Vec<String>, Vec<String>)> {
        Some((
            on.map(str::to_owned).to_vec(),
            released.map(str::to_owned).to_vec(),
        ))
    }

    use watcher::Event::{Apply, Delete, Init, InitApply, InitDone};

    const NOW: &str = "2026-01-01T01:00:00Z";

    #[test]
    fn nothing_is_said_before_the_whole_list_is_read() {
        let mut watch = Watch::begin();
        watch.say(Init, NOW);
        watch.say(InitApply(brake("sluice", "1", &json!({}))), NOW);
        watch.follower.tidy(NOW.parse().unwrap());
        assert_eq!(watch.told("shop.sluice"), None);
        watch.say(InitDone, NOW);
        assert_eq!(watch.told("shop.sluice"), of(["1"], []));
        // A watch that begins anew says nothing less meanwhile.
        watch.say(Init, NOW);
        assert_eq!(watch.told("shop.sluice"), of(["1"], []));
        watch.say(InitDone, NOW);
        assert_eq!(watch.told("shop.sluice"), of([], ["1"]), "it was deleted");
    }

    #[test]
    fn each_change_is_said_to_the_proxies_of_its_plugin() {
        let mut watch = Watch::begin();
        watch.say(Init, NOW);
        watch.say(InitDone, NOW);
        watch.say(Apply(brake("sluice", "1", &json!({}))), NOW);
        watch.say(Apply(brake("sluice", "2", &json!({}))), NOW);
        watch.say(Apply(brake("other", "3", &json!({}))), NOW);
        assert_eq!(watch.told("shop.sluice"), of(["1", "2"], []));
        assert_eq!(watch.told("shop.other"), of(["3"], []));
        let released = json!({"released": {"at": NOW, "by": "bob"}});
        watch.say(Apply(brake("sluice", "2", &released)), NOW);
        assert_eq!(watch.told("shop.sluice"), of(["1"], ["2"]));
        assert_eq!(watch.told("shop.other"), of(["3"], []));
    }

    #[test]
    fn who_deletes_a_brake_that_is_on_releases_it() {
        let mut watch = Watch::begin();
        watch.say(Init, NOW);
        watch.say(InitDone, NOW);
        let written = json!({"written": {"at": NOW, "by": "ann"}});
        for brake in [
            brake("sluice", "1", &json!({})),
            brake("sluice", "2", &written),
        ] {
            watch.say(Apply(brake.clone()), NOW);
            watch.say(Delete(brake), NOW);
        }
        // Whose weights were written is no more released by that than by its age.
        assert_eq!(watch.told("shop.sluice"), of(["2"], ["1"]));
        watch.follower.tidy("2026-01-01T01:00:30Z".parse().unwrap());
        assert_eq!(watch.told("shop.sluice"), of([], ["1"]));
        watch.follower.tidy("2026-01-01T02:00:00Z".parse().unwrap());
        assert_eq!(watch.told("shop.sluice"), of([], []));
    }

    #[test]
    fn a_release_by_a_clock_that_is_behind_is_told_from_when_it_is_seen() {
        for at in ["2025-12-31T23:00:00Z", "now"] {
            let mut watch = Watch::begin();
            watch.say(Init, NOW);
            watch.say(InitApply(brake("sluice", "1", &json!({}))), NOW);
            watch.say(InitDone, NOW);
            let released = json!({"released": {"at": at, "by": "bob"}});
            let released = brake("sluice", "1", &released);
            watch.say(Apply(released.clone()), NOW);
            assert_eq!(watch.told("shop.sluice"), of([], ["1"]), "{at}");
            // Whoever leads holds it for old, too.
            watch.say(Delete(released), NOW);
            watch.follower.tidy("2026-01-01T01:59:59Z".parse().unwrap());
            assert_eq!(watch.told("shop.sluice"), of([], ["1"]), "{at}");
            watch.follower.tidy("2026-01-01T02:00:00Z".parse().unwrap());
            assert_eq!(watch.told("shop.sluice"), of([], []), "{at}");
        }
    }

    #[test]
    fn of_a_brake_nothing_is_kept_that_nobody_reads() {
        let plain = brake("sluice", "1", &json!({}));
        let mut filled = plain.clone();
        let much = |key: &str| Some([(key.to_owned(), "x".repeat(1_000))].into());
        filled.metadata.annotations = much("a");
        filled.metadata.labels = much("l");
        filled.metadata.finalizers = Some(vec!["f".to_owned()]);
        forget_rest(&mut filled);
        assert_eq!(filled, plain);
    }

    #[test]
    fn of_many_deleted_ones_the_newest_are_remembered() {
        let mut watch = Watch::begin();
        watch.say(Init, NOW);
        watch.say(InitDone, NOW);
        for uid in 0..=MAX_DELETED {
            let brake = brake("sluice", &uid.to_string(), &json!({}));
            watch.say(Delete(brake), NOW);
        }
        let (_, released) = watch.told("shop.sluice").unwrap();
        let has = |uid: usize| released.contains(&uid.to_string());
        assert_eq!((released.len(), has(0), has(1)), (MAX_DELETED, false, true));
    }

    /// The key brakes this plugin; the brake as its object will be.
    fn give(watch: &Watch, plugin: &str, number: u8) -> Brake {
        let now: Timestamp = NOW.parse().unwrap();
        let pull = Pull {
            plugin: plugin.to_owned(),
            ..Pull::of_web()
        };
        let counted = Counted {
            name: name_of_key(&[number; 16]),
            pull,
            signed: now,
        };
        let used = Use {
            pull: counted.pull.clone(),
            name: counted.name.clone(),
            peer: String::new(),
            at: now,
        };
        let shelf = &watch.follower.shelf;
        shelf.give(&counted, &used, now);
        watch.follower.lay(now);
        shelf.find(&counted.name).unwrap()
    }

    #[test]
    fn what_the_key_gave_stays_told_whatever_else_changes() {
        let mut watch = Watch::begin();
        let given = give(&watch, "sluice", 1);
        let key = given.told_as().to_owned();
        assert_eq!(watch.told("shop.sluice"), of([&key], []));
        assert_eq!(watch.told("shop.other"), None, "of others it is not known");
        watch.say(Init, NOW);
        watch.say(InitDone, NOW);
        watch.say(Apply(brake("other", "2", &json!({}))), NOW);
        assert_eq!(watch.told("shop.other"), of(["2"], []));
        watch.say(Apply(brake("sluice", "3", &json!({}))), NOW);
        assert_eq!(watch.told("shop.sluice"), of(["3", &key], []));
        watch.say(Apply(given.clone()), NOW);
        assert_eq!(watch.told("shop.sluice"), of(["3", &key], []));
        watch.say(Delete(given), NOW);
        assert_eq!(watch.told("shop.sluice"), of(["3"], [&key]));
    }
}
