//! Others who write: Git's half of a plugin beside `sluice`'s, other field managers, whole
//! environments.

use serde_json::{Value, json};

use crate::access::checkout;
use crate::world::World;

pub async fn applying_git_again_loses_no_weight(world: &mut World) {
    world.fresh_plugin("a", 10).await;
    let file = world.chain.folder().join("base.yaml");
    let apply = format!("apply -f {}", file.display());
    std::fs::write(&file, world.plugin("a")).unwrap();
    for percent in [20, 30] {
        world.set("web", percent).await;
        world.chain.kubernetes.apply(&world.plugin("a")).await;
        let weight = world.weight("a", "/web/everyone/canary").await;
        assert_eq!(weight, Some(f64::from(percent)), "server-side");
        world.set("web", percent + 1).await;
        world.kubectl(&apply).await.good();
        let weight = world.weight("a", "/web/everyone/canary").await;
        assert_eq!(weight, Some(f64::from(percent + 1)), "client-side");
    }
    // Git may change its own half meanwhile.
    std::fs::write(&file, world.plugin("a").replace("checkout.a", "cashier.a")).unwrap();
    world.kubectl(&apply).await.good();
    world.set("web", 40).await;
    let kubernetes = &world.chain.kubernetes;
    let plugin = kubernetes.get("WasmPlugin", "a", "sluice").await.unwrap();
    assert_eq!(
        plugin.data["spec"]["pluginConfig"]["splits"]["checkout"]["services"],
        json!(["cashier.a"])
    );
}

/// Somebody else sets web's weight in namespace a, as field manager `alice`.
async fn set_as_alice(world: &World, percent: u32) {
    let weight =
        json!({"spec": {"pluginConfig": {"weights": {"web": {"everyone": {"canary": percent}}}}}});
    let patch = "patch wasmplugin sluice -n a --type merge --field-manager alice";
    world
        .kubectl(&format!("{patch} -p '{weight}'"))
        .await
        .good();
}

pub async fn a_conflict_names_the_other_manager_and_what_force_does(world: &mut World) {
    world.fresh_plugin("a", 10).await;
    set_as_alice(world, 3).await;
    let said = world.sluice("set web canary=50 -n a").await.ended_with(2);
    for part in [
        "spec.pluginConfig.weights.web.everyone.canary was set by field manager \"alice\"",
        "nothing was changed",
        "--force would set it all the same (everyone/canary 3 -> 50)",
    ] {
        assert!(said.err.contains(part), "{part}: {said:?}");
    }
    assert_eq!(world.weight("a", "/web/everyone/canary").await, Some(3.0));
    world.sluice("set web canary=50 -n a --force").await.good();
    assert_eq!(world.weight("a", "/web/everyone/canary").await, Some(50.0));
    let history = world.sluice("history -n a").await.good().out;
    assert!(history.contains("(changed without sluice)"), "{history}");
}

pub async fn what_another_manager_set_is_said_remembered_and_gone_back_to(world: &mut World) {
    world.fresh_plugin("a", 10).await;
    set_as_alice(world, 3).await;
    let get = world.sluice("get web -n a").await.good().out;
    let is_alices = |line: &str| line.contains("canary    3         alice");
    assert!(get.lines().any(is_alices), "{get}");
    let belongs = "weights.web.everyone.canary belongs to field manager \"alice\"";
    for command in ["status -n a", "validate -n a"] {
        let said = world.sluice(command).await.out;
        assert!(said.contains(belongs), "{command}: {said}");
    }
    // Nobody of us has written since.
    let history = async || {
        let history = world.sluice("history -n a").await.good().out;
        history.lines().last().unwrap_or_default().to_owned()
    };
    let last = history().await;
    for part in [
        "alice",
        "(changed without sluice)",
        "web/everyone/canary 10->3",
    ] {
        assert!(last.contains(part), "{part}: {last}");
    }
    world.sluice("set web canary=20 -n a --force").await.good();
    world.sluice("rollback -n a").await.good();
    assert_eq!(world.weight("a", "/web/everyone/canary").await, Some(3.0));
}

pub async fn weights_of_a_client_side_apply_are_warned_of_and_can_be_forgotten(world: &mut World) {
    let held = "    weights: {web: {everyone: {canary: 5}}}";
    let file = |name: &str, text: &str| {
        let path = world.chain.folder().join(name);
        std::fs::write(&path, text).unwrap();
        path.display().to_string()
    };
    let plugin = world.plugin("a");
    let with = plugin.replace("  pluginConfig:\n", &format!("  pluginConfig:\n{held}\n"));
    assert_ne!(with, plugin);
    let (with, without) = (file("with.yaml", &with), file("without.yaml", &plugin));
    world.kubectl(&format!("apply -f {with}")).await.good();
    world.set("checkout", 9).await;
    let warning = "a manifest without them deletes every weight";
    let said = world.sluice("validate -n a").await.out;
    assert!(said.contains(warning), "{said}");
    let forget = format!("apply set-last-applied -f {without}");
    world.kubectl(&forget).await.good();
    let said = world.sluice("validate -n a").await.out;
    assert!(!said.contains(warning), "{said}");
    world.kubectl(&format!("apply -f {without}")).await.good();
    let checkout = "/checkout/everyone/canary";
    assert_eq!(world.weight("a", checkout).await, Some(9.0));
    // What the warning says.
    world.kubectl(&format!("apply -f {with}")).await.good();
    world.kubectl(&format!("apply -f {without}")).await.good();
    assert_eq!(world.weight("a", checkout).await, None);
}

pub async fn an_abort_asks_no_other_manager(world: &mut World) {
    world.fresh_plugin("a", 10).await;
    set_as_alice(world, 3).await;
    world.sluice("abort --all -A").await.good();
    // Zeros are explicit.
    for path in [
        "/web/everyone/canary",
        "/web/staff/canary",
        "/checkout/everyone/canary",
    ] {
        assert_eq!(world.weight("a", path).await, Some(0.0), "{path}");
    }
}

pub async fn a_rollback_over_several_splits_is_whole_or_not_at_all(world: &mut World) {
    world.fresh_plugin("a", 10).await;
    world.set("checkout", 20).await;
    world.set("web", 30).await;
    let history = world.sluice("history -n a -o json").await.good().out;
    let history: Vec<Value> = serde_json::from_str(&history).unwrap();
    let first = history[0]["revision"].as_u64().unwrap();
    let rollback = format!("rollback --to {first} -n a");
    // web's weight belongs to somebody else now: checkout comes first, and must not be changed
    // either.
    set_as_alice(world, 31).await;
    let said = world.sluice(&rollback).await.ended_with(2);
    assert!(said.err.contains("nothing was changed"), "{said:?}");
    let checkout = "/checkout/everyone/canary";
    assert_eq!(world.weight("a", checkout).await, Some(20.0));
    world.sluice(&format!("{rollback} --force")).await.good();
    assert_eq!(world.weight("a", checkout).await, Some(0.0));
    assert_eq!(world.weight("a", "/web/everyone/canary").await, Some(10.0));
}

/// Applies the manifests of an environment, in a namespace of its name.
async fn apply_overlay(world: &World, environment: &str) {
    let namespace =
        format!("{{apiVersion: v1, kind: Namespace, metadata: {{name: {environment}}}}}");
    world.chain.kubernetes.apply(&namespace).await;
    let overlay = checkout("wasmplugin/overlays").join(environment);
    let apply = format!("apply --server-side -k {}", overlay.display());
    world.kubectl(&apply).await.good();
}

pub async fn the_manifests_are_accepted_by_the_real_api_server(world: &mut World) {
    for environment in ["qa", "stage", "prod"] {
        apply_overlay(world, environment).await;
    }
    for arguments in [
        "set web canary=5 -n qa --reason 'works in qa'",
        "set web canary=50 --audience staff -n qa",
    ] {
        world.sluice(arguments).await.good();
    }
    let promoted = world
        .sluice("promote web --from qa --to stage@e2e")
        .await
        .good();
    assert!(
        promoted.out.contains("web everyone canary: 0 -> 5"),
        "{promoted:?}"
    );
    assert_eq!(world.weight("stage", "/web/staff/canary").await, Some(50.0));
    let missing = world
        .sluice("promote wep --from qa --to stage")
        .await
        .ended_with(2);
    assert!(missing.err.contains("did you mean \"web\"?"), "{missing:?}");
    let everywhere = world.sluice("get web -A").await.good().out;
    assert!(
        everywhere.contains("WasmPlugin qa/sluice")
            && everywhere.contains("WasmPlugin prod/sluice"),
        "{everywhere}"
    );
    let differs = world.sluice("status -A").await;
    assert!(
        differs
            .out
            .contains("split web differs: everyone/canary is"),
        "{differs:?}"
    );
    let again = world.sluice("set web canary=6 -A").await;
    assert!(
        again
            .out
            .contains("WasmPlugin stage/sluice:\nweb everyone canary: 5 -> 6"),
        "{again:?}"
    );
}
