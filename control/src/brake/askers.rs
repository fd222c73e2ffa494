//! Which proxies ask, and which of them have heard: counted by plugin. Pure.

use std::collections::HashMap;
use std::time::Duration;

use sluice_core::brake::Question;
use sluice_core::brake::question::MAX_WAIT_SECONDS;
use tokio::time::Instant;

use super::object::Heard;
use super::plugin::PluginName;

/// The most proxies that are remembered. Chosen: twice the connections that are served.
pub const MAX_PROXIES: usize = 40_000;

/// How long a proxy that does not ask again is remembered. Chosen: the longest wait, and a reconnection.
const REMEMBERED: Duration = Duration::from_secs(MAX_WAIT_SECONDS as u64 + 10);

/// Within what time a proxy that was answered asks again: later, it asks elsewhere or not at
/// all. Chosen: on a busy machine it takes some tenths of a second, and a second where it fails twice.
const RETURNS_WITHIN: Duration = Duration::from_millis(1_500);

/// The proxies that asked of late, by plugin and by Envoy's node id.
#[derive(Debug)]
pub struct Askers {
    plugins: HashMap<PluginName, HashMap<String, Asker>>,
    /// Those of whom no question is held and who have not come back.
    away: HashMap<PluginName, HashMap<String, Away>>,
    count: usize,
    most: usize,
    questions: u64,
}

/// Which of all questions it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Number(u64);

/// A proxy that asked.
#[derive(Clone, Debug)]
struct Asker {
    at: Instant,
    /// Its last question.
    question: Number,
    /// The version that it said it has.
    version: Option<String>,
}

/// A proxy that is to ask again.
#[derive(Clone, Debug)]
struct Away {
    since: Instant,
    /// The version that it has, where it was told nothing new.
    version: Option<String>,
}

impl Default for Askers {
    fn default() -> Self {
        Self::of_at_most(MAX_PROXIES)
    }
}

impl Askers {
    fn of_at_most(most: usize) -> Self {
        Self {
            plugins: HashMap::new(),
            away: HashMap::new(),
            count: 0,
            most,
            questions: 0,
        }
    }

    /// Remembers who asked. Of more than there may be, those who come later are not counted. A question
    /// that is not to be held is one beside another, or before it: whoever asks many of those in the
    /// names of others fills nothing.
    pub fn note(&mut self, plugin: &PluginName, question: &Question, now: Instant) -> Number {
        self.questions += 1;
        let number = Number(self.questions);
        if question.wait == 0 {
            let of_plugin = self.plugins.get(plugin);
            if of_plugin.is_none_or(|askers| !askers.contains_key(&question.node)) {
                self.is_away(plugin, &question.node, question.version.clone(), now);
            }
            return number;
        }
        let asker = Asker {
            at: now,
            question: number,
            version: question.version.clone(),
        };
        self.is_back(plugin, &question.node);
        let of_plugin = self.plugins.get_mut(plugin);
        if let Some(former) = of_plugin.and_then(|askers| askers.get_mut(&question.node)) {
            *former = asker;
        } else if self.count < self.most {
            self.count += 1;
            let of_plugin = self.plugins.entry(plugin.clone()).or_default();
            of_plugin.insert(question.node.clone(), asker);
        }
        number
    }

    /// A proxy went away while its question was held: unless it has asked another one here, it asks
    /// elsewhere, if it does not come back soon.
    pub fn left(&mut self, plugin: &PluginName, node: &str, question: Number, now: Instant) {
        let of_plugin = self.plugins.get(plugin);
        let asker = of_plugin.and_then(|askers| askers.get(node));
        if asker.is_some_and(|asker| asker.question == question) {
            self.told(plugin, node, now);
        }
    }

    /// A proxy was told nothing new by the answer to this question: it asks again.
    pub fn rests(&mut self, plugin: &PluginName, node: &str, question: Number, now: Instant) {
        let of_plugin = self.plugins.get(plugin);
        let asker = of_plugin.and_then(|askers| askers.get(node));
        if let Some(asker) = asker.filter(|asker| asker.question == question) {
            let version = asker.version.clone();
            self.remove(plugin, node);
            self.is_away(plugin, node, version, now);
        }
    }

    /// Forgets a proxy that was told something new, unless it comes back soon: it asks again, here or
    /// elsewhere.
    pub fn told(&mut self, plugin: &PluginName, node: &str, now: Instant) {
        let of_plugin = self.away.get(plugin);
        let is_away = of_plugin.is_some_and(|away| away.contains_key(node));
        if self.remove(plugin, node) || is_away {
            self.is_away(plugin, node, None, now);
        }
    }

    fn remove(&mut self, plugin: &PluginName, node: &str) -> bool {
        let Some(of_plugin) = self.plugins.get_mut(plugin) else {
            return false;
        };
        let was_there = of_plugin.remove(node).is_some();
        self.count -= usize::from(was_there);
        if of_plugin.is_empty() {
            self.plugins.remove(plugin);
        }
        was_there
    }

    fn is_away(&mut self, plugin: &PluginName, node: &str, version: Option<String>, now: Instant) {
        let all: usize = self.away.values().map(HashMap::len).sum();
        if all < self.most {
            let away = self.away.entry(plugin.clone()).or_default();
            let since = now;
            away.insert(node.to_owned(), Away { since, version });
        }
    }

    fn is_back(&mut self, plugin: &PluginName, node: &str) {
        if let Some(away) = self.away.get_mut(plugin) {
            away.remove(node);
            if away.is_empty() {
                self.away.remove(plugin);
            }
        }
    }

    /// Forgets whoever has not asked for long.
    pub fn forget_old(&mut self, now: Instant) {
        self.plugins.retain(|_, of_plugin| {
            of_plugin.retain(|_, asker| asker.is_remembered(now));
            !of_plugin.is_empty()
        });
        self.count = self.plugins.values().map(HashMap::len).sum();
        self.away.retain(|_, away| {
            away.retain(|_, one| one.may_come_back(now));
            !away.is_empty()
        });
    }

    /// How many proxies of a plugin ask, those who may come back among them, and how many have this
    /// version.
    pub fn heard(&self, plugin: &PluginName, version: &str, now: Instant) -> Heard {
        let away = self.away.get(plugin).into_iter().flatten();
        let away = away.filter(|(_, away)| away.may_come_back(now));
        let away = away.map(|(_, away)| &away.version);
        let of_plugin = self.plugins.get(plugin).into_iter().flatten();
        let remembered = of_plugin.filter(|(_, asker)| asker.is_remembered(now));
        let versions = remembered.map(|(_, asker)| &asker.version).chain(away);
        versions.fold(Heard::default(), |sum, has| {
            let is_following = has.as_deref() == Some(version);
            Heard {
                asking: sum.asking.saturating_add(1),
                following: sum.following.saturating_add(u32::from(is_following)),
            }
        })
    }

    /// How many are remembered.
    pub const fn count(&self) -> usize {
        self.count
    }
}

impl Asker {
    fn is_remembered(&self, now: Instant) -> bool {
        now.duration_since(self.at) < REMEMBERED
    }
}

impl Away {
    fn may_come_back(&self, now: Instant) -> bool {
        now.duration_since(self.since) < RETURNS_WITHIN
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn plugin(name: &str) -> PluginName {
        PluginName::of_envoy(name).unwrap()
    }

    fn question(node: &str, version: Option<&str>) -> Question {
        Question {
            node: node.to_owned(),
            version: version.map(str::to_owned),
            wait: 25,
            ..Question::default()
        }
    }

    /// One that is to be answered at once.
    fn short(node: &str, version: Option<&str>) -> Question {
        Question {
            wait: 0,
            ..question(node, version)
        }
    }

    /// Asking and following.
    fn heard(askers: &Askers, name: &str, now: Instant) -> (u32, u32) {
        let heard = askers.heard(&plugin(name), "v2", now);
        (heard.asking, heard.following)
    }

    #[test]
    fn a_proxy_counts_once_however_often_it_asks_and_follows_when_it_says_so() {
        let (mut askers, now) = (Askers::default(), Instant::now());
        let shop = plugin("shop.sluice");
        let steps = [
            ("the first", "one", None, (1, 0)),
            ("another one", "two", Some("v1"), (2, 0)),
            ("it has heard", "one", Some("v2"), (2, 1)),
            ("on a new connection", "one", None, (2, 0)),
            ("and has heard again", "one", Some("v2"), (2, 1)),
            ("both have", "two", Some("v2"), (2, 2)),
        ];
        for (label, node, version, expected) in steps {
            askers.note(&shop, &question(node, version), now);
            assert_eq!(heard(&askers, "shop.sluice", now), expected, "{label}");
        }
        askers.note(&plugin("shop.other"), &question("one", None), now);
        assert_eq!(heard(&askers, "shop.other", now), (1, 0));
        assert_eq!(
            (heard(&askers, "shop.sluice", now), askers.count()),
            ((2, 2), 3)
        );
        askers.told(&shop, "one", now);
        askers.told(&shop, "nobody", now);
        askers.told(&plugin("shop.none"), "one", now);
        assert_eq!(askers.count(), 2);
        assert_eq!(heard(&askers, "shop.sluice", now), (2, 1), "it may be back");
        askers.note(&shop, &question("one", Some("v2")), now);
        assert_eq!(heard(&askers, "shop.sluice", now), (2, 2), "it is");
        askers.told(&shop, "one", now);
        let later = now + RETURNS_WITHIN;
        assert_eq!(heard(&askers, "shop.sluice", later), (1, 1), "it is not");
        askers.forget_old(later);
        assert_eq!((askers.count(), askers.away.len()), (2, 0));
    }

    #[test]
    fn a_proxy_that_left_its_question_counts_no_longer_than_one_that_was_told() {
        let (mut askers, now) = (Askers::default(), Instant::now());
        let shop = plugin("shop.sluice");
        let first = askers.note(&shop, &question("one", Some("v1")), now);
        let second = askers.note(&shop, &question("one", Some("v2")), now);
        askers.left(&shop, "one", first, now);
        assert_eq!(heard(&askers, "shop.sluice", now), (1, 1), "it asked anew");
        askers.left(&shop, "one", second, now);
        assert_eq!(heard(&askers, "shop.sluice", now), (1, 0), "it may be back");
        let later = now + RETURNS_WITHIN;
        assert_eq!(heard(&askers, "shop.sluice", later), (0, 0), "it is not");
    }

    #[test]
    fn only_held_questions_are_remembered_for_long() {
        let (mut askers, now) = (Askers::of_at_most(2), Instant::now());
        let shop = plugin("shop.sluice");
        for node in ["invented", "another", "third"] {
            let question = askers.note(&shop, &short(node, Some("v2")), now);
            askers.rests(&shop, node, question, now);
        }
        assert_eq!(
            (heard(&askers, "shop.sluice", now), askers.count()),
            ((2, 2), 0)
        );
        let held = askers.note(&shop, &question("one", Some("v2")), now);
        assert_eq!(askers.count(), 1, "there is room for it");
        let later = now + RETURNS_WITHIN;
        assert_eq!(heard(&askers, "shop.sluice", later), (1, 1));
        askers.forget_old(later);
        // It says beside the question that is held what its guard took out.
        let beside = askers.note(&shop, &short("one", Some("v2")), later);
        askers.rests(&shop, "one", beside, later);
        assert_eq!(
            (heard(&askers, "shop.sluice", later), askers.count()),
            ((1, 1), 1)
        );
        askers.rests(&shop, "one", held, later);
        assert_eq!(
            (heard(&askers, "shop.sluice", later), askers.count()),
            ((1, 1), 0)
        );
        askers.note(&shop, &question("one", Some("v2")), later);
        let last = later + RETURNS_WITHIN;
        assert_eq!(
            (heard(&askers, "shop.sluice", last), askers.count()),
            ((1, 1), 1)
        );
    }

    #[test]
    fn whoever_does_not_ask_again_is_forgotten_in_time() {
        let (mut askers, begin) = (Askers::default(), Instant::now());
        let shop = plugin("shop.sluice");
        askers.note(&shop, &question("gone", Some("v2")), begin);
        let later = begin + Duration::from_secs(25);
        askers.note(&shop, &question("stays", Some("v2")), later);
        assert_eq!(heard(&askers, "shop.sluice", later), (2, 2));
        let last = begin + REMEMBERED;
        assert_eq!(heard(&askers, "shop.sluice", last), (1, 1));
        assert_eq!(askers.count(), 2);
        askers.forget_old(last);
        assert_eq!(askers.count(), 1);
        askers.forget_old(later + REMEMBERED);
        assert_eq!((askers.count(), askers.plugins.len()), (0, 0));
    }

    #[test]
    fn beyond_the_most_nobody_new_is_counted_until_somebody_is_forgotten() {
        let (mut askers, now) = (Askers::of_at_most(2), Instant::now());
        let shop = plugin("shop.sluice");
        for node in ["one", "two", "three"] {
            askers.note(&shop, &question(node, None), now);
        }
        askers.note(&plugin("shop.other"), &question("one", None), now);
        assert_eq!(
            (heard(&askers, "shop.sluice", now), askers.count()),
            ((2, 0), 2)
        );
        assert_eq!(heard(&askers, "shop.other", now), (0, 0));
        askers.note(&shop, &question("two", Some("v2")), now);
        assert_eq!(heard(&askers, "shop.sluice", now), (2, 1));
        for node in ["one", "two", "three", "four"] {
            askers.told(&shop, node, now);
            askers.note(&shop, &question("three", None), now);
        }
        assert_eq!(askers.count(), 1);
        assert!(askers.away.values().all(|away| away.len() <= 2));
    }
}
