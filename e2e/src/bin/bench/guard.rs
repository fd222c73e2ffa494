//! How soon a challenger that fails is out of its proxy, by nobody's doing but the proxy's.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use sluice_core::revision::canonical;
use sluice_e2e::client::{Connection, get};
use sluice_e2e::mesh::{Mesh, Options};

use crate::processes::linear_memories;
use crate::statistics::quantile;

const WORKERS: u32 = 2;
const USERS: u64 = 2_000;
/// A quarter of them on the canary: 50 a second.
const REQUESTS_PER_SECOND: u32 = 200;
const CONNECTIONS: u32 = 8;
/// For so long the canary is right before it fails, so that what was right counts against a trip.
const RIGHT: Duration = Duration::from_secs(4);
/// For so long nobody is on the canary before its last answer counts as the last.
const SILENCE: Duration = Duration::from_millis(1_500);

fn config(round: u32) -> Value {
    json!({
        "splits": {"web": {"identity": [{"header": "x-user-id"}], "guard": {}}},
        // Other weights each time, which end the trip before.
        "weights": {"web": {"everyone": {"canary": 25.0 + f64::from(round) / 1_000.0}}},
    })
}

/// From the first failed answer of a canary at 25 % to its last, with 50 requests a second on it.
pub(crate) async fn trips(rounds: u32) {
    let options = Options {
        workers: WORKERS,
        ..Options::default()
    };
    let mesh = Mesh::start(&config(0), options).await;
    let began = Instant::now();
    let seen = Arc::new(Seen::default());
    for connection in 0..CONNECTIONS {
        let connected = mesh.connect().await;
        tokio::spawn(load(connected, connection, began, Arc::clone(&seen)));
    }
    let (mut took, mut failed) = (Vec::new(), Vec::new());
    for round in 1..=rounds {
        mesh.fail("web/canary", 0);
        mesh.configure(&config(round)).await;
        // Not in step with the ticks.
        tokio::time::sleep(RIGHT + Duration::from_millis(u64::from(round) * 37 % 250)).await;
        seen.first_failed.store(0, Ordering::SeqCst);
        let failed_before = seen.failed.load(Ordering::SeqCst);
        mesh.fail("web/canary", 500);
        let (first, last) = loop {
            let first = Duration::from_micros(seen.first_failed.load(Ordering::SeqCst));
            let last = Duration::from_micros(seen.last_failed.load(Ordering::SeqCst));
            if !first.is_zero() && began.elapsed().saturating_sub(last) > SILENCE {
                break (first, last);
            }
            assert!(began.elapsed() - first < Duration::from_secs(30) || first.is_zero());
            tokio::time::sleep(Duration::from_millis(20)).await;
        };
        let tripped = mesh.metric("sluice_tripped", &[]).await;
        let before = mesh.answered("web/stable");
        tokio::time::sleep(Duration::from_millis(500)).await;
        assert!(
            tripped == 1.0 && mesh.answered("web/stable") > before + 50,
            "it is out, and the load goes on"
        );
        took.push((last - first).as_secs_f64());
        failed.push((seen.failed.load(Ordering::SeqCst) - failed_before) as f64);
    }
    let [min, median, worst] = [0.0, 0.5, 1.0].map(|at| quantile(&took, at));
    println!(
        "| a canary at 25 % that fails outright, 50 requests a second on it: first failed answer to the last, {WORKERS} workers, {rounds} times | {min:.2} s min, {median:.2} s median, {worst:.2} s worst; {:.0} failed answers median, {:.0} worst |",
        quantile(&failed, 0.5),
        quantile(&failed, 1.0)
    );
}

/// What the load saw, in microseconds since it began.
#[derive(Default)]
struct Seen {
    first_failed: AtomicU64,
    last_failed: AtomicU64,
    failed: AtomicU64,
}

async fn load(mut connection: Connection, number: u32, began: Instant, seen: Arc<Seen>) {
    let period = Duration::from_secs(1) * CONNECTIONS / REQUESTS_PER_SECOND;
    let mut pace = tokio::time::interval(period);
    pace.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    for user in (u64::from(number)..).step_by(CONNECTIONS as usize) {
        pace.tick().await;
        let line = format!("x-user-id: user-{}", user % USERS);
        let request = get("/", "localhost", &[line.as_bytes()]);
        let Some(answer) = connection.send(&request).await else {
            return;
        };
        if answer.status != 200 {
            let now = u64::try_from(began.elapsed().as_micros()).unwrap();
            seen.failed.fetch_add(1, Ordering::SeqCst);
            let _ = seen
                .first_failed
                .compare_exchange(0, now, Ordering::SeqCst, Ordering::SeqCst);
            seen.last_failed.store(now, Ordering::SeqCst);
        }
    }
}

/// What users and guards of a hundred splits take, of which each answered a hundred users in both
/// variants, all of whom failed.
pub(crate) async fn memory() {
    for (name, fields) in [
        ("neither", json!({})),
        ("responseMetrics", json!({"responseMetrics": true})),
        ("a guard each", json!({"guard": {"responses": 1_000}})),
    ] {
        let mesh = Mesh::start_with(&hundred(&fields), &json!({}), Options::default()).await;
        let before = (linear(&mesh), mesh.resident_bytes());
        let mut connection = mesh.connect().await;
        for user in 0..100 {
            let line = format!("x-user-id: user-{user}");
            for split in 0..100 {
                let host = format!("host{split}.example.com");
                let request = get("/status/500", &host, &[line.as_bytes()]);
                connection.send(&request).await.unwrap();
            }
        }
        mesh.wait_for_metric("sluice_decisions_total", &[], 10_000.0)
            .await;
        tokio::time::sleep(Duration::from_secs(2)).await;
        let samples = mesh.samples().await;
        let series = samples
            .iter()
            .filter(|sample| sample.name.starts_with("sluice_"));
        println!(
            "| 100 splits, 10,000 failed requests, {name} | {} series, a VM {:.2} MiB (before {:.2}), Envoy {:.1} MiB more |",
            series.count(),
            linear(&mesh),
            before.0,
            (mesh.resident_bytes() as f64 - before.1 as f64) / 1_048_576.0,
        );
    }
}

/// In MiB, of the largest VM.
fn linear(mesh: &Mesh) -> f64 {
    let memories = linear_memories(mesh.envoy_id());
    memories.into_iter().max().unwrap_or_default() as f64 / 1_048_576.0
}

fn hundred(fields: &Value) -> String {
    let mut config = json!({"splits": {}, "weights": {}});
    for split in 0..100 {
        let name = format!("s{split}");
        config["splits"][&name] = json!({
            "hosts": [format!("host{split}.example.com")],
            "identity": [{"header": "x-user-id"}],
        });
        if let Some(guard) = fields.get("guard") {
            config["splits"][&name]["guard"] = guard.clone();
        }
        config["weights"][&name] = json!({"everyone": {"canary": 50}});
    }
    if let Some(measured) = fields.get("responseMetrics") {
        config["responseMetrics"] = measured.clone();
    }
    canonical(&config)
}
