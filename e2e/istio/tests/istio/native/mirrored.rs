//! A controller that writes the EnvoyFilters of annotated plugins, as whoever changed the plugin
//! could not.

use std::time::{Duration, Instant};

use serde_json::{Value, json};
use sluice_e2e::wait::until;
use sluice_e2e_istio::controllers::Controllers;
use sluice_e2e_istio::process::Process;

use super::{installed, wait_for_filters, wait_for_native};
use crate::rollouts::controller::start_as;
use crate::world::World;

/// A controller of a that writes EnvoyFilters, and leads.
async fn controller(world: &World) -> Process {
    let controller = start_as(
        world,
        &world.chain.sluice,
        "controller",
        "controller --native -n a",
    );
    until("the controller to lead", async || {
        let log = controller.log();
        log.contains("\nleads").then_some(()).ok_or(log)
    })
    .await;
    controller
}

/// Changes a's plugin as somebody without `sluice` does.
async fn merge(world: &World, change: Value) {
    let kubernetes = &world.chain.kubernetes;
    kubernetes
        .merge("WasmPlugin", "a", "sluice", &change)
        .await
        .unwrap();
}

async fn annotate(world: &World, annotations: Value) {
    merge(world, json!({"metadata": {"annotations": annotations}})).await;
}

/// The generation of which the EnvoyFilter is; `None`: there is none.
async fn mirrored(world: &World) -> Option<String> {
    let kubernetes = &world.chain.kubernetes;
    let filter = kubernetes.get("EnvoyFilter", "a", "sluice-native").await?;
    let annotations = filter.metadata.annotations.unwrap_or_default();
    annotations.get("sluice.dev/generation").cloned()
}

async fn wait_until_gone(world: &World) {
    until("the EnvoyFilter to be gone", async || {
        let found = mirrored(world).await;
        found.is_none().then_some(()).ok_or(format!("{found:?}"))
    })
    .await;
}

pub async fn a_controller_writes_what_is_annotated(world: &mut World) {
    world.fresh_plugin("a", 50).await;
    let controller = controller(world).await;
    let library = installed(world, "mirrored");
    annotate(
        world,
        json!({"sluice.dev/native": "true", "sluice.dev/native-library": library}),
    )
    .await;
    wait_for_native(world).await;
    wait_for_filters(world, true).await;
    let mut seconds = Vec::new();
    for percent in [10, 20, 30, 40] {
        let weights = json!({"weights": {"web": {"everyone": {"canary": percent}}}});
        let began = Instant::now();
        merge(world, json!({"spec": {"pluginConfig": weights}})).await;
        wait_for_native(world).await;
        seconds.push(began.elapsed().as_secs_f64());
        tokio::time::sleep(Duration::from_millis(300)).await;
    }
    crate::speed::print_figures(
        world,
        "an edited plugin on 3 native and 3 wasm proxies",
        seconds,
    );
    // What somebody else makes of it is put right with the next change.
    let kubernetes = &world.chain.kubernetes;
    let nothing = json!({"spec": {"configPatches": []}});
    kubernetes
        .merge("EnvoyFilter", "a", "sluice-native", &nothing)
        .await
        .unwrap();
    // The weight is somebody else's now.
    world.sluice("set web canary=60 -n a --force").await.good();
    wait_for_native(world).await;
    wait_for_filters(world, true).await;
    // Without the annotation it goes, and again where nobody watched.
    annotate(world, json!({"sluice.dev/native": null})).await;
    wait_until_gone(world).await;
    wait_for_filters(world, false).await;
    annotate(world, json!({"sluice.dev/native": "true"})).await;
    wait_for_native(world).await;
    drop(controller);
    annotate(world, json!({"sluice.dev/native": null})).await;
    let _again = self::controller(world).await;
    wait_until_gone(world).await;
    // A plugin that is deleted takes it along.
    annotate(world, json!({"sluice.dev/native": "true"})).await;
    until("the EnvoyFilter", async || {
        mirrored(world).await.ok_or_else(String::new)
    })
    .await;
    let _controllers = Controllers::start(&world.chain.tools, world.chain.folder());
    kubernetes.delete("WasmPlugin", "a", "sluice").await;
    wait_until_gone(world).await;
    world.stop_native_proxies();
}

pub async fn an_annotation_that_is_nonsense_is_said_on_the_plugin(world: &mut World) {
    world.fresh_plugin("a", 50).await;
    let controller = controller(world).await;
    let library = installed(world, "nonsense");
    annotate(
        world,
        json!({"sluice.dev/native": "true", "sluice.dev/native-library": library}),
    )
    .await;
    wait_for_native(world).await;
    let before = mirrored(world).await;
    annotate(world, json!({"sluice.dev/native-library": "here"})).await;
    let words = "WasmPlugin a/sluice: EnvoyFilter sluice-native stays as it is: \
                 sluice.dev/native-library: \"here\"; accepted: an absolute path";
    until("the log", async || {
        let log = controller.log();
        log.contains(words).then_some(()).ok_or(log)
    })
    .await;
    assert_eq!(mirrored(world).await, before);
    until("the Event", async || {
        let events = world
            .kubectl("events -n a --for wasmplugin/sluice")
            .await
            .out;
        let is_said = events.contains("NativeNotWritten") && events.contains("Warning");
        is_said.then_some(()).ok_or(events)
    })
    .await;
    world.stop_native_proxies();
}
