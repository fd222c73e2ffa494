//! What goes into the reading of one resource of another tool, and what comes out of it.

use std::collections::BTreeSet;

use serde_json::Value;

/// What a person knows that stands in no resource.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Known {
    /// The Prometheus that every check is to ask, in place of those that the resources name.
    pub prometheus: Option<String>,
}

/// What one resource became.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Found {
    /// The split's name and definition.
    pub(super) split: (String, Value),
    /// A Deployment that stood inside of the resource.
    pub(super) deployment: Option<Value>,
    /// The Rollout.
    pub(super) rollout: Value,
    /// Which of the inputs were used beside it.
    pub(super) used: BTreeSet<usize>,
}
