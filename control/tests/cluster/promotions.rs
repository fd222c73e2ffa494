//! `sluice promote --workload`: what was promoted in one namespace, for Git or for the Deployment of
//! another one.

use serde_json::{Value, json};

use crate::api_server::{ApiServer, Fate, Said};

const ROLLOUT: &str = "/apis/sluice.dev/v1alpha1/namespaces/stage/rollouts/web";
const COPY: &str = "/apis/apps/v1/namespaces/stage/deployments/web-stable";
const PROD: &str = "/apis/apps/v1/namespaces/prod/deployments/web";

fn deployment(namespace: &str, name: &str, image: &str) -> Value {
    let template = json!({
        "metadata": {"labels": {"app": "web"}},
        "spec": {"containers": [{"name": "web", "image": image, "env": [{"name": "A", "value": namespace}]}]},
    });
    json!({
        "apiVersion": "apps/v1", "kind": "Deployment",
        "metadata": {"name": name, "namespace": namespace, "uid": "1", "generation": 1, "resourceVersion": "7"},
        "spec": {"replicas": 3, "template": template},
    })
}

/// A server on which v2 was promoted in stage, and prod has v1; the phase of stage's Rollout.
fn server(phase: &str) -> ApiServer {
    let server = ApiServer::start();
    let run = json!({
        "number": 2, "version": "web:v3 (03)", "began": "2026-11-21T09:00:00Z", "step": 0, "since": "2026-11-21T09:00:00Z",
        "stage": if phase == "Progressing" { "Holding" } else { "Over" }, "weights": {}, "wanted": {},
    });
    server.put(
        ROLLOUT,
        json!({
            "apiVersion": "sluice.dev/v1alpha1", "kind": "Rollout", "metadata": {"name": "web", "namespace": "stage"},
            "spec": {"split": "web", "workload": {"deployment": "web"}, "preset": "emergency"},
            "status": {"phase": phase, "run": run},
        }),
    );
    let mut copy = deployment("stage", "web-stable", "r/web:v2");
    copy["metadata"]["labels"] = json!({"sluice.dev/rollout": "web"});
    copy["metadata"]["annotations"] = json!({"sluice.dev/version": "web:v2 (0c1f7bbcfe)"});
    server.put(COPY, copy);
    server.put(PROD, deployment("prod", "web", "r/web:v1"));
    server
}

/// The same, with what its controller remembers of both Deployments.
fn remembered(server: &ApiServer, kept: Value) {
    let mut rollout = server.get(ROLLOUT).unwrap();
    rollout["status"]["workload"] = kept;
    server.put(ROLLOUT, rollout);
}

fn promote(server: &ApiServer, options: &str) -> Said {
    let command = format!("promote web --from stage --to prod --workload {options}");
    server.sluice(command.trim_end())
}

#[test]
fn what_git_should_say_is_printed_and_nothing_is_written() {
    let server = server("RolledBack");
    let said = promote(&server, "");
    let expected = "\
# version web:v2 (0c1f7bbcfe), promoted in stage: what Git should say of Deployment web in prod
apiVersion: apps/v1
kind: Deployment
metadata:
  name: web
  namespace: prod
spec:
  template:
    spec:
      containers:
      - image: r/web:v2
        name: web
";
    assert_eq!((said.code, &*said.out), (0, expected), "{said:?}");
    assert_eq!(
        server.get(PROD),
        Some(deployment("prod", "web", "r/web:v1"))
    );
    let said = promote(&server, "-o json");
    let value: Value = serde_json::from_str(&said.out).unwrap();
    assert_eq!(value["version"], "web:v2 (0c1f7bbcfe)");
    let change = json!({"container": "web", "from": "r/web:v1", "to": "r/web:v2"});
    assert_eq!(value["changes"], json!([change]));
    let images = &value["patch"]["spec"]["template"]["spec"]["containers"];
    assert_eq!(*images, json!([{"name": "web", "image": "r/web:v2"}]));
}

#[test]
fn what_cannot_be_promoted_is_said_and_nothing_is_written() {
    let patch = format!("PATCH {PROD}");
    let conflict = json!({
        "kind": "Status", "status": "Failure", "code": 409, "reason": "Conflict", "message": "Apply failed",
        "details": {"causes": [{
            "reason": "FieldManagerConflict", "message": "conflict with \"argocd-controller\" using apps/v1",
            "field": ".spec.template.spec.containers[name=\"web\"].image",
        }]},
    });
    type Prepare = fn(&ApiServer);
    let nothing: Prepare = |_| {};
    let cases: [(&str, &str, Prepare, &str); 13] = [
        (
            "RolledBack",
            "api",
            nothing,
            "no Rollout of split web in stage follows Deployment api; they follow web",
        ),
        (
            "Progressing",
            "",
            nothing,
            "Rollout web in stage has a run under way, of web:v3 (03) (Progressing); wait for it by `sluice rollout \
             status web --wait`, or take web:v2 (0c1f7bbcfe), which was promoted before, by --during-run",
        ),
        (
            "Succeeded",
            "",
            nothing,
            "has a run under way, of web:v3 (03) (Succeeded)",
        ),
        (
            "RolledBack",
            "--apply",
            |server| remembered(server, json!({"isUnjudged": true})),
            "Deployment web-stable of Rollout web in stage has web:v2 (0c1f7bbcfe), which no run has judged: nothing was promoted \
             there yet",
        ),
        (
            "Progressing",
            "--apply --during-run",
            |server| remembered(server, json!({"isUnjudged": true})),
            "has web:v2 (0c1f7bbcfe), which no run has judged",
        ),
        (
            "Aborted",
            "--apply --during-run",
            |server| {
                remembered(
                    server,
                    json!({"promotions": [{"version": "web:v1 (01)", "run": 1}]}),
                )
            },
            "Deployment web-stable of Rollout web in stage was given web:v2 (0c1f7bbcfe), which is not promoted there; web:v1 (01) \
             was, last. What is under way is waited for by `sluice rollout status web --wait`",
        ),
        (
            "RolledBack",
            "--apply",
            |server| remembered(server, json!(7)),
            "the status of Rollout web in stage cannot be read: ",
        ),
        (
            "RolledBack",
            "",
            |server| server.remove(COPY),
            "there is no Deployment web-stable of Rollout web in stage: nothing was promoted there yet",
        ),
        (
            "RolledBack",
            "",
            |server| server.put(COPY, deployment("stage", "web-stable", "r/web:v2")),
            "there is no Deployment web-stable of Rollout web in stage: nothing was promoted there yet",
        ),
        (
            "RolledBack",
            "",
            |server| server.remove(PROD),
            "there is no Deployment web in prod",
        ),
        (
            "RolledBack",
            "",
            |server| server.remove(ROLLOUT),
            "no Rollout of split web in stage follows a Deployment",
        ),
        (
            "RolledBack",
            "--apply --dry-run",
            |server| {
                let mut other = deployment("prod", "web", "r/web:v1");
                other["spec"]["template"]["spec"]["containers"][0]["name"] = json!("app");
                server.put(PROD, other);
            },
            "Deployment web has containers app in prod, and web in stage; accepted: the same names in both, in any order",
        ),
        (
            "RolledBack",
            "--apply",
            nothing,
            "Deployment web in prod: spec.template.spec.containers[name=\"web\"].image is set by field manager \
             \"argocd-controller\"; nothing was changed. Whoever set them would set them back: let Git say what is \
             printed without --apply",
        ),
    ];
    for (phase, options, prepare, expected) in cases {
        let server = server(phase);
        prepare(&server);
        let before = server.get(PROD);
        server.next(&*patch, 1, Fate::Answer(409, conflict.clone()));
        let said = promote(&server, options);
        assert_eq!(said.code, 2, "{expected}: {said:?}");
        assert!(said.err.contains(expected), "{expected}: {said:?}");
        assert_eq!(server.get(PROD), before, "{expected}");
    }
}

#[test]
fn what_somebody_changed_since_it_was_promoted_is_not_handed_on() {
    let server = server("RolledBack");
    let mut copy = server.get(COPY).unwrap();
    let template = copy["spec"]["template"].clone();
    copy["spec"]["template"]["spec"]["containers"][0]["image"] = json!("r/web:hotfix");
    server.put(COPY, copy);
    let said = promote(&server, "");
    assert_eq!((said.code, &*said.out), (2, ""), "{said:?}");
    assert!(
        said.err
            .contains("was changed since it was given web:v2 (0c1f7bbcfe)"),
        "{said:?}"
    );
    assert!(said.err.contains("which no run has judged"), "{said:?}");
    // What is kept of it is what was promoted.
    let kept = "/api/v1/namespaces/stage/podtemplates/web-stable-0c1f7bbcfe";
    let metadata = json!({"name": "web-stable-0c1f7bbcfe", "namespace": "stage"});
    server.put(
        kept,
        json!({"apiVersion": "v1", "kind": "PodTemplate", "metadata": metadata, "template": template}),
    );
    let said = promote(&server, "");
    assert_eq!(said.code, 0, "{said:?}");
    assert!(said.out.contains("image: r/web:v2"), "{said:?}");
    assert!(
        said.err
            .contains("what is taken is the template that was promoted"),
        "{said:?}"
    );
}

#[test]
fn what_was_promoted_before_a_run_is_taken_where_it_is_asked_for() {
    let server = server("Progressing");
    let said = promote(&server, "--during-run");
    assert_eq!(said.code, 0, "{said:?}");
    assert!(said.out.contains("image: r/web:v2"), "{said:?}");
}

#[test]
fn an_image_that_is_applied_is_looked_at_afterwards() {
    let server = server("RolledBack");
    let said = promote(&server, "--apply");
    assert_eq!(
        (said.code, &*said.out),
        (0, "web web: r/web:v1 -> r/web:v2\n"),
        "{said:?}"
    );
    let said = promote(&server, "--apply");
    let again = "nothing to change: the images are already so\n";
    assert_eq!((said.code, &*said.out), (0, again), "{said:?}");

    server.put(PROD, deployment("prod", "web", "r/web:v1"));
    let lie = deployment("prod", "web", "r/web:v2");
    server.next(format!("PATCH {PROD}"), 1, Fate::Answer(200, lie));
    let said = promote(&server, "--apply");
    let expected = "Deployment web in prod: container web was given r/web:v2 and has r/web:v1: somebody else writes it";
    assert_eq!(
        (said.code, said.err.contains(expected)),
        (2, true),
        "{said:?}"
    );
}
