//! What a kubelet says of a pod, in Kubernetes' own words.

use std::net::Ipv4Addr;

use k8s_openapi::api::core::v1::Pod;
use serde_json::{Value, json};

/// What is said of every container, and of the pod as a whole.
pub(super) struct Said {
    phase: &'static str,
    is_ready: bool,
    restarts: u32,
    state: Value,
    last_state: Value,
}

impl Said {
    /// It runs, ready or not.
    pub(super) fn running(is_ready: bool) -> Self {
        Self {
            phase: "Running",
            is_ready,
            restarts: 0,
            state: json!({"running": {}}),
            last_state: json!({}),
        }
    }

    /// Its image cannot be pulled; `reason` is `ErrImagePull` or `ImagePullBackOff`.
    pub(super) fn without_image(reason: &str, image: &str) -> Self {
        let message = format!("Back-off pulling image \"{image}\": not found");
        Self {
            phase: "Pending",
            is_ready: false,
            restarts: 0,
            state: json!({"waiting": {"reason": reason, "message": message}}),
            last_state: json!({}),
        }
    }

    /// It has crashed, and is to be started again some time later.
    pub(super) fn crashed(container: &str) -> Self {
        let message = format!("back-off 10s restarting failed container={container}");
        Self {
            phase: "Running",
            is_ready: false,
            restarts: 1,
            state: json!({"waiting": {"reason": "CrashLoopBackOff", "message": message}}),
            last_state: json!({"terminated": {"exitCode": 1, "reason": "Error"}}),
        }
    }

    /// The status of a pod at an address.
    pub(super) fn status(&self, pod: &Pod, address: Ipv4Addr) -> Value {
        let containers = pod.spec.iter().flat_map(|spec| &spec.containers);
        let containers = containers.map(|container| {
            json!({
                "name": container.name, "image": container.image, "imageID": container.image,
                "ready": self.is_ready, "started": self.is_ready, "restartCount": self.restarts,
                "state": self.state, "lastState": self.last_state,
            })
        });
        let ready = condition("Ready", self.is_ready);
        let containers_ready = condition("ContainersReady", self.is_ready);
        let begun = [
            condition("PodScheduled", true),
            condition("Initialized", true),
        ];
        json!({
            "phase": self.phase,
            "hostIP": "127.0.0.1", "podIP": address, "podIPs": [{"ip": address}],
            "conditions": begun.into_iter().chain([containers_ready, ready]).collect::<Vec<_>>(),
            "containerStatuses": containers.collect::<Vec<_>>(),
        })
    }
}

fn condition(kind: &str, holds: bool) -> Value {
    match (kind, holds) {
        (kind, true) => json!({"type": kind, "status": "True"}),
        (kind, false) => json!({"type": kind, "status": "False", "reason": "ContainersNotReady"}),
    }
}

/// What the scheduler says of a pod that no node has room for.
pub(super) fn unschedulable() -> Value {
    let message = "0/1 nodes are available: 1 Insufficient cpu.";
    json!({
        "phase": "Pending",
        "conditions": [{
            "type": "PodScheduled", "status": "False", "reason": "Unschedulable", "message": message,
        }],
    })
}
