//! Deployments in this Istio: Kubernetes' own controllers make their pods, a kubelet of ours has
//! them answer.

use std::collections::BTreeSet;
use std::time::Duration;

use serde_json::{Value, json};
use sluice_core::bucket::bucket;
use sluice_e2e::wait::until;
use sluice_e2e_istio::controllers::Controllers;
use sluice_e2e_istio::kubelet::Kubelet;
use sluice_e2e_istio::kubernetes::documents;
use sluice_e2e_istio::load::Load;

use crate::late::wait_for_convergence_with_refetch;
use crate::users::{answer, assert_no_failures};
use crate::world::World;

/// The host of the service that the Deployments of namespace a are behind.
pub const CHECKOUT: &str = "checkout.a.svc.cluster.local:8080";

/// The service's split.
const CONFIG: &str = "splits: {checkout: {services: [checkout.a], identity: [{cookie: uid}]}}";

/// What makes pods of Deployments, until it is dropped.
pub struct Workloads {
    pub kubelet: Kubelet,
    _controllers: Controllers,
}

/// Starts the controllers and the kubelet, and makes the service `checkout` in a, of every pod with
/// the label `app: checkout`.
pub async fn start(world: &World) -> Workloads {
    let controllers = Controllers::start(&world.chain.tools, world.chain.folder());
    let kubelet = Kubelet::start(&world.chain.kubernetes).await;
    let service = json!({
        "apiVersion": "v1", "kind": "Service",
        "metadata": {"name": "checkout", "namespace": "a"},
        "spec": {
            "clusterIP": "127.10.0.30", "selector": {"app": "checkout"},
            "ports": [{"name": "http", "port": 8080, "targetPort": 8080}],
        },
    });
    world.chain.kubernetes.apply(&service.to_string()).await;
    Workloads {
        kubelet,
        _controllers: controllers,
    }
}

/// A Deployment in a, as a team has it in Git: pods with the label `app: checkout` and, for Sluice,
/// `sluice.dev/variant`.
pub fn deployment(name: &str, image: &str, variant: &str, replicas: u32) -> Value {
    let labels = json!({"app": "checkout", "sluice.dev/variant": variant});
    let ports = json!([{"name": "http", "containerPort": 8080}]);
    let container = json!({"name": "app", "image": image, "ports": ports});
    let template = json!({"metadata": {"labels": labels}, "spec": {"containers": [container]}});
    json!({
        "apiVersion": "apps/v1", "kind": "Deployment",
        "metadata": {"name": name, "namespace": "a"},
        "spec": {"replicas": replicas, "selector": {"matchLabels": labels}, "template": template},
    })
}

/// Waits until a Deployment in a has so many pods, all of them ready and of its newest template.
pub async fn wait_for_ready(world: &World, name: &str, replicas: u64) {
    until(&format!("{name} to have {replicas} ready"), async || {
        let found = world.chain.kubernetes.get("Deployment", "a", name).await;
        let found = found.ok_or("no Deployment")?;
        let status = &found.data["status"];
        let number = |field: &str| status[field].as_u64().unwrap_or(0);
        let has_seen = number("observedGeneration") == found.metadata.generation.unwrap() as u64;
        let counts = ["replicas", "updatedReplicas", "readyReplicas"].map(number);
        (has_seen && counts == [replicas; 3])
            .then_some(())
            .ok_or(format!("{status:#}"))
    })
    .await;
}

/// The addresses of the service's EndpointSlices that are ready.
async fn endpoints(world: &World) -> BTreeSet<String> {
    let slices = world.chain.kubernetes.list("EndpointSlice", "a").await;
    let slices = slices.unwrap().into_iter().filter(|slice| {
        let labels = slice.metadata.labels.clone().unwrap_or_default();
        labels.get("kubernetes.io/service-name").map(String::as_str) == Some("checkout")
    });
    let endpoints = slices.flat_map(|slice| {
        let endpoints = slice.data["endpoints"].as_array().cloned();
        endpoints.unwrap_or_default()
    });
    let ready = endpoints.filter(|endpoint| endpoint["conditions"]["ready"] == true);
    let addresses = ready.map(|endpoint| endpoint["addresses"][0].as_str().unwrap().to_owned());
    addresses.collect()
}

/// Waits until every caller in a knows so many addresses of the service and no others, and gives
/// them.
async fn wait_for_endpoints(world: &World, number: usize) -> BTreeSet<String> {
    let wanted = until("the EndpointSlices", async || {
        let found = endpoints(world).await;
        (found.len() == number)
            .then(|| found.clone())
            .ok_or(format!("{found:?}"))
    })
    .await;
    for caller in &world.callers {
        caller
            .wait_for("the endpoints", async |caller| {
                let clusters = caller.admin("/clusters").await;
                let known: BTreeSet<String> = clusters.lines().filter_map(address).collect();
                (known == wanted).then_some(()).ok_or(format!("{known:?}"))
            })
            .await;
    }
    wanted
}

/// The address of a line of Envoy's `/clusters` that is of the service's.
fn address(line: &str) -> Option<String> {
    let rest = line.strip_prefix("outbound|8080||checkout.a.svc.cluster.local::")?;
    let (address, _) = rest.split_once(":8080::")?;
    Some(address.to_owned())
}

/// Which versions a caller is answered by, over as many requests as there could be pods.
async fn versions(world: &World) -> BTreeSet<(u16, String)> {
    let mut seen = BTreeSet::new();
    for _ in 0..20 {
        let answer = world.callers[0].get(CHECKOUT, &[]).await;
        seen.insert((answer.status, answer.variant()));
    }
    seen
}

pub async fn a_deployment_is_reached_rolled_over_and_taken_away(world: &mut World) {
    let workloads = start(world).await;
    let kubernetes = &world.chain.kubernetes;
    workloads.kubelet.stop_takes(Duration::from_secs(2));
    let of = |image: &str, replicas| deployment("checkout", image, "canary", replicas).to_string();

    kubernetes
        .apply(&of("registry.example/shop/ok:v1", 3))
        .await;
    wait_for_ready(world, "checkout", 3).await;
    let first = wait_for_endpoints(world, 3).await;
    assert_eq!(versions(world).await, [(200, "v1".to_owned())].into());

    // Pods that serve on for two seconds lose no request to a rolling update.
    let load = Load::start(&world.caller_addresses(), CHECKOUT, 100, 100);
    kubernetes
        .apply(&of("registry.example/shop/ok:v2", 3))
        .await;
    wait_for_ready(world, "checkout", 3).await;
    until("the last pod of v1 to be gone", async || {
        let running = workloads.kubelet.running();
        (running.len() == 3)
            .then_some(())
            .ok_or(format!("{running:?}"))
    })
    .await;
    let second = wait_for_endpoints(world, 3).await;
    assert_no_failures(&load.end().await);
    assert!(first.is_disjoint(&second), "{first:?} {second:?}");
    assert_eq!(versions(world).await, [(200, "v2".to_owned())].into());

    workloads.kubelet.fail("v2", 418);
    assert_eq!(versions(world).await, [(418, "v2".to_owned())].into());

    let none = json!({"spec": {"replicas": 0}});
    let scaled = kubernetes.merge("Deployment", "a", "checkout", &none).await;
    scaled.unwrap();
    wait_for_ready(world, "checkout", 0).await;
    wait_for_endpoints(world, 0).await;
    assert_eq!(versions(world).await, [(503, String::new())].into());
}

pub async fn pods_say_why_they_never_get_ready(world: &mut World) {
    let _workloads = start(world).await;
    let kubernetes = &world.chain.kubernetes;
    let rows = [
        ("bad-pull:v2", "ImagePullBackOff"),
        ("crash:v2", "CrashLoopBackOff"),
        ("unschedulable:v2", "Unschedulable"),
        ("never-ready:v2", "ContainersNotReady"),
    ];
    for (image, reason) in rows {
        let deployment = deployment("checkout", image, "canary", 1);
        kubernetes.apply(&deployment.to_string()).await;
        until(&format!("{image} to say {reason}"), async || {
            let said = said_by_pods_of(world, image).await;
            let is_said = said.contains(&format!("\"reason\":\"{reason}\""));
            is_said.then_some(()).ok_or(said)
        })
        .await;
        assert_eq!(endpoints(world).await, BTreeSet::new(), "{image}");
    }
}

/// The statuses of the pods in a that run an image.
async fn said_by_pods_of(world: &World, image: &str) -> String {
    let pods = world.chain.kubernetes.list("Pod", "a").await.unwrap();
    let of_image = pods
        .iter()
        .filter(|pod| pod.data["spec"]["containers"][0]["image"] == image);
    of_image.map(|pod| pod.data["status"].to_string()).collect()
}

pub async fn autoscalers_and_disruption_budgets_are_obeyed(world: &mut World) {
    let _workloads = start(world).await;
    let kubernetes = &world.chain.kubernetes;
    let deployment = deployment("checkout", "ok:v1", "canary", 1);
    kubernetes.apply(&deployment.to_string()).await;
    wait_for_ready(world, "checkout", 1).await;

    let target = json!({"apiVersion": "apps/v1", "kind": "Deployment", "name": "checkout"});
    let autoscaler = json!({
        "apiVersion": "autoscaling/v2", "kind": "HorizontalPodAutoscaler",
        "metadata": {"name": "checkout", "namespace": "a"},
        "spec": {"scaleTargetRef": target, "minReplicas": 3, "maxReplicas": 5},
    });
    kubernetes.apply(&autoscaler.to_string()).await;
    wait_for_ready(world, "checkout", 3).await;

    let selector = json!({"matchLabels": {"app": "checkout"}});
    let budget = json!({
        "apiVersion": "policy/v1", "kind": "PodDisruptionBudget",
        "metadata": {"name": "checkout", "namespace": "a"},
        "spec": {"minAvailable": 2, "selector": selector},
    });
    kubernetes.apply(&budget.to_string()).await;
    until("the budget's count", async || {
        let found = kubernetes.get("PodDisruptionBudget", "a", "checkout").await;
        let found = found.ok_or("no budget")?.data["status"].take();
        let is_so = found["disruptionsAllowed"] == 1 && found["currentHealthy"] == 3;
        is_so.then_some(()).ok_or(format!("{found:#}"))
    })
    .await;
}

/// Waits until every caller routes to the service's subsets.
async fn wait_for_routes(world: &World) {
    for caller in &world.callers {
        caller
            .wait_for("the routes", async |caller| {
                let routes = caller
                    .admin("/config_dump?resource=dynamic_route_configs")
                    .await;
                let has = routes.contains("|canary|checkout.a.svc.cluster.local");
                has.then_some(()).ok_or("none to a subset".to_owned())
            })
            .await;
    }
}

pub async fn what_is_rendered_for_a_deployment_reaches_it_and_its_copy(world: &mut World) {
    let workloads = start(world).await;
    let kubernetes = &world.chain.kubernetes;
    workloads.kubelet.stop_takes(Duration::from_secs(2));
    let run = async |name: &str, image: &str, variant: &str| {
        let deployment = deployment(name, image, variant, 2);
        kubernetes.apply(&deployment.to_string()).await;
        wait_for_ready(world, name, 2).await;
    };
    run("checkout", "ok:v1", "canary").await;
    wait_for_endpoints(world, 2).await;
    let load = Load::of_a_client_that_retries(&world.caller_addresses(), CHECKOUT, 1_000, 100);

    let arguments = "--service checkout.a --workload checkout --selector app=client";
    let rendered = documents(&world.render("checkout", CONFIG, arguments));
    let kinds: Vec<&str> = rendered
        .iter()
        .filter_map(|one| one["kind"].as_str())
        .collect();
    let [_, _, rollout, routes] = rendered.as_slice() else {
        panic!("{kinds:?}");
    };
    assert_eq!(
        kinds,
        ["DestinationRule", "WasmPlugin", "Rollout", "VirtualService"]
    );
    assert_eq!(rollout["spec"]["workload"]["deployment"], "checkout");
    for document in &rendered[..2] {
        kubernetes.apply(&document.to_string()).await;
    }
    wait_for_convergence_with_refetch(world).await;
    // As the Rollout's controller makes it.
    run("checkout-stable", "ok:v1", "stable").await;
    wait_for_endpoints(world, 4).await;
    kubernetes.apply(&routes.to_string()).await;
    wait_for_routes(world).await;
    run("checkout", "ok:v2", "canary").await;
    wait_for_endpoints(world, 4).await;
    world.set("checkout", 30).await;
    wait_for_convergence_with_refetch(world).await;

    assert_no_failures(&load.end().await);
    for user in 0..100 {
        let is_moved = bucket("checkout", None, format!("user-{user}").as_bytes()) < 30_000;
        let expected = (200, if is_moved { "v2" } else { "v1" }.to_owned());
        let seen = answer(&world.callers[0], CHECKOUT, user).await;
        assert_eq!(seen, expected, "user {user}");
    }
}
