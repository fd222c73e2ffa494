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

/// Within what time a proxy that was told something new asks again: later, it asks elsewhere or not at
/// all. Chosen: on a busy machine it takes some tenths of a second, and a second where it fails twice.
const RETURNS_WITHIN: Duration = Duration::from_millis(1_500);

/// The proxies that asked of late, by plugin and by Envoy's node id.
#[derive(Debug)]
pub struct Askers {
    plugins: HashMap<PluginName, HashMap<String, Asker>>,
    /// Those who were told something new and have not come back, and since when.
    told: HashMap<PluginName, HashMap<String, Instant>>,
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

impl Default for Askers {
    fn default() -> Self {
        Self::of_at_most(MAX_PROXIES)
    }
}

impl Askers {
    fn of_at_most(most: usize) -> Self {
        Self {
            plugins: HashMap::new(),
            told: HashMap::new(),
            count: 0,
            most,
            questions: 0,
        }
    }

    /// Remembers who asked. Of more than there may be, those who come later are not counted.
    pub fn note(&mut self, plugin: &PluginName, question: &Question, now: Instant) -> Number {
        self.questions += 1;
        let number = Number(self.questions);
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

    /// Forgets a proxy that was told something new, unless it comes back soon: it asks again, here or
    /// elsewhere.
    pub fn told(&mut self, plugin: &PluginName, node: &str, now: Instant) {
        let Some(of_plugin) = self.plugins.get_mut(plugin) else {
            return;
        };
        if of_plugin.remove(node).is_none() {
            return;
        }
        self.count -= 1;
        if of_plugin.is_empty() {
            self.plugins.remove(plugin);
        }
        let all: usize = self.told.values().map(HashMap::len).sum();
        if all < self.most {
            let told = self.told.entry(plugin.clone()).or_default();
            told.insert(node.to_owned(), now);
        }
    }

    fn is_back(&mut self, plugin: &PluginName, node: &str) {
        if let Some(told) = self.told.get_mut(plugin) {
            told.remove(node);
            if told.is_empty() {
                self.told.remove(plugin);
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
        self.told.retain(|_, told| {
            told.retain(|_, since| may_come_back(*since, now));
            !told.is_empty()
        });
    }

    /// How many proxies of a plugin ask, those who may come back among them, and how many have this
    /// version.
    pub fn heard(&self, plugin: &PluginName, version: &str, now: Instant) -> Heard {
        let told = self.told.get(plugin).into_iter().flatten();
        let away = told.filter(|(_, since)| may_come_back(**since, now));
        let away = Heard {
            asking: u32::try_from(away.count()).unwrap_or(u32::MAX),
            following: 0,
        };
        let of_plugin = self.plugins.get(plugin).into_iter().flatten();
        let remembered = of_plugin.filter(|(_, asker)| asker.is_remembered(now));
        remembered.fold(away, |sum, (_, asker)| {
            let is_following = asker.version.as_deref() == Some(version);
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

fn may_come_back(since: Instant, now: Instant) -> bool {
    now.duration_since(since) < RETURNS_WITHIN
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
            ..Question::default()
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
        assert_eq!((askers.count(), askers.told.len()), (2, 0));
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
        assert!(askers.told.values().all(|told| told.len() <= 2));
    }
}
