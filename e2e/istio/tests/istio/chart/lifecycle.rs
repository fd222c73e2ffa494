//! A release from its first day to its last: a Rollout under way and users on both versions, through
//! an upgrade, an uninstall and a new install; and what was there before Helm.

use serde_json::json;
use sluice_e2e::wait::until;
use sluice_e2e_istio::load::{Load, Seen};

use super::release::{HERE, Release, chart};
use crate::access::checkout;
use crate::brake::{connected, wait_for_brakes};
use crate::rollouts::controller::{apply, configure, ramp, status_in};
use crate::rollouts::controller::{wait_for, wait_for_phase, wait_for_weight};
use crate::users::{WEB_A, assert_no_failures, assert_split, variant};
use crate::world::World;

/// What a chart had before there was all that there is now.
const BEFORE: &str = "--set replicas=1,disruptionBudget.enabled=false,networkPolicy.enabled=false,\
    admissionPolicies.install=false,authorizationPolicy.enabled=false,topologySpread.enabled=false";

/// The upgrade of the page, to what there is now; what else was set is kept.
const NOW: &str = "--reset-then-reuse-values --set replicas=2,disruptionBudget.enabled=true,\
    networkPolicy.enabled=true,admissionPolicies.install=true,authorizationPolicy.enabled=true,\
    topologySpread.enabled=true";

/// The plugin's whole configuration as it is stored, and its generation.
async fn stored(world: &World) -> (String, Option<i64>) {
    let kubernetes = &world.chain.kubernetes;
    let plugin = kubernetes.get("WasmPlugin", "a", "sluice").await.unwrap();
    (plugin.data["spec"].to_string(), plugin.metadata.generation)
}

/// The chart as another version of it.
async fn packaged(release: &Release, world: &World, version: &str) -> String {
    let folder = world.chain.folder();
    let command = format!(
        "package {} --version {version} --app-version {version} -d {}",
        chart().display(),
        folder.display()
    );
    release.helm(&command).await.good();
    let package = folder.join(format!("sluice-{version}.tgz"));
    package.display().to_string()
}

/// Asserts that a release's controller is ready in so many replicas, as the restricted namespace
/// lets it.
async fn assert_ready(world: &World, replicas: u64) {
    let kubernetes = &world.chain.kubernetes;
    let found = kubernetes.get("Deployment", "sluice", "sluice-controller");
    let found = found.await.unwrap();
    assert_eq!(found.data["status"]["readyReplicas"], replicas, "{found:?}");
}

/// A plugin whose proxies ask the release's controller for brakes.
async fn begin(world: &World) {
    world.new_plugin("a").await;
    let brake = json!({"service": "sluice-controller.sluice", "port": 8085});
    configure(world, &json!({"brake": brake})).await;
    for caller in &world.callers {
        caller.import(&world.chain.kubernetes, &[8080, 8085]).await;
    }
}

/// Does something while users are served, each of whom stays with one version.
async fn with_users_at_half<T>(world: &World, does: impl AsyncFnOnce() -> T) -> T {
    let before = stored(world).await;
    let load = Load::start(&world.caller_addresses(), WEB_A, 200, 100);
    let done = does().await;
    // Also a while after it was done.
    let done_after = load.seen().len();
    until("a hundred answers more", async || {
        let more = load.seen().len() - done_after;
        (more >= 100).then_some(()).ok_or(format!("{more}"))
    })
    .await;
    let seen = load.end().await;
    assert_no_failures(&seen);
    let is_moved = |seen: &&Seen| seen.variant != variant(seen.user, 50);
    let moved: Vec<&Seen> = seen.iter().filter(is_moved).collect();
    assert!(
        moved.is_empty(),
        "{} of {}: {moved:?}",
        moved.len(),
        seen.len()
    );
    assert_eq!(stored(world).await, before);
    done
}

pub async fn an_upgrade_an_uninstall_and_an_install_lose_no_weight_and_move_no_user(
    world: &mut World,
) {
    let release = Release::begin(world).await;
    begin(world).await;
    let (former, present) = (packaged(&release, world, "0.0.9").await, chart());
    let present = present.display().to_string();
    release.take_over(&former, BEFORE).await;
    assert_ready(world, 1).await;

    let mut steps = ramp(&[25], "1s").as_array().unwrap().clone();
    steps.push(json!({"weight": 50, "hold": "1h"}));
    steps.push(json!({"weight": 100, "hold": "1s"}));
    let spec = json!({"split": "web", "version": "v2", "redraw": false, "steps": steps});
    apply(world, "web", &spec).await;
    wait_for_weight(world, "/web/everyone/canary", 50.0).await;
    wait_for(world, "web", "to be held", |status| {
        status["run"]["step"] == 1 && status["run"]["stage"] == "Holding"
    })
    .await;
    for caller in &world.callers {
        assert_split(caller, WEB_A, 50).await;
    }
    connected(world).await;

    with_users_at_half(world, async || {
        release.deploy("upgrade", &present, NOW).await;
    })
    .await;
    assert_ready(world, 2).await;
    assert_still_under_way(world).await;
    release.assert_nothing_was_denied();

    let said = with_users_at_half(world, async || release.uninstall(world).await).await;
    assert!(
        said.out.contains("kept due to the resource policy"),
        "{said:?}"
    );
    assert_still_under_way(world).await;
    assert_kept(world).await;
    let role = ("ClusterRole", "", "sluice-controller");
    let gone = world.chain.kubernetes.get(role.0, role.1, role.2).await;
    assert!(gone.is_none(), "{gone:?}");

    // What the uninstall left is this release's still.
    with_users_at_half(world, async || {
        release.deploy("install", &present, HERE).await;
    })
    .await;
    world.sluice("rollout skip web -n a").await.good();
    wait_for_phase(world, "web", "Succeeded").await;
    release.assert_nothing_was_denied();
    println!("memory of the controllers: {:?}", memory(&release));

    connected(world).await;
    world.chain.stop_istiod();
    let said = world.sluice("abort web -n a").await.ended_with(0);
    assert!(said.err.contains("in force in 6 of 6 proxies"), "{said:?}");
    wait_for_brakes(world, 1).await;
    world.chain.restart_istiod(&[]).await;
    for caller in &world.callers {
        caller.import(&world.chain.kubernetes, &[8080]).await;
    }
    release.uninstall(world).await;
}

fn memory(release: &Release) -> Vec<u64> {
    let programs = release.kubelet.programs().into_iter();
    programs.map(|(_, _, mebibytes)| mebibytes).collect()
}

/// The run stands where it stood.
async fn assert_still_under_way(world: &World) {
    let status = status_in(world, "a", "web").await;
    assert_eq!(status["phase"], "Progressing", "{status:#}");
    let run = &status["run"];
    assert_eq!(
        (&run["number"], &run["step"]),
        (&json!(1), &json!(1)),
        "{status:#}"
    );
}

/// What an uninstall leaves: definitions with their objects, and what binds accounts for weights.
pub async fn assert_kept(world: &World) {
    for definition in ["rollouts.sluice.dev", "brakes.sluice.dev"] {
        world.kubectl(&format!("get crd {definition}")).await.good();
    }
    for policy in ["sluice-weights-only", "sluice-history", "sluice-brakes"] {
        for kind in [
            "ValidatingAdmissionPolicy",
            "ValidatingAdmissionPolicyBinding",
        ] {
            let kept = world.chain.kubernetes.get(kind, "", policy).await;
            assert!(kept.is_some(), "{kind} {policy}");
        }
    }
}

pub async fn what_kustomize_applied_is_taken_over_by_helm(world: &mut World) {
    let release = Release::begin(world).await;
    let base = checkout("wasmplugin/base");
    for policy in ["policy.yaml", "history.yaml", "brakes.yaml"] {
        let apply = format!("apply --server-side -f {}", base.join(policy).display());
        world.kubectl(&apply).await.good();
    }
    let folder = checkout("wasmplugin/controller");
    let apply = format!(
        "apply --server-side --force-conflicts -k {}",
        folder.display()
    );
    world.kubectl(&apply).await.good();
    let deployment = "rollout status deployment sluice-controller -n sluice --timeout 60s";
    world.kubectl(deployment).await.good();
    world.fresh_plugin("a", 25).await;
    let before = stored(world).await;
    let chart = chart().display().to_string();
    release.take_over(&chart, "").await;
    world.kubectl(deployment).await.good();
    assert_ready(world, 2).await;
    assert_eq!(stored(world).await, before);
    let listed = release.helm("list -n sluice").await.good().out;
    assert!(listed.contains("deployed"), "{listed}");
    release.uninstall(world).await;
}
