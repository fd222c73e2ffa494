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
fn weights(weights: &Value) -> Value {
    json!({
        "apiVersion": "extensions.istio.io/v1alpha1", "kind": "WasmPlugin",
        "metadata": {"name": "sluice", "namespace": "a"},
        "spec": {"pluginConfig": {"weights": weights}},
    })
}

/// A split with a rule, and one with three variants.
fn splits() -> Value {
    json!({"web": {"rules": [{"name": "staff", "match": []}]}, "three": {"variants": ["a", "b", "c"]}})
}

async fn mover_with_plugin(world: &World) -> Kubernetes {
    let plugin = plugin(&json!({"splits": splits()}));
    world.chain.kubernetes.apply(&plugin.to_string()).await;
    mover_client(world).await
}

/// Asserts what the API server says to merge patches of the plugin, in turn.
async fn assert_answers(account: &Kubernetes, changes: Vec<(&str, Value, Option<&str>)>) {
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

const SHAPE: Option<&str> =
    Some("weights must be split -> audience -> challenger -> percentage, a number from 0 to 100");
const NAMES: Option<&str> = Some("weights may name only splits that the plugin has");
const DRAWS: Option<&str> = Some("draws must be split -> letters");

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
        ("125 brackets", canary(nested), SHAPE),
        ("a text", canary(json!("5")), SHAPE),
        ("a truth", canary(json!(true)), SHAPE),
        ("more than all", canary(json!(100.001)), SHAPE),
        ("less than nobody", canary(json!(-0.001)), SHAPE),
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
        ("a draw", draw(json!({"web": "2026-11-20"})), None),
        ("a long draw", draw(json!({"web": "é".repeat(32)})), DRAWS),
        ("an empty draw", draw(json!({"web": ""})), DRAWS),
        ("a draw with NUL", draw(json!({"web": "a\0"})), DRAWS),
        ("no text", draw(json!({"web": 1})), DRAWS),
        ("a draw for no split", draw(json!({"x": "1"})), DRAWS),
        ("no map of draws", draw(json!([])), DRAWS),
    ];
    assert_answers(&mover, changes).await;
}

pub async fn nothing_that_an_account_for_weights_fills_is_full(world: &mut World) {
    let mover = mover_with_plugin(world).await;
    let annotate = |annotations: Value| json!({"metadata": {"annotations": annotations}});
    let many: Map<String, Value> = (0..800)
        .map(|number| (format!("change.sluice.dev/{number}"), json!("x".repeat(80))))
        .collect();
    let annotations = Some("sluice.dev/change and sluice.dev/abort may hold 4 KiB each");
    let record = Some("may not be emptied or rewritten");
    let changes = vec![
        (
            "the note of the last change",
            annotate(json!({"sluice.dev/change": "x".repeat(4_096)})),
            None,
        ),
        (
            "a long note of the last change",
            annotate(json!({"sluice.dev/change": "x".repeat(4_097)})),
            annotations,
        ),
        (
            "the note of the last abort",
            annotate(json!({"sluice.dev/abort": "x".repeat(4_096)})),
            None,
        ),
        (
            "a long note of the last abort",
            annotate(json!({"sluice.dev/abort": "x".repeat(4_097)})),
            annotations,
        ),
        (
            "one note",
            annotate(json!({"change.sluice.dev/web": "x".repeat(60_000)})),
            None,
        ),
        (
            "a second one",
            annotate(json!({"change.sluice.dev/three": "x".repeat(6_000)})),
            annotations,
        ),
        ("many notes", annotate(Value::Object(many)), annotations),
        (
            "a smaller note",
            annotate(json!({"change.sluice.dev/web": "x"})),
            None,
        ),
        (
            "a push",
            annotate(json!({"sluice.dev/refetch": "2026-11-20T09:00:00.123456789Z"})),
            None,
        ),
        (
            "a long push",
            annotate(json!({"sluice.dev/refetch": "x".repeat(65)})),
            annotations,
        ),
        (
            "no record of who owns what",
            json!({"metadata": {"managedFields": [{}]}}),
            record,
        ),
        (
            "another record",
            json!({"metadata": {"managedFields": [
                {"manager": "x", "operation": "Update", "apiVersion": "extensions.istio.io/v1alpha1",
                 "fieldsType": "FieldsV1", "fieldsV1": {"f:spec": {"f:url": {}}}}]}}),
            record,
        ),
    ];
    assert_answers(&mover, changes).await;
    let of_web = weights(&json!({"web": {"everyone": {"canary": 3}}}));
    for number in 0..15 {
        let manager = format!("team-{number}");
        mover.try_apply(&manager, &of_web).await.unwrap();
    }
    for manager in ["one-too-many", "sluicer", "sluice/three", "sluice/no-split"] {
        let error = mover.try_apply(manager, &of_web).await.unwrap_err();
        assert!(error.to_string().contains("field manager"), "{error}");
    }
    for manager in ["sluice/web", "sluice"] {
        mover.try_apply(manager, &of_web).await.unwrap();
    }
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
