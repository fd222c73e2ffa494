//! What the plugins of a cluster want: the share of every variant, and the revision that proxies
//! should run. Whoever watches compares it with what proxies count.
//!
//! Of a plugin only that is kept, and of all of them a bounded number of shares. It judges no
//! configuration and asks no proxy: `sluice status` does. The watch of the plugins fills it; the
//! controller's metrics read it.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use parking_lot::Mutex;
use prometheus_client::encoding::{DescriptorEncoder, EncodeMetric as _};
use prometheus_client::metrics::gauge::ConstGauge;
use serde::Deserializer;
use serde_json::Value;
use sluice_core::plan::{Node, Plan};
use sluice_core::revision::Revision;

use super::gauges::{NAMESPACE, gauge};
use crate::cluster::bounded;
use crate::model::churn::shares;
use crate::model::document;
use crate::model::plugin::Kind;

/// How many shares are told, one for each plugin, split, audience and variant; see docs/limits.md.
/// Chosen: some 4 MB of metrics.
const MAX_TOLD_SHARES: usize = 20_000;

/// How many of them may be of one namespace, so that none takes the others' room; see docs/limits.md.
/// Chosen: a plugin of a thousand splits with two variants each.
const MAX_TOLD_SHARES_OF_NAMESPACE: usize = 2_000;

/// How deep a plugin is read for this; see docs/limits.md. Chosen: twice what an entry of a split
/// may have.
const MAX_WANTED_DEPTH: usize = 64;

/// A plugin: its kind, its namespace, its name.
pub(super) type Named = (&'static str, String, String);

/// A state of a plugin's spec: which object, and its generation.
pub(super) type Version = (String, i64);

/// What all plugins want.
#[derive(Debug, Default)]
pub(super) struct Served(Mutex<BTreeMap<Named, Wanted>>);

/// What one plugin wants.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Wanted {
    /// The fingerprint of its configuration, as proxies show it in a gauge.
    revision: u64,
    /// Of which state of its spec all this is, where the object says that.
    version: Option<Version>,
    /// How many problems proxies find in it.
    problems: usize,
    shares: Vec<Share>,
    /// Shares for which there was no room.
    left_out: usize,
}

#[derive(Clone, Debug, PartialEq)]
struct Share {
    split: String,
    audience: String,
    variant: String,
    percent: f64,
}

impl Wanted {
    /// What a plugin's `spec` wants; `None` where it is none of ours: it has no splits.
    pub(super) fn of(spec: &Value) -> Option<Self> {
        let config = spec
            .pointer("/wasm/pluginConfig")
            .or_else(|| spec.get("pluginConfig"))?;
        config.get("splits").filter(|splits| splits.is_object())?;
        let revision = Revision::of(config).as_gauge();
        // What no proxy can read wants nothing of anybody.
        let Ok(document) = document::read(config) else {
            return Some(Self {
                revision,
                ..Self::default()
            });
        };
        let plan = Plan::build(&document, &Node::default(), None);
        let of_split = |split| {
            shares(split).map(move |share| Share {
                split: split.definition.name.to_string(),
                audience: share.audience,
                variant: share.variant.to_owned(),
                percent: share.percent.as_f64(),
            })
        };
        let mut all: Vec<Share> = plan
            .splits()
            .iter()
            .flat_map(of_split)
            .take(MAX_TOLD_SHARES_OF_NAMESPACE + 1)
            .collect();
        let left_out = all.len().saturating_sub(MAX_TOLD_SHARES_OF_NAMESPACE);
        all.truncate(MAX_TOLD_SHARES_OF_NAMESPACE);
        Some(Self {
            revision,
            version: None,
            problems: plan.number_of_problems(),
            shares: all,
            left_out,
        })
    }

    /// The same, of a state of the spec.
    pub(super) fn at(self, version: Option<Version>) -> Self {
        Self { version, ..self }
    }
}

/// Reads a plugin's `spec`, as deep as matters.
pub(super) fn spec<'de, D: Deserializer<'de>>(spec: D) -> Result<Value, D::Error> {
    bounded::value(spec, MAX_WANTED_DEPTH)
}

impl Served {
    /// Remembers what a plugin wants now; `None`: it is none of ours.
    pub(super) fn note(&self, plugin: Named, wanted: Option<Wanted>) {
        let mut all = self.0.lock();
        all.remove(&plugin);
        let Some(mut wanted) = wanted else {
            return;
        };
        let room = room(&all, &plugin.1);
        wanted.left_out += wanted.shares.len().saturating_sub(room);
        wanted.shares.truncate(room);
        all.insert(plugin, wanted);
    }

    /// Whether what this state of a plugin's spec wants is remembered already, as much of it as there is
    /// room for.
    pub(super) fn knows(&self, plugin: &Named, version: Option<&Version>) -> bool {
        let all = self.0.lock();
        let same = all
            .get(plugin)
            .filter(|known| version.is_some() && known.version.as_ref() == version);
        same.is_some_and(|known| known.left_out == 0 || room(&all, &plugin.1) == 0)
    }

    /// Forgets the plugins of a kind that are not among those.
    pub(super) fn retain(&self, kind: Kind, listed: &BTreeSet<Named>) {
        let is_there = |plugin: &Named| plugin.0 != kind.name() || listed.contains(plugin);
        self.0.lock().retain(|plugin, _| is_there(plugin));
    }

    /// Tells all of it.
    pub(super) fn encode(&self, encoder: &mut DescriptorEncoder<'_>) -> fmt::Result {
        let all = self.0.lock();
        let labels = |(kind, namespace, name): &Named| {
            vec![
                (NAMESPACE, namespace.clone()),
                ("sluice_plugin", format!("{namespace}.{name}")),
                ("kind", (*kind).to_owned()),
            ]
        };
        let mut revisions = gauge(
            encoder,
            "sluice_plugin_revision",
            "The revision that proxies of a plugin should run, as they show it",
        )?;
        for (plugin, wanted) in &*all {
            let labels = labels(plugin);
            let revision = ConstGauge::new(wanted.revision as f64);
            revision.encode(revisions.encode_family(&labels)?)?;
        }
        let mut problems = gauge(
            encoder,
            "sluice_plugin_problems",
            "Problems that proxies find in the present configuration of a plugin",
        )?;
        for (plugin, wanted) in &*all {
            let found = ConstGauge::new(wanted.problems as f64);
            found.encode(problems.encode_family(&labels(plugin))?)?;
        }
        let mut weights = gauge(
            encoder,
            "sluice_plugin_weight",
            "The part of an audience's users that a variant is to have, in percent",
        )?;
        for (plugin, wanted) in &*all {
            for share in &wanted.shares {
                let mut labels = labels(plugin);
                labels.extend([
                    ("sluice_split", share.split.clone()),
                    ("sluice_audience", share.audience.clone()),
                    ("sluice_variant", share.variant.clone()),
                ]);
                ConstGauge::new(share.percent).encode(weights.encode_family(&labels)?)?;
            }
        }
        let left_out: usize = all.values().map(|wanted| wanted.left_out).sum();
        let told = gauge(
            encoder,
            "sluice_plugin_weights_left_out",
            "Weights of plugins that are not told because there are too many",
        )?;
        ConstGauge::new(left_out as f64).encode(told)
    }
}

/// For how many shares more there is room in a namespace.
fn room(all: &BTreeMap<Named, Wanted>, namespace: &str) -> usize {
    let taken = |of: &dyn Fn(&Named) -> bool| -> usize {
        let counted = all.iter().filter(|(plugin, _)| of(plugin));
        counted.map(|(_, wanted)| wanted.shares.len()).sum()
    };
    let here = taken(&|plugin| plugin.1 == namespace);
    let everywhere = taken(&|_| true);
    let room = MAX_TOLD_SHARES.saturating_sub(everywhere);
    room.min(MAX_TOLD_SHARES_OF_NAMESPACE.saturating_sub(here))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde::Deserialize;
    use serde_json::json;

    fn named(name: &str) -> Named {
        ("WasmPlugin", "shop".to_owned(), name.to_owned())
    }

    fn shown(served: &Served) -> Vec<(String, usize, usize)> {
        let all = served.0.lock();
        let shown = |(plugin, wanted): (&Named, &Wanted)| {
            (plugin.2.clone(), wanted.shares.len(), wanted.left_out)
        };
        all.iter().map(shown).collect()
    }

    #[test]
    fn a_plugin_of_either_kind_wants_its_weights_and_the_rest_for_the_fallback() {
        let config = json!({
            "splits": {"web": {"rules": [{"name": "staff", "match": [{"headers": {"x": {"exact": "1"}}}]}]}},
            "weights": {"web": {"everyone": {"canary": 5}, "staff": {"canary": 50}}},
        });
        let revision = Revision::of(&config).as_gauge();
        for spec in [
            json!({"pluginConfig": config}),
            json!({"wasm": {"pluginConfig": config}}),
        ] {
            let wanted = Wanted::of(&spec).unwrap();
            let shares = wanted.shares.iter();
            let shares: Vec<(&str, &str, f64)> = shares
                .map(|share| (&*share.audience, &*share.variant, share.percent))
                .collect();
            let expected = [
                ("staff", "stable", 50.0),
                ("staff", "canary", 50.0),
                ("everyone", "stable", 95.0),
                ("everyone", "canary", 5.0),
            ];
            assert_eq!((wanted.revision, shares), (revision, expected.to_vec()));
        }
        for not_ours in [
            json!(5),
            json!({}),
            json!({"pluginConfig": {"rate": 5}}),
            json!({"pluginConfig": {"splits": 5}}),
        ] {
            assert_eq!(Wanted::of(&not_ours), None, "{not_ours}");
        }
        let unreadable = json!({"pluginConfig": {"version": 2, "splits": {}}});
        assert_eq!(Wanted::of(&unreadable).unwrap().shares, []);
    }

    #[test]
    fn as_many_shares_are_told_as_may_be_and_the_others_are_counted() {
        let served = Served::default();
        let share = Share {
            split: "web".to_owned(),
            audience: "everyone".to_owned(),
            variant: "canary".to_owned(),
            percent: 5.0,
        };
        let of = |count: usize| {
            Some(Wanted {
                shares: vec![share.clone(); count],
                ..Wanted::default()
            })
        };
        let most = MAX_TOLD_SHARES_OF_NAMESPACE;
        served.note(named("a"), of(most - 1));
        served.note(named("b"), of(1));
        let full = |b, left_out| [("a".to_owned(), most - 1, 0), ("b".to_owned(), b, left_out)];
        assert_eq!(shown(&served), full(1, 0));
        served.note(named("b"), of(3));
        assert_eq!(shown(&served), full(1, 2));
        served.note(named("a"), None);
        served.note(named("b"), of(3));
        assert_eq!(shown(&served), [("b".to_owned(), 3, 0)]);
        served.retain(Kind::TrafficExtension, &BTreeSet::new());
        assert_eq!(shown(&served).len(), 1, "it is of another kind");
        served.retain(Kind::WasmPlugin, &BTreeSet::from([named("a")]));
        assert_eq!(shown(&served), []);
    }

    #[test]
    fn a_namespace_takes_no_more_than_its_part_and_all_together_no_more_than_there_is() {
        let served = Served::default();
        let share = Share {
            split: "web".to_owned(),
            audience: "everyone".to_owned(),
            variant: "canary".to_owned(),
            percent: 5.0,
        };
        let of = |count: usize| {
            Some(Wanted {
                shares: vec![share.clone(); count],
                ..Wanted::default()
            })
        };
        let most = MAX_TOLD_SHARES_OF_NAMESPACE;
        let namespaces = MAX_TOLD_SHARES / most;
        for namespace in 0..=namespaces {
            let plugin = |name: &str| ("WasmPlugin", namespace.to_string(), name.to_owned());
            served.note(plugin("a"), of(most));
            served.note(plugin("b"), of(1));
            let last = served.0.lock()[&plugin("a")].left_out;
            let is_last = namespace == namespaces;
            assert_eq!(last, if is_last { most } else { 0 }, "{namespace}");
            assert_eq!(served.0.lock()[&plugin("b")].left_out, 1, "{namespace}");
        }
    }

    #[test]
    fn a_state_is_read_once_unless_something_of_it_was_left_out_and_finds_room_now() {
        let served = Served::default();
        let version = |generation| Some(("5f".to_owned(), generation));
        let config = json!({"pluginConfig": {"splits": {"web": {}}}});
        assert!(!served.knows(&named("a"), version(1).as_ref()));
        served.note(named("a"), Wanted::of(&config).map(|it| it.at(version(1))));
        assert!(served.knows(&named("a"), version(1).as_ref()));
        assert!(!served.knows(&named("a"), version(2).as_ref()));
        let another = Some(("6a".to_owned(), 1));
        assert!(!served.knows(&named("a"), another.as_ref()));
        served.note(named("a"), Wanted::of(&config));
        assert!(!served.knows(&named("a"), None), "it says no generation");
        let share = Share {
            split: "web".to_owned(),
            audience: "everyone".to_owned(),
            variant: "canary".to_owned(),
            percent: 5.0,
        };
        let full = Wanted {
            shares: vec![share; MAX_TOLD_SHARES_OF_NAMESPACE],
            ..Wanted::default()
        };
        served.note(named("a"), Some(full.clone()));
        served.note(named("b"), Some(full.at(version(1))));
        assert!(served.knows(&named("b"), version(1).as_ref()), "no room");
        served.note(named("a"), None);
        assert!(!served.knows(&named("b"), version(1).as_ref()), "room");
    }

    #[test]
    fn problems_of_the_present_configuration_are_counted() {
        let problems = |config: Value| {
            Wanted::of(&json!({"pluginConfig": config}))
                .unwrap()
                .problems
        };
        assert_eq!(problems(json!({"splits": {"web": {}}})), 0);
        let weights =
            json!({"web": {"everyone": {"canary": 500}}, "none": {"everyone": {"canary": 5}}});
        assert_eq!(
            problems(json!({"splits": {"web": {}}, "weights": weights})),
            2
        );
    }

    #[test]
    fn what_is_nested_too_deeply_spoils_nothing() {
        #[derive(Deserialize)]
        struct Read {
            #[serde(deserialize_with = "spec")]
            spec: Value,
        }
        let written = |levels: usize| {
            let deep = format!("{}1{}", "[".repeat(levels), "]".repeat(levels));
            let config = format!(r#"{{"splits": {{"web": {{}}}}, "more": {deep}}}"#);
            format!(r#"{{"spec": {{"pluginConfig": {config}}}}}"#)
        };
        for levels in [MAX_WANTED_DEPTH - 3, MAX_WANTED_DEPTH, 100_000] {
            let read: Read = serde_json::from_str(&written(levels)).unwrap();
            assert!(Wanted::of(&read.spec).is_some(), "{levels}");
        }
    }
}
