//! The generated tables of docs/monitoring.md, each between two markers.

use std::fmt::Write as _;

use crate::alerts;
use crate::events::{self, Meaning};
use crate::metrics::{self, Metric, Source};

/// A page with every table in it written anew.
///
/// # Errors
/// The name of a table whose markers the page does not have.
pub fn fill(page: &str) -> Result<String, &'static str> {
    let tables = [
        ("filter metrics", of_metrics(Source::Filter)),
        ("controller metrics", of_metrics(Source::Controller)),
        ("events", of_events()),
        ("phases", of_meanings("phase", &events::phases())),
        ("pauses", of_meanings("reason", &events::pauses())),
        ("outcomes", of_meanings("outcome", &events::outcomes())),
        ("alerts", of_alerts()),
    ];
    let mut filled = page.to_owned();
    for (name, table) in tables {
        let (start, end) = (
            format!("<!-- {name} -->\n"),
            format!("<!-- end of {name} -->"),
        );
        let (before, rest) = filled.split_once(&start).ok_or(name)?;
        let (_, after) = rest.split_once(&end).ok_or(name)?;
        filled = format!("{before}{start}{table}{end}{after}");
    }
    Ok(filled)
}

fn of_metrics(source: Source) -> String {
    let mut table = "| metric | type | labels | unit | says |\n|---|---|---|---|---|\n".to_owned();
    for metric in metrics::all().filter(|metric| metric.source == source) {
        let Metric {
            name,
            kind,
            unit,
            meaning,
            ..
        } = metric;
        let labels: Vec<String> = metric
            .labels
            .iter()
            .map(|label| format!("`{label}`"))
            .collect();
        let kind = format!("{kind:?}").to_lowercase();
        let labels = labels.join(", ");
        let _ = writeln!(
            table,
            "| `{name}` | {kind} | {labels} | {unit} | {meaning} |"
        );
    }
    table
}

fn of_events() -> String {
    let mut table = "| reason | type | says |\n|---|---|---|\n".to_owned();
    for Meaning { name, says } in events::reasons() {
        let kind = if events::is_warning(&name) {
            "Warning"
        } else {
            "Normal"
        };
        let _ = writeln!(table, "| `{name}` | {kind} | {says} |");
    }
    table
}

fn of_meanings(what: &str, meanings: &[Meaning]) -> String {
    let mut table = format!("| {what} | says |\n|---|---|\n");
    for Meaning { name, says } in meanings {
        let _ = writeln!(table, "| `{name}` | {says} |");
    }
    table
}

fn of_alerts() -> String {
    let mut table = "| alert | severity | after | says |\n|---|---|---|---|\n".to_owned();
    for alert in alerts::all() {
        let alerts::Alert {
            name,
            lasts,
            severity,
            description,
            ..
        } = alert;
        let severity = format!("{severity:?}").to_lowercase();
        let _ = writeln!(
            table,
            "| [{name}](runbooks/{name}.md) | {severity} | {lasts} | {description} |"
        );
    }
    table
}
