//! The two Services of a workload in a cluster: read, and set by one key of their selectors.
//!
//! A selector is one field for server-side apply, so the key is set by a merge patch, on the Service as
//! it was read; an annotation says who set it, so that it can be taken away again. Nothing else of a
//! Service is written.

use std::time::Duration;

use futures::future::join;
use kube::api::{Api, DynamicObject, ListParams, Patch, PatchParams};
use kube::core::{ApiResource, GroupVersionKind};
use parking_lot::Mutex;
use serde_json::{Value, json};

use super::remembered::MANAGER;
use super::services::{Names, OfEach, Role, Seen, Selected, Selection, ServiceSeen, State, There};
use crate::cluster::routes::search;
use crate::cluster::{Cluster, code, words};
use crate::model::resources::{Spec as _, istio};
use crate::model::selected_service::{SELECTED_BY, selected, selector, selects_others, unusable};
use crate::model::service::ServiceRef;
use crate::model::workload::VARIANT_LABEL as VARIANT;
use crate::rollout::look::Variants;
use crate::rollout::world::Failure;

/// How long they may take to be read. Chosen: an abort that was asked for meanwhile waits so long.
const PATIENCE: Duration = Duration::from_secs(1);

/// How long it may take to read whether clients have followed. Chosen: a part of that, since only pods
/// that are to go wait for it.
const FOLLOWING_PATIENCE: Duration = Duration::from_millis(500);

/// The most pods and EndpointSlices of a Service that are looked at, to know whether its clients have
/// followed. Chosen: ten times what a Deployment has; one of more counts as followed.
const MAX_FOLLOWING: u32 = 1_000;

/// The Services of one Rollout.
#[derive(Debug)]
pub struct Selectors {
    cluster: Cluster,
    rollout: String,
    /// As they were read last: what is done stands on it.
    read: Mutex<OfEach<Read>>,
}

/// One as it was read.
#[derive(Clone, Debug)]
struct Read {
    name: String,
    resource_version: Option<String>,
    variants: Variants,
    /// Whether its endpoints were seen to be the pods that it selects.
    is_followed: bool,
}

impl Selectors {
    /// Those of a Rollout in the cluster's namespace.
    pub fn of(cluster: Cluster, rollout: &str) -> Self {
        Self {
            cluster,
            rollout: rollout.to_owned(),
            read: Mutex::default(),
        }
    }

    fn api(&self, group: &str, kind: &str) -> Api<DynamicObject> {
        let resource = ApiResource::from_gvk(&GroupVersionKind::gvk(group, "v1", kind));
        let client = self.cluster.client().clone();
        Api::namespaced_with(client, self.cluster.namespace(), &resource)
    }

    /// What is seen of them, with the labels of the Deployment's pods where they are known.
    pub async fn look(
        &self,
        names: &Names,
        variants: Option<&Variants>,
        labels: Option<Value>,
    ) -> Seen {
        let Some(variants) = variants else {
            // Whose pods are whose is not known.
            return Seen::default();
        };
        let look = async |role: Role| {
            let name = names.of(role)?;
            let looking = self.look_at(role, name, variants, labels.as_ref());
            let looked = tokio::time::timeout(PATIENCE, looking).await;
            let state = looked.unwrap_or_else(|_| {
                State::Unread(format!("Service {name} cannot be read in time"))
            });
            Some(ServiceSeen {
                name: name.clone(),
                state,
            })
        };
        let (active, preview) = join(look(Role::Active), look(Role::Preview)).await;
        Seen { active, preview }
    }

    async fn look_at(
        &self,
        role: Role,
        name: &str,
        variants: &Variants,
        labels: Option<&Value>,
    ) -> State {
        let object = match self.api("", "Service").get_opt(name).await {
            Ok(object) => object,
            Err(error) => {
                let why = format!("Service {name} cannot be read: {}", words(&error));
                return State::Unread(why);
            }
        };
        let version = object
            .as_ref()
            .and_then(|object| object.metadata.resource_version.clone());
        let service = object.map(whole);
        let mut state = judged(service.as_ref(), name, &self.rollout, variants, labels);
        let State::There(there) = &mut state else {
            *self.read.lock().of_mut(role) = None;
            return state;
        };
        if !there.is_ours && there.mistake.is_none() {
            there.mistake = self.subsets(name).await;
        }
        let was_followed = {
            let read = self.read.lock();
            let same = read
                .of(role)
                .filter(|read| read.resource_version == version);
            same.is_some_and(|read| read.is_followed)
        };
        // Nobody waits for those of the other.
        let matters = role == Role::Active && there.selects != Selected::Both && !was_followed;
        if let Some(service) = service.filter(|_| matters) {
            let looking = tokio::time::timeout(FOLLOWING_PATIENCE, self.unfollowed(name, &service));
            match looking.await {
                Ok(Ok(unfollowed)) => there.unfollowed = unfollowed,
                // That it can be set is known all the same.
                Err(_) => {
                    let why = format!(
                        "whether clients of Service {name} have followed is not known in time"
                    );
                    there.unfollowed = Some(why);
                }
                Ok(Err(error)) => {
                    let why = words(&error);
                    let why = format!(
                        "whether clients of Service {name} have followed cannot be read: {why}"
                    );
                    (there.unfollowed, there.mistake) = (Some(why.clone()), Some(why));
                }
            }
        }
        *self.read.lock().of_mut(role) = Some(Read {
            name: name.to_owned(),
            resource_version: version,
            variants: variants.clone(),
            is_followed: there.unfollowed.is_none(),
        });
        state
    }

    /// What routes by variants among the pods of a Service, which must therefore have both.
    async fn subsets(&self, name: &str) -> Option<String> {
        let of_rule = |rule: &DynamicObject| {
            let namespace = self.cluster.namespace();
            let host = rule.data.pointer("/spec/host")?.as_str()?;
            let host = ServiceRef::of_host(host, namespace)?;
            let subsets = rule.data.pointer("/spec/subsets")?.as_array()?;
            let is_of_it = host.name == name && host.namespace == namespace;
            let mut subsets = subsets.iter();
            let has_variants = subsets.any(|subset| !subset["labels"][VARIANT].is_null());
            (is_of_it && has_variants).then(|| rule.metadata.name.clone().unwrap_or_default())
        };
        let rules = (
            istio::DestinationRule::API_VERSION,
            istio::DestinationRule::KIND,
        );
        match search(&self.cluster, rules, 1, of_rule).await {
            Ok(found) => found.first().map(|rule| {
                format!(
                    "Service {name} is left alone: DestinationRule {rule} has subsets of it by {VARIANT}, so it must have \
                     the pods of both; give the Rollout another one"
                )
            }),
            Err(error) => Some(format!(
                "whether subsets need both variants in Service {name} cannot be read: {}",
                words(&error)
            )),
        }
    }

    /// Why the endpoints of a Service are not the pods that it selects; `None`: they are.
    async fn unfollowed(&self, name: &str, service: &Value) -> kube::Result<Option<String>> {
        let labels = selector(service).map(|(key, value)| format!("{key}={value}"));
        let variant = selected(service).map(|variant| format!("{VARIANT}={variant}"));
        let labels: Vec<String> = labels.chain(variant).collect();
        let listed = |labels: &str| ListParams::default().labels(labels).limit(MAX_FOLLOWING);
        let of_service = format!("kubernetes.io/service-name={name}");
        let (slices, pods) = (
            self.api("discovery.k8s.io", "EndpointSlice"),
            self.api("", "Pod"),
        );
        let (slice_parameters, pod_parameters) = (listed(&of_service), listed(&labels.join(",")));
        let (slices, pods) = join(
            slices.list(&slice_parameters),
            pods.list_metadata(&pod_parameters),
        )
        .await;
        let (slices, pods) = (slices?, pods?);
        let has_more =
            |token: &Option<String>| token.as_ref().is_some_and(|token| !token.is_empty());
        if has_more(&slices.metadata.continue_) || has_more(&pods.metadata.continue_) {
            return Ok(None);
        }
        let slices: Vec<Value> = slices.items.into_iter().map(|slice| slice.data).collect();
        let pods: Vec<String> = pods
            .items
            .into_iter()
            .filter_map(|pod| pod.metadata.uid)
            .collect();
        Ok(others(&slices, &pods).map(|why| format!("Service {name}: {why}")))
    }

    /// Lets one have other pods, if it is still what was read.
    ///
    /// # Errors
    /// Why it was not done.
    pub async fn select(&self, selection: &Selection) -> Result<(), Failure> {
        let read = self.read.lock().of(selection.role).cloned();
        let read = read.filter(|read| read.name == selection.service);
        let Some(read) = read else {
            let why = format!("Service {} was not read", selection.service);
            return Err(Failure::Unselected(why));
        };
        let patch = patch(&read, &self.rollout, selection.to);
        let parameters = PatchParams {
            field_manager: Some(MANAGER.to_owned()),
            ..PatchParams::default()
        };
        let patched = self
            .api("", "Service")
            .patch(&read.name, &parameters, &Patch::Merge(&patch))
            .await;
        match patched {
            // Somebody else wrote it meanwhile: it is looked at again.
            Err(error) if code(&error) == Some(409) => Ok(()),
            Err(error) => {
                let why = format!("{selection}, and cannot be set: {}", words(&error));
                Err(Failure::Unselected(why))
            }
            Ok(_) => Ok(()),
        }
    }
}

/// What a Service is to its Rollout, without what other objects say of it.
fn judged(
    service: Option<&Value>,
    name: &str,
    rollout: &str,
    variants: &Variants,
    labels: Option<&Value>,
) -> State {
    let Some(service) = service else {
        return State::Wrong(format!("there is no Service {name}"));
    };
    if let Some(why) = unusable(service) {
        return State::Wrong(format!("Service {name} {why}"));
    }
    let owner = service["metadata"]["annotations"][SELECTED_BY].as_str();
    let selects = match selected(service) {
        None => Selected::Both,
        Some(variant) if variant == variants.fallback => Selected::Fallback,
        Some(variant) if variant == variants.challenger => Selected::Challenger,
        Some(other) => {
            return State::Wrong(format!(
                "Service {name} selects {VARIANT}: {other}, which is neither {} nor {}",
                variants.fallback, variants.challenger
            ));
        }
    };
    let mistake = match (owner, labels) {
        (Some(owner), _) if owner != rollout => Some(format!(
            "is set by Rollout {owner}, and left alone; where there is none, take away its annotation {SELECTED_BY}"
        )),
        (_, Some(labels)) => selects_others(service, labels),
        _ => None,
    };
    State::There(There {
        selects,
        is_ours: owner == Some(rollout),
        unfollowed: None,
        mistake: mistake.map(|why| format!("Service {name} {why}")),
    })
}

/// Why the endpoints of slices are others than these pods.
fn others(slices: &[Value], pods: &[String]) -> Option<String> {
    let endpoints = slices
        .iter()
        .filter_map(|slice| slice["endpoints"].as_array());
    let endpoints: Vec<&Value> = endpoints.flatten().collect();
    if endpoints.is_empty() {
        return Some("it has no endpoints yet".to_owned());
    }
    let uid = |endpoint: &Value| endpoint["targetRef"]["uid"].as_str().map(str::to_owned);
    let is_other = |endpoint: &&&Value| uid(endpoint).is_none_or(|uid| !pods.contains(&uid));
    let others = endpoints.iter().filter(is_other).count();
    (others > 0).then(|| format!("{others} of its endpoints are other pods still"))
}

/// What is written of a Service.
fn patch(read: &Read, rollout: &str, to: Selected) -> Value {
    let (owner, variant) = match to {
        Selected::Both => (None, None),
        Selected::Fallback => (Some(rollout), Some(&read.variants.fallback)),
        Selected::Challenger => (Some(rollout), Some(&read.variants.challenger)),
    };
    json!({
        "metadata": {"resourceVersion": read.resource_version, "annotations": {SELECTED_BY: owner}},
        "spec": {"selector": {VARIANT: variant}},
    })
}

fn whole(object: DynamicObject) -> Value {
    let mut whole = object.data;
    whole["metadata"] = json!({"annotations": object.metadata.annotations});
    whole
}

#[cfg(test)]
mod tests {
    use super::*;

    fn variants() -> Variants {
        Variants {
            challenger: "canary".to_owned(),
            fallback: "stable".to_owned(),
        }
    }

    fn service(annotations: Value, selector: Value) -> Value {
        json!({"metadata": {"annotations": annotations}, "spec": {"selector": selector}})
    }

    fn seen(service: Option<&Value>) -> State {
        let labels = json!({"app": "web", "sluice.dev/variant": "canary"});
        judged(service, "web-active", "web", &variants(), Some(&labels))
    }

    #[test]
    fn a_service_is_whose_pods_it_selects_and_who_set_that() {
        let ours = json!({"sluice.dev/selected-by": "web"});
        let cases = [
            (json!(null), json!({"app": "web"}), Selected::Both, false),
            (
                ours.clone(),
                json!({"app": "web", "sluice.dev/variant": "stable"}),
                Selected::Fallback,
                true,
            ),
            (
                ours,
                json!({"app": "web", "sluice.dev/variant": "canary"}),
                Selected::Challenger,
                true,
            ),
            (
                json!({}),
                json!({"app": "web", "sluice.dev/variant": "stable"}),
                Selected::Fallback,
                false,
            ),
        ];
        for (annotations, selector, selects, is_ours) in cases {
            let service = service(annotations, selector);
            let expected = State::There(There {
                selects,
                is_ours,
                unfollowed: None,
                mistake: None,
            });
            assert_eq!(seen(Some(&service)), expected, "{service}");
        }
    }

    #[test]
    fn a_service_that_cannot_be_set_says_why() {
        let wrong = |why: &str| State::Wrong(why.to_owned());
        assert_eq!(seen(None), wrong("there is no Service web-active"));
        let headless = json!({"spec": {"clusterIP": "None", "selector": {"app": "web"}}});
        assert_eq!(
            seen(Some(&headless)),
            wrong(
                "Service web-active is headless: its clients keep the addresses of pods that are not to serve them any more"
            )
        );
        let other = service(
            json!({}),
            json!({"app": "web", "sluice.dev/variant": "beta"}),
        );
        assert_eq!(
            seen(Some(&other)),
            wrong(
                "Service web-active selects sluice.dev/variant: beta, which is neither stable nor canary"
            )
        );
        let mistakes = [
            (
                service(
                    json!({"sluice.dev/selected-by": "api"}),
                    json!({"app": "web"}),
                ),
                "Service web-active is set by Rollout api, and left alone; where there is none, take away its annotation \
                 sluice.dev/selected-by",
            ),
            (
                service(json!({}), json!({"app": "api"})),
                "Service web-active selects app: api, which the template's pods do not have",
            ),
        ];
        for (service, expected) in mistakes {
            let State::There(there) = seen(Some(&service)) else {
                panic!("{service}");
            };
            assert_eq!(there.mistake.as_deref(), Some(expected));
        }
    }

    #[test]
    fn one_key_is_set_on_what_was_read_and_taken_away_again() {
        let read = Read {
            name: "web-active".to_owned(),
            resource_version: Some("7".to_owned()),
            variants: variants(),
            is_followed: true,
        };
        let expected = |variant: Value, owner: Value| {
            json!({
                "metadata": {"resourceVersion": "7", "annotations": {"sluice.dev/selected-by": owner}},
                "spec": {"selector": {"sluice.dev/variant": variant}},
            })
        };
        let cases = [
            (Selected::Fallback, json!("stable"), json!("web")),
            (Selected::Challenger, json!("canary"), json!("web")),
            (Selected::Both, Value::Null, Value::Null),
        ];
        for (to, variant, owner) in cases {
            assert_eq!(patch(&read, "web", to), expected(variant, owner), "{to:?}");
        }
    }

    #[test]
    fn clients_have_followed_when_every_endpoint_is_a_pod_of_the_variant() {
        let slice = |uids: &[&str]| {
            let endpoints = uids
                .iter()
                .map(|uid| json!({"targetRef": {"kind": "Pod", "uid": uid}}));
            json!({"endpoints": endpoints.collect::<Vec<_>>()})
        };
        let pods = ["a".to_owned(), "b".to_owned()];
        assert_eq!(others(&[slice(&["a"]), slice(&["b"])], &pods), None);
        assert_eq!(others(&[slice(&["a"])], &pods), None);
        assert_eq!(
            others(&[slice(&["a", "c"]), slice(&["d"])], &pods).as_deref(),
            Some("2 of its endpoints are other pods still")
        );
        let none = [json!({"endpoints": null})];
        assert_eq!(
            others(&none, &pods).as_deref(),
            Some("it has no endpoints yet")
        );
    }
}
