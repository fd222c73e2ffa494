//! What a real Envoy does with brakes: in every worker, whatever the service or the configuration does.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "Clippy sees the tests, but not the functions they share"
)]

mod configurations;
mod service;
mod workers;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use sluice_e2e::adapter::Adapter;
use sluice_e2e::brakes::Brakes;
use sluice_e2e::client::{Connection, get};
use sluice_e2e::mesh::{Mesh, Options};

const HOST: &str = "shop.example.com";

/// Everybody's identity is a header, so that the weights alone decide.
fn config(canary: u32) -> Value {
    json!({
        "splits": {"web": {"identity": [{"header": "x-user-id"}]}},
        "weights": {"web": {"everyone": {"canary": canary}}},
        "brake": {"service": "sluice.sluice-system"},
    })
}

async fn start(adapter: Adapter, workers: u32, config: &Value, brakes: &Brakes) -> Mesh {
    let options = Options {
        workers,
        clusters: vec![brakes.cluster()],
        ..Options::on(adapter)
    };
    Mesh::start(config, options).await
}

async fn connected(mesh: &Mesh, expected: f64) {
    mesh.wait_for_metric("sluice_brake_connected", &[], expected)
        .await;
}

async fn visit(connection: &mut Connection) -> String {
    let answer = connection.send(&get("/", HOST, &[b"x-user-id: joe"])).await;
    let answer = answer.expect("an answer");
    assert_eq!(answer.status, 200);
    answer.variant()
}

/// So many connections that every worker has some.
async fn connections(mesh: &Mesh, number: usize) -> Vec<Connection> {
    let mut connections = Vec::new();
    for _ in 0..number {
        connections.push(mesh.connect().await);
    }
    connections
}

/// Asks on every connection until each gives a variant; how long that took.
async fn until_all_give(connections: &mut [Connection], variant: &str) -> Duration {
    let began = Instant::now();
    for connection in connections {
        while visit(connection).await != variant {
            assert!(began.elapsed() < Duration::from_secs(20), "no {variant}");
        }
    }
    began.elapsed()
}

/// Requests without a pause: none may fail, and all must get the same variant.
struct Traffic {
    ends: Arc<AtomicBool>,
    served: Arc<AtomicU64>,
    task: tokio::task::JoinHandle<()>,
}

impl Traffic {
    async fn of(mesh: &Mesh, variant: &'static str) -> Self {
        let mut all = connections(mesh, 4).await;
        let (ends, served) = (Arc::<AtomicBool>::default(), Arc::<AtomicU64>::default());
        let (is_over, counted) = (Arc::clone(&ends), Arc::clone(&served));
        let task = tokio::spawn(async move {
            while !is_over.load(Ordering::Relaxed) {
                for connection in &mut all {
                    assert_eq!(visit(connection).await, variant);
                    counted.fetch_add(1, Ordering::Relaxed);
                }
                tokio::time::sleep(Duration::from_millis(2)).await;
            }
        });
        Self { ends, served, task }
    }

    /// Goes on for longer than a tick; fails where a request failed or went elsewhere.
    async fn end(self) {
        tokio::time::sleep(Duration::from_millis(1_300)).await;
        self.ends.store(true, Ordering::Relaxed);
        self.task.await.unwrap();
        assert!(self.served.load(Ordering::Relaxed) > 0);
    }
}
