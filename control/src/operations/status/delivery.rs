//! How far a change has come to a proxy that does not run it: pure.
//!
//! istiod pushes a changed plugin to a proxy together with its listeners, which come first, and
//! Envoy keeps when it last took listeners (`listener_manager.lds.update_time`; Istio's proxies
//! show it by default). So a proxy whose listeners are older than the change was not pushed to
//! since, and one whose listeners are younger was, without running what came with them. The API
//! server cuts the time of a change to seconds: within that second, only another proxy that runs
//! the change tells that istiod has pushed it, because it pushes to all at once.

use std::fmt;

use serde::{Serialize, Serializer};

/// How much later than its time a change may have been made: the API server cuts that.
const CUT_SECONDS: f64 = 1.0;

/// How far a change has come to a proxy that does not run it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Delivery {
    /// The proxy was not scraped since.
    NotScraped,
    /// istiod has not pushed to it since.
    NotPushed,
    /// istiod has pushed to it since.
    Pushed,
    /// It cannot be told.
    Unknown,
}

/// What tells how far a change has come, in seconds since 1970; `None` is not known.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(super) struct Times {
    /// When the plugin was last changed, by the API server's clock, cut to seconds.
    pub(super) changed: Option<f64>,
    /// When the proxy was last scraped.
    pub(super) scraped: f64,
    /// When it had last taken listeners then.
    pub(super) pushed: Option<f64>,
    /// Whether another proxy runs the change.
    pub(super) runs_elsewhere: bool,
}

impl Delivery {
    pub(super) fn of(times: Times) -> Self {
        let Some(changed) = times.changed else {
            return Self::Unknown;
        };
        let surely_changed = changed + CUT_SECONDS;
        match times.pushed {
            _ if times.scraped < surely_changed => Self::NotScraped,
            Some(pushed) if pushed < changed => Self::NotPushed,
            Some(pushed) if pushed >= surely_changed || times.runs_elsewhere => Self::Pushed,
            _ => Self::Unknown,
        }
    }
}

impl fmt::Display for Delivery {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(match self {
            Self::NotScraped => "it was not scraped since the change",
            Self::NotPushed => {
                "istiod has not pushed to it since the change: it waits for a pause between changes, is down, or has \
                 lost the proxy"
            }
            Self::Pushed => {
                "istiod has pushed to it since the change: its agent fetches the module, or forwarded the pushes in \
                 another order, or Envoy refused it"
            }
            Self::Unknown => "it is not known whether istiod has pushed to it since the change",
        })
    }
}

impl Serialize for Delivery {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(match self {
            Self::NotScraped => "notScraped",
            Self::NotPushed => "notPushed",
            Self::Pushed => "pushed",
            Self::Unknown => "unknown",
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn listeners_older_than_the_change_were_not_followed_by_a_push() {
        let cases = [
            (
                "pushed before it",
                Some(100.0),
                110.0,
                Some(60.0),
                Delivery::NotPushed,
            ),
            (
                "pushed since",
                Some(100.0),
                110.0,
                Some(101.0),
                Delivery::Pushed,
            ),
            (
                "in the same second",
                Some(100.0),
                110.0,
                Some(100.4),
                Delivery::Unknown,
            ),
            (
                "scraped before it",
                Some(100.0),
                99.0,
                Some(60.0),
                Delivery::NotScraped,
            ),
            (
                "scraped in that second",
                Some(100.0),
                100.9,
                Some(60.0),
                Delivery::NotScraped,
            ),
            (
                "no listeners' time",
                Some(100.0),
                110.0,
                None,
                Delivery::Unknown,
            ),
            (
                "no time of the change",
                None,
                110.0,
                Some(60.0),
                Delivery::Unknown,
            ),
        ];
        for (label, changed, scraped, pushed, expected) in cases {
            let times = Times {
                changed,
                scraped,
                pushed,
                runs_elsewhere: false,
            };
            assert_eq!(Delivery::of(times), expected, "{label}");
        }
        let pushed_elsewhere = |pushed| Times {
            changed: Some(100.0),
            scraped: 110.0,
            pushed: Some(pushed),
            runs_elsewhere: true,
        };
        assert_eq!(Delivery::of(pushed_elsewhere(100.4)), Delivery::Pushed);
        assert_eq!(Delivery::of(pushed_elsewhere(60.0)), Delivery::NotPushed);
    }
}
