//! The text of `/metrics`: written once for all who ask within the same seconds, so that many readers
//! cost no more memory or time than one.
//!
//! What is measured stands in the registry. The server of pages asks.

use std::fmt;
use std::time::{Duration, Instant};

use hyper::body::Bytes;
use parking_lot::Mutex;
use prometheus_client::encoding::text::encode;
use prometheus_client::registry::Registry;

/// How long a written page is shown, in seconds; see docs/limits.md. Chosen: less than any Prometheus
/// waits between two scrapes, and a reader who is slow keeps at most five pages.
const MAX_PAGE_AGE_SECONDS: u64 = 2;

/// What `/metrics` shows.
#[derive(Debug)]
pub struct MetricsPage {
    registry: Registry,
    last: Mutex<Option<(Instant, Bytes)>>,
}

impl MetricsPage {
    /// The page of a registry.
    pub fn new(registry: Registry) -> Self {
        Self {
            registry,
            last: Mutex::new(None),
        }
    }

    /// The text, as it was written at most two seconds before `now`. All who get the same one share its
    /// bytes.
    ///
    /// # Errors
    /// When a metric cannot be written.
    pub fn at(&self, now: Instant) -> Result<Bytes, fmt::Error> {
        let mut last = self.last.lock();
        let youth = Duration::from_secs(MAX_PAGE_AGE_SECONDS);
        let fresh = last
            .as_ref()
            .filter(|(written, _)| now.saturating_duration_since(*written) < youth);
        if let Some((_, page)) = fresh {
            return Ok(page.clone());
        }
        let mut text = String::new();
        encode(&mut text, &self.registry)?;
        let page = Bytes::from(text);
        *last = Some((now, page.clone()));
        Ok(page)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use prometheus_client::metrics::counter::Counter;

    #[test]
    fn a_page_is_written_once_for_all_who_ask_within_two_seconds() {
        let mut registry = Registry::default();
        let counter: Counter = Counter::default();
        registry.register("asked", "Asked", counter.clone());
        let page = MetricsPage::new(registry);
        let began = Instant::now();
        let at = |milliseconds| {
            counter.inc();
            page.at(began + Duration::from_millis(milliseconds))
                .unwrap()
        };
        let first = at(0);
        assert!(first.ends_with(b"asked_total 1\n# EOF\n"), "{first:?}");
        assert_eq!(at(1_999).as_ptr(), first.as_ptr(), "the same bytes");
        let second = at(2_000);
        assert!(second.ends_with(b"asked_total 3\n# EOF\n"), "{second:?}");
    }
}
