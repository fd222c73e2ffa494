//! The native module beside the wasm module: what a request costs, what a configuration costs, and
//! what either keeps in memory.
//!
//! Requests by short rounds, as [`crate::observed`] measures them: their differences are sure to
//! some hundredths of a microsecond, which is what the native module is measured in.

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use sluice::files::replace;
use sluice_core::revision::canonical;
use sluice_e2e::client::{Connection, get};

use crate::competitors::{Competitor, Modules, PLUGIN, Routes, dynamic, rows, start, wasm};
use crate::configurations::config;
use crate::observed::{REQUESTS, STARTS, batches, short_round};
use crate::processes::{cpu_seconds, resident_bytes};
use crate::statistics::quantile;
use crate::table;

/// How long an Envoy is left to itself before its memory or idle CPU time is read, and after a
/// configuration. Chosen: no configuration took a third of it.
const PAUSE: Duration = Duration::from_millis(600);

/// What a request costs with each competitor, in turn.
pub(crate) async fn requests(folder: &Path, modules: &Modules, rounds: usize) {
    let rows = rows(modules);
    let batches: Vec<_> = rows.iter().map(|row| batches(row.hosts)).collect();
    let mut competitors: Vec<Competitor> = Vec::new();
    for _ in 0..STARTS {
        let mut former = std::mem::take(&mut competitors).into_iter();
        for row in &rows {
            let measured = former.next().map(|former| former.rounds);
            let mut started = row.start(folder).await;
            started.rounds = measured.unwrap_or_default();
            competitors.push(started);
        }
        for round in 0..=rounds.div_ceil(STARTS) {
            for (competitor, batches) in competitors.iter_mut().zip(&batches) {
                let took = short_round(competitor, batches);
                if round > 0 {
                    competitor.rounds.push(took);
                }
            }
        }
    }
    println!("\n{rounds} rounds of {REQUESTS} requests over {STARTS} starts:");
    table::print_cpu(&competitors);
    table::print_native(&competitors);
}

/// What configurations cost: memory, CPU time, and the time until a change is in force.
pub(crate) async fn configurations(folder: &Path, modules: &Modules, changes: u32) {
    let bytes = |path: &PathBuf| std::fs::metadata(path).unwrap().len();
    println!(
        "\nThe native module has {} bytes, the wasm module {}.\n",
        bytes(&modules.native),
        bytes(&modules.wasm)
    );
    let none = start(folder, "nothing", Vec::new(), 1, Routes::Header).await;
    tokio::time::sleep(PAUSE).await;
    let resident = resident_bytes(none.id());
    drop(none);
    println!(
        "| Envoy with | memory, more than without | after {} more configurations | a change to its effect | CPU of a change |\n|---|---|---|---|---|",
        2 * changes
    );
    for number in [1, 100, 1_000] {
        let of_wasm = |configuration: &str| {
            let mut filter = wasm(&modules.wasm, configuration);
            filter["typed_config"].take()
        };
        let of_native = |configuration: &str| {
            let mut filter = dynamic(&modules.native, PLUGIN, configuration);
            filter["typed_config"].take()
        };
        let ways: [(_, &dyn Fn(&str) -> Value); 2] = [("wasm", &of_wasm), ("native", &of_native)];
        for (way, filter) in ways {
            let proxy = Changing::start(folder, way, number, filter).await;
            proxy.print(resident, changes).await;
        }
    }
}

/// An Envoy whose filter is configured by a file that changes.
struct Changing<'a> {
    name: String,
    path: PathBuf,
    config: Value,
    filter: &'a dyn Fn(&str) -> Value,
    envoy: Competitor,
}

impl<'a> Changing<'a> {
    async fn start(
        folder: &Path,
        way: &str,
        number: usize,
        filter: &'a dyn Fn(&str) -> Value,
    ) -> Self {
        let path = folder.join(format!("changing-{way}-{number}.json"));
        let config = config(number);
        deliver(&path, filter(&canonical(&config)));
        let kind = &filter("")["@type"];
        let discovered = json!({
            "name": "changing",
            "config_discovery": {
                "config_source": {"path_config_source": {"path": path}, "resource_api_version": "V3"},
                "type_urls": [kind.as_str().unwrap()],
            },
        });
        Self {
            name: format!("{way}, {number} splits"),
            envoy: start(folder, "changing", vec![discovered], number, Routes::Header).await,
            path,
            config,
            filter,
        }
    }

    /// A line of the table: `none` is what an Envoy without a filter has in memory.
    async fn print(mut self, none: u64, changes: u32) {
        let mut connection = Connection::open(self.envoy.address).await.unwrap();
        let cookie = b"cookie: visitor=AAECAwQFBgcICQoLDA0ODw";
        let request = get("/", "host0.example.com", &[cookie]);
        connection.send(&request).await.unwrap();
        tokio::time::sleep(PAUSE).await;
        let first = resident_bytes(self.envoy.id());
        let idle = self.cpu_of_a_pause().await;
        let (mut effects, mut costs) = (Vec::new(), Vec::new());
        for change in 0..changes {
            let share = [100, 0][change as usize % 2];
            let began = Instant::now();
            self.change("everyone", share);
            let expected: &[u8] = [b"canary", b"stable"][change as usize % 2];
            while connection.send(&request).await.unwrap().body != expected {
                assert!(began.elapsed() < Duration::from_secs(10), "{}", self.name);
                tokio::time::sleep(Duration::from_micros(500)).await;
            }
            effects.push(began.elapsed().as_secs_f64() * 1e3);
            // Of a rule that the request does not meet, so that nothing is counted but the change.
            self.change("staff", 40 + change % 2);
            costs.push((self.cpu_of_a_pause().await - idle) * 1e3);
        }
        let more = |bytes: u64| bytes.saturating_sub(none) as f64 / 1_048_576.0;
        println!(
            "| {} | {:.1} MiB | {:.1} MiB | {:.1} ms median, {:.1} ms worst | {:.1} ms median, {:.1} ms worst |",
            self.name,
            more(first),
            more(resident_bytes(self.envoy.id())),
            quantile(&effects, 0.5),
            quantile(&effects, 1.0),
            quantile(&costs, 0.5),
            quantile(&costs, 1.0),
        );
    }

    /// Gives the challenger another weight for an audience.
    fn change(&mut self, audience: &str, share: u32) {
        self.config["weights"]["web"][audience]["canary"] = json!(share);
        deliver(&self.path, (self.filter)(&canonical(&self.config)));
    }

    /// Seconds of CPU time in a pause.
    async fn cpu_of_a_pause(&self) -> f64 {
        let before = cpu_seconds(self.envoy.id());
        tokio::time::sleep(PAUSE).await;
        cpu_seconds(self.envoy.id()) - before
    }
}

/// Writes the file of one filter's configuration, as Envoy's file system subscriptions want it.
fn deliver(path: &Path, typed_config: Value) {
    let resource = json!({
        "@type": "type.googleapis.com/envoy.config.core.v3.TypedExtensionConfig",
        "name": "changing",
        "typed_config": typed_config,
    });
    replace(
        path,
        json!({"resources": [resource]}).to_string().as_bytes(),
    )
    .unwrap();
}
