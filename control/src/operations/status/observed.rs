//! What proxies saw of their users, joined over all of them, and what their guards took out.
//!
//! The filter exports sketches in words; here they are joined by the code that made them, so that a
//! user whom several proxies served counts once. Only proxies that count since the same change of a
//! split are joined: the others still show users of its former weights.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use serde::Serialize;
use sluice_core::plan::Plan;
use sluice_core::users::Users;

use crate::cluster::prometheus::Series;
use crate::local::metrics::Sample;

/// The gauges of users, of which there are many.
pub const WORD_GAUGES: [&str; 2] = ["sluice_failed_users_word", "sluice_users_word"];

/// The other gauges that are read here.
pub const STATE_GAUGES: [&str; 4] = [
    "sluice_users_generation",
    "sluice_users_left_out",
    "sluice_tripped",
    "sluice_braked",
];

/// One of these gauges.
#[derive(Clone, Copy, Debug)]
pub struct Gauge<'a> {
    name: &'a str,
    /// The proxy's namespace and pod; empty of a local Envoy.
    proxy: [&'a str; 2],
    split: &'a str,
    audience: &'a str,
    variant: &'a str,
    word: &'a str,
    value: f64,
}

impl<'a> Gauge<'a> {
    fn new(name: &'a str, value: f64, label: impl Fn(&str) -> &'a str) -> Self {
        Self {
            name,
            proxy: [label("namespace"), label("pod")],
            split: label("sluice_split"),
            audience: label("sluice_audience"),
            variant: label("sluice_variant"),
            word: label("sluice_word"),
            value,
        }
    }

    /// From what Prometheus has.
    pub fn of_series(series: &'a Series) -> Option<Self> {
        let (_, value) = series.last()?;
        Some(Self::new(series.label("__name__"), value, |label| {
            series.label(label)
        }))
    }

    /// From what a local Envoy says of itself.
    pub fn of_sample(sample: &'a Sample) -> Self {
        Self::new(&sample.name, sample.value, |label| sample.label(label))
    }

    /// Whether its value is what a split of a plan is counted for.
    fn is_of_generation(&self, plan: &Plan) -> bool {
        let split = plan.split_named(self.split);
        split.is_some_and(|split| split.generation().as_gauge() as f64 == self.value)
    }
}

/// Users by split, audience and variant.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct UsersSeen {
    users: BTreeMap<[String; 3], Users>,
    /// The splits that some proxy counts the users of.
    counted: BTreeSet<String>,
    /// The splits and audiences of whom some proxy counts not all users.
    left_out: BTreeSet<[String; 2]>,
}

impl UsersSeen {
    /// The users whom proxies saw since the splits of a plan became what they are.
    pub fn joined(plan: &Plan, gauges: &[Gauge<'_>]) -> Self {
        let current = of_generation(plan, gauges);
        let counted = current.iter().map(|(_, split)| (*split).to_owned());
        let left_out = gauges
            .iter()
            .filter(|gauge| gauge.name == "sluice_users_left_out")
            .filter(|gauge| gauge.is_of_generation(plan));
        let mut seen = Self {
            users: BTreeMap::new(),
            counted: counted.collect(),
            left_out: left_out
                .map(|gauge| [gauge.split, gauge.audience].map(str::to_owned))
                .collect(),
        };
        for gauge in gauges
            .iter()
            .filter(|gauge| current.contains(&(gauge.proxy, gauge.split)))
        {
            seen.join(gauge);
        }
        seen
    }

    fn join(&mut self, gauge: &Gauge<'_>) {
        let join = match gauge.name {
            "sluice_failed_users_word" => Users::join_failed_word,
            "sluice_users_word" => Users::join_users_word,
            _ => return,
        };
        let Ok(word) = gauge.word.parse() else {
            return;
        };
        let key = [gauge.split, gauge.audience, gauge.variant].map(str::to_owned);
        join(self.users.entry(key).or_default(), word, gauge.value as u64);
    }

    /// The users of an audience who got a variant; `None` where nobody was seen.
    pub fn of(&self, split: &str, audience: &str, variant: &str) -> Option<&Users> {
        self.users
            .get(&[split, audience, variant].map(str::to_owned))
    }

    /// How many users of an audience were seen, whatever variant they got.
    pub fn all_of(&self, split: &str, audience: &str) -> f64 {
        let of_audience = self.users.iter().filter(|(key, _)| {
            let [of_split, of_audience, _] = key.each_ref().map(String::as_str);
            (of_split, of_audience) == (split, audience)
        });
        of_audience.map(|(_, users)| users.users()).sum()
    }

    /// Whether any proxy counts a split's users since it became what it is.
    pub fn is_counted(&self, split: &str) -> bool {
        self.counted.contains(split)
    }

    /// Whether some proxy has no room for all users of an audience, so that their number is unknown.
    pub fn is_left_out(&self, split: &str, audience: &str) -> bool {
        let key = [split, audience].map(str::to_owned);
        self.left_out.contains(&key)
    }
}

/// The proxies, each as its namespace and pod, that run splits of a plan as they stand in it,
/// whatever else they run: by the gauges of those that count users or are guarded.
pub(super) fn of_generation<'a>(
    plan: &Plan,
    gauges: &[Gauge<'a>],
) -> BTreeSet<([&'a str; 2], &'a str)> {
    gauges
        .iter()
        .filter(|gauge| gauge.name == "sluice_users_generation")
        .filter(|gauge| gauge.is_of_generation(plan))
        .map(|gauge| (gauge.proxy, gauge.split))
        .collect()
}

/// A challenger that a proxy's guard took out.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Tripped {
    /// The split.
    pub split: String,
    /// The challenger.
    pub variant: String,
    /// The proxy's namespace; empty of a local Envoy.
    pub namespace: String,
    /// The proxy's pod; empty of a local Envoy.
    pub pod: String,
}

impl fmt::Display for Tripped {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &*self.pod {
            "" => formatter.write_str("Envoy")?,
            pod => write!(formatter, "{}/{pod}", self.namespace)?,
        }
        write!(
            formatter,
            " took {} out of split {}, whose guard saw it fail; its weight counts as 0 there until \
             the split's weights or definition change",
            self.variant, self.split
        )
    }
}

/// What guards took out of the splits of a plan.
pub fn tripped(plan: &Plan, gauges: &[Gauge<'_>]) -> Vec<Tripped> {
    let is_guarded = |name: &str| {
        let split = plan.split_named(name);
        split.is_some_and(|split| split.definition.guard.is_some())
    };
    let out = gauges
        .iter()
        .filter(|gauge| gauge.name == "sluice_tripped" && gauge.value == 1.0);
    let mut tripped: Vec<Tripped> = out
        .filter(|gauge| is_guarded(gauge.split))
        .map(|gauge| Tripped {
            split: gauge.split.to_owned(),
            variant: gauge.variant.to_owned(),
            namespace: gauge.proxy[0].to_owned(),
            pod: gauge.proxy[1].to_owned(),
        })
        .collect();
    tripped.sort_by(|one, other| {
        (&one.split, &one.variant, &one.namespace, &one.pod).cmp(&(
            &other.split,
            &other.variant,
            &other.namespace,
            &other.pod,
        ))
    });
    tripped.dedup();
    tripped
}

/// A challenger that is braked.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Braked {
    /// The split.
    pub split: String,
    /// The challenger.
    pub variant: String,
    /// In how many proxies.
    pub proxies: usize,
}

impl fmt::Display for Braked {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            split,
            variant,
            proxies,
        } = self;
        let plural = if *proxies == 1 { "y" } else { "ies" };
        write!(
            formatter,
            "{variant} of split {split} in {proxies} prox{plural}; its weight counts as 0 there until the \
             brake is released, or the split's weights or definition change"
        )
    }
}

/// What is braked of the splits of a plan.
pub fn braked(plan: &Plan, gauges: &[Gauge<'_>]) -> Vec<Braked> {
    let on = gauges
        .iter()
        .filter(|gauge| gauge.name == "sluice_braked" && gauge.value == 1.0);
    let mut proxies: BTreeMap<[&str; 2], BTreeSet<[&str; 2]>> = BTreeMap::new();
    for gauge in on.filter(|gauge| plan.split_named(gauge.split).is_some()) {
        let named = [gauge.split, gauge.variant];
        proxies.entry(named).or_default().insert(gauge.proxy);
    }
    let braked = proxies.into_iter();
    braked
        .map(|([split, variant], proxies)| Braked {
            split: split.to_owned(),
            variant: variant.to_owned(),
            proxies: proxies.len(),
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;
    use sluice_core::bucket::Seed;
    use sluice_core::config::Document;
    use sluice_core::plan::Node;
    use sluice_core::users::Outcome;

    fn plan(weight: u32) -> Plan {
        let config = json!({
            "splits": {"web": {"guard": {}}, "api": {}},
            "weights": {"web": {"everyone": {"canary": weight}}},
            "responseMetrics": true,
        });
        Plan::build(
            &Document::from_value(config).unwrap(),
            &Node::default(),
            None,
        )
    }

    fn failed(users: std::ops::Range<u32>) -> Users {
        let mut failed = Users::default();
        for user in users {
            failed.add(
                Seed::new("web", None).point(&user.to_le_bytes()),
                Outcome::Failed,
            );
        }
        failed
    }

    /// What a proxy exports of the canary of split web.
    fn exported(proxy: &str, plan: &Plan, users: &Users) -> Vec<Sample> {
        let sample = |name: &str, word: usize, value: u64| Sample {
            name: name.to_owned(),
            labels: [
                ("pod", proxy),
                ("sluice_split", "web"),
                ("sluice_audience", "everyone"),
                ("sluice_variant", "canary"),
                ("sluice_word", &word.to_string()),
            ]
            .map(|(name, value)| (name.to_owned(), value.to_owned()))
            .into(),
            value: value as f64,
        };
        let generation = plan.split_named("web").unwrap().generation().as_gauge();
        let failed = users.failed_words().into_iter().enumerate();
        let seen = users.users_words().into_iter().enumerate();
        failed
            .map(|(word, value)| sample("sluice_failed_users_word", word, value))
            .chain(seen.map(|(word, value)| sample("sluice_users_word", word, value)))
            .chain([sample("sluice_users_generation", 0, generation)])
            .collect()
    }

    #[test]
    fn proxies_joined_are_one_that_saw_everything() {
        let plan = plan(5);
        let samples: Vec<Sample> = [("a", 0..60), ("b", 40..100)]
            .into_iter()
            .flat_map(|(proxy, users)| exported(proxy, &plan, &failed(users)))
            .collect();
        let gauges: Vec<Gauge<'_>> = samples.iter().map(Gauge::of_sample).collect();
        let seen = UsersSeen::joined(&plan, &gauges);
        assert_eq!(seen.of("web", "everyone", "canary"), Some(&failed(0..100)));
        assert_eq!(seen.of("web", "everyone", "stable"), None);
    }

    #[test]
    fn a_proxy_that_still_counts_since_an_earlier_change_is_left_out() {
        let samples = [
            exported("a", &plan(5), &failed(0..60)),
            exported("b", &plan(10), &failed(40..100)),
        ]
        .concat();
        let gauges: Vec<Gauge<'_>> = samples.iter().map(Gauge::of_sample).collect();
        let seen = UsersSeen::joined(&plan(10), &gauges);
        assert_eq!(seen.of("web", "everyone", "canary"), Some(&failed(40..100)));
        assert_eq!(UsersSeen::joined(&plan(15), &gauges), UsersSeen::default());
    }

    #[test]
    fn an_audience_that_a_proxy_has_no_room_for_is_not_counted() {
        let generation = |plan: &Plan| plan.split_named("web").unwrap().generation();
        let left_out = |audience: &str, plan: &Plan| Sample {
            name: "sluice_users_left_out".to_owned(),
            labels: [("sluice_split", "web"), ("sluice_audience", audience)]
                .map(|(name, value)| (name.to_owned(), value.to_owned()))
                .into(),
            value: generation(plan).as_gauge() as f64,
        };
        let is_left_out = |samples: &[Sample]| {
            let gauges: Vec<Gauge<'_>> = samples.iter().map(Gauge::of_sample).collect();
            let seen = UsersSeen::joined(&plan(5), &gauges);
            ["staff", "everyone"].map(|audience| seen.is_left_out("web", audience))
        };
        let mut samples = vec![left_out("staff", &plan(10))];
        assert_eq!(is_left_out(&samples), [false; 2], "of other weights");
        samples.push(left_out("staff", &plan(5)));
        assert_eq!(is_left_out(&samples), [true, false]);
    }

    #[test]
    fn words_that_nobody_exports_are_passed_over() {
        let mut samples = exported("a", &plan(5), &failed(0..60));
        let odd = samples
            .iter_mut()
            .find(|sample| sample.name == "sluice_users_word")
            .unwrap();
        odd.labels
            .insert("sluice_word".to_owned(), "many".to_owned());
        odd.value = f64::NAN;
        let more: Vec<Sample> = ["99999999999999999999", "-1", "4096"]
            .into_iter()
            .map(|word| {
                let mut sample = odd.clone();
                sample
                    .labels
                    .insert("sluice_word".to_owned(), word.to_owned());
                sample.value = 1e300;
                sample
            })
            .collect();
        samples.extend(more);
        let gauges: Vec<Gauge<'_>> = samples.iter().map(Gauge::of_sample).collect();
        let seen = UsersSeen::joined(&plan(5), &gauges);
        let users = seen.of("web", "everyone", "canary").unwrap();
        assert_eq!(users.failed_bits(), failed(0..60).failed_bits());
    }

    #[test]
    fn proxies_in_which_a_challenger_is_braked_are_counted() {
        let sample = |pod: &str, split: &str, variant: &str, value: f64| Sample {
            name: "sluice_braked".to_owned(),
            labels: [
                ("namespace", "shop"),
                ("pod", pod),
                ("sluice_split", split),
                ("sluice_variant", variant),
            ]
            .map(|(name, value)| (name.to_owned(), value.to_owned()))
            .into(),
            value,
        };
        let samples = [
            sample("b", "web", "canary", 1.0),
            sample("a", "web", "canary", 1.0),
            // Of two VMs of one Envoy.
            sample("a", "web", "canary", 1.0),
            sample("c", "web", "canary", 0.0),
            sample("a", "gone", "canary", 1.0),
        ];
        let gauges: Vec<Gauge<'_>> = samples.iter().map(Gauge::of_sample).collect();
        let named: Vec<String> = braked(&plan(5), &gauges)
            .iter()
            .map(ToString::to_string)
            .collect();
        let expected = "canary of split web in 2 proxies; its weight counts as 0 there until the brake \
                        is released, or the split's weights or definition change";
        assert_eq!(named, [expected]);
    }

    #[test]
    fn proxies_whose_guard_tripped_are_named_in_order() {
        let sample = |pod: &str, split: &str, value: f64| Sample {
            name: "sluice_tripped".to_owned(),
            labels: [
                ("namespace", "shop"),
                ("pod", pod),
                ("sluice_split", split),
                ("sluice_variant", "canary"),
            ]
            .map(|(name, value)| (name.to_owned(), value.to_owned()))
            .into(),
            value,
        };
        let samples = [
            sample("b", "web", 1.0),
            sample("c", "web", 0.0),
            sample("a", "web", 1.0),
            sample("a", "api", 1.0),
            sample("a", "gone", 1.0),
        ];
        let gauges: Vec<Gauge<'_>> = samples.iter().map(Gauge::of_sample).collect();
        let named: Vec<String> = tripped(&plan(5), &gauges)
            .iter()
            .map(ToString::to_string)
            .collect();
        let expected = ["a", "b"].map(|pod| format!("shop/{pod} took canary out of split web, whose guard saw it fail; its weight counts as 0 there until the split's weights or definition change"));
        assert_eq!(named, expected);
    }
}
