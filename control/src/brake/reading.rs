//! Whether the Brakes can be read. A replica that cannot read them any more tells proxies what it knew
//! last, so it says that it is not ready: then Kubernetes sends them to another one. Where no API
//! server is there for anybody, nobody is sent away.

use std::time::Duration;

use parking_lot::Mutex;
use tokio::time::Instant;

/// How long they may not be readable. Chosen: longer than an API server takes to restart.
pub const CUT_OFF: Duration = Duration::from_secs(30);

/// Failures that are further apart are not of one trouble. A failed watch is tried again within a second,
/// and a try ends within 15.
const APART: Duration = Duration::from_secs(20);

/// What became of the last tries.
#[derive(Debug, Default)]
pub struct Reading(Mutex<Option<Trouble>>);

#[derive(Debug)]
struct Trouble {
    since: Instant,
    last: Instant,
}

impl Reading {
    /// A change was read, or all of them.
    pub fn succeeded(&self) {
        *self.0.lock() = None;
    }

    /// They could not be read. That they can again, nothing says while nothing changes.
    pub fn failed(&self, now: Instant) {
        let mut trouble = self.0.lock();
        let before = trouble.as_ref();
        let before = before.filter(|before| now.duration_since(before.last) < APART);
        let since = before.map_or(now, |before| before.since);
        *trouble = Some(Trouble { since, last: now });
    }

    /// Whether they have not been readable for long.
    pub fn is_cut_off(&self, now: Instant) -> bool {
        let trouble = self.0.lock();
        trouble.as_ref().is_some_and(|trouble| {
            let lasts = trouble.last.duration_since(trouble.since);
            lasts >= CUT_OFF && now.duration_since(trouble.last) < APART
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whose_tries_fail_for_long_is_cut_off_until_they_do_no_more() {
        let (reading, begin) = (Reading::default(), Instant::now());
        let at = |seconds| begin + Duration::from_secs(seconds);
        for (seconds, expected) in [(0, false), (16, false), (29, false), (30, true)] {
            reading.failed(at(seconds));
            assert_eq!(reading.is_cut_off(at(seconds)), expected, "{seconds} s");
        }
        assert!(reading.is_cut_off(at(49)));
        assert!(!reading.is_cut_off(at(50)), "a watch goes on in silence");
        reading.failed(at(51));
        assert!(!reading.is_cut_off(at(51)), "that is another trouble");
        reading.failed(at(66));
        reading.failed(at(81));
        assert!(reading.is_cut_off(at(81)));
        reading.succeeded();
        assert!(!reading.is_cut_off(at(81)));
    }
}
