//! `make bench`: the figures of BENCHMARKS.md that concern the filter, measured in one run,
//! interleaved.
//!
//! CPU time of the Envoy process a request under wrk, in rounds over all competitors, so that a
//! noisy neighbour disturbs all alike; ratios are of medians, with their 90 % interval by bootstrap
//! beside them. Instruction counts of `decide()` come from valgrind and are repeatable. Prints
//! Markdown.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a benchmark fails loudly"
)]

mod changes;
mod competitors;
mod configurations;
mod guard;
mod instructions;
mod native;
mod observed;
mod processes;
mod rollouts;
mod statistics;
mod table;
mod worst;
mod worst_documents;

use std::path::{Path, PathBuf};

use competitors::{Competitor, Modules};
use observed::Rows;
use sluice::local::process::find_module;

/// Rounds over all competitors; the first is thrown away.
const ROUNDS: usize = 31;

#[tokio::main]
async fn main() {
    let is_quick = std::env::args().any(|argument| argument == "--quick");
    let is_worst_only = std::env::args().any(|argument| argument == "--worst");
    let (rounds, changes) = if is_quick { (6, 5) } else { (ROUNDS, 30) };
    let simulated = if is_quick { 1_000 } else { 10_000 };
    if std::env::args().any(|argument| argument == "--rollouts") {
        return rollouts::simulate(simulated);
    }
    let folder = tempfile::Builder::new()
        .prefix("sluice-bench-")
        .tempdir()
        .unwrap();
    let module = find_module(std::env::var_os("SLUICE_MODULE").as_deref().map(Path::new)).unwrap();
    let path = |name: &str| {
        let path = std::env::var_os(name);
        PathBuf::from(path.unwrap_or_else(|| panic!("{name}: run by `make bench`")))
    };
    let modules = Modules {
        wasm: module.clone(),
        baseline: path("BASELINE_MODULE"),
        native: path("SLUICE_NATIVE"),
        empty: path("EMPTY_LIBRARY"),
    };
    let wrk = std::env::var_os("WRK").map_or_else(|| PathBuf::from("wrk"), PathBuf::from);

    if std::env::args().any(|argument| argument == "--native") {
        native::configurations(folder.path(), &modules, changes).await;
        return native::requests(folder.path(), &modules, rounds * 10).await;
    }
    if std::env::args().any(|argument| argument == "--guard") {
        guard::memory().await;
        return guard::trips(changes).await;
    }
    if std::env::args().any(|argument| argument == "--observed") {
        observed::requests(folder.path(), &module, rounds * 10, Rows::All).await;
        return observed::many(folder.path(), &module, changes.min(10)).await;
    }
    if std::env::args().any(|argument| argument == "--brake") {
        return observed::requests(folder.path(), &module, rounds * 10, Rows::Brake).await;
    }
    if is_worst_only {
        worst::worst_requests(folder.path(), &module, &wrk, 11).await;
        return worst_documents::worst_documents(folder.path(), &module).await;
    }
    println!("| what | figure |\n|---|---|");
    println!(
        "| module | {} bytes |",
        std::fs::metadata(&module).unwrap().len()
    );
    changes::memory_and_changes(folder.path(), &module).await;
    changes::effect_of_changes(folder.path(), changes).await;
    guard::memory().await;
    guard::trips(changes).await;
    let mut competitors = Vec::new();
    for row in competitors::rows(&modules) {
        competitors.push(row.start(folder.path()).await);
    }
    take_turns(&mut competitors, rounds, &wrk, folder.path());
    table::print_cpu(&competitors);
    drop(competitors);
    native::configurations(folder.path(), &modules, changes).await;
    native::requests(folder.path(), &modules, rounds * 10).await;
    observed::requests(folder.path(), &module, rounds * 10, Rows::All).await;
    observed::many(folder.path(), &module, changes.min(10)).await;
    worst::worst_requests(folder.path(), &module, &wrk, rounds.min(11)).await;
    worst_documents::worst_documents(folder.path(), &module).await;
    rollouts::simulate(simulated);
    instructions::instructions();
}

/// Rounds over all competitors.
fn take_turns(competitors: &mut [Competitor], rounds: usize, wrk: &Path, folder: &Path) {
    for round in 0..rounds {
        for competitor in &mut *competitors {
            let microseconds = competitors::turn(wrk, folder, competitor);
            if round > 0 {
                competitor.rounds.push(microseconds);
            }
        }
    }
}
