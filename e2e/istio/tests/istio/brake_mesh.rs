//! A controller in the mesh: behind a sidecar that takes mutual TLS alone, and with the policies
//! that are shipped. What a NetworkPolicy does, the network would show; none here knows them.

use std::net::SocketAddr;

use serde_json::json;
use sluice_e2e::client::{Answer, Connection};
use sluice_e2e::wait::until;
use sluice_e2e_istio::kubernetes::documents;
use sluice_e2e_istio::proxy::{BEHIND, Proxy, Role};

use crate::access::checkout;
use crate::brake::{connected, wait_for_brakes};
use crate::rollouts::controller::start_as;
use crate::world::World;

/// Where proxies ask, as it is shipped.
const PORT: u16 = 8085;

/// Strict for whoever calls the controller. The mesh of these tests does not find out by itself who
/// takes mutual TLS (`enableAutoMtls`).
const MUTUAL_TLS: &str = "
apiVersion: security.istio.io/v1
kind: PeerAuthentication
metadata: {name: sluice-controller, namespace: a}
spec: {selector: {matchLabels: {app: sluice-controller}}, mtls: {mode: STRICT}}
---
apiVersion: networking.istio.io/v1
kind: DestinationRule
metadata: {name: sluice-controller, namespace: a}
spec: {host: sluice-controller.a.svc.cluster.local, trafficPolicy: {tls: {mode: ISTIO_MUTUAL}}}
";

/// Applies what is shipped for the proxies that ask, and has the callers know the service.
async fn apply_shipped(world: &World) {
    let kubernetes = &world.chain.kubernetes;
    let shipped = std::fs::read_to_string(checkout("wasmplugin/controller/brake.yaml")).unwrap();
    for mut document in documents(&shipped) {
        document["metadata"]["namespace"] = json!("a");
        kubernetes.apply(&document.to_string()).await;
    }
    kubernetes.apply(MUTUAL_TLS).await;
    for caller in &world.callers {
        caller.import(kubernetes, &[8080, PORT]).await;
    }
}

/// A request with a question of a plugin that nobody has; `None` where the connection is closed.
async fn ask(address: SocketAddr, method: &str, path: &str) -> Option<Answer> {
    let plugin = "a.another~istio-translated-wasmplugin";
    let body = json!({"plugin": plugin, "node": "test", "wait": 0}).to_string();
    let request = format!(
        "{method} {path} HTTP/1.1\r\nhost: sluice-controller.a.svc.cluster.local:{PORT}\r\n\
         content-type: application/json\r\ncontent-length: {}\r\n\r\n{body}",
        body.len()
    );
    let mut connection = Connection::open(address).await.ok()?;
    connection.send(request.as_bytes()).await
}

pub async fn the_shipped_policy_lets_proxies_ask_by_mutual_tls_and_do_nothing_else(
    world: &mut World,
) {
    apply_shipped(world).await;
    let sidecar = Proxy::start(&world.chain, Role::Controller, "a", 61).await;
    let arguments = format!("controller -n a --brake-listen {BEHIND}");
    let controller = start_as(world, &world.chain.sluice, "in-the-mesh", &arguments);
    let through_caller = SocketAddr::from((world.callers[0].address.ip(), PORT));
    until("a caller to be let ask", async || {
        let answer = ask(through_caller, "POST", "/v1/brakes").await;
        let answer = answer.ok_or("no answer")?;
        match answer.status {
            200 => Ok(()),
            status => Err(format!("{status}: {}", controller.log())),
        }
    })
    .await;
    for (method, path) in [
        ("GET", "/v1/brakes"),
        ("PUT", "/v1/brakes"),
        ("POST", "/v1/brakes/all"),
        ("POST", "/v1/pull"),
        ("GET", "/metrics"),
        ("POST", "/"),
    ] {
        // Until the policy has reached the sidecar, everything is let through.
        until(&format!("{method} {path} to be denied"), async || {
            let answer = ask(through_caller, method, path).await;
            let answer = answer.ok_or("no answer")?;
            let body = String::from_utf8_lossy(&answer.body).into_owned();
            match (answer.status, &*body) {
                (403, "RBAC: access denied") => Ok(()),
                (status, _) => Err(format!("{status}: {body}")),
            }
        })
        .await;
    }
    let plain = ask(sidecar.address, "POST", "/v1/brakes").await;
    assert!(plain.is_none(), "without mutual TLS: {plain:?}");

    world.fresh_plugin("a", 25).await;
    let brake = json!({"service": "sluice-controller.a", "port": PORT});
    let change = json!({"spec": {"pluginConfig": {"brake": brake}}});
    let kubernetes = &world.chain.kubernetes;
    let merged = kubernetes.merge("WasmPlugin", "a", "sluice", &change).await;
    merged.unwrap();
    connected(world).await;
    world.chain.stop_istiod();
    let said = world.sluice("abort web -n a").await.ended_with(0);
    assert!(said.err.contains("in force in 6 of 6 proxies"), "{said:?}");
    wait_for_brakes(world, 1).await;
    world.chain.restart_istiod(&[]).await;
    for caller in &world.callers {
        caller.import(&world.chain.kubernetes, &[8080]).await;
    }
    drop((controller, sidecar));
}
