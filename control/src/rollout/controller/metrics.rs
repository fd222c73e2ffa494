//! What the controller counts, and how far each Rollout is when somebody asks.

mod runs;

use std::fmt;
use std::sync::Weak;
use std::time::Duration;

use jiff::Timestamp;
use prometheus_client::collector::Collector;
use prometheus_client::encoding::{DescriptorEncoder, EncodeMetric as _};
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::ConstGauge;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::registry::Registry;

use super::gauges::{Labels, NAMESPACE, each, gauge};
use super::index::Index;
use super::served::Served;
use crate::rollout::engine::EventKind;
use crate::rollout::status::{Stage, Status};

/// The upper bounds of the buckets of how long a look takes, in seconds. Chosen: from one request to
/// what people notice.
const BUCKETS: [f64; 7] = [0.005, 0.02, 0.1, 0.5, 2.0, 10.0, 60.0];

/// The same of how long steps and runs take: from ten seconds to a week.
const LENGTHS: [f64; 8] = [
    10.0, 60.0, 300.0, 1_800.0, 7_200.0, 28_800.0, 86_400.0, 604_800.0,
];

/// Everything that is counted.
#[derive(Clone, Debug)]
pub(super) struct Metrics {
    looks: Histogram,
    failed: Counter,
    unremembered: Counter,
    unkept: Counter,
    events: Family<Labels, Counter>,
    claims: Family<Labels, Counter>,
    runs: Family<Labels, Histogram, fn() -> Histogram>,
    holds: Histogram,
}

impl Metrics {
    /// Nothing yet.
    pub(super) fn new() -> Self {
        Self {
            looks: Histogram::new(BUCKETS),
            failed: Counter::default(),
            unremembered: Counter::default(),
            unkept: Counter::default(),
            events: Family::default(),
            claims: Family::default(),
            runs: Family::new_with_constructor(|| Histogram::new(LENGTHS)),
            holds: Histogram::new(LENGTHS),
        }
    }

    /// A look took so long.
    pub(super) fn looked(&self, took: Duration, is_good: bool) {
        self.looks.observe(took.as_secs_f64());
        if !is_good {
            self.failed.inc();
        }
    }

    /// An ended run could not be remembered.
    pub(super) fn unremembered(&self) {
        self.unremembered.inc();
    }

    /// A status was refused.
    pub(super) fn unkept(&self) {
        self.unkept.inc();
    }

    /// A status follows another one: steps and runs that ended with it are measured.
    pub(super) fn went_on(&self, before: &Status, after: &Status, now: Timestamp) {
        let Some(run) = &after.run else {
            return;
        };
        let former = before
            .under_way()
            .filter(|former| former.number == run.number);
        let Some(former) = former else {
            return;
        };
        let is_over = run.stage == Stage::Over;
        if let Some(converged) = former.converged
            && (is_over || run.step > former.step)
        {
            self.holds.observe(seconds(converged, now));
        }
        if let (true, Some(ended), Some(ending)) = (is_over, run.ended, &run.ending) {
            let labels = vec![("outcome", format!("{:?}", ending.outcome))];
            let took = seconds(run.began, ended);
            self.runs.get_or_create(&labels).observe(took);
        }
    }

    /// Something happened to a Rollout.
    pub(super) fn happened(&self, kind: EventKind) {
        let labels = vec![("event", format!("{kind:?}"))];
        self.events.get_or_create(&labels).inc();
    }

    /// Proxies were looked at because it was said that their guards took a challenger out.
    pub(super) fn claimed(&self, is_so: bool) {
        let found = if is_so { "Tripped" } else { "Nothing" };
        let labels = vec![("found", found.to_owned())];
        self.claims.get_or_create(&labels).inc();
    }

    /// Names them.
    pub(super) fn register(&self, registry: &mut Registry) {
        let looks = "How long a look at a Rollout took";
        registry.register(
            "sluice_rollout_reconcile_seconds",
            looks,
            self.looks.clone(),
        );
        let failed = "Looks that failed";
        registry.register(
            "sluice_rollout_reconcile_errors",
            failed,
            self.failed.clone(),
        );
        let unremembered = "Ended runs that could not be remembered";
        registry.register(
            "sluice_rollout_unremembered",
            unremembered,
            self.unremembered.clone(),
        );
        let unkept = "Statuses that the API server refused";
        registry.register("sluice_rollout_unkept", unkept, self.unkept.clone());
        let runs = "How long runs took, by how they ended";
        registry.register("sluice_rollout_run_seconds", runs, self.runs.clone());
        let holds = "How long steps lasted after their proxies had followed";
        registry.register("sluice_rollout_step_seconds", holds, self.holds.clone());
        let events = "What happened to Rollouts";
        registry.register("sluice_rollout_events", events, self.events.clone());
        let claims = "Looks at proxies of which it was said that their guards tripped";
        registry.register("sluice_rollout_claims", claims, self.claims.clone());
    }
}

/// How far each Rollout is.
pub(super) struct HowFar<I> {
    /// What tells; it may be gone while somebody still asks.
    pub(super) of: Weak<I>,
    /// The namespace that it is confined to; `None`: all.
    pub(super) confined_to: Option<String>,
}

/// What tells of every Rollout, and whether it leads.
pub(super) trait Told: Send + Sync + 'static {
    /// Every Rollout that is there.
    fn index(&self) -> &Index;

    /// What the plugins want.
    fn served(&self) -> &Served;

    /// Whether this process leads.
    fn leads(&self) -> bool;
}

impl<I> fmt::Debug for HowFar<I> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("HowFar")
    }
}

impl<I: Told> Collector for HowFar<I> {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> fmt::Result {
        let Some(of) = self.of.upgrade() else {
            return Ok(());
        };
        let mut leads = gauge(
            &mut encoder,
            "sluice_controller_leads",
            "Whether this process runs the Rollouts",
        )?;
        let does_lead = ConstGauge::new(i64::from(of.leads()));
        match &self.confined_to {
            Some(namespace) => {
                let labels: Labels = vec![(NAMESPACE, namespace.clone())];
                does_lead.encode(leads.encode_family(&labels)?)?;
            }
            None => does_lead.encode(leads)?,
        }
        let index = of.index();
        let phase = gauge(
            &mut encoder,
            "sluice_rollout_phase",
            "1 for what a Rollout does",
        )?;
        each(index, phase, |known| {
            vec![(vec![("phase", format!("{:?}", known.status.phase))], 1.0)]
        })?;
        let step = gauge(
            &mut encoder,
            "sluice_rollout_step",
            "The step of the last run, from 1",
        )?;
        each(index, step, |known| {
            let run = known.status.run.iter();
            run.map(|run| (Vec::new(), (run.step + 1) as f64)).collect()
        })?;
        let steps = gauge(
            &mut encoder,
            "sluice_rollout_steps",
            "How many steps a Rollout has",
        )?;
        each(index, steps, |known| {
            let summary = known.summary.iter();
            summary
                .map(|summary| (Vec::new(), summary.steps as f64))
                .collect()
        })?;
        let weight = gauge(
            &mut encoder,
            "sluice_rollout_weight_wanted",
            "The challenger's weight that a run under way wants, in percent",
        )?;
        each(index, weight, |known| {
            let run = known
                .status
                .run
                .as_ref()
                .filter(|_| known.status.phase.is_under_way());
            let wanted = run.into_iter().flat_map(|run| &run.wanted);
            wanted
                .map(|(audience, percent)| (vec![("audience", audience.clone())], percent.as_f64()))
                .collect()
        })?;
        let measured = gauge(
            &mut encoder,
            "sluice_rollout_weight_measured",
            "The challenger's part of the users of a run under way, in percent, as proxies last counted them",
        )?;
        each(index, measured, |known| {
            let users = known.status.under_way().and_then(|run| run.users.as_ref());
            let share = users.and_then(|users| Some((users.audience.clone(), users.share?)));
            share
                .map(|(audience, share)| (vec![("audience", audience)], share))
                .into_iter()
                .collect()
        })?;
        runs::encode(index, &mut encoder)?;
        of.served().encode(&mut encoder)
    }
}

fn seconds(from: Timestamp, to: Timestamp) -> f64 {
    to.duration_since(from).as_secs_f64().max(0.0)
}

#[cfg(test)]
mod tests {
    use super::*;
    use prometheus_client::encoding::text::encode;
    use serde_json::json;

    struct Teller(Index, Served);

    impl Told for Teller {
        fn index(&self) -> &Index {
            &self.0
        }

        fn served(&self) -> &Served {
            &self.1
        }

        fn leads(&self) -> bool {
            true
        }
    }

    #[test]
    fn counts_and_rollouts_are_told_as_prometheus_reads_them() {
        let metrics = Metrics::new();
        metrics.looked(Duration::from_millis(250), true);
        metrics.looked(Duration::from_secs(100), false);
        metrics.happened(EventKind::Stepped);
        metrics.claimed(true);
        let status = |step: usize, stage: &str| -> Status {
            serde_json::from_value(json!({"run": {
                "number": 1, "began": "2026-11-21T00:00:00Z", "since": "2026-11-21T00:00:00Z", "step": step,
                "stage": stage, "weights": {}, "converged": "2026-11-21T00:01:00Z",
                "ending": {"as": "Succeeded", "message": ""}, "ended": "2026-11-21T00:20:00Z",
            }}))
            .unwrap()
        };
        let now: Timestamp = "2026-11-21T00:05:00Z".parse().unwrap();
        let stages = [
            status(0, "Holding"),
            status(1, "Entering"),
            status(1, "Over"),
            status(1, "Over"),
        ];
        for pair in stages.windows(2) {
            metrics.went_on(&pair[0], &pair[1], now);
        }
        let index = Index::default();
        let rollout = json!({
            "metadata": {"name": "web", "namespace": "shop"},
            "spec": {"split": "web", "steps": [{"weight": 5, "hold": "1m"}, {"weight": 10, "hold": "5m"}], "analysis": {
                "checks": [{"name": "errors", "metric": "errorRate", "pass": "<= 1%", "fail": "> 5%"}],
            }},
            "status": {"phase": "Progressing", "run": {
                "number": 1, "began": "2026-11-21T00:00:00Z", "since": "2026-11-21T00:00:00Z", "step": 1,
                "stage": "Holding", "converged": "2026-11-21T00:00:10Z", "split": "web", "challenger": "canary",
                "weights": {"a\"b": 5}, "wanted": {"a\"b": 10},
                "users": {"audience": "a\"b", "at": "2026-11-21T00:00:00Z", "reached": 98, "failed": 3, "share": 9.8, "of": 1_000},
                "analysis": {"checks": [
                    {"name": "errors", "value": 0.25, "distance": -0.5, "failed": 2, "evidence": {"now": 20, "needed": 80}},
                    {"name": "new"},
                ]},
            }},
        });
        index.note(&serde_json::from_value(rollout).unwrap());
        let served = Served::default();
        let spec = json!({"pluginConfig": {"splits": {"web": {}}, "weights": {"web": {"everyone": {"canary": 5}}}}});
        let plugin = ("WasmPlugin", "shop".to_owned(), "sluice".to_owned());
        served.note(
            plugin,
            crate::rollout::controller::served::Wanted::of(&spec),
        );
        let mut registry = Registry::default();
        metrics.register(&mut registry);
        let of = std::sync::Arc::new(Teller(index, served));
        let told = std::sync::Arc::downgrade(&of);
        registry.register_collector(Box::new(HowFar {
            of: told,
            confined_to: None,
        }));
        let mut text = String::new();
        encode(&mut text, &registry).unwrap();
        let lines: Vec<&str> = text.lines().filter(|line| !line.starts_with('#')).collect();
        let expected = [
            "sluice_rollout_reconcile_seconds_sum 100.25",
            "sluice_rollout_reconcile_seconds_count 2",
            "sluice_rollout_reconcile_seconds_bucket{le=\"0.005\"} 0",
            "sluice_rollout_reconcile_seconds_bucket{le=\"0.02\"} 0",
            "sluice_rollout_reconcile_seconds_bucket{le=\"0.1\"} 0",
            "sluice_rollout_reconcile_seconds_bucket{le=\"0.5\"} 1",
            "sluice_rollout_reconcile_seconds_bucket{le=\"2.0\"} 1",
            "sluice_rollout_reconcile_seconds_bucket{le=\"10.0\"} 1",
            "sluice_rollout_reconcile_seconds_bucket{le=\"60.0\"} 1",
            "sluice_rollout_reconcile_seconds_bucket{le=\"+Inf\"} 2",
            "sluice_rollout_reconcile_errors_total 1",
            "sluice_rollout_unremembered_total 0",
            "sluice_rollout_unkept_total 0",
            "sluice_rollout_run_seconds_sum{outcome=\"Succeeded\"} 1200.0",
            "sluice_rollout_run_seconds_count{outcome=\"Succeeded\"} 1",
            "sluice_rollout_run_seconds_bucket{le=\"10.0\",outcome=\"Succeeded\"} 0",
            "sluice_rollout_run_seconds_bucket{le=\"60.0\",outcome=\"Succeeded\"} 0",
            "sluice_rollout_run_seconds_bucket{le=\"300.0\",outcome=\"Succeeded\"} 0",
            "sluice_rollout_run_seconds_bucket{le=\"1800.0\",outcome=\"Succeeded\"} 1",
            "sluice_rollout_run_seconds_bucket{le=\"7200.0\",outcome=\"Succeeded\"} 1",
            "sluice_rollout_run_seconds_bucket{le=\"28800.0\",outcome=\"Succeeded\"} 1",
            "sluice_rollout_run_seconds_bucket{le=\"86400.0\",outcome=\"Succeeded\"} 1",
            "sluice_rollout_run_seconds_bucket{le=\"604800.0\",outcome=\"Succeeded\"} 1",
            "sluice_rollout_run_seconds_bucket{le=\"+Inf\",outcome=\"Succeeded\"} 1",
            "sluice_rollout_step_seconds_sum 480.0",
            "sluice_rollout_step_seconds_count 2",
            "sluice_rollout_step_seconds_bucket{le=\"10.0\"} 0",
            "sluice_rollout_step_seconds_bucket{le=\"60.0\"} 0",
            "sluice_rollout_step_seconds_bucket{le=\"300.0\"} 2",
            "sluice_rollout_step_seconds_bucket{le=\"1800.0\"} 2",
            "sluice_rollout_step_seconds_bucket{le=\"7200.0\"} 2",
            "sluice_rollout_step_seconds_bucket{le=\"28800.0\"} 2",
            "sluice_rollout_step_seconds_bucket{le=\"86400.0\"} 2",
            "sluice_rollout_step_seconds_bucket{le=\"604800.0\"} 2",
            "sluice_rollout_step_seconds_bucket{le=\"+Inf\"} 2",
            "sluice_rollout_events_total{event=\"Stepped\"} 1",
            "sluice_rollout_claims_total{found=\"Tripped\"} 1",
            "sluice_controller_leads 1",
            "sluice_rollout_phase{sluice_namespace=\"shop\",rollout=\"web\",phase=\"Progressing\"} 1.0",
            "sluice_rollout_step{sluice_namespace=\"shop\",rollout=\"web\"} 2.0",
            "sluice_rollout_steps{sluice_namespace=\"shop\",rollout=\"web\"} 2.0",
            "sluice_rollout_weight_wanted{sluice_namespace=\"shop\",rollout=\"web\",audience=\"a\\\"b\"} 10.0",
            "sluice_rollout_weight_measured{sluice_namespace=\"shop\",rollout=\"web\",audience=\"a\\\"b\"} 9.8",
            "sluice_rollout_info{sluice_namespace=\"shop\",rollout=\"web\",sluice_split=\"web\",sluice_variant=\"canary\"} 1.0",
            "sluice_rollout_spec_valid{sluice_namespace=\"shop\",rollout=\"web\"} 1.0",
            // The proxies had followed at 00:00:10, and the step is held for five minutes.
            "sluice_rollout_hold_until_timestamp_seconds{sluice_namespace=\"shop\",rollout=\"web\"} 1795219510.0",
            "sluice_rollout_users{sluice_namespace=\"shop\",rollout=\"web\",audience=\"a\\\"b\"} 98.0",
            "sluice_rollout_failed_users{sluice_namespace=\"shop\",rollout=\"web\",audience=\"a\\\"b\"} 3.0",
            "sluice_rollout_audience_users{sluice_namespace=\"shop\",rollout=\"web\",audience=\"a\\\"b\"} 1000.0",
            "sluice_rollout_check_value{sluice_namespace=\"shop\",rollout=\"web\",check=\"errors\"} 0.25",
            "sluice_rollout_check_distance{sluice_namespace=\"shop\",rollout=\"web\",check=\"errors\"} -0.5",
            "sluice_rollout_check_evidence{sluice_namespace=\"shop\",rollout=\"web\",check=\"errors\"} 0.25",
            "sluice_rollout_check_failures{sluice_namespace=\"shop\",rollout=\"web\",check=\"errors\"} 2.0",
            "sluice_rollout_check_failures{sluice_namespace=\"shop\",rollout=\"web\",check=\"new\"} 0.0",
            "sluice_rollout_check_threshold{sluice_namespace=\"shop\",rollout=\"web\",check=\"errors\",bound=\"Pass\"} 0.01",
            "sluice_rollout_check_threshold{sluice_namespace=\"shop\",rollout=\"web\",check=\"errors\",bound=\"Fail\"} 0.05",
            "sluice_rollout_checks_left_out 0.0",
            "sluice_plugin_revision{sluice_namespace=\"shop\",sluice_plugin=\"shop.sluice\",kind=\"WasmPlugin\"} 74072756963426.0",
            "sluice_plugin_problems{sluice_namespace=\"shop\",sluice_plugin=\"shop.sluice\",kind=\"WasmPlugin\"} 0.0",
            "sluice_plugin_weight{sluice_namespace=\"shop\",sluice_plugin=\"shop.sluice\",kind=\"WasmPlugin\",sluice_split=\"web\",sluice_audience=\"everyone\",sluice_variant=\"stable\"} 95.0",
            "sluice_plugin_weight{sluice_namespace=\"shop\",sluice_plugin=\"shop.sluice\",kind=\"WasmPlugin\",sluice_split=\"web\",sluice_audience=\"everyone\",sluice_variant=\"canary\"} 5.0",
            "sluice_plugin_weights_left_out 0.0",
        ];
        assert_eq!(lines, expected);
    }
}
