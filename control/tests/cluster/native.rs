//! The EnvoyFilter of a plugin that is annotated as native follows the plugin, whoever writes which
//! of them.

use serde_json::{Value, json};

use crate::api_server::{ApiServer, Fate, PLUGIN, Said, failure, plugin};

const FILTER: &str = "/apis/networking.istio.io/v1alpha3/namespaces/a/envoyfilters/sluice-native";

const FILTERS: &str = "POST /apis/networking.istio.io/v1alpha3/namespaces/a/envoyfilters";

/// A server whose plugin says that it is native.
fn annotated(value: &str) -> ApiServer {
    let server = ApiServer::start();
    let mut plugin = server.get(PLUGIN).unwrap();
    plugin["metadata"]["annotations"] = json!({"sluice.dev/native": value});
    server.put(PLUGIN, plugin);
    server
}

/// The weight of web's canary that native proxies have.
fn weight(server: &ApiServer) -> Value {
    let filter = server.get(FILTER).unwrap();
    let patches = filter["spec"]["configPatches"].as_array().unwrap();
    let mut configs = patches.iter().filter_map(|patch| {
        let filter = &patch["patch"]["value"]["typed_config"]["filter_config"];
        filter["value"].as_str()
    });
    let config: Value = serde_json::from_str(configs.next().unwrap()).unwrap();
    config["weights"]["web"]["everyone"]["canary"].clone()
}

fn generation(server: &ApiServer) -> Value {
    server.get(FILTER).unwrap()["metadata"]["annotations"]["sluice.dev/generation"].clone()
}

#[track_caller]
fn assert_good(said: &Said) {
    assert_eq!(said.code, 0, "{said:?}");
    assert!(!said.err.contains("note:"), "{said:?}");
}

#[test]
fn every_write_of_weights_writes_both() {
    let server = annotated("true");
    assert_good(&server.sluice("set web canary=20"));
    assert_eq!(
        (weight(&server), generation(&server)),
        (json!(20), json!("2"))
    );
    let owner = &server.get(FILTER).unwrap()["metadata"]["ownerReferences"][0];
    assert_eq!(
        (&owner["kind"], &owner["uid"]),
        (&json!("WasmPlugin"), &json!("0123456789-sluice"))
    );
    assert_good(&server.sluice("set web canary=30"));
    assert_eq!(
        (weight(&server), generation(&server)),
        (json!(30), json!("3"))
    );
    assert_good(&server.sluice("abort web"));
    assert_eq!(
        (weight(&server), generation(&server)),
        (json!(0), json!("4"))
    );
    assert_good(&server.sluice("rollback --to 3"));
    assert_eq!(weight(&server), json!(30));
}

#[test]
fn a_plugin_that_is_not_native_is_written_alone() {
    for server in [ApiServer::start(), annotated("false")] {
        assert_good(&server.sluice("set web canary=20"));
        assert_good(&server.sluice("abort web"));
        assert_eq!(server.get(FILTER), None);
    }
}

#[test]
fn what_somebody_else_wrote_of_a_newer_plugin_stays() {
    let server = annotated("true");
    assert_good(&server.sluice("set web canary=20"));
    let mut newer = server.get(FILTER).unwrap();
    newer["metadata"]["annotations"]["sluice.dev/generation"] = json!("9");
    server.put(FILTER, newer.clone());
    assert_good(&server.sluice("set web canary=30"));
    assert_eq!(server.get(FILTER), Some(newer.clone()));
    // A plugin that was made anew counts its generations anew.
    let mut again = newer;
    again["metadata"]["ownerReferences"][0]["uid"] = json!("a former one");
    server.put(FILTER, again);
    assert_good(&server.sluice("set web canary=40"));
    assert_eq!(
        (weight(&server), generation(&server)),
        (json!(40), json!("4"))
    );
}

#[test]
fn a_writer_who_was_overtaken_looks_again() {
    let server = annotated("true");
    assert_good(&server.sluice("set web canary=20"));
    server.next(
        format!("PATCH {FILTER}"),
        1,
        Fate::Behind(&["set web canary=40"]),
    );
    assert_good(&server.sluice("set web canary=30"));
    assert_eq!(
        (weight(&server), server.weight("web")),
        (json!(40), json!(40))
    );
}

#[test]
fn a_refusal_is_said_and_the_weights_are_written_all_the_same() {
    let server = annotated("true");
    let (code, answer) = failure(403, "envoyfilters is forbidden");
    server.next(FILTERS, 1, Fate::Answer(code, answer));
    let said = server.sluice("abort web");
    let expected = "NATIVE PROXIES KEEP WHAT THEY HAVE: EnvoyFilter a/sluice-native was not written: \
                    this account may not: envoyfilters is forbidden; nor has a controller written it within 5 s";
    assert!(said.err.contains(expected), "{said:?}");
    assert_eq!((said.code, server.weight("web")), (1, json!(0)));
    assert_eq!(server.get(FILTER), None);
}

#[test]
fn a_controller_that_writes_it_is_waited_for() {
    let server = annotated("true");
    assert_good(&server.sluice("set web canary=20"));
    let (code, answer) = failure(403, "envoyfilters is forbidden");
    server.next(format!("PATCH {FILTER}"), 1, Fate::Answer(code, answer));
    let watched = server.clone();
    let controller = std::thread::spawn(move || {
        while watched.weight("web") != json!(30) {
            std::thread::sleep(std::time::Duration::from_millis(10));
        }
        let mut filter = watched.get(FILTER).unwrap();
        filter["metadata"]["annotations"]["sluice.dev/generation"] = json!("3");
        watched.put(FILTER, filter);
    });
    assert_good(&server.sluice("set web canary=30"));
    controller.join().unwrap();
}

#[test]
fn who_may_not_even_look_is_told_where_to() {
    let server = annotated("true");
    let (code, answer) = failure(403, "envoyfilters is forbidden");
    server.next(format!("GET {FILTER}"), 2, Fate::Answer(code, answer));
    let said = server.sluice("set web canary=20");
    let expected =
        "native proxies follow once a controller has written EnvoyFilter a/sluice-native";
    assert!(said.err.contains(expected), "{said:?}");
    assert_eq!((said.code, server.weight("web")), (0, json!(20)));
}

#[test]
fn an_annotation_that_is_nonsense_leaves_what_stands() {
    let server = annotated("true");
    assert_good(&server.sluice("set web canary=20"));
    let mut plugin = server.get(PLUGIN).unwrap();
    plugin["metadata"]["annotations"]["sluice.dev/native-library"] = json!("here");
    server.put(PLUGIN, plugin);
    let said = server.sluice("set web canary=30");
    assert!(
        said.err
            .contains("sluice.dev/native-library: \"here\"; accepted: "),
        "{said:?}"
    );
    assert_eq!(
        (weight(&server), server.weight("web")),
        (json!(20), json!(30))
    );
}

#[test]
fn an_envoy_filter_of_somebody_elses_is_left_alone() {
    let server = annotated("true");
    let mut others = plugin("sluice-native", &json!({}));
    others["kind"] = json!("EnvoyFilter");
    server.put(FILTER, others.clone());
    let said = server.sluice("set web canary=20");
    assert!(
        said.err
            .contains("there is an EnvoyFilter of this name that is not the plugin's"),
        "{said:?}"
    );
    assert_eq!(server.get(FILTER), Some(others));
}
