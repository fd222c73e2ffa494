//! `make demo`: about a minute of real traffic through `sluice dev --demo`, and a table of what it
//! measured.
//!
//! 2,000 users with cookie jars, a fifth of them staff with an email cookie. Exit code 1 if a
//! promise was broken. With `--native`, the native module decides.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a demonstration fails loudly"
)]

mod ramp;
mod report;
mod rollouts;
mod shown;
mod world;

use std::process::ExitCode;
use std::sync::atomic::Ordering;

use sluice_e2e::adapter::Adapter;
use sluice_e2e::dev::Dev;

use report::{Ramp, report};
use world::{STAFF, World};

#[tokio::main]
async fn main() -> ExitCode {
    let adapter = match std::env::args().nth(1).as_deref() {
        None => Adapter::Wasm,
        Some("--native") => Adapter::Native,
        Some(other) => panic!("{other}: not an argument; accepted: --native"),
    };
    println!("with {}:", adapter.found().title());
    let ramp = ramp(adapter).await;
    let rollouts = rollouts::all(adapter).await;
    report(&ramp, &rollouts)
}

/// The weights moved by hand, under load.
async fn ramp(adapter: Adapter) -> Ramp {
    let folder = tempfile::Builder::new()
        .prefix("sluice-demo-")
        .tempdir()
        .unwrap();
    let mut dev = Dev::start(adapter, folder.path());
    let address = dev.address;
    println!(
        "2,000 users with cookie jars, {STAFF} of them staff, at http://{address} (open it in a browser)"
    );
    println!("plain HTTP, so the demo runs with `secure: false` and the cookie name `sluice`\n");
    let world = World::new();
    let load = world.load(address);
    let mut steps = Vec::new();
    world.grows.store(true, Ordering::SeqCst);
    steps.push(ramp::step(&world, folder.path(), address, "staff", 0.0, 50.0).await);
    let mut before = 0.0;
    for percent in [1.0, 5.0, 25.0, 50.0, 100.0] {
        steps.push(ramp::step(&world, folder.path(), address, "everyone", before, percent).await);
        before = percent;
    }
    world.grows.store(false, Ordering::SeqCst);
    let abort = ramp::abort(&world, folder.path()).await;
    world.end(load).await;
    Ramp {
        world,
        steps,
        abort,
        is_ended: dev.interrupt(),
    }
}
