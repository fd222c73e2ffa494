//! Counters equal what was sent, exactly; workers agree.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "Clippy sees the tests, but not the functions they share"
)]

use std::time::Duration;

use serde_json::{Value, json};
use sluice::operations::status::observed::{Gauge, UsersSeen};
use sluice_core::bucket::Seed;
use sluice_core::revision::canonical;
use sluice_core::users::{Outcome, Users};
use sluice_e2e::adapter::Adapter;
use sluice_e2e::client::get;
use sluice_e2e::mesh::{Mesh, Options};

const HOST: &str = "shop.example.com";

fn config(percent: u32) -> Value {
    json!({
        "splits": {"web": {
            "identity": [{"header": "x-user-id"}],
            "override": {"header": "x-force"},
            "rules": [{"name": "staff", "match": [{"headers": {"x-staff": {"present": true}}}]}],
        }},
        "weights": {"web": {"staff": {"canary": 100}, "everyone": {"canary": percent}}},
        "cookie": {"name": "visitor", "secure": false},
    })
}

async fn two_workers_agree_on_every_user(adapter: Adapter) {
    let mesh = Mesh::start(
        &config(50),
        Options {
            workers: 2,
            ..Options::on(adapter)
        },
    )
    .await;
    for user in 0..40 {
        let line = format!("x-user-id: user-{user}");
        let mut variants = std::collections::BTreeSet::new();
        // New connections, so that both workers get some.
        for _ in 0..6 {
            variants.insert(mesh.get("/", HOST, &[line.as_bytes()]).await.variant());
        }
        assert_eq!(variants.len(), 1, "user-{user}");
    }
    mesh.wait_for_metric("sluice_decisions_total", &[], 240.0)
        .await;
}

async fn counters_equal_what_was_sent_over_configuration_changes_too(adapter: Adapter) {
    let mesh = Mesh::start(
        &config(50),
        Options {
            workers: 2,
            ..Options::on(adapter)
        },
    )
    .await;
    let (mut canary, mut everyone, mut staff, mut forced, mut issued) = (0, 0, 0, 0, 0);
    for round in 0..5 {
        mesh.configure(&config(51 + round)).await;
        let mut connection = mesh.connect().await;
        for user in 0..60 {
            let identity = format!("x-user-id: user-{user}");
            let lines: Vec<&[u8]> = match user % 4 {
                0 => vec![identity.as_bytes(), b"x-staff: 1"],
                1 => vec![identity.as_bytes(), b"x-force: canary"],
                2 => vec![],
                _ => vec![identity.as_bytes()],
            };
            let answer = connection.send(&get("/", HOST, &lines)).await.unwrap();
            match user % 4 {
                0 => staff += 1,
                1 => forced += 1,
                _ => everyone += 1,
            }
            canary += u32::from(answer.variant() == "canary");
            issued += u32::from(answer.set_cookie().is_some());
        }
    }
    let audience = |name| [("sluice_split", "web"), ("sluice_audience", name)];
    mesh.wait_for_metric(
        "sluice_decisions_total",
        &audience("everyone"),
        f64::from(everyone),
    )
    .await;
    mesh.wait_for_metric(
        "sluice_decisions_total",
        &audience("staff"),
        f64::from(staff),
    )
    .await;
    mesh.wait_for_metric(
        "sluice_decisions_total",
        &audience("forced"),
        f64::from(forced),
    )
    .await;
    mesh.wait_for_metric(
        "sluice_decisions_total",
        &[("sluice_variant", "canary")],
        f64::from(canary),
    )
    .await;
    mesh.wait_for_metric("sluice_assignments_total", &[], f64::from(issued))
        .await;
    mesh.wait_for_metric(
        "sluice_identity_total",
        &[("sluice_source", "header")],
        f64::from(staff + everyone - issued),
    )
    .await;
    mesh.wait_for_metric(
        "sluice_identity_total",
        &[("sluice_source", "issued")],
        f64::from(issued),
    )
    .await;
    assert_eq!(issued, 75);
    assert_eq!(mesh.answered("web/canary"), u64::from(canary));
}

async fn what_a_former_configuration_counted_does_not_wait_for_its_longest_request(
    adapter: Adapter,
) {
    let mesh = Mesh::start(&config(50), Options::on(adapter)).await;
    let mut connection = mesh.connect().await;
    let lines: [&[u8]; 4] = [
        b"connection: Upgrade",
        b"upgrade: websocket",
        b"sec-websocket-key: a",
        b"x-user-id: bob",
    ];
    assert_eq!(
        connection
            .send(&get("/chat", HOST, &lines))
            .await
            .unwrap()
            .status,
        101
    );
    for percent in 51..56 {
        mesh.get("/", HOST, &[b"x-user-id: bob"]).await;
        mesh.configure(&config(percent)).await;
    }
    mesh.wait_for_metric("sluice_decisions_total", &[], 6.0)
        .await;
    connection.write(b"still open").await;
    assert_eq!(connection.read_exact(10).await, b"still open");
}

async fn response_metrics_equal_what_the_upstreams_answered(adapter: Adapter) {
    let mut config = config(50);
    config["responseMetrics"] = json!(true);
    let mesh = Mesh::start(&config, Options::on(adapter)).await;
    let mut connection = mesh.connect().await;
    for user in 0..90 {
        let path = ["/", "/status/404", "/status/503"][user % 3];
        let line = format!("x-user-id: user-{user}");
        connection
            .send(&get(path, HOST, &[line.as_bytes()]))
            .await
            .unwrap();
    }
    for class in ["2xx", "4xx", "5xx"] {
        mesh.wait_for_metric("sluice_responses_total", &[("sluice_class", class)], 30.0)
            .await;
    }
    let canary = mesh.answered("web/canary");
    assert!(canary > 0 && canary < 90);
    assert_eq!(
        mesh.metric("sluice_responses_total", &[("sluice_variant", "canary")])
            .await,
        canary as f64
    );
    // Envoy merges histograms each 5 s.
    mesh.wait_for_metric("sluice_response_time_milliseconds_count", &[], 90.0)
        .await;
    assert_eq!(
        mesh.metric(
            "sluice_response_time_milliseconds_count",
            &[("sluice_variant", "canary")]
        )
        .await,
        canary as f64
    );
}

async fn a_filter_that_lives_ticks_and_without_response_metrics_counts_no_responses(
    adapter: Adapter,
) {
    let mesh = Mesh::start(&config(50), Options::on(adapter)).await;
    mesh.get("/", HOST, &[]).await;
    mesh.wait_for("two ticks", async || {
        mesh.metric("sluice_ticks_total", &[("sluice_plugin", "dev.sluice")])
            .await
            >= 2.0
    })
    .await;
    assert!(
        mesh.samples()
            .await
            .iter()
            .all(|sample| sample.name != "sluice_responses_total")
    );
}

/// What changes with each configuration: the weights of another split.
fn changed(change: u32) -> serde_json::Value {
    let mut config = config(50);
    config["responseMetrics"] = json!(true);
    config["splits"]["web"]["guard"] = json!({});
    config["splits"]["api"] = json!({"identity": [{"header": "x-user-id"}]});
    config["weights"]["api"] = json!({"everyone": {"canary": change % 100}});
    config
}

/// Delivers so many configurations, and sends three requests of another user behind each.
async fn change_under_traffic(mesh: &Mesh, changes: u32, pause: Duration) {
    let mut connection = mesh.connect().await;
    for change in 1..=changes {
        mesh.deliver(&canonical(&changed(change)));
        tokio::time::sleep(pause).await;
        let line = format!("x-user-id: user-{change}");
        for _ in 0..3 {
            let answer = connection.send(&get("/", HOST, &[line.as_bytes()])).await;
            assert_eq!(answer.unwrap().status, 200);
        }
    }
}

async fn two_workers(adapter: Adapter) -> Mesh {
    let options = Options {
        workers: 2,
        ..Options::on(adapter)
    };
    Mesh::start(&changed(0), options).await
}

async fn a_thousand_configurations_lose_no_request_and_no_response(adapter: Adapter) {
    let mesh = two_workers(adapter).await;
    change_under_traffic(&mesh, 1_000, Duration::ZERO).await;
    let web = [("sluice_split", "web")];
    for metric in ["sluice_decisions_total", "sluice_responses_total"] {
        mesh.wait_for_metric(metric, &web, 3_000.0).await;
    }
}

/// Users are the numbers of one configuration at a time, which the workers hand on to each other; so
/// they are promised where no worker is two behind. Istiod leaves 100 ms between two pushes.
async fn a_hundred_configurations_as_istiod_pushes_them_lose_no_user(adapter: Adapter) {
    const CHANGES: u32 = 100;
    let mesh = two_workers(adapter).await;
    change_under_traffic(&mesh, CHANGES, Duration::from_millis(100)).await;
    let users = async || {
        let samples = mesh.samples().await;
        let gauges: Vec<Gauge<'_>> = samples.iter().map(Gauge::of_sample).collect();
        let plan = sluice_e2e::mesh::plan(&changed(CHANGES));
        UsersSeen::joined(&plan, &gauges)
    };
    let mut expected = <[Users; 2]>::default();
    for user in 1..=CHANGES {
        let point = Seed::new("web", None).point(format!("user-{user}").as_bytes());
        expected[usize::from(point.bucket() < 50_000)].add(point, Outcome::Answered);
    }
    mesh.wait_for("every user", async || {
        let users = users().await;
        let seen =
            ["stable", "canary"].map(|variant| users.of("web", "everyone", variant).cloned());
        seen == expected.clone().map(Some)
    })
    .await;
}

sluice_e2e::over_both_adapters![
    two_workers_agree_on_every_user,
    counters_equal_what_was_sent_over_configuration_changes_too,
    what_a_former_configuration_counted_does_not_wait_for_its_longest_request,
    response_metrics_equal_what_the_upstreams_answered,
    a_filter_that_lives_ticks_and_without_response_metrics_counts_no_responses,
    a_thousand_configurations_lose_no_request_and_no_response,
    a_hundred_configurations_as_istiod_pushes_them_lose_no_user,
];
