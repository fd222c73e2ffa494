//! The guard in a real Envoy: a challenger that fails is taken out by the proxy itself.

use std::time::{Duration, Instant};

use serde_json::{Value, json};
use sluice_e2e::adapter::Adapter;
use sluice_e2e::client::get;
use sluice_e2e::mesh::{Mesh, Options};

use crate::{HOST, start, visit};

const TRIPPED: (&str, &[(&str, &str)]) = (
    "sluice_tripped",
    &[("sluice_split", "web"), ("sluice_variant", "canary")],
);

fn config(percent: u32) -> Value {
    json!({
        "splits": {"web": {
            "identity": [{"header": "x-user-id"}],
            "guard": {"failures": 50, "responses": 20, "within": "10s"},
        }},
        "weights": {"web": {"everyone": {"canary": percent}}},
    })
}

async fn variant(mesh: &Mesh, user: u32) -> String {
    visit(mesh, user).await.variant()
}

async fn trip(mesh: &Mesh) {
    let mut user = 0;
    mesh.wait_for("a trip", async || {
        user += 1;
        variant(mesh, user).await;
        mesh.metric(TRIPPED.0, TRIPPED.1).await == 1.0
    })
    .await;
}

/// Waits until no worker gives anybody the canary: many connections, so that each is met.
async fn nobody_on_canary(mesh: &Mesh) {
    mesh.wait_for("every worker to follow", async || {
        for user in 0..60 {
            if variant(mesh, user).await == "canary" {
                return false;
            }
        }
        true
    })
    .await;
}

async fn a_canary_that_fails_is_taken_out_of_every_worker_and_stays_out(adapter: Adapter) {
    let mesh = start(adapter, 4, &config(25)).await;
    mesh.fail("web/canary", 503);
    trip(&mesh).await;
    nobody_on_canary(&mesh).await;
    mesh.fail("web/canary", 0);
    let before = mesh.answered("web/canary");
    for user in 0..200 {
        assert_eq!(variant(&mesh, user).await, "stable");
    }
    assert_eq!(mesh.answered("web/canary"), before);
    let lines: Vec<String> = mesh.log().lines().map(str::to_owned).collect();
    let taken_out = lines
        .iter()
        .filter(|line| line.contains("canary is taken out of this proxy"));
    assert_eq!(taken_out.count(), 1, "{lines:#?}");
}

async fn a_trip_outlives_configurations_with_the_same_weights_and_ends_with_others(
    adapter: Adapter,
) {
    let mesh = start(adapter, 2, &config(25)).await;
    mesh.fail("web/canary", 500);
    trip(&mesh).await;
    mesh.fail("web/canary", 0);
    for number in 0..200 {
        let mut another = config(25);
        another["splits"]["api"] = json!({"identity": [{"header": "x-user-id"}]});
        another["weights"]["api"] = json!({"everyone": {"canary": number % 100}});
        mesh.configure(&another).await;
        assert_eq!(variant(&mesh, number).await, "stable", "update {number}");
    }
    assert_eq!(mesh.metric(TRIPPED.0, TRIPPED.1).await, 1.0);
    mesh.configure(&config(26)).await;
    mesh.wait_for_metric(TRIPPED.0, TRIPPED.1, 0.0).await;
    let mut on_canary = 0;
    for user in 0..100 {
        on_canary += u32::from(variant(&mesh, user).await == "canary");
    }
    assert!(on_canary > 0);
    let ends = "other weights or another definition end that canary is taken out";
    assert_eq!(mesh.log().matches(ends).count(), 1);
}

async fn a_local_reply_counts_and_a_client_that_goes_away_does_not(adapter: Adapter) {
    let mut config = config(100);
    config["splits"]["web"]["guard"]["within"] = json!("60s");
    let nowhere = json!({"virtual_hosts": [{"name": "all", "domains": ["*"], "routes": [
        {"match": {"prefix": "/gone"}, "direct_response": {"status": 503}},
        {"match": {"prefix": "/"}, "route": {"cluster": "default"}},
    ]}]});
    let options = Options {
        routes: Some(nowhere),
        ..Options::on(adapter)
    };
    let mesh = Mesh::start(&config, options).await;
    for user in 0..30 {
        let line = format!("x-user-id: user-{user}");
        let mut connection = mesh.connect().await;
        connection
            .write(&get("/never", HOST, &[line.as_bytes()]))
            .await;
        drop(connection);
    }
    mesh.wait_for_metric("sluice_decisions_total", &[], 30.0)
        .await;
    assert_eq!(mesh.metric(TRIPPED.0, TRIPPED.1).await, 0.0);
    for user in 0..30 {
        let line = format!("x-user-id: user-{user}");
        mesh.send(&get("/gone", HOST, &[line.as_bytes()])).await;
    }
    mesh.wait_for_metric(TRIPPED.0, TRIPPED.1, 1.0).await;
}

/// Envoy answers a gRPC request 200 with `grpc-status: 14` where it would answer another one 503.
async fn the_status_of_a_grpc_answer_counts(adapter: Adapter) {
    let routes = json!({"virtual_hosts": [{"name": "all", "domains": ["*"], "routes": [
        {"match": {"prefix": "/"}, "direct_response": {"status": 503}},
    ]}]});
    let options = Options {
        routes: Some(routes),
        ..Options::on(adapter)
    };
    let mesh = Mesh::start(&config(100), options).await;
    for user in 0..30 {
        let line = format!("x-user-id: user-{user}");
        let lines: [&[u8]; 2] = [line.as_bytes(), b"content-type: application/grpc"];
        let answer = mesh.send(&get("/shop.Cart/Get", HOST, &lines)).await;
        assert_eq!(
            (answer.status, answer.header("grpc-status").as_deref()),
            (200, Some("14"))
        );
    }
    mesh.wait_for_metric(TRIPPED.0, TRIPPED.1, 1.0).await;
}

/// Slow is not failing.
async fn a_canary_that_is_slow_but_right_does_not_trip(adapter: Adapter) {
    let mesh = start(adapter, 2, &config(50)).await;
    mesh.delay("web/canary", Duration::from_millis(1_500));
    let answers = (0..60).map(|user| variant(&mesh, user));
    let answers = futures::future::join_all(answers).await;
    assert!(answers.iter().any(|variant| variant == "canary"));
    mesh.wait_for_metric("sluice_decisions_total", &[], 60.0)
        .await;
    assert_eq!(mesh.metric(TRIPPED.0, TRIPPED.1).await, 0.0);
    mesh.delay("web/canary", Duration::ZERO);
}

async fn where_the_fallback_fails_as_much_nothing_trips(adapter: Adapter) {
    let mesh = start(adapter, 1, &config(50)).await;
    mesh.fail("web/canary", 500);
    mesh.fail("web/stable", 500);
    for user in 0..200 {
        variant(&mesh, user).await;
    }
    mesh.wait_for_metric("sluice_decisions_total", &[], 200.0)
        .await;
    assert_eq!(mesh.metric(TRIPPED.0, TRIPPED.1).await, 0.0);
}

async fn one_client_that_always_fails_trips_nothing(adapter: Adapter) {
    let mesh = start(adapter, 4, &config(100)).await;
    mesh.fail("web/canary", 500);
    let began = Instant::now();
    let mut sent = 0.0;
    while began.elapsed() < Duration::from_secs(4) {
        variant(&mesh, 1).await;
        sent += 1.0;
    }
    mesh.wait_for_metric("sluice_decisions_total", &[], sent)
        .await;
    assert_eq!(mesh.metric(TRIPPED.0, TRIPPED.1).await, 0.0);
}

async fn a_new_proxy_begins_untripped(adapter: Adapter) {
    let mesh = start(adapter, 1, &config(25)).await;
    mesh.fail("web/canary", 500);
    trip(&mesh).await;
    let another = start(adapter, 1, &config(25)).await;
    assert_eq!(another.metric(TRIPPED.0, TRIPPED.1).await, 0.0);
}

sluice_e2e::over_both_adapters![
    a_canary_that_fails_is_taken_out_of_every_worker_and_stays_out,
    a_trip_outlives_configurations_with_the_same_weights_and_ends_with_others,
    a_local_reply_counts_and_a_client_that_goes_away_does_not,
    the_status_of_a_grpc_answer_counts,
    a_canary_that_is_slow_but_right_does_not_trip,
    where_the_fallback_fails_as_much_nothing_trips,
    one_client_that_always_fails_trips_nothing,
    a_new_proxy_begins_untripped,
];
