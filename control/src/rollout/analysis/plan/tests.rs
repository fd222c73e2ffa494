use super::*;
use crate::rollout::secrets::Place;
use serde_json::{Value, json};
use sluice_core::decode::Decode as _;

fn read(analysis: &Value) -> Result<Plan, Vec<String>> {
    let mut problems = Vec::new();
    let written = resource::Analysis::decode("a", analysis, &mut problems);
    let plan = written.and_then(|written| checked("a", &written, &mut problems));
    if problems.is_empty() {
        return Ok(plan.unwrap());
    }
    Err(problems.iter().map(ToString::to_string).collect())
}

fn of_check(check: &Value) -> Vec<String> {
    let mut check = check.clone();
    if check.get("name").is_none() {
        check["name"] = json!("c");
    }
    read(&json!({"checks": [check]})).err().unwrap_or_default()
}

#[test]
fn what_is_absent_has_its_default() {
    let plan = read(&json!({})).unwrap();
    let expected = Plan {
        prometheus: None,
        istio: None,
        interval: Duration::from_secs(30),
        window: Duration::from_secs(300),
        min_requests: 100,
        on_no_data: OnMissing::Hold,
        on_error: OnMissing::Hold,
        checks: Vec::new(),
    };
    assert_eq!(plan, expected);
}

#[test]
fn an_analysis_with_every_kind_of_check_is_read() {
    let plan = read(&json!({
        "prometheus": {"address": "http://prometheus:9090", "bearerTokenFrom": {"name": "p", "key": "t"}},
        "failureLimit": 2,
        "checks": [
            {"name": "success rate", "metric": "successRate", "pass": ">= 99%", "fail": "< 95%"},
            {"name": "p99", "metric": "latency", "quantile": 0.99, "pass": "<= 500ms", "fail": "> 1s"},
            {"name": "failed users", "metric": "failedUsers", "against": "fallback", "fail": "> +50%", "confidence": 0.99},
            {"name": "errors", "metric": "errorRate", "against": "fallback", "fail": "> +1pp", "confidence": 0.99},
            {"name": "slow", "metric": "latency", "quantile": 0.95, "against": "fallback", "fail": "> +50%", "failureLimit": 0},
            {"name": "ratio", "metric": "sampleRatio"},
            {"name": "orders", "query": "sum(rate(o{v=\"{{challenger}}\"}[{{ window }}]))", "pass": "> 0", "dryRun": true, "interval": "5m"},
        ],
    }))
    .unwrap();
    let limits: Vec<u32> = plan
        .checks
        .iter()
        .map(|check| check.failure_limit)
        .collect();
    assert_eq!(limits, [2, 2, 2, 2, 0, 2, 2]);
    let sure: Vec<Option<f64>> = plan.checks.iter().map(|check| check.confidence).collect();
    assert_eq!(
        sure,
        [None, None, Some(0.99), Some(0.99), None, Some(0.999), None]
    );
    assert_eq!(plan.tests(), 3);
    let last = &plan.checks[6];
    assert_eq!(
        (last.role, last.interval),
        (Role::DryRun, Some(Duration::from_secs(300)))
    );
    let token = Place::Secret {
        name: "p".to_owned(),
        key: "t".to_owned(),
    };
    assert_eq!(plan.prometheus.unwrap().auth, Auth::Bearer(token));
}

#[test]
fn what_does_not_go_together_in_a_check_is_refused() {
    let cases = [
        (
            json!({"metric": "latency", "fail": "> 1s"}),
            "a.checks[0].quantile: missing; accepted: the latency's quantile, such as 0.99",
        ),
        (
            json!({"metric": "errorRate", "quantile": 0.9, "fail": "> 1%"}),
            "a.checks[0].quantile: given; only a latency has one",
        ),
        (
            json!({"fail": "> 1"}),
            "a.checks[0].metric: neither a metric nor a query; one of them",
        ),
        (
            json!({"metric": "errorRate", "query": "up", "fail": "> 1%"}),
            "a.checks[0].metric: a metric and a query; one of them",
        ),
        (
            json!({"metric": "errorRate"}),
            "a.checks[0].fail: neither pass nor fail; pass, fail or both say what is right",
        ),
        (
            json!({"metric": "errorRate", "fail": "> +1pp"}),
            "a.checks[0].fail: > +1pp; accepted: a part of the responses, such as > 5%; against: fallback for +1pp",
        ),
        (
            json!({"metric": "errorRate", "against": "fallback", "fail": "> 1%"}),
            "a.checks[0].fail: > 1%; accepted: a part of the fallback's or points: > +50%, > +1pp",
        ),
        (
            json!({"metric": "errorRate", "against": "fallback", "fail": "> -1pp"}),
            "a.checks[0].fail: > -1pp; accepted: a part of the fallback's or points: > +50%, > +1pp",
        ),
        (
            json!({"metric": "successRate", "against": "fallback", "fail": "< +1pp"}),
            "a.checks[0].fail: < +1pp; accepted: points of percent, such as < -1pp",
        ),
        (
            json!({"metric": "latency", "quantile": 0.9, "fail": "> 50%"}),
            "a.checks[0].fail: > 50%; accepted: a time, such as > 1s",
        ),
        (
            json!({"metric": "latency", "quantile": 0.9, "fail": "> 0s"}),
            "a.checks[0].fail: > 0s; accepted: a time, such as > 1s",
        ),
        (
            json!({"query": "up", "fail": "> 50%"}),
            "a.checks[0].fail: > 50%; accepted: a number, such as > 0",
        ),
        (
            json!({"metric": "successRate", "fail": "> 99%"}),
            "a.checks[0].fail: > 99%; a fail is on the other side: < or <=",
        ),
        (
            json!({"metric": "errorRate", "pass": ">= 1%"}),
            "a.checks[0].pass: >= 1%; a pass is on the other side: < or <=",
        ),
        (
            json!({"metric": "errorRate", "pass": "<= 5%", "fail": ">= 5%"}),
            "a.checks[0].fail: pass <= 5%, fail >= 5%; no value may pass and fail",
        ),
        (
            json!({"metric": "successRate", "pass": ">= 90%", "fail": "< 95%"}),
            "a.checks[0].fail: pass >= 90%, fail < 95%; no value may pass and fail",
        ),
        (
            json!({"query": "up", "pass": "> 0", "fail": "> 5"}),
            "a.checks[0].fail: pass > 0, fail > 5; no value may pass and fail",
        ),
        (
            json!({"query": "up", "fail": "> 5", "confidence": 0.99}),
            "a.checks[0].confidence: 0.99; a query's number has no events to count",
        ),
        (
            json!({"query": "up", "fail": "> 5", "against": "fallback"}),
            "a.checks[0].against: given; only metrics of each variant are compared",
        ),
        (
            json!({"query": "up{{versoin}}", "fail": "> 5"}),
            "a.checks[0].query: \"versoin\"; accepted: {{name}} of plugin, split, challenger, fallback, audience, namespace, version, window, interval",
        ),
        (
            json!({"query": "up{{window", "fail": "> 5"}),
            "a.checks[0].query: \"{{ without }}\"; accepted: {{name}} of plugin, split, challenger, fallback, audience, namespace, version, window, interval",
        ),
        (
            json!({"query": " ", "fail": "> 5"}),
            "a.checks[0].query: 1 bytes; accepted: 1 to 4096 bytes of PromQL",
        ),
        (
            json!({"metric": "errorRate", "pass": "< 5%", "confidence": 0.99}),
            "a.checks[0].confidence: 0.99; it says how sure a failure is: write fail",
        ),
        (
            json!({"metric": "errorRate", "fail": "> 5%", "confidence": 0.2}),
            "a.checks[0].confidence: 0.2; at least 0.5",
        ),
        (
            json!({"metric": "failedUsers", "fail": "> 5%", "confidence": 0.9}),
            "a.checks[0].confidence: 0.9; how many users there are is an estimate: write against: fallback",
        ),
        (
            json!({"metric": "sampleRatio", "fail": "> 5%"}),
            "a.checks[0].fail: given; what is right is the weights; write a confidence",
        ),
        (
            json!({"metric": "errorRate", "fail": "> 5%", "interval": "5m"}),
            "a.checks[0].interval: given; only a query has an interval of its own",
        ),
        (
            json!({"name": "", "query": "up", "fail": "> 5"}),
            "a.checks[0].name: missing; accepted: 1 to 40 bytes on a line",
        ),
        (
            json!({"name": "n".repeat(41), "query": "up", "fail": "> 5"}),
            "a.checks[0].name: 41 bytes; accepted: 1 to 40 bytes on a line",
        ),
    ];
    for (check, expected) in cases {
        assert_eq!(of_check(&check), [expected], "{check}");
    }
}

#[test]
fn thresholds_that_touch_are_accepted() {
    for check in [
        json!({"metric": "errorRate", "pass": "<= 5%", "fail": "> 5%"}),
        json!({"query": "up", "pass": "> 0", "fail": "<= 0"}),
        json!({"metric": "latency", "quantile": 0.5, "against": "fallback", "pass": "< +10%", "fail": "> +50%"}),
        json!({"metric": "failedUsers", "fail": "> 1%"}),
    ] {
        assert_eq!(of_check(&check), Vec::<String>::new(), "{check}");
    }
}

#[test]
fn every_mistake_of_an_analysis_is_said_at_once() {
    let problems = read(&json!({
        "interval": "10ms",
        "window": "2d",
        "prometheus": {
            "address": "http://ann:s3cret@prometheus:9090?x=1",
            "bearerTokenFrom": {"name": "p"},
            "bearerTokenFile": "/token",
            "basicAuth": {"username": "a:b"},
            "caFile": "",
            "insecureSkipVerify": true,
            "timeout": "2m",
        },
        "checks": [{"name": "a", "query": "up", "fail": "> 5"}, {"name": "a", "metric": "latency", "fail": "> 1s"}],
    }));
    let expected = [
        "a.prometheus.address: a user or password; basicAuth says where a password is",
        "a.prometheus.address: a query or fragment; scheme, host, port and path",
        "a.prometheus.bearerTokenFile: bearerTokenFrom and bearerTokenFile; one of them",
        "a.prometheus.bearerTokenFrom: name \"p\", key \"\"; accepted: the name of a Secret and a key in it",
        "a.prometheus.basicAuth.username: \"a:b\"; accepted: a user without a colon (RFC 7617)",
        "a.prometheus.basicAuth: no password; accepted: passwordFrom or passwordFile",
        "a.prometheus.basicAuth: a bearer token and basicAuth; one of them",
        "a.prometheus.caFile: 0 bytes; accepted: the path of a file",
        "a.prometheus.insecureSkipVerify: true, with authorities; authorities are of use only where a certificate is verified",
        "a.prometheus.timeout: 2m; accepted: 100ms to 1m",
        "a.interval: 10ms; accepted: 100ms to 1h",
        "a.window: 2d; accepted: 1s to 1d",
        "a.checks[1].name: \"a\"; each name once",
        "a.checks[1].quantile: missing; accepted: the latency's quantile, such as 0.99",
    ];
    assert_eq!(problems.unwrap_err(), expected);
}

#[test]
fn there_are_only_so_many_checks_and_tests() {
    let check = |index: usize| json!({"name": format!("c{index}"), "query": "up", "fail": "> 5"});
    let many: Vec<Value> = (0..=MAX_CHECKS).map(check).collect();
    let expected = vec!["a.checks: 31 checks; at most 30".to_owned()];
    assert_eq!(read(&json!({"checks": many})).unwrap_err(), expected);
    let test = |index: usize| json!({"name": format!("c{index}"), "metric": "errorRate", "fail": "> 5%", "confidence": 0.9});
    let many: Vec<Value> = (0..=MAX_TESTS).map(test).collect();
    let expected = vec!["a.checks: 11 checks with a confidence; at most 10".to_owned()];
    assert_eq!(read(&json!({"checks": many})).unwrap_err(), expected);
    let short = json!({"interval": "5m", "window": "1m"});
    let expected = vec!["a.window: 1m; a window is at least as long as the interval".to_owned()];
    assert_eq!(read(&short).unwrap_err(), expected);
}

#[test]
fn istios_metrics_name_a_service_and_what_tells_variants_apart() {
    let plan =
        read(&json!({"istio": {"service": "web.shop", "label": "workload", "challenger": "web"}}));
    let expected = Istio {
        service: "web".to_owned(),
        namespace: Some("shop".to_owned()),
        label: resource::IstioLabel::Workload,
        challenger: Some("web".to_owned()),
        fallback: None,
    };
    assert_eq!(plan.unwrap().istio, Some(expected));
    let name = "accepted: a service as NAME or NAME.NAMESPACE, such as web.shop";
    let cases = [
        (json!({}), format!("a.istio.service: \"\"; {name}")),
        (
            json!({"service": "web\"} or up{a=\""}),
            format!("a.istio.service: \"web\\\"}} or up{{a=\\\"\"; {name}"),
        ),
        (
            json!({"service": "web.shop.svc"}),
            format!("a.istio.service: \"web.shop.svc\"; {name}"),
        ),
        (
            json!({"service": "web", "challenger": "v1", "fallback": "v1"}),
            "a.istio.fallback: \"v1\"; accepted: another value than the challenger's".to_owned(),
        ),
        (
            json!({"service": "web", "challenger": ""}),
            "a.istio.challenger: \"\"; accepted: a label's value of 1 to 253 bytes".to_owned(),
        ),
    ];
    for (istio, expected) in cases {
        assert_eq!(read(&json!({"istio": istio})).unwrap_err(), [expected]);
    }
}
