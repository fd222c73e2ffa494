//! An abort says what was done, whatever the API server does to it.

use serde_json::json;

use crate::api_server::{ApiServer, Fate, PLUGIN, REVISIONS, Said, failure, plugin};

const WEB_TO_ZERO: &str = "web everyone canary: 10 -> 0\n";

fn patch() -> String {
    format!("PATCH {PLUGIN}")
}

/// The commands and the changes of the history.
fn history(server: &ApiServer) -> Vec<(String, u64, usize)> {
    let entry = |entry: serde_json::Value| {
        let command = entry["command"].as_str().unwrap().to_owned();
        let changes = entry["changes"].as_array().unwrap().len();
        (command, entry["revision"].as_u64().unwrap(), changes)
    };
    server.history().into_iter().map(entry).collect()
}

#[track_caller]
fn assert_says(said: &Said, code: i32, parts: &[&str]) {
    assert_eq!(said.code, code, "{said:?}");
    for part in parts {
        assert!(said.err.contains(part), "{part}: {said:?}");
    }
}

#[test]
fn an_abort_whose_answers_are_lost_says_and_remembers_what_it_did() {
    let cases = [
        ("one", vec![Fate::LostAfter]),
        ("two", vec![Fate::LostAfter, Fate::LostAfter]),
        ("all", vec![Fate::LostAfter; 3]),
        ("all but the last before it was done", {
            vec![Fate::LostBefore, Fate::LostBefore, Fate::LostAfter]
        }),
        ("a proxy's answer", {
            let (code, answer) = failure(504, "gateway timeout");
            vec![Fate::LostAfter, Fate::Answer(code, answer)]
        }),
    ];
    for (label, fates) in cases {
        let server = ApiServer::start();
        for fate in fates {
            server.next(patch(), 1, fate);
        }
        let said = server.sluice("abort web");
        assert_says(&said, 0, &["it is unknown whether it was made: looking"]);
        assert_eq!(said.out, WEB_TO_ZERO, "{label}: {said:?}");
        assert_eq!(server.weight("web"), json!(0), "{label}");
        let expected = [("abort web".to_owned(), 2, 1)];
        assert_eq!(history(&server), expected, "{label}");
    }
}

#[test]
fn an_abort_that_cannot_be_looked_up_is_said_to_be_unknown() {
    for (label, fate) in [("done", Fate::LostAfter), ("not done", Fate::LostBefore)] {
        let server = ApiServer::start();
        server.next(patch(), 3, fate);
        // The first read is before, the others are between.
        server.next(format!("GET {PLUGIN}"), 3, Fate::Passed);
        server.next(format!("GET {PLUGIN}"), 100, Fate::LostBefore);
        let said = server.sluice("abort web --plugin wasmplugin/sluice");
        assert_says(&said, 1, &["it is still unknown whether it was made"]);
        assert_eq!(said.out, "", "{label}");
    }
    let server = ApiServer::start();
    server.next(patch(), 3, Fate::LostBefore);
    let said = server.sluice("abort web");
    let unread = "it is still unknown whether it was made: the plugin does not show it";
    assert_says(&said, 1, &[unread]);
    assert_eq!(server.weight("web"), json!(10));
}

#[test]
fn an_abort_that_no_api_server_answers_names_what_works_without_one() {
    let key = "`sluice brake pull` with the controller's key works without the API server";
    for command in [
        "abort web",
        "abort web -A",
        "abort --all -A",
        "rollout abort web",
    ] {
        let server = ApiServer::start();
        for method in ["GET", "POST"] {
            server.next(method, 100, Fate::LostBefore);
        }
        let said = server.sluice(command);
        assert_says(&said, 2, &["cannot be reached", key]);
    }
    // What answers is no API server, or one in trouble.
    let trouble = json!({"kind": "Status", "status": "Failure", "code": 500, "message": "etcd", "reason": ""});
    for (code, answer) in [(200, json!("garbage")), (500, trouble)] {
        for command in ["abort web", "abort web -A", "rollout abort web"] {
            let server = ApiServer::start();
            for method in ["GET", "POST", "PATCH"] {
                server.next(method, 100, Fate::Answer(code, answer.clone()));
            }
            let said = server.sluice(command);
            assert!(said.err.contains(key), "{code}: {command}: {}", said.err);
        }
    }
    // Listed, and then not to be reached any more.
    let server = ApiServer::start();
    server.next(patch(), 3, Fate::LostBefore);
    server.next(format!("GET {PLUGIN}"), 100, Fate::LostBefore);
    let said = server.sluice("abort web -A");
    assert_says(&said, 1, &["a/sluice: NOT ABORTED", key]);
}

#[test]
fn an_answer_that_is_not_of_the_plugin_is_not_believed() {
    let zeros = json!({"splits": {"web": {}}, "weights": {"web": {"everyone": {"canary": 0}}}});
    let mut without_uid = plugin("sluice", &zeros);
    without_uid["metadata"]["uid"] = json!(null);
    let mut without_config = plugin("sluice", &zeros);
    without_config["spec"] = json!({});
    let lies = [
        ("nothing", json!({})),
        ("no uid", without_uid),
        ("no configuration", without_config),
        ("another's", plugin("other", &zeros)),
        ("a list", json!([])),
    ];
    for (label, lie) in lies {
        let server = ApiServer::start();
        server.next(patch(), 1, Fate::Lie(lie.clone()));
        let said = server.sluice("abort web");
        assert_says(&said, 0, &["it is unknown whether it was made: looking"]);
        assert_eq!(said.out, WEB_TO_ZERO, "{label}");
        let expected = [("abort web".to_owned(), 2, 1)];
        assert_eq!(history(&server), expected, "{label}");

        let server = ApiServer::start();
        server.next(patch(), 3, Fate::Answer(200, lie.clone()));
        let said = server.sluice("abort web");
        assert_says(&said, 1, &["it is still unknown whether it was made"]);

        let server = ApiServer::start();
        server.next(patch(), 1, Fate::Lie(lie.clone()));
        let said = server.sluice("set web canary=20");
        assert_says(&said, 0, &["but it was made: it was read back"]);

        // Read, a plugin without a configuration is one.
        if label != "no configuration" {
            let server = ApiServer::start();
            server.next(format!("GET {PLUGIN}"), 9, Fate::Answer(200, lie));
            let said = server.sluice("abort --all --plugin wasmplugin/sluice");
            assert_says(
                &said,
                2,
                &["a/sluice: the cluster at", "answered with an error"],
            );
        }
    }
}

#[test]
fn an_abort_does_not_wait_for_its_history() {
    let server = ApiServer::start();
    server.next(format!("POST {REVISIONS}"), 1, Fate::Silence);
    let said = server.sluice("abort web");
    let note = "`sluice history` will not have it: no answer in 3 s";
    assert_says(&said, 0, &[note]);
    assert_eq!(said.out, WEB_TO_ZERO);
}

#[test]
fn an_abort_acts_on_what_could_be_listed_and_says_what_could_not() {
    let (code, answer) = failure(500, "the CRD's conversion is broken");
    let broken = Fate::Answer(code, answer);
    let lists = [
        "/apis/extensions.istio.io/v1alpha1/namespaces/a/trafficextensions",
        "/apis/extensions.istio.io/v1alpha1/trafficextensions",
    ];
    for command in ["abort web", "abort web -A", "abort --all -A"] {
        for broken in [broken.clone(), Fate::Answer(200, json!({}))] {
            let server = ApiServer::start();
            for list in lists {
                server.next(format!("GET {list}"), 9, broken.clone());
            }
            let said = server.sluice(command);
            let parts = ["note: TrafficExtensions of", "are NOT ABORTED: plugins of"];
            assert_says(&said, 1, &parts);
            assert!(said.out.contains(WEB_TO_ZERO), "{said:?}");
            assert_eq!(server.weight("web"), json!(0), "{command}");
            // Any other command would have to know all of them.
            assert_eq!(server.sluice("get -A").code, 2);
        }
    }
}

#[test]
fn an_abort_acts_on_the_pages_that_could_be_read() {
    let server = ApiServer::start();
    let list = "/apis/extensions.istio.io/v1alpha1/wasmplugins";
    let page = json!({"metadata": {"continue": "more"}, "items": [server.get(PLUGIN).unwrap()]});
    server.next(format!("GET {list}"), 1, Fate::Answer(200, page));
    let (code, answer) = failure(410, "the continue token has expired");
    server.next(format!("GET {list}"), 1, Fate::Answer(code, answer));
    let said = server.sluice("abort --all -A");
    let parts = [
        "note: WasmPlugins of every namespace",
        "are NOT ABORTED: plugins of",
    ];
    assert_says(&said, 1, &parts);
    assert_eq!(server.weight("web"), json!(0));
}

#[test]
fn an_abort_that_others_overtake_for_ever_is_said_not_to_be_in_force() {
    let server = ApiServer::start();
    let (code, answer) = failure(409, "the object has been modified");
    server.next(patch(), 100_000, Fate::Answer(code, answer));
    let said = server.sluice("abort web");
    let why = "NOT IN FORCE: others have been writing for 5 s; nothing was changed, try again";
    assert_says(&said, 1, &[why]);
    assert_eq!(said.out, "no weight was changed\n");
}

#[test]
fn an_abort_that_others_overtake_gets_its_turn() {
    let server = ApiServer::start();
    let (code, answer) = failure(409, "the object has been modified");
    server.next(patch(), 7, Fate::Answer(code, answer));
    let said = server.sluice("abort web");
    assert_says(&said, 0, &[]);
    assert_eq!(said.out, WEB_TO_ZERO);
}
