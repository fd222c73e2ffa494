//! What a real Envoy sees of responses: users who failed, challengers that the guard takes out.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "Clippy sees the tests, but not the functions they share"
)]

mod guard;
mod listeners;
mod traffic;
mod users;

use serde_json::Value;
use sluice_e2e::adapter::Adapter;
use sluice_e2e::client::{Answer, get};
use sluice_e2e::mesh::{Mesh, Options};

const HOST: &str = "shop.example.com";

async fn start(adapter: Adapter, workers: u32, config: &Value) -> Mesh {
    let options = Options {
        workers,
        ..Options::on(adapter)
    };
    Mesh::start(config, options).await
}

/// One user's answer, on a connection of its own, so that any worker may give it.
async fn visit(mesh: &Mesh, user: u32) -> Answer {
    let line = format!("x-user-id: user-{user}");
    mesh.send(&get("/", HOST, &[line.as_bytes()])).await
}
