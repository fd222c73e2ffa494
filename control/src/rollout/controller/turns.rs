//! One at a time for Rollouts that share a split: of two that would begin, the second one sees the
//! first. And not too many of one namespace, whose Prometheus may let them wait.
//!
//! Whoever has no turn goes away and comes again: a look that waited would take the place of another
//! namespace's. Those of one namespace have their turns in the order in which they came first.

use std::collections::{HashMap, VecDeque};
use std::time::{Duration, Instant};

use parking_lot::Mutex;

use crate::rollout::peers::Summary;

/// How many Rollouts of one namespace that are under way, or follow Deployments, are looked at at once; see docs/limits.md.
/// Chosen: an eighth of all that are looked at at once.
pub(super) const MAX_OF_NAMESPACE: usize = 32;

/// How long one that does not come again keeps its place among those who wait. Chosen: many times as
/// long as it stays away.
const KEEPS_PLACE: Duration = Duration::from_secs(5);

/// The Rollouts that are looked at just now, by their namespaces.
#[derive(Debug, Default)]
pub(super) struct Turns(Mutex<HashMap<String, OfNamespace>>);

#[derive(Debug, Default)]
struct OfNamespace {
    holders: Vec<Holder>,
    /// Who takes long and found too many before it, and when it last came.
    waiting: VecDeque<(String, Instant)>,
}

#[derive(Debug)]
struct Holder {
    summary: Summary,
    takes_long: bool,
}

/// A Rollout's turn, which is over when it is dropped.
#[derive(Debug)]
pub(super) struct Turn<'t> {
    turns: &'t Turns,
    namespace: String,
    name: String,
}

/// Why a Rollout has no turn yet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum NoTurn {
    /// Another one of its split has its turn.
    Shared,
    /// As many of its namespace have theirs as may.
    Crowded,
}

impl Turns {
    /// The turn of a Rollout of a namespace. One takes long that is under way, or follows a Deployment:
    /// it asks others than the API server, or for more than itself.
    pub(super) fn take(
        &self,
        namespace: &str,
        summary: Summary,
        takes_long: bool,
        now: Instant,
    ) -> Result<Turn<'_>, NoTurn> {
        let mut turns = self.0.lock();
        let of_namespace = turns.entry(namespace.to_owned()).or_default();
        let mut sharing = of_namespace.holders.iter();
        if sharing.any(|other| other.summary.may_share(&summary)) {
            return Err(NoTurn::Shared);
        }
        if takes_long && !of_namespace.has_place(&summary.name, now) {
            return Err(NoTurn::Crowded);
        }
        let name = summary.name.clone();
        of_namespace.holders.push(Holder {
            summary,
            takes_long,
        });
        Ok(Turn {
            turns: self,
            namespace: namespace.to_owned(),
            name,
        })
    }
}

impl OfNamespace {
    /// Whether there is a place for one that takes long, and nobody waits longer for it; else it
    /// waits.
    fn has_place(&mut self, name: &str, now: Instant) -> bool {
        let taken = self.holders.iter().filter(|holder| holder.takes_long);
        let free = MAX_OF_NAMESPACE.saturating_sub(taken.count());
        self.waiting
            .retain(|(_, came)| now.duration_since(*came) < KEEPS_PLACE);
        let own = self.waiting.iter().position(|(other, _)| other == name);
        let has_place = own.unwrap_or(self.waiting.len()) < free;
        match own.and_then(|own| self.waiting.get_mut(own)) {
            Some((_, came)) => *came = now,
            None if has_place => {}
            None => self.waiting.push_back((name.to_owned(), now)),
        }
        if has_place {
            self.waiting.retain(|(other, _)| other != name);
        }
        has_place
    }
}

impl Drop for Turn<'_> {
    fn drop(&mut self) {
        let mut turns = self.turns.0.lock();
        let Some(of_namespace) = turns.get_mut(&self.namespace) else {
            return;
        };
        // A Rollout is looked at once at a time, so it has one turn.
        let holders = &mut of_namespace.holders;
        holders.retain(|holder| holder.summary.name != self.name);
        if holders.is_empty() && of_namespace.waiting.is_empty() {
            turns.remove(&self.namespace);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn summary(name: &str, plugin: Option<&str>, split: &str) -> Summary {
        Summary {
            name: name.to_owned(),
            plugin: plugin.map(str::to_owned),
            split: split.to_owned(),
            ..Summary::default()
        }
    }

    #[test]
    fn a_split_has_one_turn_at_a_time_and_no_memory() {
        let turns = Turns::default();
        let web = |name: &str, plugin| summary(name, plugin, "web");
        let first = turns.take("shop", web("one", Some("a")), true, Instant::now());
        assert!(first.is_ok());
        let cases = [
            ("shop", web("two", Some("a")), false),
            ("shop", web("two", None), false),
            ("shop", web("two", Some("b")), true),
            ("shop", summary("two", None, "api"), true),
            ("other", web("one", Some("a")), true),
        ];
        for (namespace, summary, has_turn) in cases {
            let turn = turns.take(namespace, summary.clone(), true, Instant::now());
            let expected = if has_turn { None } else { Some(NoTurn::Shared) };
            assert_eq!(turn.err(), expected, "{namespace} {summary:?}");
        }
        drop(first);
        assert!(
            turns
                .take("shop", web("two", None), true, Instant::now())
                .is_ok()
        );
        assert!(turns.0.lock().is_empty());
    }

    #[test]
    fn a_namespace_has_so_many_turns_and_others_have_theirs() {
        let turns = Turns::default();
        let of = |index: usize| summary(&index.to_string(), None, &format!("s{index}"));
        let all: Vec<_> = (0..MAX_OF_NAMESPACE)
            .map(|index| turns.take("shop", of(index), true, Instant::now()).unwrap())
            .collect();
        let one_more = || turns.take("shop", of(MAX_OF_NAMESPACE), true, Instant::now());
        assert_eq!(one_more().err(), Some(NoTurn::Crowded));
        assert!(turns.take("other", of(0), true, Instant::now()).is_ok());
        let at_rest = turns.take("shop", of(MAX_OF_NAMESPACE), false, Instant::now());
        assert!(
            at_rest.is_ok(),
            "one that has nothing to do is quickly over"
        );
        drop(at_rest);
        drop(all);
        assert!(one_more().is_ok());
    }

    #[test]
    fn those_who_wait_have_their_turns_in_their_order() {
        let turns = Turns::default();
        let of = |index: usize| summary(&index.to_string(), None, &format!("s{index}"));
        let mut all: Vec<_> = (0..MAX_OF_NAMESPACE)
            .map(|index| turns.take("shop", of(index), true, Instant::now()).unwrap())
            .collect();
        let [first, second, third] = [100, 101, 102].map(of);
        let begin = Instant::now();
        let comes_at = |who: &Summary, now| turns.take("shop", who.clone(), true, now).ok();
        let comes = |who: &Summary| comes_at(who, begin);
        for who in [&first, &second, &first, &second] {
            assert!(comes(who).is_none());
        }
        all.pop();
        assert!(comes(&third).is_none(), "the first waits longer");
        assert!(comes(&second).is_none());
        all.push(comes(&first).unwrap());
        all.pop();
        all.pop();
        all.push(comes(&third).unwrap());
        assert!(comes(&second).is_some(), "there are places for both");
        assert!(comes(&first).is_some(), "and nobody waits");
        all.extend((200..).map(of).map_while(|who| comes(&who)));
        for who in [&first, &second] {
            assert!(comes(who).is_none());
        }
        let later = begin + KEEPS_PLACE;
        all.pop();
        assert!(
            comes_at(&second, later).is_some(),
            "the first does not come again"
        );
    }
}
