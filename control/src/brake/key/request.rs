//! What is asked with the key, how it is signed, and whether a signed request counts. Pure.
//!
//! Signed as our webhooks' messages are ([`crate::model::signature`]): id, time and body. A request
//! counts for a minute. What it brakes has a name that derives from its signature, so that the same
//! request gives the same brake, whoever sends it and however often.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};
use sluice_core::definition::is_name;
use sluice_core::problem::{Accepted, Problem};

use super::Key;
use crate::brake::object::{BrakeSpec, State, name_of_key};
use crate::brake::plugin::PluginName;
use crate::model::object_names::is_subdomain;
use crate::model::signature;

/// Where it is asked.
pub const PATH: &str = "/v1/pull";

/// The longest request, in bytes; see docs/limits.md. The longest names and reason fit, also where JSON
/// has to escape them.
pub const MAX_PULL_BYTES: usize = 16 * 1024;

/// How far the clock of whoever asks may be from the controller's, in seconds; see docs/limits.md. So
/// long, too, an overheard request could be sent again.
pub const MAX_CLOCK_SECONDS: u64 = 60;

/// The longest name of who asks, in characters; see docs/limits.md.
pub const MAX_BY: usize = 200;

/// The longest reason, in bytes, as every command has it.
const LONGEST_REASON: usize = 1_024;

/// What is to be braked.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Pull {
    /// The plugin's namespace.
    pub namespace: String,
    /// The plugin.
    pub plugin: String,
    /// The split.
    pub split: String,
    /// The challenger; all of the split's where none is named.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub challenger: Option<String>,
    /// Who asks.
    pub by: String,
    /// Why.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
}

#[cfg(test)]
impl Pull {
    /// Of every challenger of a split, for tests.
    pub fn of_web() -> Self {
        Self {
            namespace: "shop".to_owned(),
            plugin: "sluice".to_owned(),
            split: "web".to_owned(),
            challenger: None,
            by: "ann".to_owned(),
            reason: None,
        }
    }
}

impl Pull {
    /// What is wrong with it.
    pub fn problems(&self) -> Vec<Problem> {
        let name = "1 to 63 of a-z, 0-9 and -, beginning and ending with a letter or digit";
        let one_line = |text: &str| !text.chars().any(char::is_control);
        let is_by = (1..=MAX_BY).contains(&self.by.chars().count()) && one_line(&self.by);
        let reason = self.reason.as_deref().unwrap_or_default();
        let is_reason = reason.len() <= LONGEST_REASON && !reason.contains('\0');
        let challenger = self.challenger.as_deref();
        let checked = [
            (
                "namespace",
                &*self.namespace,
                is_name(&self.namespace),
                name,
            ),
            (
                "plugin",
                &self.plugin,
                is_subdomain(&self.plugin),
                "1 to 253 of a-z, 0-9, - and ., as objects are named",
            ),
            ("split", &self.split, is_name(&self.split), name),
            (
                "challenger",
                challenger.unwrap_or_default(),
                challenger.is_none_or(is_name),
                name,
            ),
            ("by", &self.by, is_by, "one line of 1 to 200 characters"),
            ("reason", reason, is_reason, "at most 1024 bytes of text"),
        ];
        let wrong = checked.into_iter().filter(|(_, _, is_good, _)| !is_good);
        wrong
            .map(|(field, text, _, accepted)| {
                Problem::new(field, found(text), Accepted::value(accepted))
            })
            .collect()
    }

    /// The plugin, as proxies name it.
    pub fn plugin(&self) -> PluginName {
        PluginName {
            namespace: self.namespace.clone(),
            name: self.plugin.clone(),
        }
    }

    /// What is written of it.
    pub fn spec(&self) -> BrakeSpec {
        BrakeSpec {
            plugin: self.plugin.clone(),
            split: self.split.clone(),
            challenger: self.challenger.clone(),
            by: format!("{}, by the controller's key", self.by),
            reason: self.reason.clone(),
            written: None,
            released: None,
        }
    }

    /// `brake shop/sluice, split web, canary`, as it is said.
    pub fn what(&self) -> String {
        let challenger = self.challenger.as_deref().unwrap_or("every challenger");
        format!("{}, split {}, {challenger}", self.plugin(), self.split)
    }
}

/// A short text as it is, of a long one its length.
fn found(text: &str) -> String {
    match text.len() {
        0..=100 => format!("{text:?}"),
        length => format!("{length} bytes"),
    }
}

/// A request as it is sent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Signed {
    /// What tells it from others of the same second.
    pub id: String,
    /// When it was signed, in seconds since 1970.
    pub timestamp: String,
    /// The signature.
    pub signature: String,
    /// A [`Pull`] in JSON.
    pub body: Vec<u8>,
}

/// A request that counts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Counted {
    /// What is asked.
    pub pull: Pull,
    /// What the brake is named.
    pub name: String,
    /// When it was signed.
    pub signed: Timestamp,
}

/// Why a request does not count.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refused {
    /// It is not signed with the key.
    #[error("not signed with the controller's key")]
    Signature,
    /// It is of another time.
    #[error(
        "signed at {signed}, and the controller's clock says {now}; accepted: at most {MAX_CLOCK_SECONDS} s apart"
    )]
    Clock {
        /// When it was signed.
        signed: Timestamp,
        /// The controller's time.
        now: Timestamp,
    },
    /// It asks for what cannot be.
    #[error("{}", .0.join("\n"))]
    Wrong(Vec<String>),
}

impl Signed {
    /// A request that is signed now; `id` differs for each.
    pub fn new(key: &Key, pull: &Pull, id: String, now: Timestamp) -> serde_json::Result<Self> {
        let body = serde_json::to_vec(pull)?;
        let timestamp = now.as_second().to_string();
        let tag = signature::tag(key.bytes(), &id, &timestamp, &body);
        Ok(Self {
            signature: signature::header(&tag),
            id,
            timestamp,
            body,
        })
    }

    /// What is asked, if it counts: the signature first, so that nobody without the key learns more.
    ///
    /// # Errors
    /// Why not.
    pub fn check(&self, key: &Key, now: Timestamp) -> Result<Counted, Refused> {
        let Self {
            id,
            timestamp,
            signature,
            body,
        } = self;
        if !signature::is_good(key.bytes(), id, timestamp, body, signature) {
            return Err(Refused::Signature);
        }
        let seconds = timestamp.parse().ok();
        let signed = seconds.and_then(|seconds| Timestamp::from_second(seconds).ok());
        let signed =
            signed.ok_or_else(|| Refused::Wrong(vec!["a time that is none".to_owned()]))?;
        if now.duration_since(signed).unsigned_abs().as_secs() > MAX_CLOCK_SECONDS {
            return Err(Refused::Clock { signed, now });
        }
        let pull: Pull = serde_json::from_slice(body)
            .map_err(|error| Refused::Wrong(vec![error.to_string()]))?;
        let problems = pull.problems();
        if !problems.is_empty() {
            let problems = problems.iter().map(ToString::to_string).collect();
            return Err(Refused::Wrong(problems));
        }
        // Of the signature itself nothing is shown.
        let tag = signature::tag(key.bytes(), id, timestamp, body);
        let name = name_of_key(&Sha256::digest(tag));
        Ok(Counted { pull, name, signed })
    }
}

/// What a replica answers to a request that counts.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Answered {
    /// What the brake is named.
    pub brake: String,
    /// How it stands: on, written, over, released.
    pub state: String,
    /// How many proxies ask this replica.
    pub asking: u32,
    /// How many of them have heard.
    pub following: u32,
}

impl Answered {
    /// How a brake stands, in a word. One that is gone was released.
    pub const fn state(state: Option<State>) -> &'static str {
        match state {
            Some(State::On) => "on",
            Some(State::Written) => "written",
            Some(State::Over) => "over",
            Some(State::Released) | None => "released",
        }
    }

    /// As it is sent.
    pub fn to_json(&self) -> String {
        let Self {
            brake,
            state,
            asking,
            following,
        } = self;
        serde_json::json!({"brake": brake, "state": state, "asking": asking, "following": following})
            .to_string()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(byte: u8) -> Key {
        Key(vec![byte; 32].into())
    }

    fn at(text: &str) -> Timestamp {
        text.parse().unwrap()
    }

    fn pull() -> Pull {
        Pull {
            plugin: "sluice.v2".to_owned(),
            challenger: Some("canary".to_owned()),
            ..Pull::of_web()
        }
    }

    fn signed(id: &str) -> Signed {
        let now = at("2026-01-01T00:00:00Z");
        Signed::new(&key(1), &pull(), id.to_owned(), now).unwrap()
    }

    #[test]
    fn a_signed_request_counts_for_a_minute() {
        let wrong = |signed: &str, now: &str| {
            format!(
                "signed at {signed}, and the controller's clock says {now}; accepted: at most 60 s apart"
            )
        };
        let counted = "shop/sluice.v2, split web, canary".to_owned();
        let cases = [
            ("2026-01-01T00:00:00Z", Ok(counted.clone())),
            ("2025-12-31T23:59:00Z", Ok(counted.clone())),
            ("2026-01-01T00:01:00Z", Ok(counted)),
            (
                "2025-12-31T23:58:59Z",
                Err(wrong("2026-01-01T00:00:00Z", "2025-12-31T23:58:59Z")),
            ),
            (
                "2026-01-01T00:01:01Z",
                Err(wrong("2026-01-01T00:00:00Z", "2026-01-01T00:01:01Z")),
            ),
        ];
        for (now, expected) in cases {
            let checked = signed("a").check(&key(1), at(now));
            let what = checked.map(|counted| counted.pull.what());
            assert_eq!(what.map_err(|error| error.to_string()), expected, "{now}");
        }
    }

    #[test]
    fn whoever_lacks_the_key_learns_nothing_else() {
        let late = at("2027-01-01T00:00:00Z");
        let garbage = Signed {
            body: b"{".to_vec(),
            ..signed("a")
        };
        let later = Signed {
            timestamp: "1".to_owned(),
            ..signed("a")
        };
        for signed in [signed("a"), garbage, later] {
            assert_eq!(signed.check(&key(2), late), Err(Refused::Signature));
        }
    }

    #[test]
    fn the_same_request_is_the_same_brake_and_another_one_is_not() {
        let now = at("2026-01-01T00:00:30Z");
        let name = |signed: Signed| signed.check(&key(1), now).unwrap().name;
        let first = name(signed("a"));
        assert_eq!(first, name(signed("a")));
        assert_ne!(first, name(signed("b")));
        assert!(crate::brake::object::is_of_key(&first), "{first}");
    }

    #[test]
    fn what_cannot_be_is_said_all_at_once() {
        let bad = Pull {
            namespace: "Shop".to_owned(),
            plugin: "a..b".to_owned(),
            split: String::new(),
            challenger: Some("a\"b".to_owned()),
            by: "ann\n".to_owned(),
            reason: Some("x".repeat(1_025)),
        };
        let now = at("2026-01-01T00:00:00Z");
        let signed = Signed::new(&key(1), &bad, "a".to_owned(), now).unwrap();
        let refused = signed.check(&key(1), now).unwrap_err().to_string();
        let name = "1 to 63 of a-z, 0-9 and -, beginning and ending with a letter or digit";
        let expected = [
            format!("namespace: \"Shop\"; accepted: {name}"),
            "plugin: \"a..b\"; accepted: 1 to 253 of a-z, 0-9, - and ., as objects are named"
                .to_owned(),
            format!("split: \"\"; accepted: {name}"),
            format!("challenger: \"a\\\"b\"; accepted: {name}"),
            "by: \"ann\\n\"; accepted: one line of 1 to 200 characters".to_owned(),
            "reason: 1025 bytes; accepted: at most 1024 bytes of text".to_owned(),
        ];
        assert_eq!(refused, expected.join("\n"));
    }

    #[test]
    fn garbage_that_is_signed_is_refused() {
        let cases = [
            ("", "EOF while parsing a value at line 1 column 0"),
            (
                "[]",
                "invalid length 0, expected struct Pull with 6 elements at line 1 column 2",
            ),
            (
                r#"{"force": true}"#,
                "unknown field `force`, expected one of `namespace`, `plugin`, `split`, `challenger`, `by`, `reason` at line 1 column 8",
            ),
        ];
        for (body, expected) in cases {
            let tag = signature::tag(key(1).bytes(), "a", "0", body.as_bytes());
            let signed = Signed {
                id: "a".to_owned(),
                timestamp: "0".to_owned(),
                signature: signature::header(&tag),
                body: body.as_bytes().to_vec(),
            };
            let refused = signed.check(&key(1), Timestamp::UNIX_EPOCH).unwrap_err();
            assert_eq!(refused.to_string(), expected);
        }
    }

    #[test]
    fn the_longest_request_fits() {
        let longest = Pull {
            namespace: "n".repeat(63),
            plugin: "p".repeat(253),
            split: "s".repeat(63),
            challenger: Some("c".repeat(63)),
            by: "\u{10ffff}".repeat(200),
            reason: Some("\u{1}".repeat(1_024)),
        };
        assert_eq!(longest.problems(), Vec::new());
        assert!(serde_json::to_vec(&longest).unwrap().len() <= MAX_PULL_BYTES);
        assert!(longest.spec().by.chars().count() <= 256);
    }
}
