//! A whole look at clusters that a test makes up: none that answers, one that refuses everything, one
//! that says nonsense.

use hyper::{Request, Response, StatusCode};
use jiff::Timestamp;
use kube::Client;
use kube::client::Body;
use serde_json::{Value, json};

use super::*;
use crate::cluster::plugins::Scope;

/// A look at a cluster whose API server answers each path so.
async fn report(answer: fn(&str) -> (u16, Value)) -> anyhow::Result<Report> {
    crate::tls::set_up();
    let server = tower::service_fn(move |request: Request<Body>| {
        let (status, body) = answer(request.uri().path());
        let mut response = Response::new(Body::from(body.to_string().into_bytes()));
        *response.status_mut() = StatusCode::from_u16(status).unwrap();
        std::future::ready(Ok::<_, tower::BoxError>(response))
    });
    let cluster = Cluster::of_client(Client::new(server, "a"));
    let query = Query {
        scope: &Scope::Everywhere,
        plugin: None,
        prometheus: None,
        root_namespace: "istio-system",
        clock: Timestamp::now,
    };
    examine(&cluster, query).await
}

fn status(code: u16, message: &str) -> Value {
    json!({
        "kind": "Status", "apiVersion": "v1", "status": "Failure", "message": message,
        "reason": "Forbidden", "code": code,
    })
}

fn codes(report: &Report) -> Vec<&'static str> {
    let mut codes: Vec<&str> = report
        .findings
        .iter()
        .map(|found| found.code.as_str())
        .collect();
    codes.dedup();
    codes
}

#[tokio::test]
async fn where_nothing_may_be_seen_each_look_says_so_and_nothing_is_called_broken() {
    let report = report(|path| match path {
        "/version" => (200, json!({"gitVersion": "v1.35.4"})),
        _ => (403, status(403, "nobody may")),
    });
    let report = report.await.unwrap();
    assert!(report.is_good, "{report:#?}");
    assert_eq!(
        codes(&report),
        ["not-looked-at", "plugin-none", "prometheus-unnamed"]
    );
    let mut subjects: Vec<&str> = report
        .findings
        .iter()
        .filter(|found| found.code == codes::Code::NotLookedAt)
        .map(|found| found.subject.as_str())
        .collect();
    subjects.dedup();
    assert_eq!(
        subjects,
        [
            "istio",
            "definitions",
            "rights",
            "plugins",
            "clocks",
            "webhooks",
            "controller"
        ]
    );
}

#[tokio::test]
async fn a_cluster_without_istio_is_broken() {
    let report = report(|path| match path {
        "/version" => (200, json!({"gitVersion": "v1.35.4"})),
        path if path.contains("extensions.istio.io") => (404, status(404, "not found")),
        path if path.ends_with("reviews") => {
            (201, json!({"spec": {}, "status": {"allowed": true}}))
        }
        _ => (200, json!({"items": []})),
    });
    let report = report.await.unwrap();
    assert!(!report.is_good);
    assert_eq!(
        codes(&report),
        [
            "istio-missing",
            "istiod-unseen",
            "mesh-unreadable",
            "definition-missing",
            "not-looked-at",
            "plugin-none",
            "prometheus-unnamed"
        ]
    );
}

#[tokio::test]
async fn nonsense_is_survived_and_said() {
    let deep = |_: &str| {
        let mut value = json!({"items": 5});
        for _ in 0..300 {
            value = json!({"a": value, "items": "x"});
        }
        (200, value)
    };
    let report = report(deep).await.unwrap();
    assert!(codes(&report).contains(&"not-looked-at"), "{report:#?}");
}

#[tokio::test]
async fn without_an_api_server_there_is_nothing_to_look_at() {
    let error = report(|_| (401, status(401, "who?"))).await.unwrap_err();
    assert!(
        error
            .to_string()
            .contains("does not accept these credentials"),
        "{error:#}"
    );
}
