use super::{carried, carried_from, says, spec};
use crate::model::input;
use crate::rollout::import::Known;
use serde_json::json;

const WHOLE: &str = r#"
apiVersion: flagger.app/v1beta1
kind: Canary
metadata: {name: web, namespace: shop}
spec:
  targetRef: {apiVersion: apps/v1, kind: Deployment, name: web}
  progressDeadlineSeconds: 90
  metricsServer: http://prometheus.monitoring:9090/
  service: {name: web, port: 80, hosts: [shop.example.com], timeout: 3s, newThing: 1}
  analysis:
    interval: 30s
    threshold: 5
    maxWeight: 20
    stepWeight: 8
    stepWeightPromotion: 50
    metrics:
    - {name: request-success-rate, interval: 1m, thresholdRange: {min: 99.5}}
    - {name: request-duration, interval: 30s, thresholdRange: {max: 250}}
    - name: orders
      templateRef: {name: orders, namespace: monitoring}
      templateVariables: {currency: EUR}
      interval: 1m
      thresholdRange: {min: 1, max: 1000}
    - {name: elsewhere, templateRef: {name: elsewhere}, thresholdRange: {max: 1}}
    - {name: gone, templateRef: {name: gone}, thresholdRange: {max: 1}}
    webhooks:
    - {name: ask, type: confirm-rollout, url: "http://gate.shop/ask", timeout: 5s}
    - {name: sign, type: confirm-promotion, url: "http://gate.shop/sign", timeout: 60s, metadata: {a: b}}
    - {name: tell, type: event, url: "http://log.shop/s3cret"}
    - {name: load, url: "http://load.shop/"}
    alerts:
    - {name: on call, severity: error, providerRef: {name: on-call, namespace: monitoring}}
    - {name: chat, providerRef: {name: teams}}
---
apiVersion: flagger.app/v1beta1
kind: MetricTemplate
metadata: {name: orders, namespace: monitoring}
spec:
  provider: {type: prometheus, address: "http://prometheus.monitoring:9090"}
  query: sum(rate(orders_total{namespace="{{ namespace }}", app="{{target}}", currency="{{ variables.currency }}"}[{{ interval }}]))
---
apiVersion: flagger.app/v1beta1
kind: MetricTemplate
metadata: {name: elsewhere, namespace: shop}
spec: {provider: {type: datadog}, query: x}
---
apiVersion: flagger.app/v1beta1
kind: AlertProvider
metadata: {name: on-call, namespace: monitoring}
spec: {type: slack, channel: c, secretRef: {name: hook}}
---
apiVersion: flagger.app/v1beta1
kind: AlertProvider
metadata: {name: teams, namespace: shop}
spec: {type: msteams, address: "https://teams.example.com/s3cret"}
"#;

#[test]
fn a_canary_becomes_a_split_and_a_rollout() {
    let carried = carried_from(WHOLE);
    let query =
        r#"sum(rate(orders_total{namespace="shop", app="web", currency="EUR"}[{{window}}]))"#;
    assert_eq!(
        carried.splits["web"],
        json!({"hosts": ["shop.example.com"], "services": ["web.shop"], "variants": ["stable", "canary"]})
    );
    assert_eq!(
        *spec(&carried),
        json!({
            "split": "web", "challenger": "canary",
            "workload": {"deployment": "web", "progressDeadline": "1m30s"},
            "steps": [
                {"weight": 8, "hold": "30s"}, {"weight": 16, "hold": "30s"}, {"weight": 20, "hold": "30s"}, {"weight": 100},
            ],
            "analysis": {
                "prometheus": {"address": "http://prometheus.monitoring:9090"},
                "istio": {"service": "web.shop", "label": "workload", "challenger": "web", "fallback": "web-stable"},
                "interval": "30s", "window": "1m", "failureLimit": 4, "minRequests": 1, "onNoData": "fail", "onError": "fail",
                "checks": [
                    {"name": "request-success-rate", "metric": "successRate", "pass": ">= 99.5%"},
                    {"name": "request-duration", "metric": "latency", "quantile": 0.99, "pass": "<= 250ms"},
                    {"name": "orders least", "query": query, "pass": ">= 1"},
                    {"name": "orders most", "query": query, "pass": "<= 1000"},
                ],
            },
            "gates": [
                {"webhook": "http://gate.shop/ask", "before": "start", "timeout": "5s"},
                {"webhook": "http://gate.shop/sign", "before": "finish"},
            ],
            "notify": [
                {"webhook": {"url": "http://log.shop/s3cret"}},
                {"slack": {"secretRef": {"name": "hook", "key": "address"}}, "on": ["rolledBack", "aborted", "failed"]},
            ],
        })
    );
}

#[test]
fn what_a_canary_loses_is_listed_with_its_path() {
    let carried = carried_from(WHOLE);
    let lost = [
        ["spec.service.timeout:", "VirtualService"],
        [
            "spec.service.newThing:",
            "a field that sluice does not know",
        ],
        ["spec.analysis.stepWeightPromotion:", "nothing to step"],
        [
            "spec.analysis.metrics[3].name:",
            "MetricTemplate shop/elsewhere: a provider of type datadog",
        ],
        [
            "spec.analysis.metrics[4].name:",
            "MetricTemplate shop/gone is not among the documents",
        ],
        [
            "spec.analysis.webhooks[1].type:",
            "a timeout of 60s; accepted: at most 30s",
        ],
        ["spec.analysis.webhooks[1].type:", "its metadata"],
        [
            "spec.analysis.webhooks[3].type:",
            "webhook load of type rollout: users make the requests",
        ],
        ["AlertProvider on-call: spec.channel:", "its own channel"],
        [
            "spec.analysis.alerts[1].providerRef:",
            "alert chat: AlertProvider shop/teams: type msteams",
        ],
    ];
    for parts in lost {
        assert!(
            says(
                &carried,
                &["Canary shop/web: not carried over: ", parts[0], parts[1]]
            ),
            "{parts:?}"
        );
    }
    assert!(says(
        &carried,
        &["copy Secret hook of AlertProvider monitoring/on-call into namespace shop"]
    ));
    assert!(!says(&carried, &["s3cret"]));
}

/// A Canary with an analysis.
fn canary(analysis: &str) -> String {
    format!(
        "apiVersion: flagger.app/v1beta1
kind: Canary
metadata: {{name: web, namespace: shop}}
spec:
  targetRef: {{kind: Deployment, name: web}}
  service: {{port: 80}}
  metricsServer: http://prometheus:9090
  analysis: {analysis}
"
    )
}

#[test]
fn an_ab_test_becomes_a_rule_and_blue_green_two_steps() {
    let tested = carried_from(&canary(
        r#"{interval: 1m, iterations: 10, match: [{headers: {x-beta: {exact: "yes"}}}]}"#,
    ));
    assert_eq!(
        tested.splits["web"]["rules"],
        json!([{"name": "ab-test", "match": [{"headers": {"x-beta": {"exact": "yes"}}}]}])
    );
    let steps = json!([{"audience": "ab-test", "weight": 100, "hold": "10m"}, {"weight": 100}]);
    assert_eq!(spec(&tested)["steps"], steps);
    let blue_green = carried_from(&canary("{interval: 1m, iterations: 3, mirror: true}"));
    let steps = json!([{"weight": 0, "hold": "3m"}, {"weight": 100, "hold": "3m"}]);
    assert_eq!(spec(&blue_green)["steps"], steps);
    assert!(says(
        &blue_green,
        &["not carried over: spec.analysis.mirror:"]
    ));
    let fine = carried_from(&canary("{interval: 1m, maxWeight: 100, stepWeight: 1}"));
    let steps = spec(&fine)["steps"].as_array().unwrap().clone();
    assert_eq!(
        (steps.len(), &steps[33]),
        (34, &json!({"weight": 100, "hold": "3m"}))
    );
}

#[test]
fn weights_of_requests_that_match_are_never_those_of_everyone() {
    let of =
        |weight: u32, hold: &str| json!({"audience": "ab-test", "weight": weight, "hold": hold});
    let everyone = json!({"weight": 100});
    let matching = r#"match: [{headers: {x-insider: {exact: "yes"}}}]"#;
    let cases = [
        (
            "up to a greatest weight, then all who match, then everyone",
            "interval: 1m, stepWeight: 20, maxWeight: 40",
            vec![
                of(20, "1m"),
                of(40, "1m"),
                json!({"audience": "ab-test", "weight": 100}),
                everyone.clone(),
            ],
        ),
        (
            "up to all who match, then everyone",
            "interval: 1m, stepWeights: [50, 100]",
            vec![of(50, "1m"), of(100, "1m"), everyone.clone()],
        ),
    ];
    for (label, weights, steps) in cases {
        let carried = carried_from(&canary(&format!("{{{weights}, {matching}}}")));
        assert_eq!(spec(&carried)["steps"], json!(steps), "{label}");
        assert!(says(
            &carried,
            &["spec.analysis.stepWeights: the weights are of the requests that match alone"]
        ));
    }
    let fine = carried_from(&canary(&format!("{{stepWeight: 1, {matching}}}")));
    let steps = spec(&fine)["steps"].as_array().unwrap().clone();
    assert_eq!(steps.len(), 35);
    assert_eq!(steps[33], of(100, "3m"));
    // What no rule can say must not reach those whom nobody wanted to try it on.
    for analysis in ["stepWeight: 20", "iterations: 10"] {
        let unknown = carried_from(&canary(&format!(
            "{{{analysis}, match: [{{uri: {{prefix: /insiders}}}}]}}"
        )));
        let steps = json!([{"weight": 0, "approval": true}, {"weight": 100}]);
        assert_eq!(spec(&unknown)["steps"], steps, "{analysis}");
        assert!(says(
            &unknown,
            &[
                "not carried over: spec.analysis.match: ",
                "nobody has it until somebody approves"
            ]
        ));
    }
}

#[test]
fn another_window_and_every_field_of_a_webhook_is_said() {
    let carried = carried_from(&canary(
        r#"
    interval: 1m
    stepWeights: [50]
    metrics:
    - {name: request-success-rate, thresholdRange: {min: 99}, interval: 30s}
    - {name: request-duration, thresholdRange: {max: 500}, interval: 10m}
    webhooks:
    - {name: gate, type: confirm-promotion, url: "http://g/", retries: 3, muteAlert: true}
    - {name: tell, type: event, url: "http://t/", retries: 3, muteAlert: true, timeout: 5s, disableTLS: true}
"#,
    ));
    let rate = "request-success-rate is measured over 10m, not 30s";
    assert!(says(
        &carried,
        &["spec.analysis.metrics[0].interval: ", rate]
    ));
    assert!(!says(&carried, &["spec.analysis.metrics[1].interval"]));
    let gate = "not carried over: spec.analysis.webhooks[0].type: webhook gate";
    let receiver = "not carried over: spec.analysis.webhooks[1].type: webhook tell";
    let lost = [
        (gate, "its retries"),
        (gate, "muteAlert"),
        (receiver, "its retries"),
        (receiver, "muteAlert"),
        (receiver, "its timeout"),
        (receiver, "disableTLS"),
    ];
    for (webhook, field) in lost {
        assert!(says(&carried, &[webhook, field]), "{webhook} {field}");
    }
}

#[test]
fn a_prometheus_that_a_person_names_is_asked_by_all() {
    let known = Known {
        prometheus: Some("http://one:9090".to_owned()),
    };
    let carried = carried(&input::parse("f", WHOLE).unwrap(), &known);
    assert_eq!(
        spec(&carried)["analysis"]["prometheus"],
        json!({"address": "http://one:9090"})
    );
}
