//! The statistics that reports need: intervals for shares, association between two splits.
//!
//! Numbers in, numbers out; what they are told as is the simulate operation's.

/// The 99.5th percentile of the normal distribution: for two-sided 99 % intervals.
const Z_99: f64 = 2.575_829_303_548_901;

/// Wilson's score interval for a share, 99 %, in percent: `(low, high)`. Of no users it is `(0,
/// 100)`.
///
/// ```
/// let (low, high) = sluice::model::statistics::wilson_99(50, 1_000);
/// assert!((3.5..3.6).contains(&low) && (7.0..7.2).contains(&high));
/// ```
pub fn wilson_99(hits: u64, users: u64) -> (f64, f64) {
    if users == 0 {
        return (0.0, 100.0);
    }
    let (n, z2) = (users as f64, Z_99 * Z_99);
    let share = hits as f64 / n;
    let centre = (share + z2 / (2.0 * n)) / (1.0 + z2 / n);
    let half = Z_99 / (1.0 + z2 / n) * (share * (1.0 - share) / n + z2 / (4.0 * n * n)).sqrt();
    (
        ((centre - half) * 100.0).max(0.0),
        ((centre + half) * 100.0).min(100.0),
    )
}

/// Cramér's V of a contingency table, 0 (independent) to 1; `None` where a margin is empty.
///
/// ```
/// use sluice::model::statistics::cramers_v;
/// assert_eq!(cramers_v(&[vec![50, 0], vec![0, 50]]), Some(1.0));
/// assert_eq!(cramers_v(&[vec![25, 25], vec![25, 25]]), Some(0.0));
/// assert_eq!(cramers_v(&[vec![50, 50], vec![0, 0]]), None);
/// ```
pub fn cramers_v(table: &[Vec<u64>]) -> Option<f64> {
    let rows: Vec<u64> = table.iter().map(|row| row.iter().sum()).collect();
    let columns: Vec<u64> = (0..table.first()?.len())
        .map(|column| table.iter().filter_map(|row| row.get(column)).sum())
        .collect();
    let total = rows.iter().sum::<u64>() as f64;
    let degrees = rows
        .iter()
        .filter(|&&sum| sum > 0)
        .count()
        .min(columns.iter().filter(|&&sum| sum > 0).count());
    if degrees < 2 {
        return None;
    }
    let mut chi_squared = 0.0;
    for (row, row_sum) in table.iter().zip(&rows) {
        for (&seen, column_sum) in row.iter().zip(&columns) {
            let expected = *row_sum as f64 * *column_sum as f64 / total;
            if expected > 0.0 {
                chi_squared += (seen as f64 - expected).powi(2) / expected;
            }
        }
    }
    Some((chi_squared / (total * (degrees - 1) as f64)).sqrt())
}

/// The V that independent splits stay below in 99.95 of 100 cases. Of two splits with two variants
/// each, V times the root of the users is a standard normal variable without its sign, and that is
/// above 3.5 in 0.047 of 100 cases.
pub fn noise_of_v(users: u64) -> f64 {
    3.5 / (users.max(1) as f64).sqrt()
}
