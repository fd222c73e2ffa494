//! Weights that are set by hand beside a Rollout whose Deployment has no pods: they are written, and
//! whoever sets them is told.

use serde_json::{Value, json};

use crate::api_server::{ApiServer, Fate, PLUGIN, failure};

const ROLLOUTS: &str = "/apis/sluice.dev/v1alpha1/namespaces/a/rollouts";
const SAID: &str = "note: Deployment web in a has no pods while no run of Rollout web is under way: whoever these weights \
                    send there gets 503 until the Rollout has given it pods and they are ready; `sluice abort web` takes \
                    them back\n";

/// A server with a Rollout that follows Deployment web, and nobody at the challenger.
fn at_rest() -> ApiServer {
    let server = ApiServer::start();
    assert_eq!(server.sluice("abort web").code, 0);
    put(
        &server,
        "web",
        json!({"split": "web"}),
        json!({"isParked": true, "isAtRest": true}),
    );
    server
}

fn put(server: &ApiServer, name: &str, mut spec: Value, kept: Value) {
    spec["workload"] = json!({"deployment": "web"});
    spec["preset"] = json!("progressive");
    let rollout = json!({
        "apiVersion": "sluice.dev/v1alpha1", "kind": "Rollout", "metadata": {"name": name, "namespace": "a"},
        "spec": spec, "status": {"phase": "Idle", "workload": kept},
    });
    server.put(&format!("{ROLLOUTS}/{name}"), rollout);
}

#[test]
fn weights_for_a_deployment_without_pods_are_written_and_said() {
    let moved = "moves 20 % of web's everyone from stable to canary\n";
    let server = at_rest();
    let dry = server.sluice("set web canary=20 --dry-run");
    assert_eq!((dry.code, dry.err.ends_with(SAID)), (0, true), "{dry:?}");
    let said = server.sluice("set web canary=20");
    assert_eq!((said.code, said.err.ends_with(SAID)), (0, true), "{said:?}");
    assert!(said.out.ends_with(moved), "{said:?}");
    assert_eq!(server.weight("web"), json!(20));
    for command in ["set --all canary=30", "rollback", "set web canary=7 -A"] {
        let said = server.sluice(command);
        assert_eq!(
            (said.code, said.err.matches(SAID).count()),
            (0, 1),
            "{command}: {said:?}"
        );
    }
    // Nobody goes there.
    for command in [
        "set web canary=0",
        "set checkout canary=4",
        "set web canary=0 -A",
    ] {
        let said = server.sluice(command);
        assert_eq!(
            (said.code, said.err.contains("503")),
            (0, false),
            "{command}: {said:?}"
        );
    }
}

#[test]
fn weights_that_are_promoted_to_a_deployment_without_pods_are_written_and_said() {
    let server = at_rest();
    let mut stage = server.get(PLUGIN).unwrap();
    stage["metadata"]["namespace"] = json!("stage");
    stage["spec"]["pluginConfig"]["weights"]["web"]["everyone"]["canary"] = json!(50);
    let path = PLUGIN.replace("/namespaces/a/", "/namespaces/stage/");
    server.put(&path, stage);
    let said = server.sluice("promote web --from stage --to a");
    assert_eq!((said.code, said.err.ends_with(SAID)), (0, true), "{said:?}");
    assert_eq!(server.weight("web"), json!(50));
}

#[test]
fn nothing_is_said_of_a_deployment_that_has_pods_or_is_of_another_plugin_or_may_not_be_read() {
    let cases = [
        (
            "with pods",
            json!({"split": "web"}),
            json!({"isAtRest": true}),
        ),
        (
            "another plugin",
            json!({"split": "web", "plugin": "other"}),
            json!({"isParked": true}),
        ),
    ];
    for (label, spec, kept) in cases {
        let server = at_rest();
        put(&server, "web", spec, kept);
        let said = server.sluice("set web canary=20");
        assert_eq!(
            (said.code, said.err.contains("503")),
            (0, false),
            "{label}: {said:?}"
        );
    }
    let named = at_rest();
    let spec = json!({"split": "web", "plugin": "WasmPlugin/sluice"});
    put(&named, "web", spec, json!({"isParked": true}));
    assert!(named.sluice("set web canary=20").err.ends_with(SAID));

    let (code, forbidden) = failure(403, "rollouts is forbidden");
    for fate in [Fate::Answer(code, forbidden), Fate::Silence] {
        let server = at_rest();
        server.next(format!("GET {ROLLOUTS}"), 9, fate);
        let said = server.sluice("set web canary=20");
        assert_eq!(
            (said.code, said.err.contains("Rollout")),
            (0, false),
            "{said:?}"
        );
        assert_eq!(server.weight("web"), json!(20));
    }
}
