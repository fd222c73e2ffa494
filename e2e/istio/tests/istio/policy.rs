//! What the admission policy says to weights, draws, annotations and field managers of an account
//! that may only move weights: nothing of it may hurt another.

use serde_json::{Map, Value, json};
use sluice_e2e_istio::kubernetes::Kubernetes;

use crate::access::mover_client;
use crate::world::World;

/// A plugin in a, which selects nobody.
pub fn plugin(config: &Value) -> Value {
    json!({
        "apiVersion": "extensions.istio.io/v1alpha1", "kind": "WasmPlugin",
        "metadata": {"name": "sluice", "namespace": "a"},
        "spec": {"url": "oci://r/sluice:1", "selector": {"matchLabels": {"app": "nobody"}}, "pluginConfig": config},
    })
}

/// What an account for weights applies of it.
pub fn weights(weights: &Value) -> Value {
    json!({
        "apiVersion": "extensions.istio.io/v1alpha1", "kind": "WasmPlugin",
        "metadata": {"name": "sluice", "namespace": "a"},
        "spec": {"pluginConfig": {"weights": weights}},
    })
}

/// A split with a rule, and one with three variants.
pub fn splits() -> Value {
    json!({"web": {"rules": [{"name": "staff", "match": []}]}, "three": {"variants": ["a", "b", "c"]}})
}

pub async fn mover_with_plugin(world: &World) -> Kubernetes {
    let plugin = plugin(&json!({"splits": splits()}));
    world.chain.kubernetes.apply(&plugin.to_string()).await;
    mover_client(world).await
}

/// Asserts what the API server says to merge patches of the plugin, in turn.
pub async fn assert_answers(account: &Kubernetes, changes: Vec<(&str, Value, Option<&str>)>) {
    for (label, change, refused_because) in changes {
        let answer = account.merge("WasmPlugin", "a", "sluice", &change).await;
        match (answer, refused_because) {
            (Ok(_), None) => {}
            (Err(error), Some(reason)) => {
                assert!(error.to_string().contains(reason), "{label}: {error}");
            }
            (answer, _) => panic!("{label}: {answer:?}"),
        }
    }
}

const SHAPE: Option<&str> = Some("weights must be split -> audience -> challenger -> percentage");
const NUMBER: Option<&str> =
    Some("a weight must be a number from 0 to 100 in steps of 0.001; weights.web is {");
const NAMES: Option<&str> = Some("weights may name only splits that the plugin has");
const DRAWS: Option<&str> = Some("draws must be split -> letters, for splits that the plugin has");
const DRAW: Option<&str> =
    Some("a draw must be 1 to 63 of the letters A-Z, a-z, 0-9, '.', '_' and '-'; draws.web is [");

pub async fn weights_and_draws_that_hurt_others_are_refused(world: &mut World) {
    let mover = mover_with_plugin(world).await;
    let set = |weights: Value| json!({"spec": {"pluginConfig": {"weights": weights}}});
    let draw = |draws: Value| json!({"spec": {"pluginConfig": {"draws": draws}}});
    let canary = |weight: Value| set(json!({"web": {"everyone": {"canary": weight}}}));
    let nested = (0..125).fold(json!(5), |inside, _| json!([inside]));
    let changes = vec![
        (
            "weights",
            set(json!({"web": {"staff": {"canary": 50}, "everyone": {"canary": 5.5}}})),
            None,
        ),
        (
            "of three variants",
            set(json!({"three": {"everyone": {"b": 5, "c": 100}}})),
            None,
        ),
        ("no map of splits", set(json!([])), SHAPE),
        ("no map of audiences", set(json!({"web": 5})), SHAPE),
        (
            "no map of challengers",
            set(json!({"web": {"everyone": 5}})),
            SHAPE,
        ),
        ("125 brackets", canary(nested), NUMBER),
        ("a text", canary(json!("5")), NUMBER),
        ("a truth", canary(json!(true)), NUMBER),
        ("more than all", canary(json!(100.001)), NUMBER),
        ("the smallest step", canary(json!(0.001)), None),
        ("the largest below all", canary(json!(99.999)), None),
        ("a smaller step", canary(json!(33.3333)), NUMBER),
        ("more digits than CEL writes", canary(json!(5e-300)), NUMBER),
        ("less than nobody", canary(json!(-0.001)), NUMBER),
        (
            "no such split",
            set(json!({"x": {"everyone": {"canary": 1}}})),
            NAMES,
        ),
        (
            "no such audience",
            set(json!({"web": {"x": {"canary": 1}}})),
            NAMES,
        ),
        (
            "a reserved audience",
            set(json!({"web": {"forced": {"canary": 1}}})),
            NAMES,
        ),
        (
            "no such challenger",
            set(json!({"web": {"everyone": {"x": 1}}})),
            NAMES,
        ),
        (
            "the fallback",
            set(json!({"three": {"everyone": {"a": 1}}})),
            NAMES,
        ),
        ("a draw", draw(json!({"web": "2026-11-20.2"})), None),
        (
            "the longest draw",
            draw(json!({"web": "_".repeat(63)})),
            None,
        ),
        ("a long draw", draw(json!({"web": "x".repeat(64)})), DRAW),
        ("an empty draw", draw(json!({"web": ""})), DRAW),
        ("a draw with NUL", draw(json!({"web": "a\0"})), DRAW),
        ("a line end", draw(json!({"web": "a\n"})), DRAW),
        ("what JSON escapes", draw(json!({"web": "<"})), DRAW),
        ("no ASCII", draw(json!({"web": "é"})), DRAW),
        ("no text", draw(json!({"web": 1})), DRAW),
        ("a draw for no split", draw(json!({"x": "1"})), DRAWS),
        ("no map of draws", draw(json!([])), DRAWS),
    ];
    assert_answers(&mover, changes).await;
}

pub async fn what_stands_there_already_stops_no_abort(world: &mut World) {
    let mover = mover_with_plugin(world).await;
    let abort = weights(&json!({"web": {"everyone": {"canary": 0}, "staff": {"canary": 0}}}));
    let gone = weights(&json!({"gone": {"everyone": {"canary": 0}}}));
    let rows = [
        (json!({"splits": splits(), "weights": []}), &abort),
        (json!({"splits": splits(), "weights": {"web": 5}}), &abort),
        (
            json!({"splits": splits(), "weights": {"web": {"everyone": 7, "staff": {"canary": [[]]}}}}),
            &abort,
        ),
        (
            json!({"splits": splits(), "weights": {"gone": {"everyone": {"canary": 5}}}}),
            &gone,
        ),
        (
            json!({"splits": {"web": 5}, "weights": {"web": {"staff": {"canary": 5}, "everyone": {"canary": 5}}}}),
            &abort,
        ),
        (
            json!({"splits": {"web": {"rules": [5, {"name": 7}, {"name": "staff"}], "variants": 7}}}),
            &abort,
        ),
    ];
    for (config, zeros) in rows {
        world
            .chain
            .kubernetes
            .delete("WasmPlugin", "a", "sluice")
            .await;
        world
            .chain
            .kubernetes
            .create(&plugin(&config))
            .await
            .unwrap();
        let answer = mover.try_apply_by_force("sluice", zeros).await;
        assert!(answer.is_ok(), "{config}: {answer:?}");
    }
}

pub async fn a_thousand_splits_are_within_what_a_policy_may_cost(world: &mut World) {
    let mover = mover_with_plugin(world).await;
    let names: Vec<String> = (0..1_000).map(|number| format!("split-{number}")).collect();
    let rules: Vec<Value> = (0..3)
        .map(|number| json!({"name": format!("rule-{number}"), "match": [{"headers": {"x-a": {"exact": "b"}}}]}))
        .collect();
    let config = |split: &String| {
        let host = format!("{split}.example.com");
        (split.clone(), json!({"hosts": [host], "rules": rules}))
    };
    let splits: Map<String, Value> = names.iter().map(config).collect();
    let everywhere = |percent: u32| {
        let audiences: Map<String, Value> = ["rule-0", "rule-1", "rule-2", "everyone"]
            .iter()
            .map(|audience| ((*audience).to_owned(), json!({"canary": percent})))
            .collect();
        let of_all: Map<String, Value> = names
            .iter()
            .map(|split| (split.clone(), Value::Object(audiences.clone())))
            .collect();
        weights(&Value::Object(of_all))
    };
    let kubernetes = &world.chain.kubernetes;
    let large = plugin(&json!({"splits": splits}));
    kubernetes.apply(&large.to_string()).await;
    // Every name is looked up when it is new, and every number when it is another.
    for percent in [5, 0] {
        mover
            .try_apply("sluice", &everywhere(percent))
            .await
            .unwrap();
    }
    let owned: Vec<Value> = names
        .iter()
        .map(|split| {
            let field = format!("f:{split}");
            json!({
                "manager": format!("sluice/{split}"), "operation": "Apply",
                "apiVersion": "extensions.istio.io/v1alpha1", "fieldsType": "FieldsV1",
                "fieldsV1": {"f:spec": {"f:pluginConfig": {"f:weights": {field: {"f:everyone": {"f:canary": {}}}}}}},
            })
        })
        .collect();
    let plugin = kubernetes.get("WasmPlugin", "a", "sluice").await.unwrap();
    let record = serde_json::to_value(plugin.metadata.managed_fields).unwrap();
    let record = [record.as_array().unwrap().clone(), owned].concat();
    let managers = json!({"metadata": {"managedFields": record}});
    let merged = kubernetes
        .merge("WasmPlugin", "a", "sluice", &managers)
        .await;
    merged.unwrap();
    mover
        .try_apply_by_force("sluice", &everywhere(1))
        .await
        .unwrap();
}
