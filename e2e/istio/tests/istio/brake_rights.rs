//! Who may give, release and delete brakes, by the policy that we ship.

use serde_json::{Value, json};
use sluice_e2e::wait::until;
use sluice_e2e_istio::command::Tool;

use crate::access::manifest;
use crate::world::World;

/// kubectl of an account that may do everything with brakes and patch plugins of these kinds.
async fn account(world: &World, name: &str, kinds: &[&str]) -> Tool {
    let kubernetes = &world.chain.kubernetes;
    let resources = [
        json!({"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": name, "namespace": "a"}}),
        json!({
            "apiVersion": "rbac.authorization.k8s.io/v1", "kind": "Role", "metadata": {"name": name, "namespace": "a"},
            "rules": [
                {
                    "apiGroups": ["sluice.dev"], "resources": ["brakes"],
                    "verbs": ["get", "list", "create", "patch", "delete"],
                },
                {"apiGroups": ["extensions.istio.io"], "resources": kinds, "verbs": ["patch"]},
            ],
        }),
        json!({
            "apiVersion": "rbac.authorization.k8s.io/v1", "kind": "RoleBinding",
            "metadata": {"name": name, "namespace": "a"},
            "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "Role", "name": name},
            "subjects": [{"kind": "ServiceAccount", "name": name, "namespace": "a"}],
        }),
    ];
    for resource in resources {
        let applied = kubernetes.try_apply_by_force("gitops", &resource).await;
        applied.unwrap();
    }
    let kubeconfig = world.chain.kubeconfig("a", name).await;
    let kubectl = world.chain.kubectl.with_kubeconfig(&kubeconfig);
    until("the account to have its rights", async || {
        let said = kubectl.run_beside("get brakes -n a").await;
        (said.code == 0).then_some(()).ok_or(format!("{said:?}"))
    })
    .await;
    kubectl
}

fn brake(name: &str, by: &str) -> Value {
    json!({
        "apiVersion": "sluice.dev/v1alpha1", "kind": "Brake", "metadata": {"name": name, "namespace": "a"},
        "spec": {"plugin": "sluice", "split": "web", "by": by},
    })
}

/// What gives a brake, without giving it.
fn giving(world: &World, name: &str, by: &str) -> String {
    let file = world.chain.folder().join(format!("brake-{name}.json"));
    std::fs::write(&file, brake(name, by).to_string()).unwrap();
    format!("create --dry-run=server -f {}", file.display())
}

/// What releases the brake that was given, without doing it.
fn releasing(by: &str) -> String {
    let released = format!("{{\"at\":\"2026-01-01T00:00:00Z\",\"by\":\"{by}\"}}");
    format!("{PATCH} {{\"spec\":{{\"released\":{released}}}}}")
}

const PATCH: &str = "patch brake given -n a --type merge --dry-run=server -p";

/// The account that may patch plugins of both kinds.
const BOTH: &str = "system:serviceaccount:a:both";

pub async fn only_who_may_patch_both_kinds_of_a_plugin_may_touch_its_brakes(world: &mut World) {
    world.new_plugin("a").await;
    let kubernetes = &world.chain.kubernetes;
    kubernetes.apply(&brake("given", "ann").to_string()).await;
    kubernetes.apply(&manifest("brakes.yaml")).await;
    let give = giving(world, "mine", BOTH);
    let release = releasing(BOTH);
    let change = format!("{PATCH} {{\"spec\":{{\"split\":\"api\"}}}}");
    let delete = "delete brake given -n a --dry-run=server";
    let nobody = account(world, "nobody", &["nothing"]).await;
    until("the policy to be in force", async || {
        let said = nobody.run_beside(&give).await;
        (said.code == 1).then_some(()).ok_or(format!("{said:?}"))
    })
    .await;
    let refused = "only those who may patch the plugin";
    let of_one = [
        ("nobody", nobody),
        (
            "extensions",
            account(world, "extensions", &["trafficextensions"]).await,
        ),
        ("plugins", account(world, "plugins", &["wasmplugins"]).await),
    ];
    for (label, kubectl) in &of_one {
        for command in [give.as_str(), release.as_str(), delete] {
            let said = kubectl.run_beside(command).await.ended_with(1);
            assert!(said.err.contains(refused), "{label}: {said:?}");
        }
    }
    let both = account(world, "both", &["wasmplugins", "trafficextensions"]).await;
    for command in [give.as_str(), release.as_str(), delete] {
        both.run_beside(command).await.good();
    }
    let said = both.run_beside(&change).await.ended_with(1);
    assert!(said.err.contains("of a brake nothing changes"), "{said:?}");
    // Nobody gives or releases one in another's name, nor in the name of the controller's key.
    let of_key = format!("key-{}", "0".repeat(32));
    for (name, by) in [
        ("other", "ann"),
        ("by-key", "ann, by the controller's key"),
        (&of_key, "ann, by the controller's key"),
        (&of_key, BOTH),
    ] {
        let said = both.run_beside(&giving(world, name, by)).await;
        let own = "a brake is given in the caller's own name";
        assert!(said.ended_with(1).err.contains(own), "{name}, {by}");
    }
    let said = both.run_beside(&releasing("ann")).await.ended_with(1);
    assert!(said.err.contains("in the caller's own name"), "{said:?}");
    // The controller is one who may write the status of Brakes.
    let key = giving(world, &of_key, "ann, by the controller's key");
    world.kubectl(&key).await.good();
    world.sluice("brake release web -n a").await.good();
}
