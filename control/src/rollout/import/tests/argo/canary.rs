use super::super::{carried_from, says, spec};
use serde_json::json;

/// A Rollout whose strategy is a canary.
fn canary(canary: &str) -> String {
    format!(
        "
apiVersion: argoproj.io/v1alpha1
kind: Rollout
metadata: {{name: api, namespace: shop}}
spec:
  workloadRef: {{apiVersion: apps/v1, kind: Deployment, name: api}}
  strategy: {{canary: {{{canary}}}}}
"
    )
}

/// A VirtualService with these hosts and routes.
fn virtual_service(namespace: &str, spec: &str) -> String {
    format!(
        "---
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: {{name: api, namespace: {namespace}}}
spec: {{{spec}}}
"
    )
}

#[test]
fn a_virtual_service_of_another_namespace_is_that_one() {
    let inner = virtual_service("shop", "hosts: [internal.example.com]");
    let outer = virtual_service("gw", "hosts: [api.example.com, front]");
    let cases = [
        (
            "api.gw",
            json!(["api.example.com"]),
            json!(["front.gw"]),
            "VirtualService gw/api gave",
        ),
        (
            "api.gw.svc",
            json!(["api.example.com"]),
            json!(["front.gw"]),
            "VirtualService gw/api gave",
        ),
        (
            "api",
            json!(["internal.example.com"]),
            json!(null),
            "VirtualService shop/api gave",
        ),
        (
            "api.other",
            json!(null),
            json!(["stable.shop"]),
            "VirtualService api.other is not among",
        ),
    ];
    for (name, hosts, services, said) in cases {
        let rollout = canary(&format!(
            "stableService: stable, trafficRouting: {{istio: {{virtualService: {{name: {name}}}}}}}"
        ));
        let carried = carried_from(&[&*rollout, &inner, &outer].concat());
        let split = &carried.splits["api"];
        assert_eq!(
            [&split["hosts"], &split["services"]],
            [&hosts, &services],
            "{name}"
        );
        assert!(says(&carried, &[said]), "{name}");
    }
}

#[test]
fn routes_that_are_not_argos_are_listed() {
    let service = virtual_service(
        "shop",
        "hosts: [api, '*'], tls: [], http: [{name: beta}, {name: admin, match: [{uri: {prefix: /admin}}]},
  {name: primary, match: [{uri: {prefix: /v2}}]}, {}]",
    );
    let routing =
        "managedRoutes: [{name: beta}], istio: {virtualService: {name: api, routes: [primary]}}";
    let carried =
        carried_from(&[canary(&format!("trafficRouting: {{{routing}}}")), service].concat());
    let lost = [
        ["spec.hosts:", "name the hosts in the split"],
        [
            "spec.http[1]:",
            "the route \"admin\" is not among those that Argo splits",
        ],
        ["spec.http[2].match:", "splits.NAME.paths"],
        ["spec.http[3]:", "the route \"\" is not among"],
        ["spec.tls:", "Sluice splits HTTP"],
    ];
    for [path, why] in lost {
        let path = format!("not carried over: VirtualService shop/api: {path}");
        assert!(says(&carried, &[&path, why]), "{path}");
    }
    assert!(!says(&carried, &["spec.http[0]"]));
    let only = virtual_service("shop", "hosts: [api], http: [{name: any}]");
    let routing = "trafficRouting: {istio: {virtualService: {name: api}}}";
    let carried = carried_from(&[canary(routing), only].concat());
    assert!(!says(&carried, &["spec.http"]));
}

#[test]
fn a_step_without_its_rule_leaves_its_approval_to_the_one_before() {
    let of = |header: &str| format!("{{setHeaderRoute: {{name: h, match: [{{{header}}}]}}}}");
    let route = of("headerName: x, headerValue: {exact: 1}");
    let bare = of("headerName: x");
    let nameless = of("headerValue: {exact: a}");
    let pauses = "{pause: {}}, {pause: {duration: 1m}}";
    let cases = [
        (
            format!(
                "{{setWeight: 20}}, {{pause: {{duration: 1m}}}}, {route}, {pauses}, {{setWeight: 60}}"
            ),
            json!([{"weight": 20, "hold": "2m", "approval": true}, {"weight": 60}, {"weight": 100}]),
        ),
        (
            format!("{bare}, {pauses}, {{setWeight: 60}}"),
            json!([{"weight": 0, "hold": "1m", "approval": true}, {"weight": 60}, {"weight": 100}]),
        ),
    ];
    for (steps, expected) in cases {
        let carried = carried_from(&canary(&format!("steps: [{steps}]")));
        assert_eq!(spec(&carried)["steps"], expected);
        assert!(says(
            &carried,
            &[
                "setHeaderRoute.match[0].headerValue: ",
                "accepted: a headerName, and exact"
            ]
        ));
        assert!(says(
            &carried,
            &["spec.strategy.canary.steps: there is no step of the rule h"]
        ));
    }
    let carried = carried_from(&canary(&format!("steps: [{{setWeight: 20}}, {nameless}]")));
    assert!(!says(&carried, &["there is no step of the rule"]));
}

#[test]
fn what_argo_does_without_a_value_is_said_for_each_condition() {
    let cases = [
        (
            "successCondition",
            "isNaN(result) || result >= 0.95",
            "NaN passes there",
            "onError: pass",
        ),
        (
            "successCondition",
            "!isNaN(result) && result >= 0.95",
            "NaN fails there",
            "onError: fail",
        ),
        (
            "failureCondition",
            "isNaN(result) || result < 0.95",
            "NaN fails there",
            "onError: fail",
        ),
        (
            "failureCondition",
            "!isNaN(result) && result < 0.95",
            "NaN does not fail there",
            "onError: pass",
        ),
    ];
    for (field, condition, means, advice) in cases {
        let rollout = canary("analysis: {templates: [{templateName: a}]}");
        let template = format!(
            "---
apiVersion: argoproj.io/v1alpha1
kind: AnalysisTemplate
metadata: {{name: a}}
spec: {{metrics: [{{name: ok, {field}: '{condition}', provider: {{prometheus: {{query: x}}}}}}]}}
"
        );
        let carried = carried_from(&[rollout, template].concat());
        let path = format!("metrics[0].{field}: isNaN: ");
        assert!(
            says(&carried, &[&path, means, advice]),
            "{field} {condition}"
        );
        let lines = carried.notes.iter().filter(|note| note.contains("isNaN"));
        assert_eq!(lines.count(), 1, "{field} {condition}");
        let errors = carried
            .notes
            .iter()
            .filter(|note| note.contains("consecutiveErrorLimit"));
        assert_eq!(errors.count(), 1);
    }
    assert!(!says(
        &carried_from(&canary("steps: []")),
        &["consecutiveErrorLimit"]
    ));
}
