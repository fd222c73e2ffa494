//! The status's schema: what people and tools read of it by name. The rest is the engine's own
//! ([`crate::rollout::status`]) and is kept as it is.

use serde_json::{Value, json};

/// The most conditions; see docs/limits.md.
const MAX_CONDITIONS: usize = 8;

/// The longest message of a condition, in characters, as Kubernetes has it.
const LONGEST_MESSAGE: usize = 32_768;

pub(super) fn schema() -> Value {
    let text = |description: &str, longest: usize| json!({"type": "string", "maxLength": longest, "description": description});
    let condition = json!({
        "type": "object",
        "description": "One fact, as kstatus reads it.",
        "required": ["type", "status", "reason", "message", "lastTransitionTime"],
        "properties": {
            "type": text("Ready, Reconciling, Stalled, CommandsUnreadable or ServicesNotSelected.", 316),
            "status": {"type": "string", "enum": ["True", "False", "Unknown"], "description": "Whether it is so."},
            "reason": text("Why, in a word.", 1_024),
            "message": text("Why, in a sentence.", LONGEST_MESSAGE),
            "lastTransitionTime": {"type": "string", "format": "date-time", "description": "Since when."},
            "observedGeneration": {
                "type": "integer", "format": "int64", "minimum": 0, "description": "Of which spec it is said.",
            },
        },
    });
    json!({
        "type": "object",
        "description": "How far the Rollout is. The controller writes it.",
        "x-kubernetes-preserve-unknown-fields": true,
        // One writer: who owns each field of it need not be kept.
        "x-kubernetes-map-type": "atomic",
        "properties": {
            "phase": text(
                "What the Rollout does, in a word: Idle, Waiting, Blocked, Progressing, Paused, RollingBack, \
                 Succeeded, RolledBack, Aborted or Released.",
                32,
            ),
            "message": text("Why so, in a sentence.", 1_024),
            "observedGeneration": {
                "type": "integer", "format": "int64", "minimum": 0,
                "description": "The generation of the spec that this is the status of.",
            },
            "conditions": {
                "type": "array", "maxItems": MAX_CONDITIONS, "items": condition,
                "x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": ["type"],
                "description": "Ready, Reconciling and Stalled, as kstatus reads them.",
            },
            "shown": {
                "type": "object",
                "description": "What `kubectl get` shows.",
                "properties": {
                    "version": text("The version that is wanted; of a workload, of its run, else what was promoted.", 128),
                    "step": text("The step and how many there are, such as 2/7.", 32),
                    "weight": text("The challenger's weight at this step, such as 25 %.", 128),
                },
            },
            "run": {
                "type": "object", "x-kubernetes-preserve-unknown-fields": true,
                "description": "The run under way, or the last one.",
            },
            "runs": {
                "type": "array", "maxItems": 10,
                "description": "The last runs that ended, oldest first, a line each. A ControllerRevision has each whole.",
                "items": {"type": "object", "x-kubernetes-preserve-unknown-fields": true},
            },
        },
    })
}
