//! The table of weights wanted and shares measured, for `sluice status` and `sluice dev`.

use super::output;
use crate::operations::status::measured::WeightRow;

/// One line a variant; `unknown` where nothing was measured, `-` where there were no requests. With
/// `responseMetrics` also about how many users got it, and how many of them had a failed response.
pub(super) fn weights_table(rows: &[WeightRow]) -> String {
    let titles = [
        "SPLIT", "AUDIENCE", "VARIANT", "WANTED", "MEASURED", "REQUESTS",
    ];
    let [split, audience, variant, wanted, measured, requests] = titles;
    match rows.iter().any(|row| row.users.is_some()) {
        true => output::table(
            [
                split, audience, variant, wanted, measured, requests, "USERS", "FAILED",
            ],
            rows.iter().map(|row| {
                let [split, audience, variant, wanted, measured, requests] = cells(row);
                let about = |number: Option<u64>| {
                    number.map_or_else(|| "unknown".to_owned(), |number| format!("~{number}"))
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
