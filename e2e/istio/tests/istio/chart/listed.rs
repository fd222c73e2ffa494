//! A release for namespaces that are listed: a controller for each, with no right anywhere else.

use serde_json::{Value, json};
use sluice_e2e::wait::until;

use super::lifecycle::assert_kept;
use super::release::{Release, chart};
use crate::rollouts::controller::{apply, apply_in, status_in, wait_for_phase};
use crate::world::World;

/// What the account of namespace a's controller may not do of what its Role gives it there.
const ELSEWHERE: [&str; 7] = [
    "patch wasmplugins.extensions.istio.io -n gw",
    "list rollouts.sluice.dev -n b",
    "list rollouts.sluice.dev -A",
    "patch wasmplugins.extensions.istio.io -n b",
    "create leases.coordination.k8s.io -n sluice",
    "get secrets -n a",
    "list pods -n b",
];

/// What those of a and gw may do there, though a run that goes well needs it not.
const HERE_AS_WELL: [(&str, &str); 4] = [
    ("a", "watch brakes.sluice.dev -n a"),
    ("gw", "create brakes.sluice.dev -n gw"),
    ("a", "patch brakes.sluice.dev --subresource=status -n a"),
    ("gw", "delete controllerrevisions.apps -n gw"),
];

/// As whom kubectl asks for the controller of a namespace.
fn account(namespace: &str) -> String {
    format!("--as system:serviceaccount:sluice:sluice-controller-{namespace}")
}

pub async fn a_controller_of_listed_namespaces_may_do_nothing_elsewhere(world: &mut World) {
    let release = Release::begin(world).await;
    world.new_plugin("a").await;
    let chart = chart().display().to_string();
    release.take_over(&chart, "--set namespaces={a,gw}").await;
    let spec = json!({"split": "web", "version": "v2", "preset": "emergency"});
    apply(world, "web", &spec).await;
    apply_in(world, "b", "web", &spec).await;
    wait_for_phase(world, "web", "Succeeded").await;
    assert_eq!(status_in(world, "b", "web").await, Value::Null);
    release.assert_nothing_was_denied();
    for what in ELSEWHERE {
        let account = account("a");
        let said = world.kubectl(&format!("auth can-i {what} {account}")).await;
        assert_eq!((said.code, said.out.trim()), (1, "no"), "{what}: {said:?}");
    }
    for (namespace, what) in HERE_AS_WELL {
        let account = account(namespace);
        let said = world.kubectl(&format!("auth can-i {what} {account}")).await;
        assert_eq!((said.code, said.out.trim()), (0, "yes"), "{what}: {said:?}");
    }
    let names: Vec<String> = release
        .kubelet
        .programs()
        .into_iter()
        .map(|it| it.0)
        .collect();
    let of = |name: &str| names.iter().filter(|pod| pod.starts_with(name)).count();
    let counts = ["sluice-controller-a-", "sluice-controller-gw-"].map(of);
    assert_eq!(counts, [2, 2], "{names:?}");
    // A leader that crashes is replaced by its standby, and started again.
    let leader = leader(world).await;
    release.kubelet.crash(&leader);
    until("another to lead", async || {
        let now = self::leader(world).await;
        (now != leader).then_some(()).ok_or(now)
    })
    .await;
    assert_is_alone(world, &release).await;
    release.uninstall(world).await;
}

/// No second release takes what is this one's; definitions that a release has no more stay.
async fn assert_is_alone(world: &World, release: &Release) {
    let chart = chart().display().to_string();
    let second = format!("install second {chart} -n b --set namespaces={{b}}");
    let said = release.helm(&second).await.ended_with(1);
    assert!(said.err.contains("invalid ownership metadata"), "{said:?}");
    let values = "--set crds.install=false,admissionPolicies.install=false";
    let values = format!("--reset-then-reuse-values {values}");
    release.deploy("upgrade", &chart, &values).await;
    assert_kept(world).await;
}

/// The pod that leads in namespace a.
async fn leader(world: &World) -> String {
    let kubernetes = &world.chain.kubernetes;
    let lease = kubernetes.get("Lease", "a", "sluice-controller").await;
    let holder = lease.unwrap().data["spec"]["holderIdentity"].clone();
    // The process and the moment it began follow.
    let holder = holder.as_str().unwrap_or_default().to_owned();
    let pod = holder.rsplitn(3, '-').nth(2);
    pod.unwrap_or_default().to_owned()
}
