//! Weights wanted beside shares measured, variant by variant.
//!
//! The filter counts its decisions by split, audience and variant (`sluice_decisions_total`).
//! Whether they come from an Envoy's admin interface or from Prometheus is the caller's affair.

use std::collections::BTreeMap;

use serde::Serialize;
use sluice_core::allocation::Percent;
use sluice_core::plan::{Plan, Split};
use sluice_core::users::Users;

use super::observed::UsersSeen;
use crate::local::metrics::Sample;
use crate::model::churn::{VariantShare, shares};

/// The labels of `sluice_decisions_total`: split, audience, variant.
pub const DECISION_LABELS: [&str; 3] = ["sluice_split", "sluice_audience", "sluice_variant"];

/// One variant's weight for one audience, and what became of it.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct WeightRow {
    /// The split.
    pub split: String,
    /// The audience.
    pub audience: String,
    /// The variant.
    pub variant: String,
    /// Its share as configured, in percent.
    pub wanted: Percent,
    /// How many requests got it; `None` where nothing was measured.
    pub requests: Option<u64>,
    /// Its share of the audience's requests, in percent; `None` where there were none.
    pub percent: Option<f64>,
    /// About how many users got it since the split last changed; `None` where no proxy is known to
    /// count them, or some proxy counts not all.
    pub users: Option<u64>,
    /// About how many of them had a failed response; as `users`.
    pub failed_users: Option<u64>,
    /// Whether some proxy has no room to count all users of the audience.
    pub users_left_out: bool,
}

/// Requests by split, audience and variant, as the filter counted them.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Measured(BTreeMap<(String, String, String), u64>);

impl Measured {
    /// From the filter's metrics.
    pub fn of(samples: &[Sample]) -> Self {
        let decisions = samples
            .iter()
            .filter(|sample| sample.name == "sluice_decisions_total");
        Self::counted(decisions.map(|sample| {
            let [split, audience, variant] =
                DECISION_LABELS.map(|label| sample.label(label).to_owned());
            ((split, audience, variant), sample.value as u64)
        }))
    }

    /// From counts by split, audience and variant.
    pub fn counted(counts: impl IntoIterator<Item = ((String, String, String), u64)>) -> Self {
        let mut measured = BTreeMap::new();
        for (key, count) in counts {
            *measured.entry(key).or_default() += count;
        }
        Self(measured)
    }

    /// What was counted since `earlier`.
    pub fn since(mut self, earlier: &Self) -> Self {
        for (key, count) in &mut self.0 {
            *count = count.saturating_sub(earlier.0.get(key).copied().unwrap_or(0));
        }
        self
    }

    fn requests(&self, split: &str, audience: &str, variant: &str) -> u64 {
        self.0
            .get(&(split.to_owned(), audience.to_owned(), variant.to_owned()))
            .copied()
            .unwrap_or(0)
    }
}

/// A row for every variant of every audience of every split, in the plan's order.
pub fn rows(plan: &Plan, measured: Option<&Measured>, users: Option<&UsersSeen>) -> Vec<WeightRow> {
    let users = users.filter(|_| plan.response_metrics());
    let rows_of = |split| shares(split).map(move |share| row(split, share, measured, users));
    plan.splits().iter().flat_map(rows_of).collect()
}

fn row(
    split: &Split,
    share: VariantShare<'_>,
    measured: Option<&Measured>,
    users: Option<&UsersSeen>,
) -> WeightRow {
    let definition = &split.definition;
    let requests = |variant: &str| {
        measured.map(|measured| measured.requests(&definition.name, &share.audience, variant))
    };
    let variants = definition.variants.iter();
    let all: Option<u64> = variants.map(|variant| requests(variant)).sum();
    let own = requests(share.variant);
    let is_left_out =
        users.is_some_and(|users| users.is_left_out(&definition.name, &share.audience));
    let users = |count: fn(&Users) -> f64| {
        let is_counted = |users: &&UsersSeen| users.is_counted(&definition.name);
        let users = users.filter(is_counted).filter(|_| !is_left_out)?;
        let seen = users.of(&definition.name, &share.audience, share.variant);
        Some(seen.map_or(0.0, count).round() as u64)
    };
    WeightRow {
        split: definition.name.to_string(),
        variant: share.variant.to_owned(),
        wanted: share.percent,
        requests: own,
        percent: own
            .zip(all)
            .filter(|(_, all)| *all > 0)
            .map(|(own, all)| own as f64 * 100.0 / all as f64),
        // Estimates: whoever failed is a user too.
        users: users(Users::users).max(users(Users::failed)),
        failed_users: users(Users::failed),
        users_left_out: is_left_out,
        audience: share.audience,
    }
}
