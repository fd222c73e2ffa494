//! How a Prometheus is reached: credentials, whom TLS trusts, how long an answer may take.

use std::time::Duration;

use reqwest::redirect::{Attempt, Policy};
use reqwest::{Certificate, Client, RequestBuilder, Url};
use secrecy::{ExposeSecret as _, SecretString};

use super::error::PrometheusError;

/// How long an answer may take. Chosen: a query here reads some hundred series.
pub const DEFAULT_TIMEOUT: Duration = Duration::from_secs(10);

/// How often a server may send to another path of its own.
const MAX_REDIRECTS: usize = 5;

/// Who asks.
#[derive(Clone, Debug)]
pub enum Credentials {
    /// A bearer token (RFC 6750).
    Bearer(SecretString),
    /// A user and a password (RFC 7617).
    Basic {
        /// The user.
        user: String,
        /// The password.
        password: SecretString,
    },
}

/// Whose certificates are taken for the server's.
#[derive(Clone, Debug, Default)]
pub enum Trust {
    /// Those that the system's authorities signed.
    #[default]
    System,
    /// Those that these authorities signed, in PEM, and no others.
    Authorities(Vec<u8>),
    /// All. Whoever is in the way can read the credentials and lie.
    Unverified,
}

/// How a Prometheus is reached.
#[derive(Clone, Debug)]
pub struct Access {
    /// Who asks; `None`: nobody in particular.
    pub credentials: Option<Credentials>,
    /// Whose certificates are taken.
    pub trust: Trust,
    /// How long an answer may take, to its last byte.
    pub timeout: Duration,
}

impl Default for Access {
    fn default() -> Self {
        Self {
            credentials: None,
            trust: Trust::default(),
            timeout: DEFAULT_TIMEOUT,
        }
    }
}

impl Access {
    /// A client that goes nowhere but to the server that it is given.
    pub(super) fn client(&self) -> Result<Client, PrometheusError> {
        self.check()?;
        let builder = Client::builder()
            .timeout(self.timeout)
            .redirect(Policy::custom(within_the_server));
        let builder = match &self.trust {
            Trust::System => builder,
            Trust::Authorities(pem) => {
                let certificates = Certificate::from_pem_bundle(pem).unwrap_or_default();
                if certificates.is_empty() {
                    return Err(PrometheusError::NoAuthorities);
                }
                builder.tls_certs_only(certificates)
            }
            Trust::Unverified => builder.tls_danger_accept_invalid_certs(true),
        };
        builder.build().map_err(PrometheusError::Client)
    }

    fn check(&self) -> Result<(), PrometheusError> {
        match &self.credentials {
            Some(Credentials::Bearer(token)) => {
                let token = token.expose_secret();
                let is_visible = !token.is_empty() && token.bytes().all(|b| b.is_ascii_graphic());
                is_visible.then_some(()).ok_or(PrometheusError::Token)
            }
            Some(Credentials::Basic { user, .. }) if user.contains(':') => {
                Err(PrometheusError::User(user.clone()))
            }
            _ => Ok(()),
        }
    }

    /// A request that says who asks.
    pub(super) fn authorize(&self, request: RequestBuilder) -> RequestBuilder {
        match &self.credentials {
            None => request,
            Some(Credentials::Bearer(token)) => request.bearer_auth(token.expose_secret()),
            Some(Credentials::Basic { user, password }) => {
                request.basic_auth(user, Some(password.expose_secret()))
            }
        }
    }

    /// What is sent of who asks, in words.
    pub(super) fn sent(&self, url: &Url) -> String {
        let user = |user: &str| format!("the password of user {user:?}");
        match &self.credentials {
            Some(Credentials::Bearer(_)) => "a bearer token".to_owned(),
            Some(Credentials::Basic { user: name, .. }) => user(name),
            None if url.username().is_empty() => "no credentials".to_owned(),
            None => user(url.username()),
        }
    }

    /// The texts that no message may hold.
    pub(super) fn secrets(&self) -> Vec<&str> {
        match &self.credentials {
            None => Vec::new(),
            Some(Credentials::Bearer(secret))
            | Some(Credentials::Basic {
                password: secret, ..
            }) => vec![secret.expose_secret()],
        }
    }
}

/// A server may send to another of its paths. What lies elsewhere was not named, and is given
/// neither credentials nor queries.
fn within_the_server(attempt: Attempt<'_>) -> reqwest::redirect::Action {
    let former = attempt.previous();
    let is_same = former
        .last()
        .is_some_and(|url| url.origin() == attempt.url().origin());
    match is_same && former.len() <= MAX_REDIRECTS {
        true => attempt.follow(),
        false => attempt.stop(),
    }
}
