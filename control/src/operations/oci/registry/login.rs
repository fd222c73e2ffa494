//! What `docker login` left, and who may be shown it.
//!
//! A registry that wants a login answers with the realm (RFC 6750, 9110) where a token is to be
//! had, and could name any. So the realm is asked here and not by the client of the registry,
//! which then gets the token alone: by TLS, or by plain HTTP on the registry's own host where that
//! speaks plain HTTP itself; by no redirect; nowhere else than on its own host if what named it
//! came by plain HTTP from another machine; and at no private address unless the registry has one,
//! because what answers there may hand out a token to whoever asks from inside. Where there is no
//! login, the realm is asked without one, as registries want it even for what everybody may read,
//! and the same is asked of it. What a name resolves to is not looked at.

use std::net::IpAddr;
use std::time::Duration;

use anyhow::{Context as _, bail};
use docker_credential::{CredentialRetrievalError, DockerCredential};
use oci_client::client::Client;
use oci_client::secrets::RegistryAuth;
use oci_client::token_cache::RegistryTokenType;
use oci_client::{Reference, RegistryOperation};
use reqwest::Url;
use serde::Deserialize;

use super::Access;
use crate::model::redacted;

/// Docker Hub's name in docker's config.
const DOCKER_HUB: &str = "https://index.docker.io/v1/";

/// How long a registry or realm may take to answer. Chosen: they answer in a second or are down.
pub(super) const PATIENCE: Duration = Duration::from_secs(30);

/// How long a realm's answer may be. Chosen: tokens have some kilobytes.
const MAX_TOKEN_BYTES: usize = 1024 * 1024;

/// A user and a password; shown by nothing.
pub(super) struct Login {
    user: String,
    password: String,
}

impl Login {
    /// What `docker login` left for a registry, by itself or with a credential helper.
    pub(super) fn of(registry: &str) -> anyhow::Result<Option<Self>> {
        let server = if registry == "docker.io" {
            DOCKER_HUB
        } else {
            registry
        };
        match docker_credential::get_credential(server) {
            Ok(DockerCredential::UsernamePassword(user, password)) => {
                Ok(Some(Self { user, password }))
            }
            Ok(DockerCredential::IdentityToken(_)) => bail!(
                "docker's login to {registry} is an identity token, which sluice cannot use; log in with a user and a \
                 password or access token"
            ),
            Err(
                CredentialRetrievalError::NoCredentialConfigured
                | CredentialRetrievalError::ConfigNotFound
                | CredentialRetrievalError::ConfigReadError,
            ) => Ok(None),
            Err(error) => {
                Err(error).with_context(|| format!("docker's login to {registry} cannot be read"))
            }
        }
    }
}

/// What a registry is shown with each request.
pub(super) enum Authorization {
    /// Nothing.
    None,
    /// The login itself.
    Basic(Login),
    /// A token that its realm gave.
    Bearer(String),
}

impl Authorization {
    /// What a registry wants for this image, had with a login if there is one.
    pub(super) async fn of(
        login: Option<Login>,
        reference: &Reference,
        scheme: &str,
        access: Access,
    ) -> anyhow::Result<Self> {
        let registry = Url::parse(&format!("{scheme}://{}/v2/", reference.resolve_registry()))?;
        let http = reqwest::Client::builder()
            .timeout(PATIENCE)
            .redirect(reqwest::redirect::Policy::none())
            .build()?;
        match (challenge(&http, &registry).await?, login) {
            (None, _) | (Some(Challenge::Basic), None) => Ok(Self::None),
            (Some(Challenge::Basic), Some(login)) => Ok(Self::Basic(login)),
            (Some(Challenge::Bearer { realm, service }), login) => {
                let realm = checked(&realm, &registry, login.as_ref())?;
                let scope = format!("repository:{}:{}", reference.repository(), access.scope());
                let mut query = vec![("scope", scope)];
                query.extend(service.map(|service| ("service", service)));
                let token = token(login.as_ref(), &http, realm, &query).await?;
                Ok(Self::Bearer(token))
            }
        }
    }

    /// Gives the client that pushes blobs the same.
    pub(super) async fn hand_to(&self, client: &Client, reference: &Reference) {
        let auth = match self {
            Self::None => RegistryAuth::Anonymous,
            Self::Basic(login) => {
                let (user, password) = (login.user.clone(), login.password.clone());
                let basic = RegistryTokenType::Basic(user, password);
                for operation in [RegistryOperation::Push, RegistryOperation::Pull] {
                    client
                        .tokens
                        .insert(reference, operation, basic.clone())
                        .await;
                }
                RegistryAuth::Anonymous
            }
            Self::Bearer(token) => RegistryAuth::Bearer(token.clone()),
        };
        let name = reference.resolve_registry();
        client.store_auth_if_needed(name, &auth).await;
    }

    /// Puts it on a request.
    pub(super) fn on(&self, request: reqwest::RequestBuilder) -> reqwest::RequestBuilder {
        match self {
            Self::None => request,
            Self::Basic(login) => request.basic_auth(&login.user, Some(&login.password)),
            Self::Bearer(token) => request.bearer_auth(token),
        }
    }
}

async fn token(
    login: Option<&Login>,
    http: &reqwest::Client,
    realm: Url,
    query: &[(&str, String)],
) -> anyhow::Result<String> {
    let shown = redacted::url(realm.as_str());
    let (asked, hint) = match login {
        Some(_) => ("docker's login", ""),
        None => ("a request without a login", "; log in with `docker login`"),
    };
    let mut request = http.get(realm).query(query);
    if let Some(login) = login {
        request = request.basic_auth(&login.user, Some(&login.password));
    }
    let sent = request.send().await;
    let mut answer = sent.with_context(|| format!("{shown}: cannot be reached"))?;
    if !answer.status().is_success() {
        bail!("{shown}: answered {asked} with {}{hint}", answer.status());
    }
    let mut body = Vec::new();
    while let Some(chunk) = answer.chunk().await? {
        body.extend_from_slice(&chunk);
        if body.len() > MAX_TOKEN_BYTES {
            bail!("{shown}: answered {asked} with more than {MAX_TOKEN_BYTES} bytes");
        }
    }
    let answer: Option<Token> = serde_json::from_slice(&body).ok();
    let token = answer.and_then(|answer| answer.token.or(answer.access_token));
    token.with_context(|| format!("{shown}: answered {asked} without a token"))
}

#[derive(Deserialize)]
struct Token {
    token: Option<String>,
    access_token: Option<String>,
}

/// How a registry wants a login.
#[derive(Debug, PartialEq, Eq)]
enum Challenge {
    Basic,
    Bearer {
        realm: String,
        service: Option<String>,
    },
}

async fn challenge(http: &reqwest::Client, registry: &Url) -> anyhow::Result<Option<Challenge>> {
    let asked = http.get(registry.clone()).send().await;
    let answer = asked.with_context(|| {
        let hint = match registry.scheme() {
            "https" => "; use --insecure for a registry that speaks plain HTTP",
            _ => "",
        };
        format!("{registry}: cannot be reached{hint}")
    })?;
    let headers = answer.headers().get_all(reqwest::header::WWW_AUTHENTICATE);
    let texts: Vec<&str> = headers.iter().filter_map(|one| one.to_str().ok()).collect();
    Ok(read(&texts))
}

/// The challenge of these headers; a token's before the login's own.
fn read(headers: &[&str]) -> Option<Challenge> {
    let all = headers
        .iter()
        .filter_map(|header| http_auth::parse_challenges(header).ok())
        .flatten();
    let mut basic = None;
    for one in all {
        let value = |name: &str| {
            let mut fields = one.params.iter();
            let field = fields.find(|(field, _)| field.eq_ignore_ascii_case(name));
            field.map(|(_, value)| value.to_unescaped())
        };
        match (one.scheme, value("realm")) {
            (scheme, Some(realm)) if scheme.eq_ignore_ascii_case("bearer") => {
                let service = value("service");
                return Some(Challenge::Bearer { realm, service });
            }
            (scheme, _) if scheme.eq_ignore_ascii_case("basic") => basic = Some(Challenge::Basic),
            _ => {}
        }
    }
    basic
}

/// The realm, if it may be shown a login, or asked without one.
fn checked(realm: &str, registry: &Url, login: Option<&Login>) -> anyhow::Result<Url> {
    let (wanted, nobody) = match login {
        Some(_) => ("docker's login to be sent to", "it was sent to nobody"),
        None => ("a token to be asked of", "nobody was asked"),
    };
    let refused = |why: &str| {
        anyhow::anyhow!(
            "the registry {} wants {wanted} {}, {why}; {nobody}",
            registry.host_str().unwrap_or_default(),
            redacted::url(realm)
        )
    };
    let url = Url::parse(realm).map_err(|_| refused("which is no URL"))?;
    let is_same_host = url.host_str() == registry.host_str();
    let is_vouched_for = registry.scheme() == "https" || is_loopback(registry.authority());
    match url.scheme() {
        "https" if is_private(&url) && !is_same_host && !is_private(registry) => {
            Err(refused("a private address that the registry is not at"))
        }
        "https" if is_same_host || is_vouched_for => Ok(url),
        "https" => Err(refused(
            "a host that it names by plain HTTP, where anybody could",
        )),
        "http" if is_same_host && registry.scheme() == "http" => Ok(url),
        _ => Err(refused("which is not by TLS")),
    }
}

/// Whether a host is an address of this machine or of a network of one's own, or this machine's
/// name (RFC 1918, 3927, 4193, 6761).
fn is_private(url: &Url) -> bool {
    // In brackets where it is IPv6.
    let host = url.host_str().unwrap_or_default();
    let host = host.trim_matches(['[', ']']).trim_end_matches('.');
    let Ok(address) = host.parse::<IpAddr>() else {
        return host == "localhost" || host.ends_with(".localhost");
    };
    match address.to_canonical() {
        IpAddr::V4(v4) => {
            v4.is_loopback() || v4.is_private() || v4.is_link_local() || v4.is_unspecified()
        }
        IpAddr::V6(v6) => {
            v6.is_loopback()
                || v6.is_unique_local()
                || v6.is_unicast_link_local()
                || v6.is_unspecified()
        }
    }
}

/// Registries on this machine speak plain HTTP, as docker has it.
pub(super) fn is_loopback(registry: &str) -> bool {
    let host = registry.rsplit_once(':').map_or(registry, |(host, _)| host);
    host == "localhost"
        || host
            .parse::<IpAddr>()
            .is_ok_and(|address| address.is_loopback())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ann() -> Login {
        Login {
            user: "ann".to_owned(),
            password: "secret".to_owned(),
        }
    }

    #[test]
    fn a_realm_is_asked_by_tls_or_where_the_registry_is_also_without_a_login() {
        let cases = [
            (
                "https://r.example.com/v2/",
                "https://auth.other.org/token",
                true,
            ),
            (
                "https://r.example.com/v2/",
                "http://r.example.com/token",
                false,
            ),
            ("https://r.example.com/v2/", "http://127.0.0.1/token", false),
            (
                "https://r.example.com/v2/",
                "ftp://r.example.com/token",
                false,
            ),
            ("https://r.example.com/v2/", "/token", false),
            (
                "http://127.0.0.1:5000/v2/",
                "http://127.0.0.1:5001/token",
                true,
            ),
            (
                "http://127.0.0.1:5000/v2/",
                "http://127.0.0.2:5001/token",
                false,
            ),
            (
                "http://127.0.0.1:5000/v2/",
                "https://auth.example.com/token",
                true,
            ),
            // By --insecure.
            (
                "http://r.example.com/v2/",
                "http://r.example.com/token",
                true,
            ),
            (
                "http://r.example.com/v2/",
                "http://auth.example.com/token",
                false,
            ),
            (
                "http://r.example.com/v2/",
                "https://auth.example.com/token",
                false,
            ),
            (
                "http://r.example.com/v2/",
                "https://r.example.com/token",
                true,
            ),
            // Private addresses.
            ("https://r.example.com/v2/", "https://10.0.0.1/token", false),
            (
                "https://r.example.com/v2/",
                "https://169.254.169.254/token",
                false,
            ),
            (
                "https://r.example.com/v2/",
                "https://[::ffff:127.0.0.1]/token",
                false,
            ),
            (
                "https://r.example.com/v2/",
                "https://[fd00::1]/token",
                false,
            ),
            (
                "https://r.example.com/v2/",
                "https://localhost./token",
                false,
            ),
            ("https://r.example.com/v2/", "https://192.0.2.1/token", true),
            ("https://10.0.0.2/v2/", "https://10.0.0.1/token", true),
        ];
        for (registry, realm, expected) in cases {
            let registry = Url::parse(registry).unwrap();
            for login in [None, Some(&ann())] {
                let checked = checked(realm, &registry, login);
                assert_eq!(checked.is_ok(), expected, "{registry} {realm}: {checked:?}");
            }
        }
        let registry = Url::parse("https://r.example.com/v2/").unwrap();
        let said = |realm: &str, login: Option<&Login>| {
            let refused = checked(realm, &registry, login);
            refused.unwrap_err().to_string()
        };
        assert_eq!(
            said("http://u:pw@elsewhere/token", Some(&ann())),
            "the registry r.example.com wants docker's login to be sent to http://***@elsewhere/token, which is not by \
             TLS; it was sent to nobody"
        );
        assert_eq!(
            said("https://10.0.0.1/token", None),
            "the registry r.example.com wants a token to be asked of https://10.0.0.1/token, a private address that the \
             registry is not at; nobody was asked"
        );
    }

    #[test]
    fn a_challenge_is_found_in_every_header() {
        let bearer = |service: Option<&str>| {
            Some(Challenge::Bearer {
                realm: "https://a/t".to_owned(),
                service: service.map(str::to_owned),
            })
        };
        let cases = [
            (&[][..], None),
            (&["Basic realm=\"r\""], Some(Challenge::Basic)),
            (
                &["Bearer realm=\"https://a/t\",service=\"s\""],
                bearer(Some("s")),
            ),
            (
                &["Basic realm=\"r\"", "bearer realm=\"https://a/t\""],
                bearer(None),
            ),
            (
                &["Basic realm=r, Bearer realm=\"https://a/t\""],
                bearer(None),
            ),
            (&["Bearer service=\"s\""], None),
            (&["\u{7f}"], None),
        ];
        for (headers, expected) in cases {
            assert_eq!(read(headers), expected, "{headers:?}");
        }
    }
}
