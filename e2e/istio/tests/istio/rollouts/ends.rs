//! Runs that somebody or something ends: a hand edit, an abort, another version, a guard.

use serde_json::json;
use sluice_e2e::wait::until;
use sluice_e2e_istio::load::Load;

use super::controller::{
    apply, ask, condition, configure, message, ramp, start, start_seeing, status, wait_for,
    wait_for_phase, wait_for_weight,
};
use crate::users::WEB_A;
use crate::world::World;

const WEB: &str = "/web/everyone/canary";

pub async fn a_hand_edit_pauses_the_run_and_says_who(world: &mut World) {
    world.new_plugin("a").await;
    let _controller = start(world);
    let spec = json!({"split": "web", "version": "v2", "steps": ramp(&[10, 100], "2s")});
    apply(world, "web", &spec).await;
    wait_for_weight(world, WEB, 10.0).await;
    world
        .sluice("set web canary=33 -n a --reason 'just looking'")
        .await
        .good();
    let paused = wait_for_phase(world, "web", "Paused").await;
    assert!(
        message(&paused).contains("33 % of everyone") && message(&paused).contains("just looking"),
        "{paused:#}"
    );
    tokio::time::sleep(std::time::Duration::from_secs(3)).await;
    assert_eq!(
        world.weight("a", WEB).await,
        Some(33.0),
        "it is left as it is"
    );
    ask(world, "web", 1, "resume").await;
    wait_for_phase(world, "web", "Succeeded").await;
    assert_eq!(world.weight("a", WEB).await, Some(100.0));
}

pub async fn an_abort_by_the_command_line_ends_the_run_for_good(world: &mut World) {
    world.new_plugin("a").await;
    let controller = start(world);
    let spec = json!({"split": "web", "version": "v2", "steps": ramp(&[10, 100], "30s")});
    apply(world, "web", &spec).await;
    wait_for_weight(world, WEB, 10.0).await;
    world
        .sluice("abort web -n a --reason 'users complain'")
        .await
        .good();
    let aborted = wait_for_phase(world, "web", "Aborted").await;
    assert!(message(&aborted).contains("users complain"), "{aborted:#}");
    assert_eq!(condition(&aborted, "Stalled"), "True");
    drop(controller);
    // Neither time nor another controller resumes it.
    let _controller = start(world);
    tokio::time::sleep(std::time::Duration::from_secs(3)).await;
    assert_eq!(status(world, "web").await["phase"], "Aborted");
    assert_eq!(world.weight("a", WEB).await, Some(0.0));
    ask(world, "web", 1, "retry").await;
    wait_for_weight(world, WEB, 10.0).await;
    let second = wait_for_phase(world, "web", "Progressing").await;
    assert_eq!(second["run"]["number"], 2);
}

pub async fn another_version_begins_at_the_first_step_and_moves_nobody_twice(world: &mut World) {
    world.new_plugin("a").await;
    let _controller = start(world);
    let mut spec = json!({"split": "web", "version": "v2", "steps": ramp(&[10, 50, 100], "2s")});
    apply(world, "web", &spec).await;
    wait_for_weight(world, WEB, 50.0).await;
    spec["version"] = json!("v3");
    apply(world, "web", &spec).await;
    let second = wait_for(world, "web", "the second run", |status| {
        status["run"]["number"] == 2
    })
    .await;
    assert_eq!(second["runs"][0]["as"], "Superseded");
    wait_for_weight(world, WEB, 10.0).await;
    let history = world.sluice("history -n a").await.good().out;
    assert!(!history.contains("50 -> 0"), "{history}");
    wait_for_phase(world, "web", "Succeeded").await;
}

pub async fn a_missing_split_is_waited_for_and_nothing_moves(world: &mut World) {
    world.new_plugin("a").await;
    let _controller = start(world);
    let spec = json!({"split": "shop", "version": "v2", "preset": "emergency"});
    apply(world, "shop", &spec).await;
    let waiting = wait_for_phase(world, "shop", "Waiting").await;
    let expected = "the plugin has no split shop; it has checkout, web; nothing is moved";
    assert_eq!(message(&waiting), expected);
    assert_eq!(condition(&waiting, "Reconciling"), "True");
    world.kubectl("delete wasmplugin sluice -n a").await.good();
    ask(world, "shop", 1, "retry").await;
    let without = wait_for(world, "shop", "no plugin", |status| {
        message(status).contains("no plugin")
    })
    .await;
    assert!(
        message(&without).contains("namespace a has no plugin of ours"),
        "{without:#}"
    );
    // What it waits for comes: nobody has to say so.
    let plugin = world.plugin("a").replace("checkout:", "shop:");
    world.chain.kubernetes.apply(&plugin).await;
    wait_for_phase(world, "shop", "Succeeded").await;
    assert_eq!(
        world.weight("a", "/shop/everyone/canary").await,
        Some(100.0)
    );
}

pub async fn a_guard_that_trips_ends_the_run(world: &mut World) {
    world.new_plugin("a").await;
    configure(world, &json!({"splits": {"web": {"guard": {}}}})).await;
    let _controller = start_seeing(world);
    let spec = json!({"split": "web", "version": "v2", "steps": ramp(&[25, 100], "60s")});
    apply(world, "web", &spec).await;
    wait_for_weight(world, WEB, 25.0).await;
    world.fail("canary", 503);
    let load = Load::start(&world.caller_addresses(), WEB_A, 400, 400);
    let ended = wait_for_phase(world, "web", "RolledBack").await;
    load.end().await;
    assert!(
        message(&ended).contains("the guard took the challenger out"),
        "{ended:#}"
    );
    until("weight 0", async || match world.weight("a", WEB).await {
        Some(0.0) => Ok(()),
        other => Err(format!("{other:?}")),
    })
    .await;
}
