//! Who may do what, where: accounts of a namespace, by the role and the admission policy that we
//! ship.

use std::path::{Path, PathBuf};

use serde_json::{Value, json};
use sluice_e2e::wait::until;
use sluice_e2e_istio::api_server::{ISSUER, URL};
use sluice_e2e_istio::command::Tool;
use sluice_e2e_istio::kubernetes::{Kubernetes, documents};

use crate::world::World;

/// A folder of the checkout.
pub fn checkout(relative: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("../..")
        .join(relative)
        .canonicalize()
        .unwrap()
}

/// A file of what one applies to a cluster.
pub fn manifest(name: &str) -> String {
    std::fs::read_to_string(checkout("wasmplugin/base").join(name)).unwrap()
}

/// Makes an account of namespace a with a role, and waits until the API server knows what it may
/// do.
async fn account(world: &World, name: &str, role: &str) -> PathBuf {
    let account = format!(
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
    );
    world.chain.kubernetes.apply(&account).await;
    let kubeconfig = world.chain.kubeconfig("a", name).await;
    wait_until_allowed(&world.chain.sluice.with_kubeconfig(&kubeconfig), "a").await;
    kubeconfig
}

/// Waits until an account may read the plugins of a namespace.
async fn wait_until_allowed(sluice: &Tool, namespace: &str) {
    until("the account to have its rights", async || {
        let said = sluice.run_beside(&format!("get -n {namespace}")).await;
        if said.code == 0 {
            Ok(())
        } else {
            Err(said.err)
        }
    })
    .await;
}

/// An account of namespace a that may only move weights, by the Role and the policy that we ship:
/// its kubeconfig. The plugin in a must be there.
pub async fn mover_kubeconfig(world: &World) -> PathBuf {
    let mut role = documents(&manifest("rbac.yaml")).remove(0);
    role["metadata"]["namespace"] = json!("a");
    world.chain.kubernetes.apply(&role.to_string()).await;
    world.chain.kubernetes.apply(&manifest("policy.yaml")).await;
    world
        .chain
        .kubernetes
        .apply(&manifest("history.yaml"))
        .await;
    let kubeconfig = account(world, "mover", "sluice-weights").await;
    let kubectl = world.chain.kubectl.with_kubeconfig(&kubeconfig);
    // A policy takes effect some moments after it was written.
    let label = json!({"metadata": {"labels": {"x": "y"}}});
    let refused = [dry_patch("wasmplugin sluice", &label), dry_revision(world)];
    for change in refused {
        until("the policies to be in force", async || {
            match kubectl.run_beside(&change).await {
                said if said.err.contains("ValidatingAdmissionPolicy") => Ok(()),
                said => Err(format!("{said:?}")),
            }
        })
        .await;
    }
    kubeconfig
}

/// Another account of namespace a with the same rights.
pub async fn second_mover(world: &World) -> Tool {
    let kubeconfig = account(world, "second", "sluice-weights").await;
    world.chain.sluice.with_kubeconfig(&kubeconfig)
}

async fn mover(world: &World) -> Tool {
    let kubeconfig = mover_kubeconfig(world).await;
    world.chain.sluice.with_kubeconfig(&kubeconfig)
}

/// kubectl's arguments that try to make a ControllerRevision in a which is not ours, and make none.
fn dry_revision(world: &World) -> String {
    let file = world.chain.folder().join("revision.json");
    let revision = json!({
        "apiVersion": "apps/v1", "kind": "ControllerRevision", "metadata": {"name": "x", "namespace": "a"},
        "revision": 1, "data": {},
    });
    std::fs::write(&file, revision.to_string()).unwrap();
    format!("create --dry-run=server -f {}", file.display())
}

/// A client with the rights of the mover.
pub async fn mover_client(world: &World) -> Kubernetes {
    mover_kubeconfig(world).await;
    let token = world.chain.kubernetes.token("a", "mover", ISSUER).await;
    Kubernetes::new(URL, &token)
}

/// kubectl's arguments that try a change of a plugin in a and make none.
fn dry_patch(plugin: &str, patch: &Value) -> String {
    format!("patch {plugin} -n a --type merge --dry-run=server -p '{patch}'")
}

pub async fn an_account_may_move_the_weights_of_its_namespace_only(world: &mut World) {
    world.fresh_plugin("a", 10).await;
    world.fresh_plugin("b", 30).await;
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

/// Lets the mover read the plugins of every namespace.
const PLUGIN_VIEWER: &str = "
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

pub async fn an_abort_of_everything_goes_on_where_it_may_not(world: &mut World) {
    world.fresh_plugin("a", 10).await;
    world.fresh_plugin("b", 30).await;
    let mover = mover(world).await;
    world.chain.kubernetes.apply(PLUGIN_VIEWER).await;
    wait_until_allowed(&mover, "b").await;
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
    let kubernetes = &world.chain.kubernetes;
    let plugin = kubernetes.get("WasmPlugin", "a", "sluice").await.unwrap();
    let noted = &plugin.metadata.annotations.unwrap()["sluice.dev/change"];
    assert!(
        noted.contains("abort --all") && noted.contains("system:serviceaccount:a:mover"),
        "{noted}"
    );
}

/// Runs its arguments with a folder's files as a pod's account, in a mount namespace of their own.
const IN_A_POD: &str = "mount -t tmpfs tmpfs /var/run && mkdir -p /var/run/secrets/kubernetes.io && \
    cp -r \"$0\" /var/run/secrets/kubernetes.io/serviceaccount && exec \"$@\"";

pub async fn a_pod_uses_its_own_account(world: &mut World) {
    world.fresh_plugin("a", 10).await;
    mover(world).await;
    let token = world.chain.kubernetes.token("a", "mover", ISSUER).await;
    let folder = world.chain.folder().join("pod-account");
    std::fs::create_dir_all(&folder).unwrap();
    std::fs::write(folder.join("token"), token).unwrap();
    std::fs::write(folder.join("namespace"), "a").unwrap();
    let certificate = world.chain.folder().join("api-certificates/apiserver.crt");
    std::fs::copy(certificate, folder.join("ca.crt")).unwrap();
    let said = std::process::Command::new("unshare")
        .args(["--mount", "sh", "-c", IN_A_POD])
        .arg(&folder)
        .arg(&world.chain.tools.sluice)
        .args(["set", "web", "canary=12"])
        .env("KUBECONFIG", "/nonexistent")
        .env("KUBERNETES_SERVICE_HOST", "127.0.0.1")
        .env("KUBERNETES_SERVICE_PORT", "6443")
        .env_remove("SLUICE_DIR")
        .current_dir(world.chain.folder())
        .output()
        .unwrap();
    assert!(said.status.success(), "{said:?}");
    assert_eq!(world.weight("a", "/web/everyone/canary").await, Some(12.0));
}

/// Asserts what the API server says to changes of a plugin: the policy's reason, or that nothing is
/// against it.
async fn assert_answers(kubectl: &Tool, plugin: &str, changes: &[(&str, Value, Option<&str>)]) {
    for (label, change, refused_because) in changes {
        let said = kubectl.run_beside(&dry_patch(plugin, change)).await;
        match refused_because {
            None => assert_eq!(said.code, 0, "{label}: {said:?}"),
            Some(reason) => assert!(
                said.code == 1 && said.err.contains(reason),
                "{label}: {said:?}"
            ),
        }
    }
}

const SPEC: Option<&str> = Some("spec was");
const CONFIGURATION: Option<&str> = Some("another part of the configuration was");
const LABELS: Option<&str> = Some("annotations may be changed; labels were");
const FINALIZERS: Option<&str> = Some("annotations may be changed; finalizers were");
const ANNOTATION: Option<&str> = Some("another annotation was");

/// A plugin configuration's weights with one for web's canary.
fn weight() -> Value {
    json!({"weights": {"web": {"everyone": {"canary": 3}}}})
}

pub async fn an_account_for_weights_may_change_nothing_else_of_a_wasm_plugin(world: &mut World) {
    world.fresh_plugin("a", 10).await;
    let kubeconfig = mover_kubeconfig(world).await;
    let kubectl = world.chain.kubectl.with_kubeconfig(&kubeconfig);
    let spec = |spec: Value| json!({"spec": spec});
    let config = |config: Value| json!({"spec": {"pluginConfig": config}});
    let metadata = |metadata: Value| json!({"metadata": metadata});
    let elsewhere = json!({"url": "oci://evil.example.com/x:1"});
    let salt = json!({"splits": {"web": {"salt": "x"}}});
    let changes = [
        ("the module", spec(elsewhere), SPEC),
        ("removed digest", spec(json!({"sha256": null})), SPEC),
        ("the selector", spec(json!({"selector": null})), SPEC),
        ("the splits", config(salt), CONFIGURATION),
        (
            "the cookie",
            config(json!({"cookie": {"name": "x"}})),
            CONFIGURATION,
        ),
        ("a label", metadata(json!({"labels": {"x": "y"}})), LABELS),
        (
            "a finalizer",
            metadata(json!({"finalizers": ["x.example.com/y"]})),
            FINALIZERS,
        ),
        (
            "another annotation",
            metadata(json!({"annotations": {"x": "y"}})),
            ANNOTATION,
        ),
        ("a weight", config(weight()), None),
    ];
    assert_answers(&kubectl, "wasmplugin sluice", &changes).await;
    kubectl
        .run_beside("delete wasmplugin sluice -n a --dry-run=server")
        .await
        .ended_with(1);
    // Who may create plugins may change them too.
    let label =
        "patch wasmplugin sluice -n a --type merge -p '{\"metadata\":{\"labels\":{\"x\":\"y\"}}}'";
    world.kubectl(label).await.good();
}

/// The other kind of plugin, whose module lies deeper. It selects nobody.
const EXTENSION: &str = "
apiVersion: extensions.istio.io/v1alpha1
kind: TrafficExtension
metadata: {name: other, namespace: a}
spec:
  selector: {matchLabels: {app: nobody}}
  wasm: {url: 'oci://r/sluice:1', pluginConfig: {splits: {web: {}}}}
";

pub async fn an_account_for_weights_may_change_nothing_else_of_a_traffic_extension(
    world: &mut World,
) {
    world.fresh_plugin("a", 10).await;
    let kubeconfig = mover_kubeconfig(world).await;
    let kubectl = world.chain.kubectl.with_kubeconfig(&kubeconfig);
    world.chain.kubernetes.apply(EXTENSION).await;
    let wasm = |wasm: Value| json!({"spec": {"wasm": wasm}});
    let changes = [
        (
            "the module",
            wasm(json!({"url": "oci://evil.example.com/x:1"})),
            SPEC,
        ),
        (
            "the splits",
            wasm(json!({"pluginConfig": {"splits": {"x": {}}}})),
            CONFIGURATION,
        ),
        ("a weight", wasm(json!({"pluginConfig": weight()})), None),
    ];
    assert_answers(&kubectl, "trafficextension other", &changes).await;
}

pub async fn without_the_right_to_remember_a_change_is_made_and_said(world: &mut World) {
    world.fresh_plugin("a", 10).await;
    let role = "
apiVersion: rbac.authorization.k8s.io/v1
kind: Role
metadata: {name: forgetful, namespace: a}
rules: [{apiGroups: [extensions.istio.io], resources: [wasmplugins], verbs: [get, list, patch]}]
";
    world.chain.kubernetes.apply(role).await;
    let kubeconfig = account(world, "forgetful", "forgetful").await;
    let sluice = world.chain.sluice.with_kubeconfig(&kubeconfig);
    let said = sluice.run_beside("set web canary=11 -n a").await.good();
    assert!(
        said.err
            .contains("the change was made, but `sluice history` will not have it"),
        "{said:?}"
    );
    assert_eq!(world.weight("a", "/web/everyone/canary").await, Some(11.0));
}
