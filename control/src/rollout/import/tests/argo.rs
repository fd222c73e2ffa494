mod canary;

use super::{carried_from, says, spec};
use serde_json::json;

const WHOLE: &str = r#"
apiVersion: argoproj.io/v1alpha1
kind: Rollout
metadata: {name: web, namespace: shop, labels: {team: checkout}}
spec:
  replicas: 3
  selector: {matchLabels: {app: web}}
  template:
    metadata: {labels: {app: web}}
    spec: {containers: [{name: web, image: "web:1"}]}
  progressDeadlineSeconds: 120
  rollbackWindow: {revisions: 3}
  newThing: {}
  strategy:
    canary:
      stableService: web
      canaryService: web-canary
      scaleDownDelaySeconds: 60
      trafficRouting:
        managedRoutes: [{name: beta}]
        istio: {virtualService: {name: web, routes: [primary]}}
      analysis:
        templates: [{templateName: rates}]
        args:
        - {name: service, value: web.shop}
        - {name: team, valueFrom: {fieldRef: {fieldPath: "metadata.labels['team']"}}}
      steps:
      - setHeaderRoute: {name: beta, match: [{headerName: X-Beta, headerValue: {exact: "1"}}]}
      - pause: {}
      - setWeight: 20
      - pause: {duration: 90}
      - analysis: {templates: [{templateName: once, clusterScope: true}]}
      - setCanaryScale: {replicas: 2}
      - setWeight: 10
      - setWeight: 60
      - pause: {duration: 1m}
      - setMirrorRoute: {name: m, percentage: 50}
---
apiVersion: argoproj.io/v1alpha1
kind: AnalysisTemplate
metadata: {name: rates, namespace: shop}
spec:
  args: [{name: service}, {name: team}, {name: least, value: "0.95"}, {name: token, valueFrom: {secretKeyRef: {name: s, key: t}}}]
  dryRun: [{metricName: slow}]
  metrics:
  - name: success
    interval: 1m
    failureLimit: 3
    successCondition: len(result) == 0 || result[0] >= {{args.least}}
    failureCondition: result[0] < 0.5
    provider: {prometheus: {address: "http://prometheus:9090", timeout: 20, query: 'rate(ok{service="{{ args.service }}", team="{{args.team}}"}[5m])'}}
  - name: slow
    successCondition: len(result) == 0 || result[0] < 2
    provider: {prometheus: {address: "http://prometheus:9090", timeout: 20, query: slow}}
  - name: secret
    successCondition: result[0] < 2
    provider: {prometheus: {address: "http://prometheus:9090", query: 'x{t="{{args.token}}"}'}}
  - name: hash
    successCondition: result == 'ok'
    provider: {prometheus: {address: "http://prometheus:9090", query: y}}
---
apiVersion: argoproj.io/v1alpha1
kind: ClusterAnalysisTemplate
metadata: {name: once}
spec:
  metrics:
  - {name: job, count: 3, interval: 20s, provider: {job: {spec: {}}}}
---
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: {name: web, namespace: shop}
spec: {hosts: [web, shop.example.com], http: [{name: primary, route: []}]}
"#;

#[test]
fn a_canary_becomes_a_split_a_deployment_and_a_rollout() {
    let carried = carried_from(WHOLE);
    assert_eq!(
        carried.splits["web"],
        json!({
            "hosts": ["shop.example.com"], "services": ["web.shop"], "variants": ["stable", "canary"],
            "rules": [{"name": "beta", "match": [{"headers": {"x-beta": {"exact": "1"}}}]}],
        })
    );
    let both = json!({"app": "web", "sluice.dev/variant": "canary"});
    assert_eq!(
        carried.documents[0],
        json!({
            "apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": "web", "namespace": "shop"},
            "spec": {
                "replicas": 3, "selector": {"matchLabels": both},
                "template": {"metadata": {"labels": both}, "spec": {"containers": [{"name": "web", "image": "web:1"}]}},
            },
        })
    );
    let query = r#"rate(ok{service="web.shop", team="checkout"}[5m])"#;
    assert_eq!(
        *spec(&carried),
        json!({
            "split": "web", "challenger": "canary",
            "workload": {"deployment": "web", "progressDeadline": "2m", "drain": "1m", "rollbackWindow": {"runs": 3}},
            "steps": [
                {"audience": "beta", "weight": 100, "approval": true},
                // 90 seconds of a pause, and three measurements 20 seconds apart.
                {"weight": 20, "hold": "2m10s"},
                {"weight": 60, "hold": "1m"},
                {"weight": 100},
            ],
            "analysis": {
                "prometheus": {"address": "http://prometheus:9090", "timeout": "20s"},
                "interval": "1m", "window": "5m", "onNoData": "pass",
                "checks": [
                    {"name": "success", "query": query, "pass": ">= 0.95", "fail": "< 0.5", "interval": "1m", "failureLimit": 3},
                    {"name": "slow", "query": "slow", "pass": "< 2", "dryRun": true},
                ],
            },
        })
    );
    // The VirtualService and both templates are no longer for other readers.
    assert_eq!(carried.used.len(), 4);
}

#[test]
fn what_a_rollout_loses_is_listed_with_its_path() {
    let carried = carried_from(WHOLE);
    let lost = [
        ["metadata.labels:", "left out"],
        ["spec.newThing:", "a field that sluice does not know"],
        [
            "spec.strategy.canary.steps[6].setWeight:",
            "10 after 20: a step never takes users away",
        ],
        [
            "spec.strategy.canary.steps[5].setCanaryScale.replicas:",
            "scale: full",
        ],
        ["spec.strategy.canary.steps[9].setMirrorRoute:", "mirror"],
        [
            "AnalysisTemplate rates: spec.metrics[2].name:",
            "secret: args.token: it stands in a Secret",
        ],
        [
            "AnalysisTemplate rates: spec.metrics[3].name:",
            "successCondition: result=='ok'",
        ],
        [
            "ClusterAnalysisTemplate once: spec.metrics[0].name:",
            "job: a provider job; only Prometheus is asked",
        ],
    ];
    for parts in lost {
        assert!(
            says(
                &carried,
                &["Rollout shop/web: not carried over: ", parts[0], parts[1]]
            ),
            "{parts:?}"
        );
    }
}

#[test]
fn blue_green_keeps_its_services() {
    let rollout = |strategy: &str| {
        format!(
            "apiVersion: argoproj.io/v1alpha1
kind: Rollout
metadata: {{name: web}}
spec:
  workloadRef: {{apiVersion: apps/v1, kind: Deployment, name: shop-web}}
  strategy: {{blueGreen: {{activeService: web, previewService: web-preview, {strategy}}}}}
"
        )
    };
    let cases = [
        (
            "autoPromotionEnabled: false, autoPromotionSeconds: 30",
            json!({"weight": 0, "approval": true}),
        ),
        (
            "autoPromotionSeconds: 30",
            json!({"weight": 0, "hold": "30s"}),
        ),
        ("scaleDownDelaySeconds: 30", json!({"weight": 0})),
    ];
    for (strategy, first) in cases {
        let carried = carried_from(&rollout(strategy));
        let spec = spec(&carried);
        assert_eq!(spec["steps"], json!([first, {"weight": 100}]), "{strategy}");
        let workload = &spec["workload"];
        assert_eq!(
            [
                &workload["deployment"],
                &workload["activeService"],
                &workload["previewService"],
                &workload["scale"]
            ],
            ["shop-web", "web", "web-preview", "full"]
        );
    }
}

#[test]
fn templates_that_name_each_other_are_read_once() {
    let template = |name: &str, other: &str| {
        format!(
            "---
apiVersion: argoproj.io/v1alpha1
kind: AnalysisTemplate
metadata: {{name: {name}}}
spec:
  templates: [{{templateName: {other}}}]
  metrics: [{{name: {name}, successCondition: 'result[0] > 1', provider: {{prometheus: {{query: {name}}}}}}}]
"
        )
    };
    let rollout = "
apiVersion: argoproj.io/v1alpha1
kind: Rollout
metadata: {name: web}
spec:
  workloadRef: {kind: Deployment, name: web}
  strategy: {canary: {steps: [{setWeight: 5}, {analysis: {templates: [{templateName: a}]}}]}}
";
    let carried = carried_from(&[rollout, &template("a", "b"), &template("b", "a")].concat());
    let checks = spec(&carried)["analysis"]["checks"].clone();
    assert_eq!(
        checks,
        json!([{"name": "b", "query": "b", "pass": "> 1"}, {"name": "a", "query": "a", "pass": "> 1"}])
    );
    assert!(says(&carried, &["the analysis: no metric has an address"]));
}

#[test]
fn what_says_something_else_of_no_data_is_listed() {
    let carried = carried_from(
        "
apiVersion: argoproj.io/v1alpha1
kind: Rollout
metadata: {name: web}
spec:
  workloadRef: {kind: Deployment, name: web}
  strategy: {canary: {analysis: {templates: [{templateName: a}]}}}
---
apiVersion: argoproj.io/v1alpha1
kind: AnalysisTemplate
metadata: {name: a}
spec:
  metrics:
  - {name: one, successCondition: 'default(result, 0) < 1', provider: {prometheus: {query: x}}}
  - {name: two, failureCondition: 'result[0] < 1 || result[0] > 5', provider: {prometheus: {query: y}}}
",
    );
    let checks = json!([
        {"name": "one", "query": "x", "pass": "< 1"},
        {"name": "two", "query": "y", "fail": "< 1"},
        {"name": "two 2", "query": "y", "fail": "> 5"},
    ]);
    assert_eq!(spec(&carried)["analysis"]["checks"], checks);
    assert_eq!(spec(&carried)["analysis"].get("onNoData"), None);
    assert!(says(&carried, &["what one say of no result"]));
}
