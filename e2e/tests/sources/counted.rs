//! What variants answered, from what a real Prometheus scraped: of stand-ins that restart and
//! disappear, and of a real Envoy with the filter.

use serde_json::json;
use sluice::cluster::prometheus::Prometheus as Client;
use sluice::rollout::observation::Reading;
use sluice::rollout::sources::Source;
use sluice_core::bucket::Seed;
use sluice_core::users::{Outcome, Users};
use sluice_e2e::adapter::Adapter;
use sluice_e2e::client::get;
use sluice_e2e::mesh::{Mesh, Options as MeshOptions, plan};
use sluice_e2e::prometheus::{Options, Prometheus, Target};

use crate::exporter::Exporter;
use crate::watched::{Rounds, counts, istio, scraped};

const HOST: &str = "shop.example.com";

/// A proxy's counters: ticks, and responses of the canary by class, of stable.
fn says(ticks: u32, canary: &[(&str, u32)], stable: u32) -> String {
    let mut text = format!("sluice_ticks_total{{sluice_plugin=\"dev.sluice\"}} {ticks}\n");
    let stable = [("stable", "2xx", stable)];
    let canary = canary
        .iter()
        .map(|&(class, count)| ("canary", class, count));
    for (variant, class, count) in canary.chain(stable) {
        text += &format!(
            "sluice_responses_total{{sluice_split=\"web\",sluice_variant=\"{variant}\",sluice_class=\"{class}\"}} {count}\n"
        );
    }
    text
}

async fn start(exporters: &[&Exporter]) -> (Prometheus, Client) {
    sluice::tls::set_up();
    let pods = [["shop", "p"], ["shop", "q"]];
    let targets = exporters.iter().zip(pods).map(|(exporter, pod)| Target {
        address: exporter.address,
        pod: Some(pod),
    });
    let options = Options {
        targets: targets.collect(),
        ..Options::default()
    };
    let prometheus = Prometheus::start(&options).await;
    let client = Client::new(&prometheus.url()).unwrap();
    (prometheus, client)
}

#[tokio::test(flavor = "multi_thread")]
async fn responses_are_counted_once_over_restarts_and_proxies_that_disappear() {
    let p = Exporter::start(&says(1_000, &[("2xx", 10)], 100)).await;
    let q = Exporter::start(&says(1_000, &[("2xx", 5)], 0)).await;
    let (_prometheus, client) = start(&[&p, &q]).await;
    scraped(&client, "count(sluice_ticks_total)", 2.0).await;
    let plan = plan(&json!({"splits": {"web": {}}}));
    let mut rounds = Rounds::begin(Source::of_prometheus(client.clone(), None), plan);
    p.say(&says(1_001, &[("2xx", 14), ("5xx", 2)], 130));
    scraped(
        &client,
        "sum(sluice_responses_total{sluice_class=\"5xx\"})",
        2.0,
    )
    .await;
    let arms = rounds.arms().await;
    assert_eq!(counts(&arms.challenger.since), (6, 2), "a first failure");
    assert_eq!(counts(&arms.fallback.since), (30, 0));
    assert_eq!(arms.challenger.users, None, "nobody counts users");
    p.say(&says(1, &[("2xx", 3)], 1));
    scraped(&client, "sum(sluice_responses_total{pod=\"p\"})", 4.0).await;
    let arms = rounds.arms().await;
    assert_eq!(counts(&arms.challenger.since), (3, 0), "a restart");
    assert_eq!(counts(&arms.fallback.since), (1, 0));
    q.say(&says(1_002, &[("2xx", 9)], 0));
    scraped(&client, "sum(sluice_responses_total{pod=\"q\"})", 9.0).await;
    drop(q);
    scraped(&client, "count(sluice_ticks_total)", 1.0).await;
    let arms = rounds.arms().await;
    assert_eq!(counts(&arms.challenger.since), (4, 0), "its last words");
    assert_eq!(
        counts(&arms.challenger.window),
        (13, 2),
        "since it converged"
    );
    p.say(&says(1, &[("2xx", 3)], 1).replace(" 3\n", " NaN\n"));
    scraped(
        &client,
        "count(sluice_responses_total != sluice_responses_total)",
        1.0,
    )
    .await;
    assert_eq!(
        counts(&rounds.arms().await.challenger.since),
        (0, 0),
        "no number"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn without_series_there_is_no_data_and_each_query_fails_for_itself() {
    let p = Exporter::start("sluice_ticks_total{sluice_plugin=\"dev.sluice\"} 5\n").await;
    let (prometheus, client) = start(&[&p]).await;
    scraped(&client, "count(sluice_ticks_total)", 1.0).await;
    let plan = plan(&json!({"splits": {"web": {}}}));
    let mut rounds = Rounds::begin(Source::of_prometheus(client, None), plan);
    let observation = rounds.next().await;
    assert_eq!(observation.arms, Reading::NoData);
    let queries: Vec<_> = observation.queries.iter().collect();
    let [(_, none), (_, own), (_, wrong)] = queries.as_slice() else {
        panic!("{queries:?}");
    };
    assert_eq!((none, own), (&&Reading::NoData, &&Reading::Value(1.0)));
    let Reading::Error(why) = wrong else {
        panic!("{wrong:?}");
    };
    assert!(why.contains("refused orders{: bad_data: "), "{why}");
    let url = prometheus.url();
    drop(prometheus);
    let observation = rounds.next().await;
    let Reading::Error(why) = observation.arms else {
        panic!("{:?}", observation.arms);
    };
    let gone = format!("Prometheus at {url}/ cannot be reached: ");
    assert!(why.starts_with(&gone), "{why}");
    assert_eq!(observation.queries.len(), 3);
    for (name, reading) in observation.queries {
        assert!(matches!(reading, Reading::Error(_)), "{name}: {reading:?}");
    }
}

/// A caller's and a server's word on the same requests, by Istio.
fn by_istio(ticks: u32, reported: &[(&str, &str, &str, u32)]) -> String {
    let mut text = format!("sluice_ticks_total{{sluice_plugin=\"dev.sluice\"}} {ticks}\n");
    for (reporter, version, code, count) in reported {
        let labels = format!(
            "reporter=\"{reporter}\",destination_service_name=\"web\",destination_service_namespace=\"shop\",\
             destination_version=\"{version}\""
        );
        text += &format!("istio_requests_total{{{labels},response_code=\"{code}\"}} {count}\n");
        let buckets = "istio_request_duration_milliseconds_bucket";
        for (edge, part) in [("0.5", count / 2), ("100", *count), ("+Inf", *count)] {
            text +=
                &format!("{buckets}{{{labels},le=\"{edge}\",response_code=\"{code}\"}} {part}\n");
        }
    }
    text
}

#[tokio::test(flavor = "multi_thread")]
async fn of_istios_metrics_the_callers_word_is_taken_once() {
    let before = [
        ("source", "v2", "200", 10),
        ("source", "v1", "200", 10),
        ("destination", "v2", "200", 10),
    ];
    let p = Exporter::start(&by_istio(1_000, &before)).await;
    let (_prometheus, client) = start(&[&p]).await;
    scraped(&client, "count(sluice_ticks_total)", 1.0).await;
    let plan = plan(&json!({"splits": {"web": {}}}));
    let mut rounds = Rounds::begin(Source::of_prometheus(client.clone(), Some(istio())), plan);
    p.say(&by_istio(
        1_001,
        &[
            ("source", "v2", "200", 30),
            ("source", "v2", "503", 4),
            ("source", "v1", "200", 50),
            ("source", "v3", "200", 50),
            ("destination", "v2", "200", 30),
        ],
    ));
    scraped(
        &client,
        "sum(istio_requests_total{response_code=\"503\"})",
        4.0,
    )
    .await;
    let arms = rounds.arms().await;
    assert_eq!(counts(&arms.challenger.since), (24, 4));
    assert_eq!(counts(&arms.fallback.since), (40, 0));
    let buckets: Vec<u64> = arms
        .challenger
        .since
        .buckets
        .iter()
        .map(|bucket| bucket.count)
        .collect();
    assert_eq!(buckets, [12, 24, 24]);
}

async fn every_response_and_user_of_a_real_envoy_is_seen(adapter: Adapter) {
    sluice::tls::set_up();
    let config = json!({
        "splits": {"web": {"identity": [{"header": "x-user-id"}]}},
        "weights": {"web": {"everyone": {"canary": 30}}},
        "responseMetrics": true,
    });
    let mesh = Mesh::start(&config, MeshOptions::on(adapter)).await;
    let options = Options {
        targets: vec![Target {
            address: mesh.admin(),
            pod: Some(["shop", "client-1"]),
        }],
        ..Options::default()
    };
    let prometheus = Prometheus::start(&options).await;
    let client = Client::new(&prometheus.url()).unwrap();
    scraped(&client, "sum(sluice_ticks_total) > bool 0", 1.0).await;
    let mut rounds = Rounds::begin(Source::of_prometheus(client.clone(), None), plan(&config));
    mesh.fail("web/canary", 503);
    let mut expected = Users::default();
    for user in 0..100 {
        let line = format!("x-user-id: user-{user}");
        mesh.send(&get("/", HOST, &[line.as_bytes()])).await;
        let seed = Seed::new("web", None);
        if seed.bucket(format!("user-{user}").as_bytes()) < 30_000 {
            expected.add(
                seed.point(format!("user-{user}").as_bytes()),
                Outcome::Failed,
            );
        }
    }
    scraped(&client, "sum(sluice_responses_total)", 100.0).await;
    // Envoy merges histograms each 5 s.
    scraped(
        &client,
        "sum(sluice_response_time_milliseconds_count)",
        100.0,
    )
    .await;
    let failed = f64::from(
        u8::try_from(
            expected
                .failed_words()
                .iter()
                .filter(|word| **word > 0)
                .count(),
        )
        .unwrap(),
    );
    scraped(&client, "count(sluice_failed_users_word > 0)", failed).await;
    let arms = rounds.arms().await;
    let canary = mesh.answered("web/canary");
    assert_eq!(counts(&arms.challenger.since), (canary, canary));
    assert_eq!(counts(&arms.fallback.since), (100 - canary, 0));
    let last = arms
        .challenger
        .since
        .buckets
        .last()
        .map(|bucket| bucket.count);
    assert_eq!(last, Some(canary));
    assert_eq!(arms.challenger.users, Some(expected));
    let stable = arms.fallback.users.unwrap();
    assert_eq!(stable.failed_bits(), 0);
    assert!(stable.users() > 0.0);
}

sluice_e2e::over_both_adapters![every_response_and_user_of_a_real_envoy_is_seen];
