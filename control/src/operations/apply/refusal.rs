//! What the cluster refuses of an application, in words, and why an application stops.

use super::subsets::named;
use crate::cluster::{Cluster, ClusterError, code};
use crate::model::manifest::Manifest;
use crate::model::service::ServiceRef;
use crate::store::kubernetes::conflicting;

/// What helps where fields belong to others.
const FORCE: &str = "\n--force would set these fields all the same and take them over: their managers would then get \
     such a conflict in turn";

/// Why nothing was applied, or why it was stopped.
#[derive(Debug, thiserror::Error)]
pub enum ApplyError {
    /// The cluster refuses some of it: all of that, one below the other.
    #[error("{}{}", .each.join("\n"), if *.is_conflict { FORCE } else { "" })]
    Refused {
        /// What is refused, and why.
        each: Vec<String>,
        /// Whether fields of other managers are among it.
        is_conflict: bool,
    },
    /// A write was not answered: it may have been made.
    #[error("{resource}: unknown whether it was applied")]
    Unanswered {
        /// Which resource.
        resource: String,
        /// Why there was no answer.
        source: ClusterError,
    },
    /// The proxies do not get the subsets.
    #[error(
        "after {seconds} s no proxy that the plugin selects has the new subsets ({} lack them): istiod has not pushed \
         them, or none of these proxies calls the service; run again, it goes on without them",
        named(.lacking)
    )]
    NotPushed {
        /// How long it was waited.
        seconds: u64,
        /// The proxies that were seen without them, as `namespace/pod`.
        lacking: Vec<String>,
    },
    /// The cluster cannot be used.
    #[error(transparent)]
    Cluster(#[from] ClusterError),
    /// Something else cannot be read, such as Prometheus.
    #[error(transparent)]
    Other(#[from] anyhow::Error),
}

/// One resource that is refused.
pub(super) enum Refused {
    /// It will be as long as it is as it is; in words.
    ForGood(String),
    /// Fields of it belong to others; in words.
    Conflict(String),
    /// The cluster cannot be used at all.
    Cluster(ClusterError),
    /// No answer came.
    Unanswered(String, ClusterError),
}

impl Refused {
    /// Whether it may have been applied all the same.
    pub(super) const fn may_be_applied(&self) -> bool {
        matches!(self, Self::Unanswered(..))
    }
}

impl From<Refused> for ApplyError {
    fn from(refused: Refused) -> Self {
        match refused {
            Refused::ForGood(words) => Self::Refused {
                each: vec![words],
                is_conflict: false,
            },
            Refused::Conflict(words) => Self::Refused {
                each: vec![words],
                is_conflict: true,
            },
            Refused::Cluster(error) => Self::Cluster(error),
            Refused::Unanswered(resource, source) => Self::Unanswered { resource, source },
        }
    }
}

/// What an error of the API server means for a resource.
pub(super) fn of(cluster: &Cluster, manifest: &Manifest, error: kube::Error) -> Refused {
    let title = manifest.title();
    if let kube::Error::Api(status) = &error {
        let fields = conflicting(status);
        if !fields.is_empty() {
            let fields = fields.iter().map(|field| {
                format!(
                    "{title}: {} was set by field manager {:?}",
                    field.path, field.manager
                )
            });
            return Refused::Conflict(fields.collect::<Vec<_>>().join("\n"));
        }
    }
    let is_missing = code(&error) == Some(404);
    match cluster.explain(title.clone(), error) {
        error @ (ClusterError::Unauthorized { .. } | ClusterError::NoWebhook { .. }) => {
            Refused::Cluster(error)
        }
        ClusterError::Refused { message, .. } => Refused::ForGood(format!("{title}: {message}")),
        ClusterError::Forbidden { message, .. } => {
            Refused::ForGood(format!("{title}: not allowed: {message}"))
        }
        _ if is_missing => Refused::ForGood(format!(
            "{title}: the cluster knows no {} of {}, or has no namespace {}",
            manifest.kind, manifest.api_version, manifest.namespace
        )),
        // No answer, or one that says nothing of the write, such as a proxy's time-out.
        error => Refused::Unanswered(title, error),
    }
}

/// The refusal of a DestinationRule that would lose subsets.
pub(super) fn loses_subsets(title: &str, lost: &[String]) -> Refused {
    Refused::ForGood(format!(
        "{title}: it would lose the subsets {}, to which routes may lead; keep them until none does",
        lost.join(", ")
    ))
}

/// The refusal of routes that lead everybody to a subset which no pod is in.
pub(super) fn no_pods(
    title: &str,
    service: &ServiceRef,
    subset: &str,
    wanted: &str,
    found: &str,
) -> Refused {
    Refused::ForGood(format!(
        "{title}: it leads everybody to subset {subset} of service {service}, and no running pod of that has \
         {wanted}: they have {found}, and everybody would get 503"
    ))
}

/// What to say of everything that was refused.
pub(super) fn of_all(refusals: Vec<Refused>) -> Option<ApplyError> {
    let mut each = Vec::new();
    let mut is_conflict = false;
    for refused in refusals {
        match refused {
            Refused::ForGood(words) => each.push(words),
            Refused::Conflict(words) => {
                each.push(words);
                is_conflict = true;
            }
            // Nothing was sent but a trial, so that nothing can have been applied.
            Refused::Cluster(error) | Refused::Unanswered(_, error) => {
                return Some(ApplyError::Cluster(error));
            }
        }
    }
    (!each.is_empty()).then_some(ApplyError::Refused { each, is_conflict })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn everything_that_is_refused_is_said_at_once_and_force_only_where_it_helps() {
        let for_good = || Refused::ForGood("DestinationRule a/web: no".to_owned());
        let conflict = || Refused::Conflict("VirtualService a/web: spec.http is Git's".to_owned());
        let unauthorized = || {
            Refused::Cluster(ClusterError::Unauthorized {
                doing: "VirtualService a/web".to_owned(),
                url: "https://c".to_owned(),
            })
        };
        let cases = [
            (vec![for_good()], "DestinationRule a/web: no".to_owned()),
            (
                vec![for_good(), conflict()],
                format!("DestinationRule a/web: no\nVirtualService a/web: spec.http is Git's{FORCE}"),
            ),
            (
                vec![for_good(), unauthorized()],
                "VirtualService a/web: the cluster at https://c does not accept these credentials; log in again, or \
                 name another --context"
                    .to_owned(),
            ),
        ];
        for (refusals, expected) in cases {
            assert_eq!(of_all(refusals).unwrap().to_string(), expected);
        }
        assert!(of_all(Vec::new()).is_none());
    }
}
