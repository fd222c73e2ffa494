//! A Rollout that follows a Deployment: the whole of a release is another image in Git.

use std::time::{Duration, Instant};

use serde_json::{Value, json};
use sluice_e2e::wait::until;
use sluice_e2e_istio::command::Tool;
use sluice_e2e_istio::load::Load;
use sluice_e2e_istio::process::Process;
use sluice_e2e_istio::prometheus;

use crate::rollouts::account;
use crate::rollouts::controller::{
    apply, ask, message, ramp, start_as, start_seeing, status, wait_for, wait_for_phase,
};
use crate::users::assert_no_failures;
use crate::workloads::{self, CHECKOUT, Workloads, deployment, wait_for_ready};
use crate::world::World;

/// The pods of each variant, told apart.
pub const SUBSETS: &str = "
apiVersion: networking.istio.io/v1
kind: DestinationRule
metadata: {name: checkout, namespace: a}
spec:
  host: checkout.a.svc.cluster.local
  subsets:
  - {name: stable, labels: {sluice.dev/variant: stable}}
  - {name: canary, labels: {sluice.dev/variant: canary}}
";

/// Routes to them by the split's header.
pub const ROUTES: &str = "
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: {name: checkout, namespace: a}
spec:
  hosts: [checkout.a.svc.cluster.local]
  http:
  - match: [{headers: {x-sluice-checkout: {exact: canary}}}]
    route: [{destination: {host: checkout.a.svc.cluster.local, subset: canary}}]
  - route: [{destination: {host: checkout.a.svc.cluster.local, subset: stable}}]
";

/// Git states another image.
pub async fn push(world: &World, image: &str) {
    let template = deployment("checkout", image, "canary", 3)["spec"]["template"].take();
    let change = json!({"spec": {"template": template}});
    let kubernetes = &world.chain.kubernetes;
    let merged = kubernetes
        .merge("Deployment", "a", "checkout", &change)
        .await;
    merged.unwrap();
}

pub fn spec(steps: &Value) -> Value {
    let workload = json!({"deployment": "checkout", "drain": "3s", "progressDeadline": "60s"});
    json!({"split": "checkout", "workload": workload, "steps": steps})
}

/// Users of v1, a Rollout that has just taken it over, and its routes.
pub async fn taken_over(world: &World, steps: &Value) -> (Workloads, Process, Load) {
    let command = format!("controller -n a --prometheus {}", prometheus::URL);
    taken_over_by(world, &world.chain.sluice, &command, steps).await
}

/// The same by a controller of an account.
pub async fn taken_over_by(
    world: &World,
    sluice: &Tool,
    command: &str,
    steps: &Value,
) -> (Workloads, Process, Load) {
    world.new_plugin("a").await;
    let workloads = workloads::start(world).await;
    let first = deployment("checkout", "registry.example/shop/ok:v1", "canary", 3);
    let kubernetes = &world.chain.kubernetes;
    kubernetes.apply(&first.to_string()).await;
    wait_for_ready(world, "checkout", 3).await;
    wait_for_pods(world, "outbound|8080||checkout.a.svc.cluster.local").await;
    let load = Load::start(&world.caller_addresses(), CHECKOUT, 100, 100);
    let controller = start_as(world, sluice, "controller", command);
    apply(world, "checkout", &spec(steps)).await;
    wait_for_ready(world, "checkout-stable", 3).await;
    kubernetes.apply(SUBSETS).await;
    // A route to a subset that a proxy has not heard of yet is a 503: Istio asks for this order.
    wait_for_pods(world, "outbound|8080|stable|checkout.a.svc.cluster.local").await;
    kubernetes.apply(ROUTES).await;
    wait_for_rest(world, "v1").await;
    assert_no_failures(&load.seen());
    (workloads, controller, load)
}

/// Waits until every caller knows pods of a cluster of Envoy's.
pub async fn wait_for_pods(world: &World, cluster: &str) {
    let known = format!("{cluster}::10.77.");
    for caller in &world.callers {
        caller
            .wait_for(&known, async |caller| {
                let clusters = caller.admin("/clusters").await;
                let is_known = clusters.contains(&known);
                is_known
                    .then_some(())
                    .ok_or_else(|| "it is not known".to_owned())
            })
            .await;
    }
}

/// Waits until the copy serves everyone with a version, and the Deployment has no pods.
pub async fn wait_for_rest(world: &World, version: &str) {
    let said = format!("Deployment checkout-stable serves everyone with ok:{version} (");
    wait_for(world, "checkout", &said, |status| {
        message(status).starts_with(&said)
    })
    .await;
    wait_for_ready(world, "checkout-stable", 3).await;
    wait_for_ready(world, "checkout", 0).await;
}

/// Which versions the pods in a run, by how many.
pub fn running(workloads: &Workloads) -> Vec<(String, usize)> {
    let mut running: Vec<(String, usize)> = Vec::new();
    for (_, version) in workloads.kubelet.running() {
        match running.iter_mut().find(|(own, _)| *own == version) {
            Some((_, count)) => *count += 1,
            None => running.push((version, 1)),
        }
    }
    running
}

/// Another service of the namespace has variants of the same names.
const OTHERS: &str = "
apiVersion: networking.istio.io/v1
kind: DestinationRule
metadata: {name: ledger, namespace: a}
spec:
  host: ledger.a.svc.cluster.local
  subsets:
  - {name: stable, labels: {sluice.dev/variant: stable}}
";

/// A route past the split, as one that was handed back leaves it.
const PAST_THE_SPLIT: &str = "
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: {name: checkout, namespace: a}
spec:
  hosts: [checkout.a.svc.cluster.local]
  http:
  - match: [{headers: {x-sluice-checkout: {exact: canary}}}]
    route: [{destination: {host: checkout.a.svc.cluster.local, subset: canary}}]
  - match: [{headers: {x-tester: {exact: staging}}}]
    route: [{destination: {host: checkout.a.svc.cluster.local, subset: stable}}]
  - route: [{destination: {host: checkout.a.svc.cluster.local, subset: canary}}]
";

pub async fn a_deployment_keeps_its_pods_until_routes_lead_to_its_copy(world: &mut World) {
    world.new_plugin("a").await;
    let workloads = workloads::start(world).await;
    let first = deployment("checkout", "registry.example/shop/ok:v1", "canary", 3);
    let kubernetes = &world.chain.kubernetes;
    kubernetes.apply(&first.to_string()).await;
    wait_for_ready(world, "checkout", 3).await;
    wait_for_pods(world, "outbound|8080||checkout.a.svc.cluster.local").await;
    let load = Load::start(&world.caller_addresses(), CHECKOUT, 100, 100);
    let roles = ["account.yaml", "namespaced.yaml", "workloads.yaml"];
    let (sluice, _) = account(world, &roles).await;
    let command = format!("controller -n a --prometheus {}", prometheus::URL);
    let _controller = start_as(world, &sluice, "controller", &command);
    apply(world, "checkout", &spec(&ramp(&[50, 100], "1s"))).await;
    wait_for_ready(world, "checkout-stable", 3).await;
    kubernetes.apply(OTHERS).await;
    let says = async |said: &'static str| {
        wait_for(world, "checkout", said, |status| {
            message(status).starts_with(said)
        })
        .await;
        // As long as pods drain, and a look more.
        tokio::time::sleep(Duration::from_secs(5)).await;
        wait_for_ready(world, "checkout", 3).await;
    };
    says("no subset of a DestinationRule and no Service in namespace a has the label").await;
    kubernetes.apply(SUBSETS).await;
    says(
        "no VirtualService and no HTTPRoute in namespace a has a route to subset stable of DestinationRule checkout",
    )
    .await;
    wait_for_pods(world, "outbound|8080|stable|checkout.a.svc.cluster.local").await;
    kubernetes.apply(PAST_THE_SPLIT).await;
    says("route 3 of VirtualService checkout sends every request to subset canary").await;
    kubernetes.apply(ROUTES).await;
    wait_for_rest(world, "v1").await;
    assert_no_failures(&load.end().await);
    drop(workloads);
}

pub async fn a_release_is_another_image_and_costs_no_request(world: &mut World) {
    world.new_plugin("a").await;
    let roles = ["account.yaml", "namespaced.yaml", "workloads.yaml"];
    let (sluice, kubectl) = account(world, &roles).await;
    let command = format!("controller -n a --prometheus {}", prometheus::URL);
    let steps = ramp(&[20, 50, 100], "1s");
    let (workloads, controller, load) = taken_over_by(world, &sluice, &command, &steps).await;
    assert_eq!(running(&workloads), [("v1".to_owned(), 3)]);
    push(world, "registry.example/shop/ok:v2").await;
    let status = wait_for_phase(world, "checkout", "Succeeded").await;
    assert!(
        status["run"]["version"]
            .as_str()
            .unwrap()
            .starts_with("ok:v2 ("),
        "{status:#}"
    );
    wait_for_rest(world, "v2").await;
    assert_eq!(
        world.weight("a", "/checkout/everyone/canary").await,
        Some(0.0)
    );
    until("the pods of v1 to be gone", async || {
        let running = running(&workloads);
        let is_so = running == [("v2".to_owned(), 3)];
        is_so.then_some(()).ok_or(format!("{running:?}"))
    })
    .await;
    let seen = load.end().await;
    assert_no_failures(&seen);
    assert_eq!(seen.last().unwrap().variant, "v2");
    let log = controller.log();
    assert!(!log.contains("forbidden"), "{log}");
    for denied in [
        "create deployment other -n a --image=evil.example/x --dry-run=server",
        "set image deployment/checkout app=evil.example/x -n a --dry-run=server",
        "get deployment other -n a",
        "scale deployment other -n a --replicas=0",
    ] {
        let said = kubectl.run_beside(denied).await;
        assert!(said.err.contains("forbidden"), "{denied}: {said:?}");
    }
    let kubernetes = &world.chain.kubernetes;
    let copy = kubernetes
        .get("Deployment", "a", "checkout-stable")
        .await
        .unwrap();
    assert_eq!(copy.metadata.owner_references, None);
    assert_eq!(
        copy.metadata.labels.unwrap()["sluice.dev/rollout"],
        "checkout"
    );
}

pub async fn a_rollback_loses_no_request_though_pods_exit_at_once(world: &mut World) {
    let steps = json!([{"weight": 50, "approval": true}, {"weight": 100}]);
    let (workloads, _controller, load) = taken_over(world, &steps).await;
    workloads.kubelet.stop_takes(Duration::ZERO);
    push(world, "registry.example/shop/ok:v2").await;
    wait_for(world, "checkout", "its approval", |status| {
        status["run"]["stage"] == "Approval"
    })
    .await;
    ask(world, "checkout", 1, "abort").await;
    wait_for_phase(world, "checkout", "Aborted").await;
    wait_for_ready(world, "checkout", 0).await;
    let seen = load.end().await;
    assert_no_failures(&seen);
    assert!(seen.iter().any(|seen| seen.variant == "v2"));
    assert_eq!(seen.last().unwrap().variant, "v1");
}

pub async fn a_hotfix_reaches_everyone_at_once_also_while_no_pod_of_the_copy_serves(
    world: &mut World,
) {
    let (_workloads, _controller, load) = taken_over(world, &ramp(&[50, 100], "1s")).await;
    let emergency = json!({"spec": {"steps": null, "preset": "emergency"}});
    let kubernetes = &world.chain.kubernetes;
    let merged = kubernetes
        .merge("Rollout", "a", "checkout", &emergency)
        .await;
    merged.unwrap();
    push(world, "registry.example/shop/ok:v2").await;
    let status = wait_for_phase(world, "checkout", "Succeeded").await;
    assert_eq!(status["runs"][0]["step"], 1, "{status:#}");
    wait_for_rest(world, "v2").await;
    let seen = load.end().await;
    assert_no_failures(&seen);
    assert_eq!(seen.last().unwrap().variant, "v2");
    // As after a node is lost: what serves everyone has no pod.
    let none = json!({"spec": {"replicas": 0}});
    let merged = kubernetes
        .merge("Deployment", "a", "checkout-stable", &none)
        .await;
    merged.unwrap();
    wait_for_ready(world, "checkout-stable", 0).await;
    let load = Load::start(&world.caller_addresses(), CHECKOUT, 20, 20);
    push(world, "registry.example/shop/ok:v3").await;
    let promoted = "Deployment checkout-stable serves everyone with ok:v3 (";
    wait_for(world, "checkout", promoted, |status| {
        message(status).starts_with(promoted)
    })
    .await;
    let since = Instant::now();
    tokio::time::sleep(Duration::from_secs(3)).await;
    let mut seen = load.end().await;
    seen.retain(|seen| seen.at > since);
    assert_no_failures(&seen);
    assert!(!seen.is_empty() && seen.iter().all(|seen| seen.variant == "v3"));
}

pub async fn an_image_that_cannot_be_pulled_fails_the_run_and_moves_nobody(world: &mut World) {
    let (_workloads, _controller, load) = taken_over(world, &ramp(&[50, 100], "1s")).await;
    let soon = json!({"spec": {"workload": {"progressDeadline": "5s"}}});
    let kubernetes = &world.chain.kubernetes;
    let merged = kubernetes.merge("Rollout", "a", "checkout", &soon).await;
    merged.unwrap();
    push(world, "registry.example/shop/bad-pull:v2").await;
    let status = wait_for_phase(world, "checkout", "RolledBack").await;
    let why = message(&status);
    assert!(
        why.contains("0 of 2 pods of Deployment checkout are ready"),
        "{why}"
    );
    assert!(
        why.contains("ImagePullBackOff") || why.contains("ErrImagePull"),
        "{why}"
    );
    wait_for_ready(world, "checkout", 0).await;
    let seen = load.end().await;
    assert_no_failures(&seen);
    assert!(seen.iter().all(|seen| seen.variant == "v1"));
}

pub async fn another_image_in_a_run_takes_its_users_back_first(world: &mut World) {
    let steps = json!([{"weight": 50, "approval": true}, {"weight": 100}]);
    let (workloads, _controller, load) = taken_over(world, &steps).await;
    // Kubernetes replaces the pods at once; those that serve on meanwhile lose nothing.
    workloads.kubelet.stop_takes(Duration::from_secs(2));
    push(world, "registry.example/shop/ok:v2").await;
    wait_for(world, "checkout", "its approval", |status| {
        status["run"]["stage"] == "Approval"
    })
    .await;
    push(world, "registry.example/shop/ok:v3").await;
    let status = wait_for(world, "checkout", "run 2", |status| {
        status["run"]["number"] == 2
    })
    .await;
    assert!(
        status["run"]["version"]
            .as_str()
            .unwrap()
            .starts_with("ok:v3 ("),
        "{status:#}"
    );
    wait_for(world, "checkout", "its approval", |status| {
        status["run"]["stage"] == "Approval"
    })
    .await;
    // A revert in Git ends it.
    push(world, "registry.example/shop/ok:v1").await;
    wait_for_rest(world, "v1").await;
    let seen = load.end().await;
    assert_no_failures(&seen);
    assert_eq!(seen.last().unwrap().variant, "v1");
}

pub async fn a_controller_that_is_killed_again_and_again_finishes_the_release(world: &mut World) {
    let (_workloads, controller, load) = taken_over(world, &ramp(&[50, 100], "1s")).await;
    drop(controller);
    push(world, "registry.example/shop/ok:v2").await;
    let is_over = async || {
        let status = status(world, "checkout").await;
        message(&status).starts_with("Deployment checkout-stable serves everyone with ok:v2 (")
    };
    let mut kills = 0;
    while !is_over().await {
        let controller = start_seeing(world);
        // Long enough to lead, and to do something.
        tokio::time::sleep(Duration::from_millis(2_500 + 700 * (kills % 5))).await;
        drop(controller);
        kills += 1;
        assert!(kills < 40, "{}", message(&status(world, "checkout").await));
    }
    wait_for_ready(world, "checkout", 0).await;
    let seen = load.end().await;
    assert_no_failures(&seen);
    assert_eq!(seen.last().unwrap().variant, "v2");
}
