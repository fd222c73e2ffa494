//! When the VM that holds the lease asks next, and how long that question may be held. Pure.
//!
//! A first question, and one after a failure, is short: its answer tells that somebody is there. Then
//! follow those that are held. Whatever a service does, it is asked at most ten times a second.

use std::time::Duration;

use super::lease::Heard;
use super::question::MAX_WAIT_SECONDS;

/// The time between two questions where each answer is news. Chosen: brakes that are set one after
/// another are in force soon, and a service that always has news costs little.
const BETWEEN_NEWS: Duration = Duration::from_millis(100);

/// The time between two held questions where an answer says nothing new at once, as no service should;
/// and between two questions that may not be held.
const BETWEEN_NOTHINGS: Duration = Duration::from_secs(1);

/// The time from a question that failed to the next, by how many have failed before it; the last one
/// for all further ones. Chosen: at first it may have been one replica of several that is gone; and
/// with a short question's patience and a tick, the return of a service is noticed within five seconds.
const PAUSES: [Duration; 4] = [
    Duration::from_millis(100),
    Duration::from_secs(1),
    Duration::from_secs(2),
    LONGEST_PAUSE,
];

const LONGEST_PAUSE: Duration = Duration::from_secs(4);

/// How long a question may be held.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Wait {
    /// It is answered at once.
    Short,
    /// Until there is news.
    Held,
}

impl Wait {
    /// The seconds that the question says.
    pub const fn seconds(self) -> u32 {
        match self {
            Self::Short => 0,
            Self::Held => MAX_WAIT_SECONDS,
        }
    }

    /// How long an answer is waited for.
    pub const fn patience(self) -> Duration {
        match self {
            Self::Short => Duration::from_secs(2),
            Self::Held => Duration::from_secs(30),
        }
    }
}

/// What became of a question.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// An answer with something new.
    News,
    /// An answer without.
    Nothing,
    /// No answer that can be read.
    Failure,
}

/// The questions of one VM.
#[derive(Clone, Copy, Debug, Default)]
pub struct Asking {
    /// When the question that is under way was asked, and how.
    asked: Option<(Duration, Wait)>,
    not_before: Duration,
    /// One after another.
    failures: usize,
    /// Whether no question may be held.
    is_short: bool,
}

impl Asking {
    /// One who may hold no question, and asks each second instead.
    pub fn short() -> Self {
        Self {
            is_short: true,
            ..Self::default()
        }
    }

    /// The question to be asked now, which is then under way; `None` where it is not yet time.
    pub fn next(&mut self, now: Duration, heard: Heard) -> Option<Wait> {
        if let Some((at, wait)) = self.asked {
            let since = now.checked_sub(at);
            // An answer that never comes is none: no host should forget to say so.
            if since.is_none_or(|since| since < 2 * wait.patience()) {
                return None;
            }
        }
        if !self.delay(now).is_zero() {
            return None;
        }
        let wait = match heard {
            Heard::Answer if !self.is_short => Wait::Held,
            Heard::Answer => Wait::Short,
            Heard::Nothing | Heard::Failure => Wait::Short,
        };
        self.asked = Some((now, wait));
        Some(wait)
    }

    /// The question under way has ended. `share` in 0 to 255 spreads the proxies of a service that is
    /// gone: with 255 the next question comes after three quarters of the pause.
    pub fn ended(&mut self, outcome: Outcome, now: Duration, share: u8) {
        let (asked, wait) = self.asked.take().unwrap_or((now, Wait::Held));
        self.failures = match outcome {
            Outcome::Failure => self.failures.saturating_add(1),
            Outcome::News | Outcome::Nothing => 0,
        };
        self.not_before = match (outcome, wait) {
            (Outcome::News, _) => asked + BETWEEN_NEWS,
            (Outcome::Nothing, Wait::Short) if !self.is_short => now,
            (Outcome::Nothing, _) => asked + BETWEEN_NOTHINGS,
            (Outcome::Failure, _) => {
                let pause = PAUSES.get(self.failures - 1).copied();
                let pause = pause.unwrap_or(LONGEST_PAUSE);
                asked + pause - pause * u32::from(share) / (4 * 255)
            }
        };
    }

    /// How long it is until the next question may be asked. A time that is too far away is one of a
    /// clock that went back.
    pub fn delay(&self, now: Duration) -> Duration {
        let delay = self.not_before.saturating_sub(now);
        match delay > LONGEST_PAUSE {
            true => Duration::ZERO,
            false => delay,
        }
    }

    /// Whether a question is under way.
    pub const fn is_under_way(&self) -> bool {
        self.asked.is_some()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[cfg(all(target_arch = "wasm32", target_os = "unknown"))]
    use wasm_bindgen_test::wasm_bindgen_test as test;

    fn at(milliseconds: u64) -> Duration {
        Duration::from_millis(1_000_000 + milliseconds)
    }

    #[test]
    fn the_next_question_comes_in_time_and_not_too_soon() {
        use Outcome::{Failure, News, Nothing};
        let cases = [
            ("news after long", Heard::Answer, 9_000, News, 0),
            ("news at once", Heard::Answer, 3, News, 97),
            ("a held question in vain", Heard::Answer, 25_000, Nothing, 0),
            ("nothing new at once", Heard::Answer, 3, Nothing, 997),
            ("a short question", Heard::Failure, 3, Nothing, 0),
            ("refused at once", Heard::Failure, 1, Failure, 99),
            ("no answer in time", Heard::Failure, 2_000, Failure, 0),
            ("a held one that failed", Heard::Answer, 30_000, Failure, 0),
        ];
        for (label, heard, lasted, outcome, delay) in cases {
            let mut asking = Asking::default();
            let wait = asking.next(at(0), heard);
            assert!(wait.is_some() && asking.is_under_way(), "{label}");
            assert_eq!(asking.next(at(lasted), heard), None, "{label}: under way");
            asking.ended(outcome, at(lasted), 0);
            let delay = Duration::from_millis(delay);
            assert_eq!(asking.delay(at(lasted)), delay, "{label}");
            assert_eq!(
                asking.next(at(lasted), heard).is_some(),
                delay.is_zero(),
                "{label}"
            );
            assert!(asking.next(at(lasted) + delay, heard).is_some() || delay.is_zero());
        }
    }

    #[test]
    fn a_first_question_and_one_after_a_failure_are_short() {
        let wait = |heard| Asking::default().next(at(0), heard);
        assert_eq!(wait(Heard::Nothing), Some(Wait::Short));
        assert_eq!(wait(Heard::Failure), Some(Wait::Short));
        assert_eq!(wait(Heard::Answer), Some(Wait::Held));
    }

    #[test]
    fn who_may_hold_no_question_asks_each_second() {
        let mut asking = Asking::short();
        assert_eq!(asking.next(at(0), Heard::Nothing), Some(Wait::Short));
        asking.ended(Outcome::Nothing, at(2), 0);
        assert_eq!(asking.next(at(999), Heard::Answer), None);
        assert_eq!(asking.next(at(1_000), Heard::Answer), Some(Wait::Short));
        asking.ended(Outcome::News, at(1_003), 0);
        assert_eq!(asking.next(at(1_100), Heard::Answer), Some(Wait::Short));
        asking.ended(Outcome::Failure, at(1_101), 0);
        assert_eq!(asking.delay(at(1_101)), Duration::from_millis(99));
    }

    #[test]
    fn failures_are_followed_by_longer_pauses_up_to_four_seconds() {
        for (share, expected) in [
            (0, [100, 1_000, 2_000, 4_000, 4_000]),
            (255, [75, 750, 1_500, 3_000, 3_000]),
        ] {
            let (mut asking, mut now) = (Asking::default(), at(0));
            for pause in expected {
                assert!(asking.next(now, Heard::Failure).is_some());
                asking.ended(Outcome::Failure, now, share);
                assert_eq!(asking.delay(now), Duration::from_millis(pause), "{share}");
                now += Duration::from_millis(pause);
            }
            asking.next(now, Heard::Failure);
            asking.ended(Outcome::Nothing, now, share);
            asking.next(now, Heard::Answer);
            asking.ended(Outcome::Failure, now, 0);
            assert_eq!(asking.delay(now), PAUSES[0], "an answer begins anew");
        }
    }

    #[test]
    fn a_clock_that_goes_back_or_an_answer_that_never_comes_stops_nothing() {
        let mut asking = Asking::default();
        asking.next(at(900_000), Heard::Failure);
        asking.ended(Outcome::Failure, at(900_000), 0);
        assert_eq!(asking.next(at(0), Heard::Failure), Some(Wait::Short));
        assert_eq!(asking.next(at(3_999), Heard::Failure), None);
        assert_eq!(asking.next(at(4_000), Heard::Failure), Some(Wait::Short));
    }
}
