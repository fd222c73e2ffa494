//! Deployments of istiod and mesh configurations of every kind.

use kube::api::DynamicObject;
use serde_json::json;

use super::*;

fn codes(look: &Look) -> Vec<&'static str> {
    look.findings
        .iter()
        .map(|found| found.code.as_str())
        .collect()
}

fn istiod(image: &str, replicas: (i32, i32), env: Value) -> Deployment {
    let deployment = json!({
        "metadata": {"name": "istiod", "namespace": "istio-system"},
        "spec": {
            "replicas": replicas.0, "selector": {},
            "template": {"spec": {"containers": [
                {"name": "discovery", "image": image, "env": env},
            ]}},
        },
        "status": {"readyReplicas": replicas.1},
    });
    serde_json::from_value(deployment).unwrap()
}

fn plugin(config: Value) -> LivePlugin {
    let object = json!({
        "metadata": {"name": "sluice", "namespace": "a"}, "spec": {"pluginConfig": config},
    });
    let object: DynamicObject = serde_json::from_value(object).unwrap();
    LivePlugin::of(object, Kind::WasmPlugin).unwrap()
}

#[test]
fn what_an_istiod_is_and_how_it_waits_is_judged() {
    let fast = json!([
        {"name": "PILOT_DEBOUNCE_AFTER", "value": "20ms"},
        {"name": "PILOT_DEBOUNCE_MAX", "value": "0.2s"},
    ]);
    let slow = json!([{"name": "PILOT_DEBOUNCE_MAX", "value": "1m"}]);
    let slow_after = json!([{"name": "PILOT_DEBOUNCE_AFTER", "value": "500ms"}]);
    let unset = json!([{"name": "PILOT_DEBOUNCE_MAX", "valueFrom": {}}]);
    let rows: [(&str, &str, (i32, i32), Value, &[&str]); 8] = [
        ("good", "pilot:1.31.1", (2, 2), fast.clone(), &[]),
        (
            "default",
            "pilot:1.31.1",
            (2, 2),
            unset,
            &["debounce-default"],
        ),
        ("slow", "pilot:1.31.1", (2, 2), slow, &["debounce-long"]),
        (
            "after",
            "pilot:1.31.1",
            (2, 2),
            slow_after,
            &["debounce-long"],
        ),
        (
            "alone",
            "pilot:1.31.1",
            (1, 1),
            fast.clone(),
            &["istiod-alone"],
        ),
        (
            "down",
            "pilot:1.31.1",
            (2, 0),
            fast.clone(),
            &["istio-missing"],
        ),
        (
            "other",
            "pilot:1.28.0",
            (2, 2),
            fast.clone(),
            &["istio-untested"],
        ),
        ("untagged", "pilot", (2, 1), fast, &[]),
    ];
    let live = [plugin(json!({"splits": {}}))];
    for (label, image, replicas, env, expected) in rows {
        let look = judge(&[istiod(image, replicas, env)], "istio-system", &live);
        assert_eq!(codes(&look), expected, "{label}");
    }
    assert_eq!(codes(&judge(&[], "istio-system", &live)), ["istiod-unseen"]);
    let braked = [plugin(json!({"splits": {}, "brake": {"service": "a.b"}}))];
    let look = judge(&[istiod("p:1.31.0", (2, 2), json!([]))], "r", &braked);
    assert_eq!(
        codes(&look),
        [""; 0],
        "who has a brake need not wait for istiod"
    );
}

#[test]
fn a_mesh_configuration_names_all_labels() {
    let map = |mesh: &str| -> ConfigMap {
        let map = json!({"metadata": {"name": "istio"}, "data": {"mesh": mesh}});
        serde_json::from_value(map).unwrap()
    };
    let all = format!("defaultConfig: {{extraStatTags: [{}]}}", TAGS.join(", "));
    let rows: [(&str, Vec<ConfigMap>, Labels, &[&str]); 7] = [
        ("all", vec![map(&all)], Labels::NotSeen, &[]),
        (
            "none",
            vec![map("{}")],
            Labels::NotSeen,
            &["stat-tags-missing"],
        ),
        (
            "null",
            vec![map("")],
            Labels::NotSeen,
            &["stat-tags-missing"],
        ),
        (
            "another type",
            vec![map("defaultConfig: {extraStatTags: 5}")],
            Labels::NotSeen,
            &["stat-tags-missing"],
        ),
        ("by annotations", vec![map("{}")], Labels::Seen, &[]),
        (
            "no YAML",
            vec![map("a: [")],
            Labels::Seen,
            &["mesh-unreadable"],
        ),
        ("no map", Vec::new(), Labels::Seen, &["mesh-unreadable"]),
    ];
    for (label, maps, labels, expected) in rows {
        let look = judge_mesh(&maps, "istio-system", labels);
        assert_eq!(codes(&look), expected, "{label}");
    }
    let one = map("defaultConfig: {extraStatTags: [sluice_split, sluice_word]}");
    let look = judge_mesh(&[one], "r", Labels::NotSeen);
    assert_eq!(
        look.findings[0].found,
        "defaultConfig.extraStatTags lacks sluice_audience, sluice_variant, sluice_source, sluice_class, \
         sluice_plugin"
    );
}
