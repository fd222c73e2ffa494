//! All proxies: which run the filter, which revision of a plugin, and what is wrong with any.

use super::{namespaces, root};
use crate::alerts::by_plugin;
use crate::dashboard::{Dashboard, Variable};
use crate::panel::{Kind, Panel};

/// Proxies of the namespaces that were chosen, each with its plugins.
const PROXIES: &str = "namespace=~\"$namespace\"";

pub(super) fn dashboard() -> Dashboard {
    Dashboard {
        name: "fleet",
        title: "Fleet",
        description: "All proxies: by revision, without the filter, with challengers taken out.",
        variables: vec![
            namespaces(),
            Variable::Label {
                name: "plugin",
                label: "Plugin",
                of: "sluice_plugin",
                series: format!("sluice_ticks_total{{{PROXIES}}}"),
                is_multi: true,
            },
            root(),
        ],
        panels: [proxies(), trouble(), controller()].concat(),
    }
}

/// Those whose filter runs: a gauge outlives the plugin that wrote it, a counter stands still.
fn running() -> String {
    format!(
        "rate(sluice_ticks_total{{{PROXIES},sluice_plugin=~\"$plugin\"}}[$__rate_interval]) > 0"
    )
}

/// A gauge of the plugins that run.
fn gauge(name: &str) -> String {
    let running = running();
    format!(
        "({name}{{{PROXIES},sluice_plugin=~\"$plugin\"}} and on (namespace, pod, sluice_plugin) \
         ({running}))"
    )
}

fn proxies() -> Vec<Panel> {
    let running = running();
    let revision = gauge("sluice_config_revision");
    // Istio's name of a plugin in a proxy has its own ending since 1.30.
    let named = by_plugin("namespace, pod", &revision);
    let wanted = by_plugin(
        "sluice_namespace",
        "sluice_plugin_revision{sluice_namespace=~\"$namespace|$root\"}",
    );
    let other = format!("max by (plugin) ({wanted})");
    let all = format!("count by (namespace, pod) (envoy_server_live{{{PROXIES}}})");
    vec![
        Panel::new(Kind::Stat, "Proxies with the filter", "short")
            .says("Proxies whose filter ticks.")
            .asks("proxies", format!("count(count by (namespace, pod) ({running}))")),
        Panel::new(Kind::Stat, "Proxies without the filter", "short")
            .says(
                "Scraped proxies of these namespaces whose filter does not run: everybody whom \
                 they call for \
                 gets the fallback. Fine where no plugin selects them; else `sluice status` says what the \
                 agent last failed at, and `sluice refetch` has it try again.",
            )
            .asks(
                "proxies",
                format!("count({all} unless on (namespace, pod) ({running})) or vector(0)"),
            ),
        Panel::new(Kind::Stat, "Proxies that run another revision", "short")
            .says("For seconds after a change; for longer, `sluice status` names them. istiod \
                pushes after its debounce.")
            .asks(
                "proxies",
                format!("count({named} != on (plugin) group_left () {other}) or vector(0)"),
            )
            .bad_from(1.0),
        Panel::new(Kind::Lines, "Proxies by revision", "short")
            .says("One line of a plugin where all agree. After a change one falls while another \
                rises.")
            .asks(
                "{{plugin}} {{revision}}",
                format!("count_values by (plugin) (\"revision\", {named})"),
            )
            .wide(12),
        Panel::new(Kind::Lines, "Proxies by namespace", "short")
            .says("Proxies with the filter, and all that are scraped.")
            .asks(
                "{{namespace}} with the filter",
                format!("count by (namespace) (count by (namespace, pod) ({running}))"),
            )
            .asks("{{namespace}} all", format!("count by (namespace) ({all})"))
            .wide(12),
    ]
}

fn trouble() -> Vec<Panel> {
    let valid = gauge("sluice_config_valid");
    vec![
        Panel::new(
            Kind::Stat,
            "Proxies with an unreadable configuration",
            "short",
        )
        .says(
            "They serve the last one that they could read. `sluice validate` says what is \
                wrong.",
        )
        .asks("proxies", format!("count({valid} == 0) or vector(0)"))
        .bad_from(1.0),
        Panel::new(Kind::Table, "Problems by plugin", "short")
            .says(
                "The most that one proxy found since it started. `sluice validate` says all of \
                them with their mend.",
            )
            .asks(
                "",
                format!(
                    "max by (namespace, sluice_plugin) \
                (sluice_problems_total{{{PROXIES},sluice_plugin=~\"$plugin\"}})"
                ),
            ),
        Panel::new(Kind::Table, "Challengers that guards took out", "short")
            .says(
                "In these proxies, until the weights or the split change. `sluice status` says \
                what was seen.",
            )
            .asks(
                "",
                format!(
                    "max by (namespace, pod, sluice_split, sluice_variant) ({} == 1)",
                    gauge("sluice_tripped")
                ),
            )
            .wide(12),
        Panel::new(Kind::Stat, "Challengers braked, over all proxies", "short")
            .says("Aborts that proxies heard of past istiod, and whose zeros they do not have yet.")
            .asks(
                "brakes",
                format!("sum({}) or vector(0)", gauge("sluice_braked")),
            )
            .bad_from(1.0),
    ]
}

fn controller() -> Vec<Panel> {
    vec![
        Panel::new(Kind::Stat, "Controllers", "short")
            .says(
                "Replicas that are scraped, and how many of them lead: exactly one should, of \
                those of each namespace that they are confined to.",
            )
            .asks(
                "replicas {{sluice_namespace}}",
                "count by (namespace, sluice_namespace) (sluice_controller_leads)",
            )
            .asks(
                "lead {{sluice_namespace}}",
                "sum by (namespace, sluice_namespace) (sluice_controller_leads)",
            ),
        Panel::new(Kind::Lines, "Proxies that ask for brakes", "short")
            .says(
                "By replica. Far fewer than proxies of plugins with `brake`: an abort is \
                slower there.",
            )
            .asks(
                "{{pod}}",
                "sum by (namespace, pod) (sluice_controller_brake_proxies)",
            ),
        Panel::new(Kind::Stat, "Brakes that are on", "short")
            .says("`sluice brake list` says whose, since when and why.")
            .asks("brakes", "max(sluice_controller_brakes)"),
    ]
}
