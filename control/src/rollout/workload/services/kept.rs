//! What is remembered of the two Services between two looks: what was asked for, whether it is so, since
//! when, and how often somebody set it back. Pure.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::{OfEach, Role, Seen, Selected, State};

/// How often somebody may set a Service back before it is left so. Chosen: as often as pods are scaled
/// up again that somebody takes away.
pub const MAX_SET_BACK: u32 = 3;

/// What is remembered of both.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct KeptServices {
    /// What is remembered of each.
    #[serde(flatten)]
    pub each: OfEach<KeptService>,
    /// What is wrong with either, in sentences.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub trouble: Option<String>,
}

/// What is remembered of one.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct KeptService {
    /// Its name.
    pub name: String,
    /// Whose pods it is to have.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub to: Option<Selected>,
    /// Whether that was so when it was seen last.
    pub is_there: bool,
    /// Whether something about it must be mended before it is set again.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub is_wrong: bool,
    /// How often somebody set it back since it was so first.
    #[serde(skip_serializing_if = "is_none")]
    pub set_back: u32,
    /// Whose pods it had when it was seen last; `None`: nobody's.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub selects: Option<Selected>,
    /// Since when its endpoints are those.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub since: Option<Timestamp>,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde calls it so")]
const fn is_none(times: &u32) -> bool {
    *times == 0
}

impl KeptService {
    /// Whether it is left as somebody sets it back.
    pub const fn is_given_up(&self) -> bool {
        self.set_back >= MAX_SET_BACK
    }

    fn note(&mut self, state: &State, now: Timestamp) {
        let there = match state {
            // What was seen last may still be so.
            State::Unread(_) => return,
            State::Wrong(_) => {
                (self.selects, self.since) = (None, None);
                (self.is_there, self.is_wrong) = (false, true);
                return;
            }
            State::There(there) => there,
        };
        self.is_wrong = there.mistake.is_some();
        let is_so = there.is_ours && self.to == Some(there.selects);
        if self.is_there && !is_so {
            self.set_back = self.set_back.saturating_add(1).min(MAX_SET_BACK);
        }
        self.is_there = is_so;
        if self.selects != Some(there.selects) {
            (self.selects, self.since) = (Some(there.selects), None);
        }
        self.since = match there.unfollowed {
            None => Some(self.since.map_or(now, |since| since.min(now))),
            // Pods that come and go are not asked for again once they were followed.
            Some(_) => self.since,
        };
    }
}

impl KeptServices {
    /// Whether nothing is remembered.
    pub fn is_empty(&self) -> bool {
        self.each.is_empty() && self.trouble.is_none()
    }

    /// Notes what was seen of those that are still named.
    pub fn note(&mut self, names: &OfEach<String>, seen: &Seen, now: Timestamp) {
        for role in Role::ALL {
            let kept = self.each.of_mut(role);
            let Some(name) = names.of(role) else {
                *kept = None;
                continue;
            };
            if kept.as_ref().is_none_or(|kept| kept.name != *name) {
                *kept = Some(KeptService {
                    name: name.clone(),
                    ..KeptService::default()
                });
            }
            if let (Some(kept), Some(seen)) = (kept, seen.of(role)) {
                kept.note(&seen.state, now);
            }
        }
    }

    /// Sets those again that somebody set back: a person, or another template, asks for it; whether any
    /// was left so.
    pub fn try_again(&mut self) -> bool {
        let mut was_given_up = false;
        for role in Role::ALL {
            if let Some(kept) = self.each.of_mut(role) {
                was_given_up |= kept.is_given_up();
                kept.set_back = 0;
            }
        }
        was_given_up
    }
}
