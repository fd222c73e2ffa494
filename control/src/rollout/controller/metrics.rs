//! What the controller counts, and how far each Rollout is when somebody asks.

use std::fmt;
use std::sync::Weak;
use std::time::Duration;

use prometheus_client::collector::Collector;
use prometheus_client::encoding::{DescriptorEncoder, EncodeMetric as _, MetricEncoder};
use prometheus_client::metrics::MetricType;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::ConstGauge;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::registry::Registry;

use super::index::{Index, Known};
use crate::rollout::engine::EventKind;

/// The upper bounds of the buckets of how long a look takes, in seconds. Chosen: from one request to
/// what people notice.
const BUCKETS: [f64; 7] = [0.005, 0.02, 0.1, 0.5, 2.0, 10.0, 60.0];

/// Labels with their values.
type Labels = Vec<(&'static str, String)>;

/// Everything that is counted.
#[derive(Clone, Debug)]
pub(super) struct Metrics {
    looks: Histogram,
    failed: Counter,
    unremembered: Counter,
    events: Family<Labels, Counter>,
}

impl Metrics {
    /// Nothing yet.
    pub(super) fn new() -> Self {
        Self {
            looks: Histogram::new(BUCKETS),
            failed: Counter::default(),
            unremembered: Counter::default(),
            events: Family::default(),
        }
    }

    /// A look took so long.
    pub(super) fn looked(&self, took: Duration, is_good: bool) {
        self.looks.observe(took.as_secs_f64());
        if !is_good {
            self.failed.inc();
        }
    }

    /// An ended run could not be remembered.
    pub(super) fn unremembered(&self) {
        self.unremembered.inc();
    }

    /// Something happened to a Rollout.
    pub(super) fn happened(&self, kind: EventKind) {
        let labels = vec![("event", format!("{kind:?}"))];
        self.events.get_or_create(&labels).inc();
    }

    /// Names them.
    pub(super) fn register(&self, registry: &mut Registry) {
        let looks = "How long a look at a Rollout took";
        registry.register(
            "sluice_rollout_reconcile_seconds",
            looks,
            self.looks.clone(),
        );
        let failed = "Looks that failed";
        registry.register(
            "sluice_rollout_reconcile_errors",
            failed,
            self.failed.clone(),
        );
        let unremembered = "Ended runs that could not be remembered";
        registry.register(
            "sluice_rollout_unremembered",
            unremembered,
            self.unremembered.clone(),
        );
        let events = "What happened to Rollouts";
        registry.register("sluice_rollout_events", events, self.events.clone());
    }
}

/// How far each Rollout is.
pub(super) struct HowFar<I> {
    /// What tells; it may be gone while somebody still asks.
    pub(super) of: Weak<I>,
}

/// What tells of every Rollout, and whether it leads.
pub(super) trait Told: Send + Sync + 'static {
    /// Every Rollout that is there.
    fn index(&self) -> &Index;

    /// Whether this process leads.
    fn leads(&self) -> bool;
}

impl<I> fmt::Debug for HowFar<I> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("HowFar")
    }
}

impl<I: Told> Collector for HowFar<I> {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> fmt::Result {
        let Some(of) = self.of.upgrade() else {
            return Ok(());
        };
        let leads = gauge(
            &mut encoder,
            "sluice_controller_leads",
            "Whether this process runs the Rollouts",
        )?;
        ConstGauge::new(i64::from(of.leads())).encode(leads)?;
        let index = of.index();
        let phase = gauge(
            &mut encoder,
            "sluice_rollout_phase",
            "1 for what a Rollout does",
        )?;
        each(index, phase, |known| {
            vec![(vec![("phase", format!("{:?}", known.status.phase))], 1.0)]
        })?;
        let step = gauge(
            &mut encoder,
            "sluice_rollout_step",
            "The step of the last run, from 1",
        )?;
        each(index, step, |known| {
            let run = known.status.run.iter();
            run.map(|run| (Vec::new(), (run.step + 1) as f64)).collect()
        })?;
        let steps = gauge(
            &mut encoder,
            "sluice_rollout_steps",
            "How many steps a Rollout has",
        )?;
        each(index, steps, |known| {
            let summary = known.summary.iter();
            summary
                .map(|summary| (Vec::new(), summary.steps as f64))
                .collect()
        })?;
        let weight = gauge(
            &mut encoder,
            "sluice_rollout_weight_wanted",
            "The challenger's weight that a run under way wants, in percent",
        )?;
        each(index, weight, |known| {
            let run = known
                .status
                .run
                .as_ref()
                .filter(|_| known.status.phase.is_under_way());
            let wanted = run.into_iter().flat_map(|run| &run.wanted);
            wanted
                .map(|(audience, percent)| (vec![("audience", audience.clone())], percent.as_f64()))
                .collect()
        })
    }
}

fn gauge<'e>(
    encoder: &'e mut DescriptorEncoder<'_>,
    name: &'e str,
    help: &str,
) -> Result<MetricEncoder<'e>, fmt::Error> {
    encoder.encode_descriptor(name, help, None, MetricType::Gauge)
}

/// Some values of each Rollout, with more labels than its name.
fn each(
    index: &Index,
    mut encoder: MetricEncoder<'_>,
    values: impl Fn(&Known) -> Vec<(Labels, f64)>,
) -> fmt::Result {
    let mut result = Ok(());
    index.each(|namespace, rollout, known| {
        for (more, value) in values(known) {
            let mut labels: Labels = vec![
                ("namespace", namespace.to_owned()),
                ("rollout", rollout.to_owned()),
            ];
            labels.extend(more);
            let encoded = encoder.encode_family(&labels);
            let encoded = encoded.and_then(|encoder| ConstGauge::new(value).encode(encoder));
            if encoded.is_err() {
                result = encoded;
            }
        }
    });
    result
}

#[cfg(test)]
mod tests {
    use super::*;
    use prometheus_client::encoding::text::encode;
    use serde_json::json;

    struct Teller(Index);

    impl Told for Teller {
        fn index(&self) -> &Index {
            &self.0
        }

        fn leads(&self) -> bool {
            true
        }
    }

    #[test]
    fn counts_and_rollouts_are_told_as_prometheus_reads_them() {
        let metrics = Metrics::new();
        metrics.looked(Duration::from_millis(250), true);
        metrics.looked(Duration::from_secs(100), false);
        metrics.happened(EventKind::Stepped);
        let index = Index::default();
        let rollout = json!({
            "metadata": {"name": "web", "namespace": "shop"},
            "spec": {"split": "web", "preset": "progressive"},
            "status": {"phase": "Progressing", "run": {
                "number": 1, "began": "2026-11-21T00:00:00Z", "since": "2026-11-21T00:00:00Z", "step": 1,
                "stage": "Holding", "weights": {"a\"b": 5}, "wanted": {"a\"b": 10},
            }},
        });
        index.note(&serde_json::from_value(rollout).unwrap());
        let mut registry = Registry::default();
        metrics.register(&mut registry);
        let of = std::sync::Arc::new(Teller(index));
        let told = std::sync::Arc::downgrade(&of);
        registry.register_collector(Box::new(HowFar { of: told }));
        let mut text = String::new();
        encode(&mut text, &registry).unwrap();
        let lines: Vec<&str> = text.lines().filter(|line| !line.starts_with('#')).collect();
        let expected = [
            "sluice_rollout_reconcile_seconds_sum 100.25",
            "sluice_rollout_reconcile_seconds_count 2",
            "sluice_rollout_reconcile_seconds_bucket{le=\"0.005\"} 0",
            "sluice_rollout_reconcile_seconds_bucket{le=\"0.02\"} 0",
            "sluice_rollout_reconcile_seconds_bucket{le=\"0.1\"} 0",
            "sluice_rollout_reconcile_seconds_bucket{le=\"0.5\"} 1",
            "sluice_rollout_reconcile_seconds_bucket{le=\"2.0\"} 1",
            "sluice_rollout_reconcile_seconds_bucket{le=\"10.0\"} 1",
            "sluice_rollout_reconcile_seconds_bucket{le=\"60.0\"} 1",
            "sluice_rollout_reconcile_seconds_bucket{le=\"+Inf\"} 2",
            "sluice_rollout_reconcile_errors_total 1",
            "sluice_rollout_unremembered_total 0",
            "sluice_rollout_events_total{event=\"Stepped\"} 1",
            "sluice_controller_leads 1",
            "sluice_rollout_phase{namespace=\"shop\",rollout=\"web\",phase=\"Progressing\"} 1.0",
            "sluice_rollout_step{namespace=\"shop\",rollout=\"web\"} 2.0",
            "sluice_rollout_steps{namespace=\"shop\",rollout=\"web\"} 7.0",
            "sluice_rollout_weight_wanted{namespace=\"shop\",rollout=\"web\",audience=\"a\\\"b\"} 10.0",
        ];
        assert_eq!(lines, expected);
    }
}
