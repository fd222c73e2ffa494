//! Whether proxies have new subsets: pure, from what Prometheus scraped of them.
//!
//! istiod sends clusters, endpoints and routes in one push without waiting in between, and Envoy
//! answers 503 to a request that is routed to a cluster before its endpoints have come. So routes
//! may follow when the clusters of the subsets were added and none warms. Istio's proxies show that
//! by default: `cluster_manager.cluster_added` counts each new cluster, one for every subset and
//! port, and `cluster_manager.warming_clusters` those that wait for endpoints. Clusters that others
//! added since the scrape before are counted too; which cluster it was, no metric tells by default.

use std::collections::BTreeMap;
use std::fmt;
use std::time::Duration;

use jiff::Timestamp;
use serde::{Serialize, Serializer};

use crate::cluster::pods::Proxy;
use crate::cluster::prometheus::is_of;
use crate::cluster::prometheus::{Prometheus, Series};

/// How long after a change of subsets routes follow where nobody can be asked. istiod holds changes
/// back for 10 s at most (PILOT_DEBOUNCE_MAX); chosen: half as much again for the push.
pub const SUBSETS_SECONDS: u64 = 15;

const ADDED: &str = "envoy_cluster_manager_cluster_added";
const WARMING: &str = "envoy_cluster_manager_warming_clusters";

/// What a proxy counts of its clusters.
#[derive(Clone, Copy, Debug, PartialEq)]
struct Clusters {
    added: f64,
    warming: f64,
}

/// What proxies were last scraped with.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Look(BTreeMap<Proxy, Clusters>);

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

impl Look {
    /// What Prometheus has of these proxies now.
    pub(super) async fn at(prometheus: &Prometheus, proxies: &[Proxy]) -> anyhow::Result<Self> {
        let (added, warming) =
            tokio::try_join!(prometheus.query(ADDED), prometheus.query(WARMING))?;
        Ok(Self::of(&added, &warming, proxies))
    }

    fn of(added: &[Series], warming: &[Series], proxies: &[Proxy]) -> Self {
        let last = |series: &[Series], proxy: &Proxy| {
            let own = series.iter().filter(|series| is_of(series, proxy));
            let newest = own
                .filter_map(Series::last)
                .max_by(|one, other| one.0.total_cmp(&other.0));
            newest.map(|(_, value)| value)
        };
        let clusters = |proxy: &Proxy| {
            let added = last(added, proxy)?;
            let warming = last(warming, proxy)?;
            Some((proxy.clone(), Clusters { added, warming }))
        };
        Self(proxies.iter().filter_map(clusters).collect())
    }

    /// What a later look says of each proxy, where `new` subsets were added in between.
    pub(super) fn against(&self, later: &Self, proxies: &[Proxy], new: usize) -> Vec<Sight> {
        let sight = |proxy: &Proxy| {
            let name = || format!("{}/{}", proxy.namespace, proxy.pod);
            let (Some(before), Some(now)) = (self.0.get(proxy), later.0.get(proxy)) else {
                return Sight::Unscraped(name());
            };
            // A counter that fell is a proxy that started anew, and got everything at once.
            let has_more = now.added >= before.added + new as f64 || now.added < before.added;
            // What warmed before, such as a cluster without its secret, may do so for ever.
            if has_more && now.warming <= before.warming {
                Sight::Has
            } else {
                Sight::Lacks(name())
            }
        };
        proxies.iter().map(sight).collect()
    }
}

/// What a look means, so long after the subsets were applied.
pub(super) fn judge(sights: &[Sight], elapsed: Duration, timeout: Duration) -> Verdict {
    let has = sights.iter().filter(|sight| **sight == Sight::Has).count();
    if has == sights.len() {
        let seconds = elapsed.as_secs_f64();
        return Verdict::GoOn(Waited::Seen {
            proxies: has,
            seconds,
        });
    }
    if elapsed < Duration::from_secs(SUBSETS_SECONDS) {
        return Verdict::Wait;
    }
    let lacking = sights.iter().filter_map(|sight| match sight {
        Sight::Lacks(name) => Some(name.clone()),
        _ => None,
    });
    let lacking: Vec<String> = lacking.collect();
    let others = sights.iter().filter_map(|sight| match sight {
        Sight::Lacks(name) | Sight::Unscraped(name) => Some(name.clone()),
        Sight::Has => None,
    });
    match (has, lacking.is_empty()) {
        (0, true) => Verdict::GoOn(Waited::Blindly {
            seconds: SUBSETS_SECONDS,
            because: Unseen::NotScraped,
        }),
        (0, false) if elapsed >= timeout => Verdict::Stop(lacking),
        (0, false) => Verdict::Wait,
        // istiod pushes to all at once: who has nothing by now gets nothing.
        _ => Verdict::GoOn(Waited::PartlySeen {
            proxies: has,
            others: others.collect(),
        }),
    }
}

/// What is left of [`SUBSETS_SECONDS`]; both times are cut to whole seconds.
pub(super) fn left(changed: Timestamp, now: Timestamp) -> u64 {
    let since = now.as_second() - changed.as_second() - 1;
    SUBSETS_SECONDS.saturating_sub(u64::try_from(since).unwrap_or(0))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn proxy(pod: &str) -> Proxy {
        Proxy {
            namespace: "a".to_owned(),
            pod: pod.to_owned(),
            role: None,
        }
    }

    fn look(clusters: &[(&str, f64, f64)]) -> Look {
        let series = |value: &dyn Fn(&(&str, f64, f64)) -> f64| -> Vec<Series> {
            let of = |row: &(&str, f64, f64)| {
                let metric = json!({"namespace": "a", "pod": row.0});
                let value = json!([1.0, value(row).to_string()]);
                serde_json::from_value(json!({"metric": metric, "value": value})).unwrap()
            };
            clusters.iter().map(of).collect()
        };
        let proxies: Vec<Proxy> = clusters.iter().map(|(pod, ..)| proxy(pod)).collect();
        Look::of(&series(&|row| row.1), &series(&|row| row.2), &proxies)
    }

    #[test]
    fn a_proxy_has_subsets_when_clusters_were_added_and_none_warms() {
        let lacks = || Sight::Lacks("a/p".to_owned());
        let unscraped = || Sight::Unscraped("a/p".to_owned());
        let cases = [
            (
                "nothing new",
                vec![("p", 10.0, 0.0)],
                vec![("p", 10.0, 0.0)],
                lacks(),
            ),
            (
                "one of two",
                vec![("p", 10.0, 0.0)],
                vec![("p", 11.0, 0.0)],
                lacks(),
            ),
            (
                "both, one warms",
                vec![("p", 10.0, 0.0)],
                vec![("p", 12.0, 1.0)],
                lacks(),
            ),
            (
                "both, warm",
                vec![("p", 10.0, 0.0)],
                vec![("p", 12.0, 0.0)],
                Sight::Has,
            ),
            (
                "one port more",
                vec![("p", 10.0, 0.0)],
                vec![("p", 14.0, 0.0)],
                Sight::Has,
            ),
            (
                "one warms for ever",
                vec![("p", 10.0, 1.0)],
                vec![("p", 12.0, 1.0)],
                Sight::Has,
            ),
            (
                "started anew",
                vec![("p", 30.0, 0.0)],
                vec![("p", 12.0, 0.0)],
                Sight::Has,
            ),
            (
                "not scraped before",
                vec![],
                vec![("p", 12.0, 0.0)],
                unscraped(),
            ),
            (
                "no longer scraped",
                vec![("p", 10.0, 0.0)],
                vec![],
                unscraped(),
            ),
        ];
        for (label, before, now, expected) in cases {
            let sights = look(&before).against(&look(&now), &[proxy("p")], 2);
            assert_eq!(sights, [expected], "{label}");
        }
    }

    #[test]
    fn routes_follow_when_all_have_the_subsets_or_whoever_will_get_them_has() {
        let (has, lacks) = (Sight::Has, Sight::Lacks("a/p".to_owned()));
        let unscraped = Sight::Unscraped("a/q".to_owned());
        let seen = |proxies, seconds| Verdict::GoOn(Waited::Seen { proxies, seconds });
        let partly = Verdict::GoOn(Waited::PartlySeen {
            proxies: 1,
            others: vec!["a/p".to_owned(), "a/q".to_owned()],
        });
        let blindly = Verdict::GoOn(Waited::Blindly {
            seconds: 15,
            because: Unseen::NotScraped,
        });
        let stop = Verdict::Stop(vec!["a/p".to_owned()]);
        let cases = [
            (
                "all have them",
                vec![has.clone(), has.clone()],
                1,
                seen(2, 1.0),
            ),
            (
                "one lacks them",
                vec![has.clone(), lacks.clone()],
                14,
                Verdict::Wait,
            ),
            (
                "the others will not get them",
                vec![has, lacks.clone(), unscraped.clone()],
                15,
                partly,
            ),
            (
                "none is scraped",
                vec![unscraped.clone()],
                14,
                Verdict::Wait,
            ),
            (
                "none is scraped for long",
                vec![unscraped.clone()],
                15,
                blindly,
            ),
            (
                "istiod is late",
                vec![lacks.clone(), unscraped.clone()],
                59,
                Verdict::Wait,
            ),
            ("istiod is too late", vec![lacks, unscraped], 60, stop),
        ];
        for (label, sights, seconds, expected) in cases {
            let verdict = judge(
                &sights,
                Duration::from_secs(seconds),
                Duration::from_secs(60),
            );
            assert_eq!(verdict, expected, "{label}");
        }
    }

    #[test]
    fn what_is_left_to_wait_counts_from_the_last_change() {
        let at = |second| Timestamp::from_second(second).unwrap();
        for (changed, now, expected) in [
            (100, 100, 15),
            (100, 101, 15),
            (100, 110, 6),
            (100, 116, 0),
            (100, 900, 0),
        ] {
            assert_eq!(left(at(changed), at(now)), expected, "{changed} to {now}");
        }
    }
}
