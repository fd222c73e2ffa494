//! Brakes that were given by the key, until there are objects of them: in memory, and bounded.
//!
//! What is told to proxies of a plugin is these beside the Brakes that the watch has; as soon as it has
//! one of these, that one counts. A request is remembered for as long as it counts, so that a second
//! one like it changes nothing, also when the brake was released meanwhile.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use parking_lot::{Mutex, MutexGuard};
use tokio::sync::watch;

use super::request::{Counted, MAX_CLOCK_SECONDS};
use super::uses::Use;
use crate::brake::object::{Brake, Noted, is_of_key};
use crate::brake::table::RELEASED_HOURS;

/// The most brakes that are held, with those that are remembered; see docs/limits.md. Chosen: as many
/// as a plugin's proxies are told of.
pub const MAX_HELD: usize = 512;

/// How long it is waited for the watch to show what was written.
const UNSEEN: SignedDuration = SignedDuration::from_secs(5);

/// All of a replica's.
#[derive(Debug)]
pub struct Shelf {
    held: Mutex<BTreeMap<String, Held>>,
    /// Those whose objects were deleted, and when.
    gone: Mutex<BTreeMap<String, Timestamp>>,
    given: watch::Sender<u64>,
    laid: watch::Sender<u64>,
}

#[derive(Clone, Debug)]
struct Held {
    brake: Brake,
    used: Use,
    signed: Timestamp,
    stage: Stage,
}

/// How far a brake is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stage {
    /// There is no object of it.
    Waiting,
    /// There is one since then, which the watch has not shown.
    Written(Timestamp),
    /// The watch has shown it.
    Known,
    /// There is none any more, or cannot be one.
    Ended,
}

/// What became of a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Given {
    /// It is braked; in what is told with this number, or a later one.
    New(u64),
    /// It was before.
    Before,
    /// There is no room.
    Full,
}

impl Default for Shelf {
    fn default() -> Self {
        Self {
            held: Mutex::default(),
            gone: Mutex::default(),
            given: watch::Sender::new(0),
            laid: watch::Sender::new(0),
        }
    }
}

impl Shelf {
    /// Brakes what a request asks for.
    pub fn give(&self, counted: &Counted, used: &Use, now: Timestamp) -> Given {
        let mut held = self.held();
        held.retain(|_, held| held.is_needed(now));
        let gone = self.gone.lock().get(&counted.name).copied();
        let was_given = gone.is_some_and(|at| may_come_again(at, now));
        if was_given || held.contains_key(&counted.name) {
            return Given::Before;
        }
        if held.len() >= MAX_HELD {
            return Given::Full;
        }
        let mut brake = Brake::new(&counted.name, counted.pull.spec());
        brake.metadata.namespace = Some(counted.pull.namespace.clone());
        brake.metadata.creation_timestamp = Some(Time(now));
        held.insert(
            counted.name.clone(),
            Held {
                brake,
                used: used.clone(),
                signed: counted.signed,
                stage: Stage::Waiting,
            },
        );
        drop(held);
        self.given.send_modify(|number| *number += 1);
        Given::New(*self.given.borrow())
    }

    /// The number of what was given last, and its changes.
    pub fn given(&self) -> watch::Receiver<u64> {
        self.given.subscribe()
    }

    /// Proxies are told what was given up to a number.
    pub fn told(&self, number: u64) {
        self.laid.send_replace(number);
    }

    /// Waits until proxies are told; whether they are, or it took too long.
    pub async fn until_told(&self, number: u64, patience: Duration) -> bool {
        let mut laid = self.laid.subscribe();
        let told = laid.wait_for(|laid| *laid >= number);
        matches!(tokio::time::timeout(patience, told).await, Ok(Ok(_)))
    }

    /// Somebody deleted the object of one, which another replica may have written: the request that it
    /// came of gives none any more.
    pub fn gone(&self, name: &str, now: Timestamp) {
        let mut gone = self.gone.lock();
        gone.retain(|_, at| may_come_again(*at, now));
        if is_of_key(name) && gone.len() < MAX_HELD {
            gone.insert(name.to_owned(), now);
        }
    }

    /// What is to be told beside the Brakes that the watch has, which count from now on.
    pub fn beside(&self, known: &[&Brake], now: Timestamp) -> Vec<Brake> {
        let mut held = self.held();
        if held.is_empty() {
            return Vec::new();
        }
        let key = |brake: &Brake| {
            (
                brake.metadata.namespace.clone(),
                brake.metadata.name.clone(),
            )
        };
        let known: BTreeSet<_> = known.iter().map(|brake| key(brake)).collect();
        held.retain(|_, held| held.is_needed(now));
        for held in held.values_mut() {
            if known.contains(&key(&held.brake)) {
                held.stage = Stage::Known;
            }
        }
        let told = held.values().filter(|held| held.stage != Stage::Known);
        told.map(|held| held.brake.clone()).collect()
    }

    /// One that is held, as far as it is.
    pub fn find(&self, name: &str) -> Option<Brake> {
        self.held().get(name).map(|held| held.brake.clone())
    }

    /// Those that are to be written, each with the use that gave it; the oldest first.
    pub fn waiting(&self) -> Vec<(Brake, Use)> {
        let held = self.held();
        let waiting = held.values().filter(|held| held.stage == Stage::Waiting);
        let mut waiting: Vec<_> = waiting
            .map(|held| (held.brake.clone(), held.used.clone()))
            .collect();
        waiting.sort_by_key(|(brake, _)| brake.created());
        waiting
    }

    /// Those that were written a while ago and that the watch does not show.
    pub fn unseen(&self, now: Timestamp) -> Vec<Brake> {
        let is_unseen = |held: &&Held| match held.stage {
            Stage::Written(since) => now.duration_since(since) > UNSEEN,
            Stage::Waiting | Stage::Known | Stage::Ended => false,
        };
        let held = self.held();
        let unseen = held.values().filter(is_unseen);
        unseen.map(|held| held.brake.clone()).collect()
    }

    /// There is an object of one.
    pub fn written(&self, name: &str, now: Timestamp) {
        if let Some(held) = self.held().get_mut(name)
            && held.stage == Stage::Waiting
        {
            held.stage = Stage::Written(now);
        }
    }

    /// There is none any more, or there cannot be one: whoever deletes a brake releases it.
    pub fn end(&self, name: &str, now: Timestamp) {
        if let Some(held) = self.held().get_mut(name)
            && held.stage != Stage::Known
        {
            held.stage = Stage::Ended;
            held.brake.spec.released = Some(Noted {
                at: now.to_string(),
                by: String::new(),
            });
        }
        self.given.send_modify(|number| *number += 1);
    }

    fn held(&self) -> MutexGuard<'_, BTreeMap<String, Held>> {
        self.held.lock()
    }
}

/// Whether a request of what was deleted then may still count: it may have been signed by a clock that
/// is ahead.
fn may_come_again(deleted: Timestamp, now: Timestamp) -> bool {
    now.duration_since(deleted).as_secs() <= 2 * MAX_CLOCK_SECONDS.cast_signed()
}

impl Held {
    /// What waits is needed; what does not, for as long as its request counts or its end is told.
    fn is_needed(&self, now: Timestamp) -> bool {
        let counts = now.duration_since(self.signed).as_secs() <= MAX_CLOCK_SECONDS.cast_signed();
        match self.stage {
            Stage::Waiting | Stage::Written(_) => true,
            Stage::Known => counts,
            Stage::Ended => {
                let told = SignedDuration::from_hours(RELEASED_HOURS);
                let ended = self.brake.ended().unwrap_or(now);
                counts || now.duration_since(ended) < told
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::brake::key::request::Pull;
    use crate::brake::object::{State, name_of_key};

    fn at(seconds: i64) -> Timestamp {
        Timestamp::from_second(1_800_000_000 + seconds).unwrap()
    }

    fn counted(number: u16) -> Counted {
        Counted {
            pull: Pull::of_web(),
            name: name_of_key(&[&number.to_be_bytes()[..], &[0; 14]].concat()),
            signed: at(0),
        }
    }

    fn give(shelf: &Shelf, number: u16, now: Timestamp) -> Given {
        let counted = counted(number);
        let used = Use {
            pull: counted.pull.clone(),
            name: counted.name.clone(),
            peer: "10.0.0.9".to_owned(),
            at: now,
        };
        shelf.give(&counted, &used, now)
    }

    fn told(shelf: &Shelf, known: &[&Brake], now: Timestamp) -> Vec<State> {
        let beside = shelf.beside(known, now);
        beside.iter().map(Brake::state).collect()
    }

    #[test]
    fn the_same_request_brakes_once_also_when_its_brake_is_known_or_over() {
        let shelf = Shelf::default();
        assert_eq!(give(&shelf, 1, at(0)), Given::New(1));
        assert_eq!(give(&shelf, 1, at(1)), Given::Before);
        let name = counted(1).name;
        let mut object = shelf.find(&name).unwrap();
        assert_eq!(told(&shelf, &[], at(2)), [State::On]);
        assert_eq!(told(&shelf, &[&object], at(3)), []);
        object.spec.released = Some(Noted {
            at: at(4).to_string(),
            by: "bob".to_owned(),
        });
        assert_eq!(give(&shelf, 1, at(5)), Given::Before, "it was released");
        assert_eq!(told(&shelf, &[], at(6)), [], "it was deleted");
        assert_eq!(
            give(&shelf, 1, at(60)),
            Given::Before,
            "as long as it counts"
        );
    }

    #[test]
    fn what_waits_is_never_forgotten_and_what_is_known_is() {
        let shelf = Shelf::default();
        give(&shelf, 1, at(0));
        give(&shelf, 2, at(1));
        let names = |shelf: &Shelf| -> Vec<String> {
            let waiting = shelf.waiting().into_iter();
            waiting.map(|(_, used)| used.name).collect()
        };
        let [one, two] = [1, 2].map(|number| counted(number).name);
        assert_eq!(names(&shelf), [one.clone(), two.clone()]);
        shelf.written(&one, at(2));
        assert_eq!(names(&shelf), [two]);
        assert_eq!(shelf.unseen(at(7)).len(), 0);
        assert_eq!(shelf.unseen(at(8)).len(), 1);
        assert_eq!(told(&shelf, &[], at(86_400)), [State::On; 2]);
        let object = shelf.find(&one).unwrap();
        shelf.beside(&[&object], at(86_400));
        shelf.beside(&[], at(86_401));
        assert_eq!(shelf.find(&one), None);
    }

    #[test]
    fn what_was_deleted_unseen_is_told_as_released_for_an_hour() {
        let shelf = Shelf::default();
        give(&shelf, 1, at(0));
        let name = counted(1).name;
        shelf.written(&name, at(1));
        let before = *shelf.given().borrow();
        shelf.end(&name, at(10));
        assert_eq!(
            *shelf.given().borrow(),
            before + 1,
            "proxies are told at once"
        );
        assert_eq!(shelf.waiting(), []);
        assert_eq!(told(&shelf, &[], at(3_609)), [State::Released]);
        assert_eq!(told(&shelf, &[], at(3_610)), []);
    }

    #[test]
    fn there_is_room_for_so_many_and_again_once_they_are_known() {
        let shelf = Shelf::default();
        let most = u16::try_from(MAX_HELD).unwrap();
        for number in 0..most {
            assert_eq!(
                give(&shelf, number, at(0)),
                Given::New(u64::from(number) + 1)
            );
        }
        assert_eq!(give(&shelf, most, at(1)), Given::Full);
        assert_eq!(give(&shelf, 0, at(1)), Given::Before);
        let objects = shelf.beside(&[], at(1));
        let objects: Vec<&Brake> = objects.iter().collect();
        assert_eq!(shelf.beside(&objects, at(1)), []);
        assert_eq!(give(&shelf, most, at(61)), Given::New(u64::from(most) + 1));
    }

    #[tokio::test]
    async fn whoever_gave_waits_until_proxies_are_told() {
        let shelf = Shelf::default();
        assert_eq!(give(&shelf, 1, at(0)), Given::New(1));
        assert!(!shelf.until_told(1, Duration::ZERO).await);
        shelf.told(1);
        assert!(shelf.until_told(1, Duration::from_secs(3_600)).await);
    }

    #[test]
    fn what_was_given_elsewhere_and_deleted_is_not_given_by_the_same_request() {
        let shelf = Shelf::default();
        shelf.gone(&counted(1).name, at(0));
        shelf.gone("web-x7k2p", at(0));
        assert_eq!(give(&shelf, 1, at(120)), Given::Before);
        assert_eq!(give(&shelf, 2, at(120)), Given::New(1));
        assert_eq!(told(&shelf, &[], at(120)), [State::On]);
        shelf.gone(&counted(3).name, at(121));
        assert_eq!(shelf.gone.lock().len(), 1, "no request of the first counts");
    }
}
