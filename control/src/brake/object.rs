//! A brake as an API server has it.

use std::collections::BTreeMap;

use jiff::Timestamp;
use kube::CustomResource;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::plugin::PluginName;

/// How splits and challengers are named.
const NAME: &str = "^[a-z0-9]([-a-z0-9]*[a-z0-9])?$";

/// A brake: that a challenger serves nobody, whatever the weights say, until the weights say so
/// themselves or somebody releases it. Istiod's webhook does not guard it, so it can be given while
/// istiod is down.
#[derive(CustomResource, Clone, Debug, PartialEq, Deserialize, Serialize, JsonSchema)]
#[kube(
    group = "sluice.dev",
    version = "v1alpha1",
    kind = "Brake",
    namespaced,
    status = "BrakeStatus",
    category = "sluice",
    derive = "PartialEq",
    printcolumn = r#"{"name": "Plugin", "type": "string", "jsonPath": ".spec.plugin"}"#,
    printcolumn = r#"{"name": "Split", "type": "string", "jsonPath": ".spec.split"}"#,
    printcolumn = r#"{"name": "Challenger", "type": "string", "jsonPath": ".spec.challenger"}"#,
    printcolumn = r#"{"name": "By", "type": "string", "jsonPath": ".spec.by"}"#,
    printcolumn = r#"{"name": "Written", "type": "string", "jsonPath": ".status.written"}"#,
    printcolumn = r#"{"name": "Released", "type": "string", "jsonPath": ".spec.released.at"}"#,
    printcolumn = r#"{"name": "Age", "type": "date", "jsonPath": ".metadata.creationTimestamp"}"#,
    printcolumn = r#"{"name": "Message", "type": "string", "jsonPath": ".status.message", "priority": 1}"#
)]
#[serde(rename_all = "camelCase")]
pub struct BrakeSpec {
    /// The plugin of the same namespace.
    #[schemars(length(min = 1, max = 253))]
    pub plugin: String,
    /// The split.
    #[schemars(length(min = 1, max = 63), regex(pattern = NAME))]
    pub split: String,
    /// The challenger that serves nobody; all of the split's where none is named.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 63), regex(pattern = NAME))]
    pub challenger: Option<String>,
    /// Who gave it, as the API server knows them.
    #[schemars(length(max = 256))]
    pub by: String,
    /// Why.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 1_024))]
    pub reason: Option<String>,
    /// That whoever gave it wrote the zeros too, and saw them in force.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub written: Option<Noted>,
    /// That somebody released it, so that the weights count again.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub released: Option<Noted>,
}

/// Who did something, and when.
#[derive(Clone, Debug, PartialEq, Deserialize, Serialize, JsonSchema)]
pub struct Noted {
    /// When, as RFC 3339 writes it.
    #[schemars(length(max = 64), extend("format" = "date-time"))]
    pub at: String,
    /// Who.
    #[schemars(length(max = 256))]
    pub by: String,
}

/// What became of a brake.
#[derive(Clone, Debug, Default, PartialEq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct BrakeStatus {
    /// When the zeros were seen in the plugin, as RFC 3339 writes it: then the brake is over, and a
    /// proxy keeps it until it has them.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 64))]
    pub written: Option<String>,
    /// That proxies need not be told any more: it is long ago.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub is_over: bool,
    /// That somebody has raised a weight since: that released it.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub is_raised: bool,
    /// Why the zeros are not written yet.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 1_024))]
    pub message: Option<String>,
    /// Of each replica of the controller, the proxies that ask it.
    #[schemars(extend("maxProperties" = 16))]
    pub replicas: BTreeMap<String, Count>,
}

/// How many proxies of the plugin ask one replica, as it said last.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(default)]
pub struct Count {
    /// That asked within the last half minute.
    pub asking: u32,
    /// That were told, and have asked again since.
    pub following: u32,
    /// When it said so, as RFC 3339 writes it.
    #[schemars(length(max = 64))]
    pub at: String,
}

/// How many proxies ask, and how many of them have heard of a brake.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Heard {
    /// That ask.
    pub asking: u32,
    /// That have heard.
    pub following: u32,
}

/// Whether a brake is on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum State {
    /// It is.
    On,
    /// The zeros are in the plugin; proxies are told for a while, since they may not have them.
    Written,
    /// The zeros were in the plugin.
    Over,
    /// Somebody released or deleted it, or raised a weight after the zeros.
    Released,
}

/// How the names begin of brakes that were given by the controller's key.
const OF_KEY: &str = "key-";

/// How many hexadecimal digits follow.
const KEY_DIGITS: usize = 32;

/// The name of a brake that was given by the controller's key, of a fingerprint of the request.
pub fn name_of_key(fingerprint: &[u8]) -> String {
    let digits = fingerprint.iter().take(KEY_DIGITS / 2);
    let digits: Vec<String> = digits.map(|byte| format!("{byte:02x}")).collect();
    format!("{OF_KEY}{}", digits.concat())
}

/// Whether a name is such a one.
pub fn is_of_key(name: &str) -> bool {
    let is_digit = |byte: u8| byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte);
    name.strip_prefix(OF_KEY)
        .is_some_and(|digits| digits.len() == KEY_DIGITS && digits.bytes().all(is_digit))
}

impl Brake {
    /// Whether it is on.
    pub fn state(&self) -> State {
        let says = |what: fn(&BrakeStatus) -> bool| self.status.as_ref().is_some_and(what);
        match (&self.spec.released, self.written()) {
            (Some(_), _) => State::Released,
            (None, Some(_)) if says(|status| status.is_raised) => State::Released,
            (None, Some(_)) if says(|status| status.is_over) => State::Over,
            (None, Some(_)) => State::Written,
            // A finalizer may keep it for ever.
            (None, None) if self.deleted().is_some() => State::Released,
            (None, None) => State::On,
        }
    }

    fn written(&self) -> Option<&String> {
        let by_controller = self.status.as_ref();
        let by_controller = by_controller.and_then(|status| status.written.as_ref());
        by_controller.or(self.spec.written.as_ref().map(|noted| &noted.at))
    }

    /// When it ended; `None` while it is on. Never before the API server made it: whose clock said
    /// so may be behind.
    pub fn ended(&self) -> Option<Timestamp> {
        let released = self.spec.released.as_ref().map(|noted| &noted.at);
        let at = match released.or(self.written()) {
            Some(at) => at.parse().unwrap_or(Timestamp::UNIX_EPOCH),
            None => self.deleted()?,
        };
        Some(self.created().map_or(at, |created| at.max(created)))
    }

    /// When the API server made it.
    pub fn created(&self) -> Option<Timestamp> {
        self.metadata.creation_timestamp.as_ref().map(|time| time.0)
    }

    /// When somebody deleted it that is still there.
    pub fn deleted(&self) -> Option<Timestamp> {
        self.metadata.deletion_timestamp.as_ref().map(|time| time.0)
    }

    /// Its plugin.
    pub fn plugin(&self) -> PluginName {
        PluginName {
            namespace: self.metadata.namespace.clone().unwrap_or_default(),
            name: self.spec.plugin.clone(),
        }
    }

    /// Whether it is of this one.
    pub fn is_of(&self, plugin: &PluginName) -> bool {
        let namespace = self.metadata.namespace.as_deref().unwrap_or_default();
        namespace == plugin.namespace && self.spec.plugin == plugin.name
    }

    /// What tells it from all others.
    pub fn id(&self) -> &str {
        self.metadata.uid.as_deref().unwrap_or_default()
    }

    /// What proxies tell it from all others of its plugin by: what was given by the key was told before
    /// there was an object of it, and keeps that name.
    pub fn told_as(&self) -> &str {
        let name = self.metadata.name.as_deref();
        name.filter(|name| is_of_key(name)).unwrap_or(self.id())
    }

    /// Over all replicas.
    pub fn heard(&self) -> Heard {
        let sum = |sum: Heard, (_, one): (&String, &Count)| Heard {
            asking: sum.asking.saturating_add(one.asking),
            following: sum.following.saturating_add(one.following),
        };
        self.replicas().fold(Heard::default(), sum)
    }

    /// What each replica said last.
    pub fn replicas(&self) -> impl Iterator<Item = (&String, &Count)> {
        self.status.iter().flat_map(|status| &status.replicas)
    }
}

impl Count {
    /// Without when it was said.
    pub const fn heard(&self) -> Heard {
        Heard {
            asking: self.asking,
            following: self.following,
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn what_the_key_gave_keeps_the_name_that_proxies_were_told() {
        let of_key = name_of_key(&[0xab; 32]);
        assert_eq!(of_key, format!("key-{}", "ab".repeat(16)));
        let upper = format!("key-{}", "AB".repeat(16));
        let cases = [
            (of_key.as_str(), of_key.as_str()),
            ("web-x7k2p", "5f1c"),
            ("key-ab", "5f1c"),
            (&upper, "5f1c"),
        ];
        for (name, expected) in cases {
            let brake: Brake = serde_json::from_value(json!({
                "apiVersion": "sluice.dev/v1alpha1", "kind": "Brake",
                "metadata": {"name": name, "namespace": "shop", "uid": "5f1c"},
                "spec": {"plugin": "sluice", "split": "web", "by": "ann"},
            }))
            .unwrap();
            assert_eq!(brake.told_as(), expected, "{name}");
        }
    }

    #[test]
    fn what_is_deleted_is_released_also_while_a_finalizer_keeps_it() {
        let (created, deleted) = ("2026-01-01T00:00:00Z", "2026-01-01T00:00:20Z");
        let written = "2026-01-01T00:00:10Z";
        let cases = [
            ("on", json!({}), State::Released, deleted),
            (
                "written",
                json!({"written": written}),
                State::Written,
                written,
            ),
        ];
        for (label, status, state, ended) in cases {
            let brake: Brake = serde_json::from_value(json!({
                "metadata": {"name": "b", "creationTimestamp": created, "deletionTimestamp": deleted},
                "spec": {"plugin": "sluice", "split": "web", "by": "ann"}, "status": status,
            }))
            .unwrap();
            let seen = (brake.state(), brake.ended());
            assert_eq!(seen, (state, ended.parse().ok()), "{label}");
        }
    }
}
