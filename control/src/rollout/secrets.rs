//! Where a secret is, and who may read it there.
//!
//! A Rollout names places, never secrets. What is read is wrapped so that nothing prints it. A
//! controller reads Secrets of the Rollout's own namespace alone: the files and variables of its own
//! machine are not for whoever may write a Rollout.

use std::fmt;
use std::path::PathBuf;

use futures::future::BoxFuture;
use k8s_openapi::api::core::v1::Secret;
use kube::{Api, Client};
use secrecy::SecretString;
use sluice_core::problem::{Accepted, Problem};

use super::checking::{self, is_short};
use super::resource::KeyOf;
use crate::{cluster, files};

/// The longest secret. Chosen: URLs and tokens have some hundred bytes.
pub const MAX_SECRET_BYTES: usize = 4_096;

/// The longest bundle of certificates. Chosen: all authorities that a system trusts have 250 KB.
pub const MAX_CERTIFICATES_BYTES: usize = 512 * 1024;

/// Where a secret is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Place {
    /// In a Secret of the Rollout's namespace.
    Secret {
        /// Its name.
        name: String,
        /// The key in it.
        key: String,
    },
    /// In a file.
    File(PathBuf),
    /// In a variable of the environment.
    Variable(String),
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Secret { name, key } => write!(f, "key {key} of Secret {name}"),
            Self::File(path) => write!(f, "file {}", path.display()),
            Self::Variable(name) => write!(f, "variable {name}"),
        }
    }
}

/// Why there is no secret.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{place}: {why}")]
pub struct SecretError {
    /// Where it should be.
    pub place: Place,
    /// What is wrong there.
    pub why: String,
}

/// What a secret looks like.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Shape {
    /// One line, whose end is left out: a token, a URL.
    Line,
    /// A text of many lines: certificates.
    Text,
}

impl Shape {
    const fn max_bytes(self) -> usize {
        match self {
            Self::Line => MAX_SECRET_BYTES,
            Self::Text => MAX_CERTIFICATES_BYTES,
        }
    }
}

/// What reads secrets for one Rollout.
pub trait SecretReader: Send + Sync {
    /// The secret at a place.
    fn read<'a>(
        &'a self,
        place: &'a Place,
        shape: Shape,
    ) -> BoxFuture<'a, Result<SecretString, SecretError>>;
}

/// Reads this machine's files and environment, for whoever runs a Rollout here.
#[derive(Clone, Copy, Debug)]
pub struct OfThisMachine;

impl SecretReader for OfThisMachine {
    fn read<'a>(
        &'a self,
        place: &'a Place,
        shape: Shape,
    ) -> BoxFuture<'a, Result<SecretString, SecretError>> {
        let bytes = match place {
            Place::Secret { .. } => Err("there is no cluster to read Secrets from".to_owned()),
            Place::File(path) if path.metadata().is_ok_and(|found| !found.is_file()) => {
                Err("not a file".to_owned())
            }
            Place::File(path) => {
                files::bytes(path, shape.max_bytes()).map_err(|error| error.to_string())
            }
            Place::Variable(name) => std::env::var(name)
                .map(String::into_bytes)
                .map_err(|_| "not set".to_owned()),
        };
        let secret = bytes
            .and_then(|bytes| text(bytes, shape))
            .map_err(|why| error(place, why));
        Box::pin(std::future::ready(secret))
    }
}

/// Reads the Secrets of one namespace, and nothing else.
#[derive(Clone)]
pub struct OfNamespace(Api<Secret>);

impl OfNamespace {
    /// The Secrets of a namespace.
    pub fn new(client: Client, namespace: &str) -> Self {
        Self(Api::namespaced(client, namespace))
    }

    async fn secret(&self, place: &Place, shape: Shape) -> Result<SecretString, String> {
        let Place::Secret { name, key } = place else {
            return Err("a controller reads Secrets alone".to_owned());
        };
        let secret = self.0.get_opt(name).await;
        let secret = secret.map_err(|error| cluster::words(&error))?;
        let data = secret.ok_or("there is no such Secret")?.data;
        let value = data.unwrap_or_default().remove(key);
        text(value.ok_or("it has no such key")?.0, shape)
    }
}

impl SecretReader for OfNamespace {
    fn read<'a>(
        &'a self,
        place: &'a Place,
        shape: Shape,
    ) -> BoxFuture<'a, Result<SecretString, SecretError>> {
        Box::pin(async move {
            let secret = self.secret(place, shape).await;
            secret.map_err(|why| error(place, why))
        })
    }
}

/// Reads the Secrets of one namespace, and this machine's files and environment: for whoever runs a
/// Rollout of a cluster here.
#[derive(Clone)]
pub struct OfBoth(OfNamespace);

impl OfBoth {
    /// The Secrets of a namespace.
    pub fn new(client: Client, namespace: &str) -> Self {
        Self(OfNamespace::new(client, namespace))
    }
}

impl SecretReader for OfBoth {
    fn read<'a>(
        &'a self,
        place: &'a Place,
        shape: Shape,
    ) -> BoxFuture<'a, Result<SecretString, SecretError>> {
        match place {
            Place::Secret { .. } => self.0.read(place, shape),
            Place::File(_) | Place::Variable(_) => OfThisMachine.read(place, shape),
        }
    }
}

fn error(place: &Place, why: String) -> SecretError {
    let place = place.clone();
    SecretError { place, why }
}

fn text(bytes: Vec<u8>, shape: Shape) -> Result<SecretString, String> {
    let (length, most) = (bytes.len(), shape.max_bytes());
    if length > most {
        return Err(format!("{length} bytes; accepted: at most {most}"));
    }
    let text = String::from_utf8(bytes).map_err(|_| "not text")?;
    match text.trim() {
        "" => Err("empty".to_owned()),
        text if shape == Shape::Text => Ok(text.into()),
        line if line.contains(['\n', '\r']) => Err("more than one line".to_owned()),
        line => Ok(line.into()),
    }
}

/// A place as it stands in a spec, where at most one of three fields is given.
pub(super) struct Written<'w> {
    /// The names of the fields.
    pub(super) fields: [&'static str; 3],
    pub(super) secret: Option<&'w KeyOf>,
    /// The key where none is written.
    pub(super) key: &'static str,
    pub(super) file: Option<&'w String>,
    pub(super) variable: Option<&'w String>,
}

/// The longest name of a Secret, and of a key. RFC 1123, as the API server has it.
const LONGEST_NAME: usize = 253;

impl Written<'_> {
    /// The place, below `path`, when one is given; what is wrong with it is reported.
    pub(super) fn place(&self, path: &str, problems: &mut Vec<Problem>) -> Option<Place> {
        let [secret, file, variable] = self.fields;
        let given = [
            self.secret.map(|_| secret),
            self.file.map(|_| file),
            self.variable.map(|_| variable),
        ];
        let given: Vec<&str> = given.into_iter().flatten().collect();
        if let [first, second, ..] = given.as_slice() {
            let one = Accepted::rule(format!("one of {}", self.fields.join(", ")));
            let found = format!("given beside {first}");
            checking::report(&format!("{path}.{second}"), found, one, problems);
            return None;
        }
        if let Some(key) = self.secret {
            return self.key(&format!("{path}.{secret}"), key, problems);
        }
        for (field, text) in [(file, self.file), (variable, self.variable)] {
            let text = text.map_or("-", String::as_str);
            let path = format!("{path}.{field}");
            if text.is_empty() {
                checking::report(&path, "empty", Accepted::value("a name"), problems);
            }
            is_short(&path, text, MAX_SECRET_BYTES, problems);
        }
        let file = self.file.map(|file| Place::File(file.into()));
        file.or_else(|| self.variable.cloned().map(Place::Variable))
    }

    fn key(&self, path: &str, written: &KeyOf, problems: &mut Vec<Problem>) -> Option<Place> {
        if written.name.is_empty() {
            let accepted = Accepted::value("the name of a Secret");
            checking::report(&format!("{path}.name"), "missing", accepted, problems);
            return None;
        }
        is_short(
            &format!("{path}.name"),
            &written.name,
            LONGEST_NAME,
            problems,
        );
        is_short(&format!("{path}.key"), &written.key, LONGEST_NAME, problems);
        let key = match written.key.as_str() {
            "" => self.key,
            key => key,
        };
        Some(Place::Secret {
            name: written.name.clone(),
            key: key.to_owned(),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use secrecy::ExposeSecret as _;

    async fn read(place: Place) -> Result<String, String> {
        let secret = OfThisMachine.read(&place, Shape::Line).await;
        secret
            .map(|secret| secret.expose_secret().to_owned())
            .map_err(|error| error.to_string())
    }

    #[tokio::test]
    async fn a_secret_is_one_line_of_a_file() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("url");
        let said = |why: &str| Err(format!("file {}: {why}", path.display()));
        let long = "x".repeat(MAX_SECRET_BYTES + 1);
        let cases = [
            ("https://a/b\n", Ok("https://a/b".to_owned())),
            ("\n", said("empty")),
            ("a\nb\n", said("more than one line")),
        ];
        for (text, expected) in cases {
            std::fs::write(&path, text).unwrap();
            assert_eq!(read(Place::File(path.clone())).await, expected);
        }
        std::fs::write(&path, long).unwrap();
        let error = read(Place::File(path.clone())).await.unwrap_err();
        assert!(error.contains("4096"), "{error}");
        let folder = Place::File(folder.path().to_owned());
        assert_eq!(
            read(folder.clone()).await,
            Err(format!("{folder}: not a file"))
        );
    }

    #[tokio::test]
    async fn what_a_machine_has_not_is_said() {
        let cases = [
            (
                Place::Secret {
                    name: "slack".to_owned(),
                    key: "url".to_owned(),
                },
                "key url of Secret slack: there is no cluster to read Secrets from",
            ),
            (
                Place::Variable("SLUICE_NOT_SET".to_owned()),
                "variable SLUICE_NOT_SET: not set",
            ),
        ];
        for (place, expected) in cases {
            assert_eq!(read(place).await, Err(expected.to_owned()));
        }
    }
}
