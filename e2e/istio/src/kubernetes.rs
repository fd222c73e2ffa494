//! The API server as a test uses it: YAML in, objects out.

use http_body_util::BodyExt as _;
use hyper::body::Incoming;
use k8s_openapi::api::authentication::v1::{TokenRequest, TokenRequestSpec};
use k8s_openapi::api::core::v1::ServiceAccount;
use kube::api::{Api, DeleteParams, DynamicObject, ListParams, Patch, PatchParams, PostParams};
use kube::client::Body;
use kube::core::{ApiResource, GroupVersionKind};
use kube::{Client, Config};
use serde_json::Value;

/// A client that may do everything, or what an account may.
#[derive(Clone)]
pub struct Kubernetes {
    client: Client,
}

impl std::fmt::Debug for Kubernetes {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.write_str("Kubernetes")
    }
}

impl Kubernetes {
    /// With a bearer token.
    pub fn new(url: &str, token: &str) -> Self {
        let mut config = Config::new(url.parse().unwrap());
        config.accept_invalid_certs = true;
        config.auth_info.token = Some(token.to_owned().into());
        Self {
            client: Client::try_from(config).unwrap(),
        }
    }

    /// With a client that somebody has.
    pub(crate) const fn with_client(client: Client) -> Self {
        Self { client }
    }

    /// The client of the program under test, where a test runs a part of it in its own process.
    pub fn client(&self) -> Client {
        self.client.clone()
    }

    /// Applies every document, server-side, as field manager `gitops`.
    pub async fn apply(&self, yaml: &str) {
        for document in documents(yaml) {
            self.try_apply("gitops", &document)
                .await
                .unwrap_or_else(|error| panic!("{error}\n{document:#}"));
        }
    }

    /// Applies one document, server-side.
    pub async fn try_apply(&self, manager: &str, document: &Value) -> kube::Result<DynamicObject> {
        let name = document["metadata"]["name"].as_str().unwrap();
        self.api(document)
            .patch(name, &PatchParams::apply(manager), &Patch::Apply(document))
            .await
    }

    /// The same, taking over what others set.
    pub async fn try_apply_by_force(
        &self,
        manager: &str,
        document: &Value,
    ) -> kube::Result<DynamicObject> {
        let name = document["metadata"]["name"].as_str().unwrap();
        let parameters = PatchParams::apply(manager).force();
        self.api(document)
            .patch(name, &parameters, &Patch::Apply(document))
            .await
    }

    /// Makes an object that must not be there yet.
    pub async fn create(&self, document: &Value) -> kube::Result<DynamicObject> {
        let object: DynamicObject = serde_json::from_value(document.clone()).unwrap();
        self.api(document)
            .create(&PostParams::default(), &object)
            .await
    }

    /// Deletes an object that must be there.
    pub async fn try_delete(&self, kind: &str, namespace: &str, name: &str) -> kube::Result<()> {
        let deleted = self.of(kind, namespace);
        let deleted = deleted.delete(name, &DeleteParams::default()).await;
        deleted.map(drop)
    }

    /// Merges a patch into one object, as `kubectl patch --type merge` does.
    pub async fn merge(
        &self,
        kind: &str,
        namespace: &str,
        name: &str,
        patch: &Value,
    ) -> kube::Result<DynamicObject> {
        self.of(kind, namespace)
            .patch(name, &PatchParams::default(), &Patch::Merge(patch))
            .await
    }

    /// Sets an object's status.
    pub async fn set_status(&self, kind: &str, namespace: &str, name: &str, status: &Value) {
        let patch = serde_json::json!({"status": status});
        let parameters = PatchParams::default();
        self.of(kind, namespace)
            .patch_status(name, &parameters, &Patch::Merge(&patch))
            .await
            .unwrap();
    }

    /// An object, if it is there; the namespace is empty for what lies in none.
    pub async fn get(&self, kind: &str, namespace: &str, name: &str) -> Option<DynamicObject> {
        self.of(kind, namespace).get_opt(name).await.unwrap()
    }

    /// Every object of a kind in a namespace; in all namespaces when it is empty.
    pub async fn list(&self, kind: &str, namespace: &str) -> kube::Result<Vec<DynamicObject>> {
        Ok(self
            .of(kind, namespace)
            .list(&Default::default())
            .await?
            .items)
    }

    /// Deletes an object, if it is there, at once.
    pub async fn delete(&self, kind: &str, namespace: &str, name: &str) {
        let parameters = DeleteParams {
            grace_period_seconds: Some(0),
            ..DeleteParams::default()
        };
        let _ = self.of(kind, namespace).delete(name, &parameters).await;
    }

    /// Deletes every object of a kind in a namespace, at once.
    pub async fn delete_all(&self, kind: &str, namespace: &str) {
        let (parameters, all) = (DeleteParams::default(), ListParams::default());
        self.of(kind, namespace)
            .delete_collection(&parameters, &all)
            .await
            .unwrap();
    }

    /// A token of a service account.
    pub async fn token(&self, namespace: &str, account: &str, audience: &str) -> String {
        let token = self.try_token(namespace, account, Some(audience)).await;
        token.unwrap()
    }

    /// The same of an account that may not be there yet; without an audience, for the API server.
    pub async fn try_token(
        &self,
        namespace: &str,
        account: &str,
        audience: Option<&str>,
    ) -> kube::Result<String> {
        let accounts: Api<ServiceAccount> = Api::namespaced(self.client.clone(), namespace);
        let spec = TokenRequestSpec {
            audiences: audience.map(str::to_owned).into_iter().collect(),
            ..TokenRequestSpec::default()
        };
        let request = TokenRequest {
            spec,
            ..TokenRequest::default()
        };
        let parameters = PostParams::default();
        let answer = accounts.create_token_request(account, &parameters, &request);
        Ok(answer.await?.status.unwrap().token)
    }

    /// Passes on a request that somebody else made, and gives the whole answer.
    pub(crate) async fn pass(&self, request: hyper::Request<Incoming>) -> hyper::Response<Body> {
        let (head, body) = request.into_parts();
        let body = body.collect().await.unwrap().to_bytes().to_vec();
        let request = hyper::Request::from_parts(head, body);
        self.pass_whole(request).await.unwrap()
    }

    /// The same of a request that was read already.
    pub(crate) async fn pass_whole(
        &self,
        request: hyper::Request<Vec<u8>>,
    ) -> kube::Result<hyper::Response<Body>> {
        let (mut head, body) = request.into_parts();
        // The client has its own.
        head.headers.remove("authorization");
        let request = hyper::Request::from_parts(head, Body::from(body));
        self.client.send(request).await
    }

    /// Whether the API server answers.
    pub async fn is_ready(&self) -> bool {
        let request = hyper::Request::builder()
            .uri("/readyz")
            .body(Vec::new())
            .unwrap();
        self.client.request_text(request).await.is_ok()
    }

    fn of(&self, kind: &str, namespace: &str) -> Api<DynamicObject> {
        let (group, version, kind) = group(kind);
        self.api_of(
            &format!(
                "{group}{}{version}",
                if group.is_empty() { "" } else { "/" }
            ),
            kind,
            namespace,
        )
    }

    fn api(&self, document: &Value) -> Api<DynamicObject> {
        let text = |path: &str| {
            document
                .pointer(path)
                .and_then(Value::as_str)
                .unwrap_or_default()
        };
        self.api_of(
            text("/apiVersion"),
            text("/kind"),
            text("/metadata/namespace"),
        )
    }

    fn api_of(&self, api_version: &str, kind: &str, namespace: &str) -> Api<DynamicObject> {
        let (group, version) = api_version.split_once('/').unwrap_or(("", api_version));
        let resource = ApiResource::from_gvk(&GroupVersionKind::gvk(group, version, kind));
        match namespace {
            "" => Api::all_with(self.client.clone(), &resource),
            namespace => Api::namespaced_with(self.client.clone(), namespace, &resource),
        }
    }
}

fn group(kind: &str) -> (&'static str, &'static str, &str) {
    match kind {
        "WasmPlugin" | "TrafficExtension" => ("extensions.istio.io", "v1alpha1", kind),
        "VirtualService" | "DestinationRule" | "Gateway" | "ServiceEntry" | "Sidecar"
        | "WorkloadEntry" => ("networking.istio.io", "v1", kind),
        "EnvoyFilter" => ("networking.istio.io", "v1alpha3", kind),
        "AuthorizationPolicy" | "PeerAuthentication" | "RequestAuthentication" => {
            ("security.istio.io", "v1", kind)
        }
        "Telemetry" => ("telemetry.istio.io", "v1", kind),
        "NetworkPolicy" => ("networking.k8s.io", "v1", kind),
        "HTTPRoute" => ("gateway.networking.k8s.io", "v1", kind),
        "ControllerRevision" | "Deployment" | "ReplicaSet" => ("apps", "v1", kind),
        "HorizontalPodAutoscaler" => ("autoscaling", "v2", kind),
        "PodDisruptionBudget" => ("policy", "v1", kind),
        "EndpointSlice" => ("discovery.k8s.io", "v1", kind),
        "Lease" => ("coordination.k8s.io", "v1", kind),
        "Rollout" | "Brake" => ("sluice.dev", "v1alpha1", kind),
        "Role" | "RoleBinding" | "ClusterRole" | "ClusterRoleBinding" => {
            ("rbac.authorization.k8s.io", "v1", kind)
        }
        "ValidatingAdmissionPolicy"
        | "ValidatingAdmissionPolicyBinding"
        | "MutatingWebhookConfiguration"
        | "ValidatingWebhookConfiguration" => ("admissionregistration.k8s.io", "v1", kind),
        _ => ("", "v1", kind),
    }
}

/// The documents of a YAML stream.
pub fn documents(yaml: &str) -> Vec<Value> {
    sluice::model::input::parse("test", yaml)
        .unwrap()
        .into_iter()
        .map(|input| input.value)
        .collect()
}
