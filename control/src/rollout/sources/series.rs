//! Which counters are whose: from labels to a variant, a proxy and an outcome, and from samples to
//! what each variant answered in some time. Pure.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use jiff::Timestamp;

use super::query::duration;
use super::target::{Round, Target};
use crate::operations::status::observed::UsersSeen;
use crate::rollout::counters::{self, Sample, increments};
use crate::rollout::observation::{Arm, Arms, Bucket, Edge, Increments, Reading};

/// A counter with its labels.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Counter {
    pub(super) labels: BTreeMap<String, String>,
    pub(super) samples: Vec<Sample>,
}

impl Counter {
    pub(super) fn label(&self, name: &str) -> &str {
        self.labels.get(name).map_or("", String::as_str)
    }

    /// The pod that it is of, or else the address that it was scraped at; empty of a local Envoy.
    pub(super) fn proxy(&self) -> String {
        match self.label("pod") {
            "" => self.label("instance").to_owned(),
            pod => format!("{}/{pod}", self.label("namespace")),
        }
    }
}

/// How one producer of metrics tells variants and outcomes apart.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Dialect {
    /// The counter of responses.
    pub(super) responses: &'static str,
    /// The counters of the time that they took, in milliseconds, cumulative by the label `le`.
    pub(super) buckets: &'static str,
    /// The label that tells variants apart, with its values for challenger and fallback.
    pub(super) label: &'static str,
    pub(super) challenger: String,
    pub(super) fallback: String,
    /// The label whose value begins with a 5 where a response failed.
    pub(super) class: &'static str,
    /// Matchers that every series has, such as `sluice_split="web"`.
    pub(super) matchers: String,
    /// Whose word is taken.
    pub(super) witness: Witness,
}

/// Whose word is taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Witness {
    /// That of the proxies that run the filter: the requests of others are not split.
    Filter,
    /// Everybody's.
    Anyone,
}

impl Dialect {
    /// The filter's own metrics, which `responseMetrics` makes.
    pub(super) fn of_filter(target: &Target) -> Self {
        Self {
            responses: "sluice_responses_total",
            buckets: "sluice_response_time_milliseconds_bucket",
            label: "sluice_variant",
            challenger: target.challenger.clone(),
            fallback: target.fallback.clone(),
            class: "sluice_class",
            matchers: format!("sluice_split=\"{}\"", target.split),
            witness: Witness::Filter,
        }
    }

    /// A query for raw samples of a metric of both variants.
    pub(super) fn query(&self, metric: &str, range: Duration) -> String {
        let label = self.label;
        let values = [&self.challenger, &self.fallback].map(|value| literally(value));
        let (values, range) = (values.join("|"), duration(range));
        format!(
            "{metric}{{{},{label}=~\"{values}\"}}[{range}]",
            self.matchers
        )
    }

    fn variant(&self, counter: &Counter) -> Option<Variant> {
        match counter.label(self.label) {
            challenger if challenger == self.challenger => Some(Variant::Challenger),
            fallback if fallback == self.fallback => Some(Variant::Fallback),
            _ => None,
        }
    }
}

/// A text as a regular expression that only it matches, inside of PromQL's quotes.
fn literally(text: &str) -> String {
    let is_plain = |letter: char| letter.is_ascii_alphanumeric() || "_-".contains(letter);
    let letter = |letter: char| match is_plain(letter) {
        true => letter.to_string(),
        false => format!("\\\\x{{{:x}}}", u32::from(letter)),
    };
    text.chars().map(letter).collect()
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Variant {
    Challenger,
    Fallback,
}

/// What was counted.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Counted {
    /// Responses of both variants.
    pub(super) responses: Vec<Counter>,
    /// Their times; empty where nobody asked for them.
    pub(super) buckets: Vec<Counter>,
    /// The ticks of the filter, one a second and worker at least, which tell since when a proxy was
    /// looked at and how old it was then.
    pub(super) ticks: Vec<Counter>,
}

/// What both variants answered in a round, as the proxies saw it that run the filter; no data where
/// there is no series of either. Users are left out.
pub(super) fn arms(dialect: &Dialect, counted: &Counted, round: &Round<'_>) -> Reading<Arms> {
    let looks = Looks::of(counted);
    let responses = rows(dialect, &counted.responses, &looks);
    if responses.is_empty() {
        return Reading::NoData;
    }
    let buckets = rows(dialect, &counted.buckets, &looks);
    let between = |from: Timestamp, variant: Variant| {
        let rise = |row: &Row<'_>| row.rise(from, round.at, &looks);
        let own = responses.iter().filter(|row| row.variant == variant);
        let mut found = Increments::default();
        for row in own {
            let rise = rise(row);
            found.responses += rise;
            found.failures += if row.has_failed { rise } else { 0 };
        }
        let own = buckets.iter().filter(|row| row.variant == variant);
        found.buckets = histogram(own, rise);
        found
    };
    let since = |variant| round.since.map(|since| between(since, variant));
    let arm = |variant| Arm {
        window: between(round.window_from(), variant),
        since: since(variant).unwrap_or_default(),
        users: None,
    };
    Reading::Value(Arms {
        challenger: arm(Variant::Challenger),
        fallback: arm(Variant::Fallback),
    })
}

/// Sets users beside what variants answered, where proxies count them.
pub(super) fn add_users(arms: &mut Arms, seen: &UsersSeen, target: &Target) {
    if !seen.is_counted(&target.split) {
        return;
    }
    let users = |variant: &str| {
        let users = seen.of(&target.split, &target.audience, variant);
        Some(users.cloned().unwrap_or_default())
    };
    arms.challenger.users = users(&target.challenger);
    arms.fallback.users = users(&target.fallback);
}

/// A counter of one variant.
struct Row<'c> {
    counter: &'c Counter,
    proxy: String,
    variant: Variant,
    has_failed: bool,
}

fn rows<'c>(dialect: &Dialect, counters: &'c [Counter], looks: &Looks) -> Vec<Row<'c>> {
    let row = |counter: &'c Counter| {
        Some(Row {
            counter,
            proxy: counter.proxy(),
            variant: dialect.variant(counter)?,
            has_failed: counter.label(dialect.class).starts_with('5'),
        })
    };
    let rows = counters.iter().filter_map(row);
    let is_heard =
        |row: &Row<'_>| dialect.witness == Witness::Anyone || looks.runs_the_filter(&row.proxy);
    rows.filter(is_heard).collect()
}

impl Row<'_> {
    /// How much it rose after `from`, up to and with `to`. The base is the last sample up to `from`.
    /// Without one, the counter began at 0 where its proxy was looked at before it was there, or is
    /// younger than `from`; else what it counted before its first sample may be of any time.
    fn rise(&self, from: Timestamp, to: Timestamp, looks: &Looks) -> u64 {
        let mut samples = self.counter.samples.clone();
        if let Some(first) = samples.first().copied().filter(|first| first.at > from) {
            let is_new = looks.began_at_zero(&self.proxy, first.at, from);
            let value = if is_new { 0.0 } else { first.value };
            samples.insert(0, Sample { at: from, value });
        }
        let series = [counters::Series {
            proxy: self.proxy.clone(),
            samples,
        }];
        increments(&series, from, to).map_or(0, |rises| rises.iter().sum())
    }

    fn edge(&self) -> Option<Edge> {
        match self.counter.label("le") {
            "+Inf" => Some(Edge::Infinite),
            text => {
                let milliseconds: f64 = text.parse().ok()?;
                let edge = Duration::try_from_secs_f64(milliseconds / 1_000.0).ok()?;
                Some(Edge::At(edge))
            }
        }
    }
}

/// The sums over proxies, of the edges that each of them has: proxies may be set up with other ones.
fn histogram<'r>(
    rows: impl Iterator<Item = &'r Row<'r>>,
    rise: impl Fn(&Row<'_>) -> u64,
) -> Vec<Bucket> {
    let mut sums: BTreeMap<Edge, (u64, BTreeSet<&str>)> = BTreeMap::new();
    let mut proxies = BTreeSet::new();
    for row in rows {
        let Some(edge) = row.edge() else { continue };
        proxies.insert(&*row.proxy);
        let (sum, of) = sums.entry(edge).or_default();
        *sum += rise(row);
        of.insert(&row.proxy);
    }
    if sums.keys().next_back() != Some(&Edge::Infinite) {
        return Vec::new();
    }
    let shared = sums
        .into_iter()
        .filter(|(_, (_, of))| of.len() == proxies.len());
    let mut greatest = 0;
    let buckets = shared.map(|(upper, (count, _))| {
        // A reset between two scrapes is seen in some buckets only.
        greatest = count.max(greatest);
        Bucket {
            upper,
            count: greatest,
        }
    });
    buckets.collect()
}

/// Since when each proxy was looked at, and how old its filter was then.
struct Looks {
    first: BTreeMap<String, Timestamp>,
    /// Seconds; at most, since each worker ticks.
    age: BTreeMap<String, (Timestamp, f64)>,
}

impl Looks {
    fn of(counted: &Counted) -> Self {
        let mut looks = Self {
            first: BTreeMap::new(),
            age: BTreeMap::new(),
        };
        for ticks in &counted.ticks {
            let Some(first) = ticks.samples.first() else {
                continue;
            };
            let age = (first.at, first.value);
            let known = looks.age.entry(ticks.proxy()).or_insert(age);
            if first.at < known.0 {
                *known = age;
            }
        }
        for counter in [&counted.ticks, &counted.responses, &counted.buckets]
            .into_iter()
            .flatten()
        {
            let Some(first) = counter.samples.first() else {
                continue;
            };
            let known = looks.first.entry(counter.proxy()).or_insert(first.at);
            *known = first.at.min(*known);
        }
        looks
    }

    fn runs_the_filter(&self, proxy: &str) -> bool {
        self.age.contains_key(proxy)
    }

    fn began_at_zero(&self, proxy: &str, first_sample: Timestamp, from: Timestamp) -> bool {
        let was_seen_before = self
            .first
            .get(proxy)
            .is_some_and(|first| *first < first_sample);
        let is_young = self.age.get(proxy).is_some_and(|(at, ticks)| {
            let age = jiff::SignedDuration::try_from_secs_f64(*ticks);
            let born = age.ok().and_then(|age| at.checked_sub(age).ok());
            born.is_some_and(|born| born >= from)
        });
        was_seen_before || is_young
    }
}

#[cfg(test)]
mod tests;
