//! A connection to a Kubernetes cluster, and what its refusals mean in words.
//!
//! Which plugins there are is [`plugins`]'s subject, which fields are ours is [`managed_fields`]'s.
//! Stores and operations use it; it decides nothing.

mod answers;
pub mod authors;
pub(crate) mod bounded;
mod connection;
mod credentials;
pub mod custom;
mod kubeconfig;
pub mod managed_fields;
pub mod objects;
pub mod pause;
pub mod plugins;
pub mod pods;
pub mod prometheus;
pub mod routes;

pub(crate) use bounded::unexpected;

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, bail};
use k8s_openapi::api::authentication::v1::SelfSubjectReview;
use kube::Client;
use kube::api::{Api, PostParams};
use kube::core::Status;
use tokio::sync::OnceCell;

pub use self::kubeconfig::contexts;
use crate::model::redacted;

/// How long a connection may take. Chosen: a cluster across an ocean answers in less.
const CONNECT_PATIENCE: Duration = Duration::from_secs(5);

/// How long an answer may take. Chosen: an API server in trouble, short of despair.
const ANSWER_PATIENCE: Duration = Duration::from_secs(15);

/// How a cluster is named; `None` is what kubectl would take.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Address {
    /// The kubeconfig file.
    pub kubeconfig: Option<PathBuf>,
    /// Its context.
    pub context: Option<String>,
    /// The namespace.
    pub namespace: Option<String>,
}

/// A cluster, and the namespace that is meant.
#[derive(Clone)]
pub struct Cluster {
    client: Client,
    title: Arc<str>,
    url: Arc<str>,
    namespace: Arc<str>,
    /// Who asks, once the API server was asked.
    caller: Arc<OnceCell<Option<String>>>,
}

impl std::fmt::Debug for Cluster {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter
            .debug_struct("Cluster")
            .field("url", &self.url)
            .field("namespace", &self.namespace)
            .finish()
    }
}

impl Cluster {
    /// Reads the kubeconfig, or the account of the pod that this runs in; sends nothing yet.
    ///
    /// # Errors
    /// When neither can be read, or the context is not there.
    pub async fn connect(address: &Address) -> anyhow::Result<Self> {
        let (mut config, title) = kubeconfig::config(address).await?;
        config.connect_timeout = Some(CONNECT_PATIENCE);
        config.read_timeout = Some(ANSWER_PATIENCE);
        config.reset_reader_on_write = true;
        let url = redacted::url(&config.cluster_url.to_string());
        // kube's client joins paths to it and takes for granted that it can.
        if !matches!(config.cluster_url.scheme_str(), Some("https" | "http")) {
            bail!(
                "the kubeconfig's server {url:?} is no URL; accepted: one such as https://{}",
                config
                    .cluster_url
                    .host()
                    .map_or("HOST:6443".to_owned(), |host| format!("{host}:6443"))
            );
        }
        let namespace = address
            .namespace
            .clone()
            .unwrap_or_else(|| config.default_namespace.clone());
        let exec = config.auth_info.exec.as_ref();
        let command = exec.and_then(|exec| exec.command.clone());
        let client = connection::client(config)
            .map_err(|error| credentials::of_client(error, command.as_deref()))
            .with_context(|| format!("{url}: no connection can be made"))?;
        Ok(Self {
            client,
            title: title.into(),
            url: url.into(),
            namespace: namespace.into(),
            caller: Arc::default(),
        })
    }

    /// The one that answers a client, for tests.
    #[cfg(test)]
    pub(crate) fn of_client(client: Client) -> Self {
        Self {
            namespace: client.default_namespace().into(),
            client,
            title: "a test".into(),
            url: "http://test".into(),
            caller: Arc::default(),
        }
    }

    /// How people call it: `context kind`, or the cluster of the pod that this runs in.
    pub fn title(&self) -> &str {
        &self.title
    }

    /// The API server's host, as the kubeconfig has it.
    pub fn host(&self) -> Option<String> {
        let url = reqwest::Url::parse(&self.url).ok()?;
        url.host_str().map(str::to_owned)
    }

    /// The namespace that is meant.
    pub fn namespace(&self) -> &str {
        &self.namespace
    }

    /// The same cluster, another namespace.
    pub fn in_namespace(&self, namespace: &str) -> Self {
        Self {
            namespace: namespace.into(),
            ..self.clone()
        }
    }

    /// Whether it is the same namespace of the same API server.
    pub fn is_same_place(&self, other: &Self) -> bool {
        (&self.url, &self.namespace) == (&other.url, &other.namespace)
    }

    /// The client, for requests.
    pub const fn client(&self) -> &Client {
        &self.client
    }

    /// The name that the API server knows who asks by; it is asked until it answers. `None` where it
    /// does not say.
    pub async fn caller(&self) -> Option<String> {
        let asked = self.caller.get_or_try_init(|| async {
            let api: Api<SelfSubjectReview> = Api::all(self.client.clone());
            let (parameters, review) = (PostParams::default(), SelfSubjectReview::default());
            match api.create(&parameters, &review).await {
                Ok(review) => Ok(review.status.and_then(|said| said.user_info?.username)),
                // It knows no such question, or answers it to others.
                Err(error) if matches!(code(&error), Some(403 | 404)) => Ok(None),
                Err(error) => Err(error),
            }
        });
        asked.await.ok()?.clone()
    }

    /// What a failed request means, in words.
    pub fn explain(&self, doing: impl Into<String>, error: kube::Error) -> ClusterError {
        ClusterError::of(doing.into(), &self.url, error)
    }
}

/// Why the cluster did not do what it was asked.
#[derive(Debug, thiserror::Error)]
pub enum ClusterError {
    /// No answer, or none in time.
    #[error(
        "{doing}: the API server at {url} cannot be reached; check --context, --kubeconfig and \
         the network"
    )]
    Unreachable {
        /// What was being done.
        doing: String,
        /// The cluster.
        url: String,
        /// Why.
        source: Box<kube::Error>,
    },
    /// An answer, but none that ends in time and within bounds.
    #[error("{doing}: the API server at {url} does not answer as it should")]
    BadAnswer {
        /// What was being done.
        doing: String,
        /// The cluster.
        url: String,
        /// What was waited for.
        source: Box<kube::Error>,
    },
    /// The credentials are no good.
    #[error(
        "{doing}: the cluster at {url} does not accept these credentials; log in again, or name \
         another --context"
    )]
    Unauthorized {
        /// What was being done.
        doing: String,
        /// The cluster.
        url: String,
    },
    /// The account may not.
    #[error(
        "{doing}: not allowed: {message}; the Role in wasmplugin/base/rbac.yaml has what sluice \
         needs"
    )]
    Forbidden {
        /// What was being done.
        doing: String,
        /// The API server's words.
        message: String,
    },
    /// An admission webhook or policy, or the schema, refused.
    #[error("{doing}: the cluster refused: {message}; nothing was changed")]
    Refused {
        /// What was being done.
        doing: String,
        /// The API server's words.
        message: String,
    },
    /// istiod's admission webhook does not answer, and the API server writes nothing without it.
    #[error(
        "{doing}: istiod does not answer the API server ({message}); nothing was changed. Bring \
         istiod back, or let the webhook's failurePolicy be Ignore for as long as it is down"
    )]
    NoWebhook {
        /// What was being done.
        doing: String,
        /// The API server's words.
        message: String,
    },
    /// Neither kind is known.
    #[error(
        "{doing}: the cluster at {url} knows neither WasmPlugin nor TrafficExtension: Istio's \
         CRDs are not installed, or --context names another cluster"
    )]
    NoKinds {
        /// What was being done.
        doing: String,
        /// The cluster.
        url: String,
    },
    /// The kubeconfig's command or file gives no credentials.
    #[error("{doing}: no credentials for the cluster at {url}: {why}")]
    NoCredentials {
        /// What was being done.
        doing: String,
        /// The cluster.
        url: String,
        /// Why, without what the command said on its standard output.
        why: String,
    },
    /// Something else.
    #[error("{doing}: the cluster at {url} answered with an error")]
    Other {
        /// What was being done.
        doing: String,
        /// The cluster.
        url: String,
        /// Which.
        source: Box<kube::Error>,
    },
}

impl ClusterError {
    /// Whether the API server did not answer, or not as it should: it hangs, says what is no answer, or
    /// that it is in trouble itself.
    pub fn is_without_answer(&self) -> bool {
        match self {
            Self::Unreachable { .. } | Self::BadAnswer { .. } => true,
            Self::Other { source, .. } => code(source).is_none_or(|code| code >= 500),
            _ => false,
        }
    }

    fn of(doing: String, url: &str, error: kube::Error) -> Self {
        let url = url.to_owned();
        if let Some(why) = credentials::failure(&error) {
            return Self::NoCredentials { doing, url, why };
        }
        if answers::of(&error).is_some() {
            return Self::BadAnswer {
                doing,
                url,
                source: Box::new(error),
            };
        }
        match error {
            kube::Error::Api(status) => match status.code {
                401 => Self::Unauthorized { doing, url },
                // A policy that denies says so in its message; anything else is a missing right.
                403 if is_denied_by_admission(&status.message) => Self::Refused {
                    doing,
                    message: status.message.clone(),
                },
                403 => Self::Forbidden {
                    doing,
                    message: status.message.clone(),
                },
                500.. if status.message.contains("failed calling webhook") => Self::NoWebhook {
                    doing,
                    message: status.message.clone(),
                },
                400 | 409 | 422 => Self::Refused {
                    doing,
                    message: status.message.clone(),
                },
                _ if is_too_large(&status) => Self::Refused {
                    doing,
                    message: status.message.clone(),
                },
                _ => Self::Other {
                    doing,
                    url,
                    source: Box::new(kube::Error::Api(status)),
                },
            },
            error @ (kube::Error::Service(_) | kube::Error::HyperError(_)) => Self::Unreachable {
                doing,
                url,
                source: Box::new(error),
            },
            error => Self::Other {
                doing,
                url,
                source: Box::new(error),
            },
        }
    }
}

fn is_denied_by_admission(message: &str) -> bool {
    message.contains("denied request") || message.contains("denied the request")
}

/// Whether the API server understood a request and would not store what came of it: its content
/// was refused, not its sender.
pub fn is_refused_content(error: &kube::Error) -> bool {
    match error {
        kube::Error::Api(status) => match status.code {
            400 | 422 => true,
            403 => is_denied_by_admission(&status.message),
            _ => is_too_large(status),
        },
        _ => false,
    }
}

/// Whether a request, or what came of it, is larger than the API server or etcd takes: 3 MiB, and
/// 1.5 MiB for an object.
pub fn is_too_large(status: &Status) -> bool {
    let said = ["request is too large", "message larger than max"];
    status.code == 413 || said.iter().any(|said| status.message.contains(said))
}

/// The API server's words, where it is its error.
pub fn words(error: &kube::Error) -> String {
    match error {
        kube::Error::Api(status) => status.message.clone(),
        other => other.to_string(),
    }
}

/// The HTTP status of an API server's refusal.
pub fn code(error: &kube::Error) -> Option<u16> {
    match error {
        kube::Error::Api(status) => Some(status.code),
        _ => None,
    }
}
