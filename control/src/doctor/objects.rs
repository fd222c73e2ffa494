//! The kinds that are looked at, and reading them so that what cannot be read is said.

use k8s_openapi::api::apps::v1::Deployment;
use k8s_openapi::api::core::v1::Container;
use kube::api::{DynamicObject, ListParams};
use serde::de::DeserializeOwned;

use crate::cluster::custom::{self, Kind};
use crate::cluster::plugins::Scope;
use crate::cluster::{Cluster, code, words};

const fn kind(api_version: &'static str, kind: &'static str, plural: &'static str) -> Kind {
    Kind {
        api_version,
        kind,
        plural,
    }
}

/// Deployments.
pub const DEPLOYMENT: Kind = kind("apps/v1", "Deployment", "deployments");
/// ConfigMaps.
pub const CONFIG_MAP: Kind = kind("v1", "ConfigMap", "configmaps");
/// Namespaces.
pub const NAMESPACE: Kind = kind("v1", "Namespace", "namespaces");
/// Pods.
pub const POD: Kind = kind("v1", "Pod", "pods");
/// Services.
pub const SERVICE: Kind = kind("v1", "Service", "services");
/// Leases.
pub const LEASE: Kind = kind("coordination.k8s.io/v1", "Lease", "leases");
/// Rollouts.
pub const ROLLOUT: Kind = kind("sluice.dev/v1alpha1", "Rollout", "rollouts");
/// Roles.
pub const ROLE: Kind = kind("rbac.authorization.k8s.io/v1", "Role", "roles");
/// Definitions of kinds.
pub const DEFINITION: Kind = kind(
    "apiextensions.k8s.io/v1",
    "CustomResourceDefinition",
    "customresourcedefinitions",
);
/// Webhooks that validate.
pub const VALIDATING: Kind = kind(
    "admissionregistration.k8s.io/v1",
    "ValidatingWebhookConfiguration",
    "validatingwebhookconfigurations",
);
/// Webhooks that change what is written.
pub const MUTATING: Kind = kind(
    "admissionregistration.k8s.io/v1",
    "MutatingWebhookConfiguration",
    "mutatingwebhookconfigurations",
);
/// Policies that need no webhook.
pub const POLICY: Kind = kind(
    "admissionregistration.k8s.io/v1",
    "ValidatingAdmissionPolicy",
    "validatingadmissionpolicies",
);
/// Where such policies hold.
pub const POLICY_BINDING: Kind = kind(
    "admissionregistration.k8s.io/v1",
    "ValidatingAdmissionPolicyBinding",
    "validatingadmissionpolicybindings",
);

/// Every object of a kind that the parameters select; none where the cluster does not know the kind.
///
/// # Errors
/// Why they cannot be read, in words.
pub async fn all(
    cluster: &Cluster,
    kind: &Kind,
    scope: &Scope,
    parameters: &ListParams,
) -> Result<Vec<DynamicObject>, String> {
    match custom::selected(cluster, kind, scope, parameters).await {
        Ok(objects) => Ok(objects),
        Err(error) if code(&error) == Some(404) => Ok(Vec::new()),
        Err(error) => Err(words(&error)),
    }
}

/// The objects of one name, in one namespace or in all.
///
/// # Errors
/// As [`all`].
pub async fn of_name(
    cluster: &Cluster,
    kind: &Kind,
    scope: &Scope,
    name: &str,
) -> Result<Vec<DynamicObject>, String> {
    let parameters = ListParams::default().fields(&format!("metadata.name={name}"));
    all(cluster, kind, scope, &parameters).await
}

/// Objects as types; those that are none are left out.
pub fn typed<T: DeserializeOwned>(objects: Vec<DynamicObject>) -> Vec<T> {
    let objects = objects.into_iter();
    let value = |object: DynamicObject| serde_json::to_value(object).ok();
    let typed = objects.filter_map(value);
    typed
        .filter_map(|value| serde_json::from_value(value).ok())
        .collect()
}

/// How an object is called: `Deployment istio-system/istiod`.
pub fn title(kind: &Kind, object: &kube::api::ObjectMeta) -> String {
    let name = object.name.as_deref().unwrap_or_default();
    match object.namespace.as_deref() {
        Some(namespace) => format!("{} {namespace}/{name}", kind.kind),
        None => format!("{} {name}", kind.kind),
    }
}

/// The first container of a Deployment's pods that has one of these names; else its first.
pub fn container<'d>(deployment: &'d Deployment, names: &[&str]) -> Option<&'d Container> {
    let pod = deployment.spec.as_ref()?.template.spec.as_ref()?;
    let named = pod
        .containers
        .iter()
        .find(|container| names.contains(&container.name.as_str()));
    named.or_else(|| pod.containers.first())
}

/// How many replicas a Deployment wants, and how many are ready.
pub fn replicas(deployment: &Deployment) -> (i32, i32) {
    let wanted = deployment.spec.as_ref().and_then(|spec| spec.replicas);
    let status = deployment.status.as_ref();
    let ready = status.and_then(|status| status.ready_replicas);
    (wanted.unwrap_or(1), ready.unwrap_or(0))
}
