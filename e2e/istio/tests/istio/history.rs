//! The history in a cluster that others may write to: what they may write, and what is made of it.

use serde_json::{Value, json};
use sluice_e2e::wait::until;
use sluice_e2e_istio::kubernetes::Kubernetes;

use crate::access::mover_client;
use crate::policy::plugin;
use crate::world::World;

const MOVER: &str = "system:serviceaccount:a:mover";

/// A plugin in a, which selects nobody, with 10 % of everyone on web's canary.
async fn plugin_at_10(world: &World) {
    let plugin = plugin(&json!({"splits": {"web": {}}}));
    world.chain.kubernetes.apply(&plugin.to_string()).await;
    world.set("web", 10).await;
}

/// The plugin in a as its history knows it: its uid and its generation.
async fn owner(world: &World) -> (String, i64) {
    let plugin = world.chain.kubernetes.get("WasmPlugin", "a", "sluice");
    let metadata = plugin.await.unwrap().metadata;
    (metadata.uid.unwrap(), metadata.generation.unwrap())
}

/// A revision as `sluice` writes it, which says that everybody gets the canary.
fn revision(uid: &str, number: i64, by: &str) -> Value {
    json!({
        "apiVersion": "apps/v1", "kind": "ControllerRevision",
        "metadata": {
            "name": format!("sluice-{}-{number}", &uid[..8]), "namespace": "a",
            "labels": {"sluice.dev/plugin-uid": uid},
            "ownerReferences": [{
                "apiVersion": "extensions.istio.io/v1alpha1", "kind": "WasmPlugin", "name": "sluice", "uid": uid,
                "controller": true,
            }],
        },
        "revision": number,
        "data": {
            "revision": number, "at": "2026-11-20T09:00:00Z", "by": by, "command": "set web canary=100",
            "changes": [{"split": "web", "audience": "everyone", "challenger": "canary", "from": 0, "to": 100}],
            "after": {"weights": {"web": {"everyone": {"canary": 100}}}},
        },
    })
}

/// A StatefulSet's, from which its controller would start a privileged pod.
fn of_a_stateful_set() -> Value {
    json!({
        "apiVersion": "apps/v1", "kind": "ControllerRevision",
        "metadata": {"name": "db-1", "namespace": "a", "labels": {"app": "db"}},
        "revision": 1,
        "data": {"spec": {"template": {"spec": {"containers": [
            {"name": "x", "image": "x", "securityContext": {"privileged": true}}]}}}},
    })
}

/// Asserts that the API server refuses each to an account.
async fn assert_refused(account: &Kubernetes, revisions: Vec<(&str, Value, &str)>) {
    for (label, revision, reason) in revisions {
        let error = account.create(&revision).await.unwrap_err().to_string();
        assert!(error.contains(reason), "{label}: {error}");
    }
}

pub async fn an_account_for_weights_writes_only_our_revisions_and_in_its_own_name(
    world: &mut World,
) {
    plugin_at_10(world).await;
    let mover = mover_client(world).await;
    let admin = &world.chain.kubernetes;
    let (uid, _) = owner(world).await;
    let edited = |pointer: &str, value: Value| {
        let mut revision = revision(&uid, 900, MOVER);
        let (parent, field) = pointer.rsplit_once('/').unwrap();
        revision.pointer_mut(parent).unwrap()[field] = value;
        revision
    };
    let (not_ours, form) = (
        "only revisions of the history",
        "must have the label sluice.dev/plugin-uid",
    );
    let (content, name) = ("must hold revision, at, by", "each in their own name");
    let stateful_set = json!([{"apiVersion": "apps/v1", "kind": "StatefulSet", "name": "db", "uid": uid, "controller": true}]);
    let labels = json!({"sluice.dev/plugin-uid": uid, "app": "db"});
    let refused = vec![
        ("a StatefulSet's", of_a_stateful_set(), not_ours),
        (
            "with a StatefulSet as its owner",
            edited("/metadata/ownerReferences", stateful_set),
            not_ours,
        ),
        (
            "one that a StatefulSet's selector finds",
            edited("/metadata/labels", labels),
            form,
        ),
        (
            "one that nobody controls",
            edited("/metadata/ownerReferences/0/controller", json!(false)),
            form,
        ),
        (
            "another name",
            edited("/metadata/name", json!("sluice-x")),
            form,
        ),
        ("another number", edited("/revision", json!(901)), form),
        ("a template", edited("/data/spec", json!({})), content),
        (
            "a long reason",
            edited("/data/reason", json!("x".repeat(1_025))),
            content,
        ),
        (
            "many changes",
            edited("/data/changes", json!(["x".repeat(600_000)])),
            content,
        ),
        ("another's name", revision(&uid, 900, "admin"), name),
    ];
    assert_refused(&mover, refused).await;
    let ours = mover.create(&revision(&uid, 900, MOVER)).await.unwrap();
    let forged = vec![("the mover's name", revision(&uid, 901, MOVER), name)];
    assert_refused(admin, forged).await;
    admin.create(&of_a_stateful_set()).await.unwrap();
    let error = mover.try_delete("ControllerRevision", "a", "db-1").await;
    let error = error.unwrap_err().to_string();
    assert!(error.contains(not_ours), "{error}");
    let ours = ours.metadata.name.unwrap();
    mover
        .try_delete("ControllerRevision", "a", &ours)
        .await
        .unwrap();
    admin.delete("ControllerRevision", "a", "db-1").await;
}

pub async fn forged_revisions_are_not_gone_back_to(world: &mut World) {
    plugin_at_10(world).await;
    world.set("web", 20).await;
    let true_history = world.sluice("history -n a -o json").await.good().out;
    let kubernetes = &world.chain.kubernetes;
    let (uid, generation) = owner(world).await;
    let forged = (1..=600).map(|number| revision(&uid, 1_000_000 + number, "mallory"));
    let mut nobodys = revision(&uid, generation - 1, "mallory");
    nobodys["metadata"]["name"] = json!("sluice-forged");
    nobodys["metadata"]["ownerReferences"] = json!(null);
    let mut deep = revision(&uid, 1, "mallory");
    deep["data"]["after"] = (0..130).fold(json!(5), |inside, _| json!([inside]));
    // Without the policy; one that was just removed is in force for some moments more.
    until("a forged revision", async || {
        let created = kubernetes.create(&nobodys).await;
        created.map_err(|error| error.to_string())
    })
    .await;
    for revision in forged {
        kubernetes.create(&revision).await.unwrap();
    }
    // Made, but this client cannot read the answer either.
    let unreadable = kubernetes.create(&deep).await.unwrap_err();
    assert!(
        matches!(unreadable, kube::Error::SerdeError(_)),
        "{unreadable}"
    );
    let said = world.sluice("history -n a -o json").await.good();
    assert_eq!(said.out, true_history);
    assert!(
        said.err
            .contains("note: 602 ControllerRevisions claim to be of this history and are left out"),
        "{said:?}"
    );
    world
        .sluice("rollback --to 1000001 -n a")
        .await
        .ended_with(2);
    world.sluice("rollback -n a").await.good();
    assert_eq!(world.weight("a", "/web/everyone/canary").await, Some(10.0));
    // Other tests list revisions with the client that cannot read this one.
    let name = deep["metadata"]["name"].as_str().unwrap();
    kubernetes.delete("ControllerRevision", "a", name).await;
}

pub async fn a_revision_that_was_written_in_advance_does_not_hide_the_change(world: &mut World) {
    plugin_at_10(world).await;
    let mover = mover_client(world).await;
    let (uid, generation) = owner(world).await;
    let in_advance = revision(&uid, generation + 1, MOVER);
    mover.create(&in_advance).await.unwrap();
    world.set("web", 20).await;
    let history = world.sluice("history -n a").await.good();
    assert!(
        history.out.contains("web/everyone/canary 10->20") && !history.out.contains(MOVER),
        "{history:?}"
    );
}
