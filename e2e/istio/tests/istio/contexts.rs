//! Several contexts at once: two API servers, one that is down and one that hangs.

use std::path::PathBuf;

use serde_json::{Value, json};
use sluice_e2e_istio::api_server::{ADMIN_TOKEN, SECOND_URL, URL};
use tokio::net::TcpListener;

use crate::policy::plugin;
use crate::world::World;

/// A kubeconfig with these contexts, by their API servers; the first one is current.
pub fn kubeconfig(world: &World, servers: &[(&str, &str)]) -> PathBuf {
    let certificate = world.chain.folder().join("api-certificates/apiserver.crt");
    let cluster = |(name, server): &(&str, &str)| json!({"name": name, "cluster": {"server": server, "certificate-authority": certificate}});
    let context = |(name, _): &(&str, &str)| json!({"name": name, "context": {"cluster": name, "user": "admin", "namespace": "a"}});
    let config = json!({
        "apiVersion": "v1", "kind": "Config", "current-context": servers[0].0,
        "clusters": servers.iter().map(cluster).collect::<Vec<_>>(),
        "users": [{"name": "admin", "user": {"token": ADMIN_TOKEN}}],
        "contexts": servers.iter().map(context).collect::<Vec<_>>(),
    });
    let path = world.chain.folder().join("several.kubeconfig");
    std::fs::write(&path, config.to_string()).unwrap();
    path
}

pub async fn several_contexts_are_asked_at_once_and_one_that_is_down_holds_nobody_up(
    world: &mut World,
) {
    let (_second, two) = world.chain.second_cluster().await;
    let document = plugin(&json!({"splits": {"web": {}}})).to_string();
    world.chain.kubernetes.apply(&document).await;
    two.apply(&document).await;
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let hanging = format!("https://{}", listener.local_addr().unwrap());
    let servers = [
        ("one", URL),
        ("two", SECOND_URL),
        // Where nobody listens, and where nobody answers.
        ("down", "https://127.0.0.1:6499"),
        ("hangs", hanging.as_str()),
    ];
    let path = kubeconfig(world, &servers);
    let sluice = world.chain.sluice.with_kubeconfig(&path);
    let said = async |arguments: &str| sluice.run_beside(arguments).await;
    let weight = async |kubernetes: &sluice_e2e_istio::kubernetes::Kubernetes| {
        let plugin = kubernetes.get("WasmPlugin", "a", "sluice").await.unwrap();
        let weight = plugin
            .data
            .pointer("/spec/pluginConfig/weights/web/everyone/canary");
        weight.and_then(Value::as_f64)
    };

    // A command of one cluster refuses a second context.
    let refused = said("set web canary=5 --context one --context two")
        .await
        .ended_with(2);
    let expected = "--context: 2 of them (one, two); accepted: one (status, get, abort and promote take several)";
    assert!(refused.err.contains(expected), "{refused:?}");
    said("set web canary=10 --context one").await.good();

    // Weights go to every context that is there.
    let promoted = said("promote web --from a@one --to a --context two --context down")
        .await
        .ended_with(1);
    assert!(
        promoted
            .out
            .contains("context a@two:\nweb everyone canary: 0 -> 10"),
        "{promoted:?}"
    );
    assert!(promoted.err.contains("error: a@down"), "{promoted:?}");
    assert_eq!(weight(&two).await, Some(10.0));

    // All are asked at once, and those that are down are said in their place.
    let all = "--context one --context hangs --context down --context two";
    let got = said(&format!("get -A {all} -o json")).await.ended_with(1);
    let contexts: Vec<Value> = serde_json::from_str(&got.out).unwrap();
    let names: Vec<&Value> = contexts.iter().map(|context| &context["context"]).collect();
    assert_eq!(names, ["one", "hangs", "down", "two"]);
    for at in [0, 3] {
        let shares = contexts[at]["result"].as_array().unwrap();
        let canary = shares
            .iter()
            .find(|share| share["variant"] == "canary")
            .unwrap();
        assert_eq!(canary["percent"], 10.0, "{contexts:?}");
    }
    assert!(contexts[1]["error"].is_string(), "{contexts:?}");
    let error = contexts[2]["error"].as_str().unwrap();
    assert!(error.contains("cannot be reached"), "{error}");
    assert!(got.took.as_secs() < 65, "{:?}", got.took);
    let status = said("status -A --context one --context two").await;
    assert!(
        status.out.contains("context one:\n") && status.out.contains("context two:\n"),
        "{status:?}"
    );

    // An abort is in force wherever it can be.
    let aborted = said(&format!("abort --all -A {all}")).await.ended_with(1);
    assert!(
        aborted.err.contains("error: down") && aborted.err.contains("error: hangs"),
        "{aborted:?}"
    );
    assert_eq!(weight(&two).await, Some(0.0));
    assert_eq!(world.weight("a", "/web/everyone/canary").await, Some(0.0));

    // Where nothing can be done anywhere, the command could not run.
    let nowhere = said("get -A --context down --context absent")
        .await
        .ended_with(2);
    assert!(
        nowhere
            .err
            .contains("nothing was done in any of the 2 contexts"),
        "{nowhere:?}"
    );
}
