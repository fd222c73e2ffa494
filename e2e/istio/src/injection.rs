//! Istio's injection: istiod's own webhook gives pods a sidecar's container, by what Istio's chart
//! renders.
//!
//! One difference from the chart: only the label `sidecar.istio.io/inject: "true"` of a pod asks for
//! one, and no namespace's label does. Each sidecar is a process of this host, and namespaces have
//! many pods whose sidecar no test is about.

use std::path::Path;

use crate::kubernetes::Kubernetes;

/// The webhook's name, as the chart has it.
pub(crate) const WEBHOOK_NAME: &str = "istio-sidecar-injector";

/// Applies the templates that `make istio` rendered, and the webhook. istiod finds the first when it
/// starts, and then fills in by which certificate the API server trusts it.
pub(crate) async fn install(go: &Path, kubernetes: &Kubernetes) {
    let templates = std::fs::read_to_string(go.join("injection.yaml")).unwrap();
    kubernetes.apply(&templates).await;
    kubernetes.apply(WEBHOOK).await;
}

const WEBHOOK: &str = "
apiVersion: admissionregistration.k8s.io/v1
kind: MutatingWebhookConfiguration
metadata: {name: istio-sidecar-injector, labels: {app: sidecar-injector, istio.io/rev: default}}
webhooks:
- name: object.sidecar-injector.istio.io
  clientConfig: {service: {name: istiod, namespace: istio-system, path: /inject, port: 443}}
  rules:
  - {operations: [CREATE], apiGroups: [''], apiVersions: [v1], resources: [pods]}
  objectSelector: {matchLabels: {sidecar.istio.io/inject: 'true'}}
  failurePolicy: Fail
  sideEffects: None
  admissionReviewVersions: [v1]
";
