//! How many users there were, in PromQL: what `sluice status` computes of the words that proxies
//! export, as a query.
//!
//! The sketch is a HyperLogLog of 64 registers of six bits, eight in each of eight words; proxies are
//! joined register by register, by the greater one. A word that never was more than 0 has no series,
//! and is eight empty registers.

/// What users are counted by.
pub(crate) const BY: &str = "namespace, sluice_split, sluice_audience, sluice_variant";

const WORDS: u32 = 8;
const IN_WORD: u32 = 8;

/// The estimate for the words that matchers select: 13 % off in one of three cases, less below a
/// hundred.
pub(crate) fn estimate(matchers: &str) -> String {
    let words = format!("sluice_users_word{{{matchers}}}");
    let register = |at: u32| {
        let lowest = 64_u64.pow(at);
        format!("max by ({BY}, sluice_word) (floor({words} / {lowest}) % 64)")
    };
    let sum = |of: &dyn Fn(String) -> String| {
        let terms = (0..IN_WORD).map(|at| format!("sum by ({BY}) ({})", of(register(at))));
        terms.collect::<Vec<_>>().join(" + ")
    };
    let absent =
        format!("{IN_WORD} * ({WORDS} - count by ({BY}) (count by ({BY}, sluice_word) ({words})))");
    let harmonic = format!(
        "({} + {absent})",
        sum(&|register| format!("0.5 ^ {register}"))
    );
    let empty = format!(
        "({} + {absent})",
        sum(&|register| format!("{register} == bool 0"))
    );
    // 0.709 * 64 * 64; with few users, the empty registers say it better.
    let raw = format!("2904.064 / {harmonic}");
    format!("(({raw}) > 160 or 64 * ln(64 / ({empty} > 0)) or ({raw}))")
}
