//! Whose pods the two Services are to have, and what waits for them: pure.
//!
//! The active one goes by the weight of everyone in force: at 100 % it has the challenger's pods, at 0
//! the fallback's; in between it stays. No Service is set to a variant that has no ready pods, but for
//! the preview one, which nobody depends on.

use std::time::Duration;

use jiff::Timestamp;
use sluice_core::allocation::Percent;

use super::kept::{KeptService, KeptServices};
use super::{Role, Seen, Selected, Selection, State, There};
use crate::model::workload::VARIANT_LABEL;
use crate::rollout::workload::Workload;
use crate::rollout::workload::handing::HandingStage;
use crate::rollout::workload::kept::has_passed;
use crate::rollout::workload::seen::Both;

/// What there is around them.
#[derive(Clone, Copy, Debug)]
pub struct Around<'a> {
    /// What is written.
    pub workload: &'a Workload,
    /// Both Deployments, where they are seen.
    pub both: Option<&'a Both>,
    /// The weight of everyone in force; `None`: it is not known.
    pub everyone: Option<Percent>,
    /// Where users are in the run.
    pub users: Going,
    /// How far everything is handed back.
    pub handing: Option<HandingStage>,
    /// How many pods the copy has while everybody is there.
    pub serving: u32,
}

/// What becomes of the users of a run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Going {
    /// There is no run.
    Nowhere,
    /// It goes on.
    Forward,
    /// They are taken back.
    Back,
}

/// What is to be done to them, with what is remembered then.
pub fn select(kept: &mut KeptServices, seen: &Seen, around: &Around<'_>) -> Vec<Selection> {
    let is_any_wrong = Role::ALL.iter().any(|role| {
        let seen = seen.of(*role);
        seen.is_some_and(|seen| mistake(&seen.state).is_some())
    });
    let mut selections = Vec::new();
    for role in Role::ALL {
        let (Some(kept), Some(seen)) = (kept.each.of_mut(role), seen.of(role)) else {
            continue;
        };
        let Some(to) = aim(role, around, kept.to) else {
            continue;
        };
        if kept.to != Some(to) {
            (kept.to, kept.is_there, kept.set_back) = (Some(to), false, 0);
        }
        let State::There(there) = &seen.state else {
            continue;
        };
        let is_so = there.is_ours && there.selects == to;
        let may_be_set = match to {
            Selected::Both => there.is_ours,
            // One that was made anew goes back whatever is wrong with the other.
            Selected::Fallback if around.users == Going::Back && there.mistake.is_none() => {
                has_pods(to, around)
            }
            // Never one of both Services alone.
            _ if !there.is_ours => !is_any_wrong && may_begin(role, to, around),
            Selected::Fallback => has_pods(to, around),
            Selected::Challenger => {
                there.mistake.is_none() && (role == Role::Preview || has_pods(to, around))
            }
        };
        let is_to_be_set = match to {
            Selected::Both => may_be_set,
            _ => may_be_set && !is_so && !kept.is_given_up(),
        };
        if is_to_be_set {
            selections.push(Selection {
                role,
                service: seen.name.clone(),
                to,
            });
        }
    }
    selections
}

/// Whose pods one is to have; `None`: nobody says.
fn aim(role: Role, around: &Around<'_>, former: Option<Selected>) -> Option<Selected> {
    match around.handing {
        Some(HandingStage::Done) => return None,
        Some(HandingStage::Clearing) if around.both.is_some_and(|both| both.copy.is_none()) => {
            return Some(Selected::Both);
        }
        _ => {}
    }
    if role == Role::Preview {
        return Some(Selected::Challenger);
    }
    let between = former.or(Some(Selected::Fallback));
    match around.everyone {
        _ if around.users == Going::Back => Some(Selected::Fallback),
        None => former,
        Some(Percent::HUNDRED) => Some(Selected::Challenger),
        Some(Percent::ZERO) => Some(Selected::Fallback),
        Some(_) => between,
    }
}

/// Whether a Service that nobody has set may be set: the copy has as many pods as serve everyone.
fn may_begin(role: Role, to: Selected, around: &Around<'_>) -> bool {
    let Some(both) = around.both.filter(|both| both.mistake.is_none()) else {
        return false;
    };
    let copy = both.copy.as_ref();
    let is_copy_ready = copy.is_some_and(|copy| copy.has(copy.replicas.max(1)));
    is_copy_ready && (role == Role::Preview || has_pods(to, around))
}

/// Whether a variant has pods for everybody. In a run the weight has moved by the same.
fn has_pods(to: Selected, around: &Around<'_>) -> bool {
    match (to, around.both) {
        // Its Deployment is gone, or nobody knows: the copy was there before.
        (Selected::Fallback, None) => true,
        (Selected::Fallback, Some(both)) => both.copy.as_ref().is_some_and(|copy| copy.ready > 0),
        (_, None) => false,
        (_, Some(both)) => {
            let copy = both.copy.as_ref().map_or(0, |copy| copy.replicas);
            let serving = copy.max(around.serving);
            let needed = match around.users {
                Going::Nowhere => around.workload.needed(Percent::HUNDRED, serving),
                Going::Forward | Going::Back => 1,
            };
            both.wanted.ready >= needed
        }
    }
}

fn mistake(state: &State) -> Option<&str> {
    match state {
        State::Unread(why) | State::Wrong(why) => Some(why),
        State::There(there) => there.mistake.as_deref(),
    }
}

/// What is wrong with them, in sentences; with why one could not be set.
pub fn trouble(kept: &KeptServices, seen: &Seen, failure: Option<&str>) -> Option<String> {
    let mut said: Vec<String> = Vec::new();
    for role in Role::ALL {
        let mistake = seen.of(role).and_then(|seen| mistake(&seen.state));
        said.extend(mistake.map(str::to_owned));
        let given_up = kept.each.of(role).filter(|kept| kept.is_given_up());
        said.extend(given_up.map(|kept| {
            format!(
                "Service {} was set back {} times and is left so until `sluice rollout retry`: Git should leave the key \
                 {VARIANT_LABEL} of its selector alone",
                kept.name, kept.set_back
            )
        }));
    }
    said.extend(failure.map(str::to_owned));
    (!said.is_empty()).then(|| said.join("; "))
}

/// Why a run may not go on for want of them: one is not what it is to be.
pub fn unset(kept: &KeptServices) -> Option<String> {
    let mut each = Role::ALL
        .iter()
        .filter_map(|role| kept.each.of(*role).map(|kept| (*role, kept)));
    let (role, unset) = each.find(|(_, kept)| !kept.is_there || kept.is_wrong)?;
    Some(kept.trouble.clone().unwrap_or_else(|| waits(role, unset)))
}

/// Why a run may not end: one can no longer be set as it is to be.
pub fn wrong(kept: &KeptServices) -> Option<&str> {
    let mut each = Role::ALL.iter().filter_map(|role| kept.each.of(*role));
    let is_wrong = each.any(|kept| kept.is_wrong);
    kept.trouble.as_deref().filter(|_| is_wrong)
}

fn waits(role: Role, kept: &KeptService) -> String {
    let service = kept.name.clone();
    match kept.to {
        None => format!("Service {service} is not set yet"),
        Some(to) => Selection { role, service, to }.to_string(),
    }
}

/// Why pods of a variant may not go yet: the active Service has sent somebody there less than `drain`
/// ago. One that is wrong, or left as somebody sets it, is not waited for, unless it names them.
pub fn in_use(
    kept: &KeptServices,
    seen: &Seen,
    variant: Selected,
    drain: Duration,
    now: Timestamp,
) -> Option<String> {
    let active = kept.each.active.as_ref()?;
    let name = &active.name;
    let why = match (active.selects, active.since) {
        (None, _) => match seen.active.as_ref().map(|seen| &seen.state) {
            Some(State::Unread(why)) => why.clone(),
            _ => return None,
        },
        (Some(Selected::Both), _) if active.is_given_up() => return None,
        (Some(selected), _) if selected == variant || selected == Selected::Both => {
            let waits = waits(Role::Active, active);
            kept.trouble.clone().unwrap_or(waits)
        }
        (Some(_), None) => format!("the endpoints of Service {name} have not followed"),
        (Some(_), Some(since)) if !has_passed(since, drain, now) => {
            format!("clients of Service {name} get their last answers")
        }
        (Some(_), Some(_)) => return None,
    };
    Some(why)
}

/// A Service that still has the key of ours when everything else is handed back, or may have.
pub fn still_set(seen: &Seen) -> Option<String> {
    Role::ALL.iter().find_map(|role| {
        let seen = seen.of(*role)?;
        match &seen.state {
            State::Unread(why) => Some(why.clone()),
            State::There(There { is_ours: true, .. }) => {
                Some(format!("Service {} is to have every pod again", seen.name))
            }
            State::There(_) | State::Wrong(_) => None,
        }
    })
}
