//! Answers that a filter before ours gives: our filter then sees a response to a request that it never
//! saw.

use serde_json::{Value, json};
use sluice_e2e::adapter::Adapter;
use sluice_e2e::mesh::{Mesh, Options};

use crate::{ALICE, HOST, config};

/// Answers 503 to whoever sends `x-fault`.
fn fault() -> Value {
    let kind = "type.googleapis.com/envoy.extensions.filters.http.fault.v3.HTTPFault";
    json!({"name": "envoy.filters.http.fault", "typed_config": {
        "@type": kind,
        "abort": {"http_status": 503, "percentage": {"numerator": 100}},
        "headers": [{"name": "x-fault", "present_match": true}],
    }})
}

async fn an_answer_to_a_request_that_was_never_seen_is_left_as_it_is(adapter: Adapter) {
    let mut config = config();
    config["responseMetrics"] = json!(true);
    config["splits"]["web"]["guard"] = json!({"responses": 1});
    let options = Options {
        workers: 4,
        filters_before: vec![fault()],
        ..Options::on(adapter)
    };
    let mesh = Mesh::start(&config, options).await;
    let mut connection = mesh.connect().await;
    for _ in 0..50 {
        let bytes = sluice_e2e::client::get("/", HOST, &[b"x-fault: 1"]);
        let answer = connection.send(&bytes).await.unwrap();
        let headers = ["set-cookie", "cache-control"].map(|name| answer.header(name));
        assert_eq!((answer.status, headers), (503, [None, None]));
        let bytes = sluice_e2e::client::get("/", HOST, &[ALICE]);
        let answer = connection.send(&bytes).await.unwrap();
        assert_eq!((answer.status, &*answer.variant()), (200, "stable"));
    }
    mesh.wait_for_metric("sluice_responses_total", &[], 50.0)
        .await;
    let counted = mesh.metric("sluice_decisions_total", &[]).await;
    assert_eq!(counted, 50.0);
    assert_eq!(mesh.metric("sluice_tripped", &[]).await, 0.0);
}

sluice_e2e::over_both_adapters![an_answer_to_a_request_that_was_never_seen_is_left_as_it_is];
