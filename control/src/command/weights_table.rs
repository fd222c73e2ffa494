//! The table of weights wanted and shares measured, for `sluice status` and `sluice dev`.

use super::output;
use crate::operations::status::measured::WeightRow;

/// One line a variant; `unknown` where nothing was measured, `-` where there were no requests. With
/// `responseMetrics` also about how many users got it, and how many of them had a failed response;
/// `not counted` where a proxy has no room for them.
pub(super) fn weights_table(rows: &[WeightRow]) -> String {
    let titles = [
        "SPLIT", "AUDIENCE", "VARIANT", "WANTED", "MEASURED", "REQUESTS",
    ];
    let [split, audience, variant, wanted, measured, requests] = titles;
    let has_users = |row: &WeightRow| row.users.is_some() || row.users_left_out;
    match rows.iter().any(has_users) {
        true => output::table(
            [
                split, audience, variant, wanted, measured, requests, "USERS", "FAILED",
            ],
            rows.iter().map(|row| {
                let [split, audience, variant, wanted, measured, requests] = cells(row);
                let about = |number: Option<u64>| match number {
                    Some(number) => format!("~{number}"),
                    None if row.users_left_out => "not counted".to_owned(),
                    None => "unknown".to_owned(),
                };
                let (users, failed) = (about(row.users), about(row.failed_users));
                [
                    split, audience, variant, wanted, measured, requests, users, failed,
                ]
            }),
        ),
        false => output::table(titles, rows.iter().map(cells)),
    }
}

fn cells(row: &WeightRow) -> [String; 6] {
    let measured = match (row.percent, row.requests) {
        (Some(percent), _) => format!("{percent:.2}"),
        (None, Some(_)) => "-".to_owned(),
        (None, None) => "unknown".to_owned(),
    };
    let requests = match row.requests {
        Some(requests) => requests.to_string(),
        None => "unknown".to_owned(),
    };
    [
        row.split.clone(),
        row.audience.clone(),
        row.variant.clone(),
        row.wanted.to_string(),
        measured,
        requests,
    ]
}

#[cfg(test)]
mod tests {
    use super::*;
    use sluice_core::allocation::Percent;

    fn row(audience: &str, users: Option<u64>, users_left_out: bool) -> WeightRow {
        WeightRow {
            split: "web".to_owned(),
            audience: audience.to_owned(),
            variant: "canary".to_owned(),
            wanted: Percent::HUNDRED,
            requests: Some(3),
            percent: Some(100.0),
            users,
            failed_users: users,
            users_left_out,
        }
    }

    #[test]
    fn users_that_are_not_counted_are_no_number() {
        let rows = [
            row("staff", None, true),
            row("ios", None, false),
            row("everyone", Some(2), false),
        ];
        let expected = "\
SPLIT   AUDIENCE   VARIANT   WANTED   MEASURED   REQUESTS   USERS         FAILED
web     staff      canary    100      100.00     3          not counted   not counted
web     ios        canary    100      100.00     3          unknown       unknown
web     everyone   canary    100      100.00     3          ~2            ~2";
        let table = weights_table(&rows);
        let lines: Vec<&str> = table.lines().map(str::trim_end).collect();
        assert_eq!(lines.join("\n"), expected);
        let table = weights_table(&rows[..1]);
        assert!(table.contains("not counted"), "{table}");
    }
}
