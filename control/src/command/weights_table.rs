//! The table of weights wanted and shares measured, for `sluice status` and `sluice dev`.

use super::output;
use crate::operations::status::measured::WeightRow;

/// One line a variant; `unknown` where nothing was measured, `-` where there were no requests.
pub(super) fn weights_table(rows: &[WeightRow]) -> String {
    output::table(
        [
            "SPLIT", "AUDIENCE", "VARIANT", "WANTED", "MEASURED", "REQUESTS",
        ],
        rows.iter().map(cells),
    )
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
