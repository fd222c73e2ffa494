//! Pods with a sidecar of their own: what the kubelet starts for them is a member of the mesh, with
//! the identity of the pod's account.

use std::net::SocketAddr;

use serde_json::{Value, json};
use sluice_e2e::client::{Connection, get};
use sluice_e2e::wait::until;
use sluice_e2e_istio::controllers::Controllers;
use sluice_e2e_istio::kubelet::Kubelet;
use sluice_e2e_istio::kubelet::sidecar::{Sidecars, sidecars};

use crate::world::World;

const API: &str = "api:8080";

/// Only `friend` may call `api`, and only by mutual TLS.
const POLICIES: &str = "
apiVersion: v1
kind: Service
metadata: {name: api, namespace: shop}
spec: {selector: {app: api}, ports: [{name: http, port: 8080}]}
---
apiVersion: security.istio.io/v1
kind: PeerAuthentication
metadata: {name: strict, namespace: shop}
spec: {mtls: {mode: STRICT}}
---
apiVersion: security.istio.io/v1
kind: AuthorizationPolicy
metadata: {name: api, namespace: shop}
spec:
  selector: {matchLabels: {app: api}}
  rules:
  - from: [{source: {principals: [cluster.local/ns/shop/sa/friend]}}]
";

/// A Deployment whose pods ask for a sidecar, and the account that they have.
fn deployment(name: &str) -> [Value; 2] {
    let labels = json!({"app": name});
    let container = json!({
        "name": "app", "image": "app:v1", "ports": [{"name": "http", "containerPort": 8080}],
    });
    let template = json!({
        "metadata": {"labels": {"app": name, "sidecar.istio.io/inject": "true"}},
        "spec": {"serviceAccountName": name, "containers": [container]},
    });
    let account = json!({
        "apiVersion": "v1", "kind": "ServiceAccount",
        "metadata": {"name": name, "namespace": "shop"},
    });
    let deployment = json!({
        "apiVersion": "apps/v1", "kind": "Deployment",
        "metadata": {"name": name, "namespace": "shop"},
        "spec": {"selector": {"matchLabels": labels}, "template": template},
    });
    [account, deployment]
}

/// Where the sidecar of a Deployment's only pod takes what the pod calls.
async fn sidecar_of(world: &World, name: &str) -> SocketAddr {
    let folder = sidecars(world.chain.folder()).join("shop");
    until(&format!("the sidecar of {name}"), async || {
        let files = std::fs::read_dir(&folder).map_err(|error| error.to_string())?;
        let mut names = files.map(|file| file.unwrap().path());
        let file = names.find(|file| {
            let pod = file.file_name().unwrap().to_string_lossy();
            pod.starts_with(&format!("{name}-"))
        });
        let text = std::fs::read_to_string(file.ok_or("none")?).map_err(|e| e.to_string())?;
        text.trim().parse().map_err(|_| text)
    })
    .await
}

/// The status and the version of one answer; 0 and nothing when the connection ends without one.
async fn answer(address: SocketAddr, host: &str) -> (u16, String) {
    let Ok(mut connection) = Connection::open(address).await else {
        return (0, String::new());
    };
    let answer = connection.send(&get("/", host, &[])).await;
    let answer = answer.unwrap_or_default();
    (answer.status, answer.variant())
}

async fn wait_for(what: &str, address: SocketAddr, expected: (u16, &str)) {
    until(what, async || {
        let (status, version) = answer(address, API).await;
        let is_so = (status, version.as_str()) == expected;
        is_so.then_some(()).ok_or(format!("{status} {version:?}"))
    })
    .await;
}

pub async fn a_pods_sidecar_has_its_accounts_identity_and_takes_mutual_tls_alone(
    world: &mut World,
) {
    let _controllers = Controllers::start(&world.chain.tools, world.chain.folder());
    let kubernetes = &world.chain.kubernetes;
    let _kubelet = Kubelet::start_with_sidecars(kubernetes, Sidecars::of(&world.chain)).await;
    kubernetes.apply(POLICIES).await;
    for document in ["api", "friend", "stranger"]
        .iter()
        .flat_map(|name| deployment(name))
    {
        kubernetes.apply(&document.to_string()).await;
    }
    let [friend, stranger] = ["friend", "stranger"].map(|name| sidecar_of(world, name));
    let (friend, stranger) = tokio::join!(friend, stranger);
    sidecar_of(world, "api").await;
    wait_for("the friend's answer", friend, (200, "v1")).await;
    wait_for("the stranger's refusal", stranger, (403, "")).await;

    // Whoever comes to the pod's own port without a certificate has no answer at all.
    let pods = world.kubectl("get pod -n shop -l app=api -o jsonpath={.items[0].status.podIP}");
    let address = format!("{}:8080", pods.await.good().out).parse().unwrap();
    assert_eq!(answer(address, API).await, (0, String::new()));
}
