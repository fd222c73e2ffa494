//! What one adapter made of a request: what its upstream and its client received.

use std::collections::BTreeMap;

use super::expected::Expected;
use crate::client::Answer;

/// Headers that differ by themselves: in the request, and in the response.
const OWN: [&str; 3] = ["x-request-id", "date", "x-envoy-upstream-service-time"];

/// What one adapter made of a request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Outcome {
    pub(super) status: u16,
    /// What the upstream received, by name.
    pub(super) received: BTreeMap<String, Vec<String>>,
    /// What the client received, by name; of an issued cookie, without its value.
    pub(super) answered: BTreeMap<String, Vec<String>>,
    /// The value of the issued cookie.
    pub(super) issued: Option<String>,
}

impl Outcome {
    pub(super) fn of(answer: Answer, cookie: &str) -> Self {
        let mut answered = by_name(&answer.head);
        let mut issued = None;
        for set in answered.get_mut("set-cookie").into_iter().flatten() {
            let own = set
                .strip_prefix(cookie)
                .and_then(|rest| rest.strip_prefix('='));
            if let Some(rest) = own {
                let (value, attributes) = rest.split_once(';').unwrap_or((rest, ""));
                assert_eq!(issued.replace(value.to_owned()), None, "issued twice");
                *set = format!("{cookie}=?;{attributes}");
            }
        }
        Self {
            status: answer.status,
            received: by_name(&answer.body),
            answered,
            issued,
        }
    }

    /// Whether the upstream could say what it received: it answered, with a body.
    pub(super) fn is_told(&self) -> bool {
        self.answered.contains_key("x-variant") && !self.received.is_empty()
    }

    /// The same, without the values that chance gave.
    pub(super) fn without_chance(&self, expected: &BTreeMap<String, Expected>) -> Self {
        let mut known = self.clone();
        known.issued = None;
        let open = expected
            .iter()
            .filter(|(_, expected)| !matches!(expected, Expected::These(_)));
        for (name, _) in open {
            known.received.remove(name);
            if name == "x-sluice-web" {
                known.answered.remove("x-route");
            }
        }
        known
    }
}

/// The lines of a head by their names, in their order; without those that differ by themselves.
fn by_name(head: &[u8]) -> BTreeMap<String, Vec<String>> {
    let mut lines: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for line in head.split(|&byte| byte == b'\n') {
        let Some(colon) = line
            .iter()
            .position(|&byte| byte == b':')
            .filter(|&at| at > 0)
        else {
            continue;
        };
        let name = String::from_utf8_lossy(&line[..colon]).to_ascii_lowercase();
        let value = line[colon + 1..].trim_ascii().escape_ascii().to_string();
        if !OWN.contains(&&*name) {
            lines.entry(name).or_default().push(value);
        }
    }
    // How long the body is depends on what chance gave.
    lines.remove("content-length");
    lines
}
