//! Puts the world right before a test: what runs, what is applied, and what the proxies make of it.
//!
//! A test begins with every process up, the services and routes of `resources`, no plugin anywhere,
//! and proxies that follow all that. Left as they are: histories, roles and accounts, which are
//! bound to a plugin's or a role's name.

use serde_json::Value;
use sluice_e2e_istio::kubernetes::documents;
use sluice_e2e_istio::proxy::Proxy;

use super::{World, resources};

/// What lies in a namespace and tests make.
const KINDS: [&str; 24] = [
    "HorizontalPodAutoscaler",
    "PodDisruptionBudget",
    "Deployment",
    "ReplicaSet",
    "PodTemplate",
    "Pod",
    "EndpointSlice",
    "Brake",
    "Rollout",
    "EnvoyFilter",
    "WasmPlugin",
    "TrafficExtension",
    "HTTPRoute",
    "AuthorizationPolicy",
    "PeerAuthentication",
    "RequestAuthentication",
    "NetworkPolicy",
    "Telemetry",
    "VirtualService",
    "DestinationRule",
    "Gateway",
    "ServiceEntry",
    "WorkloadEntry",
    "Service",
];

/// What lies in no namespace and tests make: kind and name.
const OF_THE_CLUSTER: [(&str, &str); 14] = [
    ("ValidatingAdmissionPolicyBinding", "flux-health"),
    ("ValidatingAdmissionPolicy", "flux-health"),
    ("ValidatingAdmissionPolicyBinding", "sluice-native"),
    ("ValidatingAdmissionPolicy", "sluice-native"),
    ("ValidatingAdmissionPolicyBinding", "sluice-brakes"),
    ("ValidatingAdmissionPolicy", "sluice-brakes"),
    ("ClusterRoleBinding", "sluice-controller"),
    ("ClusterRole", "sluice-controller"),
    ("ValidatingAdmissionPolicyBinding", "sluice-history"),
    ("ValidatingAdmissionPolicy", "sluice-history"),
    ("ValidatingAdmissionPolicyBinding", "sluice-weights-only"),
    ("ValidatingAdmissionPolicy", "sluice-weights-only"),
    ("ClusterRoleBinding", "plugin-viewer"),
    ("ClusterRole", "plugin-viewer"),
];

/// A client that sets the split's header itself gets the canary, unless a filter overwrites it.
const CLIENTS_OWN: &[&[u8]] = &[b"x-sluice-web: canary"];

impl World {
    /// Puts everything right.
    pub async fn restore(&mut self) {
        self.chain.restore().await;
        self.start_prometheus().await;
        for variant in ["stable", "canary"] {
            self.fail(variant, 0);
            self.delay(variant, 0);
        }
        let filters = self.chain.kubernetes.list("EnvoyFilter", "").await;
        self.remove_what_tests_made().await;
        if filters.is_ok_and(|filters| !filters.is_empty()) {
            // A test that failed left proxies with the native module, and its metrics.
            self.stop_native_proxies();
        }
        // By force: a test may have left another field manager.
        for document in documents(&resources::services()) {
            let kubernetes = &self.chain.kubernetes;
            let applied = kubernetes.try_apply_by_force("gitops", &document).await;
            applied.unwrap();
        }
        for proxy in self
            .callers
            .iter_mut()
            .chain([&mut self.other, &mut self.gateway])
        {
            proxy.restore(&self.chain).await;
        }
        for namespace in ["a", "b"] {
            let (callers, host) = self.callers_of(namespace);
            for caller in callers {
                wait_for_routes_alone(caller, host).await;
            }
        }
    }

    /// Ends the proxies that may have run the native module, whose metrics would outlive it.
    pub fn stop_native_proxies(&mut self) {
        let proxies = self.callers.iter_mut().chain([&mut self.gateway]);
        for proxy in proxies.filter(|proxy| proxy.takes_native()) {
            proxy.stop();
        }
    }

    async fn remove_what_tests_made(&self) {
        let kubernetes = &self.chain.kubernetes;
        let ours = documents(&resources::services());
        for kind in KINDS {
            let Ok(objects) = kubernetes.list(kind, "").await else {
                // One of them is nested deeper than this client reads.
                self.kubectl(&format!("delete {kind} --all -A"))
                    .await
                    .good();
                continue;
            };
            for object in objects {
                let is_a_proxys = kind == "Pod" && object.metadata.owner_references.is_none();
                let namespace = object.metadata.namespace.unwrap_or_default();
                let name = object.metadata.name.unwrap_or_default();
                let is_kept = is_a_proxys
                    || ["default", "istio-system"].contains(&namespace.as_str())
                    || ours.iter().any(|ours| is(ours, kind, &namespace, &name));
                if !is_kept {
                    kubernetes.delete(kind, &namespace, &name).await;
                }
            }
        }
        for (kind, name) in OF_THE_CLUSTER {
            kubernetes.delete(kind, "", name).await;
        }
    }
}

fn is(document: &Value, kind: &str, namespace: &str, name: &str) -> bool {
    let metadata = &document["metadata"];
    document["kind"] == kind && metadata["namespace"] == namespace && metadata["name"] == name
}

/// Waits until a proxy routes as the VirtualService says, and no filter decides.
async fn wait_for_routes_alone(proxy: &Proxy, host: &str) {
    proxy
        .wait_for("routes without a filter", async |proxy| {
            let of_a_client = variant(proxy, host, CLIENTS_OWN).await;
            let of_nobody = variant(proxy, host, &[]).await;
            match (of_a_client.as_str(), of_nobody.as_str()) {
                ("canary", "stable") => Ok(()),
                other => Err(format!("{other:?}")),
            }
        })
        .await;
}

/// Waits until a proxy's filter decides.
pub(super) async fn wait_for_filter(proxy: &Proxy, host: &str) {
    proxy
        .wait_for("the filter", async |proxy| {
            match variant(proxy, host, CLIENTS_OWN).await.as_str() {
                "stable" => Ok(()),
                other => Err(format!("{other:?}")),
            }
        })
        .await;
}

async fn variant(proxy: &Proxy, host: &str, lines: &[&[u8]]) -> String {
    let answer = proxy.try_get(host, lines).await;
    answer.unwrap_or_default().variant()
}
