//! One at a time for Rollouts that share a split: of two that would begin, the second one sees the
//! first. And not too many of one namespace, whose Prometheus may let them wait.
//!
//! Whoever has no turn goes away and comes again: a look that waited would take the place of another
//! namespace's.

use std::collections::HashMap;

use parking_lot::Mutex;

use crate::rollout::peers::Summary;

/// How many Rollouts of one namespace that are under way are looked at at once; see docs/limits.md.
/// Chosen: an eighth of all that are looked at at once.
pub(super) const MAX_OF_NAMESPACE: usize = 32;

/// The Rollouts that are looked at just now, by their namespaces.
#[derive(Debug, Default)]
pub(super) struct Turns(Mutex<HashMap<String, Vec<Holder>>>);

#[derive(Debug)]
struct Holder {
    summary: Summary,
    is_under_way: bool,
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
    /// The turn of a Rollout of a namespace.
    pub(super) fn take(
        &self,
        namespace: &str,
        summary: Summary,
        is_under_way: bool,
    ) -> Result<Turn<'_>, NoTurn> {
        let mut turns = self.0.lock();
        let holders = turns.entry(namespace.to_owned()).or_default();
        if holders
            .iter()
            .any(|other| other.summary.may_share(&summary))
        {
            return Err(NoTurn::Shared);
        }
        let under_way = holders.iter().filter(|other| other.is_under_way);
        if is_under_way && under_way.count() >= MAX_OF_NAMESPACE {
            return Err(NoTurn::Crowded);
        }
        let name = summary.name.clone();
        holders.push(Holder {
            summary,
            is_under_way,
        });
        Ok(Turn {
            turns: self,
            namespace: namespace.to_owned(),
            name,
        })
    }
}

impl Drop for Turn<'_> {
    fn drop(&mut self) {
        let mut turns = self.turns.0.lock();
        let Some(holders) = turns.get_mut(&self.namespace) else {
            return;
        };
        // A Rollout is looked at once at a time, so it has one turn.
        holders.retain(|holder| holder.summary.name != self.name);
        if holders.is_empty() {
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
        let first = turns.take("shop", web("one", Some("a")), true);
        assert!(first.is_ok());
        let cases = [
            ("shop", web("two", Some("a")), false),
            ("shop", web("two", None), false),
            ("shop", web("two", Some("b")), true),
            ("shop", summary("two", None, "api"), true),
            ("other", web("one", Some("a")), true),
        ];
        for (namespace, summary, has_turn) in cases {
            let turn = turns.take(namespace, summary.clone(), true);
            let expected = if has_turn { None } else { Some(NoTurn::Shared) };
            assert_eq!(turn.err(), expected, "{namespace} {summary:?}");
        }
        drop(first);
        assert!(turns.take("shop", web("two", None), true).is_ok());
        assert!(turns.0.lock().is_empty());
    }

    #[test]
    fn a_namespace_has_so_many_turns_and_others_have_theirs() {
        let turns = Turns::default();
        let of = |index: usize| summary(&index.to_string(), None, &format!("s{index}"));
        let all: Vec<_> = (0..MAX_OF_NAMESPACE)
            .map(|index| turns.take("shop", of(index), true).unwrap())
            .collect();
        let one_more = || turns.take("shop", of(MAX_OF_NAMESPACE), true);
        assert_eq!(one_more().err(), Some(NoTurn::Crowded));
        assert!(turns.take("other", of(0), true).is_ok());
        let at_rest = turns.take("shop", of(MAX_OF_NAMESPACE), false);
        assert!(
            at_rest.is_ok(),
            "one that has nothing under way is quickly over"
        );
        drop(at_rest);
        drop(all);
        assert!(one_more().is_ok());
    }
}
