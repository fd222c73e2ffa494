//! What is answered to the proxies of each plugin. Pure.

use std::collections::BTreeMap;
use std::sync::Arc;

use hyper::body::Bytes;
use jiff::{SignedDuration, Timestamp};
use sha2::{Digest as _, Sha256};
use sluice_core::brake::answer::MAX_LISTED;
use sluice_core::brake::{Answer, Listed};
use sluice_core::definition::is_name;

use super::object::{Brake, State};
use super::plugin::PluginName;

/// How long proxies are told of a released brake, in hours. Chosen: whoever could not ask for longer
/// keeps it until the weights change.
pub const RELEASED_HOURS: i64 = 1;

/// How long proxies are told of a brake whose zeros are written, in seconds. Chosen: three times the
/// longest that istiod waits for others' changes by default.
pub const WRITTEN_SECONDS: i64 = 30;

/// What the proxies of one plugin are answered.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Page {
    /// Its version.
    pub version: String,
    /// The answer as it is sent.
    pub json: Bytes,
}

impl Page {
    /// Of a plugin's brakes, those deleted of late among them.
    pub fn of(brakes: Vec<&Brake>, now: Timestamp) -> Self {
        Self::saying(answer(brakes, now))
    }

    /// The version is a fingerprint of the rest, so that every replica says the same.
    fn saying(mut answer: Answer) -> Self {
        let digest = Sha256::digest(answer.to_json());
        answer.version = digest
            .iter()
            .take(8)
            .map(|byte| format!("{byte:02x}"))
            .collect();
        Self {
            json: answer.to_json().into(),
            version: answer.version,
        }
    }
}

/// What is answered of every plugin.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Table {
    pages: BTreeMap<PluginName, Arc<Page>>,
    /// Of a plugin without brakes.
    blank: Arc<Page>,
    /// Whether these are all brakes that there are.
    is_whole: bool,
}

impl Default for Table {
    fn default() -> Self {
        Self {
            pages: BTreeMap::new(),
            blank: Arc::new(Page::saying(Answer::default())),
            is_whole: true,
        }
    }
}

impl Table {
    /// Of the brakes that there are, those deleted of late among them.
    pub fn of<'b>(brakes: impl IntoIterator<Item = &'b Brake>, now: Timestamp) -> Self {
        let mut answers: BTreeMap<PluginName, Vec<&Brake>> = BTreeMap::new();
        for brake in brakes {
            answers.entry(brake.plugin()).or_default().push(brake);
        }
        let pages = answers.into_iter();
        let pages = pages.map(|(plugin, brakes)| (plugin, Arc::new(Page::of(brakes, now))));
        Self {
            pages: pages.collect(),
            ..Self::default()
        }
    }

    /// Of the brakes that are known before all are: of other plugins it says nothing.
    pub fn of_some<'b>(brakes: impl IntoIterator<Item = &'b Brake>, now: Timestamp) -> Self {
        Self {
            is_whole: false,
            ..Self::of(brakes, now)
        }
    }

    /// Whether it says anything of a plugin.
    pub fn is_of(&self, plugin: &PluginName) -> bool {
        self.is_whole || self.pages.contains_key(plugin)
    }

    /// Says something else of one plugin.
    pub fn turn(&mut self, plugin: &PluginName, page: Page) {
        self.pages.insert(plugin.clone(), Arc::new(page));
    }

    /// Of one plugin.
    pub fn page(&self, plugin: &PluginName) -> &Arc<Page> {
        self.pages.get(plugin).unwrap_or(&self.blank)
    }
}

/// The newest first, where there are too many.
fn answer(mut brakes: Vec<&Brake>, now: Timestamp) -> Answer {
    brakes.sort_by_key(|brake| {
        (
            std::cmp::Reverse(brake.created()),
            brake.told_as().to_owned(),
        )
    });
    let told = SignedDuration::from_hours(RELEASED_HOURS);
    let is_told = |brake: &&&Brake| {
        let ended = brake.ended().unwrap_or(now);
        brake.state() == State::Released && now.duration_since(ended) < told
    };
    let is_listed = |brake: &&&Brake| match brake.state() {
        State::On => true,
        // Those who have the zeros serve the same; those who have not yet are still to hear of it.
        State::Written => {
            let ended = brake.ended().unwrap_or(now);
            now.duration_since(ended) < SignedDuration::from_secs(WRITTEN_SECONDS)
        }
        State::Over | State::Released => false,
    };
    // What no proxy could read would take others' room.
    let can_be = |brake: &&&Brake| {
        let challenger = brake.spec.challenger.as_deref();
        is_name(&brake.spec.split) && challenger.is_none_or(is_name)
    };
    let on = brakes.iter().filter(is_listed).filter(can_be);
    let on = on.take(MAX_LISTED).map(|brake| Listed {
        id: brake.told_as().to_owned(),
        split: brake.spec.split.clone(),
        challenger: brake.spec.challenger.clone(),
    });
    let released = brakes.iter().filter(is_told).take(MAX_LISTED);
    let released = released.map(|brake| brake.told_as().to_owned());
    let (mut brakes, mut released): (Vec<_>, Vec<_>) = (on.collect(), released.collect());
    brakes.sort();
    released.sort();
    Answer {
        version: String::new(),
        brakes,
        released,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn brake(uid: usize, spec: Value, status: Value) -> Brake {
        let created = format!("2026-01-01T00:00:{:02}Z", uid % 60);
        let metadata = json!({"namespace": "shop", "name": "b", "uid": uid.to_string(), "creationTimestamp": created});
        serde_json::from_value(json!({
            "apiVersion": "sluice.dev/v1alpha1", "kind": "Brake", "metadata": metadata,
            "spec": spec, "status": status,
        }))
        .unwrap()
    }

    fn on(uid: usize) -> Brake {
        brake(
            uid,
            json!({"plugin": "sluice", "split": "web", "by": "ann"}),
            Value::Null,
        )
    }

    fn read(table: &Table, plugin: &str) -> Answer {
        let page = table.page(&PluginName::of_envoy(plugin).unwrap());
        let mut problems = Vec::new();
        let answer = Answer::read(&page.json, &mut problems).unwrap();
        assert_eq!((problems.len(), &answer.version), (0, &page.version));
        answer
    }

    fn now() -> Timestamp {
        "2026-01-01T02:00:00Z".parse().unwrap()
    }

    #[test]
    fn a_plugins_proxies_are_told_what_is_on_and_what_was_released_of_late() {
        let spec = |released: &str| {
            json!({
                "plugin": "sluice", "split": "web", "challenger": "canary", "by": "ann",
                "released": {"at": released, "by": "bob"},
            })
        };
        let written = |uid, at| {
            let spec = json!({"plugin": "sluice", "split": "web", "by": "ann"});
            brake(uid, spec, json!({"written": at}))
        };
        let raised = |uid| {
            let spec = json!({"plugin": "sluice", "split": "web", "by": "ann"});
            let status = json!({"written": "2026-01-01T01:30:00Z", "isRaised": true});
            brake(uid, spec, status)
        };
        let brakes = [
            on(1),
            brake(2, spec("2026-01-01T01:30:00Z"), Value::Null),
            brake(3, spec("2026-01-01T00:30:00Z"), Value::Null),
            written(4, "2026-01-01T01:59:31Z"),
            written(6, "2026-01-01T01:59:30Z"),
            raised(7),
            brake(
                5,
                json!({"plugin": "other", "split": "web", "by": "ann"}),
                Value::Null,
            ),
        ];
        let answer = read(&Table::of(&brakes, now()), "shop.sluice~x");
        let listed = ["1", "4"].map(|id| Listed {
            id: id.to_owned(),
            split: "web".to_owned(),
            challenger: None,
        });
        assert_eq!(
            (answer.brakes, answer.released),
            (listed.to_vec(), vec!["2".to_owned(), "7".to_owned()])
        );
    }

    #[test]
    fn versions_are_of_what_is_said_and_of_nothing_else() {
        let [one, two] = [
            Table::of(&[on(1), on(2)], now()),
            Table::of(&[on(2), on(1)], now()),
        ];
        assert_eq!(one, two);
        let version = |table: &Table, plugin| read(table, plugin).version;
        assert_eq!(
            version(&one, "shop.none"),
            version(&Table::default(), "shop.sluice")
        );
        assert_ne!(
            version(&one, "shop.sluice"),
            version(&Table::of(&[on(1)], now()), "shop.sluice")
        );
    }

    #[test]
    fn what_no_proxy_could_read_is_not_listed_and_takes_nobodys_room() {
        let long = "\u{10ffff}".repeat(63);
        let odd = |uid| {
            let spec = json!({"plugin": "sluice", "split": "web", "challenger": long, "by": "ann"});
            brake(uid, spec, Value::Null)
        };
        let brakes: Vec<Brake> = (2..MAX_LISTED + 2).map(odd).chain([on(1)]).collect();
        let answer = read(&Table::of(&brakes, now()), "shop.sluice");
        let ids: Vec<String> = answer.brakes.into_iter().map(|brake| brake.id).collect();
        assert_eq!(ids, ["1"]);
    }

    #[test]
    fn of_too_many_the_newest_are_listed() {
        let brakes: Vec<Brake> = (0..60).flat_map(|_| (0..60).map(on)).collect();
        let answer = read(&Table::of(&brakes, now()), "shop.sluice");
        assert_eq!(answer.brakes.len(), MAX_LISTED);
        assert!(
            answer
                .brakes
                .iter()
                .all(|brake| brake.id.parse::<usize>().unwrap() > 50)
        );
    }
}
