//! A Canary's alerts, and the AlertProviders that they name, as receivers of messages.

use serde_json::{Map, Value, json};

use super::super::fields::Fields;
use super::super::notes::Notes;
use super::canary::Canary;
use crate::rollout::resource::MAX_RECEIVERS;

pub(super) fn read(
    canary: &mut Canary<'_>,
    analysis: &mut Fields,
    rollout: &mut Map<String, Value>,
    notes: &mut Notes,
) {
    for mut alert in analysis.maps("alerts", notes) {
        let path = alert.at("providerRef");
        let name = alert.text("name", notes).unwrap_or_default();
        let severity = alert.text("severity", notes);
        let reference = alert.map("providerRef", notes).unwrap_or_default();
        alert.end(notes);
        let receivers = rollout
            .get("notify")
            .and_then(Value::as_array)
            .map_or(0, Vec::len);
        let made = match receivers < MAX_RECEIVERS {
            true => receiver(canary, reference, severity.as_deref(), notes),
            false => Err(format!("more than {MAX_RECEIVERS} receivers")),
        };
        match made {
            Ok(receiver) => {
                let list = rollout.entry("notify").or_insert_with(|| json!([]));
                if let Value::Array(list) = list {
                    list.push(receiver);
                }
            }
            Err(why) => notes.lost(&path, format!("alert {name:.80}: {why}")),
        }
    }
}

fn receiver(
    canary: &mut Canary<'_>,
    mut reference: Fields,
    severity: Option<&str>,
    notes: &mut Notes,
) -> Result<Value, String> {
    let name = reference.text("name", notes).unwrap_or_default();
    let namespace = reference.text("namespace", notes);
    reference.take("kind");
    reference.take("apiVersion");
    reference.end(notes);
    let (title, mut spec) = canary.named("AlertProvider", &name, namespace.as_deref(), notes)?;
    let kind = spec.text("type", notes).unwrap_or_default();
    if kind != "slack" {
        return Err(format!(
            "AlertProvider {title}: type {kind:.80}; receivers are slack, weCom and webhook: let a server of yours take \
             the webhook and hand it on"
        ));
    }
    // Whoever has the address may write there, so it is never repeated.
    let address = spec.text("address", notes);
    if address.is_some_and(|address| address.starts_with("https://slack.com/api/")) {
        return Err(format!(
            "AlertProvider {title}: a bot's token; only an incoming webhook of Slack is written to"
        ));
    }
    spec.all_lost(
        &[
            ("channel", "an incoming webhook has its own channel"),
            ("username", "an incoming webhook has its own name"),
            ("proxy", "the controller's HTTPS_PROXY is taken"),
        ],
        notes,
    );
    let mut secret = spec.map("secretRef", notes).unwrap_or_default();
    let secret_name = secret.text("name", notes);
    secret.end(notes);
    spec.end(notes);
    let own = namespace
        .as_deref()
        .is_none_or(|namespace| namespace == canary.namespace);
    let key_of = match secret_name {
        Some(secret) => {
            if !own {
                notes.said(
                    "spec.analysis.alerts",
                    format!(
                        "copy Secret {secret:.80} of AlertProvider {title} into namespace {}",
                        canary.namespace
                    ),
                );
            }
            json!({"name": secret, "key": "address"})
        }
        None => {
            notes.said(
                "spec.analysis.alerts",
                format!(
                    "the address of AlertProvider {title} belongs into a Secret: make one called {name:.80} with the key \
                     url in namespace {}",
                    canary.namespace
                ),
            );
            json!({"name": name})
        }
    };
    let mut receiver = json!({"slack": {"secretRef": key_of}});
    // What Flagger says at which severity (its manual, "Alerting").
    match severity {
        Some("error") => receiver["on"] = json!(["rolledBack", "aborted", "failed"]),
        Some("warn") => {
            receiver["on"] = json!([
                "waiting",
                "paused",
                "blocked",
                "rolledBack",
                "aborted",
                "failed"
            ]);
        }
        _ => {}
    }
    Ok(receiver)
}
