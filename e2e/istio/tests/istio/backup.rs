//! A backup of everything that `sluice` keeps in a cluster, and the way back to it.

use serde_json::{Value, json};

use crate::policy::{plugin, weights};
use crate::world::World;

/// The plugin's configuration as proxies get it: who is where follows from it alone.
async fn served(world: &World) -> Value {
    let plugin = world
        .chain
        .kubernetes
        .get("WasmPlugin", "a", "sluice")
        .await;
    plugin.unwrap().data["spec"]["pluginConfig"].clone()
}

/// The commands that the history knows, with their numbers.
async fn history(world: &World) -> Vec<(u64, String)> {
    let said = world.sluice("history -n a -o json").await.good().out;
    let entries: Vec<Value> = serde_json::from_str(&said).unwrap();
    let entry = |entry: &Value| {
        let command = entry["command"].as_str().unwrap().to_owned();
        (entry["revision"].as_u64().unwrap(), command)
    };
    entries.iter().map(entry).collect()
}

pub async fn a_restore_moves_everybody_back_and_says_what_differs_first(world: &mut World) {
    let document = plugin(&json!({"splits": {"web": {}, "shop": {}}}));
    world.chain.kubernetes.apply(&document.to_string()).await;
    world.sluice("redraw web -n a").await.good();
    world.set("web", 10).await;
    world.set("shop", 20).await;
    let (before, changes) = (served(world).await, history(world).await);
    let backup = world.sluice("get -A -o yaml").await.good().out;
    let path = world.chain.folder().join("backup.yaml");
    std::fs::write(&path, &backup).unwrap();
    let restore = async |path: &std::path::Path, more: &str| {
        world
            .sluice(&format!("restore -f {}{more}", path.display()))
            .await
    };

    // What is as it was is said so, and not written.
    let same = restore(&path, "").await.good();
    assert_eq!(same.out.trim(), "WasmPlugin a/sluice: as in the backup");
    assert_eq!(history(world).await, changes);

    // Everything is lost: weights, the draw, and the history.
    world.set("web", 0).await;
    world.sluice("redraw web -n a").await.good();
    world.set("web", 50).await;
    world.set("shop", 0).await;
    let kubernetes = &world.chain.kubernetes;
    kubernetes.delete_all("ControllerRevision", "a").await;
    let dry = restore(&path, " --dry-run").await.good();
    for line in [
        "web everyone canary: 50 -> 10",
        "shop everyone canary: 0 -> 20",
        "the history lacks 3 changes",
    ] {
        assert!(dry.out.contains(line), "{line}: {dry:?}");
    }
    assert_eq!(world.weight("a", "/web/everyone/canary").await, Some(50.0));

    // A backup that does not fit as a whole is not written in part.
    let gone = backup.replace("      shop:\n", "      gone:\n");
    assert_ne!(gone, backup);
    let other = world.chain.folder().join("gone.yaml");
    std::fs::write(&other, gone).unwrap();
    let refused = restore(&other, "").await.ended_with(1);
    assert!(
        refused.err.contains("no split gone, which the backup has"),
        "{refused:?}"
    );
    std::fs::write(&other, backup.replace("a/sluice", "a/other")).unwrap();
    let refused = restore(&other, "").await.ended_with(1);
    assert!(
        refused.err.contains("WasmPlugin a/other: it is not there"),
        "{refused:?}"
    );
    std::fs::write(&other, backup.replace("backup.v1", "backup.v2")).unwrap();
    restore(&other, "").await.ended_with(2);
    assert_eq!(world.weight("a", "/web/everyone/canary").await, Some(50.0));

    // What somebody else took over meanwhile is theirs, unless it is taken back.
    let theirs = weights(&json!({"shop": {"everyone": {"canary": 5}}}));
    kubernetes.try_apply_by_force("ann", &theirs).await.unwrap();
    let refused = restore(&path, "").await.ended_with(1);
    assert!(
        refused
            .err
            .contains("what others set: shop everyone canary (ann)"),
        "{refused:?}"
    );

    // The way back: everybody is where they were, and the history says how.
    let restored = restore(&path, " --force --reason 'INC-7'").await.good();
    assert!(
        restored.out.contains("WasmPlugin a/sluice: restored"),
        "{restored:?}"
    );
    let denied = "nothing was written";
    assert!(!restored.out.contains(denied), "{restored:?}");
    assert!(dry.out.contains(denied), "{dry:?}");
    assert_eq!(served(world).await, before);
    let after = history(world).await;
    assert_eq!(after[..changes.len()], changes[..]);
    assert_eq!(after.last().unwrap().1, "restore");
    let again = restore(&path, "").await.good();
    assert_eq!(again.out.trim(), "WasmPlugin a/sluice: as in the backup");
}
