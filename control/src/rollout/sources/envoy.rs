//! The Envoy of a running `sluice dev` as a source. It says what it has counted so far and no more,
//! so that what it said before is kept here.

use std::collections::{BTreeMap, BTreeSet};

use jiff::Timestamp;

use super::series::{Counted, Counter, Dialect, add_users, arms};
use super::target::{Observed, Round, Target};
use crate::local::metrics;
use crate::operations::status::directory::{Asked, asked};
use crate::operations::status::observed::{Gauge, UsersSeen};
use crate::rollout::analysis::plan::Subject;
use crate::rollout::counters::Sample;
use crate::rollout::observation::{Arms, Observation, Reading};
use crate::store::directory::Directory;

/// How many samples of a counter are kept. Chosen: each round of a window of half an hour, at an
/// interval of a second.
pub const MAX_KEPT_SAMPLES: usize = 2_000;

const TICKS: &str = "sluice_ticks_total";

/// A directory's Envoy, and what it said before.
#[derive(Clone, Debug)]
pub(super) struct Source {
    directory: Directory,
    kept: BTreeMap<(String, BTreeMap<String, String>), Vec<Sample>>,
}

impl Source {
    pub(super) fn new(directory: Directory) -> Self {
        Self {
            directory,
            kept: BTreeMap::new(),
        }
    }

    pub(super) async fn observe(&mut self, target: &Target, round: &Round<'_>) -> Observed {
        let arms = match asked(&self.directory).await {
            Ok(Asked::Answered(samples)) => self.arms(&samples, target, round),
            Ok(Asked::Nobody) => Reading::Error(format!(
                "no `sluice dev` serves {}, whose Envoy could be asked",
                self.directory.title()
            )),
            Ok(Asked::Silent(error)) | Err(error) => Reading::Error(format!("{error:#}")),
        };
        let queries = round.checks.iter();
        let queries = queries.filter(|check| matches!(check.subject, Subject::Query(_)));
        let unasked = "there is no Prometheus to ask: analysis.prometheus names one";
        Observed {
            observation: Observation {
                at: round.at,
                since: round.since,
                arms,
                queries: queries
                    .map(|check| (check.name.clone(), Reading::Error(unasked.to_owned())))
                    .collect(),
            },
            asked: Vec::new(),
        }
    }

    fn arms(
        &mut self,
        samples: &[metrics::Sample],
        target: &Target,
        round: &Round<'_>,
    ) -> Reading<Arms> {
        let dialect = Dialect::of_filter(target);
        self.keep(samples, &dialect, round);
        let counters = |wanted: &str| {
            let kept = self.kept.iter().filter(|((name, _), _)| name == wanted);
            let counter = |((_, labels), samples): (&(String, _), &Vec<Sample>)| Counter {
                labels: BTreeMap::clone(labels),
                samples: samples.clone(),
            };
            kept.map(counter).collect()
        };
        let counted = Counted {
            responses: counters(dialect.responses),
            buckets: counters(dialect.buckets),
            ticks: counters(TICKS),
        };
        let mut arms = arms(&dialect, &counted, round);
        if let Reading::Value(arms) = &mut arms {
            let gauges: Vec<Gauge<'_>> = samples.iter().map(Gauge::of_sample).collect();
            let seen = UsersSeen::joined(round.plan, &gauges);
            add_users(arms, &seen, target);
        }
        arms
    }

    /// Keeps what this round and later ones need.
    fn keep(&mut self, samples: &[metrics::Sample], dialect: &Dialect, round: &Round<'_>) {
        let names = BTreeSet::from([dialect.responses, dialect.buckets, TICKS]);
        let wanted = samples
            .iter()
            .filter(|sample| names.contains(&*sample.name));
        for sample in wanted {
            let key = (sample.name.clone(), sample.labels.clone());
            let (at, value) = (round.at, sample.value);
            self.kept.entry(key).or_default().push(Sample { at, value });
        }
        for samples in self.kept.values_mut() {
            forget(samples, round.from());
        }
        self.kept.retain(|_, samples| {
            let last = samples.last();
            last.is_some_and(|last| last.at >= round.from())
        });
    }
}

/// Leaves one sample before what is needed, and of too many every other one but the newest two,
/// between which the last round is.
fn forget(samples: &mut Vec<Sample>, needed_from: Timestamp) {
    let base = samples.iter().rposition(|sample| sample.at <= needed_from);
    samples.drain(..base.unwrap_or(0));
    if samples.len() > MAX_KEPT_SAMPLES {
        let newest = samples.len() - 2;
        let mut at = 0;
        samples.retain(|_| {
            at += 1;
            at % 2 == 1 || at > newest
        });
    }
}
