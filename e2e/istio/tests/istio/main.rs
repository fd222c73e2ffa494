//! Sluice in a real Istio: one chain, one test after another, each told by its name.
//!
//! No test runner of Rust's: the tests share what takes half a minute to start, and must run in namespaces that are
//! entered before anything else. Arguments choose tests by a part of their names.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs, unreachable_pub)]

mod namespaces;
mod plugins;
mod speed;
mod world;

use std::panic::AssertUnwindSafe;
use std::time::Instant;

use world::World;

macro_rules! tests {
    ($($module:ident :: $name:ident),* $(,)?) => {
        &[$((concat!(stringify!($module), "::", stringify!($name)), |world| Box::pin($module::$name(world)))),*]
    };
}

type Test = for<'w> fn(&'w mut World) -> std::pin::Pin<Box<dyn Future<Output = ()> + 'w>>;

const TESTS: &[(&str, Test)] = tests![
    plugins::a_pushed_module_splits_users_by_an_ordinary_virtual_service,
    plugins::a_traffic_extension_splits_users_too,
    plugins::a_gateway_issues_a_cookie_and_keeps_its_promise,
    plugins::an_http_route_splits_users_too,
    speed::a_change_is_in_force_on_six_proxies,
    speed::an_abort_ends_the_canary_under_load,
];

fn main() {
    let wanted: Vec<String> = std::env::args().skip(1).filter(|argument| !argument.starts_with('-')).collect();
    let is_wanted = |name: &str| wanted.is_empty() || wanted.iter().any(|part| name.contains(part.as_str()));
    if std::env::args().any(|argument| argument == "--list") {
        return TESTS.iter().for_each(|(name, _)| println!("{name}: test"));
    }
    namespaces::enter();
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    let failed = runtime.block_on(async {
        let began = Instant::now();
        let mut world = World::start().await;
        println!("the chain is up after {:.1} s", began.elapsed().as_secs_f64());
        if std::env::args().any(|argument| argument == "--hold") {
            hold(&world).await;
            world.end(false);
            return Vec::new();
        }
        let chosen: Vec<_> = TESTS.iter().filter(|(name, _)| is_wanted(name)).collect();
        let mut failed: Vec<&str> = Vec::new();
        for (name, test) in &chosen {
            let began = Instant::now();
            let result = futures::FutureExt::catch_unwind(AssertUnwindSafe(test(&mut world))).await;
            let verdict = if result.is_ok() { "ok" } else { "FAILED" };
            println!("test {name} ... {verdict} ({:.1} s)", began.elapsed().as_secs_f64());
            if result.is_err() {
                failed.push(*name);
            }
        }
        world.end(!failed.is_empty());
        let verdict = if failed.is_empty() { "ok" } else { "FAILED" };
        println!(
            "\ntest result: {verdict}. {} passed; {} failed; 0 ignored; 0 measured; {} filtered out",
            chosen.len() - failed.len(),
            failed.len(),
            TESTS.len() - chosen.len()
        );
        failed
    });
    std::process::exit(if failed.is_empty() { 0 } else { 101 });
}

/// Keeps the chain up for somebody who wants to look around, until Ctrl-C.
async fn hold(world: &World) {
    world.fresh_plugin(10).await;
    println!(
        "enter it with: nsenter --target $(pgrep -n kube-apiserver) --net --mount\nexport KUBECONFIG={}",
        world.chain.folder().join("admin.kubeconfig").display()
    );
    tokio::signal::ctrl_c().await.unwrap();
}
