//! What `sluice import` makes of Flagger's and Argo's resources, before a real API server with our
//! definitions and their rules.

use crate::world::World;

const THEIRS: &str = r#"
apiVersion: flagger.app/v1beta1
kind: Canary
metadata: {name: web, namespace: shop}
spec:
  targetRef: {apiVersion: apps/v1, kind: Deployment, name: web}
  progressDeadlineSeconds: 90
  service: {name: web, port: 80, hosts: [shop.example.com]}
  analysis:
    interval: 30s
    threshold: 5
    maxWeight: 20
    stepWeight: 8
    metrics:
    - {name: request-success-rate, interval: 1m, thresholdRange: {min: 99.5}}
    - {name: request-duration, interval: 30s, thresholdRange: {max: 250}}
    webhooks:
    - {name: ask, type: confirm-rollout, url: "http://gate.shop/ask", timeout: 5s}
---
apiVersion: argoproj.io/v1alpha1
kind: Rollout
metadata: {name: api, namespace: shop}
spec:
  replicas: 3
  selector: {matchLabels: {app: api}}
  template:
    metadata: {labels: {app: api}}
    spec: {containers: [{name: api, image: "api:1"}]}
  strategy:
    canary:
      stableService: api
      trafficRouting: {istio: {virtualService: {name: api}}}
      analysis: {templates: [{templateName: rates}]}
      steps:
      - setHeaderRoute: {name: beta, match: [{headerName: x-beta, headerValue: {exact: "1"}}]}
      - pause: {}
      - setWeight: 20
      - pause: {duration: 90}
---
apiVersion: argoproj.io/v1alpha1
kind: AnalysisTemplate
metadata: {name: rates, namespace: shop}
spec:
  metrics:
  - name: success
    interval: 1m
    successCondition: result[0] >= 0.95
    provider: {prometheus: {address: "http://prometheus:9090", query: up}}
---
apiVersion: argoproj.io/v1alpha1
kind: Rollout
metadata: {name: green, namespace: shop}
spec:
  workloadRef: {apiVersion: apps/v1, kind: Deployment, name: green}
  strategy: {blueGreen: {activeService: green, previewService: green-preview, autoPromotionEnabled: false}}
"#;

pub async fn what_is_imported_is_taken_by_the_api_server(world: &mut World) {
    let folder = world.chain.folder();
    let (theirs, ours) = (folder.join("theirs.yaml"), folder.join("ours.yaml"));
    std::fs::write(&theirs, THEIRS).unwrap();
    let command = format!(
        "import {} --prometheus http://prometheus.istio-system:9090",
        theirs.display()
    );
    let imported = world.sluice(&command).await.good();
    let (config, documents) = imported.out.split_once("\n---\n").unwrap();
    assert!(config.starts_with("splits:\n"), "{config}");
    std::fs::write(&ours, documents).unwrap();
    let applied = world
        .kubectl(&format!("apply --dry-run=server -f {}", ours.display()))
        .await
        .good();
    let expected = "rollout.sluice.dev/web created (server dry run)\n\
        deployment.apps/api created (server dry run)\n\
        rollout.sluice.dev/api created (server dry run)\n\
        rollout.sluice.dev/green created (server dry run)\n";
    assert_eq!(applied.out, expected);
    // The rules are there: a document that breaks one is refused.
    std::fs::write(&ours, documents.replace("weight: 100", "weight: 1")).unwrap();
    let refused = world
        .kubectl(&format!("apply --dry-run=server -f {}", ours.display()))
        .await;
    assert!(
        refused.code != 0 && refused.err.contains("a step never takes users away"),
        "{refused:?}"
    );
}
