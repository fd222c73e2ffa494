//! What queries of people's own give, as Prometheus itself answers them.

use std::time::Duration;

use serde_json::json;
use sluice::cluster::prometheus::{Access, Prometheus as Client, PrometheusError};
use sluice::rollout::observation::Reading;
use sluice::rollout::sources::reading;
use sluice_e2e::prometheus::{Options, Prometheus, Target};
use sluice_e2e::wait::until;

use crate::exporter::Exporter;

async fn read(client: &Client, query: &str) -> Reading<f64> {
    match client.ask(query).await {
        Ok(answer) => reading(&answer),
        Err(error) => Reading::Error(error.to_string().replace(client.title(), "URL")),
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_query_gives_one_number_or_says_why_not() {
    sluice::tls::set_up();
    let exporter =
        Exporter::start("orders{version=\"a\"} 3\norders{version=\"b\"} 4\nodd NaN\n").await;
    let options = Options {
        targets: vec![Target {
            address: exporter.address,
            pod: None,
        }],
        ..Options::default()
    };
    let prometheus = Prometheus::start(&options).await;
    let client = Client::new(&prometheus.url()).unwrap();
    until("the first scrape", async || {
        match read(&client, "count(orders)").await {
            Reading::Value(2.0) => Ok(()),
            other => Err(format!("{other:?}")),
        }
    })
    .await;
    let error = |text: &str| Reading::Error(text.to_owned());
    let nan = || error("NaN, as 0/0 is; write what is to count where there was nothing");
    let instance = exporter.address;
    let two = format!(
        "2 series where one number is needed, such as {{__name__=\"orders\", instance=\"{instance}\", job=\"proxies\", \
         version=\"a\"}}, {{__name__=\"orders\", instance=\"{instance}\", job=\"proxies\", version=\"b\"}}; write \
         sum(…), max(…), or a matcher that leaves one"
    );
    let range = "samples of a range and no number; write a function over the range, such as rate(…) or \
                 max_over_time(…)";
    let cases = [
        ("sum(orders)", Reading::Value(7.0)),
        ("orders{version=\"a\"}", Reading::Value(3.0)),
        ("orders", Reading::Error(two)),
        ("sum(orders{version=\"c\"})", Reading::NoData),
        ("scalar(sum(orders{version=\"c\"}))", nan()),
        ("odd", nan()),
        ("vector(0) / 0", nan()),
        ("1 / 0", Reading::Value(f64::INFINITY)),
        ("-1 / vector(0)", Reading::Value(f64::NEG_INFINITY)),
        ("orders{version=\"a\"}[1m]", error(range)),
        ("\"a text\"", error("a text and no number")),
        (
            "sum(orders",
            error(
                "Prometheus at URL refused sum(orders: bad_data: invalid parameter \"query\": 1:11: parse error: unclosed left parenthesis",
            ),
        ),
    ];
    for (query, expected) in cases {
        assert_eq!(read(&client, query).await, expected, "{query}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_query_that_takes_too_long_is_given_up_on_both_sides() {
    sluice::tls::set_up();
    let prometheus = Prometheus::start(&Options::default()).await;
    let access = Access {
        timeout: Duration::from_millis(100),
        ..Access::default()
    };
    let client = Client::with(&prometheus.url(), access).unwrap();
    let slow = "sum(count_over_time(vector(1)[5000h:1s]))";
    let error = client.ask(slow).await.unwrap_err();
    let is_late = matches!(&error, PrometheusError::TimedOut { .. })
        || matches!(&error, PrometheusError::Refused { kind, .. } if kind == "timeout");
    assert!(is_late, "{error}");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_answer_that_lacks_a_part_is_not_judged() {
    sluice::tls::set_up();
    // Nobody listens there: what it would have had is missing.
    let missing = json!([{"url": "http://127.0.0.1:1/read", "read_recent": true}]);
    let options = Options {
        others: json!({ "remote_read": missing }),
        ..Options::default()
    };
    let prometheus = Prometheus::start(&options).await;
    let client = Client::new(&prometheus.url()).unwrap();
    let Reading::Error(why) = read(&client, "up").await else {
        panic!("a partial answer was judged");
    };
    assert!(
        why.starts_with("a partial answer, which is not judged: remote_read: "),
        "{why}"
    );
}
