//! What configurations meet in a real Envoy: unreadable ones, broken splits, a thousand changes
//! under load.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "Clippy sees the tests, but not the functions they share"
)]

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering};

use serde_json::{Value, json};
use sluice_core::revision::{Revision, canonical};
use sluice_e2e::adapter::Adapter;
use sluice_e2e::client::{Connection, get};
use sluice_e2e::mesh::{Mesh, Options, plan};

const HOST: &str = "shop.example.com";
const PLUGIN: (&str, &str) = ("sluice_plugin", "dev.sluice");

fn config(percent: f64) -> Value {
    json!({
        "splits": {"web": {"identity": [{"header": "x-user-id"}]}},
        "weights": {"web": {"everyone": {"canary": percent}}},
    })
}

async fn an_unreadable_document_on_a_running_envoy_leaves_the_old_one_in_force(adapter: Adapter) {
    let good = config(50.0);
    let mesh = Mesh::start(&good, Options::on(adapter)).await;
    for (document, reason) in [
        ("{\"splits\":", "document: EOF while parsing"),
        ("[]", "document: a list of 0; accepted: an object"),
        ("{\"version\":2}", "version: 2; this filter reads version 1"),
    ] {
        mesh.deliver(document);
        mesh.wait_for("the gauge to say so", async || {
            mesh.metric("sluice_config_valid", &[PLUGIN]).await == 0.0
        })
        .await;
        mesh.wait_for("the log to say why", async || mesh.log().contains(reason))
            .await;
        assert!(
            mesh.log()
                .contains("unreadable configuration, the last good one stays"),
            "{}",
            mesh.log()
        );
        assert_eq!(
            mesh.metric("sluice_config_revision", &[PLUGIN]).await,
            Revision::of(&good).as_gauge() as f64
        );
        assert_eq!(
            mesh.get("/", HOST, &[b"x-user-id: bob"]).await.variant(),
            "canary"
        );
        mesh.configure(&good).await;
        assert_eq!(
            mesh.metric("sluice_config_valid", &[PLUGIN]).await,
            1.0,
            "and a good one is taken again"
        );
    }
    assert_eq!(
        mesh.metric("sluice_problems_total", &[PLUGIN]).await,
        3.0,
        "each refusal is one problem, whatever the number of VMs"
    );
}

async fn weights_that_cannot_be_read_cost_no_other_split(adapter: Adapter) {
    let splits = json!({"api": {"identity": [{"header": "x-user-id"}]}, "web": {"identity": [{"header": "x-user-id"}]}});
    let of = |api: &str, web: u32| {
        format!(
            r#"{{"splits": {splits}, "weights": {{{api} "web": {{"everyone": {{"canary": {web}}}}}}}}}"#
        )
    };
    let routes = serde_json::from_str(&of("", 100)).unwrap();
    let mesh = Mesh::start(&routes, Options::on(adapter)).await;
    let unreadable = [
        ["[".repeat(1_000), "]".repeat(1_000)].concat(),
        r#"{"everyone": {"canary": 1e400}}"#.to_owned(),
        r#"{"everyone": {"\ud800": 100}}"#.to_owned(),
    ];
    for (number, api) in unreadable.iter().enumerate() {
        let percent = [0, 100][number % 2];
        mesh.deliver(&of(&format!("\"api\": {api},"), percent));
        // What cannot be read counts as absent.
        let expected = Revision::of(&serde_json::from_str(&of("", percent)).unwrap());
        mesh.wait_for("the other split's weight", async || {
            mesh.metric("sluice_config_revision", &[PLUGIN]).await == expected.as_gauge() as f64
        })
        .await;
        let answer = mesh.get("/", HOST, &[b"x-user-id: bob"]).await;
        assert_eq!(answer.received("x-sluice-api"), ["stable"], "{api}");
        let web = ["stable", "canary"][usize::from(percent == 100)];
        assert_eq!(answer.received("x-sluice-web"), [web], "{api}");
        assert_eq!(mesh.metric("sluice_config_valid", &[PLUGIN]).await, 1.0);
        let problems = mesh.metric("sluice_problems_total", &[PLUGIN]).await;
        assert_eq!(problems, number as f64 + 1.0, "{api}");
    }
    assert!(
        mesh.log().contains("weights.api: number out of range"),
        "{}",
        mesh.log()
    );
}

async fn an_unreadable_document_on_a_fresh_envoy_lets_traffic_pass_untouched(adapter: Adapter) {
    let mesh = Mesh::start_with("{\"splits\":", &config(50.0), Options::on(adapter)).await;
    let answer = mesh
        .get("/", HOST, &[b"x-user-id: bob", b"x-other: kept"])
        .await;
    assert_eq!(
        (
            answer.status,
            answer.received("x-sluice-web"),
            answer.received("x-other")
        ),
        (200, vec![], vec!["kept".to_owned()])
    );
    assert_eq!(mesh.metric("sluice_config_valid", &[PLUGIN]).await, 0.0);
    assert!(
        mesh.log()
            .contains("unreadable configuration, traffic passes untouched: document: EOF"),
        "{}",
        mesh.log()
    );
    mesh.configure(&config(50.0)).await;
    assert_eq!(
        mesh.get("/", HOST, &[b"x-user-id: bob"]).await.variant(),
        "canary"
    );
}

async fn a_document_beyond_the_limit_is_unreadable_and_one_within_it_is_not(adapter: Adapter) {
    let mesh = Mesh::start(&config(50.0), Options::on(adapter)).await;
    let mut within = config(50.0);
    within["splits"]["web"]["salt"] = json!("x".repeat(500_000));
    mesh.configure(&within).await;
    within["splits"]["web"]["salt"] = json!("x".repeat(530_000));
    mesh.deliver(&canonical(&within));
    mesh.wait_for("the refusal", async || {
        mesh.metric("sluice_config_valid", &[PLUGIN]).await == 0.0
    })
    .await;
    assert!(
        mesh.log().contains("at most 524288 bytes"),
        "{}",
        mesh.log()
    );
}

async fn no_configuration_at_all_passes_traffic_untouched_and_is_valid(adapter: Adapter) {
    let mesh = Mesh::start_with("", &json!({}), Options::on(adapter)).await;
    assert_eq!(mesh.get("/", HOST, &[]).await.status, 200);
    assert_eq!(mesh.metric("sluice_config_valid", &[PLUGIN]).await, 1.0);
}

async fn one_broken_split_and_orphaned_weights_leave_the_others_alone(adapter: Adapter) {
    let mut config = config(50.0);
    config["splits"]["broken"] = json!({"colour": "red", "variants": ["old", "new"]});
    config["weights"]["broken"] = json!({"everyone": {"new": 100}});
    config["weights"]["gone"] = json!({"everyone": {"canary": 100}});
    let mesh = Mesh::start(&config, Options::on(adapter)).await;
    let answer = mesh
        .get("/", HOST, &[b"x-user-id: bob", b"x-sluice-broken: new"])
        .await;
    assert_eq!(answer.received("x-sluice-web"), ["canary"]);
    assert_eq!(
        answer.received("x-sluice-broken"),
        ["old"],
        "as if its weights were 0"
    );
    assert_eq!(mesh.metric("sluice_config_valid", &[PLUGIN]).await, 1.0);
    assert_eq!(mesh.metric("sluice_problems_total", &[PLUGIN]).await, 2.0);
    let log = mesh.log();
    assert!(
        log.contains("splits.broken.colour: unknown field; accepted: hosts"),
        "{log}"
    );
    assert!(
        log.contains("weights.gone: there is no split \"gone\", ignored"),
        "{log}"
    );
}

async fn a_thousand_changes_under_load_fail_no_request_move_nobody_wrongly_and_keep_memory_flat(
    adapter: Adapter,
) {
    let mesh = Arc::new(Mesh::start(&config(0.0), Options::on(adapter)).await);
    let split = plan(&config(0.0));
    let buckets: Vec<u32> = (0..500)
        .map(|user| {
            split.splits()[0]
                .seed
                .bucket(format!("user-{user}").as_bytes())
        })
        .collect();
    // The weight only grows, so whoever was on the canary must stay; `floor` has been in force
    // everywhere.
    let (ended, sent) = (
        Arc::new(AtomicBool::new(false)),
        Arc::new(AtomicU64::new(0)),
    );
    let (floor, ceiling) = (Arc::new(AtomicU32::new(0)), Arc::new(AtomicU32::new(0)));
    let mut users = Vec::new();
    for worker in 0..4 {
        let (mesh, ended, sent, buckets) = (
            Arc::clone(&mesh),
            Arc::clone(&ended),
            Arc::clone(&sent),
            buckets.clone(),
        );
        let (floor, ceiling) = (Arc::clone(&floor), Arc::clone(&ceiling));
        users.push(tokio::spawn(async move {
            let mut connection = Connection::open(mesh.address()).await.unwrap();
            let mut wrong = Vec::new();
            for user in (worker..500).step_by(4).cycle() {
                if ended.load(Ordering::Acquire) {
                    break;
                }
                let certain = floor.load(Ordering::Acquire);
                let line = format!("x-user-id: user-{user}");
                let answer = connection
                    .send(&get("/", HOST, &[line.as_bytes()]))
                    .await
                    .expect("an answer on a connection that stays");
                let possible = ceiling.load(Ordering::Acquire);
                sent.fetch_add(1, Ordering::Relaxed);
                let is_canary = answer.variant() == "canary";
                let bucket = buckets[user];
                if answer.status != 200
                    || (bucket < certain && !is_canary)
                    || (bucket >= possible && is_canary)
                {
                    wrong.push((user, bucket, certain, possible, answer.status, is_canary));
                }
            }
            wrong
        }));
    }
    let mut resident_after_warm_up = 0;
    for change in 1..=1_000_u32 {
        ceiling.store(change * 50, Ordering::Release);
        mesh.configure(&config(f64::from(change) * 0.05)).await;
        floor.store(change * 50, Ordering::Release);
        if change == 200 {
            resident_after_warm_up = mesh.resident_bytes();
        }
    }
    ended.store(true, Ordering::Release);
    for user in users {
        assert_eq!(
            user.await.unwrap(),
            [],
            "(user, bucket, certain, possible, status, is canary)"
        );
    }
    let grown = mesh.resident_bytes().saturating_sub(resident_after_warm_up);
    assert!(
        grown < 12 << 20,
        "800 changes grew Envoy by {grown} bytes, from {resident_after_warm_up}"
    );
    let requests = sent.load(Ordering::Relaxed);
    assert!(requests > 2_000, "only {requests} requests");
    mesh.wait_for_metric("sluice_decisions_total", &[], requests as f64)
        .await;
}

sluice_e2e::over_both_adapters![
    an_unreadable_document_on_a_running_envoy_leaves_the_old_one_in_force,
    weights_that_cannot_be_read_cost_no_other_split,
    an_unreadable_document_on_a_fresh_envoy_lets_traffic_pass_untouched,
    a_document_beyond_the_limit_is_unreadable_and_one_within_it_is_not,
    no_configuration_at_all_passes_traffic_untouched_and_is_valid,
    one_broken_split_and_orphaned_weights_leave_the_others_alone,
    a_thousand_changes_under_load_fail_no_request_move_nobody_wrongly_and_keep_memory_flat,
];
