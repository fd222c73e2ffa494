//! A migration: users who move from one path to another, such as from an old ingress to the mesh, and
//! whether they are served as well there.

use super::{SPLIT, errors, latency, measured, namespaces, root, splits, wanted};
use crate::dashboard::{Dashboard, Variable};
use crate::panel::{Kind, Panel};

pub(super) fn dashboard() -> Dashboard {
    let path = |name, label| Variable::Label {
        name,
        label,
        of: "sluice_variant",
        series: format!("sluice_decisions_total{{{SPLIT}}}"),
        is_multi: false,
    };
    let text = |name, label, value| Variable::Text { name, label, value };
    Dashboard {
        name: "migration",
        title: "Migration",
        description: "Users who move from one path to another, and whether they are served as \
            well there.",
        variables: vec![
            namespaces(),
            splits(),
            path("old", "From"),
            path("new", "To"),
            text(
                "objective",
                "Objective, in percent of the responses",
                "99.9",
            ),
            text("within", "Good within, a bucket in milliseconds", "500"),
            root(),
        ],
        panels: [moved(), compared(), indicators()].concat(),
    }
}

fn of(variant: &str) -> String {
    format!("{SPLIT},sluice_variant=\"{variant}\"")
}

fn both() -> String {
    format!("{SPLIT},sluice_variant=~\"$old|$new\"")
}

fn moved() -> Vec<Panel> {
    vec![
        Panel::new(Kind::Lines, "Part of the users on the new path", "percent")
            .says("Wanted by the weight, and measured of the requests.")
            .asks("wanted {{sluice_audience}}", wanted("$new"))
            .asks("measured {{sluice_audience}}", measured("$new"))
            .between(0.0, 100.0)
            .wide(12),
        Panel::new(Kind::Lines, "Requests by path", "reqps")
            .says("Both together should not fall while users move.")
            .asks(
                "{{sluice_variant}}",
                format!(
                    "sum by (sluice_variant) \
                     (rate(sluice_decisions_total{{{}}}[$__rate_interval]))",
                    both()
                ),
            )
            .wide(12),
    ]
}

fn compared() -> Vec<Panel> {
    let p95 = |variant: &str| latency(0.95, &of(variant));
    vec![
        Panel::new(Kind::Lines, "Success by path", "percentunit")
            .says(
                "Responses that did not fail. Worse on the new path alone: `sluice rollout abort`.",
            )
            .asks(
                "{{sluice_variant}}",
                format!("1 - {}", errors(&both(), "$__rate_interval")),
            ),
        Panel::new(Kind::Lines, "P95 by path", "ms")
            .says("A longer way costs some milliseconds; watch that it stays at that.")
            .asks("{{sluice_variant}}", latency(0.95, &both())),
        Panel::new(
            Kind::Stat,
            "P95 of the new path, as a part of the old",
            "percentunit",
        )
        .says("Above 1 the new path is slower.")
        .asks(
            "p95",
            format!("sum({}) / sum({})", p95("$new"), p95("$old")),
        )
        .bad_from(1.5),
    ]
}

fn indicators() -> Vec<Panel> {
    let burn = |window: &str| format!("({}) / (1 - $objective / 100)", errors(&both(), window));
    let fast = |more: &str| {
        format!(
            "sum by (sluice_variant) \
             (rate(sluice_response_time_milliseconds_{more}[$__rate_interval]))"
        )
    };
    let within = fast(&format!("bucket{{{},le=\"$within\"}}", both()));
    let all = fast(&format!("count{{{}}}", both()));
    vec![
        Panel::new(
            Kind::Lines,
            "Burn rate of the error budget, 5 minutes",
            "short",
        )
        .says(
            "1 uses the budget up exactly. 14 for some minutes is two percent of a month's \
                budget in an hour.",
        )
        .asks("{{sluice_variant}}", burn("5m"))
        .bad_from(14.4),
        Panel::new(
            Kind::Lines,
            "Burn rate of the error budget, 1 hour",
            "short",
        )
        .says("Above 1 for long, the objective will not be met.")
        .asks("{{sluice_variant}}", burn("1h"))
        .bad_from(6.0),
        Panel::new(Kind::Lines, "Responses within the time", "percentunit")
            .says(
                "The latency indicator: as many as the objective says should be that fast. \
                Name a bucket of the histogram.",
            )
            .asks("{{sluice_variant}}", format!("{within} / {all}"))
            .between(0.0, 1.0),
    ]
}
