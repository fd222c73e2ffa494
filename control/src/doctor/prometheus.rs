//! What Prometheus has of the filter, and whether rollouts can be analysed by it.
//!
//! What each proxy runs is [`super::proxies`]'s. A few aggregated queries are asked, so that a fleet
//! of ten thousand proxies costs no more than a table of their scrapes.

use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use serde_json::Value;

use super::codes::Code;
use super::finding::{Finding, Look, count, named};
use super::query::{Ahead, Ground};
use super::wishes::{Metrics, Wish};
use crate::cluster::plugins::LivePlugin;
use crate::cluster::prometheus::{Outcome, Prometheus, PrometheusError, Series};

/// How many series are looked at one by one, for their scrapes.
const SEEN_SERIES: usize = 200;

/// The longest time between scrapes that a status understands: it looks back 3 minutes, and needs two.
const LONGEST_SCRAPE: Duration = Duration::from_secs(60);

/// How many scrapes a window has to have.
const SCRAPES_OF_A_WINDOW: u32 = 4;

/// What Prometheus has.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Seen {
    /// How far its clock is ahead of this machine's.
    pub ahead: Ahead,
    /// How many proxies have the filter's counter of ticks.
    pub ticking: f64,
    /// How many agents it has.
    pub agents: f64,
    /// How many series of the filter lack the labels namespace or pod.
    pub without_pods: f64,
    /// How many series of the filter have their labels in their names.
    pub without_tags: f64,
    /// How many proxies it has more than once.
    pub twice: f64,
    /// How many buckets of the filter's latencies, and of Istio's, it has.
    pub latency_buckets: f64,
    /// How many series of Istio's requests it has.
    pub istio_requests: f64,
    /// The time between two scrapes of most proxies; `None`: it is not known.
    pub scraped_every: Option<Duration>,
    /// The edges of the filter's latencies, in seconds.
    pub edges: Vec<f64>,
}

/// What Prometheus has, or why it does not say.
pub type Asked = Option<Result<Seen, String>>;

/// Asks the Prometheus that was named, if one was.
pub async fn ask(ground: &Ground<'_>) -> Asked {
    let prometheus = ground.query.prometheus?;
    Some(
        read(prometheus, ground.query.clock)
            .await
            .map_err(|error| error.to_string()),
    )
}

async fn read(prometheus: &Prometheus, clock: fn() -> Timestamp) -> Result<Seen, PrometheusError> {
    let before = clock();
    let said = prometheus.ask_number("time()").await?.outcome;
    let after = clock();
    let number = async |query: &str| {
        let series = prometheus.query(query).await?;
        Ok::<f64, PrometheusError>(
            series
                .first()
                .and_then(Series::last)
                .map_or(0.0, |last| last.1),
        )
    };
    let untagged = "{__name__=~\".*sluice_ticks_total_.+|.*sluice_config_revision_.+\"}";
    let scrapes = format!("topk({SEEN_SERIES}, sluice_ticks_total)");
    let (ticking, agents, without_pods, without_tags, twice) = tokio::try_join!(
        number("count(sluice_ticks_total)"),
        number("count(istio_agent_go_goroutines)"),
        number("count(sluice_ticks_total{namespace=\"\"} or sluice_ticks_total{pod=\"\"})"),
        async { number(&format!("count({untagged})")).await },
        number(
            "count(count by (namespace, pod, sluice_plugin) (sluice_ticks_total{pod!=\"\"}) > 1)"
        ),
    )?;
    let (latency_buckets, istio_requests, edges, top) = tokio::try_join!(
        number("count(sluice_response_time_milliseconds_bucket)"),
        number("count(istio_requests_total)"),
        prometheus.query("count by (le) (sluice_response_time_milliseconds_bucket)"),
        prometheus.query(&scrapes),
    )?;
    let scraped_every = match top.first() {
        Some(one) => scraped_every(prometheus, one).await?,
        None => None,
    };
    Ok(Seen {
        ahead: ahead(&said, before, after),
        ticking,
        agents,
        without_pods,
        without_tags,
        twice,
        latency_buckets,
        istio_requests,
        scraped_every,
        edges: edges_of(&edges),
    })
}

/// How often the job of a series is scraped, of the series that it has.
async fn scraped_every(
    prometheus: &Prometheus,
    one: &Series,
) -> Result<Option<Duration>, PrometheusError> {
    let job = one.label("job").replace('\\', "\\\\").replace('"', "\\\"");
    let up = prometheus
        .query(&format!("up{{job=\"{job}\"}}[10m]"))
        .await?;
    Ok(most_common_gap(&up))
}

/// The median of the times between two samples, over the first series.
fn most_common_gap(series: &[Series]) -> Option<Duration> {
    let mut gaps: Vec<f64> = Vec::new();
    for series in series.iter().take(SEEN_SERIES) {
        let samples = series.samples();
        gaps.extend(samples.windows(2).map(|pair| pair[1].0 - pair[0].0));
    }
    gaps.sort_by(f64::total_cmp);
    let median = gaps.get(gaps.len() / 2)?;
    Duration::try_from_secs_f64(*median).ok()
}

fn ahead(said: &Outcome, before: Timestamp, after: Timestamp) -> Ahead {
    let (Outcome::Scalar((_, text)) | Outcome::String((_, text))) = said else {
        return Ahead::default();
    };
    let seconds = text.parse::<f64>().unwrap_or_default();
    let Ok(said) = Timestamp::from_millisecond((seconds * 1000.0) as i64) else {
        return Ahead(SignedDuration::MAX);
    };
    Ahead(match () {
        () if said < before => said.duration_since(before),
        () if said > after => said.duration_since(after),
        () => SignedDuration::ZERO,
    })
}

fn edges_of(series: &[Series]) -> Vec<f64> {
    let edges = series
        .iter()
        .filter_map(|series| series.label("le").parse::<f64>().ok());
    let edges = edges.filter(|edge| edge.is_finite());
    edges.map(|milliseconds| milliseconds / 1000.0).collect()
}

/// What it means. `named`: a Prometheus that is known to be used, for who named none.
pub fn judge(asked: &Asked, live: &[LivePlugin], wishes: &[Wish], known: Option<&str>) -> Look {
    let mut look = Look::default();
    let seen = match asked {
        None => {
            let finding = Finding::new(
                Code::PrometheusUnnamed,
                "--prometheus",
                "not named",
                "the URL of the Prometheus that scrapes the proxies",
            );
            look.find(match known {
                Some(url) => finding.mended_by(format!(
                    "sluice doctor --prometheus URL; the controller asks {}",
                    crate::model::redacted::url(url)
                )),
                None => finding,
            });
            look.join(wanted(live, wishes, None));
            return look;
        }
        Some(Err(why)) => {
            let accepted = "an answer of its API";
            look.find(Finding::new(
                Code::PrometheusUnanswered,
                "--prometheus",
                why,
                accepted,
            ));
            look.join(wanted(live, wishes, None));
            return look;
        }
        Some(Ok(seen)) => seen,
    };
    look.join(scraped(seen, live));
    look.join(often(seen, wishes));
    look.join(wanted(live, wishes, Some(seen)));
    look
}

/// Whether the filter's series are there, whole and once.
fn scraped(seen: &Seen, live: &[LivePlugin]) -> Look {
    let mut look = Look::default();
    let place = "Prometheus";
    let mut find = |code, found: String, accepted: &str| {
        look.find(Finding::new(code, place, found, accepted));
    };
    if seen.without_tags > 0.0 {
        let found = format!(
            "{} series with their labels in their names",
            seen.without_tags
        );
        find(Code::PrometheusWithoutTags, found, "none");
    }
    if seen.ticking == 0.0 {
        if !live.is_empty() && seen.without_tags == 0.0 {
            let found = "no sluice_ticks_total".to_owned();
            find(
                Code::PrometheusWithoutFilter,
                found,
                "one of each proxy with the filter",
            );
        }
        return look;
    }
    if seen.without_pods > 0.0 {
        let found = format!("{} series without namespace or pod", seen.without_pods);
        find(
            Code::PrometheusWithoutPods,
            found,
            "both labels on every series",
        );
    }
    if seen.twice > 0.0 {
        let found = format!(
            "{} more than once",
            count(seen.twice as usize, "proxy", "proxies")
        );
        find(Code::PrometheusTwice, found, "one job for each pod");
    }
    if seen.agents == 0.0 {
        let found = "metrics of Envoys, and none of their agents".to_owned();
        find(
            Code::PrometheusWithoutAgents,
            found,
            "port 15020 of each pod",
        );
    }
    if look.findings.is_empty() {
        look.praise(format!(
            "Prometheus has the filter of {}",
            count(seen.ticking as usize, "proxy", "proxies")
        ));
    }
    look
}

/// Whether it scrapes often enough.
fn often(seen: &Seen, wishes: &[Wish]) -> Look {
    let mut look = Look::default();
    let Some(every) = seen.scraped_every else {
        return look;
    };
    let shortest = wishes
        .iter()
        .filter_map(|wish| Some((wish.window?, wish.rollout.as_str())))
        .min();
    let (most, why) = match shortest {
        Some((window, rollout)) if window / SCRAPES_OF_A_WINDOW < LONGEST_SCRAPE => (
            window / SCRAPES_OF_A_WINDOW,
            format!("a quarter of the window of {rollout}"),
        ),
        _ => (LONGEST_SCRAPE, "what a status understands".to_owned()),
    };
    // Scrapes come a little early or late.
    if every > most.mul_f64(1.1) {
        let found = format!("a scrape each {:.0} s", every.as_secs_f64());
        let accepted = format!("at least each {:.1} s, {why}", most.as_secs_f64());
        look.find(Finding::new(
            Code::PrometheusSeldom,
            "Prometheus",
            found,
            accepted,
        ));
    } else {
        look.praise(format!("a scrape each {:.0} s", every.as_secs_f64()));
    }
    look
}

/// Whether what the checks of Rollouts need is counted, and is there.
fn wanted(live: &[LivePlugin], wishes: &[Wish], seen: Option<&Seen>) -> Look {
    let mut look = Look::default();
    for wish in wishes {
        let place = &wish.rollout;
        match wish.metrics {
            Metrics::None => {}
            Metrics::Filters if is_without_responses(live, wish) => {
                let found = "its plugin has no responseMetrics: true";
                let accepted = "responseMetrics: true, or analysis.istio";
                look.find(Finding::new(
                    Code::ResponseMetricsOff,
                    place,
                    found,
                    accepted,
                ));
            }
            Metrics::Istios if seen.is_some_and(|seen| seen.istio_requests == 0.0) => {
                let found = "no istio_requests_total in Prometheus";
                let accepted = "Istio's standard metrics";
                look.find(Finding::new(
                    Code::IstioMetricsMissing,
                    place,
                    found,
                    accepted,
                ));
            }
            _ => {}
        }
        let edges = seen.map(|seen| seen.edges.as_slice()).unwrap_or_default();
        let is_edge = |time: &f64| edges.iter().any(|edge| (edge - time).abs() < 1e-6);
        let between = wish.latencies.iter().filter(|time| !is_edge(time));
        let between: Vec<String> = between
            .map(|time| format!("{} ms", time * 1000.0))
            .collect();
        if !edges.is_empty() && wish.metrics == Metrics::Filters && !between.is_empty() {
            let found = format!("{} between two edges", named(&between));
            let accepted = "a threshold on an edge of the histogram";
            look.find(Finding::new(
                Code::LatencyEdgesCoarse,
                place,
                found,
                accepted,
            ));
        }
    }
    look
}

/// Whether the plugin that a Rollout means counts no responses. One that is not there is no reason.
fn is_without_responses(live: &[LivePlugin], wish: &Wish) -> bool {
    let of_namespace = live
        .iter()
        .filter(|live| live.namespace() == wish.namespace);
    let is_meant = |live: &&LivePlugin| {
        let name = wish
            .plugin
            .as_deref()
            .map(|named| named.rsplit('/').next().unwrap_or(named));
        name.is_none_or(|name| name == live.name())
    };
    let meant: Vec<&LivePlugin> = of_namespace.filter(is_meant).collect();
    let counts =
        |live: &LivePlugin| live.plugin.config.get("responseMetrics") == Some(&Value::Bool(true));
    matches!(meant.as_slice(), [one] if !counts(one))
}

#[cfg(test)]
mod tests;
