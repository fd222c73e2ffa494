//! What the brake's service counts of itself.

use std::fmt;

use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::registry::Registry;

/// A label with its value.
type Label = [(&'static str, &'static str); 1];

/// Everything that is counted.
#[derive(Clone, Default)]
pub struct Counts {
    connections: Gauge,
    held: Gauge,
    answers: Family<Label, Counter>,
    refused: Family<Label, Counter>,
}

/// What a question was answered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Said {
    /// The brakes, which are others than those that the proxy had.
    Changed,
    /// That nothing has changed.
    Unchanged,
    /// That the brakes are not read yet.
    NotReady,
    /// That this is no question.
    Refused,
}

/// Why a connection was closed that had not asked to be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Why {
    /// There was no place for it: everyone's question was held.
    Full,
    /// Another one needed its place, and it asked nothing.
    Replaced,
    /// It asked nothing for long.
    Idle,
}

impl fmt::Debug for Counts {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("Counts")
    }
}

/// Counts as one while it is there.
pub(super) struct One<'c>(&'c Gauge);

impl<'c> One<'c> {
    fn of(gauge: &'c Gauge) -> Self {
        gauge.inc();
        Self(gauge)
    }
}

impl Drop for One<'_> {
    fn drop(&mut self) {
        self.0.dec();
    }
}

impl Counts {
    /// A connection.
    pub(super) fn connection(&self) -> One<'_> {
        One::of(&self.connections)
    }

    /// A question that is held.
    pub(super) fn held(&self) -> One<'_> {
        One::of(&self.held)
    }

    /// A question was answered.
    pub(super) fn said(&self, said: Said) {
        let answer = match said {
            Said::Changed => "Changed",
            Said::Unchanged => "Unchanged",
            Said::NotReady => "NotReady",
            Said::Refused => "Refused",
        };
        self.answers.get_or_create(&[("answer", answer)]).inc();
    }

    /// So many connections were closed.
    pub(super) fn refused(&self, why: Why, count: usize) {
        if count > 0 {
            let why = match why {
                Why::Full => "Full",
                Why::Replaced => "Replaced",
                Why::Idle => "Idle",
            };
            let refused = self.refused.get_or_create(&[("why", why)]);
            refused.inc_by(count as u64);
        }
    }

    /// Names them.
    pub fn register(&self, registry: &mut Registry) {
        registry.register(
            "sluice_controller_brake_connections",
            "Connections of proxies that ask for brakes",
            self.connections.clone(),
        );
        registry.register(
            "sluice_controller_brake_questions_held",
            "Questions of proxies that wait for another answer",
            self.held.clone(),
        );
        registry.register(
            "sluice_controller_brake_answers",
            "Questions of proxies that were answered",
            self.answers.clone(),
        );
        registry.register(
            "sluice_controller_brake_connections_refused",
            "Connections that were closed because they asked nothing, or there was no place",
            self.refused.clone(),
        );
    }
}
