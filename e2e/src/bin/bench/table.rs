//! The table of CPU times, as Markdown.

use crate::competitors::Competitor;
use crate::statistics::{quantile, ratio_of_added};

pub(crate) fn print_cpu(competitors: &[Competitor]) {
    let rounds = |name: &str| {
        &competitors
            .iter()
            .find(|competitor| competitor.name == name)
            .unwrap()
            .rounds
    };
    let (none, base, lua, one) = (
        rounds("no filter"),
        rounds("baseline filter"),
        rounds("Lua"),
        rounds("sluice, 1 split"),
    );
    let native = rounds("native regex route");
    println!(
        "\n| Envoy with | CPU a request | of no filter, whole | of native, whole | added to no filter | added, of the baseline filter | added, of Lua | added, of 1 split |\n|---|---|---|---|---|---|---|---|"
    );
    for competitor in competitors {
        let ratio = |other: &[f64]| {
            let (at, low, high) = ratio_of_added(&competitor.rounds, other, none);
            format!("{at:.2} ({low:.2} to {high:.2})")
        };
        let whole = |other: &[f64]| {
            let ratios: Vec<f64> = competitor
                .rounds
                .iter()
                .zip(other)
                .map(|(own, other)| own / other)
                .collect();
            format!("{:.2}", quantile(&ratios, 0.5))
        };
        let added: Vec<f64> = competitor
            .rounds
            .iter()
            .zip(none)
            .map(|(own, none)| own - none)
            .collect();
        let is_filter = !["no filter", "native regex route"].contains(&competitor.name);
        let cell = |other: &[f64]| {
            if is_filter {
                ratio(other)
            } else {
                "-".to_owned()
            }
        };
        println!(
            "| {} | {:.2} us | {} | {} | {:.2} us | {} | {} | {} |",
            competitor.name,
            quantile(&competitor.rounds, 0.5),
            whole(none),
            whole(native),
            quantile(&added, 0.5),
            cell(base),
            cell(lua),
            if competitor.name.starts_with("sluice") {
                cell(one)
            } else {
                "-".to_owned()
            },
        );
    }
}
