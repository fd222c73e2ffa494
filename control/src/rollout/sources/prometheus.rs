//! A Prometheus as a source: raw samples of what proxies counted, the users whom they joined, and
//! people's own queries, all asked at once and each for itself.

use std::collections::BTreeMap;
use std::time::Duration;

use futures::StreamExt as _;
use jiff::Timestamp;

use super::istio;
use super::query::{duration, filled, partial, reading};
use super::series::{Counted, Counter, Dialect, add_users, arms};
use super::target::{Asked, Observed, Purpose, Round, Target};
use crate::cluster::prometheus::{Answer, Outcome, Prometheus, PrometheusError, Series};
use crate::operations::status::observed::{Gauge, UsersSeen, WORD_GAUGES};
use crate::rollout::analysis::plan::{Istio, Subject};
use crate::rollout::counters::Sample;
use crate::rollout::observation::{Observation, Reading};

/// How many queries of one round are under way at once. Chosen: Prometheus runs 20 by default, and
/// others ask too.
pub const MAX_QUERIES_AT_ONCE: usize = 6;

/// How much further back than a window samples are read: two scrapes at Prometheus' default
/// interval of a minute, so that there is one before it.
const BASE: Duration = Duration::from_secs(180);

/// The furthest that samples are read back. Chosen: the longest window twice.
const LONGEST_LOOK_BACK: Duration = Duration::from_secs(2 * 24 * 3_600);

/// How old a proxy's last word on its users may be; Prometheus' own look-back.
const USERS_WITHIN: Duration = Duration::from_secs(300);

/// A Prometheus, and whose metrics it is asked for.
#[derive(Clone, Debug)]
pub(super) struct Source {
    pub(super) server: Prometheus,
    /// `None`: the filter's own.
    pub(super) istio: Option<Istio>,
}

impl Source {
    pub(super) async fn observe(&self, target: &Target, round: &Round<'_>) -> Observed {
        let dialect = self.dialect(target);
        let asked = asked(&dialect, target, round);
        let ask = |(purpose, query): (Purpose, String)| async move {
            let answer = match purpose {
                Purpose::Check(_) => self.server.ask_number(&query).await,
                _ => self.server.ask(&query).await,
            };
            (purpose, query, answer)
        };
        let answers = futures::stream::iter(asked).map(ask);
        let answers: Vec<_> = answers.buffered(MAX_QUERIES_AT_ONCE).collect().await;
        let mut found = Found::default();
        let mut asked = Vec::with_capacity(answers.len());
        for (purpose, query, answer) in answers {
            let trouble = found.take(&purpose, answer).err();
            asked.push(Asked {
                purpose,
                query,
                trouble,
            });
        }
        Observed {
            observation: found.observation(dialect, target, round),
            asked,
        }
    }

    fn dialect(&self, target: &Target) -> Dialect {
        match &self.istio {
            Some(metrics) => istio::dialect(metrics, target),
            None => Dialect::of_filter(target),
        }
    }
}

/// The queries of a round.
fn asked(dialect: &Dialect, target: &Target, round: &Round<'_>) -> Vec<(Purpose, String)> {
    let names = target.plugin_names.iter();
    let names: Vec<String> = names.map(|name| name.replace('.', "\\\\.")).collect();
    let plugin = format!("sluice_plugin=~\"{}\"", names.join("|"));
    let back = round.at.duration_since(round.from());
    let back = Duration::try_from(back).unwrap_or_default();
    let range = (back + BASE).min(LONGEST_LOOK_BACK);
    let subjects = || round.checks.iter().map(|check| &check.subject);
    let ticks = format!("sluice_ticks_total{{{plugin}}}[{}]", duration(range));
    let responses = dialect.query(dialect.responses, range);
    let mut asked = vec![(Purpose::Responses, responses), (Purpose::Proxies, ticks)];
    if subjects().any(|subject| matches!(subject, Subject::Latency(_))) {
        asked.push((Purpose::Times, dialect.query(dialect.buckets, range)));
    }
    if subjects().any(|subject| matches!(subject, Subject::FailedUsers | Subject::SampleRatio)) {
        let names = WORD_GAUGES.join("|");
        let generation = "sluice_users_generation";
        let matchers = format!("{plugin},sluice_split=\"{}\"", target.split);
        let within = duration(USERS_WITHIN);
        let users = format!(
            "last_over_time({{__name__=~\"{generation}|{names}\",{matchers}}}[{within}]) > 0"
        );
        asked.push((Purpose::Users, users));
    }
    for check in round.checks {
        if let Subject::Query(query) = &check.subject {
            let interval = check.interval.unwrap_or(round.interval);
            let query = filled(query, target, round.window, interval);
            asked.push((Purpose::Check(check.name.clone()), query));
        }
    }
    asked
}

/// What the answers say, each with what went wrong with it alone.
#[derive(Debug, Default)]
struct Found {
    counted: Counted,
    users: Option<Vec<Series>>,
    /// Why nothing can be said of the variants.
    trouble: Option<String>,
    queries: BTreeMap<String, Reading<f64>>,
}

impl Found {
    fn take(
        &mut self,
        purpose: &Purpose,
        answer: Result<Answer, PrometheusError>,
    ) -> Result<(), String> {
        if let Purpose::Check(name) = purpose {
            let answer = answer.map_err(told);
            let reading = answer.map_or_else(Reading::Error, |answer| reading(&answer));
            let why = match &reading {
                Reading::Error(why) => Err(why.clone()),
                Reading::Value(_) | Reading::NoData => Ok(()),
            };
            self.queries.insert(name.clone(), reading);
            return why;
        }
        let series = match answer.map_err(told).and_then(series) {
            Ok(series) => series,
            Err(why) => {
                // Without times or users, what needs them has no data.
                if matches!(purpose, Purpose::Responses | Purpose::Proxies) {
                    self.trouble = Some(why.clone());
                }
                return Err(why);
            }
        };
        match purpose {
            Purpose::Responses => self.counted.responses = counters(&series),
            Purpose::Times => self.counted.buckets = counters(&series),
            Purpose::Proxies => self.counted.ticks = counters(&series),
            Purpose::Users => self.users = Some(series),
            Purpose::Check(_) => {}
        }
        Ok(())
    }

    fn observation(
        mut self,
        mut dialect: Dialect,
        target: &Target,
        round: &Round<'_>,
    ) -> Observation {
        let Counted {
            responses, buckets, ..
        } = &mut self.counted;
        if let Some(witness) = istio::of_best_reporter([responses, buckets]) {
            dialect.witness = witness;
        }
        let mut arms = match self.trouble {
            Some(why) => Reading::Error(why),
            None => arms(&dialect, &self.counted, round),
        };
        if let (Reading::Value(arms), Some(users)) = (&mut arms, &self.users) {
            let gauges: Vec<Gauge<'_>> = users.iter().filter_map(Gauge::of_series).collect();
            let seen = UsersSeen::joined(round.plan, &gauges);
            add_users(arms, &seen, target);
        }
        Observation {
            at: round.at,
            since: round.since,
            arms,
            queries: self.queries,
        }
    }
}

/// An error with its causes; they hold no secrets.
fn told(error: PrometheusError) -> String {
    format!("{:#}", anyhow::Error::new(error))
}

/// The series of an answer that is whole.
fn series(answer: Answer) -> Result<Vec<Series>, String> {
    if let Some(partial) = partial(&answer) {
        return Err(partial);
    }
    match answer.outcome {
        Outcome::Matrix(series) | Outcome::Vector(series) => Ok(series),
        Outcome::Scalar(_) | Outcome::String(_) => Err("an answer without series".to_owned()),
    }
}

fn counters(series: &[Series]) -> Vec<Counter> {
    let counter = |series: &Series| Counter {
        labels: series.labels().clone(),
        samples: series.samples().into_iter().filter_map(sample).collect(),
    };
    series.iter().map(counter).collect()
}

fn sample((seconds, value): (f64, f64)) -> Option<Sample> {
    let milliseconds = (seconds * 1_000.0).round();
    let at = Timestamp::from_millisecond(milliseconds as i64).ok()?;
    Some(Sample { at, value })
}
