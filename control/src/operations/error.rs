//! Why an operation came to nothing: what its callers decide on is a variant of its own.

use crate::model::refusal::Refusal;

/// Why an operation came to nothing.
#[derive(Debug, thiserror::Error)]
pub enum OperationError {
    /// What was asked for is refused, and nothing was written.
    #[error(transparent)]
    Refused(#[from] Refusal),
    /// None of the plugins that were asked has the split.
    #[error("no plugin has a split {split:?}{}", .hint.as_ref().map(|hint| format!("; {hint}")).unwrap_or_default())]
    NowhereSplit {
        /// As typed.
        split: String,
        /// The near names, where all names were read.
        hint: Option<String>,
    },
    /// The cluster has nothing to work on.
    #[error(
        "the cluster has no plugin of ours, that is no WasmPlugin or TrafficExtension with `splits`"
    )]
    NoPlugin,
    /// The store could not be read or written, or its configuration is unreadable as a whole.
    #[error(transparent)]
    Store(anyhow::Error),
}

impl OperationError {
    /// Whether the plugin merely lacks the split: of several plugins, some may.
    pub fn lacks_split(&self) -> bool {
        matches!(self, Self::Refused(Refusal::NoSplit { .. }))
    }
}

/// Stores hand a refusal on as they got it from the decision.
impl From<anyhow::Error> for OperationError {
    fn from(error: anyhow::Error) -> Self {
        error
            .downcast::<Refusal>()
            .map_or_else(Self::Store, Self::Refused)
    }
}
