//! Why an operation came to nothing: what its callers decide on is a variant of its own.

use super::meanwhile::ChangedMeanwhile;
use crate::cluster::ClusterError;
use crate::model::refusal::Refusal;
use crate::store::WriteError;

/// Why an operation came to nothing.
#[derive(Debug, thiserror::Error)]
pub enum OperationError {
    /// What was asked for is refused, and nothing was written.
    #[error(transparent)]
    Refused(#[from] Refusal),
    /// Somebody else changed the split since the command began, and nothing was written.
    #[error(transparent)]
    ChangedMeanwhile(#[from] Box<ChangedMeanwhile>),
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
    /// Others are the reason that nothing was written, or not everything.
    #[error(transparent)]
    Write(#[from] WriteError),
    /// The cluster could not be reached, or did not do what it was asked.
    #[error(transparent)]
    Cluster(#[from] ClusterError),
    /// The store could not be read or written, or its configuration is unreadable as a whole.
    #[error(transparent)]
    Store(anyhow::Error),
}

impl OperationError {
    /// Whether the command ran and found a problem, rather than could not run.
    pub fn is_found_problem(&self) -> bool {
        match self {
            Self::ChangedMeanwhile(_) => true,
            Self::Write(error) => error.is_open(),
            _ => false,
        }
    }

    /// Whether the API server did not answer: at all, any more, or not as it should.
    pub fn is_without_answer(&self) -> bool {
        match self {
            Self::Cluster(error) => error.is_without_answer(),
            Self::Write(error) => matches!(error, WriteError::Unknown { .. }),
            _ => false,
        }
    }

    /// Whether the plugin merely lacks the split: of several plugins, some may.
    pub fn lacks_split(&self) -> bool {
        matches!(
            self,
            Self::Refused(Refusal::NoSplit { .. } | Refusal::NoSplitWith { .. })
        )
    }
}

/// Stores hand on what they got from the decision and from the cluster; its kind is found again
/// here.
impl From<anyhow::Error> for OperationError {
    fn from(error: anyhow::Error) -> Self {
        let error = match error.downcast::<Refusal>() {
            Ok(refusal) => return Self::Refused(refusal),
            Err(error) => error,
        };
        let error = match error.downcast::<Box<ChangedMeanwhile>>() {
            Ok(changed) => return Self::ChangedMeanwhile(changed),
            Err(error) => error,
        };
        let error = match error.downcast::<WriteError>() {
            Ok(error) => return Self::Write(error),
            Err(error) => error,
        };
        error
            .downcast::<ClusterError>()
            .map_or_else(Self::Store, Self::Cluster)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::OwnedField;

    #[test]
    fn an_error_of_a_store_keeps_its_kind_its_words_and_its_cause() {
        let conflict = WriteError::Conflict {
            plugin: "WasmPlugin a/s".to_owned(),
            fields: ["one", "other"]
                .map(|path| OwnedField {
                    path: path.to_owned(),
                    manager: "gitops".to_owned(),
                })
                .to_vec(),
            changes: vec!["everyone/canary 5 -> 10".to_owned()],
        };
        let partial = WriteError::Partial {
            written: vec!["web".to_owned(), "api".to_owned()],
            source: anyhow::anyhow!("no"),
        };
        let forbidden = ClusterError::Forbidden {
            doing: "WasmPlugin a/s".to_owned(),
            message: "no".to_owned(),
        };
        let cases: [(anyhow::Error, &str, &str); 5] = [
            (
                Refusal::NothingEarlier.into(),
                "Refused(",
                "the history has no earlier weights to go back to",
            ),
            (
                conflict.into(),
                "Write(",
                "WasmPlugin a/s: one was set by field manager \"gitops\"\n\
                 WasmPlugin a/s: other was set by field manager \"gitops\"; nothing was changed. --force would set it \
                 all the same (everyone/canary 5 -> 10) and take the field over: gitops would then get this conflict in \
                 turn",
            ),
            (
                partial.into(),
                "Write(",
                "of several splits, only these were changed: web, api: no",
            ),
            (
                forbidden.into(),
                "Cluster(",
                "WasmPlugin a/s: not allowed: no; the Role in wasmplugin/base/rbac.yaml has what sluice needs",
            ),
            (anyhow::anyhow!("disk full"), "Store(", "disk full"),
        ];
        for (error, kind, words) in cases {
            let error = OperationError::from(error);
            let debug = format!("{error:?}");
            assert!(debug.starts_with(kind), "{debug}");
            assert_eq!(format!("{:#}", anyhow::Error::from(error)), words);
        }
    }
}
