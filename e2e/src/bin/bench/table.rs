//! The table of CPU times, as Markdown.

use crate::competitors::Competitor;
use crate::statistics::{difference, quantile, ratio_of_added};

/// What the native module is to reach: a claim, and how it is found.
pub(crate) fn print_native(competitors: &[Competitor]) {
    let rounds = |name: &str| {
        let mut named = competitors.iter().filter(|own| own.name == name);
        &named.next().unwrap().rounds
    };
    let (none, native) = (rounds("no filter"), rounds("native module, 1 split"));
    let thousand = rounds("native module, 1000 splits");
    let shown = |(at, low, high): (f64, f64, f64)| format!("{at:.2} ({low:.2} to {high:.2})");
    println!("\n| the native module | wanted | measured |\n|---|---|---|");
    for (what, wanted, own, other) in [
        ("CPU added, of Lua", "at most 0.30", native, "Lua"),
        (
            "CPU added, of the wasm module",
            "",
            native,
            "sluice, 1 split",
        ),
        (
            "CPU added by 1,000 splits, of 1 split",
            "at most 1.20",
            thousand,
            "native module, 1 split",
        ),
        (
            "the same, of 1 split with a host",
            "at most 1.20",
            thousand,
            "native module, 1 split with a host",
        ),
    ] {
        let measured = shown(ratio_of_added(own, rounds(other), none));
        println!("| {what} | {wanted} | {measured} |");
    }
    for (other, wanted) in [("empty", "at most 0.50 us"), ("least", "")] {
        let other = format!("{other} dynamic module");
        let more = shown(difference(native, rounds(&other)));
        println!("| CPU added, more than by the {other} | {wanted} | {more} us |");
    }
}

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
    let native_one = rounds("native module, 1 split");
    println!(
        "\n| Envoy with | CPU a request | of no filter, whole | of the regex route, whole | added to no filter | added, of the baseline filter | added, of Lua | added, of 1 split |\n|---|---|---|---|---|---|---|---|"
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
            match competitor.name {
                name if name.starts_with("sluice") => cell(one),
                name if name.starts_with("native module") => cell(native_one),
                _ => "-".to_owned(),
            },
        );
    }
}
