//! A Canary's webhooks as gates and receivers of messages.
//!
//! A gate of ours is asked by POST like a confirmation of Flagger's, and opened by an answer of
//! class 2xx; it sends its own question, without the webhook's metadata.

use serde_json::{Map, Value, json};

use super::super::fields::Fields;
use super::super::length;
use super::super::notes::Notes;
use crate::rollout::gates::MAX_GATE_SECONDS;
use crate::rollout::resource::{Endpoint, MAX_GATES, MAX_RECEIVERS};

pub(super) fn read(analysis: &mut Fields, rollout: &mut Map<String, Value>, notes: &mut Notes) {
    let mut gates = Vec::new();
    let mut receivers = Vec::new();
    for webhook in analysis.maps("webhooks", notes) {
        one(webhook, &mut gates, &mut receivers, notes);
    }
    for (field, list) in [("gates", gates), ("notify", receivers)] {
        if !list.is_empty() {
            rollout.insert(field.to_owned(), Value::Array(list));
        }
    }
}

fn one(mut webhook: Fields, gates: &mut Vec<Value>, receivers: &mut Vec<Value>, notes: &mut Notes) {
    let path = webhook.at("type");
    let name = webhook.text("name", notes).unwrap_or_default();
    let kind = webhook
        .text("type", notes)
        .unwrap_or_else(|| "rollout".to_owned());
    let url = webhook.text("url", notes).unwrap_or_default();
    let has_metadata = webhook.take("metadata").is_some();
    let timeout = webhook.text("timeout", notes);
    let [retries, mute] = ["retries", "muteAlert"].map(|field| webhook.take(field).is_some());
    let skips_tls = webhook.flag("disableTLS", notes) == Some(true);
    webhook.end(notes);
    let mut lost = |why: &str| {
        notes.lost(
            &path,
            format!("webhook {name:.80} of type {kind:.80}: {why}"),
        )
    };
    let before = match kind.as_str() {
        "confirm-rollout" => "start",
        "confirm-traffic-increase" => "step",
        "confirm-promotion" => "finish",
        "event" | "post-rollout" if !has_metadata && receivers.len() < MAX_RECEIVERS => {
            if Endpoint::new(&url).is_none() {
                return lost("its url is no address by HTTP");
            }
            let mut receiver = json!({"webhook": {"url": url}});
            if kind == "post-rollout" {
                receiver["on"] = json!(["succeeded", "rolledBack", "aborted"]);
            }
            receivers.push(receiver);
            if timeout.is_some() {
                lost("its timeout: a receiver has 15 s");
            }
            if retries {
                lost("its retries: a message that is not received is sent again, up to 16 times");
            }
            if mute {
                lost("muteAlert: `on` says which events a receiver of spec.notify is told");
            }
            if skips_tls {
                lost("disableTLS: its certificate is looked at");
            }
            return notes.said(
                &path,
                format!("webhook {name:.80} of type {kind:.80}: a receiver in spec.notify, which gets other JSON (Standard Webhooks)"),
            );
        }
        "event" | "post-rollout" => {
            return lost(
                "what it is sent with its metadata, sluice does not send; let a receiver of spec.notify do it",
            );
        }
        "pre-rollout" => {
            return lost(
                "a test that is run with its metadata; let a server run it and answer a gate (before: step)",
            );
        }
        "rollout" => {
            return lost(
                "users make the requests; where they are too few, make load beside the run",
            );
        }
        "rollback" => {
            return lost("`sluice abort` and `sluice rollout abort` take users back at once");
        }
        _ => return lost("not known"),
    };
    if gates.len() >= MAX_GATES {
        return lost(&format!("more than {MAX_GATES} gates"));
    }
    if Endpoint::new(&url).is_none() {
        return lost("its url is no address by HTTP");
    }
    let mut gate = json!({"webhook": url, "before": before});
    if let Some(timeout) = timeout.as_deref() {
        match length::of_go(timeout).filter(|length| length.as_secs() <= MAX_GATE_SECONDS) {
            Some(length) => gate["timeout"] = json!(length::written(length)),
            None => lost(&format!(
                "a timeout of {timeout:.80}; accepted: at most {MAX_GATE_SECONDS}s, 10s is taken"
            )),
        }
    }
    if has_metadata {
        lost(
            "its metadata: a gate is asked a question of its own; where the server needs them, put them into the URL",
        );
    }
    if retries {
        lost("its retries: a gate that gives no answer is closed, and asked again until it opens");
    }
    if mute {
        lost("muteAlert: that a gate is closed stands in the status alone");
    }
    if skips_tls {
        lost("disableTLS: its certificate is looked at");
    }
    gates.push(gate);
}
