//! What a candidate does about a record that it sees: pure.

use std::time::Duration;

use k8s_openapi::api::coordination::v1::Lease;
use tokio::time::Instant;

/// What of a Lease is looked at. A change of any of it is a sign of life.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Record {
    /// Who holds it; `None`: nobody.
    pub holder: Option<String>,
    /// For how long from each renewal; `None`: that is not said.
    pub lasts: Option<Duration>,
    /// When it was renewed by the holder's clock, which is compared with itself alone.
    pub renewed: Option<jiff::Timestamp>,
    /// How often it went from one to another.
    pub transitions: Option<i32>,
}

impl Record {
    /// What a Lease says.
    pub fn of(lease: &Lease) -> Self {
        let spec = lease.spec.clone().unwrap_or_default();
        let seconds = spec.lease_duration_seconds;
        let seconds = seconds.and_then(|seconds| seconds.try_into().ok());
        Self {
            holder: spec.holder_identity.filter(|holder| !holder.is_empty()),
            lasts: seconds.map(Duration::from_secs),
            renewed: spec.renew_time.map(|time| time.0),
            transitions: spec.lease_transitions,
        }
    }
}

/// A record as it was seen.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Seen {
    /// The record; `None`: there is none.
    pub record: Option<Record>,
    /// Since when it was seen as it is, by the own clock.
    pub since: Instant,
}

impl Seen {
    /// What is seen now, after what was seen before. A record that somebody deleted may still be led
    /// by: it counts as there until it has run out.
    pub fn next(former: Option<Self>, record: Option<Record>, now: Instant) -> Self {
        match former {
            Some(former) if former.record == record || record.is_none() => former,
            _ => Self { record, since: now },
        }
    }
}

/// What to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Decision {
    /// Nobody holds the record any more: take it.
    Take,
    /// It is one's own: renew it.
    Renew,
    /// Another holds it, until then if it does not change.
    Wait(Instant),
}

/// What the candidate `me` does at a time; `lasts` is for records that do not say it.
pub fn decide(seen: &Seen, now: Instant, me: &str, lasts: Duration) -> Decision {
    let Some(record) = &seen.record else {
        return Decision::Take;
    };
    match &record.holder {
        None => Decision::Take,
        Some(holder) if holder == me => Decision::Renew,
        Some(_) => {
            let ends = seen.since + record.lasts.unwrap_or(lasts);
            if now >= ends {
                Decision::Take
            } else {
                Decision::Wait(ends)
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use k8s_openapi::api::coordination::v1::LeaseSpec;

    const LASTS: Duration = Duration::from_secs(15);

    fn record(holder: Option<&str>, lasts: Option<u64>) -> Option<Record> {
        Some(Record {
            holder: holder.map(str::to_owned),
            lasts: lasts.map(Duration::from_secs),
            ..Record::default()
        })
    }

    #[test]
    fn a_record_is_taken_when_nobody_holds_it_any_more() {
        let since = Instant::now();
        let after = |milliseconds| since + Duration::from_millis(milliseconds);
        let (us, other) = (Some("me"), Some("other"));
        let cases = [
            ("there is none", None, 0, Decision::Take),
            (
                "it was handed over",
                record(None, Some(15)),
                0,
                Decision::Take,
            ),
            ("it is ours", record(us, Some(15)), 0, Decision::Renew),
            (
                "it was ours long ago",
                record(us, Some(15)),
                60_000,
                Decision::Renew,
            ),
            (
                "just seen",
                record(other, Some(15)),
                0,
                Decision::Wait(after(15_000)),
            ),
            (
                "almost over",
                record(other, Some(15)),
                14_999,
                Decision::Wait(after(15_000)),
            ),
            ("over", record(other, Some(15)), 15_000, Decision::Take),
            (
                "it lasts longer",
                record(other, Some(60)),
                15_000,
                Decision::Wait(after(60_000)),
            ),
            (
                "it lasts shorter",
                record(other, Some(5)),
                5_000,
                Decision::Take,
            ),
            (
                "it does not say",
                record(other, None),
                14_999,
                Decision::Wait(after(15_000)),
            ),
            (
                "it does not say, over",
                record(other, None),
                15_000,
                Decision::Take,
            ),
            (
                "it lasts no time",
                record(other, Some(0)),
                0,
                Decision::Take,
            ),
        ];
        for (name, record, now, expected) in cases {
            let seen = Seen { record, since };
            assert_eq!(decide(&seen, after(now), "me", LASTS), expected, "{name}");
        }
    }

    #[test]
    fn a_record_counts_from_its_last_change_and_a_deleted_one_runs_out() {
        let since = Instant::now();
        let later = since + Duration::from_secs(5);
        let (of_a, of_b) = (record(Some("a"), None), record(Some("b"), None));
        let seen = |record: &Option<Record>, since| Seen {
            record: record.clone(),
            since,
        };
        let cases = [
            ("the first look", None, &of_a, seen(&of_a, later)),
            ("nothing, still", Some(&None), &None, seen(&None, since)),
            ("it was made", Some(&None), &of_a, seen(&of_a, later)),
            ("no sign of life", Some(&of_a), &of_a, seen(&of_a, since)),
            ("another's", Some(&of_a), &of_b, seen(&of_b, later)),
            ("deleted", Some(&of_a), &None, seen(&of_a, since)),
        ];
        for (name, former, record, expected) in cases {
            let former = former.map(|former| seen(former, since));
            assert_eq!(
                Seen::next(former, record.clone(), later),
                expected,
                "{name}"
            );
        }
    }

    #[test]
    fn of_a_lease_nonsense_counts_as_nothing() {
        let spec = LeaseSpec {
            holder_identity: Some(String::new()),
            lease_duration_seconds: Some(-1),
            ..LeaseSpec::default()
        };
        let lease = Lease {
            spec: Some(spec),
            ..Lease::default()
        };
        assert_eq!(Record::of(&lease), Record::default());
        assert_eq!(Record::of(&Lease::default()), Record::default());
    }
}
