//! The most that a readable configuration may cost a VM: memory, and CPU until it is in force.
//!
//! The documents are those that the tests of the core build under a counting allocator; here Envoy
//! reads them in its VMs.

use std::path::Path;

use crate::competitors::{Routes, start, wasm};
use crate::processes::{cpu_seconds, linear_memories};
use crate::statistics::quantile;

#[path = "../../../../filter/core/tests/worst/documents.rs"]
mod documents;

/// How often Envoy is started with each document.
const STARTS: usize = 3;

/// How many of the documents are printed, those that cost most first.
const PRINTED: usize = 5;

/// What a document costs.
struct Cost {
    name: &'static str,
    mebibytes: f64,
    /// CPU of all VMs together, with the start of Envoy.
    seconds: f64,
    /// How many VMs read it.
    vms: usize,
}

/// Starts an Envoy with each, and prints those that cost most.
pub(crate) async fn worst_documents(folder: &Path, module: &Path) {
    let empty = cost(folder, module, "empty", "{}").await;
    let mut all = Vec::new();
    for (name, document) in documents::all() {
        let document = String::from_utf8(document).expect("the documents are text");
        all.push(cost(folder, module, name, &document).await);
    }
    let milliseconds =
        |cost: &Cost| 1e3 * (cost.seconds - empty.seconds).max(0.0) / cost.vms.max(1) as f64;
    println!(
        "\n| worst configuration, of {} | memory of a VM | CPU a VM |",
        all.len()
    );
    println!("|---|---|---|");
    let row = |cost: &Cost| {
        println!(
            "| {} | {:.1} MiB | {:.0} ms |",
            cost.name,
            cost.mebibytes,
            milliseconds(cost)
        );
    };
    all.sort_by(|one, other| other.mebibytes.total_cmp(&one.mebibytes));
    all.iter().take(PRINTED).for_each(row);
    println!("| by CPU: | | |");
    all.sort_by(|one, other| other.seconds.total_cmp(&one.seconds));
    all.iter().take(PRINTED).for_each(row);
}

/// The median of a few starts.
async fn cost(folder: &Path, module: &Path, name: &'static str, document: &str) -> Cost {
    let (mut seconds, mut mebibytes, mut vms) = (Vec::new(), Vec::new(), 0);
    for _ in 0..STARTS {
        let filter = vec![wasm(module, document)];
        let envoy = start(folder, name, filter, 1, Routes::Header).await;
        seconds.push(cpu_seconds(envoy.id()));
        let memories = linear_memories(envoy.id());
        let largest = memories.iter().copied().max().unwrap_or(0);
        mebibytes.push(largest as f64 / f64::from(1 << 20));
        vms = memories.len();
    }
    Cost {
        name,
        mebibytes: quantile(&mebibytes, 0.5),
        seconds: quantile(&seconds, 0.5),
        vms,
    }
}
