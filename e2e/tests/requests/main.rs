//! What single requests meet in a real Envoy: hostile bytes, spoofed headers, cookies, protocols.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "Clippy sees the tests, but not the functions they share"
)]

mod early;
mod headers;
mod hosts;
mod identity;
mod issuing;
mod left_out;
mod many;
mod protocols;
mod values;

use serde_json::{Value, json};
use sluice_e2e::adapter::Adapter;
use sluice_e2e::mesh::{Mesh, Options};

const HOST: &str = "shop.example.com";

/// The commonest case, over plain HTTP: half of the company's people, and half of everyone.
fn config() -> Value {
    json!({
        "splits": {"web": {
            "hosts": [HOST],
            "paths": [{"prefix": "/"}],
            "identity": [{"cookie": "uid"}, {"header": "x-user-id"}],
            "rules": [{"name": "staff", "match": [{"cookies": {"email": {"regex": "[^@]+@some-company-name\\.com"}}}]}],
        }},
        "weights": {"web": {"staff": {"canary": 100}, "everyone": {"canary": 50}}},
        "cookie": {"name": "visitor", "secure": false},
    })
}

async fn mesh(adapter: Adapter) -> Mesh {
    Mesh::start(&config(), Options::on(adapter)).await
}

// bucket("web", …): alice 56066, bob 45061; at 50 %, bob is on the canary and alice is not.
const ALICE: &[u8] = b"cookie: uid=alice";
const BOB: &[u8] = b"cookie: uid=bob";
