//! Why pods are not ready, in their own words. Pure.

use serde_json::Value;

use crate::rollout::cut::cut;

/// How many pods are asked why. Chosen: those of one template mostly say the same.
pub const MAX_PODS_ASKED: u32 = 20;

/// The longest reason, in bytes. Chosen: it fits a status with what else is said.
const REASON_BYTES: usize = 200;

/// Why one of these pods is not ready; the first that says so.
pub fn trouble<'p>(pods: impl IntoIterator<Item = &'p Value>) -> Option<String> {
    let said = pods.into_iter().find_map(|pod| {
        let why = waiting(pod)
            .or_else(|| ended(pod))
            .or_else(|| unscheduled(pod))?;
        let name = pod.pointer("/metadata/name").and_then(Value::as_str);
        Some(format!("{}: {why}", name.unwrap_or("a pod")))
    });
    said.map(|said| cut(&said, REASON_BYTES))
}

/// Why a Deployment has no pods at all, such as a quota.
pub fn refused(deployment: &Value) -> Option<String> {
    let why = condition(deployment, "ReplicaFailure", "True")?;
    Some(cut(&why, REASON_BYTES))
}

/// A container that cannot be started: its image, its configuration, or it ends again and again.
fn waiting(pod: &Value) -> Option<String> {
    containers(pod).find_map(|container| {
        let waiting = container.pointer("/state/waiting")?;
        let reason = waiting.get("reason")?.as_str()?;
        // What every pod is while it starts.
        let is_trouble = !matches!(reason, "ContainerCreating" | "PodInitializing");
        let message = waiting.get("message").and_then(Value::as_str);
        is_trouble.then(|| said(reason, message))
    })
}

/// A container that has ended and is not started again yet.
fn ended(pod: &Value) -> Option<String> {
    containers(pod).find_map(|container| {
        let ended = container.pointer("/state/terminated")?;
        let code = ended
            .get("exitCode")
            .and_then(Value::as_i64)
            .filter(|code| *code != 0)?;
        let reason = ended.get("reason").and_then(Value::as_str);
        Some(format!("{}, exit code {code}", reason.unwrap_or("ended")))
    })
}

fn unscheduled(pod: &Value) -> Option<String> {
    condition(pod, "PodScheduled", "False")
}

fn containers(pod: &Value) -> impl Iterator<Item = &Value> {
    let lists = ["/status/initContainerStatuses", "/status/containerStatuses"];
    let lists = lists
        .into_iter()
        .filter_map(|list| pod.pointer(list)?.as_array());
    lists.flatten()
}

fn condition(object: &Value, kind: &str, status: &str) -> Option<String> {
    let conditions = object.pointer("/status/conditions")?.as_array()?;
    let condition = conditions
        .iter()
        .find(|condition| condition["type"] == kind && condition["status"] == status)?;
    let message = condition["message"].as_str();
    Some(said(condition["reason"].as_str().unwrap_or(kind), message))
}

fn said(reason: &str, message: Option<&str>) -> String {
    match message {
        Some(message) if !message.is_empty() => format!("{reason}: {message}"),
        _ => reason.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn pods_say_why_they_are_not_ready() {
        let container =
            |state: Value| json!({"containerStatuses": [{"name": "web", "state": state}]});
        let cases = [
            ("it runs", container(json!({"running": {}})), None),
            (
                "it starts",
                container(json!({"waiting": {"reason": "ContainerCreating"}})),
                None,
            ),
            (
                "no such image",
                container(
                    json!({"waiting": {"reason": "ErrImagePull", "message": "web:v9: not found"}}),
                ),
                Some("web-1: ErrImagePull: web:v9: not found"),
            ),
            (
                "it ended",
                container(json!({"terminated": {"reason": "Error", "exitCode": 3}})),
                Some("web-1: Error, exit code 3"),
            ),
            (
                "no node",
                json!({"conditions": [
                    {"type": "PodScheduled", "status": "False", "reason": "Unschedulable", "message": "0/3 nodes"},
                ]}),
                Some("web-1: Unschedulable: 0/3 nodes"),
            ),
            ("nothing is known", json!({}), None),
        ];
        for (label, status, expected) in cases {
            let pod = json!({"metadata": {"name": "web-1"}, "status": status});
            assert_eq!(trouble([&pod]).as_deref(), expected, "{label}");
        }
    }

    #[test]
    fn a_deployment_says_why_it_has_no_pods() {
        let condition = json!({
            "type": "ReplicaFailure", "status": "True", "reason": "FailedCreate", "message": "exceeded quota",
        });
        let deployment = json!({"status": {"conditions": [condition]}});
        assert_eq!(
            refused(&deployment).as_deref(),
            Some("FailedCreate: exceeded quota")
        );
        assert_eq!(refused(&json!({})), None);
    }
}
