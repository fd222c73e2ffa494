//! What a controller says of its brakes to who watches it.

use std::fmt;
use std::sync::Arc;

use kube::runtime::reflector::Store;
use prometheus_client::collector::Collector;
use prometheus_client::encoding::{DescriptorEncoder, EncodeMetric as _};
use prometheus_client::metrics::MetricType;
use prometheus_client::metrics::gauge::ConstGauge;
use prometheus_client::registry::Registry;

use super::desk::Desk;
use super::object::{Brake, State};

/// Names what the service counts, who asks, and the brakes that are on.
pub fn register(registry: &mut Registry, desk: &Arc<Desk>, known: Store<Brake>) {
    desk.counts().register(registry);
    registry.register_collector(Box::new(Now {
        desk: Arc::clone(desk),
        known,
    }));
}

/// What is so when somebody asks.
struct Now {
    desk: Arc<Desk>,
    known: Store<Brake>,
}

impl fmt::Debug for Now {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("Now")
    }
}

impl Collector for Now {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> fmt::Result {
        let brakes = self.known.state();
        let on = brakes.iter().filter(|brake| brake.state() == State::On);
        let told = [
            ("sluice_controller_brakes", "Brakes that are on", on.count()),
            (
                "sluice_controller_brake_proxies",
                "Proxies that asked for brakes within the last half minute, of each plugin",
                self.desk.proxies(),
            ),
        ];
        for (name, help, value) in told {
            let gauge = encoder.encode_descriptor(name, help, None, MetricType::Gauge)?;
            ConstGauge::new(value as i64).encode(gauge)?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use kube::runtime::reflector::store::Writer;
    use kube::runtime::watcher::Event;
    use prometheus_client::encoding::text::encode;
    use serde_json::{Value, json};
    use sluice_core::brake::Question;

    use super::*;
    use crate::brake::counts::{Said, Why};
    use crate::brake::plugin::PluginName;

    #[test]
    fn brakes_and_those_who_ask_are_told_as_prometheus_reads_them() {
        let (desk, mut writer) = (Arc::new(Desk::default()), Writer::default());
        let written = json!({"written": "2026-01-01T00:00:00Z"});
        for (name, status) in [
            ("one", Value::Null),
            ("two", Value::Null),
            ("three", written),
        ] {
            let brake: Brake = serde_json::from_value(json!({
                "metadata": {"namespace": "shop", "name": name},
                "spec": {"plugin": "sluice", "split": "web", "by": "ann"}, "status": status,
            }))
            .unwrap();
            writer.apply_watcher_event(&Event::Apply(brake));
        }
        let question = Question {
            wait: 25,
            ..Question::default()
        };
        desk.note(&PluginName::of_envoy("shop.sluice").unwrap(), &question);
        let counts = desk.counts();
        let _connections = (counts.connection(), counts.connection());
        let held = counts.held();
        counts.said(Said::Changed);
        counts.refused(Why::Full, 2);
        counts.refused(Why::Idle, 0);
        let mut registry = Registry::default();
        register(&mut registry, &desk, writer.as_reader());
        let mut text = String::new();
        encode(&mut text, &registry).unwrap();
        let lines: Vec<&str> = text.lines().filter(|line| !line.starts_with('#')).collect();
        let expected = [
            "sluice_controller_brake_connections 2",
            "sluice_controller_brake_questions_held 1",
            "sluice_controller_brake_answers_total{answer=\"Changed\"} 1",
            "sluice_controller_brake_connections_refused_total{why=\"Full\"} 2",
            "sluice_controller_brakes 2",
            "sluice_controller_brake_proxies 1",
        ];
        assert_eq!(lines, expected);
        drop(held);
        text.clear();
        encode(&mut text, &registry).unwrap();
        assert!(
            text.contains("sluice_controller_brake_questions_held 0\n"),
            "{text}"
        );
    }
}
