use super::*;
use proptest::prelude::*;
use serde_json::{Value, json};

fn read(written: Value) -> (Windows, Vec<String>) {
    let mut problems = Vec::new();
    let written = resource::Windows::decode("windows", &written, &mut problems).unwrap();
    let windows = checked("windows", &written, &mut problems);
    let problems = problems.iter().map(Problem::to_string).collect();
    (windows, problems)
}

fn windows(written: Value) -> Windows {
    let (windows, problems) = read(written);
    assert_eq!(problems, Vec::<String>::new());
    windows
}

fn at(windows: &Windows, now: &str) -> String {
    windows.at(now.parse().unwrap()).to_string()
}

/// The state at each of these times.
fn assert_states(windows: Value, states: &[(&str, &str)]) {
    let windows = self::windows(windows);
    for (now, state) in states {
        assert_eq!(at(&windows, now), *state, "at {now}");
    }
}

#[test]
fn without_windows_a_run_always_goes_forward() {
    assert_states(json!({}), &[("2026-11-21T22:00:00Z", "open")]);
}

#[test]
fn a_weekend_is_closed_by_the_clock_of_its_zone() {
    let weekend = json!({"deny": [{
        "from": "Fri 18:00", "to": "Mon 08:00", "timezone": "Asia/Shanghai", "reason": "weekend freeze",
    }]});
    let open = "open until 2026-11-27T10:00:00Z: weekend freeze";
    assert_states(
        weekend,
        &[
            (
                "2026-11-20T09:59:59Z",
                "open until 2026-11-20T10:00:00Z: weekend freeze",
            ),
            (
                "2026-11-20T10:00:00Z",
                "closed until 2026-11-23T00:00:00Z: weekend freeze",
            ),
            (
                "2026-11-22T23:59:59.999Z",
                "closed until 2026-11-23T00:00:00Z: weekend freeze",
            ),
            ("2026-11-23T00:00:00Z", open),
            ("2026-11-25T12:00:00Z", open),
        ],
    );
}

#[test]
fn a_night_is_closed_each_day() {
    assert_states(
        json!({"deny": [{"from": "18:00", "to": "08:00"}]}),
        &[
            (
                "2026-11-21T07:59:59Z",
                "closed until 2026-11-21T08:00:00Z: a window that denies",
            ),
            (
                "2026-11-21T08:00:00Z",
                "open until 2026-11-21T18:00:00Z: a window that denies",
            ),
            (
                "2026-11-21T18:00:00Z",
                "closed until 2026-11-22T08:00:00Z: a window that denies",
            ),
        ],
    );
}

#[test]
fn holidays_are_closed_once() {
    let holidays = json!({"deny": [{
        "from": "2026-12-24 00:00", "to": "2027-01-02 00:00", "timezone": "Europe/Berlin", "reason": "holidays",
    }]});
    assert_states(
        holidays,
        &[
            (
                "2025-12-24T12:00:00Z",
                "open until 2026-12-23T23:00:00Z: holidays",
            ),
            (
                "2026-12-31T12:00:00Z",
                "closed until 2027-01-01T23:00:00Z: holidays",
            ),
            ("2027-01-01T23:00:00Z", "open"),
        ],
    );
}

#[test]
fn with_windows_that_allow_everything_else_is_closed() {
    assert_states(
        json!({"allow": [
            {"from": "Mon 09:00", "to": "Mon 12:00"},
            {"from": "Mon 12:00", "to": "Mon 17:00"},
            {"from": "Thu 09:00", "to": "Thu 17:00"},
        ]}),
        &[
            (
                "2026-11-23T08:59:59Z",
                "closed until 2026-11-23T09:00:00Z: no window that allows",
            ),
            (
                "2026-11-23T10:00:00Z",
                "open until 2026-11-23T17:00:00Z: no window that allows",
            ),
            (
                "2026-11-23T17:00:00Z",
                "closed until 2026-11-26T09:00:00Z: no window that allows",
            ),
            (
                "2026-11-26T17:00:00Z",
                "closed until 2026-11-30T09:00:00Z: no window that allows",
            ),
        ],
    );
}

#[test]
fn a_window_that_denies_wins_over_one_that_allows() {
    assert_states(
        json!({
            "allow": [{"from": "09:00", "to": "17:00"}],
            "deny": [
                {"from": "Fri 12:00", "to": "Mon 00:00", "reason": "weekend"},
                {"from": "2026-11-30 00:00", "to": "2026-12-01 10:00", "reason": "fair"},
            ],
        }),
        &[
            (
                "2026-11-27T11:00:00Z",
                "open until 2026-11-27T12:00:00Z: weekend",
            ),
            (
                "2026-11-27T12:00:00Z",
                "closed until 2026-12-01T10:00:00Z: weekend",
            ),
            (
                "2026-11-30T12:00:00Z",
                "closed until 2026-12-01T10:00:00Z: fair",
            ),
            (
                "2026-12-01T09:30:00Z",
                "closed until 2026-12-01T10:00:00Z: fair",
            ),
            (
                "2026-12-01T10:00:00Z",
                "open until 2026-12-01T17:00:00Z: no window that allows",
            ),
        ],
    );
}

#[test]
fn windows_that_meet_are_one() {
    assert_states(
        json!({"deny": [
            {"from": "Fri 18:00", "to": "Mon 00:00", "reason": "weekend"},
            {"from": "18:00", "to": "08:00", "reason": "night"},
        ]}),
        &[(
            "2026-11-21T12:00:00Z",
            "closed until 2026-11-23T08:00:00Z: weekend",
        )],
    );
}

#[test]
fn what_never_opens_says_no_time() {
    let never = "closed: no window that allows";
    let always =
        json!({"deny": [{"from": "08:00", "to": "20:00"}, {"from": "20:00", "to": "08:00"}]});
    assert_states(
        always,
        &[("2026-11-21T22:00:00Z", "closed: a window that denies")],
    );
    let gone = json!({"allow": [{"from": "2026-01-01 00:00", "to": "2026-02-01 00:00"}]});
    assert_states(gone, &[("2026-11-21T22:00:00Z", never)]);
    let every_hour: Vec<Value> = (0..24)
        .map(|hour| json!({"from": format!("{hour:02}:00"), "to": format!("{:02}:00", (hour + 1) % 24)}))
        .collect();
    assert_states(
        json!({"allow": every_hour}),
        &[("2026-11-21T22:00:00Z", "open")],
    );
}

#[test]
fn an_hour_that_is_missing_or_comes_twice_counts_as_closed() {
    let denied = |from: &str, to: &str| json!({"deny": [{"from": from, "to": to, "timezone": "Europe/Berlin", "reason": "r"}]});
    let allowed = |from: &str, to: &str| json!({"allow": [{"from": from, "to": to, "timezone": "Europe/Berlin"}]});
    let none = "no window that allows";
    // On 2027-03-28 01:00 UTC, 02:00 in Berlin becomes 03:00.
    assert_states(
        denied("01:00", "02:30"),
        &[
            (
                "2027-03-28T01:29:59Z",
                "closed until 2027-03-28T01:30:00Z: r",
            ),
            ("2027-03-28T01:30:00Z", "open until 2027-03-28T23:00:00Z: r"),
        ],
    );
    assert_states(
        allowed("02:10", "02:40"),
        &[
            (
                "2027-03-27T01:20:00Z",
                &format!("open until 2027-03-27T01:40:00Z: {none}"),
            ),
            (
                "2027-03-28T01:20:00Z",
                &format!("closed until 2027-03-29T00:10:00Z: {none}"),
            ),
        ],
    );
    // On 2026-10-25 01:00 UTC, 03:00 in Berlin becomes 02:00.
    assert_states(
        denied("02:30", "02:45"),
        &[
            ("2026-10-25T00:29:59Z", "open until 2026-10-25T00:30:00Z: r"),
            (
                "2026-10-25T00:50:00Z",
                "closed until 2026-10-25T01:45:00Z: r",
            ),
            ("2026-10-25T01:45:00Z", "open until 2026-10-26T01:30:00Z: r"),
        ],
    );
    assert_states(
        allowed("01:30", "02:30"),
        &[
            (
                "2026-10-24T23:30:00Z",
                &format!("open until 2026-10-25T00:30:00Z: {none}"),
            ),
            (
                "2026-10-25T01:15:00Z",
                &format!("closed until 2026-10-26T00:30:00Z: {none}"),
            ),
        ],
    );
}

#[test]
fn an_override_opens_what_is_closed_and_is_told_only_then() {
    assert_states(
        json!({
            "deny": [{"from": "18:00", "to": "08:00", "reason": "night"}],
            "override": {"by": "INC-4711 hotfix"},
        }),
        &[
            (
                "2026-11-21T12:00:00Z",
                "open until 2026-11-21T18:00:00Z: night",
            ),
            (
                "2026-11-21T19:00:00Z",
                "open by override of INC-4711 hotfix, in spite of: night",
            ),
        ],
    );
    let state = State::Overridden {
        by: "a".to_owned(),
        reason: "b".to_owned(),
    };
    assert!(state.is_forward());
}

#[test]
fn the_ends_of_time_are_no_trouble() {
    let windows = windows(json!({
        "deny": [{"from": "Fri 18:00", "to": "Mon 08:00", "timezone": "Pacific/Apia"}],
        "allow": [{"from": "9999-12-30 00:00", "to": "9999-12-31 23:59", "timezone": "Pacific/Apia"}],
    }));
    for now in [Timestamp::MIN, Timestamp::MAX] {
        let State::Closed { .. } = windows.at(now) else {
            panic!("{}", windows.at(now));
        };
    }
}

#[test]
fn every_mistake_is_said_with_what_is_accepted() {
    let both = "a window's begin and end are written alike, and the end comes later";
    let times = "accepted: 18:00, Fri 18:00, or 2026-12-24 00:00";
    let (_, problems) = read(json!({
        "deny": [
            {"from": "Fri 18:00", "to": "08:00"},
            {"from": "18:00", "to": "18:00"},
            {"from": "2026-12-24 00:00", "to": "2026-12-24 00:00", "reason": "r".repeat(129)},
            {"from": "Friday", "timezone": "Mars/Phobos"},
        ],
        "allow": vec![json!({"from": "18:00", "to": "19:00"}); 33],
        "override": {"by": " "},
    }));
    let expected = [
        format!("windows.deny[3].from: a string (\"Friday\"); {times}"),
        "windows.deny[3].timezone: a string (\"Mars/Phobos\"); accepted: a name of the IANA time zone database, such as \
         Asia/Shanghai"
            .to_owned(),
        "windows.override.by: missing; accepted: who goes forward, and why".to_owned(),
        format!("windows.deny[0].to: another kind of time than its begin; {both}"),
        format!("windows.deny[1].to: the same as its begin; {both}"),
        "windows.deny[2].reason: 129 bytes; at most 128".to_owned(),
        format!("windows.deny[2].to: not later than its begin; {both}"),
        format!("windows.deny[3].to: missing; {times}"),
        "windows.allow: 33 items; at most 32".to_owned(),
    ];
    assert_eq!(problems, expected);
}

fn edges() -> impl Strategy<Value = (String, String)> {
    let clock = || (0..24_u8, 0..60_u8).prop_map(|(hour, minute)| format!("{hour:02}:{minute:02}"));
    let weekday = || prop::sample::select(vec!["Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun"]);
    let weekly = || (weekday(), clock()).prop_map(|(day, clock)| format!("{day} {clock}"));
    prop_oneof![(clock(), clock()), (weekly(), weekly())]
        .prop_filter("two times", |(from, to)| from != to)
}

fn some() -> impl Strategy<Value = Vec<Value>> {
    let zones = [
        "UTC",
        "Europe/Berlin",
        "Asia/Shanghai",
        "America/St_Johns",
        "Australia/Lord_Howe",
    ];
    let zone = prop::sample::select(zones.to_vec());
    let one = (edges(), zone)
        .prop_map(|((from, to), zone)| json!({"from": from, "to": to, "timezone": zone}));
    prop::collection::vec(one, 0..4)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn nothing_changes_before_the_time_that_is_told(
        deny in some(),
        allow in some(),
        seconds in 1_700_000_000_i64..1_900_000_000,
        parts in prop::collection::vec(0.0..1.0_f64, 8),
    ) {
        let windows = windows(json!({"deny": deny, "allow": allow}));
        let now = Timestamp::from_second(seconds).unwrap();
        let state = windows.at(now);
        let change = match &state {
            State::Open { closes } => closes.as_ref().map(|closes| closes.at),
            State::Closed { opens, .. } => *opens,
            State::Overridden { .. } => None,
        };
        let until = change.map_or(seconds + 86_400 * 7, |change| change.as_second());
        for part in parts {
            let between = seconds + ((until - seconds) as f64 * part) as i64;
            let between = windows.at(Timestamp::from_second(between).unwrap());
            prop_assert_eq!(between.is_forward(), state.is_forward());
        }
        if let Some(change) = change {
            prop_assert_ne!(windows.at(change).is_forward(), state.is_forward());
        }
    }
}
