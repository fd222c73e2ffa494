//! The controller, where one is needed: its replicas, its leader, its account's rights, its version,
//! and the Service that proxies ask for brakes.

use jiff::Timestamp;
use k8s_openapi::api::apps::v1::Deployment;
use k8s_openapi::api::coordination::v1::Lease;
use kube::api::{DynamicObject, ListParams};

use super::brakes;
use super::clocks::APART;
use super::codes::Code;
use super::finding::{Finding, Look, named};
use super::objects::{self, DEPLOYMENT, LEASE, container, replicas, title};
use super::query::{Ground, has_brake};
use super::rights::{self, OF_CONTROLLER, OF_LEADER};
use super::versions::{self, Version};
use crate::cluster::plugins::{LivePlugin, Scope};
use crate::rollout::lease::decision::Record;
use crate::rollout::lease::{self, CONTROLLER};

/// The controllers of a cluster.
#[derive(Clone, Debug, Default)]
pub struct Found {
    /// Their Deployments.
    pub deployments: Vec<Deployment>,
    /// The Leases by which they say who leads.
    pub leases: Vec<Lease>,
    /// What could not be read, and why.
    pub unread: Vec<(String, String)>,
}

impl Found {
    /// Whether there is any, or was.
    pub const fn is_there(&self) -> bool {
        !(self.deployments.is_empty() && self.leases.is_empty())
    }
}

/// Looks for controllers: Deployments and Leases that are called `sluice-controller`, and
/// Deployments with that label `app`.
pub async fn found(ground: &Ground<'_>) -> Found {
    let everywhere = Scope::Everywhere;
    let named = ListParams::default().fields(&format!("metadata.name={CONTROLLER}"));
    let labelled = ListParams::default().labels(&format!("app={CONTROLLER}"));
    let (by_name, by_label, leases) = tokio::join!(
        objects::all(ground.cluster, &DEPLOYMENT, &everywhere, &named),
        objects::all(ground.cluster, &DEPLOYMENT, &everywhere, &labelled),
        objects::all(ground.cluster, &LEASE, &everywhere, &named),
    );
    let mut found = Found::default();
    let mut deployments: Vec<DynamicObject> = Vec::new();
    for listed in [by_name, by_label] {
        match listed {
            Ok(listed) => deployments.extend(listed),
            Err(why) => {
                let what = "Deployments of the controller".to_owned();
                if found.unread.is_empty() {
                    found.unread.push((what, why));
                }
            }
        }
    }
    let mut seen = Vec::new();
    deployments.retain(|deployment| {
        let is_new = !seen.contains(&deployment.metadata.uid);
        seen.push(deployment.metadata.uid.clone());
        is_new
    });
    found.deployments = objects::typed(deployments);
    match leases {
        Ok(leases) => found.leases = objects::typed(leases),
        Err(why) => found
            .unread
            .push(("Leases of the controller".to_owned(), why)),
    }
    found
}

/// Looks at the controllers that were found, where `rollouts` are how many Rollouts there are.
pub async fn look(ground: &Ground<'_>, found: &Found, rollouts: usize) -> Look {
    let mut look = Look::default();
    for (what, why) in &found.unread {
        look.miss(what, why);
    }
    let needed = needs(rollouts, ground.live);
    if found.unread.is_empty() {
        look.join(judge(found, needed.as_deref(), ground.now()));
    }
    for deployment in &found.deployments {
        look.join(account(ground, deployment).await);
    }
    for live in ground.examined().iter().filter(|live| has_brake(live)) {
        look.join(brakes::service(ground, live).await);
    }
    look
}

/// Why a controller is needed; `None`: it is not.
pub fn needs(rollouts: usize, live: &[LivePlugin]) -> Option<String> {
    let braked = live.iter().filter(|live| has_brake(live));
    let braked: Vec<&str> = braked.map(|live| live.plugin.source.as_str()).collect();
    match (rollouts, braked.as_slice()) {
        (0, []) => None,
        (0, braked) => Some(format!("a brake in {}", named(braked))),
        (rollouts, []) => Some(format!("{rollouts} Rollouts")),
        (rollouts, braked) => Some(format!("{rollouts} Rollouts, a brake in {}", named(braked))),
    }
}

/// What Deployments and Leases say at a time of the API server's.
pub fn judge(found: &Found, needed: Option<&str>, now: Timestamp) -> Look {
    let mut look = Look::default();
    let is_led = found.leases.iter().any(|lease| leads(lease, now));
    for deployment in &found.deployments {
        look.join(replicated(deployment));
        let namespace = lease_namespace(deployment);
        let own = |lease: &&Lease| lease.metadata.namespace.as_deref() == Some(&namespace);
        let is_led = found
            .leases
            .iter()
            .filter(own)
            .any(|lease| leads(lease, now));
        if !is_led {
            let lease = found.leases.iter().find(own);
            look.find(leaderless(
                &format!("Lease {namespace}/{CONTROLLER}"),
                lease,
                now,
            ));
        }
    }
    match needed {
        Some(needed) if found.deployments.is_empty() && !is_led => {
            let found = format!(
                "{needed}, and neither a Deployment nor a Lease of a controller that leads"
            );
            let accepted = "a controller that runs";
            look.find(Finding::new(
                Code::ControllerNeeded,
                "the cluster",
                found,
                accepted,
            ));
        }
        None if !found.is_there() => look.praise("no controller, and nothing needs one"),
        _ => {}
    }
    for lease in found.leases.iter().filter(|lease| leads(lease, now)) {
        let place = title(&LEASE, &lease.metadata);
        let holder = Record::of(lease).holder.unwrap_or_default();
        look.praise(format!("{holder} leads"));
        look.join(versions::controller(&place, Version::own(), version(lease)));
    }
    look
}

/// The version that the holder of a Lease says of itself.
pub fn version(lease: &Lease) -> Option<Version> {
    lease::version_of_holder(lease).and_then(Version::read)
}

/// Whether somebody leads by a Lease, at a time of the API server's.
pub fn leads(lease: &Lease, now: Timestamp) -> bool {
    let record = Record::of(lease);
    let until = record
        .renewed
        .zip(record.lasts)
        .and_then(|(renewed, lasts)| {
            let ends = renewed.checked_add(lasts).ok()?;
            ends.checked_add(APART).ok()
        });
    record.holder.is_some() && until.is_some_and(|until| now <= until)
}

fn leaderless(place: &str, lease: Option<&Lease>, now: Timestamp) -> Finding {
    let record = lease.map(Record::of);
    let found = match record.map(|record| (record.holder, record.renewed)) {
        None => "there is no such Lease".to_owned(),
        Some((None, _)) => "nobody holds it".to_owned(),
        Some((Some(holder), Some(renewed))) => {
            let seconds = now.duration_since(renewed).as_secs();
            format!("{holder} held it and has not renewed it for {seconds} s")
        }
        Some((Some(holder), None)) => format!("{holder} holds it and never renewed it"),
    };
    let accepted = "a holder who renews it each 2 s";
    Finding::new(Code::ControllerWithoutLeader, place, found, accepted)
}

fn replicated(deployment: &Deployment) -> Look {
    let mut look = Look::default();
    let place = title(&DEPLOYMENT, &deployment.metadata);
    let (wanted, ready) = replicas(deployment);
    let namespace = deployment.metadata.namespace.as_deref().unwrap_or_default();
    let name = deployment.metadata.name.as_deref().unwrap_or_default();
    if ready == 0 {
        let found = format!("none of {wanted} replicas is ready");
        let finding = Finding::new(Code::ControllerNotReady, place, found, "two that are ready");
        look.find(finding.mended_by(format!(
            "kubectl -n {namespace} describe deployment {name}; kubectl -n {namespace} logs deployment/{name}"
        )));
    } else if wanted < 2 {
        let finding = Finding::new(Code::ControllerAlone, place, "one replica", "two");
        look.find(finding.mended_by(format!(
            "kubectl -n {namespace} scale deployment/{name} --replicas=2"
        )));
    } else {
        look.praise(format!("{ready} of {wanted} replicas of {place} are ready"));
    }
    look
}

/// The arguments of the controller's container, its command's behind it.
fn arguments(deployment: &Deployment) -> Vec<&str> {
    let container = container(deployment, &["controller"]);
    let lists = container.map(|container| [&container.command, &container.args]);
    let words = lists.into_iter().flatten().flatten().flatten();
    words.map(String::as_str).collect()
}

/// The value of an argument: `--name VALUE`, `--name=VALUE` or `-n VALUE`.
fn argument<'d>(deployment: &'d Deployment, names: &[&str]) -> Option<&'d str> {
    let words = arguments(deployment);
    words
        .iter()
        .enumerate()
        .find_map(|(at, word)| match word.split_once('=') {
            Some((name, value)) if names.contains(&name) => Some(value),
            _ if names.contains(word) => words.get(at + 1).copied(),
            _ => None,
        })
}

/// Where its Lease is: in the namespace that it is confined to, or in its own.
fn lease_namespace(deployment: &Deployment) -> String {
    let confined = argument(deployment, &["-n", "--namespace"]);
    let own = deployment.metadata.namespace.as_deref();
    confined.or(own).unwrap_or_default().to_owned()
}

/// The Prometheus that a controller asks: where somebody looks who was told none.
pub fn prometheus(found: &Found) -> Option<String> {
    let mut named = found
        .deployments
        .iter()
        .filter_map(|deployment| argument(deployment, &["--prometheus"]));
    named.next().map(str::to_owned)
}

/// Whether the controller's account may do what it must.
async fn account(ground: &Ground<'_>, deployment: &Deployment) -> Look {
    let mut look = Look::default();
    let own = deployment.metadata.namespace.as_deref().unwrap_or_default();
    let pod = deployment
        .spec
        .as_ref()
        .and_then(|spec| spec.template.spec.as_ref());
    let account = pod.and_then(|pod| pod.service_account_name.as_deref());
    let account = account.unwrap_or("default");
    let place = format!("ServiceAccount {own}/{account}");
    let confined = argument(deployment, &["-n", "--namespace"]);
    let leads_in = lease_namespace(deployment);
    let (of_rollouts, of_leader) = tokio::join!(
        rights::lacking(ground, (own, account), confined, OF_CONTROLLER),
        rights::lacking(ground, (own, account), Some(&leads_in), OF_LEADER),
    );
    match (of_rollouts, of_leader) {
        (Ok(rollouts), Ok(leader)) => {
            let lacks: Vec<String> = rollouts.into_iter().chain(leader).collect();
            if lacks.is_empty() {
                look.praise(format!("{place} has its rights"));
            } else {
                let found = format!("it may not {}", named(&lacks));
                let accepted =
                    "the rights of wasmplugin/controller/cluster.yaml or namespaced.yaml";
                look.find(Finding::new(
                    Code::ControllerRightMissing,
                    place,
                    found,
                    accepted,
                ));
            }
        }
        (Err(why), _) | (_, Err(why)) => look.miss(format!("the rights of {place}"), why),
    }
    look
}

#[cfg(test)]
mod tests;
