//! Which proxies run which revision, from what Prometheus scraped of them: pure, from series to
//! states.
//!
//! A filter that was replaced leaves its gauges behind; only its ticks stop. So ticks decide
//! whether a proxy has the filter at all, and the agent's own counters (Istio's
//! pkg/wasm/monitoring.go) say what it last tried to fetch.

use std::fmt;

use serde::Serialize;
use sluice_core::revision::Revision;

use super::delivery::{Delivery, Times};
use super::scraped::Scraped;
use super::text;
use crate::cluster::pods::Proxy;
use crate::cluster::prometheus::{Series, is_of};

/// How far apart two samples of the ticks must be to tell. The filter counts each second and
/// Envoy's statistics follow; chosen: three ticks.
const TICKS_SECONDS: f64 = 3.0;

/// What a proxy does with the plugin.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "camelCase", tag = "state")]
pub enum State {
    /// It runs the wanted revision.
    Converged,
    /// It runs another one, as of a scrape (seconds since 1970).
    Other {
        /// Which.
        revision: String,
        /// When.
        scraped_at: f64,
        /// How far the wanted one has come.
        delivery: Delivery,
    },
    /// It refused the configuration and kept an earlier one.
    Refused,
    /// It does not run the filter.
    WithoutFilter {
        /// Why, likely.
        #[serde(serialize_with = "text::one")]
        cause: Absence,
    },
    /// Prometheus does not tell.
    Unknown {
        /// Why.
        #[serde(serialize_with = "text::one")]
        cause: Blindness,
    },
}

/// Why a proxy has no filter, as far as its agent's last fetch tells.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Absence {
    /// The agent fetched nothing.
    NothingFetched,
    /// Not told: Prometheus scrapes Envoy, and not its agent.
    AgentNotScraped,
    /// What it found is not what the plugin pins.
    OtherDigest,
    /// The registry gave no image.
    NoImage,
    /// The registry gave no layer, or one without a module.
    NoModule,
    /// It has the module, and Envoy does not run it.
    NotRun,
    /// It fetched something else.
    NotWasm,
    /// A result of the agent's that is not known here.
    Other(String),
}

impl Absence {
    /// From the label `result` of `istio_agent_wasm_remote_fetch_count`.
    fn of(result: &str) -> Self {
        match result {
            "checksum_mismatched" => Self::OtherDigest,
            "manifest_failure" => Self::NoImage,
            "download_failure" => Self::NoModule,
            "success" => Self::NotRun,
            "fetch_failure" => Self::NotWasm,
            other => Self::Other(other.to_owned()),
        }
    }
}

impl fmt::Display for Absence {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(match self {
            Self::NothingFetched => {
                "its agent fetched nothing: the plugin may be newer than the last push, \
                 or its kind unknown to istiod"
            }
            Self::AgentNotScraped => {
                "unknown why: Prometheus has nothing of its agent; scrape port 15020, path \
                 /stats/prometheus, which has the agent's metrics and Envoy's (15090 has only Envoy's)"
            }
            Self::OtherDigest => {
                "the image that its agent found has another digest than the plugin pins"
            }
            Self::NoImage => {
                "its agent could not fetch the image: the registry is down, refuses, or lacks it"
            }
            Self::NoModule => {
                "its agent could not fetch the image's layer, or found no plugin.wasm in it"
            }
            Self::NotRun => {
                "its agent has the module, but it is not ours or Envoy refused it; \
                 the proxy's log says why"
            }
            Self::NotWasm => "what its agent fetched is not a Wasm module",
            Self::Other(result) => {
                return write!(formatter, "its agent's last fetch ended with {result}");
            }
        })
    }
}

/// Why Prometheus does not tell what a proxy does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Blindness {
    /// It does not scrape the proxy.
    NotScraped,
    /// It scrapes the proxy too seldom to see a difference.
    ScrapedTooSeldom,
    /// It has no revision of the proxy's filter.
    NoRevision,
}

impl fmt::Display for Blindness {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(match self {
            Self::NotScraped => "Prometheus does not scrape it",
            Self::ScrapedTooSeldom => "scraped too seldom to see whether its filter ticks",
            Self::NoRevision => "no sluice_config_revision of it in Prometheus",
        })
    }
}

impl Scraped {
    /// Whether any proxy runs a revision.
    fn runs_anywhere(&self, wanted: Revision) -> bool {
        let mut last = self.revisions.iter().filter_map(Series::last);
        last.any(|(_, value)| value as u64 == wanted.as_gauge())
    }

    /// What one proxy does, where the plugin wants a revision since some second since 1970.
    pub(super) fn state(&self, proxy: &Proxy, wanted: Revision, changed: Option<f64>) -> State {
        let of = |series: &[Series]| -> Vec<Series> {
            series
                .iter()
                .filter(|series| is_of(series, proxy))
                .cloned()
                .collect()
        };
        let up = of(&self.mesh.up)
            .iter()
            .filter_map(Series::last)
            .max_by(|one, other| one.0.total_cmp(&other.0));
        let Some((scraped_at, _)) = up.filter(|(_, up)| *up == 1.0) else {
            return State::Unknown {
                cause: Blindness::NotScraped,
            };
        };
        match ticking(&of(&self.ticks), scraped_at) {
            Ticking::Yes => {}
            Ticking::No => {
                return State::WithoutFilter {
                    cause: absence(&of(&self.mesh.fetches), &of(&self.mesh.agents)),
                };
            }
            Ticking::TooEarly => {
                return State::Unknown {
                    cause: Blindness::ScrapedTooSeldom,
                };
            }
        }
        if of(&self.valid)
            .iter()
            .filter_map(Series::last)
            .any(|(_, valid)| valid == 0.0)
        {
            return State::Refused;
        }
        let newest = of(&self.revisions)
            .iter()
            .filter_map(Series::last)
            .max_by(|one, other| one.0.total_cmp(&other.0));
        match newest {
            Some((_, value)) if value as u64 == wanted.as_gauge() => State::Converged,
            Some((scraped_at, value)) => {
                let pushed = of(&self.mesh.pushed);
                let times = Times {
                    changed,
                    scraped: scraped_at,
                    pushed: pushed
                        .iter()
                        .filter_map(Series::last)
                        .map(|(_, milliseconds)| milliseconds / 1_000.0)
                        .max_by(f64::total_cmp),
                    runs_elsewhere: self.runs_anywhere(wanted),
                };
                State::Other {
                    revision: Revision::from_gauge(value as u64).to_string(),
                    scraped_at,
                    delivery: Delivery::of(times),
                }
            }
            None => State::Unknown {
                cause: Blindness::NoRevision,
            },
        }
    }
}

/// Whether a filter's ticks rise.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Ticking {
    Yes,
    No,
    TooEarly,
}

/// Whether the ticks rose between the last scrape and one that is old enough to tell. A series that
/// the last scrape lacks went away with its filter.
fn ticking(series: &[Series], scraped_at: f64) -> Ticking {
    let mut answer = Ticking::No;
    for series in series {
        let samples = series.samples();
        let Some((last_at, last)) = samples.last().copied().filter(|(at, _)| *at >= scraped_at)
        else {
            continue;
        };
        match samples
            .iter()
            .rev()
            .find(|(at, _)| last_at - at >= TICKS_SECONDS)
        {
            Some((_, earlier)) if *earlier != last => return Ticking::Yes,
            Some(_) => {}
            None => answer = Ticking::TooEarly,
        }
    }
    answer
}

/// Why the filter is missing: what the agent tried last, if its metrics are scraped at all.
fn absence(fetches: &[Series], agents: &[Series]) -> Absence {
    let last = fetches
        .iter()
        .filter_map(|series| Some((series.last_change()?, series.label("result"))))
        // Seen first in one scrape, the failure came last: the filter is missing.
        .max_by(|one, other| {
            one.0
                .total_cmp(&other.0)
                .then((one.1 != "success").cmp(&(other.1 != "success")))
        });
    match last {
        Some((_, result)) => Absence::of(result),
        None if agents.is_empty() => Absence::AgentNotScraped,
        None => Absence::NothingFetched,
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::operations::status::scraped::MeshSeries;
    use serde_json::json;

    fn series(pod: &str, labels: serde_json::Value, values: &[(f64, f64)]) -> Series {
        let mut metric = json!({"namespace": "a", "pod": pod});
        crate::model::plugin::merge(&mut metric, labels);
        let values: Vec<_> = values
            .iter()
            .map(|(at, value)| json!([at, value.to_string()]))
            .collect();
        serde_json::from_value(json!({"metric": metric, "values": values})).unwrap()
    }

    #[test]
    fn a_proxy_has_the_filter_while_its_ticks_rise() {
        let wanted = Revision::from_gauge(7);
        let up = series("p", json!({}), &[(10.0, 1.0)]);
        let revision = |value: f64| vec![series("p", json!({}), &[(10.0, value)])];
        let ticks =
            |first: f64, last: f64| vec![series("p", json!({}), &[(5.0, first), (10.0, last)])];
        let fetched = |result: &str| {
            vec![series(
                "p",
                json!({"result": result}),
                &[(5.0, 1.0), (10.0, 2.0)],
            )]
        };
        let scraped = |revisions, ticks, fetches: Vec<Series>| Scraped {
            revisions,
            ticks,
            mesh: Arc::new(MeshSeries {
                fetches: Arc::new(fetches),
                up: Arc::new(vec![up.clone()]),
                pushed: Arc::new(vec![series("p", json!({}), &[(10.0, 4_000.0)])]),
                ..MeshSeries::default()
            }),
            ..Scraped::default()
        };
        let agents = vec![series("p", json!({}), &[(10.0, 30.0)])];
        let cases = [
            (
                "rising, wanted",
                scraped(revision(7.0), ticks(1.0, 6.0), vec![]),
                State::Converged,
            ),
            (
                "rising, another",
                scraped(revision(8.0), ticks(1.0, 6.0), vec![]),
                State::Other {
                    revision: "000000000008".to_owned(),
                    scraped_at: 10.0,
                    delivery: Delivery::NotPushed,
                },
            ),
            (
                "stopped, its gauge left behind",
                scraped(
                    revision(7.0),
                    ticks(6.0, 6.0),
                    fetched("checksum_mismatched"),
                ),
                State::WithoutFilter {
                    cause: Absence::OtherDigest,
                },
            ),
            (
                "gone from the last scrape",
                scraped(
                    revision(7.0),
                    vec![series("p", json!({}), &[(2.0, 1.0), (8.0, 6.0)])],
                    fetched("success"),
                ),
                State::WithoutFilter {
                    cause: Absence::NotRun,
                },
            ),
            (
                "never ticked",
                scraped(vec![], vec![], fetched("manifest_failure")),
                State::WithoutFilter {
                    cause: Absence::NoImage,
                },
            ),
            (
                "never ticked, and nothing of the agent is known",
                scraped(vec![], vec![], vec![]),
                State::WithoutFilter {
                    cause: Absence::AgentNotScraped,
                },
            ),
            (
                "never ticked, and the agent has fetched nothing",
                Scraped {
                    mesh: Arc::new(MeshSeries {
                        agents: Arc::new(agents),
                        ..MeshSeries::clone(&scraped(vec![], vec![], vec![]).mesh)
                    }),
                    ..Scraped::default()
                },
                State::WithoutFilter {
                    cause: Absence::NothingFetched,
                },
            ),
        ];
        let proxy = Proxy {
            namespace: "a".to_owned(),
            pod: "p".to_owned(),
            role: None,
        };
        for (label, scraped, expected) in cases {
            assert_eq!(
                scraped.state(&proxy, wanted, Some(7.0)),
                expected,
                "{label}"
            );
        }
        let unknown = State::Unknown {
            cause: Blindness::NotScraped,
        };
        assert_eq!(Scraped::default().state(&proxy, wanted, None), unknown);
    }

    #[test]
    fn of_two_modules_of_a_proxy_the_one_that_ticks_counts() {
        let wanted = Revision::from_gauge(7);
        let of = |plugin: &str| json!({"sluice_plugin": plugin});
        let [wasm, native] = ["a.s~istio-translated-wasmplugin", "a.s"].map(of);
        let gauges = |former: &serde_json::Value, present: &serde_json::Value| Scraped {
            // Both are scraped still.
            revisions: vec![
                series("p", present.clone(), &[(10.0, 7.0)]),
                series("p", former.clone(), &[(10.0, 8.0)]),
            ],
            ticks: vec![
                series("p", present.clone(), &[(2.0, 1.0), (5.0, 3.0), (10.0, 8.0)]),
                series("p", former.clone(), &[(2.0, 5.0), (5.0, 6.0), (10.0, 6.0)]),
            ],
            mesh: Arc::new(MeshSeries {
                up: Arc::new(vec![series("p", json!({}), &[(10.0, 1.0)])]),
                ..MeshSeries::default()
            }),
            ..Scraped::default()
        };
        let proxy = Proxy {
            namespace: "a".to_owned(),
            pod: "p".to_owned(),
            role: None,
        };
        for (former, present) in [(&wasm, &native), (&native, &wasm)] {
            let scraped = gauges(former, present).without_former_modules();
            assert_eq!(scraped.ticks.len(), 1);
            let state = scraped.state(&proxy, wanted, Some(7.0));
            assert_eq!(state, State::Converged, "{present}");
        }
    }

    #[test]
    fn a_missing_filter_is_explained_by_what_the_agent_tried_last() {
        let cases = [
            (
                "checksum_mismatched",
                "the image that its agent found has another digest than the plugin pins",
            ),
            (
                "success",
                "its agent has the module, but it is not ours or Envoy refused it; the proxy's log says why",
            ),
            (
                "manifest_failure",
                "its agent could not fetch the image: the registry is down, refuses, or lacks it",
            ),
            (
                "new_failure",
                "its agent's last fetch ended with new_failure",
            ),
        ];
        for (result, expected) in cases {
            assert_eq!(Absence::of(result).to_string(), expected);
        }
        let unknown = State::Unknown {
            cause: Blindness::NotScraped,
        };
        assert_eq!(
            serde_json::to_value(unknown).unwrap(),
            json!({"state": "unknown", "cause": "Prometheus does not scrape it"})
        );
    }
}
