//! The definition of Rollouts, by the real API server: what it refuses, and what it explains.

use serde_json::{Value, json};

use crate::world::World;

fn rollout(name: &str, spec: &Value) -> Value {
    json!({
        "apiVersion": "sluice.dev/v1alpha1", "kind": "Rollout",
        "metadata": {"name": name, "namespace": "a"}, "spec": spec,
    })
}

pub async fn a_wrong_rollout_is_refused_with_the_words_of_validate(world: &mut World) {
    let many: Vec<Value> = (0..51).map(|_| json!({"weight": 5})).collect();
    let falling = json!([{"weight": 5}, {"audience": "staff", "weight": 100}, {"weight": 4}]);
    let cases = [
        (
            "no split",
            json!({"preset": "emergency"}),
            "spec.split: Required value",
        ),
        (
            "no steps",
            json!({"split": "web"}),
            "spec.steps: Invalid value: missing; accepted: steps, or a preset",
        ),
        (
            "both",
            json!({"split": "web", "preset": "emergency", "steps": [{"weight": 5}]}),
            "a preset has its own steps: write one of them",
        ),
        (
            "too many",
            json!({"split": "web", "steps": many}),
            "must have at most 50 items",
        ),
        (
            "falling",
            json!({"split": "web", "steps": falling}),
            "a step never takes users away",
        ),
        (
            "140 %",
            json!({"split": "web", "steps": [{"weight": 140}]}),
            "should be less than or equal to 100",
        ),
        (
            "no preview",
            json!({"split": "web", "preset": "progressive", "previewAudience": "staff"}),
            "it belongs to the preset blueGreen",
        ),
        (
            "preset",
            json!({"split": "web", "preset": "fast"}),
            "supported values: \"progressive\", \"emergency\"",
        ),
        (
            "a time",
            json!({"split": "web", "steps": [{"weight": 5, "hold": "5 min"}]}),
            "spec.steps[0].hold",
        ),
        (
            "a check",
            json!({"split": "web", "preset": "progressive", "analysis": {"checks": [{"name": "x"}]}}),
            "a check has a metric or a query: write one of them",
        ),
        (
            "no deployment",
            json!({"split": "web", "preset": "progressive", "workload": {}}),
            "spec.workload.deployment: Required value",
        ),
        (
            "two versions",
            json!({"split": "web", "preset": "progressive", "version": "v1", "workload": {"deployment": "web"}}),
            "the template of the workload is the version: write no spec.version",
        ),
        (
            "not everyone",
            json!({"split": "web", "steps": [{"weight": 50}], "workload": {"deployment": "web"}}),
            "with a workload the last step gives 100 % to everyone",
        ),
        (
            "no window",
            json!({"split": "web", "preset": "progressive", "workload": {"deployment": "web", "rollbackWindow": {}}}),
            "spec.workload.rollbackWindow.runs: Required value",
        ),
        (
            "too long a window",
            json!({"split": "web", "preset": "progressive",
                "workload": {"deployment": "web", "rollbackWindow": {"runs": 11}}}),
            "spec.workload.rollbackWindow.runs in body should be less than or equal to 10",
        ),
        (
            "a Service of a part",
            json!({"split": "web", "preset": "progressive",
                "workload": {"deployment": "web", "activeService": "web-active"}}),
            "a Service has the pods of one version: each step gives everyone 0 or 100 %",
        ),
        (
            "a Service of a part of everyone",
            json!({"split": "web", "steps": [{"audience": "staff", "weight": 5}, {"weight": 50}, {"weight": 100}],
                "workload": {"deployment": "web", "previewService": "web-preview"}}),
            "a Service has the pods of one version: each step gives everyone 0 or 100 %",
        ),
        (
            "one Service for both",
            json!({"split": "web", "preset": "blueGreen",
                "workload": {"deployment": "web", "activeService": "web", "previewService": "web"}}),
            "it is another Service than activeService",
        ),
        (
            "staff alone",
            json!({"split": "web", "preset": "progressive", "audience": "staff", "workload": {"deployment": "web"}}),
            "with a workload the last step gives 100 % to everyone",
        ),
    ];
    for (label, spec, expected) in cases {
        let created = world
            .chain
            .kubernetes
            .create(&rollout("wrong", &spec))
            .await;
        let refused = created.unwrap_err().to_string();
        assert!(refused.contains(expected), "{label}: {refused}");
    }
    let services = json!({"deployment": "web", "activeService": "web-active", "previewService": "web-preview"});
    let rings = json!([{"audience": "staff", "weight": 5}, {"weight": 0, "approval": true}, {"weight": 100}]);
    for spec in [
        json!({"split": "web", "workload": services, "preset": "blueGreen"}),
        json!({"split": "web", "workload": services, "preset": "emergency"}),
        json!({"split": "web", "workload": services, "steps": rings}),
    ] {
        let kubernetes = &world.chain.kubernetes;
        kubernetes.create(&rollout("right", &spec)).await.unwrap();
        kubernetes.delete("Rollout", "a", "right").await;
    }
    let good = json!({"split": "web", "preset": "emergency"});
    let named = world.chain.kubernetes.create(&rollout("a.b", &good)).await;
    assert!(
        named.unwrap_err().to_string().contains("a name of 1 to 63"),
        "a name with a dot"
    );
}

pub async fn what_is_declared_can_be_explained(world: &mut World) {
    let explained = world.kubectl("explain rollout.spec.steps").await.good().out;
    for words in [
        "GROUP:      sluice.dev",
        "FIELD: steps <[]Object>",
        "The steps, in their order.",
        "weight\t<number> -required-",
        "How long the step takes at least. Default: 0s.",
    ] {
        assert!(explained.contains(words), "{words}: {explained}");
    }
    let explained = world
        .kubectl("explain rollout.spec.preset")
        .await
        .good()
        .out;
    assert!(
        explained.contains("ENUM:") && explained.contains("blueGreen: A preview for one"),
        "{explained}"
    );
    let unknown = rollout(
        "unknown",
        &json!({"split": "web", "preset": "emergency", "splitt": "x"}),
    );
    let file = world.chain.folder().join("unknown.json");
    std::fs::write(&file, unknown.to_string()).unwrap();
    let said = world
        .kubectl(&format!("apply -f {}", file.display()))
        .await
        .ended_with(1);
    assert!(
        said.err.contains("unknown field \"spec.splitt\""),
        "{said:?}"
    );
}
