//! Reading metrics in Prometheus' text format, as far as Envoy writes it: samples, no help, no
//! types.
//!
//! Why no crate does it stands in ARCHITECTURE.md.

use std::collections::BTreeMap;

use crate::model::native::METRICS_PREFIX;

/// One sample.
#[derive(Clone, Debug, PartialEq)]
pub struct Sample {
    /// The metric's name.
    pub name: String,
    /// Its labels.
    pub labels: BTreeMap<String, String>,
    /// Its value.
    pub value: f64,
}

impl Sample {
    /// A label's value; empty when it has none.
    pub fn label(&self, name: &str) -> &str {
        self.labels.get(name).map_or("", String::as_str)
    }
}

/// Every sample of a text; lines that are none are left out. The native module's metrics are named
/// as the WebAssembly module's are, whether Envoy put a prefix before them or not.
///
/// ```
/// use sluice::local::metrics::parse;
/// let samples = parse("# TYPE a counter\na{b=\"c\\\"d\",e=\"f\"} 5\nplain 2.5\n");
/// assert_eq!(samples[0].name, "a");
/// assert_eq!((samples[0].label("b"), samples[0].value), ("c\"d", 5.0));
/// assert_eq!((samples[1].name.as_str(), samples[1].value), ("plain", 2.5));
/// let native = parse("envoy_wasmsluice_sluice_ticks_total{} 5\n");
/// assert_eq!(native[0].name, "sluice_ticks_total");
/// ```
pub fn parse(text: &str) -> Vec<Sample> {
    text.lines()
        .filter(|line| !line.starts_with('#'))
        .filter_map(sample)
        .collect()
}

/// The sum of a metric's samples whose labels are as wanted.
pub fn sum(samples: &[Sample], name: &str, wanted: &[(&str, &str)]) -> f64 {
    let is_wanted = |sample: &&Sample| {
        sample.name == name
            && wanted
                .iter()
                .all(|(label, value)| sample.label(label) == *value)
    };
    samples
        .iter()
        .filter(is_wanted)
        // Rust's sum of no numbers is -0, and shown as such.
        .fold(0.0, |sum, sample| sum + sample.value)
}

fn sample(line: &str) -> Option<Sample> {
    let (series, value) = line.trim().rsplit_once(' ')?;
    let series = series.strip_prefix(METRICS_PREFIX).unwrap_or(series);
    let value = value.parse().ok()?;
    let Some((name, rest)) = series.split_once('{') else {
        return Some(Sample {
            name: series.to_owned(),
            labels: BTreeMap::new(),
            value,
        });
    };
    let mut rest = rest.strip_suffix('}')?;
    let mut labels = BTreeMap::new();
    while let Some((label, quoted)) = rest.split_once("=\"") {
        let (text, after) = unquote(quoted)?;
        labels.insert(label.trim_start_matches(',').to_owned(), text);
        rest = after;
    }
    Some(Sample {
        name: name.to_owned(),
        labels,
        value,
    })
}

/// The text up to the closing quote, and what follows it.
fn unquote(quoted: &str) -> Option<(String, &str)> {
    let mut text = String::new();
    let mut characters = quoted.char_indices();
    while let Some((at, character)) = characters.next() {
        match character {
            '"' => return Some((text, &quoted[at + 1..])),
            '\\' => match characters.next()?.1 {
                'n' => text.push('\n'),
                other => text.push(other),
            },
            other => text.push(other),
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_sum_of_no_samples_is_shown_as_zero() {
        let samples = parse("a{b=\"c\"} 5\na{b=\"d\"} 2\n");
        let cases = [
            (sum(&[], "a", &[]), "0"),
            (sum(&samples, "b", &[]), "0"),
            (sum(&samples, "a", &[]), "7"),
            (sum(&samples, "a", &[("b", "d")]), "2"),
        ];
        for (sum, expected) in cases {
            assert_eq!(sum.to_string(), expected);
        }
    }
}
