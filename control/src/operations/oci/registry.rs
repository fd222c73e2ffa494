//! One repository of a registry: what is read from it, within bounds, and what is written to it.
//!
//! Nothing that it says is believed: a manifest is whatever its bytes are, and a blob is right or
//! wrong by its digest. Who is shown a login is `login`'s.

mod answer;
#[cfg(test)]
pub(in super::super) mod fake;
mod login;

use std::time::Duration;

use anyhow::{Context as _, bail};
use oci_client::Reference;
use oci_client::client::{Client, ClientConfig, ClientProtocol};
use reqwest::header;

use super::digest::{Running, digest};
use super::manifest::{Descriptor, KINDS, MAX_MANIFEST_BYTES, Manifest, own_media_type};
use answer::{found, media_type, pieces};
use login::{Authorization, Login, PATIENCE, is_loopback};

/// How often an answer may send elsewhere. Chosen: registries send once, to where they store blobs.
const MAX_REGISTRY_REDIRECTS: usize = 5;

/// How long a blob may take. Chosen: the largest image that is accepted, at 2 MB/s.
const BLOB_PATIENCE: Duration = Duration::from_secs(600);

/// How a registry is spoken to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Transport {
    /// TLS; plain HTTP only with a registry on this machine, as docker has it.
    Secure,
    /// Plain HTTP.
    Insecure,
}

/// What is wanted of a repository.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Access {
    /// To read.
    Pull,
    /// To read and to write.
    Push,
}

impl Access {
    fn scope(self) -> &'static str {
        match self {
            Self::Pull => "pull",
            Self::Push => "pull,push",
        }
    }
}

/// What became of reading a blob.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Blob<T> {
    /// Its bytes are those that its descriptor says.
    Whole(T),
    /// The registry has none.
    Missing,
    /// Its bytes are others: so many of them, with this digest. Reading ends after the first byte
    /// that is too many, and then they have no digest.
    Changed {
        /// How many were read.
        size: u64,
        /// `sha256:…`, if they ended where they should.
        digest: Option<String>,
    },
}

/// A repository of a registry.
pub struct Registry {
    reference: Reference,
    http: reqwest::Client,
    base: String,
    authorization: Authorization,
    client: Client,
}

impl Registry {
    /// The repository that an image's name has, with docker's login where there is one.
    ///
    /// # Errors
    /// When docker's login cannot be used, or the registry cannot be reached.
    pub async fn open(
        reference: &Reference,
        transport: Transport,
        access: Access,
    ) -> anyhow::Result<Self> {
        let registry = reference.registry();
        let (protocol, scheme) = if transport == Transport::Insecure || is_loopback(registry) {
            (ClientProtocol::Http, "http")
        } else {
            (ClientProtocol::Https, "https")
        };
        let login = Login::of(registry)?;
        let authorization = Authorization::of(login, reference, scheme, access).await?;
        let client = Client::new(ClientConfig {
            protocol,
            connect_timeout: Some(PATIENCE),
            read_timeout: Some(BLOB_PATIENCE),
            ..ClientConfig::default()
        });
        authorization.hand_to(&client, reference).await;
        let http = reqwest::Client::builder()
            .connect_timeout(PATIENCE)
            .redirect(reqwest::redirect::Policy::limited(MAX_REGISTRY_REDIRECTS))
            .build()?;
        let (host, repository) = (reference.resolve_registry(), reference.repository());
        Ok(Self {
            base: format!("{scheme}://{host}/v2/{repository}"),
            reference: reference.clone(),
            http,
            authorization,
            client,
        })
    }

    /// The repository, as `HOST/REPOSITORY`.
    pub fn repository(&self) -> String {
        let reference = &self.reference;
        format!("{}/{}", reference.registry(), reference.repository())
    }

    /// What a tag or digest names; `None` where there is none. The bytes are what came: whether they
    /// have the digest is for the caller to see.
    ///
    /// # Errors
    /// When the registry does not answer, refuses, or what it has is too long.
    pub async fn manifest(&self, name: &str) -> anyhow::Result<Option<Manifest>> {
        let url = format!("{}/manifests/{name}", self.base);
        let request = self.http.get(&url).header(header::ACCEPT, KINDS.join(", "));
        let sent = self
            .authorization
            .on(request.timeout(PATIENCE))
            .send()
            .await;
        let Some(answer) = found(&url, sent)? else {
            return Ok(None);
        };
        let media_type = media_type(&answer);
        let mut bytes = Vec::new();
        let size = pieces(&url, answer, MAX_MANIFEST_BYTES as u64, |piece| {
            bytes.extend_from_slice(piece);
        });
        if size.await?.is_none() {
            bail!("{url}: more than {MAX_MANIFEST_BYTES} bytes; accepted: at most that");
        }
        // Some registries call everything text or octets.
        let kind = media_type.filter(|kind| KINDS.contains(&kind.as_str()));
        let media_type = kind.or_else(|| own_media_type(&bytes));
        let media_type = media_type.with_context(|| format!("{url}: not a manifest"))?;
        Ok(Some(Manifest { media_type, bytes }))
    }

    /// The bytes of a blob that is to be looked into. It is small, and may take as long as a
    /// manifest.
    ///
    /// # Errors
    /// When the registry does not answer or refuses, or the blob is said to have more bytes than are
    /// accepted.
    pub async fn blob(
        &self,
        descriptor: &Descriptor,
        max_bytes: usize,
    ) -> anyhow::Result<Blob<Vec<u8>>> {
        if descriptor.size > max_bytes as u64 {
            let (name, size) = (&descriptor.digest, descriptor.size);
            bail!("{name}: {size} bytes; accepted: at most {max_bytes}");
        }
        let mut bytes = Vec::new();
        let take = |piece: &[u8]| bytes.extend_from_slice(piece);
        let read = self.read(descriptor, PATIENCE, take);
        Ok(match read.await? {
            Blob::Whole(()) => Blob::Whole(bytes),
            Blob::Missing => Blob::Missing,
            Blob::Changed { size, digest } => Blob::Changed { size, digest },
        })
    }

    /// Whether a blob is what its descriptor says, byte by byte; nothing of it is kept.
    ///
    /// # Errors
    /// When the registry does not answer, or refuses.
    pub async fn check(&self, descriptor: &Descriptor) -> anyhow::Result<Blob<()>> {
        self.read(descriptor, BLOB_PATIENCE, |_| ()).await
    }

    async fn read(
        &self,
        descriptor: &Descriptor,
        patience: Duration,
        mut take: impl FnMut(&[u8]),
    ) -> anyhow::Result<Blob<()>> {
        let url = format!("{}/blobs/{}", self.base, descriptor.digest);
        let request = self.http.get(&url).timeout(patience);
        let sent = self.authorization.on(request).send().await;
        let Some(answer) = found(&url, sent)? else {
            return Ok(Blob::Missing);
        };
        let mut running = Running::default();
        let read = pieces(&url, answer, descriptor.size, |piece| {
            running.add(piece);
            take(piece);
        });
        let Some(size) = read.await? else {
            let size = descriptor.size + 1;
            return Ok(Blob::Changed { size, digest: None });
        };
        let found = running.end();
        if size == descriptor.size && found == descriptor.digest {
            return Ok(Blob::Whole(()));
        }
        let digest = Some(found);
        Ok(Blob::Changed { size, digest })
    }

    /// Writes a blob.
    ///
    /// # Errors
    /// When the registry does not take it.
    pub async fn push_blob(&self, bytes: &[u8]) -> anyhow::Result<()> {
        let digest = digest(bytes);
        let pushed = self
            .client
            .push_blob(&self.reference, bytes.to_vec(), &digest);
        pushed.await.map(|_| ()).context(self.refusal())
    }

    /// Writes a manifest under a tag, or under its own digest.
    ///
    /// # Errors
    /// When the registry does not take it.
    pub async fn push_manifest(&self, name: &str, manifest: &Manifest) -> anyhow::Result<()> {
        let url = format!("{}/manifests/{name}", self.base);
        let request = self
            .http
            .put(&url)
            .header(header::CONTENT_TYPE, &manifest.media_type)
            .timeout(PATIENCE)
            .body(manifest.bytes.clone());
        let sent = self.authorization.on(request).send().await;
        let answer = sent.context(self.refusal())?;
        if answer.status().is_success() {
            return Ok(());
        }
        let said = format!("{url}: answered {}", answer.status());
        Err(anyhow::anyhow!(said).context(self.refusal()))
    }

    /// Whether the registry can be asked what refers to an image (OCI distribution specification
    /// 1.1, "Listing Referrers"): one that cannot answers 404 even where nothing does.
    ///
    /// # Errors
    /// When it does not answer.
    pub async fn lists_referrers(&self, digest: &str) -> anyhow::Result<bool> {
        let url = format!("{}/referrers/{digest}", self.base);
        let request = self.http.get(&url).timeout(PATIENCE);
        let answer = self.authorization.on(request).send().await?;
        Ok(answer.status().is_success())
    }

    fn refusal(&self) -> String {
        let (reference, registry) = (&self.reference, self.reference.registry());
        format!(
            "{reference}: the registry did not take it; log in with `docker login {registry}`, or \
             use --insecure for a registry that speaks plain HTTP"
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_registry_on_this_machine_speaks_plain_http() {
        assert!(
            is_loopback("localhost:5000")
                && is_loopback("127.0.0.1")
                && !is_loopback("registry.example.com")
        );
    }
}
