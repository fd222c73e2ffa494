//! Pushing again what was overtaken: a watched plugin whose proxies stay at an older revision.

use std::collections::BTreeMap;

use super::cluster::{ProxyReport, Report};
use super::proxies::State;
use crate::cluster::Cluster;
use crate::cluster::plugins::Found;
use crate::command::output;
use crate::store::kubernetes::Kubernetes;

/// How long after a change a proxy may show an older revision (DESIGN section 5).
const CONVERGES_SECONDS: f64 = 5.0;

/// How often a plugin is pushed again at most. Chosen: longer than any scrape that would show the effect.
const PUSH_SECONDS: f64 = 60.0;

/// When which plugin was last changed and pushed again.
#[derive(Default)]
pub(super) struct Pushes(BTreeMap<String, Push>);

struct Push {
    revision: String,
    wanted_since: f64,
    pushed_at: f64,
}

impl Pushes {
    /// Looks at what was just read, and pushes what needs it.
    pub(super) async fn consider(
        &mut self,
        cluster: &Cluster,
        reports: &[(Found, Report)],
        now: jiff::Timestamp,
    ) {
        let seconds = now.as_millisecond() as f64 / 1_000.0;
        for (found, report) in reports {
            let fresh = || Push {
                revision: report.wanted_revision.clone(),
                wanted_since: seconds,
                pushed_at: 0.0,
            };
            let push = self.0.entry(report.plugin.clone()).or_insert_with(fresh);
            if push.revision != report.wanted_revision {
                *push = fresh();
            }
            let is_stale = |proxy: &&ProxyReport| matches!(proxy.state, State::Other { scraped_at, .. } if scraped_at - push.wanted_since >= CONVERGES_SECONDS);
            let stale: Vec<&str> = report
                .proxies
                .iter()
                .filter(is_stale)
                .map(|proxy| proxy.pod.as_str())
                .collect();
            if stale.is_empty() || seconds - push.pushed_at < PUSH_SECONDS {
                continue;
            }
            push.pushed_at = seconds;
            let pushed = Kubernetes::of(cluster.clone(), found).touch(now).await;
            match pushed {
                Ok(_) => output::note(format!(
                    "{}: {} did not follow; pushed again",
                    report.plugin,
                    stale.join(", ")
                )),
                Err(error) => output::error(&error),
            }
        }
    }
}
