//! `sluice simulate`: shares, churn and correlation over many users, by the same core that decides in Envoy.

use std::path::PathBuf;

use std::collections::BTreeMap;

use serde::Serialize;
use sluice_core::plan::{Node, Plan, Split};

use super::arguments::{OutputArgs, StoreArgs};
use super::outcome::Outcome;
use super::stores;
use crate::command::output;
use crate::model::churn::audiences;
use crate::model::input;
use crate::model::statistics::{cramers_v, noise_of_v, wilson_99};

/// `sluice simulate`.
#[derive(clap::Args, Debug)]
pub(super) struct Simulate {
    /// The configuration: a file, a directory, or - for standard input [default: the store]
    #[arg(short, long, value_name = "FILE")]
    file: Option<PathBuf>,
    /// Another configuration: who would move from the first to this one
    #[arg(long, value_name = "FILE")]
    against: Option<PathBuf>,
    /// How many made-up users
    #[arg(long, default_value_t = 1_000_000, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=100_000_000))]
    users: u32,
    /// Real ids instead, one a line; - for standard input
    #[arg(long, value_name = "FILE", conflicts_with_all = ["users", "seed"])]
    ids: Option<PathBuf>,
    /// Which made-up users
    #[arg(long, default_value_t = 1, value_name = "S")]
    seed: u64,
    /// Which store holds the configuration.
    #[command(flatten)]
    store: StoreArgs,
    /// How the result is printed.
    #[command(flatten)]
    output: OutputArgs,
}

/// How many pairs of splits are correlated at most; beyond, the first ones in byte order, and it is said.
const MAX_PAIRS: usize = 1_000;

/// What a simulation found.
#[derive(Debug, PartialEq, Serialize)]
pub struct Simulation {
    /// How many users.
    pub users: u64,
    /// The share of each variant.
    pub shares: Vec<Share>,
    /// Who moves between two configurations.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub churn: Option<Vec<Churn>>,
    /// How much two splits agree, for everyone.
    pub correlations: Vec<Correlation>,
    /// How many pairs of splits were not looked at.
    #[serde(rename = "correlationsLeftOut")]
    pub correlations_left_out: usize,
}

/// The share of one variant.
#[derive(Debug, PartialEq, Serialize)]
pub struct Share {
    /// The split.
    pub split: String,
    /// The audience.
    pub audience: String,
    /// The variant.
    pub variant: String,
    /// What the configuration says, in percent.
    pub wanted: f64,
    /// What the users got, in percent.
    pub percent: f64,
    /// The 99 % interval, in percent.
    pub interval: [f64; 2],
}

/// Users who go from one variant to another (or stay).
#[derive(Debug, PartialEq, Serialize)]
pub struct Churn {
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

pub(super) async fn run(arguments: &Simulate) -> anyhow::Result<Outcome> {
    let plan = stores::plugin(arguments.file.as_deref(), &arguments.store)
        .await?
        .plan(&Node::default())?;
    let against = arguments
        .against
        .as_deref()
        .map(crate::model::plugin::plugin)
        .transpose()?;
    let against = against
        .map(|plugin| plugin.plan(&Node::default()))
        .transpose()?;
    let users = match &arguments.ids {
        Some(file) => Users::Given(
            input::text(file)?
                .lines()
                .filter(|id| !id.is_empty())
                .map(Into::into)
                .collect(),
        ),
        None => Users::MadeUp {
            number: arguments.users,
            seed: arguments.seed,
        },
    };
    let simulation = simulate(&plan, against.as_ref(), &users);
    output::print(arguments.output.output, &simulation, text)?;
    Ok(Outcome::Good)
}

/// Who is simulated.
pub enum Users {
    /// Ids as they are.
    Given(Vec<Box<str>>),
    /// So many made-up ids.
    MadeUp {
        /// How many.
        number: u32,
        /// Which ones.
        seed: u64,
    },
}

impl Users {
    fn number(&self) -> usize {
        match self {
            Self::Given(ids) => ids.len(),
            Self::MadeUp { number, .. } => *number as usize,
        }
    }

    /// The bucket of every user in a split.
    fn buckets(&self, split: &Split) -> Vec<u32> {
        let workers = std::thread::available_parallelism().map_or(1, |number| number.get());
        let chunk = self.number().div_ceil(workers).max(1);
        let mut buckets = vec![0; self.number()];
        std::thread::scope(|scope| {
            for (part, chunk_buckets) in buckets.chunks_mut(chunk).enumerate() {
                scope.spawn(move || self.fill(split, part * chunk, chunk_buckets));
            }
        });
        buckets
    }

    fn fill(&self, split: &Split, first: usize, buckets: &mut [u32]) {
        match self {
            Self::Given(ids) => {
                for (bucket, id) in buckets.iter_mut().zip(ids.iter().skip(first)) {
                    *bucket = split.seed.bucket(id.as_bytes());
                }
            }
            Self::MadeUp { seed, .. } => {
                let mut id = Vec::new();
                for (place, bucket) in buckets.iter_mut().enumerate() {
                    id.clear();
                    use std::io::Write as _;
                    let _ = write!(id, "user-{seed}-{}", first + place);
                    *bucket = split.seed.bucket(&id);
                }
            }
        }
    }
}

/// Draws every user in every split and audience.
pub fn simulate(plan: &Plan, against: Option<&Plan>, users: &Users) -> Simulation {
    let number = users.number() as u64;
    let mut shares = Vec::new();
    let mut churn = against.map(|_| Vec::new());
    let mut variants_of_everyone: Vec<(String, Vec<u8>)> = Vec::new();
    for split in plan.splits() {
        let buckets = users.buckets(split);
        for (audience, rule) in audiences(split) {
            let allocation = split.allocation(rule);
            let drawn: Vec<u8> = buckets
                .iter()
                .map(|&bucket| allocation.variant(bucket))
                .collect();
            shares.extend(shares_of(split, &audience, rule, &drawn));
            if let (Some(churn), Some(later)) = (
                &mut churn,
                against.and_then(|plan| plan.split_named(&split.definition.name)),
            ) {
                churn.extend(churn_of(split, later, &audience, &drawn, users));
            }
            if rule.is_none()
                && variants_of_everyone.len() * variants_of_everyone.len() / 2 < MAX_PAIRS
            {
                variants_of_everyone.push((split.definition.name.to_string(), drawn));
            }
        }
    }
    let correlations = correlations(&variants_of_everyone, number);
    let all = plan.splits().len();
    let looked_at = variants_of_everyone.len();
    let pairs = |splits: usize| splits * splits.saturating_sub(1) / 2;
    Simulation {
        users: number,
        shares,
        churn,
        correlations,
        correlations_left_out: pairs(all) - pairs(looked_at),
    }
}

fn shares_of(split: &Split, audience: &str, rule: Option<usize>, drawn: &[u8]) -> Vec<Share> {
    let number = drawn.len() as u64;
    let mut hits = vec![0_u64; split.definition.variants.len()];
    for &variant in drawn {
        if let Some(hit) = hits.get_mut(usize::from(variant)) {
            *hit += 1;
        }
    }
    let share = |((variant, hits), place): ((&str, u64), u8)| {
        let (low, high) = wilson_99(hits, number);
        Share {
            split: split.definition.name.to_string(),
            audience: audience.to_owned(),
            variant: variant.to_string(),
            wanted: split.allocation(rule).share(place).as_f64(),
            percent: percent(hits, number),
            interval: [rounded(low), rounded(high)],
        }
    };
    split
        .definition
        .variants
        .iter()
        .map(AsRef::as_ref)
        .zip(hits)
        .zip(0_u8..)
        .map(share)
        .collect()
}

fn churn_of(
    split: &Split,
    later: &Split,
    audience: &str,
    drawn: &[u8],
    users: &Users,
) -> Vec<Churn> {
    let rule = later
        .definition
        .rules
        .iter()
        .position(|rule| *rule.name == *audience);
    if rule.is_none() && audience != sluice_core::plan::EVERYONE {
        return Vec::new();
    }
    let allocation = later.allocation(rule);
    let mut table: BTreeMap<(u8, u8), u64> = BTreeMap::new();
    for (&before, bucket) in drawn.iter().zip(users.buckets(later)) {
        *table
            .entry((before, allocation.variant(bucket)))
            .or_default() += 1;
    }
    let name = |split: &Split, place: u8| {
        split
            .definition
            .variants
            .get(usize::from(place))
            .map_or("", AsRef::as_ref)
            .to_owned()
    };
    let row = |((from, to), number): ((u8, u8), u64)| Churn {
        split: split.definition.name.to_string(),
        audience: audience.to_owned(),
        from: name(split, from),
        to: name(later, to),
        users: number,
        percent: percent(number, drawn.len() as u64),
    };
    table.into_iter().map(row).collect()
}

fn correlations(drawn: &[(String, Vec<u8>)], users: u64) -> Vec<Correlation> {
    let mut all = Vec::new();
    for (place, (one, one_drawn)) in drawn.iter().enumerate() {
        for (other, other_drawn) in drawn.iter().skip(place + 1) {
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

fn text(simulation: &Simulation) -> String {
    let share = |share: &Share| {
        let [low, high] = share.interval;
        [
            share.split.clone(),
            share.audience.clone(),
            share.variant.clone(),
            share.wanted.to_string(),
            format!("{:.4}", share.percent),
            format!("{low:.4} to {high:.4}"),
        ]
    };
    let mut text = format!("{} users\n\n", simulation.users);
    text += &output::table(
        [
            "SPLIT",
            "AUDIENCE",
            "VARIANT",
            "WANTED",
            "PERCENT",
            "99 % INTERVAL",
        ],
        simulation.shares.iter().map(share),
    );
    if let Some(churn) = &simulation.churn {
        let row = |row: &Churn| {
            [
                row.split.clone(),
                row.audience.clone(),
                row.from.clone(),
                row.to.clone(),
                row.users.to_string(),
                format!("{:.4}", row.percent),
            ]
        };
        text += "\n";
        text += &output::table(
            ["SPLIT", "AUDIENCE", "FROM", "TO", "USERS", "PERCENT"],
            churn.iter().map(row),
        );
    }
    if !simulation.correlations.is_empty() {
        let row = |row: &Correlation| {
            let verdict = if row.is_correlated {
                "correlated"
            } else {
                "independent"
            };
            [
                row.splits.join(" ~ "),
                format!("{:.6}", row.cramers_v),
                verdict.to_owned(),
            ]
        };
        text += "\n";
        text += &output::table(
            ["SPLITS", "CRAMER'S V", "VERDICT"],
            simulation.correlations.iter().map(row),
        );
    }
    if simulation.correlations_left_out > 0 {
        text += &format!(
            "\n{} more pairs of splits were not correlated\n",
            simulation.correlations_left_out
        );
    }
    text
}
