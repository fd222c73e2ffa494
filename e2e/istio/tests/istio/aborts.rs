//! Aborts of a configuration in which something is wrong, judged by what the proxies answer.

use serde_json::{Value, json};

use crate::users::{WEB_A, assert_split};
use crate::world::World;

/// Patches a namespace's plugin as somebody without `sluice` would, with a patch of any size.
async fn patch(world: &World, namespace: &str, patch: &str) {
    let file = world.chain.folder().join("patch.json");
    std::fs::write(&file, patch).unwrap();
    let (plugin, file) = (format!("wasmplugin sluice -n {namespace}"), file.display());
    let command = format!("patch {plugin} --type merge --field-manager alice --patch-file {file}");
    world.kubectl(&command).await.good();
}

async fn patch_config(world: &World, config: &str) {
    patch(
        world,
        "a",
        &format!(r#"{{"spec": {{"pluginConfig": {config}}}}}"#),
    )
    .await;
}

fn nested(levels: usize) -> String {
    format!("{}{}", "[".repeat(levels), "]".repeat(levels))
}

pub async fn what_stands_in_the_way_of_an_abort_is_replaced(world: &mut World) {
    world.fresh_plugin("a", 100).await;
    let long = "x".repeat(600_000);
    let cases = [
        ("a list", r#"{"weights": []}"#.to_owned()),
        ("a text", r#"{"weights": {"web": "x"}}"#.to_owned()),
        (
            "600 KB",
            format!(r#"{{"weights": {{"checkout": "{long}"}}}}"#),
        ),
        (
            "125 brackets",
            format!(r#"{{"weights": {{"checkout": {}}}}}"#, nested(125)),
        ),
        (
            "1,000 brackets",
            format!(r#"{{"weights": {{"checkout": {}}}}}"#, nested(1_000)),
        ),
        ("draws", r#"{"draws": "x"}"#.to_owned()),
    ];
    for (label, config) in cases {
        // What is read as another split's problem is no reason to replace that one's weights.
        let what = if label.ends_with("brackets") {
            "--all"
        } else {
            "web"
        };
        world.set("web", 100).await;
        world.wait_for_convergence("a").await;
        assert_split(&world.callers[0], WEB_A, 100).await;
        patch_config(world, &config).await;
        world.sluice("history -n a").await.good();
        let said = world.sluice(&format!("abort {what} -n a")).await.good();
        assert!(!said.err.contains("NOT IN FORCE"), "{label}: {said:?}");
        let zero = world.weight("a", "/web/everyone/canary").await;
        assert_eq!(zero, Some(0.0), "{label}");
        world.wait_for_convergence("a").await;
        assert_split(&world.callers[0], WEB_A, 0).await;
    }
}

pub async fn an_abort_that_no_proxy_obeys_is_said(world: &mut World) {
    world.fresh_plugin("a", 100).await;
    patch_config(world, r#"{"version": 2}"#).await;
    for command in ["abort web -n a", "abort --all -A"] {
        let said = world.sluice(command).await.ended_with(1);
        for part in [
            "NOT IN FORCE: version: 2; this filter reads version 1",
            "each goes on with the last one that it could read",
        ] {
            assert!(said.err.contains(part), "{said:?}");
        }
    }
    // So it is.
    assert_split(&world.callers[0], WEB_A, 100).await;
    let others = [
        (
            "set web canary=5 -n a",
            2,
            "no proxy takes this configuration",
        ),
        ("get -n a", 2, "no proxy takes this configuration"),
        ("status -n a", 1, "NOT IN FORCE on 6 proxies"),
        ("validate -n a", 1, "no proxy takes it"),
    ];
    for (command, code, part) in others {
        let said = world.sluice(command).await.ended_with(code);
        assert!(format!("{said:?}").contains(part), "{command}: {said:?}");
    }
    // The zeros were written: they hold as soon as the rest is mended.
    patch_config(world, r#"{"version": null}"#).await;
    world.wait_for_convergence("a").await;
    assert_split(&world.callers[0], WEB_A, 0).await;
}

pub async fn one_plugin_that_no_proxy_reads_stops_no_other(world: &mut World) {
    world.fresh_plugin("a", 10).await;
    world.fresh_plugin("b", 30).await;
    let nested = nested(1_000);
    let config = format!(r#"{{"version": 2, "weights": {{"checkout": {nested}}}}}"#);
    patch_config(world, &config).await;
    let get = world.sluice("get web -A").await.ended_with(1);
    assert!(get.out.contains("WasmPlugin b/sluice"), "{get:?}");
    assert!(
        get.err.contains("WasmPlugin a/sluice: no proxy takes"),
        "{get:?}"
    );
    let set = world.sluice("set web canary=31 -A").await.ended_with(1);
    assert!(
        set.err.contains("WasmPlugin a/sluice: no proxy takes"),
        "{set:?}"
    );
    assert_eq!(world.weight("b", "/web/everyone/canary").await, Some(31.0));
    let abort = world.sluice("abort --all -A").await.ended_with(1);
    assert!(
        abort
            .err
            .contains("WasmPlugin a/sluice: NOT IN FORCE: version: 2"),
        "{abort:?}"
    );
    assert_eq!(world.weight("b", "/web/everyone/canary").await, Some(0.0));
}

pub async fn full_annotations_cost_an_abort_its_note_only(world: &mut World) {
    world.fresh_plugin("a", 10).await;
    // All that Kubernetes gives to annotations, less what stands there already.
    let full = async |length: usize| {
        let annotations = json!({"change.example.com/x": "x".repeat(length)});
        let patched = json!({"metadata": {"annotations": annotations}});
        let kubernetes = &world.chain.kubernetes;
        kubernetes
            .merge("WasmPlugin", "a", "sluice", &patched)
            .await
            .is_ok()
    };
    let mut length = 256 * 1024;
    while !full(length).await {
        length -= 16;
    }
    // The note of this one is longer than the former one's.
    let reason = "x".repeat(500);
    let abort = format!("abort web -n a --reason {reason}");
    let said = world.sluice(&abort).await.good();
    assert!(
        said.err.contains("without its note on the plugin"),
        "{said:?}"
    );
    assert_eq!(world.weight("a", "/web/everyone/canary").await, Some(0.0));
    let history = world.sluice("history -n a").await.good().out;
    assert!(history.contains(&reason), "{history}");
}

pub async fn an_abort_is_made_of_an_object_that_etcd_has_no_more_room_for(world: &mut World) {
    world.fresh_plugin("a", 10).await;
    // All that etcd takes, less what stands there already.
    let full = async |length: usize| {
        let config = json!({"weights": {"checkout": "x".repeat(length)}});
        let patched = json!({"spec": {"pluginConfig": config}});
        let kubernetes = &world.chain.kubernetes;
        let merged = kubernetes.merge("WasmPlugin", "a", "sluice", &patched);
        merged.await.map_err(|error| error.to_string())
    };
    let (mut taken, mut refused) = (1_000_000, 2_000_000);
    let mut said = String::new();
    while refused - taken > 1 {
        let length = usize::midpoint(taken, refused);
        match full(length).await {
            Ok(_) => taken = length,
            Err(error) => (refused, said) = (length, error),
        }
    }
    assert!(said.contains("etcdserver: request is too large"), "{said}");
    full(taken).await.unwrap();
    let aborted = world.sluice("abort web -n a").await.good();
    assert!(!aborted.err.contains("NOT IN FORCE"), "{aborted:?}");
    assert_eq!(world.weight("a", "/web/everyone/canary").await, Some(0.0));
}

/// The changes that `sluice history` of namespace a knows, oldest first.
async fn history(world: &World) -> Vec<Value> {
    let history = world.sluice("history -n a -o json").await.good().out;
    serde_json::from_str(&history).unwrap()
}

pub async fn an_abort_is_one_change_and_asks_nothing_of_the_next(world: &mut World) {
    world.fresh_plugin("a", 10).await;
    world.set("checkout", 20).await;
    let before = history(world).await.len();
    world.sluice("abort --all -n a --reason smoke").await.good();
    let entries = history(world).await;
    assert_eq!(entries.len(), before + 1, "{entries:#?}");
    let last = entries.last().unwrap();
    assert_eq!(last["command"], "abort --all");
    let changed = last["changes"].as_array().unwrap().iter();
    let changed: Vec<_> = changed
        .map(|change| {
            (
                change["split"].as_str().unwrap(),
                change["from"].as_f64().unwrap(),
            )
        })
        .collect();
    assert_eq!(changed, [("checkout", 20.0), ("web", 10.0)]);
    let kubernetes = &world.chain.kubernetes;
    let plugin = kubernetes.get("WasmPlugin", "a", "sluice").await.unwrap();
    let annotations = plugin.metadata.annotations.unwrap();
    let ours = annotations
        .keys()
        .filter(|name| name.contains("sluice.dev"));
    assert_eq!(
        ours.collect::<Vec<_>>(),
        ["sluice.dev/abort", "sluice.dev/change"]
    );
    // The zeros belong to the abort's manager, which gives way to any other of ours.
    world.set("web", 7).await;
    world.set("checkout", 3).await;
    world.sluice("rollback -n a").await.good();
    assert_eq!(world.weight("a", "/web/everyone/canary").await, Some(7.0));
    assert_eq!(
        world.weight("a", "/checkout/everyone/canary").await,
        Some(0.0)
    );
}

pub async fn emptied_managed_fields_stop_neither_a_change_nor_an_abort(world: &mut World) {
    for command in ["set web canary=20 -n a", "abort web -n a"] {
        world.fresh_plugin("a", 10).await;
        patch(world, "a", r#"{"metadata": {"managedFields": [{}]}}"#).await;
        world.sluice(command).await.good();
        let wanted = if command.starts_with("set") {
            20.0
        } else {
            0.0
        };
        assert_eq!(
            world.weight("a", "/web/everyone/canary").await,
            Some(wanted)
        );
        world
            .chain
            .kubernetes
            .delete("WasmPlugin", "a", "sluice")
            .await;
    }
}
