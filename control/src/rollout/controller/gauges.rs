//! Gauges of which each Rollout has some: how they are named, and encoded when somebody asks.
//!
//! What they say is [`super::metrics`]' and its parts'.

use std::fmt;

use prometheus_client::encoding::{DescriptorEncoder, EncodeMetric as _, MetricEncoder};
use prometheus_client::metrics::MetricType;
use prometheus_client::metrics::gauge::ConstGauge;

use super::index::{Index, Known};

/// The label of a Rollout's or a plugin's namespace. Not `namespace`: that is the scraped pod's, which a
/// Prometheus puts in its place unless it is told to honour labels.
pub(super) const NAMESPACE: &str = "sluice_namespace";

/// Labels with their values.
pub(super) type Labels = Vec<(&'static str, String)>;

/// Names a gauge.
pub(super) fn gauge<'e>(
    encoder: &'e mut DescriptorEncoder<'_>,
    name: &'e str,
    help: &str,
) -> Result<MetricEncoder<'e>, fmt::Error> {
    encoder.encode_descriptor(name, help, None, MetricType::Gauge)
}

/// Some values of each Rollout, with more labels than its name.
pub(super) fn each(
    index: &Index,
    mut encoder: MetricEncoder<'_>,
    values: impl Fn(&Known) -> Vec<(Labels, f64)>,
) -> fmt::Result {
    let mut result = Ok(());
    index.each(|namespace, rollout, known| {
        for (more, value) in values(known) {
            let mut labels: Labels = vec![
                (NAMESPACE, namespace.to_owned()),
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
