//! What proxies say of their guards when they are asked themselves: for who was told of a trip and
//! does not want to wait until Prometheus has scraped it.

use std::net::SocketAddr;

use sluice_core::plan::Plan;

use super::observed::{Gauge, Tripped, tripped};
use crate::cluster::plugins::LivePlugin;
use crate::cluster::pods::{metrics_address, plugin_names};
use crate::local::admin::Admin;
use crate::local::metrics::{Sample, parse};
use crate::store::kubernetes::Kubernetes;

/// Where Envoy serves its gauges of trips, and no others.
const PATH: &str = "/stats/prometheus?filter=sluice_tripped";

/// How long what a proxy says may be. Chosen: the gauges of two thousand guarded splits.
const MAX_TRIPPED_BYTES: usize = 512 * 1024;

/// What the guard of a pod's proxy took out of a split, if it is a proxy of the plugin and says so.
pub async fn tripped_at(
    store: &Kubernetes,
    live: &LivePlugin,
    root_namespace: &str,
    (plan, split): (&Plan, &str),
    pod: (&str, &str),
) -> Option<Tripped> {
    let address = metrics_address(store.cluster(), live, root_namespace, pod).await;
    let samples = samples(address.ok()??).await?;
    let names = plugin_names(live);
    of_proxy(samples, &names, (plan, split), pod)
}

async fn samples(address: SocketAddr) -> Option<Vec<Sample>> {
    let text = Admin::new(address)
        .get_within(PATH, MAX_TRIPPED_BYTES)
        .await;
    Some(parse(&text.ok()?))
}

fn of_proxy(
    mut samples: Vec<Sample>,
    plugin: &[String],
    (plan, split): (&Plan, &str),
    (namespace, pod): (&str, &str),
) -> Option<Tripped> {
    samples.retain(|sample| {
        plugin
            .iter()
            .any(|name| name == sample.label("sluice_plugin"))
    });
    for sample in &mut samples {
        // Envoy does not say where it is.
        for (label, value) in [("namespace", namespace), ("pod", pod)] {
            sample.labels.insert(label.to_owned(), value.to_owned());
        }
    }
    let gauges: Vec<Gauge<'_>> = samples.iter().map(Gauge::of_sample).collect();
    let mut tripped = tripped(plan, &gauges).into_iter();
    tripped.find(|tripped| tripped.split == split)
}

#[cfg(test)]
mod tests {
    use serde_json::json;
    use sluice_core::config::Document;
    use sluice_core::plan::Node;
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
    use tokio::net::TcpListener;

    use super::*;

    fn plan() -> Plan {
        let config = json!({"splits": {"web": {"guard": {}}, "api": {}}});
        let document = Document::from_value(config).unwrap();
        Plan::build(&document, &Node::default(), None)
    }

    fn gauge(plugin: &str, split: &str, value: u8) -> String {
        format!(
            "# TYPE sluice_tripped gauge\nsluice_tripped{{sluice_plugin=\"{plugin}\",sluice_split=\"{split}\",\
             sluice_variant=\"canary\"}} {value}\n"
        )
    }

    #[test]
    fn only_a_trip_of_the_plugins_own_guarded_split_is_one() {
        let names = ["shop.sluice~istio-translated-wasmplugin".to_owned()];
        let own = &names[0];
        let cases = [
            (gauge(own, "web", 1), true),
            (gauge(own, "web", 0), false),
            (gauge("other.sluice", "web", 1), false),
            (gauge(own, "api", 1), false),
            (gauge(own, "gone", 1), false),
            (gauge(own, "web", 0) + &gauge(own, "api", 1), false),
            (String::new(), false),
            ("no metrics".to_owned(), false),
        ];
        for (text, expected) in cases {
            let tripped = of_proxy(parse(&text), &names, (&plan(), "web"), ("shop", "web-1"));
            assert_eq!(tripped.is_some(), expected, "{text}");
            if let Some(tripped) = tripped {
                assert_eq!((&*tripped.namespace, &*tripped.pod), ("shop", "web-1"));
            }
        }
    }

    #[tokio::test]
    async fn an_answer_that_is_too_long_says_nothing() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let own = gauge("shop.sluice", "web", 1);
        let answers = [own.clone(), own.clone() + &"#\n".repeat(MAX_TRIPPED_BYTES)];
        let serving = tokio::spawn(async move {
            for text in answers {
                let (mut stream, _) = listener.accept().await.unwrap();
                let mut asked = [0; 1_024];
                let length = stream.read(&mut asked).await.unwrap();
                let asked = String::from_utf8_lossy(&asked[..length]).into_owned();
                assert!(
                    asked.starts_with(&format!("GET {PATH} HTTP/1.1\r\n")),
                    "{asked}"
                );
                let head = format!("HTTP/1.1 200 OK\r\ncontent-length: {}\r\n\r\n", text.len());
                let _ = stream.write_all((head + &text).as_bytes()).await;
            }
        });
        assert_eq!(samples(address).await, Some(parse(&own)));
        assert_eq!(samples(address).await, None);
        serving.await.unwrap();
    }
}
