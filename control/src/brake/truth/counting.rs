//! How many proxies have heard of each brake: every replica says its own number, whoever leads, also
//! that it is none, and takes out that of a replica that is gone.

use std::cmp::Reverse;
use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use std::time::Duration;

use futures::StreamExt as _;
use futures::future::join_all;
use futures::stream::FuturesUnordered;
use jiff::SignedDuration;
use serde_json::{Map, Value, json};
use tokio::time::{Instant, timeout};

use super::{Keeper, LONGEST_PAUSE, LOOK_EVERY, Turns, ids};
use crate::brake::object::{Brake, Heard};
use crate::brake::plugin::PluginName;

/// How long people may wait for the number of proxies that have heard; later it is said as often as
/// the longest pause allows.
const AWAITED: SignedDuration = SignedDuration::from_secs(10);

/// How long it is said how many proxies have heard of a brake that is over.
const SAID: SignedDuration = SignedDuration::from_secs(60);

/// How long the watch may take to show what was said.
const UNSEEN: Duration = Duration::from_secs(2);

/// Of how many brakes it is said at once, the newest first; the others follow.
const MAX_COUNTED_AT_ONCE: usize = 32;

/// Of how many it is said again, which leaves places for those of which nothing was said.
const MAX_COUNTED_AGAIN: usize = 8;

/// How often a replica says of the newest brake that it is still there.
const SIGN_EVERY: Duration = Duration::from_secs(10);

/// After how many signs of its own a replica holds another one for gone that gave none meanwhile. Not
/// a time: while the API server is away, nobody gives any.
const SIGNS: u32 = 3;

/// How long what was said may take to be taken back at the end.
const LEAVING: Duration = Duration::from_secs(1);

/// What a replica has said of brakes by their ids, and when.
#[derive(Debug, Default)]
struct Spoken(HashMap<String, (Heard, Instant)>);

impl Spoken {
    /// What others know of it: what the watch shows, or will show soon.
    fn of(&self, brake: &Brake, instance: &str, now: Instant) -> Option<Heard> {
        let said = self.0.get(brake.id());
        let said = said.filter(|(_, at)| now.duration_since(*at) < UNSEEN);
        let mut shown = brake.replicas().filter(|(name, _)| *name == instance);
        let shown = || shown.next().map(|(_, count)| count.heard());
        said.map(|(heard, _)| *heard).or_else(shown)
    }
}

/// The replicas that say something, by what each said last, and how many signs ago that was.
#[derive(Debug, Default)]
struct Others(HashMap<String, (String, u32)>);

impl Others {
    /// Looks at what they said when this replica has given a sign.
    fn look(&mut self, all: &[Arc<Brake>]) {
        let mut last: HashMap<&String, &String> = HashMap::new();
        for (name, count) in all.iter().flat_map(|brake| brake.replicas()) {
            let at = last.entry(name).or_insert(&count.at);
            *at = (*at).max(&count.at);
        }
        self.0.retain(|name, _| last.contains_key(name));
        for (name, at) in last {
            let other = self.0.entry(name.clone()).or_default();
            *other = match other.0 == *at {
                true => (other.0.clone(), other.1 + 1),
                false => (at.clone(), 0),
            };
        }
    }

    /// Those of a brake that are gone.
    fn gone(&self, brake: &Brake) -> Vec<String> {
        let names = brake.replicas().map(|(name, _)| name);
        names.filter(|name| self.is_gone(name)).cloned().collect()
    }

    fn is_gone(&self, name: &str) -> bool {
        self.0.get(name).is_some_and(|(_, signs)| *signs >= SIGNS)
    }
}

/// What became of a number that was said.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Outcome {
    Noted,
    Not,
}

/// The signs that a replica gives of itself, one at a time.
#[derive(Debug, Default)]
struct Signs {
    last: Option<Instant>,
    is_under_way: bool,
}

impl Signs {
    /// Whether the next one is to be given.
    fn is_late(&self, now: Instant) -> bool {
        let is_old = |at: Instant| now.duration_since(at) >= SIGN_EVERY;
        !self.is_under_way && self.last.is_none_or(is_old)
    }

    /// Whether one was given: nobody has seen one that was refused, by an API server in trouble that
    /// refuses those of the others too.
    fn given(&mut self, outcome: Outcome, now: Instant) -> bool {
        self.is_under_way = false;
        let is_given = outcome == Outcome::Noted;
        if is_given {
            self.last = Some(now);
        }
        is_given
    }
}

/// A number that was said of a brake.
struct Said {
    brake: Arc<Brake>,
    heard: Heard,
    outcome: Outcome,
    is_sign: bool,
}

impl Keeper {
    /// Says how many of this replica's proxies have heard; it never ends.
    pub(super) async fn keep_counting(&self) {
        let mut looks = tokio::time::interval(LOOK_EVERY);
        let (mut spoken, mut others) = (Spoken::default(), Others::default());
        let (mut turns, mut signs) = (Turns::default(), Signs::default());
        let (mut saying, mut busy) = (FuturesUnordered::new(), HashSet::new());
        loop {
            let all = self.known.state();
            tokio::select! {
                Some(said) = saying.next(), if !saying.is_empty() => {
                    let Said { brake, heard, outcome, is_sign }: Said = said;
                    busy.remove(brake.id());
                    if outcome == Outcome::Noted {
                        let id = brake.id().to_owned();
                        spoken.0.insert(id, (heard, Instant::now()));
                    }
                    turns.wait(brake.id(), 0, self.pause(&brake, outcome));
                    if is_sign && signs.given(outcome, Instant::now()) {
                        others.look(&all);
                    }
                }
                _ = looks.tick() => {
                    let ids = ids(&all);
                    spoken.0.retain(|id, _| ids.contains(id.as_str()));
                    turns.forget_others(&ids);
                }
            }
            let now = Instant::now();
            for (brake, heard) in self.counted(&all) {
                let is_turn = turns.is_due(brake.id()) && !busy.contains(brake.id());
                let is_sign = is_turn && signs.is_late(now);
                let said = spoken.of(brake, &self.instance, now);
                let most = match said {
                    None => MAX_COUNTED_AT_ONCE,
                    Some(_) => MAX_COUNTED_AGAIN,
                };
                let gone = others.gone(brake);
                let is_due = is_sign || said != Some(heard) || !gone.is_empty();
                if is_due && is_turn && busy.len() < most {
                    signs.is_under_way |= is_sign;
                    busy.insert(brake.id().to_owned());
                    saying.push(self.say_heard(Arc::clone(brake), heard, gone, is_sign));
                }
            }
        }
    }

    /// Of how many it is to be said, the newest first, and what.
    fn counted<'b>(&self, all: &'b [Arc<Brake>]) -> Vec<(&'b Arc<Brake>, Heard)> {
        let mut brakes: Vec<&Arc<Brake>> = all.iter().filter(|one| self.is_said(one)).collect();
        brakes.sort_by_key(|brake| Reverse(brake.created()));
        let mut counted: HashMap<PluginName, Heard> = HashMap::new();
        let heard = |brake: &'b Arc<Brake>| {
            let plugin = brake.plugin();
            let page = self.desk.page(&plugin)?;
            let count = || self.desk.heard(&plugin, &page.version);
            let heard = *counted.entry(plugin.clone()).or_insert_with(count);
            Some((brake, heard))
        };
        brakes.into_iter().filter_map(heard).collect()
    }

    fn is_said(&self, brake: &Brake) -> bool {
        let ended = brake.ended();
        ended.is_none_or(|ended| self.caller.now().duration_since(ended) < SAID)
    }

    /// Says a number, and that those that are gone say none.
    async fn say_heard(
        &self,
        brake: Arc<Brake>,
        heard: Heard,
        gone: Vec<String>,
        is_sign: bool,
    ) -> Said {
        let gone = gone.into_iter().map(|name| (name, Value::Null));
        let mut replicas: Map<String, Value> = gone.collect();
        let (asking, following) = (heard.asking, heard.following);
        let at = self.caller.now().to_string();
        let own = json!({"asking": asking, "following": following, "at": at});
        replicas.insert(self.instance.clone(), own);
        let noted = self.note(&brake, json!({"replicas": replicas})).await;
        let outcome = match noted {
            Ok(()) => Outcome::Noted,
            Err(_) => Outcome::Not,
        };
        Said {
            brake,
            heard,
            outcome,
            is_sign,
        }
    }

    fn pause(&self, brake: &Brake, outcome: Outcome) -> Duration {
        let created = brake.created().unwrap_or_default();
        let is_awaited = self.caller.now().duration_since(created) < AWAITED;
        match outcome == Outcome::Noted && is_awaited {
            true => LOOK_EVERY,
            false => LONGEST_PAUSE,
        }
    }

    /// Takes back what this replica said, since it ends: its proxies ask another one now.
    pub async fn leave(&self) {
        let all = self.known.state();
        let named = |brake: &&Arc<Brake>| {
            let mut replicas = brake.replicas();
            self.is_said(brake) && replicas.any(|(name, _)| *name == self.instance)
        };
        let own: Vec<_> = all.iter().filter(named).collect();
        let leaving = async {
            for some in own.chunks(MAX_COUNTED_AT_ONCE) {
                let none = || json!({"replicas": {self.instance.as_str(): null}});
                join_all(some.iter().map(|brake| self.note(brake, none()))).await;
            }
        };
        // The others find it out too, only later.
        let _ = timeout(LEAVING, leaving).await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A brake whose replicas said something at these times.
    fn brake(uid: &str, said: &[(&str, &str)]) -> Arc<Brake> {
        let count = |at: &str| json!({"asking": 1, "following": 1, "at": at});
        let said = said
            .iter()
            .map(|(name, at)| ((*name).to_owned(), count(at)));
        let replicas: Map<String, Value> = said.collect();
        let brake = serde_json::from_value(json!({
            "metadata": {"name": uid, "uid": uid}, "status": {"replicas": replicas},
            "spec": {"plugin": "sluice", "split": "web", "by": "ann"},
        }));
        Arc::new(brake.unwrap())
    }

    #[test]
    fn a_replica_is_gone_that_gives_no_sign_while_another_gives_three() {
        let mut others = Others::default();
        let old = brake("old", &[("dead", "01"), ("quiet", "01"), ("late", "01")]);
        let gone = |others: &Others| ["dead", "quiet", "late"].map(|name| others.is_gone(name));
        others.look(&[]);
        for _ in 0..SIGNS {
            others.look(std::slice::from_ref(&old));
            assert_eq!(gone(&others), [false; 3]);
        }
        // It gives its sign by another brake; the third was only slow.
        let all = [old, brake("new", &[("quiet", "02")])];
        others.look(&all);
        assert_eq!(gone(&others), [true, false, true]);
        let all = [brake("old", &[("dead", "01"), ("late", "02")])];
        others.look(&all);
        assert_eq!(gone(&others), [true, false, false]);
        others.look(&[]);
        assert_eq!(gone(&others), [false; 3], "it was taken out");
    }

    #[test]
    fn a_sign_that_was_refused_is_none_and_another_one_follows() {
        let (mut signs, begin) = (Signs::default(), Instant::now());
        assert!(signs.is_late(begin));
        signs.is_under_way = true;
        assert!(!signs.is_late(begin), "one at a time");
        assert!(!signs.given(Outcome::Not, begin));
        assert!(signs.is_late(begin));
        assert!(signs.given(Outcome::Noted, begin));
        assert!(!signs.is_late(begin));
        assert!(signs.is_late(begin + SIGN_EVERY));
    }

    #[test]
    fn what_the_watch_lacks_after_a_while_is_said_again() {
        let (mut spoken, without) = (Spoken::default(), brake("b", &[]));
        let with = brake("b", &[("me", "01")]);
        let one = Heard {
            asking: 1,
            following: 1,
        };
        let begin = Instant::now();
        let said = |spoken: &Spoken, brake: &Brake, now| spoken.of(brake, "me", now);
        assert_eq!(
            said(&spoken, &without, begin),
            None,
            "also a zero is to be said"
        );
        assert_eq!(said(&spoken, &with, begin), Some(one));
        assert_eq!(spoken.of(&with, "other", begin), None);
        let none = Heard::default();
        spoken.0.insert("b".to_owned(), (none, begin));
        assert_eq!(
            said(&spoken, &with, begin),
            Some(none),
            "the watch is behind"
        );
        let later = begin + UNSEEN;
        assert_eq!(said(&spoken, &with, later), Some(one));
        assert_eq!(said(&spoken, &without, later), None, "somebody took it out");
    }
}
