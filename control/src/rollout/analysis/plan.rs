//! An analysis, checked: what is allowed together, with defaults filled in. The only validator of
//! one; [`super`] judges by it, and sources ask what it says.

mod check;
mod istio;
mod prometheus;

use std::collections::BTreeSet;
use std::time::Duration;

use sluice_core::problem::{Accepted, Problem};

use crate::rollout::resource::{self, MAX_CHECKS, OnMissing, Span, Threshold};

pub use istio::Istio;
pub use prometheus::{Auth, Certificate, Prometheus};

/// The most checks with a confidence. Chosen: each of them makes all others need more evidence, and
/// their tests' state has to fit into a status.
pub const MAX_TESTS: usize = 10;

/// The longest name of a check, in bytes. Chosen: what fits beside its figures on a line.
pub const MAX_CHECK_NAME_BYTES: usize = 40;

/// The longest query, in bytes. Chosen: longer than any that a person reads.
pub const MAX_QUERY_BYTES: usize = 4_096;

/// What `{{…}}` in a query may name; sources fill them in.
pub const PLACEHOLDERS: [&str; 9] = [
    "plugin",
    "split",
    "challenger",
    "fallback",
    "audience",
    "namespace",
    "version",
    "window",
    "interval",
];

/// How a run is watched.
#[derive(Clone, Debug, PartialEq)]
pub struct Plan {
    /// The Prometheus that is asked; `None`: the host's own source.
    pub prometheus: Option<Prometheus>,
    /// Whose metrics count responses; `None`: the filter's own.
    pub istio: Option<Istio>,
    /// How often.
    pub interval: Duration,
    /// How far back a value looks.
    pub window: Duration,
    /// With fewer responses in the window a check decides nothing.
    pub min_requests: u32,
    /// What a check does that finds no data.
    pub on_no_data: OnMissing,
    /// What a check does that cannot be measured.
    pub on_error: OnMissing,
    /// What is looked at, in the order of people.
    pub checks: Vec<Check>,
}

/// One thing that is looked at.
#[derive(Clone, Debug, PartialEq)]
pub struct Check {
    /// What people call it: unique in its plan.
    pub name: String,
    /// What is measured.
    pub subject: Subject,
    /// What thresholds are about.
    pub basis: Basis,
    /// Where it passes.
    pub pass: Option<Threshold>,
    /// Where it fails.
    pub fail: Option<Threshold>,
    /// How sure a failure must be.
    pub confidence: Option<f64>,
    /// The run fails at one failed measurement more than this.
    pub failure_limit: u32,
    /// Whether it takes part in the decision.
    pub role: Role,
    /// How often a query is asked, where that is not the analysis's own interval.
    pub interval: Option<Duration>,
}

/// What a check measures.
#[derive(Clone, Debug, PartialEq)]
pub enum Subject {
    /// The part of the responses that did not fail.
    SuccessRate,
    /// The part of the responses that failed.
    ErrorRate,
    /// This quantile of the time that responses took.
    Latency(f64),
    /// Users who saw a failure.
    FailedUsers,
    /// Whether users are where the weights say.
    SampleRatio,
    /// One number, by a query in PromQL with placeholders.
    Query(String),
}

/// What a check's thresholds are about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Basis {
    /// The challenger's own value.
    Limit,
    /// How it differs from the fallback's in the same time.
    Fallback,
}

/// Whether a check takes part in the decision.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    /// It does.
    Decides,
    /// It is only shown.
    DryRun,
}

impl Plan {
    /// How many checks share the errors that a confidence allows: those that decide with one.
    pub fn tests(&self) -> usize {
        let tests = self.checks.iter().filter(|check| check.is_test());
        tests.filter(|check| check.role == Role::Decides).count()
    }

    /// Whether any check needs the users whom proxies count.
    pub fn needs_users(&self) -> bool {
        let subjects = self.checks.iter().map(|check| &check.subject);
        subjects
            .into_iter()
            .any(|subject| matches!(subject, Subject::FailedUsers | Subject::SampleRatio))
    }
}

impl Check {
    /// Whether evidence decides its failures.
    pub const fn is_test(&self) -> bool {
        self.confidence.is_some()
    }

    /// A number that another one has, in all likelihood, that measures something else or judges it
    /// otherwise. It is kept: FNV-1a of 32 bits, which stays what it is.
    pub fn fingerprint(&self) -> u32 {
        let Self {
            subject,
            basis,
            pass,
            fail,
            confidence,
            ..
        } = self;
        let text = format!("{subject:?} {basis:?} {pass:?} {fail:?} {confidence:?}");
        let step = |hash: u32, byte: u8| (hash ^ u32::from(byte)).wrapping_mul(0x0100_0193);
        text.bytes().fold(0x811c_9dc5, step)
    }
}

/// The analysis that stands at `path`, or every mistake in it.
pub fn checked(
    path: &str,
    written: &resource::Analysis,
    problems: &mut Vec<Problem>,
) -> Option<Plan> {
    let before = problems.len();
    let prometheus = written
        .prometheus
        .as_ref()
        .map(|server| prometheus::checked(&format!("{path}.prometheus"), server, problems));
    let istio = written
        .istio
        .as_ref()
        .map(|metrics| istio::checked(&format!("{path}.istio"), metrics, problems));
    let interval = Range::new("interval", "100ms", "1h").of(path, written.interval, problems);
    let window = Range::new("window", "1s", "1d").of(path, written.window, problems);
    let plan = Plan {
        prometheus: prometheus.flatten(),
        istio,
        interval: interval.unwrap_or(Duration::from_secs(30)),
        window: window.unwrap_or(Duration::from_secs(300)),
        min_requests: written.min_requests.map_or(100, |count| count.0),
        on_no_data: written.on_no_data,
        on_error: written.on_error,
        checks: checks(path, written, problems),
    };
    if let Some(window) = written.window.filter(|_| plan.window < plan.interval) {
        let accepted = Accepted::rule("a window is at least as long as the interval");
        problems.push(Problem::new(
            format!("{path}.window"),
            window.to_string(),
            accepted,
        ));
    }
    (problems.len() == before).then_some(plan)
}

fn checks(path: &str, written: &resource::Analysis, problems: &mut Vec<Problem>) -> Vec<Check> {
    let at = format!("{path}.checks");
    if written.checks.len() > MAX_CHECKS {
        let found = format!("{} checks", written.checks.len());
        let accepted = Accepted::rule(format!("at most {MAX_CHECKS}"));
        problems.push(Problem::new(at, found, accepted));
        return Vec::new();
    }
    let limit = written.failure_limit.unwrap_or_default();
    let mut names = BTreeSet::new();
    let mut checks = Vec::with_capacity(written.checks.len());
    for (index, check) in written.checks.iter().enumerate() {
        let at = format!("{at}[{index}]");
        if !names.insert(&check.name) {
            let accepted = Accepted::rule("each name once");
            problems.push(Problem::new(
                format!("{at}.name"),
                format!("{:?}", check.name),
                accepted,
            ));
        }
        checks.push(check::checked(&at, check, limit, problems));
    }
    let tests = checks.iter().filter(|check| check.is_test()).count();
    if tests > MAX_TESTS {
        let found = format!("{tests} checks with a confidence");
        let accepted = Accepted::rule(format!("at most {MAX_TESTS}"));
        problems.push(Problem::new(at, found, accepted));
    }
    checks
}

/// The times that a field may have.
struct Range {
    field: &'static str,
    least: &'static str,
    most: &'static str,
}

impl Range {
    const fn new(field: &'static str, least: &'static str, most: &'static str) -> Self {
        Self { field, least, most }
    }

    /// The time, where one is written; a problem when it is another.
    fn of(
        &self,
        path: &str,
        written: Option<Span>,
        problems: &mut Vec<Problem>,
    ) -> Option<Duration> {
        let written = written?;
        let parsed = |text: &str| text.parse::<Span>().ok();
        if Some(written) < parsed(self.least) || Some(written) > parsed(self.most) {
            let accepted = Accepted::value(format!("{} to {}", self.least, self.most));
            let path = format!("{path}.{}", self.field);
            problems.push(Problem::new(path, written.to_string(), accepted));
        }
        Some(written.as_duration())
    }
}

#[cfg(test)]
mod tests;
