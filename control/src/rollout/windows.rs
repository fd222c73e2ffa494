//! Whether a run may go forward now, by the windows of its Rollout, and when that changes.
//!
//! Pure: the time is an argument. A rollback never asks. Where a clock is put forward or back, the
//! hour that is missing or comes twice counts as closed: a window that denies is as long as it can be,
//! one that allows as short.

use std::fmt;

use jiff::civil::{Date, DateTime, Time, Weekday};
use jiff::{Timestamp, ToSpan as _};
use sluice_core::decode::Decode as _;
use sluice_core::problem::{Accepted, Problem};

use super::checking;
use super::resource::{self, Edge, MAX_WINDOWS, Zone};

/// How many windows are gone through in a search for the next opening or closing. Chosen: 32 windows
/// of a day each, for longer than a week; what has not come then comes in no other week.
const MAX_CHANGES: usize = 256;

/// The longest reason of a window and name of an override, in bytes.
const LONGEST_TEXT: usize = 128;

/// The windows of a Rollout, checked.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Windows {
    deny: Vec<Window>,
    allow: Vec<Window>,
    overridden_by: Option<String>,
}

/// Whether a run may go forward.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum State {
    /// It may.
    Open {
        /// When and why it may no longer; `None`: that is not to be seen.
        closes: Option<Closing>,
    },
    /// It may not.
    Closed {
        /// Why.
        reason: String,
        /// When it may again; `None`: never, as far as can be seen.
        opens: Option<Timestamp>,
    },
    /// It may, because somebody said so.
    Overridden {
        /// Who.
        by: String,
        /// Why it might not.
        reason: String,
    },
}

/// When a window closes, and why.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Closing {
    /// When.
    pub at: Timestamp,
    /// Why.
    pub reason: String,
}

impl State {
    /// Whether a run may go forward.
    pub const fn is_forward(&self) -> bool {
        !matches!(self, Self::Closed { .. })
    }
}

impl fmt::Display for State {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Open { closes: None } => f.write_str("open"),
            Self::Open { closes: Some(next) } => {
                write!(f, "open until {}: {}", next.at, next.reason)
            }
            Self::Closed { reason, opens } => {
                f.write_str("closed")?;
                opens.map_or(Ok(()), |opens| write!(f, " until {opens}"))?;
                write!(f, ": {reason}")
            }
            Self::Overridden { by, reason } => {
                write!(f, "open by override of {by}, in spite of: {reason}")
            }
        }
    }
}

/// Checks windows as they stand at `path`, collecting what is wrong with them.
pub fn checked(path: &str, written: &resource::Windows, problems: &mut Vec<Problem>) -> Windows {
    let overridden_by = written.overridden.as_ref().map(|one| one.by.trim());
    if let Some(by) = overridden_by {
        let path = format!("{path}.override.by");
        if by.is_empty() {
            let accepted = Accepted::value("who goes forward, and why");
            checking::report(&path, "missing", accepted, problems);
        }
        checking::is_short(&path, by, LONGEST_TEXT, problems);
    }
    Windows {
        deny: windows(&format!("{path}.deny"), &written.deny, problems),
        allow: windows(&format!("{path}.allow"), &written.allow, problems),
        overridden_by: overridden_by.map(str::to_owned),
    }
}

fn windows(path: &str, written: &[resource::Window], problems: &mut Vec<Problem>) -> Vec<Window> {
    if !checking::is_short_list(path, written, MAX_WINDOWS, problems) {
        return Vec::new();
    }
    let windows = written.iter().enumerate();
    windows
        .filter_map(|(index, written)| window(&format!("{path}[{index}]"), written, problems))
        .collect()
}

fn window(path: &str, written: &resource::Window, problems: &mut Vec<Problem>) -> Option<Window> {
    for (name, edge) in [("from", written.from), ("to", written.to)] {
        if edge.is_none() {
            let path = format!("{path}.{name}");
            checking::report(
                &path,
                "missing",
                Accepted::value(Edge::accepted()),
                problems,
            );
        }
    }
    if let Some(reason) = &written.reason {
        checking::is_short(&format!("{path}.reason"), reason, LONGEST_TEXT, problems);
    }
    match times(written.from?, written.to?) {
        Ok(times) => Some(Window {
            times,
            zone: written.timezone.clone(),
            reason: written.reason.clone(),
        }),
        Err(why) => {
            checking::report(&format!("{path}.to"), why, Accepted::rule(BOTH), problems);
            None
        }
    }
}

const BOTH: &str = "a window's begin and end are written alike, and the end comes later";

fn times(from: Edge, to: Edge) -> Result<Times, &'static str> {
    let times = match (from, to) {
        (Edge::Daily(from), Edge::Daily(to)) => Times::Daily(from, to),
        (Edge::Weekly(from, at), Edge::Weekly(to, until)) => Times::Weekly((from, at), (to, until)),
        (Edge::Once(from), Edge::Once(to)) if from < to => Times::Once(from, to),
        (Edge::Once(_), Edge::Once(_)) => return Err("not later than its begin"),
        _ => return Err("another kind of time than its begin"),
    };
    if from == to {
        return Err("the same as its begin");
    }
    Ok(times)
}

/// One window.
#[derive(Clone, Debug, PartialEq)]
struct Window {
    times: Times,
    zone: Zone,
    reason: Option<String>,
}

#[derive(Clone, Debug, PartialEq)]
enum Times {
    Daily(Time, Time),
    Weekly((Weekday, Time), (Weekday, Time)),
    Once(DateTime, DateTime),
}

/// What a window is for, which says what becomes of an hour that is in doubt.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Purpose {
    Deny,
    Allow,
}

/// A window as it comes once: from its begin to before its end.
#[derive(Clone, Copy, Debug)]
struct Occurrence<'w> {
    begin: Timestamp,
    end: Timestamp,
    window: &'w Window,
}

impl Window {
    /// How this window comes around a time: every occurrence that holds it, and the next one.
    fn occurrences(&self, around: Timestamp, purpose: Purpose) -> Vec<Occurrence<'_>> {
        let today = around.to_zoned(self.zone.rules().clone()).date();
        let dates =
            |days: i32| (-days..=days).filter_map(move |day| today.checked_add(day.days()).ok());
        let spans: Vec<(DateTime, DateTime)> = match self.times {
            Times::Once(from, to) => vec![(from, to)],
            Times::Daily(from, to) => {
                let days = i32::from(to < from);
                dates(2)
                    .filter_map(|date| span(date, from, days, to))
                    .collect()
            }
            Times::Weekly((weekday, from), (last, to)) => {
                let days = i32::from(weekday.until(last));
                let days = if days == 0 && to < from { 7 } else { days };
                let begins = dates(8).filter(|date| date.weekday() == weekday);
                begins
                    .filter_map(|date| span(date, from, days, to))
                    .collect()
            }
        };
        let occurrences = spans.into_iter();
        occurrences
            .filter_map(|(from, to)| self.occurrence(from, to, purpose))
            .collect()
    }

    /// `None`: nothing is left of it where the clock is changed, or it is beyond all time.
    fn occurrence(&self, from: DateTime, to: DateTime, purpose: Purpose) -> Option<Occurrence<'_>> {
        let [from, to] = [from, to].map(|at| self.zone.rules().to_ambiguous_timestamp(at));
        let (begin, end) = match purpose {
            Purpose::Deny => (from.earlier().ok()?, to.later().ok()?),
            Purpose::Allow => (from.later().ok()?, to.earlier().ok()?),
        };
        let window = self;
        (begin < end).then_some(Occurrence { begin, end, window })
    }

    fn reason(&self, otherwise: &str) -> String {
        self.reason.clone().unwrap_or_else(|| otherwise.to_owned())
    }
}

fn span(date: Date, from: Time, days: i32, to: Time) -> Option<(DateTime, DateTime)> {
    let last = date.checked_add(days.days()).ok()?;
    Some((date.to_datetime(from), last.to_datetime(to)))
}

/// What keeps a run from going forward, and until when.
struct Obstacle {
    reason: String,
    until: Option<Timestamp>,
}

const DENIED: &str = "a window that denies";
const NOT_ALLOWED: &str = "no window that allows";

impl Windows {
    /// Whether a run may go forward at a time.
    pub fn at(&self, now: Timestamp) -> State {
        let Some(Obstacle { reason, .. }) = self.obstacle(now) else {
            let closes = self.closing(now);
            return State::Open { closes };
        };
        match self.overridden_by.clone() {
            Some(by) => State::Overridden { by, reason },
            None => {
                let opens = self.opening(now);
                State::Closed { reason, opens }
            }
        }
    }

    fn obstacle(&self, at: Timestamp) -> Option<Obstacle> {
        if let Some(denied) = holding(&self.deny, Purpose::Deny, at) {
            return Some(Obstacle {
                reason: denied.window.reason(DENIED),
                until: Some(denied.end),
            });
        }
        if self.allow.is_empty() || holding(&self.allow, Purpose::Allow, at).is_some() {
            return None;
        }
        Some(Obstacle {
            reason: NOT_ALLOWED.to_owned(),
            until: next(&self.allow, Purpose::Allow, at).map(|allowed| allowed.begin),
        })
    }

    /// The first time from `at` on at which nothing is in the way.
    fn opening(&self, at: Timestamp) -> Option<Timestamp> {
        let mut at = at;
        for _ in 0..MAX_CHANGES {
            match self.obstacle(at) {
                None => return Some(at),
                Some(obstacle) => at = obstacle.until?,
            }
        }
        None
    }

    /// The first time after `at`, when nothing is in the way, at which something is.
    fn closing(&self, at: Timestamp) -> Option<Closing> {
        let denied = next(&self.deny, Purpose::Deny, at).map(|denied| Closing {
            at: denied.begin,
            reason: denied.window.reason(DENIED),
        });
        let unallowed = self.unallowed(at).map(|at| Closing {
            at,
            reason: NOT_ALLOWED.to_owned(),
        });
        let both = denied.into_iter().chain(unallowed);
        both.min_by_key(|closing| closing.at)
    }

    /// The first time after `at`, which a window allows, that none does.
    fn unallowed(&self, at: Timestamp) -> Option<Timestamp> {
        let mut end = holding(&self.allow, Purpose::Allow, at)?.end;
        for _ in 0..MAX_CHANGES {
            match holding(&self.allow, Purpose::Allow, end) {
                None => return Some(end),
                Some(further) => end = further.end,
            }
        }
        None
    }
}

/// Of what holds a time, that which ends last.
fn holding(windows: &[Window], purpose: Purpose, at: Timestamp) -> Option<Occurrence<'_>> {
    let all = windows
        .iter()
        .flat_map(|window| window.occurrences(at, purpose));
    all.filter(|one| one.begin <= at && at < one.end)
        .max_by_key(|one| one.end)
}

/// What begins first after a time.
fn next(windows: &[Window], purpose: Purpose, at: Timestamp) -> Option<Occurrence<'_>> {
    let all = windows
        .iter()
        .flat_map(|window| window.occurrences(at, purpose));
    all.filter(|one| one.begin > at).min_by_key(|one| one.begin)
}

#[cfg(test)]
mod tests;
