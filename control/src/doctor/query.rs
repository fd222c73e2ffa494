//! What a look at a cluster is asked, and what all of its parts read.

use std::time::Duration;

use jiff::Timestamp;

use crate::cluster::Cluster;
use crate::cluster::plugins::LivePlugin;
use crate::cluster::plugins::Scope;
use crate::cluster::prometheus::Prometheus;

/// How many plugins are tried, and how many namespaces are asked for rights and labels. Chosen: the
/// first of them tell what is wrong with all.
pub const MAX_EXAMINED: usize = 20;

/// What is asked.
#[derive(Clone, Copy, Debug)]
pub struct Query<'a> {
    /// Whose plugins.
    pub scope: &'a Scope,
    /// The one plugin that is meant: `NAME` or `KIND/NAME`; `None`: all of the scope.
    pub plugin: Option<&'a str>,
    /// The Prometheus that scrapes the proxies.
    pub prometheus: Option<&'a Prometheus>,
    /// Istio's root namespace, which is taken for istiod's too.
    pub root_namespace: &'a str,
    /// The clock.
    pub clock: fn() -> Timestamp,
}

impl Query<'_> {
    /// Those plugins that are meant.
    pub fn meant(&self, mut live: Vec<LivePlugin>) -> Vec<LivePlugin> {
        let Some(named) = self.plugin else {
            return live;
        };
        live.retain(|live| match named.split_once('/') {
            Some((kind, name)) => {
                live.name() == name && live.plugin.kind.name().eq_ignore_ascii_case(kind)
            }
            None => live.name() == named,
        });
        live
    }
}

/// What was read before anything is judged.
#[derive(Clone, Debug)]
pub struct Ground<'a> {
    /// The cluster.
    pub cluster: &'a Cluster,
    /// What is asked.
    pub query: Query<'a>,
    /// Our plugins.
    pub live: &'a [LivePlugin],
    /// How far the API server's clock is ahead of ours; negative: behind.
    pub ahead: Ahead,
}

impl Ground<'_> {
    /// The namespaces of our plugins, or the one that was named; up to [`MAX_EXAMINED`].
    pub fn namespaces(&self) -> Vec<String> {
        let mut names: Vec<String> = match self.query.scope {
            Scope::Namespace(namespace) => vec![namespace.clone()],
            Scope::Everywhere => Vec::new(),
        };
        names.extend(self.live.iter().map(|live| live.namespace().to_owned()));
        names.sort();
        names.dedup();
        names.truncate(MAX_EXAMINED);
        names
    }

    /// The plugins that are tried; up to [`MAX_EXAMINED`].
    pub fn examined(&self) -> &[LivePlugin] {
        self.live.get(..MAX_EXAMINED).unwrap_or(self.live)
    }

    /// The time by the API server's clock.
    pub fn now(&self) -> Timestamp {
        let own = (self.query.clock)();
        own.checked_add(self.ahead.0).unwrap_or(own)
    }
}

/// How far one clock is ahead of another; negative: behind.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Ahead(pub jiff::SignedDuration);

impl Ahead {
    /// How far apart they are.
    pub fn apart(self) -> Duration {
        self.0.unsigned_abs()
    }
}

/// Whether proxies of a plugin ask somebody for brakes.
pub fn has_brake(live: &LivePlugin) -> bool {
    let brake = live.plugin.config.get("brake");
    brake.is_some_and(|brake| !brake.is_null())
}
