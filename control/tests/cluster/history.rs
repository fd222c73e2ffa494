//! The history of many plugins.

use serde_json::{Value, json};

use crate::api_server::{ApiServer, REVISIONS, plugin};

/// Gives a plugin a history of so many changes, one a minute.
fn remember(server: &ApiServer, name: &str, hour: u32, count: u32) {
    let list = "/apis/extensions.istio.io/v1alpha1/namespaces/a/wasmplugins";
    let mut plugin = plugin(name, &json!({"splits": {"web": {}}}));
    plugin["metadata"]["generation"] = json!(count);
    let uid = plugin["metadata"]["uid"].clone();
    server.put(&format!("{list}/{name}"), plugin);
    for number in 1..=count {
        let revision = format!("{name}-{}-{number}", &uid.as_str().unwrap()[..8]);
        server.put(
            &format!("{REVISIONS}/{revision}"),
            json!({
                "metadata": {
                    "name": revision, "namespace": "a", "labels": {"sluice.dev/plugin-uid": uid},
                    "ownerReferences": [{
                        "apiVersion": "extensions.istio.io/v1alpha1", "kind": "WasmPlugin", "name": name, "uid": uid,
                    }],
                },
                "revision": number,
                "data": {
                    "revision": number, "at": format!("2026-11-21T{hour:02}:{number:02}:00Z"), "by": "ann",
                    "command": "set web canary=5", "changes": [], "after": {},
                },
            }),
        );
    }
}

#[test]
fn of_a_long_history_the_newest_changes_are_shown_and_the_rest_is_counted() {
    let server = ApiServer::start();
    for number in 0..12 {
        remember(&server, &format!("s{number:02}"), number, 50);
    }
    let shown = |arguments: &str| {
        let said = server.sluice(&format!("history -A{arguments}"));
        assert_eq!(said.code, 0, "{said:?}");
        let rows = said.out.lines().count();
        let first = said.out.lines().nth(1).unwrap().to_owned();
        (rows - 1, first, said.err)
    };
    let (rows, first, said) = shown("");
    assert_eq!(rows, 500);
    assert!(
        first.contains("a/s02") && first.contains("T02:01:00Z"),
        "{first}"
    );
    let note = "note: 100 older changes are left out; --limit 0 shows all";
    assert!(said.contains(note), "{said}");
    assert_eq!(shown(" --limit 0").0, 600);
    let (rows, first, _) = shown(" --limit 3");
    assert!(rows == 3 && first.contains("T11:48:00Z"), "{first}");
    let said = server.sluice("history -A -o json");
    let all: Vec<Value> = serde_json::from_str(&said.out).unwrap();
    assert_eq!(all.len(), 600);
}
