//! When a run may go forward, as people write it: times of the day, of the week, or once.
//!
//! Which of them may stand together is said by [`crate::rollout::windows`].

use std::borrow::Cow;
use std::fmt;
use std::str::FromStr;
use std::sync::LazyLock;

use jiff::civil::{Date, DateTime, Time, Weekday};
use jiff::tz::{TimeZone, TimeZoneDatabase};
use schemars::JsonSchema;
use serde_json::Value;
use sluice_core::decode::{Decode, mismatch};
use sluice_core::problem::Problem;

use super::fields::fields;
use crate::model::suggest;

/// The most windows of a kind that a Rollout may have. Chosen: one for every holiday of a year.
pub const MAX_WINDOWS: usize = 32;

fields! {
    /// When a run may go forward. A rollback asks nobody.
    #[derive(Default)]
    #[schemars(default)]
    pub struct Windows, accepted as "a map" {
        /// In none of these.
        #[schemars(length(max = 32))]
        "deny" => deny: Vec<Window>,
        /// Where there are some: only in these.
        #[schemars(length(max = 32))]
        "allow" => allow: Vec<Window>,
        /// Who goes forward all the same, and why; it is recorded.
        "override" => overridden: Option<Override>,
    }
}

fields! {
    /// A time, each day, each week or once.
    #[derive(Default)]
    #[schemars(default)]
    pub struct Window, accepted as "a window" {
        /// Its begin: 18:00, Fri 18:00, or 2026-12-24 00:00.
        "from" => from: Option<Edge>,
        /// Its end, written as its begin is. It is no longer part of the window.
        "to" => to: Option<Edge>,
        /// Whose clock: a name of the IANA time zone database. Default: UTC.
        "timezone" => timezone: Zone,
        /// Why, for people.
        #[schemars(length(max = 128))]
        "reason" => reason: Option<String>,
    }
}

fields! {
    /// Who goes forward although windows say no.
    #[derive(Default)]
    #[schemars(default)]
    pub struct Override, accepted as "a map" {
        /// Who, and why.
        #[schemars(length(min = 1, max = 128))]
        "by" => by: String,
    }
}

/// A begin or an end, by the clock of a zone.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Edge {
    /// Each day.
    Daily(Time),
    /// Each week.
    Weekly(Weekday, Time),
    /// Once.
    Once(DateTime),
}

const WEEKDAYS: [(&str, Weekday); 7] = [
    ("Mon", Weekday::Monday),
    ("Tue", Weekday::Tuesday),
    ("Wed", Weekday::Wednesday),
    ("Thu", Weekday::Thursday),
    ("Fri", Weekday::Friday),
    ("Sat", Weekday::Saturday),
    ("Sun", Weekday::Sunday),
];

impl Edge {
    fn parsed(text: &str) -> Option<Self> {
        let Some((day, time)) = text.split_once(' ') else {
            return clock(text).map(Self::Daily);
        };
        let time = clock(time)?;
        let weekday = WEEKDAYS.iter().find(|(name, _)| *name == day);
        match weekday {
            Some((_, weekday)) => Some(Self::Weekly(*weekday, time)),
            None => Some(Self::Once(date(day)?.to_datetime(time))),
        }
    }
}

/// `18:00`.
fn clock(text: &str) -> Option<Time> {
    let (hour, minute) = text.split_once(':')?;
    Time::new(digits(hour, 2)?, digits(minute, 2)?, 0, 0).ok()
}

/// `2026-12-24`.
fn date(text: &str) -> Option<Date> {
    let (year, rest) = text.split_once('-')?;
    let (month, day) = rest.split_once('-')?;
    Date::new(digits(year, 4)?, digits(month, 2)?, digits(day, 2)?).ok()
}

/// A number of exactly so many digits.
fn digits<N: FromStr>(text: &str, count: usize) -> Option<N> {
    let is_number = text.len() == count && text.bytes().all(|byte| byte.is_ascii_digit());
    text.parse().ok().filter(|_| is_number)
}

impl Decode for Edge {
    fn accepted() -> Cow<'static, str> {
        "18:00, Fri 18:00, or 2026-12-24 00:00".into()
    }

    fn decode(path: &str, value: &Value, problems: &mut Vec<Problem>) -> Option<Self> {
        let edge = value.as_str().and_then(Self::parsed);
        if edge.is_none() {
            problems.push(mismatch(path, value, Self::accepted()));
        }
        edge
    }
}

impl JsonSchema for Edge {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> Cow<'static, str> {
        "Edge".into()
    }

    fn json_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
        schemars::json_schema!({
            "type": "string",
            "maxLength": 16,
            "pattern": "^((Mon|Tue|Wed|Thu|Fri|Sat|Sun) |[0-9]{4}-[0-9]{2}-[0-9]{2} )?[0-2][0-9]:[0-5][0-9]$",
        })
    }
}

/// The program's own copy of the time zone database, whatever the machine has: a container without
/// one gives the same answers as the laptop on which somebody validated.
static ZONES: LazyLock<TimeZoneDatabase> = LazyLock::new(TimeZoneDatabase::bundled);

/// The longest name of a zone. Chosen: the database's longest has 32 letters.
const LONGEST_NAME: usize = 64;

/// A time zone.
#[derive(Clone, PartialEq, Eq)]
pub struct Zone(TimeZone);

impl Zone {
    /// Its rules.
    pub const fn rules(&self) -> &TimeZone {
        &self.0
    }
}

impl Default for Zone {
    fn default() -> Self {
        Self(TimeZone::UTC)
    }
}

impl fmt::Debug for Zone {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.0.iana_name().unwrap_or("UTC"))
    }
}

impl Decode for Zone {
    fn accepted() -> Cow<'static, str> {
        "a name of the IANA time zone database, such as Asia/Shanghai".into()
    }

    fn decode(path: &str, value: &Value, problems: &mut Vec<Problem>) -> Option<Self> {
        let name = value.as_str().filter(|name| name.len() <= LONGEST_NAME);
        let zone = name.and_then(|name| ZONES.get(name).ok());
        if zone.is_none() {
            let meant = name.and_then(meant_zone);
            let meant = meant.map(|name| format!("; did you mean {name:?}?"));
            let accepted = format!("{}{}", Self::accepted(), meant.unwrap_or_default());
            problems.push(mismatch(path, value, accepted));
        }
        zone.map(Self)
    }
}

/// The zone that somebody may have meant; of `Shanghai` the one that ends so.
fn meant_zone(name: &str) -> Option<String> {
    let known: Vec<String> = ZONES.available().map(|name| name.to_string()).collect();
    let city = |known: &&String| {
        let city = known.rsplit('/').next().unwrap_or_default();
        city.eq_ignore_ascii_case(&name.replace(' ', "_"))
    };
    let by_city = known.iter().find(city).map(String::as_str);
    let meant = by_city.or_else(|| suggest::nearest(name, known.iter().map(String::as_str)));
    meant.map(str::to_owned)
}

impl JsonSchema for Zone {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> Cow<'static, str> {
        "Zone".into()
    }

    fn json_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
        schemars::json_schema!({"type": "string", "maxLength": 64})
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use jiff::civil::{datetime, time};

    fn problems<T: Decode>(value: &str) -> Vec<String> {
        let mut problems = Vec::new();
        assert!(T::decode("p", &value.into(), &mut problems).is_none());
        problems.iter().map(Problem::to_string).collect()
    }

    #[test]
    fn begins_and_ends_are_read() {
        let cases = [
            ("18:00", Edge::Daily(time(18, 0, 0, 0))),
            ("00:00", Edge::Daily(time(0, 0, 0, 0))),
            (
                "Fri 18:30",
                Edge::Weekly(Weekday::Friday, time(18, 30, 0, 0)),
            ),
            (
                "2028-02-29 23:59",
                Edge::Once(datetime(2028, 2, 29, 23, 59, 0, 0)),
            ),
        ];
        for (text, edge) in cases {
            assert_eq!(
                Edge::decode("p", &text.into(), &mut Vec::new()),
                Some(edge),
                "{text}"
            );
        }
    }

    #[test]
    fn what_is_no_time_is_refused() {
        for text in [
            "",
            "18",
            "18:0",
            "24:00",
            "+8:00",
            "18:60",
            "Friday 18:00",
            "Fri  18:00",
            "2026-02-29 00:00",
            "2026-2-09 00:00",
            "2026-12-24",
            "2026-12-24T00:00",
        ] {
            let expected =
                format!("p: a string ({text:?}); accepted: 18:00, Fri 18:00, or 2026-12-24 00:00");
            assert_eq!(problems::<Edge>(text), [expected]);
        }
    }

    #[test]
    fn an_unknown_zone_is_refused_with_the_one_that_was_meant() {
        let long = "x".repeat(65);
        let cases = [
            ("Asia/Shangai", "; did you mean \"Asia/Shanghai\"?"),
            ("shanghai", "; did you mean \"Asia/Shanghai\"?"),
            ("New York", "; did you mean \"America/New_York\"?"),
            ("Zzyzx/Nowhere", ""),
            (&long, ""),
        ];
        for (name, meant) in cases {
            let expected = format!(
                "p: a string ({name:?}); accepted: a name of the IANA time zone database, such as Asia/Shanghai{meant}"
            );
            assert_eq!(problems::<Zone>(name), [expected]);
        }
    }

    #[test]
    fn zones_are_known_without_the_machine() {
        let zone = Zone::decode("p", &"Asia/Shanghai".into(), &mut Vec::new()).unwrap();
        assert_eq!(format!("{zone:?}"), "Asia/Shanghai");
        assert_eq!(format!("{:?}", Zone::default()), "UTC");
    }
}
