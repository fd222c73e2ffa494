//! Whether clients keep the anonymous cookie: pure, from what the filter counted.
//!
//! A cookie that is dropped, such as a Secure one over plain HTTP, shows as newcomers without end: it
//! is issued with every request, and hardly a request brings it back. The rule is one for what is
//! plain to see. It compares the newcomers of one window with the requests that brought the cookie
//! back in that window and the next, so that even the last of them had a whole window to return. Of
//! clients that keep cookies, those who return are far more than one in ten: the page's own requests
//! for scripts and images are enough. So with a hundred newcomers chance does not lead here (were it
//! one in two, fewer than ten of a hundred would have odds below one in 10^17); nine of ten that are
//! robots without a cookie jar do, which the warning says.

use std::collections::BTreeMap;
use std::fmt;

use crate::cluster::pods::Proxy;
use crate::cluster::prometheus::{Series, is_of};

/// The fewest newcomers that are judged. Chosen, as above.
const JUDGED_FROM: f64 = 100.0;

/// How many newcomers there are at most for one request that brings the cookie back. Chosen, as
/// above.
const NEWCOMERS_PER_RETURN: f64 = 10.0;

/// A split whose users drop the cookie.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Dropped {
    /// The split.
    pub split: String,
    /// How many cookies were issued in one window.
    pub issued: u64,
    /// How many requests brought one back, in that window and the next.
    pub returned: u64,
    /// How long a window is, in Prometheus' words.
    pub window: String,
}

impl fmt::Display for Dropped {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            split,
            issued,
            returned,
            window,
        } = self;
        write!(
            formatter,
            "splits.{split}: clients drop the anonymous cookie: it was issued {issued} times in {window}, and in twice that \
             time {returned} requests brought one back, so the same users see several versions. Either they come over plain \
             HTTP, where none is kept that is Secure (cookie: {{name: sluice, secure: false}}, or TLS), or nine of ten are \
             programs that keep no cookies"
        )
    }
}

/// What the filter counted of some proxies.
#[derive(Debug)]
pub(super) struct Counted<'a> {
    /// Cookies issued, by split, in the window before the last.
    pub(super) issued: &'a [Series],
    /// Requests that brought one, by split, in that window.
    pub(super) returned_then: &'a [Series],
    /// The same in the last window.
    pub(super) returned_since: &'a [Series],
}

/// The splits whose users drop the cookie.
pub(super) fn dropped(counted: &Counted<'_>, window: &str, proxies: &[Proxy]) -> Vec<Dropped> {
    let issued = by_split(counted.issued, proxies);
    let then = by_split(counted.returned_then, proxies);
    let since = by_split(counted.returned_since, proxies);
    let judged = issued.into_iter().filter_map(|(split, issued)| {
        let of = |counts: &BTreeMap<String, f64>| counts.get(&split).copied().unwrap_or(0.0);
        let returned = of(&then) + of(&since);
        let is_dropped = issued >= JUDGED_FROM && returned * NEWCOMERS_PER_RETURN < issued;
        is_dropped.then(|| Dropped {
            issued: issued.round() as u64,
            returned: returned.round() as u64,
            window: window.to_owned(),
            split,
        })
    });
    judged.collect()
}

fn by_split(series: &[Series], proxies: &[Proxy]) -> BTreeMap<String, f64> {
    let mut sums = BTreeMap::new();
    let is_ours = |series: &&Series| proxies.iter().any(|proxy| is_of(series, proxy));
    for series in series.iter().filter(is_ours) {
        let (_, value) = series.last().unwrap_or_default();
        *sums
            .entry(series.label("sluice_split").to_owned())
            .or_insert(0.0) += value;
    }
    sums
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn counts(values: &[(&str, &str, f64)]) -> Vec<Series> {
        let series = |(pod, split, value): &(&str, &str, f64)| {
            let metric = json!({"namespace": "gw", "pod": pod, "sluice_split": split});
            serde_json::from_value(json!({"metric": metric, "value": [10.0, value.to_string()]}))
                .unwrap()
        };
        values.iter().map(series).collect()
    }

    #[test]
    fn a_cookie_that_hardly_anybody_brings_back_is_dropped() {
        let cases = [
            ("nobody comes back", 881.0, 0.0, 0.0, true),
            ("one in ten and a bit", 100.0, 4.0, 5.0, true),
            ("one in ten", 100.0, 5.0, 5.0, false),
            ("each comes back once, later", 100.0, 0.0, 100.0, false),
            ("each comes back at once", 100.0, 100.0, 0.0, false),
            ("too few newcomers to judge", 99.0, 0.0, 0.0, false),
            ("no newcomers, many users", 0.0, 500.0, 500.0, false),
        ];
        let proxies = ["p", "q"].map(|pod| Proxy {
            namespace: "gw".to_owned(),
            pod: pod.to_owned(),
            role: None,
        });
        for (label, issued, then, since, expected) in cases {
            // Half on each proxy; what other proxies count is not ours.
            let on_both = |count: f64| {
                counts(&[
                    ("p", "web", count / 2.0),
                    ("q", "web", count / 2.0),
                    ("z", "web", 1e6),
                ])
            };
            let (issued, then, since) = (on_both(issued), on_both(then), on_both(since));
            let counted = Counted {
                issued: &issued,
                returned_then: &then,
                returned_since: &since,
            };
            let found = dropped(&counted, "1m", &proxies);
            assert_eq!(found.len(), usize::from(expected), "{label}: {found:?}");
        }
    }
}
