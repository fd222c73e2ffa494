//! An abort gives brakes beside the zeros, and says of which splits it did not.

use serde_json::{Map, Value, json};

use crate::api_server::{ApiServer, Fate, PLUGIN, plugin};

const BRAKES: &str = "/apis/sluice.dev/v1alpha1/namespaces/a/brakes";

#[test]
fn of_more_splits_than_are_braked_at_once_it_is_said() {
    let server = ApiServer::start();
    let splits = (0..513).map(|number| (format!("s{number}"), json!({})));
    let splits: Map<String, Value> = splits.collect();
    let config = json!({"splits": splits, "brake": {"service": "brakes.a"}});
    server.put(PLUGIN, plugin("sluice", &config));
    let brake = json!({
        "apiVersion": "sluice.dev/v1alpha1", "kind": "Brake", "metadata": {"name": "b", "namespace": "a"},
        "spec": {"plugin": "sluice", "split": "s0", "by": "ann"},
    });
    server.next(format!("POST {BRAKES}"), 513, Fate::Answer(201, brake));
    let said = server.sluice("abort --all");
    let not_all =
        "the brake was not given: 512 of 513 splits are braked, which is the most of one command";
    assert!(said.err.contains(not_all), "{}", said.err);
}

#[test]
fn a_brake_is_given_in_ones_own_name_also_where_it_could_not_be_asked_at_first() {
    let server = ApiServer::start();
    let config = json!({"splits": {"web": {}}, "brake": {"service": "brakes.a"}});
    server.put(PLUGIN, plugin("sluice", &config));
    let failure =
        json!({"kind": "Status", "code": 500, "message": "etcd", "reason": "InternalError"});
    let question = "POST /apis/authentication.k8s.io/v1/selfsubjectreviews";
    server.next(question, 1, Fate::Answer(500, failure));
    server.sluice("abort web");
    let brakes = server.all(BRAKES);
    let [brake] = brakes.as_slice() else {
        panic!("{brakes:?}");
    };
    assert_eq!(brake["spec"]["by"], "ann@example.com");
}
