//! Plugins whose proxies run the native module, beside others that run the wasm module: the first
//! three callers in a, and the gateway, take part (their label says so).

mod changes;
mod files;
mod mirrored;
mod rights;
mod tokens;

use std::path::PathBuf;

use serde_json::{Value, json};
use sluice::local::metrics::parse;
use sluice_e2e::wait::until;
use sluice_e2e_istio::load::Seen;
use sluice_e2e_istio::proxy::Proxy;

pub use changes::{
    a_change_reaches_proxies_of_both_modules, an_abort_ends_the_canary_on_proxies_of_both_modules,
    an_upgrade_under_traffic_moves_nobody, users_keep_their_version_there_and_back,
};
pub use files::{
    a_file_that_is_no_module_costs_the_splits_not_the_traffic,
    a_missing_file_costs_the_splits_not_the_traffic, a_module_of_another_abi_serves,
    a_module_that_is_fetched_is_there_after_the_next_push,
};
pub use mirrored::{
    a_controller_writes_what_is_annotated, an_annotation_that_is_nonsense_is_said_on_the_plugin,
};
pub use rights::a_controller_may_write_no_other_envoy_filter;
pub use tokens::claims_are_read_by_the_native_module_too;

use crate::users::variant;
use crate::world::World;

/// What the native module calls the plugin in a.
const PLUGIN: &str = "a.sluice";

/// The native module under a name of its own, as proxies see it.
fn installed(world: &World, name: &str) -> PathBuf {
    let native = &world.chain.tools.native;
    let module = std::fs::read(native)
        .unwrap_or_else(|error| panic!("{}: {error}: run `make native`", native.display()));
    written(world, name, &module)
}

/// A file where proxies see it.
fn written(world: &World, name: &str, bytes: &[u8]) -> PathBuf {
    let path = world.chain.folder().join(format!("libsluice-{name}.so"));
    std::fs::write(&path, bytes).unwrap();
    path
}

/// Annotates a's plugin, and has its EnvoyFilter written, or deleted.
async fn annotate(world: &World, annotations: Value) {
    let change = json!({"metadata": {"annotations": annotations}});
    let kubernetes = &world.chain.kubernetes;
    let merged = kubernetes.merge("WasmPlugin", "a", "sluice", &change).await;
    merged.unwrap();
    world.sluice("refetch -n a").await.good();
}

/// Has the first callers run the native module of a file, and waits until they do.
async fn be_native(world: &World, library: &PathBuf) {
    let annotations = json!({"sluice.dev/native": "true", "sluice.dev/native-library": library});
    annotate(world, annotations).await;
    wait_for_native(world).await;
}

/// The callers that run the native module, and the others.
fn by_module(world: &World) -> (Vec<&Proxy>, Vec<&Proxy>) {
    world
        .callers
        .iter()
        .partition(|caller| caller.takes_native())
}

/// Waits until every caller runs what the plugin wants, by its own module.
async fn wait_for_native(world: &World) {
    let wanted = world.wanted_revision("a").await;
    let (native, wasm) = by_module(world);
    for caller in native {
        wait_for(caller, PLUGIN, wanted).await;
    }
    for caller in wasm {
        wait_for(caller, "a.sluice~istio-translated-wasmplugin", wanted).await;
    }
}

/// Waits until a proxy has a gauge of this revision of exactly this plugin.
async fn wait_for(proxy: &Proxy, plugin: &str, wanted: u64) {
    proxy
        .wait_for(&format!("revision {wanted} of {plugin}"), async |proxy| {
            let found = revisions(proxy, plugin).await;
            let is_there = found.contains(&wanted);
            is_there.then_some(()).ok_or(format!("{found:?}"))
        })
        .await;
}

async fn revisions(proxy: &Proxy, plugin: &str) -> Vec<u64> {
    let page = "/stats/prometheus?filter=sluice_config_revision";
    let samples = parse(&proxy.admin(page).await).into_iter();
    let own = samples.filter(|sample| {
        (&*sample.name, sample.label("sluice_plugin")) == ("sluice_config_revision", plugin)
    });
    own.map(|sample| sample.value as u64).collect()
}

/// How many filters of each module a proxy's listeners have: wasm, native.
async fn filters(proxy: &Proxy) -> (usize, usize) {
    let dump = proxy.admin("/config_dump?resource=dynamic_listeners").await;
    let count = |name: &str| dump.matches(&format!("\"name\": \"{name}")).count();
    (
        count("extensions.istio.io/trafficextension/"),
        count("sluice.dev/native/"),
    )
}

/// Waits until the first callers have the native filter in the wasm filter's place, and the others
/// the wasm filter; or all of them the wasm filter.
async fn wait_for_filters(world: &World, are_native: bool) {
    for caller in &world.callers {
        let is_native = are_native && caller.takes_native();
        until(
            &format!("{}'s filter", caller.pod),
            async || match filters(caller).await {
                (0, native) if is_native && native > 0 => Ok(()),
                (wasm, 0) if !is_native && wasm > 0 => Ok(()),
                found => Err(format!("{found:?}")),
            },
        )
        .await;
    }
}

/// Asserts that no request failed and no user got another version than one of these percentages
/// gives.
fn assert_served(seen: &[Seen], percents: &[u32]) {
    crate::users::assert_no_failures(seen);
    for one in seen {
        let right: Vec<_> = percents
            .iter()
            .map(|percent| variant(one.user, *percent))
            .collect();
        let (user, proxy) = (one.user, one.proxy);
        assert!(
            right.contains(&&*one.variant),
            "user {user} got {} of proxy {proxy}, not of {right:?}",
            one.variant
        );
    }
}
