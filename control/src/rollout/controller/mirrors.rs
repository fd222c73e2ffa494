//! Which plugins are native, and whose EnvoyFilter is to be written when.
//!
//! It writes nothing: [`super::native`] does, and says what became of it. The watch of the plugins
//! fills it.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use kube::api::DynamicObject;
use parking_lot::Mutex;
use tokio::sync::Notify;
use tokio::time::Instant;

use super::served::Named;
use crate::model::plugin::Kind;

/// How many are written at once; see docs/limits.md. Chosen: as many as of one namespace's brakes.
pub(super) const MAX_MIRRORED_AT_ONCE: usize = 8;

/// How often it is looked whether somebody else changed one.
pub(super) const RESYNC: Duration = Duration::from_secs(60);

/// How long one that failed is left alone: at first, and at most.
const MIN_PAUSE: Duration = Duration::from_millis(250);
const MAX_PAUSE: Duration = Duration::from_secs(30);

/// The plugins that are native, or were.
#[derive(Debug, Default)]
pub(super) struct Mirrors {
    /// Whether this controller writes any.
    is_on: bool,
    turns: Mutex<BTreeMap<Named, Turn>>,
    changed: Notify,
}

#[derive(Clone, Debug)]
struct Turn {
    /// Not before.
    due: Instant,
    /// How often it has failed in a row.
    failures: u32,
    /// Why it failed last, which is said once.
    said: String,
    /// Whether somebody is at it, and it changed since.
    under_way: bool,
    changed: bool,
}

impl Turn {
    fn at(now: Instant) -> Self {
        Self {
            due: now,
            failures: 0,
            said: String::new(),
            under_way: false,
            changed: false,
        }
    }
}

/// What became of one.
pub(super) enum Done {
    /// It is as the plugin is.
    Good,
    /// There is nothing to do for this plugin any more.
    Over,
    /// It is not; why.
    Failed(String, Option<Box<DynamicObject>>),
}

impl Mirrors {
    pub(super) fn new(is_on: bool) -> Self {
        Self {
            is_on,
            ..Self::default()
        }
    }

    /// Whether this controller writes any.
    pub(super) const fn is_on(&self) -> bool {
        self.is_on
    }

    /// Waits until a plugin has changed.
    pub(super) async fn changed(&self) {
        self.changed.notified().await;
    }

    /// There is something of a plugin that may not be native any more.
    pub(super) fn expect(&self, plugin: Named, now: Instant) {
        let mut turns = self.turns.lock();
        turns.entry(plugin).or_insert_with(|| Turn::at(now));
    }

    /// A plugin changed; `is_annotated`: it says something of being native.
    pub(super) fn note(&self, plugin: &Named, is_annotated: bool, now: Instant) {
        let mut turns = self.turns.lock();
        match turns.get_mut(plugin) {
            Some(turn) => {
                turn.due = now;
                turn.changed = true;
            }
            None if is_annotated => {
                turns.insert(plugin.clone(), Turn::at(now));
            }
            None => return,
        }
        drop(turns);
        self.changed.notify_one();
    }

    /// A plugin is gone: its EnvoyFilter goes with it.
    pub(super) fn forget(&self, plugin: &Named) {
        self.turns.lock().remove(plugin);
    }

    /// Forgets the plugins of a kind that are not among those.
    pub(super) fn retain(&self, kind: Kind, listed: &BTreeSet<Named>) {
        let is_there = |plugin: &Named| plugin.0 != kind.name() || listed.contains(plugin);
        self.turns.lock().retain(|plugin, _| is_there(plugin));
    }

    /// Those whose turn it is, which are then under way: as many as there is room for.
    pub(super) fn take(&self, room: usize, now: Instant) -> Vec<Named> {
        let mut turns = self.turns.lock();
        let is_due = |turn: &Turn| !turn.under_way && turn.due <= now;
        let mut due: Vec<_> = turns.iter_mut().filter(|(_, turn)| is_due(turn)).collect();
        due.sort_by_key(|(_, turn)| turn.due);
        let take = |(plugin, turn): (&Named, &mut Turn)| {
            (turn.under_way, turn.changed) = (true, false);
            plugin.clone()
        };
        due.into_iter().take(room).map(take).collect()
    }

    /// Notes what became of one; why it failed, where that was not said yet.
    pub(super) fn done(&self, plugin: &Named, done: &Done, now: Instant) -> Option<String> {
        let mut turns = self.turns.lock();
        let turn = turns.get_mut(plugin)?;
        turn.under_way = false;
        match done {
            Done::Over if !turn.changed => {
                turns.remove(plugin);
                None
            }
            Done::Good | Done::Over => {
                (turn.failures, turn.said) = (0, String::new());
                if !turn.changed {
                    turn.due = now + RESYNC;
                }
                None
            }
            Done::Failed(why, _) => {
                turn.failures = turn.failures.saturating_add(1);
                if !turn.changed {
                    turn.due = now
                        + MIN_PAUSE
                            .saturating_mul(1 << turn.failures.min(12))
                            .min(MAX_PAUSE);
                }
                let is_new = turn.said != *why;
                turn.said.clone_from(why);
                is_new.then(|| why.clone())
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::slice::from_ref;

    use super::*;

    fn plugin(name: &str) -> Named {
        ("WasmPlugin", "shop".to_owned(), name.to_owned())
    }

    fn failed(why: &str) -> Done {
        Done::Failed(why.to_owned(), None)
    }

    #[test]
    fn a_plugin_is_written_once_for_each_change_and_again_after_a_while() {
        let (mirrors, web, mut now) = (Mirrors::new(true), plugin("web"), Instant::now());
        mirrors.note(&web, false, now);
        assert_eq!(mirrors.take(8, now), [], "it was never native");
        mirrors.note(&web, true, now);
        assert_eq!(mirrors.take(8, now), from_ref(&web));
        mirrors.note(&web, true, now);
        assert_eq!(mirrors.take(8, now), [], "one at a time");
        mirrors.done(&web, &Done::Good, now);
        assert_eq!(mirrors.take(8, now), from_ref(&web), "it changed meanwhile");
        mirrors.done(&web, &Done::Good, now);
        assert_eq!(mirrors.take(8, now), []);
        now += RESYNC;
        assert_eq!(mirrors.take(8, now), from_ref(&web));
        mirrors.note(&web, false, now);
        mirrors.done(&web, &Done::Good, now);
        assert_eq!(mirrors.take(8, now), from_ref(&web), "the annotation went");
        mirrors.done(&web, &Done::Over, now);
        now += RESYNC;
        assert_eq!(mirrors.take(8, now), []);
    }

    #[test]
    fn a_failure_is_said_once_and_tried_again_later_each_time() {
        let (mirrors, web, mut now) = (Mirrors::new(true), plugin("web"), Instant::now());
        mirrors.note(&web, true, now);
        assert_eq!(mirrors.take(8, now), from_ref(&web));
        assert_eq!(mirrors.done(&web, &failed("a"), now), Some("a".to_owned()));
        assert_eq!(mirrors.take(8, now), []);
        let mut waited = Duration::ZERO;
        for _ in 0..20 {
            while mirrors.take(8, now).is_empty() {
                now += MIN_PAUSE;
                waited += MIN_PAUSE;
            }
            assert_eq!(mirrors.done(&web, &failed("a"), now), None);
        }
        assert!(
            waited > MAX_PAUSE * 10 && waited < MAX_PAUSE * 20,
            "{waited:?}"
        );
        mirrors.note(&web, true, now);
        assert_eq!(
            mirrors.take(8, now),
            from_ref(&web),
            "a change is tried at once"
        );
        assert_eq!(mirrors.done(&web, &failed("b"), now), Some("b".to_owned()));
    }

    #[test]
    fn no_more_are_written_at_once_than_there_is_room_for() {
        let (mirrors, now) = (Mirrors::new(true), Instant::now());
        for number in 0..20 {
            mirrors.note(&plugin(&format!("p{number:02}")), true, now);
        }
        assert_eq!(
            mirrors.take(MAX_MIRRORED_AT_ONCE, now).len(),
            MAX_MIRRORED_AT_ONCE
        );
        assert_eq!(mirrors.take(0, now), []);
        mirrors.retain(Kind::TrafficExtension, &BTreeSet::new());
        assert_eq!(mirrors.take(100, now).len(), 20 - MAX_MIRRORED_AT_ONCE);
        mirrors.retain(Kind::WasmPlugin, &BTreeSet::from([plugin("p03")]));
        assert_eq!(mirrors.turns.lock().len(), 1);
    }
}
