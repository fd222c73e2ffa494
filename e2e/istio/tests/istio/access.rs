//! Who may do what, where: namespaces by themselves, RBAC, the admission policy, GitOps beside `sluice`.

use std::path::Path;
use std::time::Duration;

use serde_json::json;
use sluice_e2e_istio::command::Tool;
use sluice_e2e_istio::kubernetes::documents;
use sluice_e2e_istio::load::Load;

use crate::plugins::{WEB_B, is_canary};
use crate::world::{World, revision, wait_for_revision};

/// A folder of the checkout.
fn checkout(relative: &str) -> std::path::PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("../..")
        .join(relative)
        .canonicalize()
        .unwrap()
}

fn manifest(name: &str) -> String {
    std::fs::read_to_string(checkout("wasmplugin/base").join(name)).unwrap()
}

pub async fn a_namespace_does_not_notice_another_ones_changes(world: &mut World) {
    world.fresh_plugin(10).await;
    world.chain.kubernetes.apply(&world.plugin("b")).await;
    world
        .chain
        .sluice
        .run_beside("set web canary=30 -n b")
        .await
        .good();
    let wanted = world.wanted_revision("b").await;
    wait_for_revision(&world.other, "b.sluice", wanted).await;
    let updates = async || {
        world
            .other
            .admin("/stats?filter=extension_config_discovery.*config_reload$")
            .await
    };
    // Envoy counts a configuration when every worker has it, a little after the first one runs it.
    tokio::time::sleep(Duration::from_secs(1)).await;
    let before = updates().await;
    let load = Load::start(&[world.other.address], WEB_B, 500, 200);
    for percent in [20, 40, 60, 80, 5] {
        world.set("web", percent).await;
        tokio::time::sleep(Duration::from_millis(300)).await;
    }
    for seen in load.end().await {
        let expected = if is_canary(seen.user, 30) {
            "canary"
        } else {
            "stable"
        };
        assert_eq!(
            (seen.status, seen.variant.as_str()),
            (200, expected),
            "user {} of b",
            seen.user
        );
    }
    assert_eq!(
        updates().await,
        before,
        "b's proxies were given another configuration"
    );
    assert_eq!(revision(&world.other, "b.sluice").await, wanted);
}

/// An account of namespace a with a role.
fn account(name: &str, role: &str) -> String {
    format!(
        "
apiVersion: v1
kind: ServiceAccount
metadata: {{name: {name}, namespace: a}}
---
apiVersion: rbac.authorization.k8s.io/v1
kind: RoleBinding
metadata: {{name: {name}, namespace: a}}
roleRef: {{apiGroup: rbac.authorization.k8s.io, kind: Role, name: {role}}}
subjects: [{{kind: ServiceAccount, name: {name}, namespace: a}}]
"
    )
}

/// An account of namespace a that may only move weights, by the Role and the policy that we ship.
async fn mover(world: &World) -> Tool {
    let role = documents(&manifest("rbac.yaml")).remove(0);
    let mut in_a = role;
    in_a["metadata"]["namespace"] = json!("a");
    world.chain.kubernetes.apply(&in_a.to_string()).await;
    world
        .chain
        .kubernetes
        .apply(&account("mover", "sluice-weights"))
        .await;
    world.chain.kubernetes.apply(&manifest("policy.yaml")).await;
    world
        .chain
        .sluice
        .with_kubeconfig(&world.chain.kubeconfig("a", "mover").await)
}

pub async fn an_account_may_move_the_weights_of_its_namespace_only(world: &mut World) {
    world.fresh_plugin(10).await;
    world.chain.kubernetes.apply(&world.plugin("b")).await;
    let mover = mover(world).await;
    mover
        .run_beside("set web canary=20 -n a --reason 'by the mover'")
        .await
        .good();
    mover.run_beside("set checkout canary=7 -n a").await.good();
    mover.run_beside("redraw checkout -n a").await.ended_with(2);
    mover.run_beside("rollback -n a").await.good();
    assert_eq!(
        world.weight("a", "/checkout/everyone/canary").await,
        Some(0.0)
    );
    mover.run_beside("abort web -n a").await.good();
    mover.run_beside("refetch -n a").await.good();
    mover.run_beside("get -n a").await.good();
    let history = mover.run_beside("history -n a").await.good().out;
    assert!(
        history.contains("system:serviceaccount:a:mover") && history.contains("by the mover"),
        "{history}"
    );
    for command in [
        "set web canary=5 -n b",
        "get -n b",
        "abort web -n b",
        "refetch -n b",
        "history -n b",
    ] {
        let said = mover.run_beside(command).await.ended_with(2);
        assert!(
            said.err.contains("not allowed") && said.err.contains("wasmplugin/base/rbac.yaml"),
            "{said:?}"
        );
    }
    assert_eq!(world.weight("b", "/web/everyone/canary").await, Some(30.0));
}

pub async fn an_abort_of_everything_goes_on_where_it_may_not(world: &mut World) {
    world.fresh_plugin(10).await;
    world.chain.kubernetes.apply(&world.plugin("b")).await;
    world
        .chain
        .sluice
        .run_beside("set web canary=30 -n b")
        .await
        .good();
    mover(world).await;
    let everywhere = "
apiVersion: rbac.authorization.k8s.io/v1
kind: ClusterRole
metadata: {name: plugin-viewer}
rules: [{apiGroups: [extensions.istio.io], resources: [wasmplugins, trafficextensions], verbs: [get, list]}]
---
apiVersion: rbac.authorization.k8s.io/v1
kind: ClusterRoleBinding
metadata: {name: plugin-viewer}
roleRef: {apiGroup: rbac.authorization.k8s.io, kind: ClusterRole, name: plugin-viewer}
subjects: [{kind: ServiceAccount, name: mover, namespace: a}]
";
    world.chain.kubernetes.apply(everywhere).await;
    let mover = world
        .chain
        .sluice
        .with_kubeconfig(&world.chain.kubeconfig("a", "mover").await);
    let said = mover.run_beside("abort --all -A").await.ended_with(1);
    assert!(
        said.out
            .contains("WasmPlugin a/sluice:\nweb everyone canary: 10 -> 0"),
        "{said:?}"
    );
    assert!(
        said.err.contains("WasmPlugin b/sluice: NOT ABORTED:") && said.err.contains("not allowed"),
        "{said:?}"
    );
    assert_eq!(world.weight("a", "/web/everyone/canary").await, Some(0.0));
    assert_eq!(world.weight("b", "/web/everyone/canary").await, Some(30.0));
    let found = world
        .chain
        .kubernetes
        .get("WasmPlugin", "a", "sluice")
        .await
        .unwrap();
    let noted = found
        .metadata
        .annotations
        .unwrap()
        .remove("change.sluice.dev/web")
        .unwrap();
    assert!(
        noted.contains("abort --all") && noted.contains("system:serviceaccount:a:mover"),
        "{noted}"
    );
    let delete = "delete clusterrole,clusterrolebinding plugin-viewer";
    world.chain.kubectl.run_beside(delete).await.good();
}

pub async fn a_pod_uses_its_own_account(world: &mut World) {
    world.fresh_plugin(10).await;
    mover(world).await;
    let token = world
        .chain
        .kubernetes
        .token("a", "mover", "https://kubernetes.default.svc.cluster.local")
        .await;
    let secrets = Path::new("/var/run/secrets/kubernetes.io/serviceaccount");
    // In this test's own mount namespace.
    let mounted = std::process::Command::new("mount")
        .args(["-t", "tmpfs", "tmpfs", "/var/run"])
        .status()
        .unwrap();
    assert!(mounted.success());
    std::fs::create_dir_all(secrets).unwrap();
    std::fs::write(secrets.join("token"), token).unwrap();
    std::fs::write(secrets.join("namespace"), "a").unwrap();
    std::fs::copy(
        world.chain.folder().join("api-certificates/apiserver.crt"),
        secrets.join("ca.crt"),
    )
    .unwrap();
    let mut command = world.chain.sluice.command("set web canary=12");
    command
        .env("KUBECONFIG", "/nonexistent")
        .env("KUBERNETES_SERVICE_HOST", "127.0.0.1");
    let said = command
        .env("KUBERNETES_SERVICE_PORT", "6443")
        .output()
        .unwrap();
    std::process::Command::new("umount")
        .arg("/var/run")
        .status()
        .unwrap();
    assert!(said.status.success(), "{said:?}");
    assert_eq!(world.weight("a", "/web/everyone/canary").await, Some(12.0));
}

pub async fn an_account_for_weights_may_change_nothing_else(world: &mut World) {
    world.fresh_plugin(10).await;
    let kubeconfig = {
        mover(world).await;
        world.chain.kubeconfig("a", "mover").await
    };
    let kubectl = world.chain.kubectl.with_kubeconfig(&kubeconfig);
    let denied = [
        (
            "the module",
            json!({"spec": {"url": "oci://evil.example.com/x:1"}}),
            "spec was",
        ),
        (
            "the digest, by removing it",
            json!({"spec": {"sha256": null}}),
            "spec was",
        ),
        (
            "the selector",
            json!({"spec": {"selector": null}}),
            "spec was",
        ),
        (
            "the splits",
            json!({"spec": {"pluginConfig": {"splits": {"web": {"salt": "x"}}}}}),
            "another part of the configuration was",
        ),
        (
            "the cookie",
            json!({"spec": {"pluginConfig": {"cookie": {"name": "x"}}}}),
            "another part of the configuration was",
        ),
        (
            "a label",
            json!({"metadata": {"labels": {"x": "y"}}}),
            "labels, owners or finalizers were",
        ),
        (
            "a finalizer",
            json!({"metadata": {"finalizers": ["x.example.com/y"]}}),
            "labels, owners or finalizers were",
        ),
        (
            "another annotation",
            json!({"metadata": {"annotations": {"x": "y"}}}),
            "another annotation was",
        ),
    ];
    // The policy takes effect some moments after it was written.
    let first = denied[0].1.to_string();
    let patch = async |patch: &str| {
        kubectl
            .run_beside(&format!(
                "patch wasmplugin sluice -n a --type merge --dry-run=server -p '{patch}'"
            ))
            .await
    };
    for _ in 0..100 {
        if patch(&first).await.code != 0 {
            break;
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    for (label, change, reason) in denied {
        let said = patch(&change.to_string()).await;
        assert!(
            said.code == 1 && said.err.contains(reason),
            "{label}: {said:?}"
        );
    }
    let weight =
        json!({"spec": {"pluginConfig": {"weights": {"web": {"everyone": {"canary": 3}}}}}});
    patch(&weight.to_string()).await.good();
    // The same of the other kind, whose module lies deeper. It selects nobody.
    let extension = "
apiVersion: extensions.istio.io/v1alpha1
kind: TrafficExtension
metadata: {name: other, namespace: a}
spec:
  selector: {matchLabels: {app: nobody}}
  wasm: {url: 'oci://r/sluice:1', pluginConfig: {splits: {web: {}}}}
";
    world.chain.kubernetes.apply(extension).await;
    for (change, expected) in [
        (
            json!({"spec": {"wasm": {"url": "oci://evil.example.com/x:1"}}}),
            Some("spec was"),
        ),
        (
            json!({"spec": {"wasm": {"pluginConfig": {"splits": {"x": {}}}}}}),
            Some("another part of the configuration was"),
        ),
        (
            json!({"spec": {"wasm": {"pluginConfig": {"weights": {"web": {"everyone": {"canary": 3}}}}}}}),
            None,
        ),
    ] {
        let arguments = format!(
            "patch trafficextension other -n a --type merge --dry-run=server -p '{change}'"
        );
        let said = kubectl.run_beside(&arguments).await;
        assert_eq!(said.code == 0, expected.is_none(), "{said:?}");
        assert!(
            expected.is_none_or(|expected| said.err.contains(expected)),
            "{said:?}"
        );
    }
    world
        .chain
        .kubernetes
        .delete("TrafficExtension", "a", "other")
        .await;
    kubectl
        .run_beside("delete wasmplugin sluice -n a --dry-run=server")
        .await
        .ended_with(1);
    // Who may create plugins may change them too.
    let admin = &world.chain.kubectl;
    admin
        .run_beside("patch wasmplugin sluice -n a --type merge -p '{\"metadata\":{\"labels\":{\"x\":\"y\"}}}'")
        .await
        .good();
}

pub async fn without_the_right_to_remember_a_change_is_made_and_said(world: &mut World) {
    world.fresh_plugin(10).await;
    let role = "
apiVersion: rbac.authorization.k8s.io/v1
kind: Role
metadata: {name: forgetful, namespace: a}
rules: [{apiGroups: [extensions.istio.io], resources: [wasmplugins], verbs: [get, list, patch]}]
";
    world.chain.kubernetes.apply(role).await;
    world
        .chain
        .kubernetes
        .apply(&account("forgetful", "forgetful"))
        .await;
    let sluice = world
        .chain
        .sluice
        .with_kubeconfig(&world.chain.kubeconfig("a", "forgetful").await);
    let said = sluice.run_beside("set web canary=11 -n a").await.good();
    assert!(
        said.err
            .contains("the change was made, but `sluice history` will not have it"),
        "{said:?}"
    );
    assert_eq!(world.weight("a", "/web/everyone/canary").await, Some(11.0));
}

pub async fn applying_git_again_loses_no_weight(world: &mut World) {
    world.fresh_plugin(10).await;
    let file = world.chain.folder().join("base.yaml");
    std::fs::write(&file, world.plugin("a")).unwrap();
    for percent in [20, 30] {
        world.set("web", percent).await;
        world.chain.kubernetes.apply(&world.plugin("a")).await;
        assert_eq!(
            world.weight("a", "/web/everyone/canary").await,
            Some(f64::from(percent)),
            "server-side"
        );
        world.set("web", percent + 1).await;
        world
            .chain
            .kubectl
            .run_beside(&format!("apply -f {}", file.display()))
            .await
            .good();
        assert_eq!(
            world.weight("a", "/web/everyone/canary").await,
            Some(f64::from(percent + 1)),
            "client-side"
        );
    }
    // Git may change its own half meanwhile.
    std::fs::write(&file, world.plugin("a").replace("checkout.a", "cashier.a")).unwrap();
    world
        .chain
        .kubectl
        .run_beside(&format!("apply -f {}", file.display()))
        .await
        .good();
    world.set("web", 40).await;
    let found = world
        .chain
        .kubernetes
        .get("WasmPlugin", "a", "sluice")
        .await
        .unwrap();
    assert_eq!(
        found.data["spec"]["pluginConfig"]["splits"]["checkout"]["services"],
        json!(["cashier.a"])
    );
}

pub async fn a_conflict_names_the_other_manager_and_what_force_does(world: &mut World) {
    world.fresh_plugin(10).await;
    let weight =
        json!({"spec": {"pluginConfig": {"weights": {"web": {"everyone": {"canary": 3}}}}}});
    let patch =
        format!("patch wasmplugin sluice -n a --type merge --field-manager alice -p '{weight}'");
    world.chain.kubectl.run_beside(&patch).await.good();
    let said = world
        .chain
        .sluice
        .run_beside("set web canary=50 -n a")
        .await
        .ended_with(2);
    for part in [
        "spec.pluginConfig.weights.web.everyone.canary was set by field manager \"alice\"",
        "nothing was changed",
        "--force would set it all the same (everyone/canary 3 -> 50)",
    ] {
        assert!(said.err.contains(part), "{part}: {said:?}");
    }
    assert_eq!(world.weight("a", "/web/everyone/canary").await, Some(3.0));
    world
        .chain
        .sluice
        .run_beside("set web canary=50 -n a --force")
        .await
        .good();
    assert_eq!(world.weight("a", "/web/everyone/canary").await, Some(50.0));
    let history = world
        .chain
        .sluice
        .run_beside("history -n a")
        .await
        .good()
        .out;
    assert!(history.contains("(changed without sluice)"), "{history}");
    // An abort asks nobody.
    world.chain.kubectl.run_beside(&patch).await.good();
    world.chain.sluice.run_beside("abort --all -A").await.good();
    assert_eq!(world.weight("a", "/web/everyone/canary").await, Some(0.0));
    let zeros = ["/web/staff/canary", "/checkout/everyone/canary"];
    for path in zeros {
        assert_eq!(
            world.weight("a", path).await,
            Some(0.0),
            "{path}: zeros are explicit"
        );
    }
}

pub async fn a_rollback_over_several_splits_is_whole_or_not_at_all(world: &mut World) {
    world.fresh_plugin(10).await;
    world.set("checkout", 20).await;
    world.set("web", 30).await;
    let history = world
        .chain
        .sluice
        .run_beside("history -n a -o json")
        .await
        .good()
        .out;
    let history: Vec<serde_json::Value> = serde_json::from_str(&history).unwrap();
    let first = history[0]["revision"].as_u64().unwrap();
    // web's weight belongs to somebody else now: checkout comes first, and must not be changed either.
    let weight =
        json!({"spec": {"pluginConfig": {"weights": {"web": {"everyone": {"canary": 31}}}}}});
    let patch =
        format!("patch wasmplugin sluice -n a --type merge --field-manager alice -p '{weight}'");
    world.chain.kubectl.run_beside(&patch).await.good();
    let said = world
        .chain
        .sluice
        .run_beside(&format!("rollback --to {first} -n a"))
        .await
        .ended_with(2);
    assert!(said.err.contains("nothing was changed"), "{said:?}");
    assert_eq!(
        world.weight("a", "/checkout/everyone/canary").await,
        Some(20.0)
    );
    world
        .chain
        .sluice
        .run_beside(&format!("rollback --to {first} -n a --force"))
        .await
        .good();
    assert_eq!(
        world.weight("a", "/checkout/everyone/canary").await,
        Some(0.0)
    );
    assert_eq!(world.weight("a", "/web/everyone/canary").await, Some(10.0));
}

pub async fn the_manifests_are_accepted_by_the_real_api_server(world: &mut World) {
    for environment in ["qa", "stage", "prod"] {
        let namespace =
            format!("{{apiVersion: v1, kind: Namespace, metadata: {{name: {environment}}}}}");
        world.chain.kubernetes.apply(&namespace).await;
        let overlay = checkout("wasmplugin/overlays").join(environment);
        let apply = format!("apply --server-side -k {}", overlay.display());
        world.chain.kubectl.run_beside(&apply).await.good();
    }
    let sluice = &world.chain.sluice;
    sluice
        .run_beside("set web canary=5 -n qa --reason 'works in qa'")
        .await
        .good();
    sluice
        .run_beside("set web canary=50 --audience staff -n qa")
        .await
        .good();
    let promoted = sluice
        .run_beside("promote web --from qa --to stage@e2e")
        .await
        .good();
    assert!(
        promoted.out.contains("web everyone canary: 0 -> 5"),
        "{promoted:?}"
    );
    assert_eq!(world.weight("stage", "/web/staff/canary").await, Some(50.0));
    let missing = sluice
        .run_beside("promote wep --from qa --to stage")
        .await
        .ended_with(2);
    assert!(missing.err.contains("did you mean \"web\"?"), "{missing:?}");
    let everywhere = sluice.run_beside("get web -A").await.good().out;
    assert!(
        everywhere.contains("WasmPlugin qa/sluice")
            && everywhere.contains("WasmPlugin prod/sluice"),
        "{everywhere}"
    );
    let differs = sluice.run_beside("status -A").await;
    assert!(
        differs
            .out
            .contains("split web differs: everyone/canary is"),
        "{differs:?}"
    );
    let again = sluice.run_beside("set web canary=6 -A").await;
    assert!(
        again
            .out
            .contains("WasmPlugin stage/sluice:\nweb everyone canary: 5 -> 6"),
        "{again:?}"
    );
    for environment in ["qa", "stage", "prod"] {
        world
            .chain
            .kubernetes
            .delete("WasmPlugin", environment, "sluice")
            .await;
    }
}
