//! One metric of an AnalysisTemplate as a check, or as several where it has two limits.

use std::time::Duration;

use serde_json::{Map, Value, json};

use crate::rollout::import::analysis::{decimal, within};
use crate::rollout::import::argo::arguments::{Arguments, with_arguments};
use crate::rollout::import::argo::resource::Read;
use crate::rollout::import::condition::{self, Condition};
use crate::rollout::import::fields::Fields;
use crate::rollout::import::length;
use crate::rollout::import::notes::Notes;
use crate::rollout::resource::MAX_COUNT;

/// A metric whose arguments are known.
pub(super) struct Metric<'a> {
    fields: Fields,
    arguments: &'a Arguments,
    name: String,
    interval: Option<Duration>,
    delay: Duration,
    count: u32,
}

impl<'a> Metric<'a> {
    pub(super) fn of(mut fields: Fields, arguments: &'a Arguments, notes: &mut Notes) -> Self {
        let name = fields.text("name", notes).unwrap_or_default();
        let mut metric = Self {
            fields,
            arguments,
            name,
            interval: None,
            delay: Duration::ZERO,
            count: 1,
        };
        metric.interval = metric.length("interval", notes);
        metric.delay = metric.length("initialDelay", notes).unwrap_or_default();
        if let Some(count) = metric.whole("count", notes) {
            metric.count = u32::try_from(count.clamp(1, 100_000)).unwrap_or(1);
        }
        metric
    }

    /// From its begin to its last measurement.
    pub(super) fn lasts(&self) -> Duration {
        let between = self.interval.unwrap_or_default();
        let measured = between.checked_mul(self.count - 1).unwrap_or_default();
        self.delay.saturating_add(measured)
    }

    /// Adds what it becomes, or lists why it becomes nothing.
    pub(super) fn add(mut self, dry: &[String], read: &mut Read, notes: &mut Notes) {
        let path = self.fields.at("name");
        let name = self.name.clone();
        if let Err(why) = self.checks(dry, read, notes) {
            notes.lost(&path, format!("{name:.80}: {why}"));
        }
        self.fields.end(notes);
    }

    fn checks(&mut self, dry: &[String], read: &mut Read, notes: &mut Notes) -> Result<(), String> {
        let limit = self.whole("failureLimit", notes);
        self.fields.all_lost(
            &[
                (
                    "inconclusiveLimit",
                    "what neither passes nor fails holds the step",
                ),
                (
                    "consecutiveErrorLimit",
                    "an error holds the step; spec.analysis.onError: fail counts it",
                ),
                (
                    "consecutiveSuccessLimit",
                    "a step ends after its hold, in a round in which every check passes",
                ),
            ],
            notes,
        );
        let conditions = [
            self.condition("successCondition", notes),
            self.condition("failureCondition", notes),
        ];
        let provider = self.fields.map("provider", notes).unwrap_or_default();
        let (query, server) = self.prometheus(provider, notes)?;
        let [success, failure] = conditions;
        let (success, failure) = (success?, failure?);
        let thresholds = thresholds(success.as_ref(), failure.as_ref())?;
        if let Some(server) = server {
            read.checks.ask(server)?;
        }
        let mut others = Map::from_iter([("query".to_owned(), json!(query))]);
        if let Some(limit) = limit {
            let most = i64::from(MAX_COUNT);
            if !(0..=most).contains(&limit) {
                notes.lost(
                    &self.fields.at("failureLimit"),
                    format!("{limit}; it fails nothing, as a dry run"),
                );
                others.insert("dryRun".to_owned(), json!(true));
            } else if limit > 0 {
                others.insert("failureLimit".to_owned(), json!(limit));
            }
        }
        if let Some(interval) = self.interval {
            read.timing.add(interval);
            others.insert("interval".to_owned(), json!(within(interval, "1s", "24h")));
        }
        if dry.iter().any(|name| name == ".*" || *name == self.name) {
            others.insert("dryRun".to_owned(), json!(true));
        }
        self.said([success.as_ref(), failure.as_ref()], read, notes);
        for threshold in thresholds {
            let mut check = others.clone();
            check.extend(threshold);
            read.checks.add(&self.name, check)?;
        }
        Ok(())
    }

    /// What conditions say of no result and of NaN.
    fn said(&self, conditions: [Option<&Condition>; 2], read: &mut Read, notes: &mut Notes) {
        let [success, failure] = conditions;
        let passes = success.and_then(|condition| condition.without_data);
        let fails = failure.and_then(|condition| condition.without_data);
        read.no_data
            .add(&self.name, passes.or(fails.map(|fails| !fails)));
        let of_nan = [
            ("successCondition", success, true),
            ("failureCondition", failure, false),
        ];
        for (field, condition, is_good) in of_nan {
            let Some(holds) = condition.and_then(|condition| condition.for_nan) else {
                continue;
            };
            let what = match (holds == is_good, is_good) {
                (true, true) => "NaN passes",
                (true, false) => "NaN does not fail",
                (false, _) => "NaN fails",
            };
            let instead = match holds == is_good {
                true => {
                    "let the query say what counts where there was nothing, or write onError: pass"
                }
                false => "write onError: fail, by which it counts as a failed measurement",
            };
            notes.lost(
                &self.fields.at(field),
                format!(
                    "isNaN: {what} there; here it is an error, which holds the step: {instead}"
                ),
            );
        }
    }

    fn condition(&mut self, field: &str, notes: &mut Notes) -> Result<Option<Condition>, String> {
        let Some(text) = self.fields.text(field, notes) else {
            return Ok(None);
        };
        let text = with_arguments(&text, self.arguments)?;
        let read = condition::read(&text);
        read.map(Some).map_err(|part| {
            format!("{field}: {part}; a check compares its one number with a limit")
        })
    }

    /// The query, and the server that is asked, where it is named.
    fn prometheus(
        &self,
        mut provider: Fields,
        notes: &mut Notes,
    ) -> Result<(String, Option<Value>), String> {
        let Some(mut prometheus) = provider.map("prometheus", notes) else {
            let others = [
                "job",
                "web",
                "datadog",
                "kayenta",
                "wavefront",
                "newRelic",
                "cloudWatch",
                "graphite",
                "influxdb",
                "skywalking",
                "plugin",
            ];
            let named = others.iter().find(|name| provider.take(name).is_some());
            provider.end(notes);
            let named = named.unwrap_or(&"of an unknown kind");
            return Err(format!(
                "a provider {named}; only Prometheus is asked: export the figure there, or ask for it in a gate \
                 (spec.gates)"
            ));
        };
        provider.end(notes);
        let query = prometheus.text("query", notes);
        let address = prometheus.text("address", notes);
        let mut server = Map::new();
        #[expect(clippy::cast_precision_loss, reason = "seconds that somebody waits")]
        let timeout = prometheus
            .whole("timeout", notes)
            .map(|seconds| seconds as f64);
        if let Some(timeout) = timeout.and_then(length::of_seconds) {
            server.insert("timeout".to_owned(), json!(within(timeout, "100ms", "1m")));
        }
        if prometheus.flag("insecure", notes) == Some(true) {
            server.insert("insecureSkipVerify".to_owned(), json!(true));
        }
        prometheus.all_lost(
            &[
                (
                    "authentication",
                    "credentials are read from a Secret: bearerTokenFrom or basicAuth of spec.analysis.prometheus",
                ),
                ("headers", "only a bearer token or a password can be sent"),
                ("rangeQuery", "a query is asked for one moment: write a function over the range, such as max_over_time"),
            ],
            notes,
        );
        prometheus.end(notes);
        let query = with_arguments(&query.ok_or("no query")?, self.arguments)?;
        let Some(address) = address else {
            return Ok((query, None));
        };
        server.insert(
            "address".to_owned(),
            json!(with_arguments(&address, self.arguments)?),
        );
        Ok((query, Some(Value::Object(server))))
    }

    /// A whole number that may be an argument.
    fn whole(&mut self, field: &str, notes: &mut Notes) -> Option<i64> {
        let value = self.fields.take(field)?;
        let number = match &value {
            Value::String(text) => {
                let text = with_arguments(text, self.arguments);
                text.ok().and_then(|text| text.parse().ok())
            }
            other => other.as_i64(),
        };
        if number.is_none() {
            notes.lost(
                &self.fields.at(field),
                format!("{value:.80} is no whole number"),
            );
        }
        number
    }

    /// A length of time that may be an argument.
    fn length(&mut self, field: &str, notes: &mut Notes) -> Option<Duration> {
        let text = self.fields.text(field, notes)?;
        let filled = with_arguments(&text, self.arguments);
        let length = filled.ok().and_then(|text| length::of_go(&text));
        if length.is_none() {
            notes.lost(
                &self.fields.at(field),
                format!("{text:.80?} is no length of time"),
            );
        }
        length
    }
}

/// The thresholds of each check that two conditions become.
fn thresholds(
    success: Option<&Condition>,
    failure: Option<&Condition>,
) -> Result<Vec<Map<String, Value>>, String> {
    if success.is_some_and(|success| success.is_any) {
        return Err(
            "successCondition: one of several ranges; write a check with a query that says it"
                .to_owned(),
        );
    }
    if failure.is_some_and(|failure| !failure.is_any && failure.comparisons.len() > 1) {
        return Err(
            "failureCondition: within a range; write a check with a query that says it".to_owned(),
        );
    }
    let threshold = |field: &str, (sign, number): &(&'static str, f64)| {
        let limit = format!("{sign} {}", decimal(*number)?);
        Ok::<_, String>(Map::from_iter([(field.to_owned(), json!(limit))]))
    };
    let passing = success.map_or(&[][..], |success| &success.comparisons);
    let failing = failure.map_or(&[][..], |failure| &failure.comparisons);
    if let ([pass], [fail]) = (passing, failing)
        && are_apart(pass, fail)
    {
        let mut check = threshold("pass", pass)?;
        check.extend(threshold("fail", fail)?);
        return Ok(vec![check]);
    }
    let passing = passing.iter().map(|pass| threshold("pass", pass));
    let failing = failing.iter().map(|fail| threshold("fail", fail));
    let checks: Vec<_> = passing.chain(failing).collect::<Result<_, _>>()?;
    match checks.is_empty() {
        true => Err("neither successCondition nor failureCondition, so it never fails".to_owned()),
        false => Ok(checks),
    }
}

/// Whether no value is on both sides, as a check with both has it.
fn are_apart(pass: &(&'static str, f64), fail: &(&'static str, f64)) -> bool {
    let is_upward = |sign: &str| sign.starts_with('>');
    let (low, high) = match is_upward(pass.0) {
        true => (fail, pass),
        false => (pass, fail),
    };
    let shares = low.0.ends_with('=') && high.0.ends_with('=');
    let sides = !is_upward(low.0) && is_upward(high.0);
    #[expect(clippy::float_cmp, reason = "the same text is the same number")]
    let touches = low.1 == high.1 && !shares;
    sides && (low.1 < high.1 || touches)
}
