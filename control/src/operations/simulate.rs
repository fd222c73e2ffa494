//! Shares, churn and correlation over many users, drawn by the same core that decides in Envoy.
//!
//! Whole populations are drawn, so the answer is what the users get and not what the weights ask
//! for. Where the configurations come from, and how the report is printed, is the command's.

mod users;

use std::collections::BTreeMap;

use serde::Serialize;
use sluice_core::allocation::Percent;
use sluice_core::index::VariantIndex;
use sluice_core::plan::{Plan, Split};

use crate::model::churn::{self, VariantShare, audiences};
use crate::model::statistics::{cramers_v, noise_of_v, wilson_99};
pub use users::Users;

/// How many pairs of splits are correlated at most; beyond, the first ones in byte order, and it is
/// said.
const MAX_PAIRS: usize = 1_000;

/// What a simulation found; serialized, it is the JSON of `sluice simulate`.
#[derive(Debug, PartialEq, Serialize)]
pub struct SimulationReport {
    /// How many users.
    pub users: u64,
    /// The share of each variant.
    pub shares: Vec<SimulatedShare>,
    /// Who moves between two configurations.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub churn: Option<Vec<SimulatedChurn>>,
    /// How much two splits agree, for everyone.
    pub correlations: Vec<Correlation>,
    /// How many pairs of splits were not looked at.
    #[serde(rename = "correlationsLeftOut")]
    pub correlations_left_out: usize,
}

/// The share of one variant.
#[derive(Debug, PartialEq, Serialize)]
pub struct SimulatedShare {
    /// The split.
    pub split: String,
    /// The audience.
    pub audience: String,
    /// The variant.
    pub variant: String,
    /// What the configuration says, in percent.
    pub wanted: Percent,
    /// What the users got, in percent.
    pub percent: f64,
    /// The 99 % interval, in percent.
    pub interval: [f64; 2],
}

/// Users who go from one variant to another (or stay).
#[derive(Debug, PartialEq, Serialize)]
pub struct SimulatedChurn {
    /// The split.
    pub split: String,
    /// The audience.
    pub audience: String,
    /// Before.
    pub from: String,
    /// After.
    pub to: String,
    /// How many.
    pub users: u64,
    /// In percent of all.
    pub percent: f64,
}

/// How much two splits agree.
#[derive(Debug, PartialEq, Serialize)]
pub struct Correlation {
    /// Both splits.
    pub splits: [String; 2],
    /// Cramér's V, 0 to 1.
    #[serde(rename = "cramersV")]
    pub cramers_v: f64,
    /// Whether V is above what chance explains.
    #[serde(rename = "isCorrelated")]
    pub is_correlated: bool,
}

/// Draws every user of both plans in every split and audience of the first.
pub fn simulate(plan: &Plan, against: Option<&Plan>, users: &Users) -> SimulationReport {
    let mut shares = Vec::new();
    let mut churn = against.map(|_| Vec::new());
    let mut everyone: Vec<(String, Vec<VariantIndex>)> = Vec::new();
    for split in plan.splits() {
        let buckets = users.buckets(split);
        let later = against.and_then(|plan| plan.split_named(&split.definition.name));
        for (audience, rule) in audiences(split) {
            let allocation = split.allocation(rule);
            let drawn: Vec<VariantIndex> = buckets
                .iter()
                .map(|&bucket| allocation.variant(bucket))
                .collect();
            shares.extend(shares_of(split, &audience, rule, &drawn));
            if let (Some(churn), Some(later)) = (&mut churn, later) {
                churn.extend(churn_of(split, later, &audience, &drawn, users));
            }
            if rule.is_none() && everyone.len() * everyone.len() / 2 < MAX_PAIRS {
                everyone.push((split.definition.name.to_string(), drawn));
            }
        }
    }
    let pairs = |splits: usize| splits * splits.saturating_sub(1) / 2;
    SimulationReport {
        users: users.number() as u64,
        shares,
        churn,
        correlations: correlations(&everyone, users.number() as u64),
        correlations_left_out: pairs(plan.splits().len()) - pairs(everyone.len()),
    }
}

fn shares_of(
    split: &Split,
    audience: &str,
    rule: Option<usize>,
    drawn: &[VariantIndex],
) -> Vec<SimulatedShare> {
    let number = drawn.len() as u64;
    let mut hits = vec![0_u64; split.definition.variants.len()];
    for &variant in drawn {
        if let Some(hit) = hits.get_mut(usize::from(variant)) {
            *hit += 1;
        }
    }
    let simulated = |(share, hits): (VariantShare<'_>, u64)| {
        let (low, high) = wilson_99(hits, number);
        SimulatedShare {
            split: split.definition.name.to_string(),
            audience: share.audience,
            variant: share.variant.to_owned(),
            wanted: share.percent,
            percent: percent(hits, number),
            interval: [rounded(low), rounded(high)],
        }
    };
    let shares = churn::shares_of(split, audience.to_owned(), rule);
    shares.zip(hits).map(simulated).collect()
}

fn churn_of(
    split: &Split,
    later: &Split,
    audience: &str,
    drawn: &[VariantIndex],
    users: &Users,
) -> Vec<SimulatedChurn> {
    let rule = later
        .definition
        .rules
        .iter()
        .position(|rule| *rule.name == *audience);
    if rule.is_none() && audience != sluice_core::plan::EVERYONE {
        return Vec::new();
    }
    let allocation = later.allocation(rule);
    let mut table: BTreeMap<(VariantIndex, VariantIndex), u64> = BTreeMap::new();
    for (&before, bucket) in drawn.iter().zip(users.buckets(later)) {
        *table
            .entry((before, allocation.variant(bucket)))
            .or_default() += 1;
    }
    let name = |split: &Split, index: VariantIndex| split.definition.variant_name(index).to_owned();
    let row = |((from, to), number): ((VariantIndex, VariantIndex), u64)| SimulatedChurn {
        split: split.definition.name.to_string(),
        audience: audience.to_owned(),
        from: name(split, from),
        to: name(later, to),
        users: number,
        percent: percent(number, drawn.len() as u64),
    };
    table.into_iter().map(row).collect()
}

fn correlations(drawn: &[(String, Vec<VariantIndex>)], users: u64) -> Vec<Correlation> {
    let mut all = Vec::new();
    for (index, (one, one_drawn)) in drawn.iter().enumerate() {
        for (other, other_drawn) in drawn.iter().skip(index + 1) {
            let mut table = vec![vec![0_u64; 8]; 8];
            for (&row, &column) in one_drawn.iter().zip(other_drawn) {
                table[usize::from(row)][usize::from(column)] += 1;
            }
            if let Some(v) = cramers_v(&table) {
                let is_correlated = v > noise_of_v(users);
                all.push(Correlation {
                    splits: [one.clone(), other.clone()],
                    cramers_v: (v * 1e6).round() / 1e6,
                    is_correlated,
                });
            }
        }
    }
    all
}

fn percent(part: u64, whole: u64) -> f64 {
    if whole == 0 {
        0.0
    } else {
        rounded(part as f64 * 100.0 / whole as f64)
    }
}

fn rounded(percent: f64) -> f64 {
    (percent * 10_000.0).round() / 10_000.0
}
