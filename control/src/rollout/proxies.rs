//! What a run must know of the proxies: how many follow a step, who does not and why, what their
//! guards took out, and how many users the challenger has reached.
//!
//! Asked anew each time: of a directory the Envoy of its `sluice dev`, of a cluster Prometheus. Not
//! being told is no error here, but something that a run must act on.

use std::fmt;
use std::time::Duration;

use futures::StreamExt as _;
use futures::stream::FuturesUnordered;

use crate::brake::claims::PodName;
use crate::cluster::plugins::LivePlugin;
use crate::cluster::prometheus::Prometheus;
use crate::operations::status::at_once::tripped_at;
use crate::operations::status::cluster::ProxyStatus;
use crate::operations::status::delivery::Delivery;
use crate::operations::status::following::{self, Following};
use crate::operations::status::observed::Tripped;
use crate::operations::status::proxies::State;
use crate::rollout::world::Reached;
use crate::store::directory::Directory;
use crate::store::kubernetes::Kubernetes;
use crate::store::{AnyStore, Store as _};

/// How many proxies that do not follow are named. Chosen: what a person reads, and a status keeps.
pub const MAX_NAMED_LAGGING: usize = 5;

/// How long proxies are asked themselves. Chosen: one that serves traffic answers within milliseconds,
/// and a look waits for it.
const AT_ONCE: Duration = Duration::from_secs(1);

/// Whom a question is about.
#[derive(Clone, Copy, Debug)]
pub struct Watched<'a> {
    /// The split.
    pub split: &'a str,
    /// Whose weight moves.
    pub audience: &'a str,
    /// The variant that gets users.
    pub challenger: &'a str,
    /// The plugin as it was seen just now; `None`: it is read.
    pub live: Option<&'a LivePlugin>,
}

/// Who can tell of a cluster's proxies, and where they are.
#[derive(Clone, Copy, Debug)]
pub struct Mesh<'a> {
    /// The Prometheus that scrapes them.
    pub prometheus: Option<&'a Prometheus>,
    /// Istio's root namespace: a plugin in it selects the proxies of every namespace.
    pub root_namespace: &'a str,
}

/// What is known of the proxies.
#[derive(Clone, Debug, PartialEq)]
pub enum Seen {
    /// They were asked.
    Known(Proxies),
    /// There is nobody to ask: no `sluice dev` serves the directory.
    Nobody,
    /// It is not known; why.
    Unknown(String),
}

/// The proxies that a split is decided in.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Proxies {
    /// How many there are.
    pub total: usize,
    /// How many of them run the split as the store has it, in whatever revision.
    pub converged: usize,
    /// How many of the others are known to run an earlier revision.
    pub stale: usize,
    /// The first few of the others, with what they do.
    pub lagging: Vec<String>,
    /// The challengers of the split that guards took out, and where.
    pub tripped: Vec<Tripped>,
    /// Whom the challenger has reached since its weights last changed; `None` where users are not
    /// counted, or not yet.
    pub reached: Option<Reached>,
}

/// Asks the proxies of a plugin for one split as the store has it now.
pub async fn proxies(store: &AnyStore, mesh: Mesh<'_>, watched: Watched<'_>) -> Seen {
    let asked = match store {
        AnyStore::Directory(store) => of_directory(store, watched).await,
        AnyStore::Kubernetes(store) => of_cluster(store, mesh, watched).await,
    };
    asked.unwrap_or_else(|error| Seen::Unknown(format!("{error:#}")))
}

async fn of_directory(store: &Directory, watched: Watched<'_>) -> anyhow::Result<Seen> {
    let plan = store.snapshot().await?.plugin.plan_at_home()?;
    let following = following::in_directory(store, &plan, watched.split).await?;
    Ok(following.map_or(Seen::Nobody, |following| {
        let is_lagging = following.converged < following.total;
        let mut proxies = known(following, watched);
        if is_lagging {
            proxies.lagging = vec!["Envoy has another revision, or refused this one".to_owned()];
        }
        Seen::Known(proxies)
    }))
}

async fn of_cluster(
    store: &Kubernetes,
    mesh: Mesh<'_>,
    watched: Watched<'_>,
) -> anyhow::Result<Seen> {
    let Some(prometheus) = mesh.prometheus else {
        let why = "what the proxies run: no Prometheus is named that scrapes them";
        return Ok(Seen::Unknown(why.to_owned()));
    };
    let read;
    let live = match watched.live {
        Some(live) => live,
        None => {
            read = store.read().await?;
            &read
        }
    };
    let plan = live.plugin.plan_at_home()?;
    let asked = (prometheus, mesh.root_namespace);
    let following = following::in_cluster(store, live, &plan, watched.split, asked).await?;
    Ok(Seen::Known(known(following, watched)))
}

/// A trip of the split's guard that one of these pods shows, asked itself and at once. None where they
/// cannot be asked: then Prometheus is who tells.
pub async fn tripped_at_once(
    store: &Kubernetes,
    root_namespace: &str,
    split: &str,
    pods: &[PodName],
) -> Option<Tripped> {
    let asking = async {
        let live = store.read().await.ok()?;
        let plan = live.plugin.plan_at_home().ok()?;
        let (live, split) = (&live, (&plan, split));
        let asked = pods.iter().map(|pod| {
            let pod = (&*pod.namespace, &*pod.name);
            tripped_at(store, live, root_namespace, split, pod)
        });
        let mut asked: FuturesUnordered<_> = asked.collect();
        while let Some(found) = asked.next().await {
            if found.is_some() {
                return found;
            }
        }
        None
    };
    tokio::time::timeout(AT_ONCE, asking).await.ok().flatten()
}

fn known(following: Following, watched: Watched<'_>) -> Proxies {
    let Watched {
        split,
        audience,
        challenger,
        ..
    } = watched;
    let reached = following.users.filter(|users| users.is_counted(split));
    let reached = reached.map(|users| {
        let [reached, failed] = users
            .of(split, audience, challenger)
            // Estimates: whoever failed is a user too.
            .map_or([0.0; 2], |own| {
                [own.users().max(own.failed()), own.failed()]
            });
        Reached {
            users: reached.round() as u64,
            failed: failed.round() as u64,
            of: users.all_of(split, audience).max(reached).round() as u64,
        }
    });
    let named = following.lagging.iter().take(MAX_NAMED_LAGGING);
    Proxies {
        total: following.total,
        converged: following.converged,
        stale: following
            .lagging
            .iter()
            .filter(|proxy| is_stale(proxy))
            .count(),
        lagging: named.map(|proxy| Lagging(proxy).to_string()).collect(),
        tripped: following.tripped,
        reached,
    }
}

/// Whether a proxy was seen with an earlier revision after the one that is wanted was written.
const fn is_stale(proxy: &ProxyStatus) -> bool {
    match &proxy.state {
        State::Refused => true,
        State::Other { delivery, .. } => matches!(delivery, Delivery::NotPushed | Delivery::Pushed),
        State::Converged | State::WithoutFilter { .. } | State::Unknown { .. } => false,
    }
}

/// A proxy that does not follow, in words.
struct Lagging<'a>(&'a ProxyStatus);

impl fmt::Display for Lagging<'_> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let ProxyStatus {
            namespace,
            pod,
            state,
        } = self.0;
        write!(formatter, "{namespace}/{pod}: ")?;
        match state {
            // Converged proxies follow.
            State::Converged => formatter.write_str("runs it"),
            State::Other { delivery, .. } => delivery.fmt(formatter),
            State::Refused => {
                formatter.write_str("refused the configuration, keeps an earlier one")
            }
            State::WithoutFilter { cause } => write!(formatter, "without the filter: {cause}"),
            State::Unknown { cause } => write!(formatter, "unknown: {cause}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::operations::status::proxies::Blindness;

    const WATCHED: Watched<'_> = Watched {
        live: None,
        split: "web",
        audience: "everyone",
        challenger: "canary",
    };

    #[test]
    fn only_the_first_few_that_lag_are_named_and_all_are_counted() {
        let lagging = |pod: usize| ProxyStatus {
            namespace: "shop".to_owned(),
            pod: format!("web-{pod}"),
            state: State::Unknown {
                cause: Blindness::NotScraped,
            },
        };
        let following = Following {
            total: 1_000,
            converged: 10,
            lagging: (0..990).map(lagging).collect(),
            tripped: Vec::new(),
            users: None,
        };
        let proxies = known(following, WATCHED);
        assert_eq!((proxies.total, proxies.converged), (1_000, 10));
        assert_eq!(proxies.stale, 0, "nobody saw what they run");
        assert_eq!(proxies.lagging.len(), MAX_NAMED_LAGGING);
        assert_eq!(
            proxies.lagging[0],
            "shop/web-0: unknown: Prometheus does not scrape it"
        );
        assert_eq!(proxies.reached, None);
    }

    #[test]
    fn a_proxy_is_stale_that_was_seen_with_an_earlier_revision_since() {
        let other = |delivery| State::Other {
            revision: "1".to_owned(),
            scraped_at: 0.0,
            delivery,
        };
        let cases = [
            (other(Delivery::NotPushed), true),
            (other(Delivery::Pushed), true),
            (other(Delivery::NotScraped), false),
            (other(Delivery::Unknown), false),
            (State::Refused, true),
            (State::Converged, false),
        ];
        for (state, expected) in cases {
            let proxy = ProxyStatus {
                namespace: "shop".to_owned(),
                pod: "web-1".to_owned(),
                state,
            };
            assert_eq!(is_stale(&proxy), expected, "{proxy:?}");
        }
    }

    #[tokio::test]
    async fn a_directory_that_no_envoy_serves_has_nobody_to_ask() {
        let folder = tempfile::tempdir().unwrap();
        let config = "splits: {web: {}}\nweights: {web: {everyone: {canary: 5}}}\n";
        std::fs::write(folder.path().join("plugin.yaml"), config).unwrap();
        let store = AnyStore::Directory(Directory::open(folder.path()).unwrap());
        let mesh = Mesh {
            prometheus: None,
            root_namespace: "istio-system",
        };
        assert_eq!(proxies(&store, mesh, WATCHED).await, Seen::Nobody);
        std::fs::write(folder.path().join("plugin.yaml"), "splits: 5").unwrap();
        let Seen::Unknown(why) = proxies(&store, mesh, WATCHED).await else {
            panic!("an unreadable directory was understood");
        };
        assert!(why.contains("splits"), "{why}");
    }
}
