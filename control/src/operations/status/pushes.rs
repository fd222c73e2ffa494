//! Which plugins must be pushed again, because proxies stay at an older revision: agents may
//! forward updates out of order (istio/istio#53865), and then only another push brings the newest
//! one.
//!
//! [`Pushes::overtaken`] only decides; [`push_again`] is the one effect. Who watches a status calls
//! both after each look.

use std::collections::BTreeMap;

use jiff::Timestamp;

use super::cluster::{PluginStatus, ProxyStatus};
use super::delivery::Delivery;
use super::proxies::State;
use crate::cluster::Cluster;
use crate::operations::refetch::refetch;
use crate::operations::{Caller, OperationError};
use crate::store::kubernetes::Kubernetes;

/// How long after a change a proxy may show an older revision. Chosen: istiod's debounce and a push
/// take a second or two; this leaves room for a slow control plane.
const CONVERGES_SECONDS: f64 = 5.0;

/// How often a plugin is pushed again at most. Chosen: longer than any scrape that would show the
/// effect.
const PUSH_SECONDS: f64 = 60.0;

/// When each watched plugin was last changed and pushed again, in seconds since 1970.
#[derive(Debug, Default)]
pub struct Pushes(BTreeMap<String, Watched>);

#[derive(Debug)]
struct Watched {
    revision: String,
    wanted_since: f64,
    pushed_at: f64,
}

impl Pushes {
    /// The pods that did not follow their plugin in time, if it should be pushed again now; it then
    /// counts as pushed. Empty where there is nothing to do, or where the last push is too recent.
    pub fn overtaken(&mut self, status: &PluginStatus, now: Timestamp) -> Vec<String> {
        self.stale(
            &status.plugin,
            &status.wanted_revision,
            &status.proxies,
            now,
        )
    }

    fn stale(
        &mut self,
        plugin: &str,
        wanted_revision: &str,
        proxies: &[ProxyStatus],
        now: Timestamp,
    ) -> Vec<String> {
        let now = now.as_millisecond() as f64 / 1_000.0;
        let fresh = || Watched {
            revision: wanted_revision.to_owned(),
            wanted_since: now,
            pushed_at: 0.0,
        };
        let watched = self.0.entry(plugin.to_owned()).or_insert_with(fresh);
        if watched.revision != wanted_revision {
            *watched = fresh();
        }
        let is_stale = |proxy: &&ProxyStatus| match proxy.state {
            // What istiod holds back, another change would only let it hold back for longer.
            State::Other {
                delivery: Delivery::NotPushed,
                ..
            } => false,
            State::Other { scraped_at, .. } => {
                scraped_at - watched.wanted_since >= CONVERGES_SECONDS
            }
            _ => false,
        };
        let stale: Vec<String> = proxies
            .iter()
            .filter(is_stale)
            .map(|proxy| proxy.pod.clone())
            .collect();
        if stale.is_empty() || now - watched.pushed_at < PUSH_SECONDS {
            return Vec::new();
        }
        watched.pushed_at = now;
        stale
    }
}

/// Pushes a plugin again: an edit of its annotation, which istiod hands to every agent.
///
/// # Errors
/// When the API server does not take it.
pub async fn push_again(
    cluster: &Cluster,
    status: &PluginStatus,
    caller: &Caller,
) -> Result<(), OperationError> {
    let store = Kubernetes::of(cluster.clone(), &status.live);
    refetch(&store, caller).await?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(seconds: i64) -> Timestamp {
        Timestamp::from_second(seconds).unwrap()
    }

    fn proxy(pod: &str, state: State) -> ProxyStatus {
        ProxyStatus {
            namespace: "a".to_owned(),
            pod: pod.to_owned(),
            state,
        }
    }

    #[test]
    fn a_plugin_is_pushed_again_when_a_later_scrape_shows_an_older_revision() {
        let of = |delivery| {
            move |scraped_at: f64| State::Other {
                revision: "old".to_owned(),
                scraped_at,
                delivery,
            }
        };
        let older = of(Delivery::Unknown);
        let held_back = of(Delivery::NotPushed);
        let looks = [
            (
                "the first look only begins to wait",
                100,
                "r1",
                older(99.0),
                false,
            ),
            (
                "a scrape within the time that a push takes",
                104,
                "r1",
                older(104.0),
                false,
            ),
            ("a scrape after it", 106, "r1", older(105.0), true),
            ("pushed a moment ago", 150, "r1", older(149.0), false),
            ("it still does not follow", 167, "r1", older(166.0), true),
            ("a new change waits anew", 300, "r2", older(299.0), false),
            ("istiod holds it back", 310, "r2", held_back(309.0), false),
            (
                "what runs the wanted revision needs nothing",
                400,
                "r2",
                State::Converged,
                false,
            ),
            (
                "what cannot be told needs nothing either",
                400,
                "r2",
                State::Refused,
                false,
            ),
        ];
        let mut pushes = Pushes::default();
        for (label, seconds, revision, state, is_pushed) in looks {
            let stale = pushes.stale(
                "WasmPlugin a/s",
                revision,
                &[proxy("p", state)],
                at(seconds),
            );
            let expected: &[&str] = if is_pushed { &["p"] } else { &[] };
            assert_eq!(stale, expected, "{label}");
        }
    }
}
