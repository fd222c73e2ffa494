//! `sluice apply` on a real cluster: in which order, what it refuses, and what it leaves behind
//! where it is stopped.

use std::process::Stdio;

use serde_json::{Value, json};
use sluice_e2e::wait::until;
use sluice_e2e_istio::command::Said;
use sluice_e2e_istio::load::Load;
use sluice_e2e_istio::prometheus;

use crate::late::{
    CONFIG, LATE, forget_split, start_late_service, wait_for_canary_everywhere,
    wait_for_convergence_with_refetch,
};
use crate::users::assert_no_failures;
use crate::world::World;

/// How often a split is applied from nothing under load; each takes 15 s.
const TIMES: usize = 3;

/// What `sluice apply` needs to apply the split of the late service; its configuration is written.
pub fn apply_command(world: &World, more: &str) -> String {
    let path = world.chain.folder().join("late.yaml");
    std::fs::write(&path, CONFIG).unwrap();
    format!(
        "apply late -f {} --service late.a --selector app=client --image {} --digest {} {more}",
        path.display(),
        world.image(),
        world.digest
    )
}

fn lines(said: &Said) -> Vec<&str> {
    said.out.lines().collect()
}

pub async fn no_request_fails_while_a_split_is_applied_from_nothing(world: &mut World) {
    start_late_service(world).await;
    let looking = format!("--prometheus {}", prometheus::URL);
    let mut requests = 0;
    for time in 0..TIMES {
        let load = Load::of_a_client_that_retries(&world.caller_addresses(), LATE, 100, 200);
        // Once without anybody to ask.
        let more = if time == 0 { "" } else { &looking };
        let said = world.sluice(&apply_command(world, more)).await.good();
        let expected = [
            "DestinationRule a/late created",
            "VirtualService a/late created",
            "WasmPlugin a/sluice created",
        ];
        assert_eq!(lines(&said), expected);
        let waited = if time == 0 {
            "waiting 15 s: no --prometheus tells which proxies have the subsets"
        } else {
            // Callers and the gateway; b's callers import nothing from a, which no metric tells.
            "7 of 8 have them; after 15 s the others are taken for such as do not call the service, and routes \
             follow: b/client-11"
        };
        assert!(said.err.contains(waited), "{said:?}");
        world.sluice("set late canary=100 -n a").await.good();
        wait_for_convergence_with_refetch(world).await;
        wait_for_canary_everywhere(world, &load).await;
        let seen = load.end().await;
        assert_no_failures(&seen);
        requests += seen.len();
        forget_split(world).await;
    }
    println!(
        "\nrequests: {requests} answered while a split was applied {TIMES} times, none failed"
    );
}

pub async fn what_would_be_refused_is_all_said_before_anything_is_applied(world: &mut World) {
    start_late_service(world).await;
    let rendered = world.render("late", CONFIG, "--service late.a --selector app=client");
    let path = world.chain.folder().join("rendered.yaml");
    std::fs::write(&path, &rendered).unwrap();
    let apply = format!("apply -f {}", path.display());
    // Nothing is written by a dry run.
    let tried = world.sluice(&format!("{apply} --dry-run -o json")).await;
    let tried: Value = serde_json::from_str(&tried.good().out).unwrap();
    let expected = [
        "DestinationRule a/late",
        "VirtualService a/late",
        "WasmPlugin a/sluice",
    ]
    .map(|resource| json!({"resource": resource, "change": "created", "progress": "tried"}));
    assert_eq!(
        tried,
        json!({"store": "context e2e", "resources": expected})
    );
    let get = async |kind: &str, name: &str| world.chain.kubernetes.get(kind, "a", name).await;
    assert!(get("DestinationRule", "late").await.is_none());
    // Two fields of two resources belong to Git, which says otherwise.
    let others = rendered
        .replace("subset: canary", "subset: stable")
        .replace("phase: AUTHN", "phase: AUTHZ");
    world.chain.kubernetes.apply(&others).await;
    world
        .chain
        .kubernetes
        .delete("DestinationRule", "a", "late")
        .await;
    let said = world.sluice(&apply).await.ended_with(2);
    for expected in [
        "nothing was applied",
        "VirtualService a/late: spec.http was set by field manager \"gitops\"",
        "WasmPlugin a/sluice: spec.phase was set by field manager \"gitops\"",
        "--force would set these fields all the same",
    ] {
        assert!(said.err.contains(expected), "{expected}: {said:?}");
    }
    assert!(get("DestinationRule", "late").await.is_none());
    let said = world.sluice(&format!("{apply} --force")).await.good();
    let expected = [
        "DestinationRule a/late created",
        "VirtualService a/late changed",
        "WasmPlugin a/sluice changed",
    ];
    assert_eq!(lines(&said), expected);
    // Weights are not apply's: those that were set stay, those in a file are left out.
    world.sluice("set late canary=30 -n a").await.good();
    std::fs::write(
        &path,
        rendered.replace(
            "      splits:",
            "      weights: {late: {everyone: {canary: 7}}}\n      splits:",
        ),
    )
    .unwrap();
    let said = world.sluice(&apply).await.good();
    assert!(
        lines(&said).iter().all(|line| line.ends_with(" unchanged")),
        "{said:?}"
    );
    assert_eq!(world.weight("a", "/late/everyone/canary").await, Some(30.0));
    // A subset that routes lead to is not taken away under them.
    std::fs::write(&path, rendered.replace("name: canary", "name: other")).unwrap();
    let said = world.sluice(&apply).await.ended_with(2);
    let expected =
        "DestinationRule a/late: it would lose the subsets canary, to which routes may lead";
    assert!(said.err.contains(expected), "{said:?}");
}

/// A service whose pods have other labels than the subsets, as people have them who called their versions
/// v1 and v2.
pub async fn routes_that_lead_everybody_to_no_pod_are_refused(world: &mut World) {
    let kubernetes = &world.chain.kubernetes;
    let name = "labelled";
    let service = json!({
        "apiVersion": "v1", "kind": "Service", "metadata": {"name": name, "namespace": "a"},
        "spec": {"selector": {"app": name}, "ports": [{"name": "http", "port": 8080}]},
    });
    kubernetes.apply(&service.to_string()).await;
    let config = "splits: {labelled: {services: [labelled.a], identity: [{cookie: uid}]}}\n";
    let path = world.chain.folder().join("labelled.yaml");
    std::fs::write(&path, config).unwrap();
    let apply = format!(
        "apply labelled -f {} --service labelled.a --selector app=client --image {} --digest {} --dry-run",
        path.display(),
        world.image(),
        world.digest
    );
    // Nobody is served yet, so nobody can lose anything.
    world.sluice(&apply).await.good();
    let pod = async |version: &str| {
        let labels = json!({"app": name, "version": version});
        let pod = json!({
            "apiVersion": "v1", "kind": "Pod",
            "metadata": {"name": name, "namespace": "a", "labels": labels},
            "spec": {
                "serviceAccountName": "default", "automountServiceAccountToken": false,
                "containers": [{"name": "web", "image": "web"}],
            },
        });
        kubernetes.apply(&pod.to_string()).await;
        kubernetes
            .set_status("Pod", "a", name, &json!({"phase": "Running"}))
            .await;
    };
    pod("v1").await;
    let said = world.sluice(&apply).await.ended_with(2);
    let expected = "VirtualService a/labelled: it leads everybody to subset stable of service labelled.a, and no \
                    running pod of that has version=stable: they have version=v1, and everybody would get 503";
    assert!(said.err.contains(expected), "{said:?}");
    pod("stable").await;
    world.sluice(&apply).await.good();
    // Where everybody is led there already, a change makes nothing worse.
    let applied = world.render(
        "labelled",
        config,
        "--service labelled.a --selector app=client",
    );
    let others = applied.replace("exact: canary", "exact: other");
    assert_ne!(others, applied);
    kubernetes.apply(&others).await;
    pod("v1").await;
    world.sluice(&format!("{apply} --force")).await.good();
    for kind in ["Pod", "Service"] {
        kubernetes.delete(kind, "a", name).await;
    }
}

pub async fn a_stopped_application_says_what_it_did_and_goes_on(world: &mut World) {
    start_late_service(world).await;
    let mut command = world.chain.sluice.command(&apply_command(world, ""));
    let child = command.stdout(Stdio::piped()).stderr(Stdio::piped());
    let child = child.spawn().unwrap();
    until("the subsets", async || {
        let rule = world
            .chain
            .kubernetes
            .get("DestinationRule", "a", "late")
            .await;
        rule.map(|_| ()).ok_or("none".to_owned())
    })
    .await;
    let pid = rustix::process::Pid::from_raw(child.id().cast_signed()).unwrap();
    rustix::process::kill_process(pid, rustix::process::Signal::TERM).unwrap();
    let output = tokio::task::spawn_blocking(|| child.wait_with_output().unwrap())
        .await
        .unwrap();
    let (out, err) = (
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr),
    );
    assert_eq!(output.status.code(), Some(1), "{out}{err}");
    assert_eq!(out.trim(), "DestinationRule a/late created");
    for expected in [
        "terminated",
        "only what is said above was applied; running it again goes on",
        "not applied: VirtualService a/late",
        "not applied: WasmPlugin a/sluice",
    ] {
        assert!(err.contains(expected), "{expected}: {err}");
    }
    // The rest of the time is waited for the subsets of the first run.
    let said = world.sluice(&apply_command(world, "")).await.good();
    let expected = [
        "DestinationRule a/late unchanged",
        "VirtualService a/late created",
        "WasmPlugin a/sluice created",
    ];
    assert_eq!(lines(&said), expected);
    assert!(
        said.err
            .contains(" s: the subsets were changed a moment ago"),
        "{said:?}"
    );
    let said = world.sluice(&apply_command(world, "")).await.good();
    assert!(
        lines(&said).iter().all(|line| line.ends_with(" unchanged")),
        "{said:?}"
    );
    assert_eq!(said.err, "on context e2e\n");
}
