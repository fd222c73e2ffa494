//! `sluice rollout` on a cluster: commands as an annotation, and an abort that needs no controller.

use serde_json::{Value, json};

use crate::api_server::{ApiServer, Fate, PLUGIN, failure};

const ROLLOUT: &str = "/apis/sluice.dev/v1alpha1/namespaces/a/rollouts/web";
const LIST: &str = "GET /apis/sluice.dev/v1alpha1/namespaces/a/rollouts?";

/// A server with a Rollout of split web whose run is at its first step, and nobody who runs it.
fn with_rollout() -> ApiServer {
    let server = ApiServer::start();
    let run = json!({
        "number": 1, "version": "v1", "began": "2026-11-21T09:00:00Z", "step": 0, "stage": "Holding",
        "since": "2026-11-21T09:00:00Z", "weights": {"everyone": 10}, "wanted": {"everyone": 10},
        "converged": "2026-11-21T09:00:00Z",
    });
    let steps = json!([{"weight": 10, "hold": "1h"}, {"weight": 100}]);
    let rollout = json!({
        "apiVersion": "sluice.dev/v1alpha1", "kind": "Rollout",
        "metadata": {"name": "web", "namespace": "a", "uid": "0123456789-web", "resourceVersion": "1"},
        "spec": {"split": "web", "version": "v1", "steps": steps},
        "status": {"phase": "Progressing", "message": "step 1", "run": run, "handledCommand": 4},
    });
    server.put(ROLLOUT, rollout);
    server
}

fn commands(server: &ApiServer) -> Value {
    let rollout = server.get(ROLLOUT).unwrap();
    let text = rollout["metadata"]["annotations"]["sluice.dev/rollout-commands"].as_str();
    serde_json::from_str(text.unwrap_or("null")).unwrap()
}

#[test]
fn a_command_stands_in_the_annotation_and_that_nobody_obeys_it_is_said() {
    let server = with_rollout();
    let said = server.sluice("rollout pause web --reason look --timeout 200ms");
    let expected = "web: NOT DONE: no controller answered within 0.2 s; the command stays with Rollout web until \
                    `sluice controller` obeys it, and `sluice rollout status web` shows when";
    assert_eq!(
        (said.code, said.err.contains(expected)),
        (1, true),
        "{said:?}"
    );
    let pause = json!({"number": 5, "verb": "pause", "by": "ann@example.com", "reason": "look"});
    assert_eq!(commands(&server), json!([pause]));

    let status = server.sluice("rollout status web");
    let head = "a/web: Progressing, run 1 of v1, step 1 of 2; a command waits\n";
    assert_eq!(
        (status.code, status.out.starts_with(head)),
        (0, true),
        "{status:?}"
    );
    assert!(
        status.out.contains("everyone: 10 % wanted, 10 % in force"),
        "{status:?}"
    );
}

#[test]
fn a_command_is_written_on_what_was_read_and_again_where_somebody_came_between() {
    let server = with_rollout();
    let (code, answer) = failure(409, "the object has been modified");
    server.next(
        format!("PATCH {ROLLOUT}"),
        3,
        Fate::Answer(code, answer.clone()),
    );
    assert_eq!(server.sluice("rollout pause web --timeout 0s").code, 1);
    assert_eq!(commands(&server).as_array().unwrap().len(), 1);

    server.next(format!("PATCH {ROLLOUT}"), 10, Fate::Answer(code, answer));
    let said = server.sluice("rollout skip web --timeout 0s");
    let expected = "Rollout web: others were first 10 times; nothing was asked, try again";
    assert_eq!(
        (said.code, said.err.contains(expected)),
        (2, true),
        "{said:?}"
    );
    assert_eq!(commands(&server).as_array().unwrap().len(), 1);
}

#[test]
fn an_abort_takes_the_users_back_without_a_controller_and_leaves_the_command() {
    let server = with_rollout();
    let said = server.sluice("rollout abort web");
    let expected = "web everyone canary: 10 -> 0\na/web: its run ends as aborted (command 5)\n";
    assert_eq!((said.code, &*said.out), (0, expected), "{said:?}");
    assert_eq!(
        [server.weight("web"), server.weight("checkout")],
        [json!(0), json!(10)]
    );
    assert_eq!(commands(&server)[0]["verb"], json!("abort"));
    assert_eq!(server.sluice("rollout abort web").code, 0, "twice is once");
}

#[test]
fn the_users_are_back_also_where_the_command_cannot_be_left() {
    let server = with_rollout();
    let (code, answer) = failure(403, "rollouts is forbidden");
    server.next(format!("PATCH {ROLLOUT}"), 9, Fate::Answer(code, answer));
    let said = server.sluice("rollout abort web");
    let expected =
        "a/web: its users are back, but whoever runs it was not told: Rollout web: not allowed";
    assert_eq!(
        (said.code, said.err.contains(expected)),
        (1, true),
        "{said:?}"
    );
    assert_eq!(server.weight("web"), json!(0));
}

#[test]
fn a_cluster_without_the_kind_is_told_how_to_get_it_and_a_wrong_name_the_near_one() {
    let server = with_rollout();
    let said = server.sluice("rollout status wbe");
    let expected = "namespace a has no Rollout \"wbe\"; accepted: web";
    assert_eq!(
        (said.code, said.err.contains(expected)),
        (2, true),
        "{said:?}"
    );

    let (code, answer) = failure(404, "the server could not find the requested resource");
    server.next(LIST, 2, Fate::Answer(code, answer));
    for command in ["rollout status", "rollout pause api"] {
        let said = server.sluice(command);
        let expected = "the cluster does not know Rollouts; `sluice crds | kubectl apply --server-side -f -` installs them";
        assert_eq!(
            (said.code, said.err.contains(expected)),
            (2, true),
            "{said:?}"
        );
    }
}

#[test]
fn of_a_rollout_without_a_spec_the_status_says_so_and_what_its_run_moves() {
    let server = with_rollout();
    let mut rollout = server.get(ROLLOUT).unwrap();
    rollout["spec"] = json!(null);
    rollout["status"]["run"]["split"] = json!("web");
    rollout["status"]["run"]["challenger"] = json!("canary");
    server.put(ROLLOUT, rollout.clone());
    let said = server.sluice("rollout status web");
    let expected = "\
a/web: Progressing, run 1 of v1, step 1 of ?
its spec has 3 mistakes
├─ weights
│  └─ everyone: 10 % wanted, 10 % in force
├─ mistakes in its spec
│  ├─ spec: null; accepted: a map
│  ├─ spec.split: missing; accepted: a split's name
│  └─ spec.steps: missing; accepted: steps, or a preset: progressive, emergency, blueGreen, migration
└─ unknown
   └─ proxies: what the proxies run: no Prometheus is named that scrapes them
";
    assert_eq!((said.code, &*said.out), (1, expected), "{said:?}");
    let table = server.sluice("rollout status").out;
    let row = "\na           web    web     -         Progressing   1 of ?   10 %";
    assert!(table.contains(row), "{table}");

    rollout["status"] = json!(null);
    server.put(ROLLOUT, rollout);
    let said = server.sluice("rollout status web");
    let expected = "\
a/web: Idle
its spec has 3 mistakes
└─ mistakes in its spec
   ├─ spec: null; accepted: a map
   ├─ spec.split: missing; accepted: a split's name
   └─ spec.steps: missing; accepted: steps, or a preset: progressive, emergency, blueGreen, migration
";
    assert_eq!((said.code, &*said.out), (1, expected), "{said:?}");
}

#[test]
fn every_namespace_is_one_table() {
    let server = with_rollout();
    let other = server.get(ROLLOUT).unwrap();
    let mut other = other;
    other["metadata"]["namespace"] = json!("b");
    other["spec"]["preset"] = json!("fast");
    server.put(&ROLLOUT.replace("/a/", "/b/"), other);
    let said = server.sluice("rollout status -A");
    let expected = "\
NAMESPACE   NAME   SPLIT   VERSION   PHASE         STEP     WEIGHT   MESSAGE
a           web    web     v1        Progressing   1 of 2   10 %     step 1
b           web    web     v1        Progressing   1 of ?   10 %     its spec has 1 mistake
";
    assert_eq!((said.code, &*said.out), (1, expected), "{said:?}");
}

#[test]
fn all_splits_are_set_or_none() {
    let server = ApiServer::start();
    let said = server.sluice("set --all canary=25 -A");
    assert_eq!(said.code, 0, "{said:?}");
    assert_eq!(
        [server.weight("web"), server.weight("checkout")],
        [json!(25), json!(25)],
        "{said:?}"
    );

    let (code, answer) = failure(403, "denied the request: not web");
    // Both are tried without effect first: that of checkout is fine.
    let patch = format!("PATCH {PLUGIN}");
    server.next(&patch, 1, Fate::Passed);
    server.next(&patch, 1, Fate::Answer(code, answer));
    let said = server.sluice("set --all canary=50");
    assert_eq!(said.code, 2, "{said:?}");
    assert_eq!(
        [server.weight("web"), server.weight("checkout")],
        [json!(25), json!(25)],
        "{said:?}"
    );
}
