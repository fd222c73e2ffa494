//! `sluice` as kubectl's plugin, and the names of a real cluster that are completed.

use std::os::unix::fs::symlink;

use crate::world::World;

/// kubectl with our plugin in its PATH, as somebody who installed it has it.
async fn kubectl(world: &World, arguments: &str) -> (String, String) {
    let folder = world.chain.folder().join("plugin");
    let _ = std::fs::create_dir(&folder);
    for name in ["kubectl-sluice", "kubectl_complete-sluice"] {
        let _ = symlink(world.chain.sluice.program(), folder.join(name));
    }
    let mut command = world.chain.kubectl.command(arguments);
    let path = std::env::var("PATH").unwrap();
    command.env("PATH", format!("{}:{path}", folder.display()));
    let mut command = tokio::process::Command::from(command);
    let output = command.output().await.unwrap();
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
    (text(output.stdout), text(output.stderr))
}

pub async fn the_plugin_acts_on_kubectls_cluster(world: &mut World) {
    world.fresh_plugin("a", 25).await;
    let (listed, _) = kubectl(world, "plugin list").await;
    assert!(listed.contains("/kubectl-sluice"), "{listed}");
    let (shown, on) = kubectl(world, "sluice get web -n a").await;
    assert!(shown.contains("everyone   canary    25"), "{shown}");
    assert!(on.contains("WasmPlugin a/sluice"), "{on}");
    let (_, usage) = kubectl(world, "sluice set web").await;
    assert!(
        usage.contains("Usage: kubectl sluice set [OPTIONS]"),
        "{usage}"
    );
}

pub async fn names_of_the_cluster_are_completed(world: &mut World) {
    world.fresh_plugin("a", 25).await;
    // As kubectl's own script asks: the last word is being typed.
    let offered = async |line: &str| kubectl(world, &format!("__complete sluice {line}")).await.0;
    let namespaces = offered("get -n ''").await;
    for namespace in ["a\n", "b\n", "istio-system\n"] {
        assert!(namespaces.contains(namespace), "{namespaces}");
    }
    assert_eq!(offered("get -n a w").await, "web\n:4\n");
    assert_eq!(offered("get -n a check").await, "checkout\n:4\n");
    assert_eq!(offered("set -n a web c").await, "canary=\n:6\n");
    assert_eq!(offered("get -n a --plugin s").await, "sluice\n:4\n");
    assert_eq!(offered("get -n no-such-namespace w").await, ":4\n");
    let contexts = offered("get --context ''").await;
    assert!(contexts.lines().count() > 1, "{contexts}");
}
