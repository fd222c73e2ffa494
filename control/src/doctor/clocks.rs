//! Whether this machine's clock, the API server's and Prometheus' agree; and whether there is an API
//! server at all, which is asked for its version.

use anyhow::Context as _;
use http_body_util::{BodyExt as _, Limited};
use hyper::Request;
use hyper::header::DATE;
use jiff::{SignedDuration, Timestamp};
use kube::client::Body;
use serde_json::Value;

use super::codes::Code;
use super::finding::{Finding, Look};
use super::query::Ahead;
use super::versions::Version;
use crate::cluster::Cluster;

/// How far clocks may be apart. Chosen: a third of what a leader's record lasts, and of a scrape's
/// usual interval.
pub const APART: SignedDuration = SignedDuration::from_secs(5);

/// How long the answer may be that says a server's version. Chosen: ten times the longest seen.
const MAX_VERSION_ANSWER_BYTES: usize = 16 * 1024;

/// What an API server says of itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Server {
    /// Its version, where it says one.
    pub version: Option<Version>,
    /// How far its clock is ahead of ours; `None` where it does not say its time.
    pub ahead: Option<Ahead>,
}

/// Asks the API server for its version and time.
///
/// # Errors
/// When there is none that answers.
pub async fn server(cluster: &Cluster, clock: fn() -> Timestamp) -> anyhow::Result<Server> {
    let request = Request::get("/version").body(Body::empty())?;
    let before = clock();
    let answer = cluster.client().send(request).await;
    let answer = answer.map_err(|error| cluster.explain("the API server's version", error))?;
    let after = clock();
    let date = answer
        .headers()
        .get(DATE)
        .and_then(|date| date.to_str().ok());
    let date = date.and_then(|date| jiff::fmt::rfc2822::parse(date).ok());
    let ahead = date.map(|date| ahead(date.timestamp(), before, after));
    let status = answer.status();
    let body = Limited::new(answer.into_body(), MAX_VERSION_ANSWER_BYTES)
        .collect()
        .await;
    let body = body.map_err(|error| anyhow::anyhow!(error));
    let body = body.context("the API server's version")?.to_bytes();
    if status == hyper::StatusCode::UNAUTHORIZED {
        anyhow::bail!(
            "the cluster does not accept these credentials; log in again, or name another --context"
        );
    }
    let said: Value = serde_json::from_slice(&body).unwrap_or_default();
    let version = said["gitVersion"].as_str().and_then(Version::read);
    Ok(Server { version, ahead })
}

/// How far a clock is ahead that said a whole second between two moments of ours. What it may be by
/// chance counts for nothing.
pub fn ahead(said: Timestamp, before: Timestamp, after: Timestamp) -> Ahead {
    let said_at_most = said
        .saturating_add(SignedDuration::from_secs(1))
        .unwrap_or(said);
    Ahead(match () {
        () if said_at_most < before => said_at_most.duration_since(before),
        () if said > after => said.duration_since(after),
        () => SignedDuration::ZERO,
    })
}

/// What the clocks say; `prometheus`: how far its clock is ahead of this machine's.
pub fn judge(server: Option<Ahead>, prometheus: Option<Ahead>) -> Look {
    let mut look = Look::default();
    let accepted = format!("at most {} s", APART.as_secs());
    let apart = |ahead: Ahead| {
        let seconds = ahead.apart().as_secs_f64();
        let direction = if ahead.0.is_negative() {
            "behind"
        } else {
            "ahead of"
        };
        format!("{seconds:.1} s {direction}")
    };
    match server {
        None => look.miss("the API server's clock", "its answer has no Date"),
        Some(ahead) if ahead.0.abs() > APART => look.find(Finding::new(
            Code::ClockOfApiServer,
            "the API server",
            format!("its clock is {} this machine's", apart(ahead)),
            accepted.clone(),
        )),
        Some(_) => look.praise("the API server's clock is this machine's"),
    }
    if let Some(prometheus) = prometheus {
        let between = Ahead(prometheus.0.saturating_sub(server.unwrap_or_default().0));
        if between.0.abs() > APART {
            look.find(Finding::new(
                Code::ClockOfPrometheus,
                "Prometheus",
                format!("its clock is {} the API server's", apart(between)),
                accepted,
            ));
        } else {
            look.praise("Prometheus' clock is the API server's");
        }
    }
    look
}

#[cfg(test)]
mod tests {
    use hyper::Response;
    use kube::Client;
    use serde_json::json;

    use super::*;

    fn at(second: f64) -> Timestamp {
        Timestamp::from_millisecond((second * 1000.0) as i64).unwrap()
    }

    #[test]
    fn a_clock_that_says_whole_seconds_is_compared_within_them() {
        let rows = [
            ("the same second", 100.0, 100.2, 100.9, 0.0),
            ("asked over a second's end", 100.0, 100.9, 101.1, 0.0),
            ("cut", 100.0, 101.0, 101.0, 0.0),
            ("ahead", 110.0, 100.0, 101.0, 9.0),
            ("behind", 90.0, 101.0, 102.0, -10.0),
        ];
        for (label, said, before, after, expected) in rows {
            let found = ahead(at(said), at(before), at(after)).0.as_secs_f64();
            assert!((found - expected).abs() < 1e-9, "{label}: {found}");
        }
    }

    #[test]
    fn clocks_that_are_apart_are_told() {
        let seconds = |seconds| Some(Ahead(SignedDuration::from_secs(seconds)));
        let rows: [(&str, Option<Ahead>, Option<Ahead>, &[&str]); 6] = [
            ("together", seconds(0), seconds(0), &[]),
            ("at the bound", seconds(5), seconds(0), &[]),
            ("ahead", seconds(6), seconds(6), &["clock-of-api-server"]),
            ("behind", seconds(-6), None, &["clock-of-api-server"]),
            (
                "Prometheus",
                seconds(0),
                seconds(-7),
                &["clock-of-prometheus"],
            ),
            ("unknown", None, seconds(0), &["not-looked-at"]),
        ];
        for (label, server, prometheus, expected) in rows {
            let look = judge(server, prometheus);
            let codes: Vec<&str> = look
                .findings
                .iter()
                .map(|found| found.code.as_str())
                .collect();
            assert_eq!(codes, expected, "{label}");
        }
        assert_eq!(
            judge(seconds(-6), None).findings[0].found,
            "its clock is 6.0 s behind this machine's"
        );
    }

    #[tokio::test]
    async fn an_api_server_says_its_version_and_time() {
        let server = tower::service_fn(|_: Request<Body>| {
            let body = json!({"gitVersion": "v1.35.4"}).to_string();
            let answer = Response::builder().header(DATE, "Sun, 22 Nov 2026 23:00:00 GMT");
            let answer = answer.body(Body::from(body.into_bytes())).unwrap();
            std::future::ready(Ok::<_, tower::BoxError>(answer))
        });
        let cluster = Cluster::of_client(Client::new(server, "a"));
        let clock = || "2026-11-22T22:59:00Z".parse().unwrap();
        let said = super::server(&cluster, clock).await.unwrap();
        assert_eq!(said.version, Version::read("1.35.4"));
        assert_eq!(said.ahead, Some(Ahead(SignedDuration::from_secs(60))));
        let long = tower::service_fn(|_: Request<Body>| {
            let answer = Response::new(Body::from(vec![b' '; MAX_VERSION_ANSWER_BYTES + 1]));
            std::future::ready(Ok::<_, tower::BoxError>(answer))
        });
        let cluster = Cluster::of_client(Client::new(long, "a"));
        let error = super::server(&cluster, clock).await.unwrap_err();
        assert_eq!(error.to_string(), "the API server's version");
    }
}
