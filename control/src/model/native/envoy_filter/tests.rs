use super::*;
use crate::model::native::annotations::DEFAULT_LIBRARY;

fn plugin<'a>(spec: &Value, config: &'a Value) -> NativePlugin<'a> {
    NativePlugin {
        kind: Kind::WasmPlugin,
        namespace: "shop",
        name: "sluice",
        scope: Scope::read(&json!({"spec": spec})).unwrap(),
        config,
        pushed: None,
    }
}

fn local() -> Library {
    Library::File(DEFAULT_LIBRARY.to_owned())
}

/// The contexts and kinds of proxies of an EnvoyFilter's patches.
fn places(filter: &Value) -> (Vec<String>, Vec<String>) {
    let patches = filter["spec"]["configPatches"].as_array().unwrap();
    let (mut contexts, mut kinds) = (Vec::new(), Vec::new());
    for patch in patches {
        match patch["match"]["context"].as_str() {
            Some(context) => contexts.push(context.to_owned()),
            None => {
                let name = patch["patch"]["value"]["name"].as_str().unwrap();
                kinds.push(name.rsplit_once('~').unwrap().1.to_owned());
            }
        }
    }
    (contexts, kinds)
}

#[test]
fn proxies_are_those_of_the_plugin_and_no_others() {
    let gateway = json!([{"group": "gateway.networking.k8s.io", "kind": "Gateway", "name": "g"}]);
    let service = json!([{"kind": "Service", "name": "web"}]);
    let sides = |mode: &str| json!([{"mode": mode}]);
    let out = ["SIDECAR_OUTBOUND", "GATEWAY"];
    let both = ["SIDECAR_OUTBOUND", "SIDECAR_INBOUND", "GATEWAY"];
    let cases = [
        (
            "callers",
            json!({"match": sides("CLIENT")}),
            &out[..],
            &["sidecar", "gateway"][..],
        ),
        (
            "servers",
            json!({"match": sides("SERVER")}),
            &["SIDECAR_INBOUND"],
            &["sidecar"],
        ),
        ("no side", json!({}), &both, &["sidecar", "gateway"]),
        (
            "both sides",
            json!({"match": sides("CLIENT_AND_SERVER")}),
            &both,
            &["sidecar", "gateway"],
        ),
        (
            "one of two sides",
            json!({"match": [{"mode": "SERVER"}, {"mode": "CLIENT"}]}),
            &both,
            &["sidecar", "gateway"],
        ),
        (
            "a gateway, which may be a waypoint",
            json!({"targetRefs": gateway}),
            &["GATEWAY", "WAYPOINT"],
            &["gateway", "waypoint"],
        ),
        (
            "a gateway's callers",
            json!({"targetRefs": gateway, "match": sides("CLIENT")}),
            &["GATEWAY"],
            &["gateway"],
        ),
        (
            "a waypoint's service",
            json!({"targetRefs": service}),
            &["WAYPOINT"],
            &["waypoint"],
        ),
    ];
    let config = json!({"splits": {"web": {}}});
    for (label, spec, contexts, kinds) in cases {
        let filter = envoy_filter(&plugin(&spec, &config), &local()).unwrap();
        let (of_contexts, of_kinds) = places(&filter);
        assert_eq!(
            (&of_contexts[..], &of_kinds[..]),
            (
                &contexts
                    .iter()
                    .map(|context| (*context).to_owned())
                    .collect::<Vec<_>>()[..],
                &kinds
                    .iter()
                    .map(|kind| (*kind).to_owned())
                    .collect::<Vec<_>>()[..],
            ),
            "{label}"
        );
        let targets = &filter["spec"]["targetRefs"];
        let selector = &filter["spec"]["workloadSelector"];
        assert_eq!(
            targets,
            spec.get("targetRefs").unwrap_or(&Value::Null),
            "{label}"
        );
        assert_eq!(selector.is_null(), !targets.is_null(), "{label}");
    }
}

#[test]
fn only_the_configuration_says_the_weights() {
    let spec = json!({"match": [{"mode": "CLIENT"}]});
    let of = |percent: u32| {
        let config =
            json!({"splits": {"web": {}}, "weights": {"web": {"everyone": {"canary": percent}}}});
        let filter = envoy_filter(&plugin(&spec, &config), &local()).unwrap();
        filter["spec"]["configPatches"].as_array().unwrap().clone()
    };
    let (five, six) = (of(5), of(6));
    let differing = five.iter().zip(&six).filter(|(one, other)| one != other);
    let kinds = differing.map(|(patch, _)| patch["applyTo"].as_str().unwrap());
    assert_eq!(
        kinds.collect::<Vec<_>>(),
        ["EXTENSION_CONFIG", "EXTENSION_CONFIG"]
    );
    let text = five[2]["patch"]["value"]["typed_config"]["filter_config"]["value"].as_str();
    let text: Value = serde_json::from_str(text.unwrap()).unwrap();
    assert_eq!(text["weights"]["web"]["everyone"]["canary"], 5);
}

#[test]
fn what_the_module_cannot_ask_for_is_noted_before_it() {
    let noted = |split: Value| {
        let config = json!({"splits": {"web": split}});
        let filter = envoy_filter(&plugin(&json!({}), &config), &local()).unwrap();
        let first = filter["spec"]["configPatches"][0]["patch"].clone();
        let values = first["value"]["typed_config"]["on_request_headers"]
            .as_array()
            .cloned();
        (
            first["operation"] == "INSERT_BEFORE",
            values.map_or(0, |values| values.len()),
        )
    };
    assert_eq!(noted(json!({"identity": [{"cookie": "uid"}]})), (false, 0));
    assert_eq!(noted(json!({"identity": [{"claim": "sub"}]})), (true, 1));
    let both = json!({"services": ["web.shop"], "identity": [{"claim": "sub"}]});
    assert_eq!(noted(both), (true, 2));
}

#[test]
fn more_claims_than_fit_are_refused() {
    let of = |count: usize| {
        let rules = (0..count).map(|number| {
            json!({"name": format!("r{number}"), "match": [{"claims": {format!("c{number}"): {"exact": "x"}}}]})
        });
        let rules: Vec<Value> = rules.collect();
        let (first, second) = rules.split_at(count / 2);
        json!({"splits": {"web": {"rules": first}, "api": {"rules": second}}})
    };
    let (fits, beyond) = (of(MAX_NATIVE_CLAIMS), of(MAX_NATIVE_CLAIMS + 1));
    assert!(envoy_filter(&plugin(&json!({}), &fits), &local()).is_ok());
    let refused = envoy_filter(&plugin(&json!({}), &beyond), &local()).unwrap_err();
    assert_eq!(refused, NativeError::TooManyClaims(MAX_NATIVE_CLAIMS + 1));
}

#[test]
fn another_push_is_another_text_of_the_same_configuration() {
    let config = json!({"splits": {"web": {}}});
    let of = |pushed: Option<&str>| {
        let subject = plugin(&json!({"match": [{"mode": "CLIENT"}]}), &config);
        let filter = envoy_filter(&NativePlugin { pushed, ..subject }, &local()).unwrap();
        let value = &filter["spec"]["configPatches"][2]["patch"]["value"]["typed_config"];
        value["filter_config"]["value"].as_str().unwrap().to_owned()
    };
    let times = ["2026-11-23T04:00:00.000001Z", "2026-11-23T04:00:00.000002Z"];
    let texts = [of(None), of(Some(times[0])), of(Some(times[1]))];
    assert_eq!(texts[0], config.to_string());
    assert!(texts[1] != texts[0] && texts[2] != texts[0] && texts[1] != texts[2]);
    assert_eq!(of(Some(times[0])), texts[1]);
    for text in texts {
        assert_eq!(serde_json::from_str::<Value>(&text).unwrap(), config);
    }
}

#[test]
fn an_object_that_the_api_server_would_not_take_is_refused() {
    // Quotes are written as two letters in the text, of which each kind of proxy has one.
    let of = |length: usize| {
        let text = "\\".repeat(length);
        json!({"splits": {"web": {"rules": [{"name": "r", "match": [{"headers": {"a": {"exact": text}}}]}]}}})
    };
    let spec = json!({"match": [{"mode": "CLIENT"}]});
    let small = envoy_filter(&plugin(&spec, &of(0)), &local())
        .unwrap()
        .to_string()
        .len();
    // Two kinds, and a backslash is four letters in a text within a text.
    let most = (MAX_ENVOY_FILTER_BYTES - small) / 8;
    assert!(envoy_filter(&plugin(&spec, &of(most)), &local()).is_ok());
    let refused = envoy_filter(&plugin(&spec, &of(most + 1)), &local()).unwrap_err();
    assert!(
        matches!(refused, NativeError::TooLong(length) if length > MAX_ENVOY_FILTER_BYTES),
        "{refused}"
    );
}

#[test]
fn an_unreadable_configuration_becomes_nothing() {
    let refused = envoy_filter(&plugin(&json!({}), &json!({"splits": 5})), &local());
    let refused = refused.unwrap_err().to_string();
    assert!(
        refused.starts_with("the configuration is unreadable: "),
        "{refused}"
    );
}

#[test]
fn a_module_that_is_fetched_is_refused_until_it_is_there() {
    let library = Library::Fetched {
        uri: "http://modules.shop/l.so".to_owned(),
        sha256: "00".repeat(32),
        cluster: "outbound|80||modules.shop.svc.cluster.local".to_owned(),
    };
    let config = json!({"splits": {"web": {}}});
    let filter = envoy_filter(&plugin(&json!({}), &config), &library).unwrap();
    let patches = filter["spec"]["configPatches"].as_array().unwrap();
    let last = &patches[patches.len() - 1]["patch"]["value"]["typed_config"];
    let expected = json!({
        "module": {"remote": {
            "http_uri": {
                "uri": "http://modules.shop/l.so", "timeout": "30s",
                "cluster": "outbound|80||modules.shop.svc.cluster.local",
            },
            "sha256": "00".repeat(32),
        }},
        "do_not_close": true, "metrics_namespace": "wasmsluice", "nack_on_cache_miss": true,
    });
    assert_eq!(last["dynamic_module_config"], expected);
    assert_eq!(last["filter_name"], "shop.sluice~gateway");
}
