//! A Canary's metrics, and the MetricTemplates that they name, as checks.

use std::time::Duration;

use serde_json::{Map, Value, json};

use super::super::analysis::{Analysis, decimal, within};
use super::super::fields::Fields;
use super::super::length;
use super::super::notes::Notes;
use super::super::query::{filled, plain};
use super::canary::Canary;
use super::steps::Plan;
use crate::model::workload::copy_of;

/// Flagger's default window (canary.go, MetricInterval).
const WINDOW: Duration = Duration::from_secs(60);

/// One metric.
struct Metric {
    fields: Fields,
    name: String,
    window: Duration,
}

pub(super) fn read(
    canary: &mut Canary<'_>,
    analysis: &mut Fields,
    plan: &Plan,
    rollout: &mut Map<String, Value>,
    notes: &mut Notes,
) {
    let threshold = analysis.whole("threshold", notes).unwrap_or(1).max(1);
    let metrics: Vec<Metric> = analysis
        .maps("metrics", notes)
        .into_iter()
        .map(|fields| Metric::of(fields, notes))
        .collect();
    if !plan.is_watched {
        for metric in metrics {
            notes.lost(
                &metric.fields.at("name"),
                "skipAnalysis is true: nothing is looked at",
            );
        }
        return;
    }
    let windows = metrics.iter().map(|metric| metric.window);
    let window = windows.fold(plan.interval, Duration::max);
    let mut checks = Analysis::new(canary.known.prometheus.as_deref());
    // It goes first, so that it is the one that templates are compared with.
    let mut server = canary
        .metrics_server
        .take()
        .map(|address| json!({"address": address}));
    if let Some(server) = server.clone()
        && let Err(why) = checks.ask(server)
    {
        notes.lost("spec.metricsServer", why);
    }
    for metric in metrics {
        metric.check(canary, window, &mut server, &mut checks, notes);
    }
    if checks.is_empty() {
        return;
    }
    if !checks.has_server() {
        notes.lost(
            "spec.metricsServer",
            "missing, and the address is Flagger's own (-metrics-server): give it by --prometheus, or write \
             spec.analysis.prometheus.address",
        );
    }
    notes.said(
        "spec.analysis.threshold",
        "failed checks are counted for each check by itself, and no data and errors count as failures, as Flagger has it; \
         onNoData: hold would wait instead",
    );
    let mut others = json!({
        "interval": within(plan.interval, "10s", "1h"),
        "window": within(window, "10s", "24h"),
        "failureLimit": threshold - 1,
        "minRequests": 1,
        "onNoData": "fail",
        "onError": "fail",
    });
    if checks.needs_istio {
        others["istio"] = json!({"service": format!("{}.{}", canary.service, canary.namespace)});
        if !canary.target.is_empty() {
            others["istio"]["label"] = json!("workload");
            others["istio"]["challenger"] = json!(canary.target);
            others["istio"]["fallback"] = json!(copy_of(&canary.target));
        }
    }
    rollout.insert("analysis".to_owned(), checks.written(others));
}

impl Metric {
    fn of(mut fields: Fields, notes: &mut Notes) -> Self {
        let name = fields.text("name", notes).unwrap_or_default();
        let window = match fields.text("interval", notes) {
            None => WINDOW,
            Some(text) => length::of_go(&text).unwrap_or_else(|| {
                notes.lost(
                    &fields.at("interval"),
                    format!("{text:.80?} is no length of time; 1m is taken"),
                );
                WINDOW
            }),
        };
        Self {
            fields,
            name,
            window,
        }
    }

    /// Adds what it becomes, or lists why it becomes nothing.
    fn check(
        mut self,
        canary: &mut Canary<'_>,
        window: Duration,
        server: &mut Option<Value>,
        checks: &mut Analysis,
        notes: &mut Notes,
    ) {
        let path = self.fields.at("name");
        let name = self.name.clone();
        let range = self.range(notes);
        let has_query = self.fields.has("templateRef") || self.fields.has("query");
        let made = match (self.name.as_str(), has_query) {
            ("request-success-rate", false) => self.success(&range, checks),
            ("request-duration", false) => self.duration(&range, checks),
            _ => self.query(canary, &range, window, server, checks, notes),
        };
        if let Err(why) = made {
            notes.lost(&path, format!("{name:.80}: {why}"));
        } else if !has_query && self.window != window {
            notes.said(
                &self.fields.at("interval"),
                format!(
                    "{name:.80} is measured over {}, not {}: metrics of Istio have one window, the longest interval of \
                     the Canary; a check with a query has its own",
                    shown(window),
                    shown(self.window)
                ),
            );
        }
        self.fields.end(notes);
    }

    fn range(&mut self, notes: &mut Notes) -> Range {
        let threshold = self.fields.number("threshold", notes);
        let Some(mut range) = self.fields.map("thresholdRange", notes) else {
            return Range {
                threshold: Some(threshold.unwrap_or_default()),
                ..Range::default()
            };
        };
        let found = Range {
            least: range.number("min", notes),
            most: range.number("max", notes),
            threshold: None,
        };
        range.end(notes);
        if threshold.is_some() {
            notes.lost(
                &self.fields.at("threshold"),
                "thresholdRange is there; so does Flagger",
            );
        }
        found
    }

    /// Percent of the responses that are not of class 5xx.
    fn success(&self, range: &Range, checks: &mut Analysis) -> Result<(), String> {
        let least = range.least.or(range.threshold).filter(|least| *least > 0.0);
        let Some(least) = least else {
            return Err("it has no least value, so it would never fail".to_owned());
        };
        if range.most.is_some_and(|most| most < 100.0) {
            return Err(
                "a success rate that is too good is no failure; write a check with a query"
                    .to_owned(),
            );
        }
        checks.needs_istio = true;
        let pass = format!(">= {}%", decimal(least)?);
        checks.add(
            &self.name,
            fields(json!({"metric": "successRate", "pass": pass})),
        )
    }

    /// The 99th percentile, in whole milliseconds.
    fn duration(&self, range: &Range, checks: &mut Analysis) -> Result<(), String> {
        if range.least.is_some_and(|least| least > 0.0) {
            return Err(
                "answers that are too fast are no failure; write a check with a query".to_owned(),
            );
        }
        let Some(most) = range.most.or(range.threshold) else {
            return Err("it has no greatest value, so it would never fail".to_owned());
        };
        let most = length::of_seconds(most.trunc() / 1_000.0);
        let most = most.and_then(length::written).ok_or("no length of time")?;
        checks.needs_istio = true;
        let check = json!({"metric": "latency", "quantile": 0.99, "pass": format!("<= {most}")});
        checks.add(&self.name, fields(check))
    }

    fn query(
        &mut self,
        canary: &mut Canary<'_>,
        range: &Range,
        window: Duration,
        server: &mut Option<Value>,
        checks: &mut Analysis,
        notes: &mut Notes,
    ) -> Result<(), String> {
        let variables = self
            .fields
            .take("templateVariables")
            .map(fields)
            .unwrap_or_default();
        let inline = self.fields.text("query", notes);
        let template = self.fields.map("templateRef", notes);
        let (query, asked) = match (template, inline) {
            (Some(template), _) => template_of(canary, template, notes)?,
            (None, Some(query)) => (query, server.clone()),
            (None, None) => {
                return Err(
                    "neither a metric of Flagger's own, nor a template, nor a query".to_owned(),
                );
            }
        };
        let query = canary.filled(&query, self.window, window, &variables)?;
        let thresholds = range.thresholds()?;
        if let Some(asked) = asked {
            checks.ask(asked)?;
        }
        let several = thresholds.len() > 1;
        for (end, threshold) in thresholds {
            let name = match several {
                true => format!("{} {end}", self.name),
                false => self.name.clone(),
            };
            checks.add(&name, fields(json!({"query": query, "pass": threshold})))?;
        }
        Ok(())
    }
}

fn shown(length: Duration) -> String {
    length::written(length).unwrap_or_else(|| format!("{} s", length.as_secs()))
}

/// What values a metric may have.
#[derive(Default)]
struct Range {
    least: Option<f64>,
    most: Option<f64>,
    /// The older field, whose side depends on the metric.
    threshold: Option<f64>,
}

impl Range {
    /// As thresholds of a query, each with the side that it is.
    fn thresholds(&self) -> Result<Vec<(&'static str, String)>, String> {
        let most = self.most.or(self.threshold);
        let sides = [("least", ">=", self.least), ("most", "<=", most)];
        let mut thresholds = Vec::new();
        for (end, sign, limit) in sides {
            if let Some(limit) = limit {
                thresholds.push((end, format!("{sign} {}", decimal(limit)?)));
            }
        }
        match thresholds.is_empty() {
            true => Err(
                "it has neither a least nor a greatest value, so it would never fail".to_owned(),
            ),
            false => Ok(thresholds),
        }
    }
}

/// A template's query, and the server that is asked.
fn template_of(
    canary: &mut Canary<'_>,
    mut reference: Fields,
    notes: &mut Notes,
) -> Result<(String, Option<Value>), String> {
    let name = reference.text("name", notes).unwrap_or_default();
    let namespace = reference.text("namespace", notes);
    reference.take("kind");
    reference.take("apiVersion");
    reference.end(notes);
    let (input, mut spec) = canary.named("MetricTemplate", &name, namespace.as_deref(), notes)?;
    let query = spec.text("query", notes);
    let mut provider = spec.map("provider", notes).unwrap_or_default();
    let kind = provider.text("type", notes).unwrap_or_default();
    spec.end(notes);
    if kind != "prometheus" {
        return Err(format!(
            "MetricTemplate {input}: a provider of type {kind:.80}; only Prometheus is asked: export the figure there, or \
             ask for it in a gate"
        ));
    }
    let mut server = Map::new();
    match provider.text("address", notes) {
        Some(address) => server.insert("address".to_owned(), json!(address)),
        None => return Err(format!("MetricTemplate {input}: no provider.address")),
    };
    if provider.flag("insecureSkipVerify", notes) == Some(true) {
        server.insert("insecureSkipVerify".to_owned(), json!(true));
    }
    if let Some(secret) = provider.take("secretRef") {
        let secret = secret["name"].as_str().unwrap_or_default().to_owned();
        notes.lost(
            &provider.at("secretRef"),
            format!(
                "whether Secret {secret:.80} has a token or a password stands in it: write bearerTokenFrom or basicAuth \
                 in spec.analysis.prometheus, of a Secret in the Rollout's namespace"
            ),
        );
    }
    provider.all_lost(
        &[
            ("headers", "only a bearer token or a password can be sent"),
            ("region", "it is CloudWatch's"),
        ],
        notes,
    );
    provider.end(notes);
    let query = query.ok_or_else(|| format!("MetricTemplate {input}: no query"))?;
    Ok((query, Some(Value::Object(server))))
}

impl Canary<'_> {
    /// A query with Flagger's variables (metric.go, TemplateFunctions) filled in.
    fn filled(
        &self,
        query: &str,
        own: Duration,
        window: Duration,
        variables: &Map<String, Value>,
    ) -> Result<String, String> {
        let value = |name: &str| {
            let value = match name {
                "name" => &self.name,
                "namespace" => &self.namespace,
                "target" if self.target.is_empty() => {
                    return Err(format!("{name} is no Deployment"));
                }
                "target" => &self.target,
                "service" => &self.service,
                "ingress" => &self.ingress,
                "route" => &self.route,
                "interval" if own == window => return Ok("{{window}}".to_owned()),
                "interval" => return Ok(format!("{}s", own.as_secs().max(1))),
                other => {
                    let variable = other.strip_prefix("variables.");
                    let found = variable.and_then(|name| variables.get(name)?.as_str());
                    let why = || format!("{{{{ {other:.80} }}}} is not known");
                    return plain(other, found.ok_or_else(why)?);
                }
            };
            plain(name, value)
        };
        filled(query, value)
    }
}

fn fields(value: Value) -> Map<String, Value> {
    match value {
        Value::Object(fields) => fields,
        _ => Map::new(),
    }
}
