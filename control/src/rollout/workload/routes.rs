//! Which Services, subsets and routes of a namespace tell the pods of a Rollout's two Deployments apart,
//! as they are found in a cluster.

use kube::api::DynamicObject;
use serde::de::DeserializeOwned;
use serde_json::{Map, Value};

use super::naming::{Named, Selecting, Selects, Subsets, is_same_host};
use crate::cluster::routes::search;
use crate::cluster::{Cluster, code, unexpected};
use crate::model::resources::{Spec, gateway, istio};
use crate::model::selected_service::SELECTED_BY;

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
        passing: passing(&routes, named.namespace),
    })
}

async fn selecting(cluster: &Cluster, named: &Named<'_>) -> kube::Result<Vec<Selecting>> {
    let find = |service: &DynamicObject| known(named, service);
    all(cluster, ("v1", "Service"), find).await
}

/// A Service that selects some of these pods. One that a Rollout lets have the challenger's is where they
/// are previewed, or everyone is by now: whoever routes there means it.
fn known(named: &Named<'_>, service: &DynamicObject) -> Option<Selecting> {
    let selects = named.selects(&service.data)?;
    let annotations = service.metadata.annotations.as_ref();
    let is_set = annotations.is_some_and(|annotations| annotations.contains_key(SELECTED_BY));
    if is_set && selects == Selects::Challenger {
        return None;
    }
    Some(Selecting {
        selects,
        name: service.metadata.name.clone()?,
        // That one is the route itself.
        is_led: is_set || is_led(service),
    })
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
    all(cluster, kind, find).await
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
    /// The hosts that they are of; none: those of another resource.
    hosts: Vec<String>,
}

impl Route {
    fn of_any(leads: bool, passing: Option<String>, hosts: Vec<String>) -> Option<Self> {
        let is_any = leads || passing.is_some();
        is_any.then_some(Self {
            leads,
            passing,
            hosts,
        })
    }

    /// Whether requests of one host may be of both.
    fn shares(&self, other: &Self, namespace: &str) -> bool {
        let is_any = self.hosts.is_empty() || other.hosts.is_empty();
        let is_in = |host: &String| {
            let mut hosts = other.hosts.iter();
            hosts.any(|other| is_same_host(host, other, namespace))
        };
        is_any || self.hosts.iter().any(is_in)
    }
}

/// The first route past the split of a host of which another one leads to the copy: what else leads to the
/// Deployment, such as a preview's host, is not the split's.
fn passing(routes: &[Route], namespace: &str) -> Option<String> {
    let is_passing = |route: &&Route| {
        let mut leading = routes.iter().filter(|route| route.leads);
        route.passing.is_some() && leading.any(|leading| route.shares(leading, namespace))
    };
    routes.iter().find(is_passing)?.passing.clone()
}

/// What a search found, unless it was cut off: what is not seen may be what matters.
async fn all<T>(
    cluster: &Cluster,
    kind: (&str, &str),
    find: impl Fn(&DynamicObject) -> Option<T>,
) -> kube::Result<Vec<T>> {
    let found = search(cluster, kind, MAX_SELECTING + 1, find).await?;
    match found.len() > MAX_SELECTING {
        true => Err(unexpected(format!(
            "more than {MAX_SELECTING} of kind {} select these pods, or have routes to them",
            kind.1
        ))),
        false => Ok(found),
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
        let spec: istio::VirtualService = spec(object)?;
        let passing = named.passing(&spec, services, subsets);
        let passing = passing.map(|(at, to)| said(kind.1, object, at, &to));
        let leads = named.leads(&spec, services, subsets);
        Route::of_any(leads, passing, spec.hosts)
    };
    let mut found = all(cluster, kind, of_service).await?;
    if services
        .iter()
        .all(|service| service.selects == Selects::Both)
    {
        // An HTTPRoute knows no subsets.
        return Ok(found);
    }
    let kind = (gateway::HttpRoute::API_VERSION, gateway::HttpRoute::KIND);
    let of_gateway = |object: &DynamicObject| {
        let spec: gateway::HttpRoute = spec(object)?;
        let passing = named.passing_by_gateway(&spec, services);
        let passing = passing.map(|(at, to)| said(kind.1, object, at, &to));
        let leads = named.leads_by_gateway(&spec, services);
        Route::of_any(leads, passing, spec.hostnames)
    };
    match all(cluster, kind, of_gateway).await {
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

/// The labels that the pods of two templates share.
pub(super) fn labels([one, other]: [&Value; 2]) -> Map<String, Value> {
    let of = |template: &'_ Value| {
        let labels = template.pointer("/metadata/labels");
        labels
            .and_then(Value::as_object)
            .cloned()
            .unwrap_or_default()
    };
    let other = of(other);
    let mut shared = of(one);
    shared.retain(|name, value| other.get(name) == Some(value));
    shared
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn route(leads: bool, passing: Option<&str>, hosts: &[&str]) -> Route {
        let hosts = hosts.iter().map(|host| (*host).to_owned()).collect();
        Route::of_any(leads, passing.map(str::to_owned), hosts).unwrap()
    }

    #[test]
    fn a_route_passes_the_split_by_only_of_a_host_that_leads_to_the_copy() {
        let leading = || route(true, None, &["web"]);
        let cases = [
            (vec![leading()], None),
            (
                vec![
                    leading(),
                    route(false, Some("past"), &["preview.example.org"]),
                ],
                None,
            ),
            (
                vec![
                    leading(),
                    route(false, Some("past"), &["web.shop.svc.cluster.local"]),
                ],
                Some("past"),
            ),
            (
                vec![leading(), route(false, Some("past"), &[])],
                Some("past"),
            ),
            (vec![route(true, Some("past"), &["web"])], Some("past")),
            // Nothing leads to the copy, which is said instead.
            (vec![route(false, Some("past"), &["web"])], None),
        ];
        for (routes, expected) in cases {
            assert_eq!(passing(&routes, "shop").as_deref(), expected, "{routes:?}");
        }
    }

    #[test]
    fn only_labels_of_both_tell_what_selects_both() {
        let template = |tier: &str| json!({"metadata": {"labels": {"app": "web", "tier": tier}}});
        let (old, new) = (template("front"), template("frontend"));
        assert_eq!(Value::from(labels([&old, &new])), json!({"app": "web"}));
        assert_eq!(labels([&old, &old]).len(), 2);
        assert!(labels([&old, &json!({})]).is_empty());
    }

    #[test]
    fn a_service_that_a_rollout_lets_have_the_challengers_pods_passes_no_split_by() {
        let labels = json!({"app": "web"}).as_object().cloned().unwrap();
        let named = Named {
            namespace: "shop",
            labels: &labels,
            fallback: "stable",
            challenger: "canary",
        };
        let selects = |annotations: Value, variant: &str| {
            let service = json!({
                "metadata": {"name": "web-preview", "annotations": annotations},
                "spec": {"selector": {"app": "web", "sluice.dev/variant": variant}},
            });
            let service: DynamicObject = serde_json::from_value(service).unwrap();
            let known = known(&named, &service);
            known.map(|service| (service.selects, service.is_led_from_elsewhere()))
        };
        let ours = json!({"sluice.dev/selected-by": "web"});
        assert_eq!(
            selects(json!({}), "canary"),
            Some((Selects::Challenger, false))
        );
        assert_eq!(
            selects(json!({}), "stable"),
            Some((Selects::Fallback, false))
        );
        assert_eq!(selects(ours.clone(), "canary"), None);
        // Whoever calls it reaches the copy, without any route.
        assert_eq!(selects(ours, "stable"), Some((Selects::Fallback, true)));
    }
}
