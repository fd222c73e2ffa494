//! One Rollout: its steps, its checks beside their thresholds, the evidence, and who runs it.

use crate::dashboard::{Dashboard, Variable};
use crate::panel::{Kind, Panel};

const ROLLOUT: &str = "sluice_namespace=~\"$namespace\",rollout=~\"$rollout\"";

pub(super) fn dashboard() -> Dashboard {
    Dashboard {
        name: "rollout",
        title: "Rollout",
        description: "One Rollout: its steps, what its checks say, and how sure that is.",
        variables: vec![
            Variable::Label {
                name: "namespace",
                label: "Namespace",
                of: "sluice_namespace",
                series: "sluice_rollout_info".to_owned(),
                is_multi: true,
            },
            Variable::Label {
                name: "rollout",
                label: "Rollout",
                of: "rollout",
                series: "sluice_rollout_info{sluice_namespace=~\"$namespace\"}".to_owned(),
                is_multi: false,
            },
        ],
        panels: [steps(), checks(), all()].concat(),
    }
}

/// The greatest of what several replicas of a controller tell.
fn max(metric: &str, by: &str) -> String {
    format!("max by ({by}) ({metric}{{{ROLLOUT}}})")
}

fn steps() -> Vec<Panel> {
    vec![
        Panel::new(Kind::Stat, "Step", "short")
            .says("The step of the last run, and how many there are.")
            .asks("step", max("sluice_rollout_step", "rollout"))
            .asks("of", max("sluice_rollout_steps", "rollout")),
        Panel::new(Kind::Stat, "The hold ends", "dateTimeFromNow")
            .says(
                "Past it, the step waits for checks, an approval, a window or a gate: `sluice \
                rollout status`.",
            )
            .asks(
                "hold",
                format!(
                    "1000 * {}",
                    max("sluice_rollout_hold_until_timestamp_seconds", "rollout")
                ),
            ),
        Panel::new(Kind::Stat, "The spec can be run", "bool_yes_no")
            .says(
                "No: the run stands still until the spec is right; `sluice rollout status` \
                says what is wrong.",
            )
            .asks("valid", max("sluice_rollout_spec_valid", "rollout")),
        Panel::new(Kind::States, "Phase", "short")
            .says(
                "Paused, Blocked and Waiting wait for a person or for something that is not \
                there.",
            )
            .asks("{{phase}}", max("sluice_rollout_phase", "phase"))
            .wide(12),
        Panel::new(Kind::Lines, "Weight, wanted and measured", "percent")
            .says(
                "The challenger's part of the audience: as the step wants it, and of the users \
                that proxies counted.",
            )
            .asks(
                "wanted {{audience}}",
                max("sluice_rollout_weight_wanted", "audience"),
            )
            .asks(
                "measured {{audience}}",
                max("sluice_rollout_weight_measured", "audience"),
            )
            .between(0.0, 100.0)
            .wide(12),
        Panel::new(Kind::Lines, "Users", "short")
            .says("Whom the challenger reached at this step, and those of them who saw a failure.")
            .asks(
                "reached {{audience}}",
                max("sluice_rollout_users", "audience"),
            )
            .asks(
                "failed {{audience}}",
                max("sluice_rollout_failed_users", "audience"),
            )
            .wide(12),
    ]
}

fn checks() -> Vec<Panel> {
    vec![
        Panel::new(Kind::Lines, "Checks beside their thresholds", "short")
            .says(
                "A part of 1, seconds, users, or a query's number. A check that compares with \
                 the fallback \
                 has no threshold of its own here: see how far it is from failing.",
            )
            .asks("{{check}}", max("sluice_rollout_check_value", "check"))
            .asks(
                "{{check}} {{bound}}",
                max("sluice_rollout_check_threshold", "check, bound"),
            )
            .wide(12),
        Panel::new(Kind::Lines, "How far checks are from failing", "short")
            .says(
                "In the threshold's unit. Below 0 it is beyond: with evidence enough, the run \
                goes back.",
            )
            .asks("{{check}}", max("sluice_rollout_check_distance", "check"))
            .wide(12),
        Panel::new(Kind::Bars, "Evidence against the challenger", "percentunit")
            .says("At 100 % the check fails: it is not by chance.")
            .asks("{{check}}", max("sluice_rollout_check_evidence", "check"))
            .between(0.0, 1.0)
            .bad_from(1.0),
        Panel::new(Kind::Table, "Failed measurements", "short")
            .says("One more than a check's failureLimit, and the run goes back.")
            .asks("", max("sluice_rollout_check_failures", "check")),
    ]
}

fn all() -> Vec<Panel> {
    vec![
        Panel::new(Kind::Table, "How runs ended, all Rollouts", "short")
            .says("Since the controller started.")
            .asks("", "sum by (outcome) (sluice_rollout_run_seconds_count)"),
        Panel::new(Kind::Lines, "What happened, all Rollouts", "short")
            .says("The Events of all Rollouts; docs/monitoring.md says what each means.")
            .asks(
                "{{event}}",
                "sum by (event) (increase(sluice_rollout_events_total[$__rate_interval]))",
            ),
        Panel::new(Kind::Lines, "A look at a Rollout", "s")
            .says(
                "Slow looks hold steps up, and rollbacks too: look at Prometheus and at the \
                API server.",
            )
            .asks(
                "p95",
                "histogram_quantile(0.95, sum by (le) \
                 (rate(sluice_rollout_reconcile_seconds_bucket[$__rate_interval])))",
            ),
        Panel::new(Kind::Stat, "Controllers that lead", "short")
            .says(
                "One of each namespace that controllers are confined to. None: nobody moves a \
                step, and nobody takes users back.",
            )
            .asks(
                "leads {{sluice_namespace}}",
                "sum by (namespace, sluice_namespace) (sluice_controller_leads)",
            ),
    ]
}
