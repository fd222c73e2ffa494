//! Why Prometheus gives no answer, in words that hold no password and are not long.

use std::time::Duration;

use reqwest::StatusCode;

/// Why Prometheus gives no answer.
#[derive(Debug, thiserror::Error)]
pub enum PrometheusError {
    /// What was named is no URL.
    #[error("{0:?}: not a URL; accepted: one such as http://prometheus.monitoring:9090")]
    NoUrl(String),
    /// A token that no header can carry.
    #[error(
        "the bearer token for Prometheus is empty, or has characters that a header cannot carry; accepted: \
         visible ASCII"
    )]
    Token,
    /// A user name that basic authentication cannot carry.
    #[error(
        "user {0:?} for Prometheus has a colon, which basic authentication cannot carry (RFC 7617)"
    )]
    User(String),
    /// Authorities that are none.
    #[error("no certificate in the authorities that Prometheus' TLS should trust; accepted: PEM")]
    NoAuthorities,
    /// No client can be made.
    #[error("no client for Prometheus")]
    Client(#[source] reqwest::Error),
    /// Nobody answers.
    #[error("Prometheus at {shown} cannot be reached")]
    Unreachable {
        /// Its URL.
        shown: String,
        /// Why.
        source: reqwest::Error,
    },
    /// The answer did not come in time.
    #[error("Prometheus at {shown} did not answer within {after:?}")]
    TimedOut {
        /// Its URL.
        shown: String,
        /// The time.
        after: Duration,
    },
    /// The server sends elsewhere.
    #[error(
        "Prometheus at {shown} answered {status}, which leads to {to}: not followed, because credentials and \
         queries go nowhere but to the address that is named; name that one if it is Prometheus"
    )]
    Elsewhere {
        /// Its URL.
        shown: String,
        /// The status.
        status: StatusCode,
        /// Where.
        to: String,
    },
    /// The answer has no end.
    #[error("Prometheus at {shown} answered with more than {bytes} bytes; accepted: at most that")]
    TooLong {
        /// Its URL.
        shown: String,
        /// How many are read.
        bytes: usize,
    },
    /// The server does not take the credentials.
    #[error("Prometheus at {shown} answered {status} to {sent}: {words}")]
    Denied {
        /// Its URL.
        shown: String,
        /// The status.
        status: StatusCode,
        /// What was sent.
        sent: String,
        /// What it says.
        words: String,
    },
    /// It is something else.
    #[error("{shown} answered {status}: not Prometheus' API: {words}")]
    NotTheApi {
        /// Its URL.
        shown: String,
        /// The status.
        status: StatusCode,
        /// How its answer begins.
        words: String,
    },
    /// The query is wrong, takes too long, or asks too much.
    #[error("Prometheus at {shown} refused {query}: {kind}: {words}")]
    Refused {
        /// Its URL.
        shown: String,
        /// The query.
        query: String,
        /// The kind of error, in its words.
        kind: String,
        /// What it says.
        words: String,
    },
    /// The query gives a number or a text.
    #[error("{query} gives no series")]
    NoSeries {
        /// The query.
        query: String,
    },
}
