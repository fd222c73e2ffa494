//! One check: which fields go with its metric, and whether its thresholds are such that it can
//! pass and fail.

use std::time::Duration;

use sluice_core::problem::{Accepted, Problem};

use super::{Basis, Check, MAX_CHECK_NAME_BYTES, MAX_QUERY_BYTES, PLACEHOLDERS};
use super::{Range, Role, Subject};
use crate::rollout::resource::Threshold;
use crate::rollout::resource::{self, Against, Amount, Count, Metric, Probability};

/// How sure a sample ratio must be, unless something else is said: as in Lindon and Malek (2022).
const SAMPLE_RATIO_CONFIDENCE: f64 = 0.999;

/// The check at `path`; everything wrong in it is reported.
pub(super) fn checked(
    path: &str,
    written: &resource::Check,
    limit: Count,
    problems: &mut Vec<Problem>,
) -> Check {
    let mut reader = Reader {
        path,
        written,
        problems,
    };
    reader.name();
    let subject = reader.subject();
    let basis = match written.against {
        Some(Against::Fallback) => Basis::Fallback,
        None => Basis::Limit,
    };
    reader.basis(&subject);
    reader.thresholds(&subject, basis);
    reader.confidence(&subject, basis);
    let interval = reader.interval(&subject);
    let confidence = written.confidence.map(Probability::as_f64);
    let default = (subject == Subject::SampleRatio).then_some(SAMPLE_RATIO_CONFIDENCE);
    Check {
        name: written.name.clone(),
        basis,
        pass: written.pass,
        fail: written.fail,
        confidence: confidence.or(default),
        failure_limit: written.failure_limit.unwrap_or(limit).0,
        role: if written.dry_run {
            Role::DryRun
        } else {
            Role::Decides
        },
        interval,
        subject,
    }
}

struct Reader<'r> {
    path: &'r str,
    written: &'r resource::Check,
    problems: &'r mut Vec<Problem>,
}

impl Reader<'_> {
    fn report(&mut self, field: &str, found: impl Into<String>, accepted: Accepted) {
        let path = format!("{}.{field}", self.path);
        self.problems
            .push(Problem::new(path, found.into(), accepted));
    }

    /// Whether one of these fields was reported already, as where it was read.
    fn is_reported(&self, fields: [&str; 2]) -> bool {
        let paths = fields.map(|field| format!("{}.{field}", self.path));
        let mut problems = self.problems.iter();
        problems.any(|problem| paths.contains(&problem.path))
    }

    fn name(&mut self) {
        let name = &self.written.name;
        let is_printable = !name.chars().any(char::is_control);
        if name.is_empty() || name.len() > MAX_CHECK_NAME_BYTES || !is_printable {
            let accepted = Accepted::value(format!("1 to {MAX_CHECK_NAME_BYTES} bytes on a line"));
            let found = match name.len() {
                0 => "missing".to_owned(),
                length => format!("{length} bytes"),
            };
            self.report("name", found, accepted);
        }
    }

    fn subject(&mut self) -> Subject {
        let written = self.written;
        match (written.metric, written.quantile) {
            (Some(Metric::Latency), None) => {
                let accepted = Accepted::value("the latency's quantile, such as 0.99");
                self.report("quantile", "missing", accepted);
            }
            (Some(Metric::Latency), Some(_)) | (_, None) => {}
            (_, Some(_)) => {
                let accepted = Accepted::rule("only a latency has one");
                self.report("quantile", "given", accepted);
            }
        }
        match (written.metric, &written.query) {
            (Some(metric), None) => of_metric(metric, written.quantile),
            (None, Some(query)) => self.query(query),
            (metric, query) => {
                let found = match (metric, query) {
                    (None, None) => "neither a metric nor a query",
                    _ => "a metric and a query",
                };
                if !self.is_reported(["metric", "query"]) {
                    self.report("metric", found, Accepted::rule("one of them"));
                }
                metric.map_or_else(
                    || Subject::Query(String::new()),
                    |metric| of_metric(metric, written.quantile),
                )
            }
        }
    }

    fn query(&mut self, query: &str) -> Subject {
        if query.trim().is_empty() || query.len() > MAX_QUERY_BYTES {
            let accepted = Accepted::value(format!("1 to {MAX_QUERY_BYTES} bytes of PromQL"));
            self.report("query", format!("{} bytes", query.len()), accepted);
        }
        let named = query.split("{{").skip(1).map(|rest| rest.split_once("}}"));
        let unknown = named.map(|named| named.map_or("{{ without }}", |(name, _)| name.trim()));
        for name in unknown.filter(|name| !PLACEHOLDERS.contains(name)).take(3) {
            let accepted = Accepted::value(format!("{{{{name}}}} of {}", PLACEHOLDERS.join(", ")));
            self.report("query", format!("{name:?}"), accepted);
        }
        Subject::Query(query.to_owned())
    }

    fn basis(&mut self, subject: &Subject) {
        let is_alone = matches!(subject, Subject::Query(_) | Subject::SampleRatio);
        if self.written.against.is_some() && is_alone {
            let accepted = Accepted::rule("only metrics of each variant are compared");
            self.report("against", "given", accepted);
        }
    }

    fn thresholds(&mut self, subject: &Subject, basis: Basis) {
        let written = [("pass", self.written.pass), ("fail", self.written.fail)];
        if *subject == Subject::SampleRatio {
            for (field, _) in written.iter().filter(|(_, threshold)| threshold.is_some()) {
                let accepted = Accepted::rule("what is right is the weights; write a confidence");
                self.report(field, "given", accepted);
            }
            return;
        }
        let is_missing = self.written.pass.is_none() && self.written.fail.is_none();
        if is_missing && !self.is_reported(["pass", "fail"]) {
            let accepted = Accepted::rule("pass, fail or both say what is right");
            self.report("fail", "neither pass nor fail", accepted);
        }
        for (field, threshold) in written {
            if let Some(threshold) = threshold {
                self.unit(field, threshold, subject, basis);
                self.side(field, threshold, subject);
            }
        }
        if let (Some(pass), Some(fail)) = (self.written.pass, self.written.fail) {
            self.overlap(pass, fail);
        }
    }

    fn unit(&mut self, field: &str, threshold: Threshold, subject: &Subject, basis: Basis) {
        let accepted = units(subject, basis);
        let value = threshold.amount.value();
        let is_accepted = match (threshold.amount, subject, basis) {
            (Amount::Number(_), Subject::Query(_), _) => true,
            (Amount::Time(_), Subject::Latency(_), Basis::Limit) => value > 0.0,
            (Amount::Share(_), Subject::Latency(_) | Subject::Query(_), _) => false,
            (Amount::Share(_), _, Basis::Limit) => true,
            (Amount::Relative(_), Subject::SuccessRate | Subject::Query(_), _) => false,
            (Amount::Relative(_), _, Basis::Fallback) => value >= 0.0,
            (Amount::Points(_), Subject::ErrorRate, Basis::Fallback) => value >= 0.0,
            (Amount::Points(_), Subject::SuccessRate, Basis::Fallback) => value <= 0.0,
            _ => false,
        };
        if !is_accepted {
            self.report(field, threshold.to_string(), Accepted::value(accepted));
        }
    }

    /// Less success is worse, more of everything else: the other way round is a slip.
    fn side(&mut self, field: &str, threshold: Threshold, subject: &Subject) {
        let is_good = match subject {
            Subject::Query(_) => return,
            Subject::SuccessRate => threshold.comparison.is_upward(),
            _ => !threshold.comparison.is_upward(),
        };
        if is_good != (field == "pass") {
            let signs = if threshold.comparison.is_upward() {
                "< or <="
            } else {
                "> or >="
            };
            let accepted = Accepted::rule(format!("a {field} is on the other side: {signs}"));
            self.report(field, threshold.to_string(), accepted);
        }
    }

    fn overlap(&mut self, pass: Threshold, fail: Threshold) {
        let (low, high) = match pass.comparison.is_upward() {
            true => (fail, pass),
            false => (pass, fail),
        };
        let is_apart = low.amount.value() < high.amount.value();
        let touches = low.amount.value() == high.amount.value();
        let shares = low.comparison.is_inclusive() && high.comparison.is_inclusive();
        let sides = !low.comparison.is_upward() && high.comparison.is_upward();
        if !(sides && (is_apart || touches && !shares)) {
            let found = format!("pass {pass}, fail {fail}");
            let accepted = Accepted::rule("no value may pass and fail");
            self.report("fail", found, accepted);
        }
    }

    fn confidence(&mut self, subject: &Subject, basis: Basis) {
        let Some(confidence) = self.written.confidence else {
            return;
        };
        let refused = match (subject, basis) {
            (Subject::Query(_), _) => Some("a query's number has no events to count"),
            (Subject::FailedUsers, Basis::Limit) => {
                Some("how many users there are is an estimate: write against: fallback")
            }
            _ if self.written.fail.is_none() && *subject != Subject::SampleRatio => {
                Some("it says how sure a failure is: write fail")
            }
            _ if confidence.as_f64() < 0.5 => Some("at least 0.5"),
            _ => None,
        };
        if let Some(why) = refused {
            let found = confidence.as_f64().to_string();
            self.report("confidence", found, Accepted::rule(why));
        }
    }

    fn interval(&mut self, subject: &Subject) -> Option<Duration> {
        let range = Range::new("interval", "100ms", "1d");
        let interval = range.of(self.path, self.written.interval, self.problems);
        if interval.is_some() && !matches!(subject, Subject::Query(_)) {
            let accepted = Accepted::rule("only a query has an interval of its own");
            self.report("interval", "given", accepted);
        }
        interval
    }
}

fn of_metric(metric: Metric, quantile: Option<Probability>) -> Subject {
    match metric {
        Metric::SuccessRate => Subject::SuccessRate,
        Metric::ErrorRate => Subject::ErrorRate,
        Metric::Latency => Subject::Latency(quantile.map_or(0.5, Probability::as_f64)),
        Metric::FailedUsers => Subject::FailedUsers,
        Metric::SampleRatio => Subject::SampleRatio,
    }
}

/// What thresholds a check takes, in words.
const fn units(subject: &Subject, basis: Basis) -> &'static str {
    match (subject, basis) {
        (Subject::Query(_), _) => "a number, such as > 0",
        (Subject::Latency(_), Basis::Limit) => "a time, such as > 1s",
        (Subject::Latency(_) | Subject::FailedUsers, Basis::Fallback) => {
            "a part of the fallback's, such as > +50%"
        }
        (Subject::SuccessRate, Basis::Fallback) => "points of percent, such as < -1pp",
        (_, Basis::Fallback) => "a part of the fallback's or points: > +50%, > +1pp",
        (Subject::SuccessRate, Basis::Limit) => "a part of the responses, such as < 95%",
        (Subject::FailedUsers, Basis::Limit) => "a part of the users, such as > 1%",
        (_, Basis::Limit) => "a part of the responses, such as > 5%; against: fallback for +1pp",
    }
}
