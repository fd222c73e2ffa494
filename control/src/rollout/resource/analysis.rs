//! How a run is watched, as people write it: where the figures come from, and the checks.
//!
//! What is allowed together is said by [`crate::rollout::analysis::plan`], which also has the
//! defaults.

use super::fields::{fields, names};
use super::numbers::{Count, Probability};
use super::secrets::KeyOf;
use super::threshold::Threshold;
use super::units::Span;

/// The most checks of a Rollout. Chosen: more than anybody reads, and their state fits into a status.
pub const MAX_CHECKS: usize = 30;

fields! {
    /// How a run is watched.
    #[derive(Default)]
    #[schemars(default)]
    pub struct Analysis, accepted as "a map" {
        /// The Prometheus that is asked. Default: the local Envoy's own figures, where there is one.
        "prometheus" => prometheus: Option<Prometheus>,
        /// Count responses and times by Istio's standard metrics. Default: by the filter's own.
        "istio" => istio: Option<IstioMetrics>,
        /// How often the checks are measured, 100ms to 1h. Default: 30s.
        "interval" => interval: Option<Span>,
        /// How far back a value looks, 1s to 1d, but never before its step. Default: 5m.
        "window" => window: Option<Span>,
        /// With fewer responses in the window a check decides nothing. Default: 100.
        "minRequests" => min_requests: Option<Count>,
        /// What a check does that finds no data. Default: hold.
        "onNoData" => on_no_data: OnMissing,
        /// What a check does that cannot be measured. Default: hold.
        "onError" => on_error: OnMissing,
        /// What is looked at.
        #[schemars(length(max = 30))]
        "checks" => checks: Vec<Check>,
        /// A run fails at one failed measurement more than this, of one check. Default: 0.
        "failureLimit" => failure_limit: Option<Count>,
    }
}

fields! {
    /// A Prometheus, and how it is asked.
    #[derive(Default)]
    #[schemars(default)]
    pub struct Prometheus, accepted as "a map" {
        /// Where it is: http:// or https://, without a user or password.
        #[schemars(length(max = 2048))]
        "address" => address: String,
        /// The key of a Secret that holds a bearer token.
        "bearerTokenFrom" => bearer_token_from: Option<KeyOf>,
        /// A file that holds a bearer token.
        #[schemars(length(max = 4096))]
        "bearerTokenFile" => bearer_token_file: Option<String>,
        /// A user and a password.
        "basicAuth" => basic_auth: Option<BasicAuth>,
        /// A file with the authorities that its certificate may come from.
        #[schemars(length(max = 4096))]
        "caFile" => ca_file: Option<String>,
        /// The key of a Secret that holds these authorities.
        "caFrom" => ca_from: Option<KeyOf>,
        /// Whether its certificate is not looked at. Default: false.
        "insecureSkipVerify" => insecure_skip_verify: bool,
        /// How long an answer may take, 100ms to 1m. Default: 10s.
        "timeout" => timeout: Option<Span>,
    }
}

fields! {
    /// A user and where the password is.
    #[derive(Default)]
    #[schemars(default)]
    pub struct BasicAuth, accepted as "a map" {
        /// The user.
        #[schemars(length(max = 256))]
        "username" => username: String,
        /// The key of a Secret that holds the password.
        "passwordFrom" => password_from: Option<KeyOf>,
        /// A file that holds the password.
        #[schemars(length(max = 4096))]
        "passwordFile" => password_file: Option<String>,
    }
}

fields! {
    /// Istio's standard metrics of one service, and what tells its variants apart there.
    #[derive(Default)]
    #[schemars(default)]
    pub struct IstioMetrics, accepted as "a map" {
        /// The service, as NAME or NAME.NAMESPACE.
        #[schemars(length(min = 1, max = 253))]
        "service" => service: String,
        /// What of the answering pods tells the variants apart. Default: version.
        "label" => label: IstioLabel,
        /// Its value for the challenger. Default: the variant's name.
        #[schemars(length(min = 1, max = 253))]
        "challenger" => challenger: Option<String>,
        /// Its value for the fallback. Default: the variant's name.
        #[schemars(length(min = 1, max = 253))]
        "fallback" => fallback: Option<String>,
    }
}

names! {
    /// What tells variants apart in Istio's metrics.
    #[derive(Default)]
    pub enum IstioLabel, accepted as "what tells variants apart" {
        /// The pods' label version (destination_version).
        #[default]
        "version" => Version,
        /// The workload's name (destination_workload).
        "workload" => Workload,
        /// The canonical revision (destination_canonical_revision).
        "revision" => Revision,
    }
}

fields! {
    /// One thing that is looked at.
    #[derive(Default)]
    #[schemars(default)]
    pub struct Check, accepted as "a check" {
        /// What people call it.
        #[schemars(length(min = 1, max = 40))]
        "name" => name: String,
        /// What is measured; or write a query.
        "metric" => metric: Option<Metric>,
        /// The quantile of a latency, such as 0.99.
        "quantile" => quantile: Option<Probability>,
        /// What it is compared with. Default: thresholds are amounts, not differences.
        "against" => against: Option<Against>,
        /// Where it passes. Default: where it does not fail.
        "pass" => pass: Option<Threshold>,
        /// Where it fails. Default: where it does not pass.
        "fail" => fail: Option<Threshold>,
        /// It fails only when chance explains it in at most 1 - confidence of all runs.
        "confidence" => confidence: Option<Probability>,
        /// One instant query in PromQL, whose answer is one number.
        #[schemars(length(max = 4096))]
        "query" => query: Option<String>,
        /// Whether it is only shown, and decides nothing. Default: false.
        "dryRun" => dry_run: bool,
        /// How often this query is asked. Default: the analysis's interval.
        "interval" => interval: Option<Span>,
        /// As that of the analysis, for this check alone.
        "failureLimit" => failure_limit: Option<Count>,
    }
}

names! {
    /// What a check does that finds no data, or that cannot be measured.
    #[derive(Default)]
    pub enum OnMissing, accepted as "what a check does" {
        /// It waits: the step does not end.
        #[default]
        "hold" => Hold,
        /// It passes.
        "pass" => Pass,
        /// It fails.
        "fail" => Fail,
    }
}

names! {
    /// What a check compares with.
    pub enum Against, accepted as "what it is compared with" {
        /// The fallback, in the same time.
        "fallback" => Fallback,
    }
}

names! {
    /// What is measured without a query.
    pub enum Metric, accepted as "a metric" {
        /// The part of the responses that are not of class 5xx.
        "successRate" => SuccessRate,
        /// The part of the responses that are of class 5xx.
        "errorRate" => ErrorRate,
        /// A quantile of the time that responses took.
        "latency" => Latency,
        /// Users who saw a response of class 5xx, each counted once a step.
        "failedUsers" => FailedUsers,
        /// Whether the challenger has as many users as its weight says.
        "sampleRatio" => SampleRatio,
    }
}
