//! Whether routes would lead everybody to a subset that no pod of its service is in, which Envoy answers
//! with 503: subsets by `version: stable`, say, of pods that have `version: v1`.
//!
//! Asked of the cluster before anything is applied. Only what is sure is refused: where the service's
//! pods cannot be seen, or none of them runs, nothing is. Subsets that only some requests are led to may
//! be without pods until somebody is.

use std::collections::{BTreeMap, BTreeSet};

use k8s_openapi::api::core::v1::{Pod, Service};
use kube::api::{Api, DynamicObject, ListParams};

use super::refusal::{self, Refused};
use super::resource::{Change, Resourced};
use crate::cluster::Cluster;
use crate::cluster::pods::label_selector;
use crate::model::resources::istio::{DestinationRule, VirtualService};
use crate::model::resources::{Resource, Spec};
use crate::model::service::ServiceRef;

/// How many pods of a service are read to say which labels they have. Chosen: a rollout has two or three
/// kinds of pods.
const MAX_PODS_READ: u32 = 100;

/// A subset of a service.
type Subset = (ServiceRef, String);

/// What to refuse of all this.
pub(super) async fn missing(cluster: &Cluster, resources: &[Resourced]) -> Vec<Refused> {
    let mut refused = Vec::new();
    for resource in resources {
        if resource.change == Change::Unchanged || !is_of::<VirtualService>(resource) {
            continue;
        }
        let namespace = &resource.manifest.namespace;
        let before = resource.live.as_ref();
        let before = before.map(|live| everybodys(live, namespace));
        let before = before.unwrap_or_default();
        for subset in everybodys(&resource.tried, namespace) {
            if before.contains(&subset) {
                continue;
            }
            if let Some(labels) = labels_of(&subset, resources)
                && let Some(found) = others(cluster, &subset.0, &labels).await
            {
                let (service, name) = &subset;
                let title = &resource.resource;
                let wanted = label_selector(&labels);
                refused.push(refusal::no_pods(title, service, name, &wanted, &found));
            }
        }
    }
    refused
}

fn is_of<S: Spec>(resource: &Resourced) -> bool {
    resource.manifest.kind == S::KIND
}

/// The subsets to which a VirtualService leads requests that no condition was made for.
fn everybodys(object: &DynamicObject, namespace: &str) -> Vec<Subset> {
    let Ok(routes) = Resource::<VirtualService>::read(&object.data) else {
        return Vec::new();
    };
    let http = routes.spec.http.into_iter();
    let destinations = http
        .filter(|route| route.matches.is_empty())
        .flat_map(|route| route.route)
        .filter(|route| route.weight != Some(0.0))
        .map(|route| route.destination);
    let subsets = destinations.filter_map(|destination| {
        let service = ServiceRef::of_host(&destination.host?, namespace)?;
        Some((service, destination.subset?))
    });
    subsets.collect()
}

/// The labels of a subset, where one of these resources defines it by some.
fn labels_of(subset: &Subset, resources: &[Resourced]) -> Option<BTreeMap<String, String>> {
    let (service, name) = subset;
    let rules = resources
        .iter()
        .filter(|resource| is_of::<DestinationRule>(resource));
    let mut found = rules.filter_map(|resource| {
        let rule = Resource::<DestinationRule>::read(&resource.tried.data).ok()?;
        let namespace = &resource.manifest.namespace;
        let is_its = ServiceRef::of_host(&rule.spec.host, namespace)? == *service;
        let subsets = rule.spec.subsets.into_iter().filter(|_| is_its);
        let labels = subsets.filter(|subset| subset.name == *name);
        let mut labels = labels.map(|subset| subset.labels);
        labels.next()
    });
    let labels = found.next()?.into_iter();
    let texts = labels.map(|(label, value)| Some((label, value.as_str()?.to_owned())));
    texts
        .collect::<Option<BTreeMap<_, _>>>()
        .filter(|labels| !labels.is_empty())
}

/// What the running pods of a service have in the place of labels that none of them has; `None` where one
/// has them, none runs, or it cannot be seen.
async fn others(
    cluster: &Cluster,
    service: &ServiceRef,
    labels: &BTreeMap<String, String>,
) -> Option<String> {
    let client = cluster.client();
    let services: Api<Service> = Api::namespaced(client.clone(), &service.namespace);
    let selector = services.get(&service.name).await.ok()?.spec?.selector?;
    if selector.is_empty() {
        return None;
    }
    let pods: Api<Pod> = Api::namespaced(client.clone(), &service.namespace);
    let running = |labels: &str, most: u32| {
        let running = ListParams::default().fields("status.phase=Running");
        running.labels(labels).limit(most)
    };
    let all = label_selector(&selector);
    let theirs = format!("{all},{}", label_selector(labels));
    let theirs = pods.list(&running(&theirs, 1)).await.ok()?;
    if !theirs.items.is_empty() {
        return None;
    }
    let all = pods.list(&running(&all, MAX_PODS_READ)).await.ok()?;
    let labelled = all.items.into_iter().map(|pod| pod.metadata.labels);
    let labelled: Vec<_> = labelled.map(Option::unwrap_or_default).collect();
    (!labelled.is_empty()).then(|| in_their_place(&labelled, labels))
}

/// What pods have of these labels.
fn in_their_place(pods: &[BTreeMap<String, String>], labels: &BTreeMap<String, String>) -> String {
    let mut found = BTreeSet::new();
    for label in labels.keys() {
        for pod in pods {
            found.insert(match pod.get(label) {
                Some(value) => format!("{label}={value}"),
                None => format!("no label {label}"),
            });
        }
    }
    found.into_iter().collect::<Vec<_>>().join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn what_everybody_is_led_to_is_the_subsets_of_routes_without_a_condition() {
        let route = |host: &str, subset: &str, weight: Option<f64>| {
            let destination = json!({"host": host, "subset": subset});
            json!({"destination": destination, "weight": weight})
        };
        let object: DynamicObject = serde_json::from_value(json!({
            "metadata": {"name": "web"},
            "spec": {"http": [
                {
                    "match": [{"headers": {"x-sluice-web": {"exact": "canary"}}}],
                    "route": [route("web", "canary", None)],
                },
                {"route": [route("web", "stable", None), route("web", "none", Some(0.0))]},
                {"route": [route("web.b.svc.cluster.local", "v1", Some(50.0))]},
                {"route": [route("web.example.com", "v1", None), {"destination": {"host": "web"}}]},
                {"redirect": {"uri": "/"}},
            ]},
        }))
        .unwrap();
        let found = everybodys(&object, "a");
        let found: Vec<_> = found
            .iter()
            .map(|(service, subset)| format!("{subset} of {service}"))
            .collect();
        assert_eq!(found, ["stable of web.a", "v1 of web.b"]);
    }

    #[test]
    fn what_pods_have_instead_is_said_once() {
        let pod = |labels: &[(&str, &str)]| -> BTreeMap<String, String> {
            let labels = labels.iter();
            let labels = labels.map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
            labels.collect()
        };
        let pods = [
            pod(&[("version", "v2"), ("app", "web")]),
            pod(&[("version", "v1")]),
            pod(&[("version", "v1")]),
            pod(&[("app", "web")]),
        ];
        let wanted = pod(&[("version", "stable")]);
        let expected = "no label version, version=v1, version=v2";
        assert_eq!(in_their_place(&pods, &wanted), expected);
    }
}
