//! Between subsets and routes: whether one must wait at all, whom one can look at, and the wait
//! itself. What a look means is judged in [`super::subsets`].

use std::collections::BTreeSet;
use std::time::Duration;

use serde_json::Value;
use tokio::time::Instant;

use super::refusal::ApplyError;
use super::resource::{Change, Resourced, Step, Terms, subsets_of};
use super::subsets::{Look, SUBSETS_SECONDS, Unseen, Verdict, Waited, judge, left};
use crate::cluster::Cluster;
use crate::cluster::managed_fields::last_change;
use crate::cluster::plugins::LivePlugin;
use crate::cluster::pods::{Selection, of_gateway, selected, selection};
use crate::cluster::prometheus::Prometheus;
use crate::model::manifest::Stage;

/// How often proxies are looked at. Chosen: far below any interval at which they are scraped.
const EVERY: Duration = Duration::from_millis(500);

/// How one waits.
pub(super) enum Wait<'a> {
    /// Until the proxies that Prometheus knows, and those that the plugins select, have so many
    /// subsets more than they had before.
    Looking {
        prometheus: &'a Prometheus,
        selected: BTreeSet<String>,
        /// The proxies of the gateways that alone get the routes; none: the whole mesh does.
        gateways: Option<BTreeSet<String>>,
        before: Look,
        new: usize,
    },
    /// So many seconds.
    Blindly { seconds: u64, because: Unseen },
}

impl<'a> Wait<'a> {
    /// Looks at the proxies as they are before subsets are applied. `None` where no route that
    /// changes can lead to a subset that proxies may not know.
    pub(super) async fn prepare(
        cluster: &Cluster,
        resources: &[Resourced],
        terms: &Terms<'a>,
    ) -> Result<Option<Self>, ApplyError> {
        let routes_change =
            of_stage(resources, Stage::Routes).any(|route| route.change != Change::Unchanged);
        if !routes_change {
            return Ok(None);
        }
        let new = of_stage(resources, Stage::Subsets).map(new_subsets).sum();
        if new == 0 {
            let seconds = seconds_left(resources);
            let because = Unseen::AppliedBefore;
            return Ok((seconds > 0).then_some(Self::Blindly { seconds, because }));
        }
        let blindly = |because| Self::Blindly {
            seconds: SUBSETS_SECONDS,
            because,
        };
        let Some(prometheus) = terms.prometheus else {
            return Ok(Some(blindly(Unseen::NoPrometheus)));
        };
        Ok(Some(
            match selected_by_all(cluster, resources, terms.root_namespace).await? {
                Ok(selected) => {
                    let gateways = gateways_of(cluster, resources).await;
                    let before = Look::at(prometheus).await?;
                    Self::Looking {
                        before: before.of_those(gateways.as_ref(), &selected),
                        prometheus,
                        selected,
                        gateways,
                        new,
                    }
                }
                Err(because) => blindly(because),
            },
        ))
    }

    /// Waits.
    pub(super) async fn end(
        self,
        terms: &Terms<'_>,
        say: &mut (dyn FnMut(Step<'_>) + Send),
    ) -> Result<Waited, ApplyError> {
        match self {
            Self::Blindly { seconds, because } => {
                say(Step::Waits(seconds, because));
                tokio::time::sleep(Duration::from_secs(seconds)).await;
                Ok(Waited::Blindly { seconds, because })
            }
            Self::Looking {
                prometheus,
                selected,
                gateways,
                before,
                new,
            } => {
                say(Step::Looks(selected.len() + before.beside(&selected)));
                // The runtime's clock, which only measures how long.
                let began = Instant::now();
                loop {
                    // A Prometheus that fails once is asked again; one that stays silent shows
                    // nothing, like one that does not scrape.
                    let now = Look::at(prometheus).await.unwrap_or_default();
                    let now = now.of_those(gateways.as_ref(), &selected);
                    let sights = before.against(&now, &selected, new);
                    match judge(&sights, began.elapsed(), terms.timeout) {
                        Verdict::Wait => tokio::time::sleep(EVERY).await,
                        Verdict::GoOn(waited) => return Ok(waited),
                        Verdict::Stop(lacking) => {
                            let seconds = began.elapsed().as_secs();
                            return Err(ApplyError::NotPushed { seconds, lacking });
                        }
                    }
                }
            }
        }
    }
}

fn of_stage(resources: &[Resourced], stage: Stage) -> impl Iterator<Item = &Resourced> {
    let resources = resources.iter();
    resources.filter(move |resource| resource.manifest.stage == stage)
}

/// How many subsets a DestinationRule gains.
fn new_subsets(rule: &Resourced) -> usize {
    let before = rule.live.as_ref().map(subsets_of).unwrap_or_default();
    let after = subsets_of(&rule.tried).into_iter();
    after.filter(|subset| !before.contains(subset)).count()
}

/// The proxies of the gateways that alone get the routes that change, as `namespace/pod`. `None` where
/// the mesh gets one too, a route says it otherwise, or nobody can say which proxies these are.
async fn gateways_of(cluster: &Cluster, resources: &[Resourced]) -> Option<BTreeSet<String>> {
    let changing =
        of_stage(resources, Stage::Routes).filter(|route| route.change != Change::Unchanged);
    let mut named = BTreeSet::new();
    for route in changing {
        let (document, namespace) = (&route.manifest.document, &route.manifest.namespace);
        named.extend(gateways_of_route(document, namespace)?);
    }
    let mut proxies = BTreeSet::new();
    for (namespace, name) in named {
        let serving = of_gateway(cluster, &namespace, &name).await?;
        // Where nothing serves one yet, its pods may come meanwhile: then everybody is looked at.
        if serving.is_empty() {
            return None;
        }
        let serving = serving.into_iter();
        proxies.extend(serving.map(|proxy| format!("{}/{}", proxy.namespace, proxy.pod)));
    }
    (!proxies.is_empty()).then_some(proxies)
}

/// Those of one route in a namespace, as namespace and name.
fn gateways_of_route(route: &Value, namespace: &str) -> Option<BTreeSet<(String, String)>> {
    // Without any, a route is the mesh's.
    let gateways = route["spec"]["gateways"]
        .as_array()
        .filter(|all| !all.is_empty())?;
    let named = |gateway: &Value| match gateway.as_str()? {
        "mesh" => None,
        gateway => Some(match gateway.split_once('/') {
            Some((".", name)) => (namespace.to_owned(), name.to_owned()),
            Some((namespace, name)) => (namespace.to_owned(), name.to_owned()),
            None => (namespace.to_owned(), gateway.to_owned()),
        }),
    };
    gateways.iter().map(named).collect()
}

/// The proxies that the plugins select, as `namespace/pod`: who calls the service is among them.
async fn selected_by_all(
    cluster: &Cluster,
    resources: &[Resourced],
    root_namespace: &str,
) -> Result<Result<BTreeSet<String>, Unseen>, ApplyError> {
    let mut all = BTreeSet::new();
    for plugin in of_stage(resources, Stage::Plugins) {
        let Some(kind) = plugin.manifest.plugin_kind() else {
            continue;
        };
        let live = LivePlugin::of(plugin.tried.clone(), kind)?;
        let Selection::Labels(labels) = selection(&live) else {
            return Ok(Err(Unseen::OtherSelection));
        };
        let proxies = selected(cluster, &live, &labels, root_namespace).await;
        let explain = |error| cluster.explain("the pods that the plugin selects", error);
        let proxies = proxies.map_err(explain)?.into_iter();
        all.extend(proxies.map(|proxy| format!("{}/{}", proxy.namespace, proxy.pod)));
    }
    Ok(if all.is_empty() {
        Err(Unseen::NoProxies)
    } else {
        Ok(all)
    })
}

/// How much of [`SUBSETS_SECONDS`] is left since subsets were last changed, by the API server's
/// clock: an earlier run may have been stopped right behind them.
fn seconds_left(resources: &[Resourced]) -> u64 {
    let last = |stage| {
        let changes =
            of_stage(resources, stage).filter_map(|resource| last_change(&resource.tried.metadata));
        changes.max()
    };
    // A route that is only tried carries the time at which it was.
    match (last(Stage::Subsets), last(Stage::Routes)) {
        (Some(changed), Some(now)) => left(changed, now),
        _ => 0,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn a_route_of_gateways_alone_names_them() {
        let cases = [
            (json!({}), None),
            (json!({"gateways": []}), None),
            (json!({"gateways": ["mesh"]}), None),
            (json!({"gateways": ["gw/one", "mesh"]}), None),
            (
                json!({"gateways": ["gw/one", "two", "./three"]}),
                Some(vec![("gw", "one"), ("shop", "two"), ("shop", "three")]),
            ),
            (json!({"gateways": [7]}), None),
        ];
        for (spec, wanted) in cases {
            let found = gateways_of_route(&json!({"spec": spec}), "shop");
            let own = |(namespace, name): (&str, &str)| (namespace.to_owned(), name.to_owned());
            let wanted = wanted.map(|names| names.into_iter().map(own).collect());
            assert_eq!(found, wanted, "{spec}");
        }
    }
}
