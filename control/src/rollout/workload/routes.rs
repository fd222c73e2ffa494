//! Which Services, subsets and routes of a namespace tell the pods of a Rollout's two Deployments apart,
//! as they are found in a cluster.

use kube::api::DynamicObject;
use serde::de::DeserializeOwned;
use serde_json::{Map, Value};

use super::naming::{Named, Selecting, Selects, Subsets};
use crate::cluster::routes::search;
use crate::cluster::{Cluster, code};
use crate::model::resources::{Spec, gateway, istio};

/// The annotation of a DestinationRule or Service to whose pods routes of another namespace lead, which
/// nobody here can see: that namespace.
pub(super) const ROUTED_FROM: &str = "sluice.dev/routed-from";

/// How many resources of a kind are taken that select these pods. Chosen: a Rollout needs one or two.
const MAX_SELECTING: usize = 32;

/// What was found.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Found {
    /// What may send somebody to the copy's pods alone, as `KIND NAME`.
    pub(super) names: Vec<String>,
    /// Whether one of them is known to have those pods.
    pub(super) is_told_apart: bool,
    /// Whether a route is known to lead there.
    pub(super) is_led: bool,
    /// A route by which every request goes to the Deployment, and where to: a sentence's beginning.
    pub(super) passing: Option<String>,
}

/// Looks for them.
///
/// # Errors
/// The API server's, and more resources of a kind than are searched.
pub(super) async fn find(cluster: &Cluster, named: &Named<'_>) -> kube::Result<Found> {
    let services = selecting(cluster, named).await?;
    let subsets = subsets(cluster, named, &services).await?;
    let own = services
        .iter()
        .filter(|service| service.selects == Selects::Fallback)
        .map(|service| format!("the selector of Service {}", service.name));
    let leading = |known: &Subsets| known.is_of_both || known.is_unknown;
    let names = subsets.iter().filter(|known| leading(known));
    let names = names.filter_map(|known| {
        let subset = known.fallback.as_ref()?;
        Some(format!("subset {subset} of DestinationRule {}", known.rule))
    });
    let has_own = own.clone().next().is_some();
    let mut told_apart = subsets.iter();
    let has_subset = told_apart.any(|known| known.is_of_both && known.fallback.is_some());
    // Without either, no route can lead there.
    let routes = match has_own || has_subset || has_challenger(&services, &subsets) {
        true => routes(cluster, named, &services, &subsets).await?,
        false => Vec::new(),
    };
    let is_led = routes.iter().any(|route| route.leads)
        || services.iter().any(Selecting::is_led_from_elsewhere)
        || subsets.iter().any(Subsets::is_led_from_elsewhere);
    Ok(Found {
        names: names.chain(own).collect(),
        is_told_apart: has_own || has_subset,
        is_led,
        passing: routes.into_iter().find_map(|route| route.passing),
    })
}

async fn selecting(cluster: &Cluster, named: &Named<'_>) -> kube::Result<Vec<Selecting>> {
    let find = |service: &DynamicObject| {
        Some(Selecting {
            selects: named.selects(&service.data)?,
            name: service.metadata.name.clone()?,
            is_led: is_led(service),
        })
    };
    search(cluster, ("v1", "Service"), MAX_SELECTING, find).await
}

async fn subsets(
    cluster: &Cluster,
    named: &Named<'_>,
    services: &[Selecting],
) -> kube::Result<Vec<Subsets>> {
    let find = |rule: &DynamicObject| {
        let name = rule.metadata.name.as_deref()?;
        let mut subsets = named.subsets(name, &rule.data, services)?;
        subsets.is_led = is_led(rule);
        (subsets.is_of_both || subsets.is_unknown).then_some(subsets)
    };
    let kind = (
        istio::DestinationRule::API_VERSION,
        istio::DestinationRule::KIND,
    );
    search(cluster, kind, MAX_SELECTING, find).await
}

/// Whether somebody said on it that routes of another namespace lead there.
fn is_led(object: &DynamicObject) -> bool {
    let annotations = object.metadata.annotations.as_ref();
    annotations.is_some_and(|annotations| annotations.contains_key(ROUTED_FROM))
}

fn has_challenger(services: &[Selecting], subsets: &[Subsets]) -> bool {
    let has_service = |service: &Selecting| service.selects == Selects::Challenger;
    services.iter().any(has_service) || subsets.iter().any(|known| known.challenger.is_some())
}

/// A resource with routes to these pods.
#[derive(Debug)]
struct Route {
    /// Whether one leads to the copy's alone.
    leads: bool,
    /// The first by which every request goes to the Deployment's, in words.
    passing: Option<String>,
}

impl Route {
    fn of_any(leads: bool, passing: Option<String>) -> Option<Self> {
        let is_any = leads || passing.is_some();
        is_any.then_some(Self { leads, passing })
    }
}

async fn routes(
    cluster: &Cluster,
    named: &Named<'_>,
    services: &[Selecting],
    subsets: &[Subsets],
) -> kube::Result<Vec<Route>> {
    let kind = (
        istio::VirtualService::API_VERSION,
        istio::VirtualService::KIND,
    );
    let of_service = |object: &DynamicObject| {
        let spec = spec(object)?;
        let passing = named.passing(&spec, services, subsets);
        let passing = passing.map(|(at, to)| said(kind.1, object, at, &to));
        Route::of_any(named.leads(&spec, services, subsets), passing)
    };
    let mut found = search(cluster, kind, MAX_SELECTING, of_service).await?;
    if services
        .iter()
        .all(|service| service.selects == Selects::Both)
    {
        // An HTTPRoute knows no subsets.
        return Ok(found);
    }
    let kind = (gateway::HttpRoute::API_VERSION, gateway::HttpRoute::KIND);
    let of_gateway = |object: &DynamicObject| {
        let spec = spec(object)?;
        let passing = named.passing_by_gateway(&spec, services);
        let passing = passing.map(|(at, to)| said(kind.1, object, at, &to));
        Route::of_any(named.leads_by_gateway(&spec, services), passing)
    };
    match search(cluster, kind, MAX_SELECTING, of_gateway).await {
        Ok(more) => found.extend(more),
        // The cluster has no Gateway API.
        Err(error) if code(&error) == Some(404) => {}
        Err(error) => return Err(error),
    }
    Ok(found)
}

/// What it says, as far as it can be read: what cannot, Istio refuses.
fn spec<S: DeserializeOwned>(object: &DynamicObject) -> Option<S> {
    S::deserialize(object.data.get("spec")?).ok()
}

fn said(kind: &str, object: &DynamicObject, at: usize, to: &str) -> String {
    let name = object.metadata.name.as_deref().unwrap_or_default();
    format!("route {at} of {kind} {name} sends every request to {to}")
}

/// The labels that the copy's pods have, of its template.
pub(super) fn labels(template: &Value) -> Map<String, Value> {
    let labels = template.pointer("/metadata/labels");
    labels
        .and_then(Value::as_object)
        .cloned()
        .unwrap_or_default()
}
