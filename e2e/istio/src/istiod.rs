//! istiod, with its debounce as it is or as a test sets it, and the webhook by which it validates
//! Istio's resources.

use std::path::Path;
use std::process::Command;

use sluice_e2e::client::fetch;
use sluice_e2e::wait::until;

use crate::api_server::ISSUER;
use crate::injection;
use crate::kubernetes::Kubernetes;
use crate::process::Process;
use crate::tools::Tools;

/// Its secured discovery.
pub const XDS: &str = "127.0.0.1:15012";

/// The webhook's name, as an operator would patch it.
pub const WEBHOOK_NAME: &str = "istio-validator-istio-system";

const ARGUMENTS: &str = "discovery --registries Kubernetes --clusterID Kubernetes --ctrlz_port 0 \
    --httpAddr 127.0.0.1:18080 --grpcAddr 127.0.0.1:15010 --monitoringAddr 127.0.0.1:15014";

/// Cluster IPs within 127.0.0.0/8 are real addresses here: the webhook's service needs no
/// kube-proxy.
const WEBHOOK_ADDRESS: &str = "127.10.0.5:443";

/// Settings of its own environment, such as `PILOT_DEBOUNCE_MAX`; none: as Istio ships it.
pub type Settings = &'static [(&'static str, &'static str)];

/// Starts it and waits until it is ready, its root certificate is published, and its webhook is in
/// force.
pub(crate) async fn start(
    tools: &Tools,
    folder: &Path,
    kubernetes: &Kubernetes,
    settings: Settings,
) -> Process {
    std::fs::write(folder.join("mesh.yaml"), MESH).unwrap();
    let mut command = Command::new(tools.go.join("pilot-discovery"));
    command
        .args(ARGUMENTS.split_whitespace())
        .args(["--secureGRPCAddr", XDS, "--httpsAddr", WEBHOOK_ADDRESS])
        .arg("--kubeconfig")
        .arg(folder.join("admin.kubeconfig"))
        .arg("--meshConfig")
        .arg(folder.join("mesh.yaml"))
        .current_dir(folder)
        // Filters that only Istio's own build of Envoy has.
        .env("PILOT_ENABLE_ALPN_FILTER", "false")
        .env("PILOT_ENABLE_METADATA_EXCHANGE", "false")
        .env("ENABLE_LEADER_ELECTION", "false")
        .env("INJECTION_WEBHOOK_CONFIG_NAME", injection::WEBHOOK_NAME)
        .env("VALIDATION_WEBHOOK_CONFIG_NAME", WEBHOOK_NAME)
        // Without it, the webhook's caBundle is never filled in.
        .env("REVISION", "default")
        .env("POD_NAME", "istiod-0")
        .env("POD_NAMESPACE", "istio-system")
        .env("AUDIENCE", "istio-ca")
        .env("TOKEN_ISSUER", ISSUER)
        .envs(settings.iter().copied());
    let mut istiod = Process::start("istiod", folder, &mut command);
    let ready = "127.0.0.1:18080".parse().unwrap();
    istiod
        .wait_until("istiod's readiness", async || {
            fetch(ready, "/ready")
                .await
                .is_some_and(|answer| answer.status == 200)
        })
        .await;
    let root = root_certificate(kubernetes).await;
    std::fs::write(folder.join("root-cert.pem"), root).unwrap();
    wait_for_injection(kubernetes).await;
    wait_for_webhook(kubernetes).await;
    istiod
}

/// What istiod publishes in every namespace, for its agents to trust it.
async fn root_certificate(kubernetes: &Kubernetes) -> String {
    until("istiod's root certificate", async || {
        let map = kubernetes.get("ConfigMap", "a", "istio-ca-root-cert").await;
        let map = map.ok_or("no ConfigMap")?;
        let certificate = map.data["data"]["root-cert.pem"].as_str();
        certificate
            .filter(|certificate| !certificate.is_empty())
            .map(str::to_owned)
            .ok_or_else(|| format!("{:#}", map.data))
    })
    .await
}

/// istiod fills in whom the API server is to trust.
async fn wait_for_injection(kubernetes: &Kubernetes) {
    let kind = "MutatingWebhookConfiguration";
    until("istiod's injection to be in force", async || {
        let found = kubernetes.get(kind, "", injection::WEBHOOK_NAME).await;
        let webhook = found.ok_or("no webhook")?.data["webhooks"][0].clone();
        let bundle = webhook["clientConfig"]["caBundle"].as_str();
        let is_filled = bundle.is_some_and(|bundle| !bundle.is_empty());
        is_filled
            .then_some(())
            .ok_or_else(|| format!("{webhook:#}"))
    })
    .await;
}

/// istiod makes its webhook strict once a resource that must be refused is refused.
async fn wait_for_webhook(kubernetes: &Kubernetes) {
    until("istiod's webhook to be in force", async || {
        let found = kubernetes
            .get("ValidatingWebhookConfiguration", "", WEBHOOK_NAME)
            .await;
        let webhook = found.ok_or("no webhook")?.data["webhooks"][0].clone();
        if webhook["failurePolicy"] == "Fail" {
            Ok(())
        } else {
            Err(format!("{webhook:#}"))
        }
    })
    .await;
}

const MESH: &str = "
rootNamespace: istio-system
trustDomain: cluster.local
enableAutoMtls: true
accessLogFile: ''
enablePrometheusMerge: false
defaultProviders: {}
extensionProviders:
- name: traces
  opentelemetry:
    service: collector.istio-system.svc.cluster.local
    port: 4318
    http: {path: /v1/traces, timeout: 5s}
defaultConfig:
  discoveryAddress: 127.0.0.1:15012
  controlPlaneAuthPolicy: MUTUAL_TLS
";

/// The webhook and its service, as istiod expects to find them.
pub(crate) const WEBHOOK: &str = "
apiVersion: v1
kind: Service
metadata: {name: istiod, namespace: istio-system, labels: {app: istiod}}
spec: {clusterIP: 127.10.0.5, ports: [{name: https-webhook, port: 443, targetPort: 443}]}
---
apiVersion: admissionregistration.k8s.io/v1
kind: ValidatingWebhookConfiguration
metadata: {name: istio-validator-istio-system, labels: {app: istiod, istio.io/rev: default}}
webhooks:
- name: rev.validation.istio.io
  clientConfig: {service: {name: istiod, namespace: istio-system, path: /validate, port: 443}}
  rules:
  - operations: [CREATE, UPDATE]
    apiGroups: [security.istio.io, networking.istio.io, telemetry.istio.io, extensions.istio.io]
    apiVersions: ['*']
    resources: ['*']
  failurePolicy: Ignore
  sideEffects: None
  admissionReviewVersions: [v1]
";
