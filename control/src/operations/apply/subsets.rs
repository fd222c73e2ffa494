//! Whether proxies have new subsets: pure, from what Prometheus scraped of them.
//!
//! istiod sends clusters, endpoints and routes in one push without waiting in between, and Envoy
//! answers 503 to a request that is routed to a cluster before its endpoints have come. So routes
//! may follow when the clusters of the subsets were added and none warms. Istio's proxies show that
//! by default: `cluster_manager.cluster_added` counts each new cluster, one for every subset and
//! port, and `cluster_manager.warming_clusters` those that wait for endpoints. Clusters that others
//! added since the scrape before are counted too; which cluster it was, no metric tells by default.
//!
//! A route of the mesh reaches every proxy, so all that Prometheus knows are looked at, not only
//! those that the plugin selects; a route of gateways alone reaches the pods that serve these. Which
//! of them will never get the subsets, because they do not call the service (`Sidecar`, `exportTo`),
//! no metric tells either. So those that lack them are waited for no longer than where nobody can be
//! asked, and are then named. A proxy that istiod is late with gets the route no sooner than the
//! subset: both come by one stream, clusters first.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::time::Duration;

use jiff::Timestamp;
use serde::{Serialize, Serializer};

use crate::cluster::prometheus::{Prometheus, Series};

/// How long after a change of subsets routes follow where nobody can be asked. istiod holds changes
/// back for 10 s at most (PILOT_DEBOUNCE_MAX); chosen: half as much again for the push.
pub const SUBSETS_SECONDS: u64 = 15;

/// How many proxies that lack subsets are named. Chosen: what a person reads.
const MAX_NAMED_PROXIES: usize = 20;

const ADDED: &str = "envoy_cluster_manager_cluster_added";
const WARMING: &str = "envoy_cluster_manager_warming_clusters";

/// What a proxy counts of its clusters.
#[derive(Clone, Copy, Debug, PartialEq)]
struct Clusters {
    added: f64,
    warming: f64,
}

/// What the mesh's proxies were last scraped with, by `namespace/pod`.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Look(BTreeMap<String, Clusters>);

/// What is known of one proxy.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Sight {
    /// It has the subsets.
    Has,
    /// It was scraped and lacks them.
    Lacks(String),
    /// It is not scraped, or was not before.
    Unscraped(String),
}

/// Why nobody can be asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unseen {
    /// No Prometheus was named.
    NoPrometheus,
    /// None of the proxies is in Prometheus.
    NotScraped,
    /// There is no proxy that the plugins select.
    NoProxies,
    /// Only Istio knows which proxies the plugin selects.
    OtherSelection,
    /// The subsets were applied a moment ago, by somebody else or an earlier run.
    AppliedBefore,
}

impl fmt::Display for Unseen {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(match self {
            Self::NoPrometheus => "no --prometheus tells which proxies have the subsets",
            Self::NotScraped => "Prometheus has no cluster counts of the proxies",
            Self::NoProxies => "no running proxy is selected by a plugin among these resources",
            Self::OtherSelection => "only Istio knows which proxies the plugin's targetRefs select",
            Self::AppliedBefore => "the subsets were changed a moment ago",
        })
    }
}

impl Serialize for Unseen {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

/// What a wait ended with.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "camelCase", tag = "waited")]
pub enum Waited {
    /// Every proxy has the subsets.
    Seen {
        /// How many they are.
        proxies: usize,
        /// How long that took.
        seconds: f64,
    },
    /// Some have them; the others may not call the service.
    PartlySeen {
        /// How many have them.
        proxies: usize,
        /// The others, as `namespace/pod`.
        others: Vec<String>,
    },
    /// Nobody could be asked.
    Blindly {
        /// How long it took.
        seconds: u64,
        /// Why.
        because: Unseen,
    },
}

/// What follows from a look.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Verdict {
    /// Look again.
    Wait,
    /// Routes may follow.
    GoOn(Waited),
    /// istiod has not pushed: these lack the subsets, and none has them.
    Stop(Vec<String>),
}

/// What a look says of everybody.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Sights {
    /// Of the proxies that the plugins select.
    pub(super) selected: Vec<Sight>,
    /// Of all others that were scraped before.
    pub(super) others: Vec<Sight>,
}

impl Look {
    /// What Prometheus has of the mesh's proxies now.
    pub(super) async fn at(prometheus: &Prometheus) -> anyhow::Result<Self> {
        let (added, warming) =
            tokio::try_join!(prometheus.query(ADDED), prometheus.query(WARMING))?;
        Ok(Self::of(&added, &warming))
    }

    fn of(added: &[Series], warming: &[Series]) -> Self {
        let warming = newest(warming);
        let clusters = |(proxy, added): (String, f64)| {
            let warming = *warming.get(&proxy)?;
            Some((proxy, Clusters { added, warming }))
        };
        Self(newest(added).into_iter().filter_map(clusters).collect())
    }

    /// Only what was scraped of the proxies of gateways and those that the plugins select; all of it
    /// where the whole mesh is looked at.
    pub(super) fn of_those(
        mut self,
        gateways: Option<&BTreeSet<String>>,
        selected: &BTreeSet<String>,
    ) -> Self {
        if let Some(gateways) = gateways {
            let is_one = |proxy: &String| gateways.contains(proxy) || selected.contains(proxy);
            self.0.retain(|proxy, _| is_one(proxy));
        }
        self
    }

    /// The proxies of the mesh that it has and that are not among some.
    pub(super) fn beside(&self, selected: &BTreeSet<String>) -> usize {
        let proxies = self.0.keys();
        proxies.filter(|proxy| !selected.contains(*proxy)).count()
    }

    /// What a later look says of each proxy, where `new` subsets were added in between.
    pub(super) fn against(&self, later: &Self, selected: &BTreeSet<String>, new: usize) -> Sights {
        let sight = |proxy: &String| {
            let (Some(before), Some(now)) = (self.0.get(proxy), later.0.get(proxy)) else {
                return Sight::Unscraped(proxy.clone());
            };
            // A counter that fell is a proxy that started anew, and got everything at once.
            let has_more = now.added >= before.added + new as f64 || now.added < before.added;
            // What warmed before, such as a cluster without its secret, may do so for ever.
            if has_more && now.warming <= before.warming {
                Sight::Has
            } else {
                Sight::Lacks(proxy.clone())
            }
        };
        let others = self.0.keys().filter(|proxy| !selected.contains(*proxy));
        Sights {
            selected: selected.iter().map(sight).collect(),
            // A proxy that is gone, or no longer scraped, keeps nobody waiting.
            others: others
                .map(sight)
                .filter(|sight| !matches!(sight, Sight::Unscraped(_)))
                .collect(),
        }
    }
}

/// The newest value of each proxy.
fn newest(series: &[Series]) -> BTreeMap<String, f64> {
    let mut newest: BTreeMap<String, (f64, f64)> = BTreeMap::new();
    for series in series {
        let (namespace, pod) = (series.label("namespace"), series.label("pod"));
        let Some((at, value)) = series.last().filter(|_| !pod.is_empty()) else {
            continue;
        };
        let kept = newest
            .entry(format!("{namespace}/{pod}"))
            .or_insert((at, value));
        if at >= kept.0 {
            *kept = (at, value);
        }
    }
    let values = newest.into_iter();
    values.map(|(proxy, (_, value))| (proxy, value)).collect()
}

/// What a look means, so long after the subsets were applied.
pub(super) fn judge(sights: &Sights, elapsed: Duration, timeout: Duration) -> Verdict {
    let all = || sights.selected.iter().chain(&sights.others);
    let has = all().filter(|sight| **sight == Sight::Has).count();
    if has == all().count() {
        let seconds = elapsed.as_secs_f64();
        return Verdict::GoOn(Waited::Seen {
            proxies: has,
            seconds,
        });
    }
    if elapsed < Duration::from_secs(SUBSETS_SECONDS) {
        return Verdict::Wait;
    }
    let lacking = sights.selected.iter().filter_map(|sight| match sight {
        Sight::Lacks(name) => Some(name.clone()),
        _ => None,
    });
    let lacking: Vec<String> = lacking.collect();
    let others = all().filter_map(|sight| match sight {
        Sight::Lacks(name) | Sight::Unscraped(name) => Some(name.clone()),
        Sight::Has => None,
    });
    match (sights.selected.contains(&Sight::Has), lacking.is_empty()) {
        (false, true) => Verdict::GoOn(Waited::Blindly {
            seconds: SUBSETS_SECONDS,
            because: Unseen::NotScraped,
        }),
        (false, false) if elapsed >= timeout => Verdict::Stop(lacking),
        (false, false) => Verdict::Wait,
        // istiod pushes to all at once: who has nothing by now gets nothing.
        _ => Verdict::GoOn(Waited::PartlySeen {
            proxies: has,
            others: others.collect(),
        }),
    }
}

/// Some of these proxies by name, the rest by number.
pub fn named(proxies: &[String]) -> String {
    let named = proxies.iter().take(MAX_NAMED_PROXIES).cloned();
    let named = named.collect::<Vec<_>>().join(", ");
    match proxies.len().saturating_sub(MAX_NAMED_PROXIES) {
        0 => named,
        more => format!("{named} and {more} more"),
    }
}

/// What is left of [`SUBSETS_SECONDS`]; both times are cut to whole seconds.
pub(super) fn left(changed: Timestamp, now: Timestamp) -> u64 {
    let since = now.as_second() - changed.as_second() - 1;
    SUBSETS_SECONDS.saturating_sub(u64::try_from(since).unwrap_or(0))
}

#[cfg(test)]
mod tests;
