//! Looking at a cluster as somebody experienced would: everything that Sluice depends on, what is
//! wrong with it, and what mends it.
//!
//! Each subject is a file that reads, and judges what was read by pure functions. A look that cannot
//! be made is itself a finding, and stops no other. Nothing is changed: what is tried is a dry run.
//! Called by `sluice doctor` and `sluice version`.

pub mod brakes;
pub mod clocks;
pub mod codes;
pub mod controller;
pub mod definitions;
pub mod finding;
pub mod istio;
pub mod objects;
pub mod plugins;
pub mod policies;
pub mod prometheus;
pub mod proxies;
pub mod query;
pub mod report;
pub mod rights;
pub mod running;
pub mod subjects;
pub mod versions;
pub mod webhooks;
pub mod wishes;

use std::time::Duration;

use kube::api::ListParams;

use crate::cluster::Cluster;
use crate::cluster::ClusterError;
use crate::cluster::plugins as ours;
use finding::{Finding, Look};
use istio::Labels;
use prometheus::Asked;
use query::{Ground, Query};
use report::Report;
use subjects::Subject;

/// How long one subject may be looked at. Chosen: as long as a call that reads may take.
const PATIENCE: Duration = Duration::from_secs(60);

/// Looks at everything.
///
/// # Errors
/// When no API server answers: then there is nothing to look at.
pub async fn examine(cluster: &Cluster, query: Query<'_>) -> anyhow::Result<Report> {
    let server = clocks::server(cluster, query.clock).await?;
    let listed = ours::listed(cluster, query.scope).await;
    let mut report = Report::new(cluster.title());
    report.add(Subject::Plugins, unlisted(&listed.unlisted));
    let live = query.meant(listed.live);
    let ground = Ground {
        cluster,
        query,
        live: &live,
        ahead: server.ahead.unwrap_or_default(),
    };
    let everything = ListParams::default();
    let (asked, controllers, rollouts, istiods) = tokio::join!(
        prometheus::ask(&ground),
        controller::found(&ground),
        objects::all(cluster, &objects::ROLLOUT, query.scope, &everything),
        istio::installed(&ground),
    );
    let wishes = rollouts.as_deref().map(wishes::wishes).unwrap_or_default();
    let is_needed = controllers.is_there() || live.iter().any(query::has_brake);
    let istiods = istiods.unwrap_or_default();
    let known = controller::prometheus(&controllers);
    let (istio, definitions, rights, plugins, proxies, webhooks, controller) = tokio::join!(
        in_time(istio::look(&ground, labels(&asked))),
        in_time(definitions::look(&ground, is_needed)),
        in_time(rights::look(&ground)),
        in_time(plugins::look(&ground)),
        in_time(proxies::look(&ground, &istiods)),
        in_time(webhooks::look(&ground)),
        in_time(controller::look(&ground, &controllers, wishes.len())),
    );
    report.add(Subject::Istio, istio);
    report.add(Subject::Definitions, definitions);
    report.add(Subject::Rights, rights);
    report.add(Subject::Plugins, plugins);
    report.add(Subject::Proxies, proxies);
    let judged = prometheus::judge(&asked, &live, &wishes, known.as_deref());
    report.add(Subject::Prometheus, judged);
    let of_prometheus = asked.and_then(Result::ok).map(|seen| seen.ahead);
    report.add(Subject::Clocks, clocks::judge(server.ahead, of_prometheus));
    report.add(Subject::Webhooks, webhooks);
    report.add(Subject::Controller, controller);
    if let Err(why) = rollouts {
        let mut look = Look::default();
        look.miss("Rollouts", why);
        report.add(Subject::Controller, look);
    }
    Ok(report.sorted())
}

/// Whether proxies have the filter's labels, as Prometheus sees them.
fn labels(asked: &Asked) -> Labels {
    match asked {
        Some(Ok(seen)) if seen.ticking > 0.0 && seen.without_tags == 0.0 => Labels::Seen,
        _ => Labels::NotSeen,
    }
}

/// The plugins that could not be listed: without their kinds, there is no Istio.
fn unlisted(unlisted: &[ours::Unlisted]) -> Look {
    let mut look = Look::default();
    for ours::Unlisted { what, error } in unlisted {
        match error {
            ClusterError::NoKinds { .. } => look.find(Finding::new(
                codes::Code::IstioMissing,
                "the cluster",
                "it knows neither WasmPlugin nor TrafficExtension",
                "Istio's CustomResourceDefinitions",
            )),
            error => look.miss(what, error),
        }
    }
    look
}

/// A look that ends.
async fn in_time(look: impl Future<Output = Look>) -> Look {
    tokio::time::timeout(PATIENCE, look)
        .await
        .unwrap_or_else(|_| {
            let mut late = Look::default();
            late.miss("this subject", format!("it took longer than {PATIENCE:?}"));
            late
        })
}

#[cfg(test)]
mod tests;
