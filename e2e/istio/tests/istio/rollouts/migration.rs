//! From an ingress to the mesh, user by user: one VirtualService of the gateway with two
//! destinations, the backend behind the old ingress and the service in the mesh, and the preset
//! that moves users from the one to the other.

use serde_json::{Value, json};
use sluice_e2e::wait::until;
use sluice_e2e_istio::load::Load;
use sluice_e2e_istio::prometheus;

use super::controller::{apply_in, message, start_as, wait_for_in};
use crate::users::{answer, variant};
use crate::world::{World, wait_for_revision};

const HOST: &str = "web.example";

/// The gateway; in b the backend of the old ingress, in a the service as the mesh has it.
pub const BOTH_PATHS: &str = "
apiVersion: networking.istio.io/v1
kind: Gateway
metadata: {name: gw, namespace: gw, annotations: {sluice.dev/tls: in-front}}
spec:
  selector: {app: ingress}
  servers:
  - {port: {number: 8080, name: http, protocol: HTTP}, bind: 127.0.3.1, hosts: ['*/web.example']}
---
apiVersion: v1
kind: Service
metadata: {name: ingress-backend, namespace: b}
spec: {clusterIP: 127.10.1.5, selector: {app: ingress-backend}, ports: [{name: http, port: 8080, targetPort: 8080}]}
---
apiVersion: networking.istio.io/v1
kind: WorkloadEntry
metadata: {name: ingress-backend, namespace: b}
spec: {address: 127.0.2.1, labels: {app: ingress-backend}}
---
apiVersion: v1
kind: Service
metadata: {name: shop-mesh, namespace: a}
spec: {clusterIP: 127.10.1.6, selector: {app: shop-mesh}, ports: [{name: http, port: 8080, targetPort: 8080}]}
---
apiVersion: networking.istio.io/v1
kind: WorkloadEntry
metadata: {name: shop-mesh, namespace: a}
spec: {address: 127.0.2.2, labels: {app: shop-mesh}}
";

const CONFIG: &str = "
responseMetrics: true
splits: {web: {hosts: [web.example], variants: [ingress, mesh], identity: [{cookie: uid}]}}
";

/// What `render` prints for the gateway, with one word changed: it takes every variant for a
/// service of one name and namespace, and the backend of the old ingress has another.
pub fn routes(world: &World, config: &str) -> String {
    let arguments =
        "--service shop.a --service-per-variant --port 8080 --gateway gw/gw --selector app=ingress";
    let rendered = world.render("web", config, arguments);
    let (rendered_host, host) = ("shop-ingress.a.svc.", "ingress-backend.b.svc.");
    assert_eq!(rendered.matches(rendered_host).count(), 1, "{rendered}");
    rendered.replace(rendered_host, host)
}

/// Which path a user is on: the backend of the ingress says `stable`, the mesh's `canary`.
async fn assert_split(world: &World, percent: u32) {
    let gateway = &world.gateway;
    until(
        &format!("the gateway to split at {percent} %"),
        async || {
            for user in 0..200 {
                let seen = answer(gateway, HOST, user).await;
                let expected = (200, variant(user, percent).to_owned());
                if seen != expected {
                    return Err(format!("user {user}: {seen:?} instead of {expected:?}"));
                }
            }
            Ok(())
        },
    )
    .await;
}

async fn wait(world: &World, what: &str, is_so: impl Fn(&Value) -> bool) -> Value {
    wait_for_in(world, "gw", "web", what, is_so).await
}

async fn weight(world: &World) -> Option<f64> {
    let plugin = world
        .chain
        .kubernetes
        .get("WasmPlugin", "gw", "sluice-gw")
        .await?;
    let weight = plugin
        .data
        .pointer("/spec/pluginConfig/weights/web/everyone/mesh");
    weight?.as_f64()
}

async fn start_paths(world: &World) {
    let kubernetes = &world.chain.kubernetes;
    // Both answer within one bucket of the histograms, whatever else the machine does.
    for variant in ["stable", "canary"] {
        world.delay(variant, 20);
    }
    kubernetes.apply(BOTH_PATHS).await;
    let file = world.chain.folder().join("migration.yaml");
    std::fs::write(&file, format!("{BOTH_PATHS}---\n{}", routes(world, CONFIG))).unwrap();
    let validate = format!("validate -f {}", file.display());
    let said = world.sluice(&validate).await.good();
    assert!(!said.out.contains("warning"), "{said:?}");
    kubernetes.apply(&routes(world, CONFIG)).await;
    let plugin = ("WasmPlugin", "gw", "sluice-gw");
    let wanted = world.wanted_revision_of(plugin.0, plugin.1, plugin.2).await;
    wait_for_revision(&world.gateway, "gw.sluice-gw", wanted).await;
    assert_split(world, 0).await;
}

pub async fn users_move_from_an_ingress_to_the_mesh_and_back_when_the_mesh_is_worse(
    world: &mut World,
) {
    start_paths(world).await;
    let sluice = &world.chain.sluice;
    let _controller = start_as(world, sluice, "migration", "controller -n gw");
    // The holds are the preset's, five minutes each: somebody skips what is left of them.
    let analysis = json!({
        "prometheus": {"address": prometheus::URL}, "interval": "2s", "window": "20s", "minRequests": 20,
    });
    let mut spec = json!({
        "split": "web", "version": "bad", "preset": "migration", "redraw": false, "analysis": analysis,
    });
    // Six connections: each waits for its answers.
    let load = Load::start(&[world.gateway.address; 6], HOST, 400, 180);
    world.fail("canary", 500);
    apply_in(world, "gw", "web", &spec).await;
    let failed = wait(world, "RolledBack", |status| {
        status["phase"] == "RolledBack"
    })
    .await;
    assert!(message(&failed).starts_with("errors: "), "{failed:#}");
    assert_eq!(failed["run"]["step"], 0, "{failed:#}");
    assert_eq!(weight(world).await, Some(0.0));
    world.fail("canary", 0);
    assert_split(world, 0).await;
    spec["version"] = json!("good");
    apply_in(world, "gw", "web", &spec).await;
    for (step, percent) in [5, 10, 25, 40, 50, 75, 90, 95, 100].into_iter().enumerate() {
        wait(world, &format!("step {} to be held", step + 1), |status| {
            let run = &status["run"];
            run["number"] == 2 && run["step"] == step && run["stage"] == "Holding"
        })
        .await;
        assert_eq!(weight(world).await, Some(f64::from(percent)));
        // Every user is on the path that their bucket says: who has moved stays there.
        assert_split(world, percent).await;
        world.sluice("rollout skip web -n gw").await.good();
    }
    wait(world, "Succeeded", |status| status["phase"] == "Succeeded").await;
    for seen in load.end().await {
        assert!([200, 500].contains(&seen.status), "{seen:?}");
    }
}
