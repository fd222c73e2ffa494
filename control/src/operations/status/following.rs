//! Which proxies run one split as it is wanted, whatever else of the plugin changed meanwhile; what
//! their guards took out of it, and whom they served. For rollouts, which ask again and again.

use std::collections::BTreeSet;
use std::sync::Arc;

use sluice_core::plan::Plan;

use super::cluster::{ProxyStatus, states};
use super::directory::{Asked, asked};
use super::observed::{Gauge, Tripped, UsersSeen, of_generation, tripped};
use super::proxies::State;
use super::scraped::{MeshSeries, Scraped};
use crate::cluster::plugins::LivePlugin;
use crate::cluster::pods::{Selection, selected, selection};
use crate::cluster::prometheus::Prometheus;
use crate::local::metrics::sum;
use crate::store::directory::Directory;
use crate::store::kubernetes::Kubernetes;

/// Who runs a split as it is wanted.
#[derive(Clone, Debug)]
pub struct Following {
    /// How many proxies there are.
    pub total: usize,
    /// How many of them run the split as it is wanted.
    pub converged: usize,
    /// What the others do.
    pub lagging: Vec<ProxyStatus>,
    /// What guards took out of the split.
    pub tripped: Vec<Tripped>,
    /// Whom they served; `None` where that is not known.
    pub users: Option<UsersSeen>,
}

/// The Envoy of a directory; `None` where no `sluice dev` serves it.
///
/// # Errors
/// When the directory cannot be read, or its Envoy does not answer.
pub async fn in_directory(
    store: &Directory,
    plan: &Plan,
    split: &str,
) -> anyhow::Result<Option<Following>> {
    let samples = match asked(store).await? {
        Asked::Nobody => return Ok(None),
        Asked::Silent(error) => return Err(error),
        Asked::Answered(samples) => samples,
    };
    let gauges: Vec<Gauge<'_>> = samples.iter().map(Gauge::of_sample).collect();
    let gauge = |name: &str| sum(&samples, name, &[]);
    let is_current = gauge("sluice_config_revision") as u64 == plan.revision().as_gauge();
    let is_same = of_generation(plan, &gauges).contains(&(["", ""], split));
    let follows = gauge("sluice_config_valid") == 1.0 && (is_current || is_same);
    Ok(Some(Following {
        total: 1,
        converged: usize::from(follows),
        lagging: Vec::new(),
        tripped: of_split(tripped(plan, &gauges), split),
        users: Some(UsersSeen::joined(plan, &gauges)),
    }))
}

/// The proxies of a plugin in a cluster, of which Prometheus tells. Where only Istio can say which
/// ones it selects, those that Prometheus saw with it.
///
/// # Errors
/// When the API server or Prometheus does not answer.
pub async fn in_cluster(
    store: &Kubernetes,
    live: &LivePlugin,
    plan: &Plan,
    split: &str,
    (prometheus, root_namespace): (&Prometheus, &str),
) -> anyhow::Result<Following> {
    let cluster = store.cluster();
    let mesh = Arc::new(MeshSeries::of_proxies(prometheus).await?);
    let scraped = Scraped::read(prometheus, &mesh, live, plan).await?;
    let proxies = match selection(live) {
        Selection::Labels(labels) => selected(cluster, live, &labels, root_namespace)
            .await
            .map_err(|error| cluster.explain("the pods that the plugin selects", error))?,
        Selection::Other(_) => scraped.seen(),
    };
    let gauges = scraped.gauges(&proxies);
    let same = of_generation(plan, &gauges);
    let follows = |proxy: &ProxyStatus| is_following(proxy, split, &same);
    let states = states(&scraped, live, plan, &proxies);
    let total = states.len();
    let lagging: Vec<ProxyStatus> = states.into_iter().filter(|proxy| !follows(proxy)).collect();
    let observed = scraped.observed(plan, &proxies);
    Ok(Following {
        total,
        converged: total.saturating_sub(lagging.len()),
        lagging,
        tripped: of_split(observed.tripped, split),
        users: observed.users,
    })
}

/// Whether a proxy runs what is wanted, or another revision in which the split is the same.
fn is_following(proxy: &ProxyStatus, split: &str, same: &BTreeSet<([&str; 2], &str)>) -> bool {
    match proxy.state {
        State::Converged => true,
        State::Other { .. } => same.contains(&([&*proxy.namespace, &*proxy.pod], split)),
        _ => false,
    }
}

fn of_split(mut tripped: Vec<Tripped>, split: &str) -> Vec<Tripped> {
    tripped.retain(|tripped| tripped.split == split);
    tripped
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::operations::status::delivery::Delivery;
    use crate::operations::status::proxies::Blindness;

    #[test]
    fn a_proxy_follows_with_another_revision_in_which_the_split_is_the_same() {
        let other = State::Other {
            revision: "000000000008".to_owned(),
            scraped_at: 10.0,
            delivery: Delivery::NotPushed,
        };
        let blind = State::Unknown {
            cause: Blindness::NotScraped,
        };
        let same = BTreeSet::from([(["a", "p"], "web")]);
        let cases = [
            ("the wanted revision", State::Converged, "api", true),
            ("another, the same split", other.clone(), "web", true),
            ("another, and the split too", other, "api", false),
            ("refused, the old split", State::Refused, "web", false),
            ("gone, its gauge left behind", blind, "web", false),
        ];
        for (label, state, split, expected) in cases {
            let proxy = ProxyStatus {
                namespace: "a".to_owned(),
                pod: "p".to_owned(),
                state,
            };
            assert_eq!(is_following(&proxy, split, &same), expected, "{label}");
        }
    }
}
