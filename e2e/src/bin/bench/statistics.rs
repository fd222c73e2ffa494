//! Medians, quantiles, and how sure a ratio of them is: pure.

/// What a competitor adds to no filter, of what another adds: the ratio of the medians, and its 90
/// % interval by bootstrap over the rounds (Efron 1979), so that one disturbed round weighs little.
pub(crate) fn ratio_of_added(own: &[f64], other: &[f64], none: &[f64]) -> (f64, f64, f64) {
    let ratio = |rounds: &[usize]| {
        let median = |values: &[f64]| {
            quantile(
                &rounds
                    .iter()
                    .map(|&round| values[round])
                    .collect::<Vec<_>>(),
                0.5,
            )
        };
        (median(own) - median(none)) / (median(other) - median(none))
    };
    let all: Vec<usize> = (0..own.len()).collect();
    let mut state = 20_261_120_u64;
    let mut draw = || {
        // xorshift64 (Marsaglia 2003): the same draws each time.
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        (state % own.len() as u64) as usize
    };
    let drawn: Vec<f64> = (0..2_000)
        .map(|_| ratio(&all.iter().map(|_| draw()).collect::<Vec<_>>()))
        .collect();
    (ratio(&all), quantile(&drawn, 0.05), quantile(&drawn, 0.95))
}

/// What one competitor takes more than another, round by round: the median, and its 90 % interval by
/// bootstrap.
pub(crate) fn difference(own: &[f64], other: &[f64]) -> (f64, f64, f64) {
    paired(own, other, |own, other| own - other)
}

/// What one competitor takes of another, in the same way.
pub(crate) fn ratio(own: &[f64], other: &[f64]) -> (f64, f64, f64) {
    paired(own, other, |own, other| own / other)
}

fn paired(own: &[f64], other: &[f64], compare: fn(f64, f64) -> f64) -> (f64, f64, f64) {
    let compared: Vec<f64> = own
        .iter()
        .zip(other)
        .map(|(own, other)| compare(*own, *other))
        .collect();
    let mut state = 20_261_121_u64;
    let mut draw = || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        compared[(state % compared.len() as u64) as usize]
    };
    let medians: Vec<f64> = (0..2_000)
        .map(|_| quantile(&compared.iter().map(|_| draw()).collect::<Vec<_>>(), 0.5))
        .collect();
    (
        quantile(&compared, 0.5),
        quantile(&medians, 0.05),
        quantile(&medians, 0.95),
    )
}

pub(crate) fn quantile(values: &[f64], at: f64) -> f64 {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    sorted[((sorted.len() - 1) as f64 * at).round() as usize]
}
