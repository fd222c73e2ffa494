//! Changes and aborts among other writers: what is found of them when an answer is lost, what is
//! remembered, and what must not land any more.

use serde_json::json;

use crate::api_server::{ApiServer, Fate, PLUGIN, failure};

fn patch() -> String {
    format!("PATCH {PLUGIN}")
}

#[test]
fn a_change_without_an_answer_is_found_behind_another_splits() {
    let server = ApiServer::start();
    server.next(patch(), 1, Fate::LostAmid(&["set checkout canary=7"]));
    let said = server.sluice("set web canary=20");
    assert_eq!(said.code, 0, "{said:?}");
    let made = "but it was made: it was read back";
    assert!(said.err.contains(made), "{said:?}");
    assert_eq!(
        [server.weight("web"), server.weight("checkout")],
        [20, 7].map(|percent| json!(percent))
    );
    let history = server.history();
    let seen = history
        .iter()
        .map(|entry| (&entry["revision"], &entry["command"]));
    let expected = [
        (&json!(2), &json!("set web canary=20")),
        (&json!(3), &json!("set checkout canary=7")),
    ];
    assert_eq!(seen.collect::<Vec<_>>(), expected);
}

#[test]
fn a_change_does_not_land_after_an_abort_that_another_splits_change_hides() {
    // The second abort finds zeros only, and may be of the same second.
    for others in [&["abort web", "set checkout canary=7"][..], &["abort web"]] {
        let server = ApiServer::start();
        assert_eq!(server.sluice("abort web").code, 0);
        server.next(patch(), 1, Fate::Behind(others));
        let said = server.sluice("set web canary=20");
        assert_eq!(said.code, 1, "{said:?}");
        let why = "its zeros were written again, by `abort web`";
        assert!(said.err.contains(why), "{said:?}");
        assert_eq!(server.weight("web"), json!(0));
    }
}

#[test]
fn of_two_aborts_at_once_the_one_that_changed_something_is_remembered() {
    let server = ApiServer::start();
    let list = "/apis/extensions.istio.io/v1alpha1/namespaces/a/wasmplugins";
    let stale = json!({"metadata": {}, "items": [server.get(PLUGIN).unwrap()]});
    assert_eq!(server.sluice("abort web --reason first").code, 0);
    server.next(format!("GET {list}"), 1, Fate::Answer(200, stale));
    let said = server.sluice("abort web --reason second");
    assert_eq!(
        (said.code, said.err.contains("note")),
        (0, false),
        "{said:?}"
    );
    let history = server.history();
    let reasons: Vec<_> = history.iter().map(|entry| &entry["reason"]).collect();
    assert_eq!(reasons, [&json!("first")]);
}

#[test]
fn an_abort_that_is_too_large_to_be_stored_is_made_by_replacing_what_is_in_the_way() {
    for (code, message) in [
        (413, "Request entity too large: limit is 3145728"),
        (500, "etcdserver: request is too large"),
        (
            500,
            "rpc error: code = ResourceExhausted desc = trying to send message larger than max (2097165 vs. 2097152)",
        ),
    ] {
        let server = ApiServer::start();
        let mut plugin = server.get(PLUGIN).unwrap();
        plugin["spec"]["pluginConfig"]["weights"]["junk"] = json!("x".repeat(600_000));
        server.put(PLUGIN, plugin);
        // With its note and without.
        let (code, answer) = failure(code, message);
        server.next(patch(), 2, Fate::Answer(code, answer));
        let said = server.sluice("abort web");
        assert_eq!(said.code, 0, "{message}: {said:?}");
        assert_eq!(server.weight("web"), json!(0), "{message}");
        assert_eq!(server.weight("checkout"), json!(10), "{message}");
    }
}

#[test]
fn a_change_of_all_plugins_is_decided_on_what_the_listing_saw() {
    let server = ApiServer::start();
    server.next(format!("GET {PLUGIN}"), 9, Fate::LostBefore);
    let said = server.sluice("set web canary=20 -A");
    assert_eq!(said.code, 0, "{said:?}");
    assert_eq!(server.weight("web"), json!(20));

    let server = ApiServer::start();
    server.next(patch(), 1, Fate::Behind(&["set web canary=7"]));
    let said = server.sluice("set web canary=20 -A");
    assert_eq!(said.code, 1, "{said:?}");
    let why = "split web was changed since this command began: everyone/canary 10 -> 7";
    assert!(said.err.contains(why), "{said:?}");
    assert_eq!(server.weight("web"), json!(7));
}
