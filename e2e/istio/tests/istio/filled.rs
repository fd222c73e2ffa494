//! What an account that may only move weights can fill of a plugin: however full it is, proxies
//! read it, and what another such account does is accepted.

use serde_json::{Map, Value, json};
use sluice::model::document;
use sluice_core::config::MAX_DOCUMENT_BYTES;
use sluice_e2e_istio::kubernetes::Kubernetes;

use crate::access::{mover_client, second_mover};
use crate::policy::{assert_answers, mover_with_plugin, plugin, weights};
use crate::world::World;

pub async fn annotations_and_managers_of_an_account_for_weights_are_bounded(world: &mut World) {
    let mover = mover_with_plugin(world).await;
    let former = json!({"metadata": {"annotations": {"change.sluice.dev/web": "{}"}}});
    let kubernetes = &world.chain.kubernetes;
    let merged = kubernetes.merge("WasmPlugin", "a", "sluice", &former).await;
    merged.unwrap();
    let annotate = |annotations: Value| json!({"metadata": {"annotations": annotations}});
    let another = Some("another annotation was: change.sluice.dev/web");
    let record = Some("may not be emptied or rewritten; it lacks fields of gitops");
    let changes = vec![
        (
            "the note of the last change",
            annotate(json!({"sluice.dev/change": "x".repeat(4_096)})),
            None,
        ),
        (
            "a long note of the last change",
            annotate(json!({"sluice.dev/change": "x".repeat(4_097)})),
            Some("sluice.dev/change may hold 4 KiB"),
        ),
        (
            "the note of the last abort",
            annotate(json!({"sluice.dev/abort": "x".repeat(4_096)})),
            None,
        ),
        (
            "a long note of the last abort",
            annotate(json!({"sluice.dev/abort": "x".repeat(4_097)})),
            Some("sluice.dev/abort may hold 4 KiB"),
        ),
        (
            "another note of an earlier version",
            annotate(json!({"change.sluice.dev/web": "x"})),
            another,
        ),
        (
            "none",
            annotate(json!({"change.sluice.dev/web": null})),
            None,
        ),
        (
            "a new one",
            annotate(json!({"change.sluice.dev/web": "{}"})),
            another,
        ),
        (
            "a push",
            annotate(json!({"sluice.dev/refetch": "2026-11-20T09:00:00.123456789Z"})),
            None,
        ),
        (
            "a long push",
            annotate(json!({"sluice.dev/refetch": "x".repeat(65)})),
            Some("sluice.dev/refetch may hold 64 bytes"),
        ),
        (
            "no record of who owns what",
            json!({"metadata": {"managedFields": [{}]}}),
            record,
        ),
        (
            "another record",
            json!({"metadata": {"managedFields": [updater("x", &json!({"f:url": {}}))]}}),
            record,
        ),
    ];
    assert_answers(&mover, changes).await;
    let of_web = weights(&json!({"web": {"everyone": {"canary": 3}}}));
    for number in 0..15 {
        let manager = format!("team-{number}");
        mover.try_apply(&manager, &of_web).await.unwrap();
    }
    // The names of ours count as ours only with fields of their own.
    for manager in ["one-too-many", "sluicer", "sluice/three", "sluice/no-split"] {
        let error = mover.try_apply(manager, &of_web).await.unwrap_err();
        let expected = "at most 16 field managers may apply beside sluice, and sluice/<split> for that split alone";
        assert!(error.to_string().contains(expected), "{error}");
    }
    for manager in ["sluice/web", "sluice"] {
        mover.try_apply(manager, &of_web).await.unwrap();
    }
}

pub async fn the_largest_configuration_that_is_accepted_is_read(world: &mut World) {
    // Of what istiod makes six bytes of each.
    let expression = "<".repeat(55);
    let of_split = |number: u32| {
        let matches = json!([{"headers": {"x-a": {"exact": expression}}}]);
        let split = json!({"rules": [{"name": "staff", "match": matches}]});
        (format!("split-{number}"), split)
    };
    let splits: Map<String, Value> = (0..1_000).map(of_split).collect();
    let large = plugin(&json!({"splits": splits}));
    world.chain.kubernetes.apply(&large.to_string()).await;
    let mover = mover_client(world).await;
    let write = async |number: u32| {
        let of_split = |number| format!("split-{number}");
        let draws: Map<String, Value> = (0..number)
            .map(|number| (of_split(number), json!("x".repeat(63))))
            .collect();
        let weights: Map<String, Value> = (0..number)
            .map(|number| (of_split(number), json!({"staff": {"canary": 33.333}})))
            .collect();
        let change = json!({"spec": {"pluginConfig": {"draws": draws, "weights": weights}}});
        mover.merge("WasmPlugin", "a", "sluice", &change).await
    };
    let (mut largest, mut is_full) = (None, false);
    for number in (0..=1_000).step_by(50) {
        match write(number).await {
            Ok(accepted) => largest = Some(accepted),
            Err(error) => {
                assert!(
                    error
                        .to_string()
                        .contains("a proxy would receive more than 512 KiB"),
                    "{error}"
                );
                is_full = true;
                break;
            }
        }
    }
    assert!(is_full);
    let config = &largest.unwrap().data["spec"]["pluginConfig"];
    let bytes = document::received(config).len();
    // Fifty splits more have some 6 KiB; CEL writes a space behind each comma.
    let expected = MAX_DOCUMENT_BYTES - 16 * 1024..=MAX_DOCUMENT_BYTES;
    assert!(expected.contains(&bytes), "{bytes}");
    document::read(config).unwrap();
    let said = world.sluice("validate -n a").await;
    assert!(!said.out.contains("no proxy reads"), "{said:?}");
}

/// An entry of managedFields with fields of a spec, from the future: entries from the past give way
/// to others.
fn updater(manager: &str, fields: &Value) -> Value {
    json!({
        "manager": manager, "operation": "Update", "apiVersion": "extensions.istio.io/v1alpha1",
        "time": "2099-01-01T00:00:00Z", "fieldsType": "FieldsV1", "fieldsV1": {"f:spec": fields},
    })
}

/// Writes, as a mover, that eight managers own fields that are nowhere, one of them so many.
async fn claim(mover: &Kubernetes, claimed: usize) -> Result<(), String> {
    let plugin = mover.get("WasmPlugin", "a", "sluice").await.unwrap();
    let record = serde_json::to_value(plugin.metadata.managed_fields).unwrap();
    let record = record.as_array().unwrap().iter();
    let mut record: Vec<Value> = record
        .filter(|entry| entry["time"] != "2099-01-01T00:00:00Z")
        .cloned()
        .collect();
    for number in 0..8 {
        let claimed = if number == 0 { claimed } else { 1 };
        let fields: Map<String, Value> = (0..claimed)
            .map(|field| (format!("f:x{field}"), json!({})))
            .collect();
        let fields = json!({"f:pluginConfig": {"f:weights": fields}});
        record.push(updater(&format!("filling-{number}"), &fields));
    }
    let change = json!({"metadata": {"managedFields": record}});
    let merged = mover.merge("WasmPlugin", "a", "sluice", &change).await;
    merged.map(drop).map_err(|error| error.to_string())
}

pub async fn a_record_that_one_account_filled_denies_another_nothing(world: &mut World) {
    world.fresh_plugin("a", 10).await;
    let mover = mover_client(world).await;
    let second = second_mover(world).await;
    let mut claimed = 0;
    for step in (0..16).rev().map(|power| 1 << power) {
        match claim(&mover, claimed + step).await {
            Ok(()) => claimed += step,
            Err(error) => assert!(
                error.contains("metadata.managedFields may grow to"),
                "{error}"
            ),
        }
    }
    assert!(claimed > 10_000, "{claimed}");
    claim(&mover, claimed).await.unwrap();
    let note = json!({"metadata": {"annotations": {"sluice.dev/change": "<".repeat(4_096)}}});
    let noted = mover.merge("WasmPlugin", "a", "sluice", &note).await;
    let error = noted.unwrap_err().to_string();
    let expected = "at most 8 field managers may update beside sluice/all";
    assert!(error.contains(expected), "{error}");
    second.run_beside("abort web -n a").await.good();
    assert_eq!(world.weight("a", "/web/everyone/canary").await, Some(0.0));
    second.run_beside("set checkout canary=7 -n a").await.good();
    second.run_beside("refetch -n a").await.good();
    second.run_beside("abort --all -n a").await.good();
    assert_eq!(
        world.weight("a", "/checkout/everyone/canary").await,
        Some(0.0)
    );
}

pub async fn more_values_than_proxies_read_are_refused(world: &mut World) {
    let of_split = |number: u32| {
        let rules: Vec<Value> = (0..7)
            .map(|rule| json!({"name": format!("r{rule}"), "match": []}))
            .collect();
        let split = json!({"variants": ["s", "a", "b", "c", "d", "e", "f", "g"], "rules": rules});
        (format!("s{number}"), split)
    };
    let splits: Map<String, Value> = (0..600).map(of_split).collect();
    let large = plugin(&json!({"splits": splits}));
    world.chain.kubernetes.apply(&large.to_string()).await;
    let mover = mover_client(world).await;
    let weights: Map<String, Value> = ["r0", "r1", "r2", "r3", "r4", "r5", "r6", "everyone"]
        .map(|audience| {
            let challengers = json!({"a": 1, "b": 1, "c": 1, "d": 1, "e": 1, "f": 1, "g": 1});
            (audience.to_owned(), challengers)
        })
        .into_iter()
        .collect();
    let change = |splits: std::ops::Range<u32>| {
        let weights: Map<String, Value> = splits
            .map(|number| (format!("s{number}"), json!(weights)))
            .collect();
        json!({"spec": {"pluginConfig": {"weights": weights}}})
    };
    let expected = "more than 56,000 values, and proxies ignore the largest splits";
    let changes = vec![
        ("the weights of half the splits", change(0..300), None),
        ("those of the others", change(300..600), Some(expected)),
    ];
    assert_answers(&mover, changes).await;
}
