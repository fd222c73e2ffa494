//! Which versions run: this sluice, the API server, istiod, controllers, the modules of proxies; and
//! which of them do not fit together.

use k8s_openapi::api::coordination::v1::Lease;
use serde::Serialize;

use super::clocks;
use super::controller;
use super::definitions;
use super::finding::{Finding, Look};
use super::istio;
use super::objects::{LEASE, title};
use super::proxies;
use super::query::{Ground, Query, has_brake};
use super::report::Report;
use super::subjects::{Severity, Subject};
use super::versions::{self, OWN, Version};
use crate::cluster::Cluster;
use crate::cluster::plugins::{self, LivePlugin};
use crate::model::plugin::Kind;
use crate::model::redacted;
use crate::model::resources::plugin::PluginSpec;
use crate::rollout::lease::decision::Record;

/// What runs; serialized, it is the JSON of `sluice version`.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Running {
    /// This sluice's version.
    pub client: &'static str,
    /// What runs in the cluster; `None`: none was asked.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cluster: Option<InCluster>,
    /// What does not fit together, or could not be seen.
    pub findings: Vec<Finding>,
}

/// What runs in a cluster.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct InCluster {
    /// The cluster, as people call it.
    pub name: String,
    /// Kubernetes' version.
    pub kubernetes: Option<Version>,
    /// The istiods, by their Deployment.
    pub istiods: Vec<Istiod>,
    /// The controllers that lead, by their Lease.
    pub controllers: Vec<Controller>,
    /// The plugins.
    pub plugins: Vec<Module>,
}

/// An istiod.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Istiod {
    /// Its Deployment.
    pub place: String,
    /// Its version.
    pub version: Version,
}

/// A controller that leads.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Controller {
    /// Its Lease.
    pub place: String,
    /// Who holds it.
    pub holder: String,
    /// Its version, where it says one.
    pub version: Option<Version>,
}

/// A plugin's module.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Module {
    /// The plugin.
    pub plugin: String,
    /// The module that it wants.
    pub wanted: String,
    /// What its proxies run, each version with how many; `None`: no Prometheus was asked.
    pub running: Option<Vec<RunningModule>>,
}

/// A module's version, and how many proxies run it.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct RunningModule {
    /// The version; `None`: it does not say one.
    pub version: Option<Version>,
    /// How many proxies.
    pub proxies: usize,
}

impl Running {
    /// This sluice alone.
    pub const fn client() -> Self {
        Self {
            client: OWN,
            cluster: None,
            findings: Vec::new(),
        }
    }

    /// Whether nothing was found that does not fit.
    pub fn fits(&self) -> bool {
        self.findings
            .iter()
            .all(|finding| finding.severity == Severity::Note)
    }
}

/// Asks a cluster what runs in it.
///
/// # Errors
/// When no API server answers.
pub async fn running(cluster: &Cluster, query: Query<'_>) -> anyhow::Result<Running> {
    let server = clocks::server(cluster, query.clock).await?;
    let listed = plugins::listed(cluster, query.scope).await;
    let live = query.meant(listed.live);
    let ground = Ground {
        cluster,
        query,
        live: &live,
        ahead: server.ahead.unwrap_or_default(),
    };
    let (istiods, controllers) =
        tokio::join!(istio::installed(&ground), controller::found(&ground));
    let mut report = Report::new(cluster.title());
    let mut look = Look::default();
    for unlisted in &listed.unlisted {
        look.miss(&unlisted.what, &unlisted.error);
    }
    for (what, why) in &controllers.unread {
        look.miss(what, why);
    }
    let istiods = istiods.unwrap_or_else(|why| {
        look.miss("istiod's version", why);
        Vec::new()
    });
    let extensions = live.iter();
    let extensions: Vec<String> = extensions
        .filter(|live| live.plugin.kind == Kind::TrafficExtension)
        .map(|live| live.plugin.source.clone())
        .collect();
    for (place, version) in &istiods {
        look.join(versions::istiod(place, *version, &extensions));
    }
    let now = ground.now();
    let leads = |lease: &&Lease| controller::leads(lease, now);
    let leases: Vec<&Lease> = controllers.leases.iter().filter(leads).collect();
    for lease in &leases {
        let place = title(&LEASE, &lease.metadata);
        look.join(versions::controller(
            &place,
            Version::own(),
            controller::version(lease),
        ));
    }
    let is_needed = controllers.is_there() || live.iter().any(has_brake);
    report.add(
        Subject::Definitions,
        definitions::look(&ground, is_needed).await,
    );
    let modules = modules(&ground, &mut look).await;
    report.add(Subject::Versions, look);
    Ok(Running {
        client: OWN,
        cluster: Some(InCluster {
            name: cluster.title().to_owned(),
            kubernetes: server.version,
            istiods: istiods
                .into_iter()
                .map(|(place, version)| Istiod { place, version })
                .collect(),
            controllers: leases.into_iter().map(leader).collect(),
            plugins: modules,
        }),
        findings: report.sorted().findings,
    })
}

fn leader(lease: &Lease) -> Controller {
    Controller {
        place: title(&LEASE, &lease.metadata),
        holder: Record::of(lease).holder.unwrap_or_default(),
        version: controller::version(lease),
    }
}

/// The modules of the plugins that are looked at.
async fn modules(ground: &Ground<'_>, look: &mut Look) -> Vec<Module> {
    let mut modules = Vec::new();
    for live in ground.examined() {
        let plugin = live.plugin.source.clone();
        let mut running = None;
        if let Some(prometheus) = ground.query.prometheus {
            match proxies::modules(prometheus, live).await {
                Ok(found) => {
                    look.join(versions::modules(&plugin, Version::own(), &found));
                    let one = |(version, proxies)| RunningModule { version, proxies };
                    running = Some(found.into_iter().map(one).collect());
                }
                Err(why) => look.miss(format!("the modules of {plugin}"), why),
            }
        }
        modules.push(Module {
            wanted: wanted(live),
            plugin,
            running,
        });
    }
    modules
}

/// The module that a plugin wants: its URL, without a password, and its digest.
fn wanted(live: &LivePlugin) -> String {
    let Ok(spec) = PluginSpec::read(live.plugin.kind, &live.object.data) else {
        return "unreadable".to_owned();
    };
    let url = redacted::url(spec.module.url.as_deref().unwrap_or("no module"));
    match spec
        .module
        .sha256
        .as_deref()
        .filter(|digest| !digest.is_empty())
    {
        Some(digest) => format!("{url} sha256:{digest}"),
        None => url,
    }
}
