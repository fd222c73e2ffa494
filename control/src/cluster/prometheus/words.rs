//! A server's own words, as they may be shown.

use super::access::Access;
use crate::model::redacted;

/// How much of a server's own words is shown. Chosen: its longest complaints about queries.
const MAX_SERVER_WORDS: usize = 400;

/// Makes messages of what a server says: short, on one line, and without what it was sent to know
/// who asks, which it may repeat.
pub(super) struct Words {
    secrets: Vec<String>,
}

impl Words {
    pub(super) fn without(sent: Option<String>, access: &Access) -> Self {
        let own = access.secrets().into_iter().map(str::to_owned);
        let all = own.chain(sent);
        Self {
            secrets: all.filter(|secret| !secret.is_empty()).collect(),
        }
    }

    pub(super) fn of(&self, text: &str) -> String {
        // Before anything is cut, so that no half of a secret is left.
        let hidden = self
            .secrets
            .iter()
            .fold(text.to_owned(), |text, secret| text.replace(secret, "***"));
        let hidden = redacted::text(&hidden);
        let mut words = hidden.split_whitespace().collect::<Vec<_>>().join(" ");
        if let Some((at, _)) = words.char_indices().nth(MAX_SERVER_WORDS) {
            words.truncate(at);
            words.push('…');
        }
        words
    }

    pub(super) fn of_body(&self, body: &[u8]) -> String {
        match &*String::from_utf8_lossy(body) {
            "" => "an empty answer".to_owned(),
            text => self.of(text),
        }
    }
}
