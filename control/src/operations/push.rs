//! Publishing the module to an OCI registry: where to, with whose login, and by which protocol.
//!
//! What is published, byte by byte, is [`super::image`]'s; who is shown a login, `login`'s.

mod login;

use std::collections::BTreeMap;

use anyhow::{Context as _, bail};
use oci_client::Reference;
use oci_client::client::{Client, ClientConfig, ClientProtocol};
use oci_client::manifest::OCI_IMAGE_MEDIA_TYPE;
use oci_client::secrets::RegistryAuth;
use serde::Serialize;

use super::image::{Image, digest};
use crate::model::redacted;
use login::{Login, is_loopback};

/// How a registry is spoken to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Transport {
    /// TLS; plain HTTP only with a registry on this machine, as docker has it.
    Secure,
    /// Plain HTTP.
    Insecure,
}

/// What was published; serialized, it is the JSON of `sluice push`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Pushed {
    /// The image, as `oci://HOST/REPOSITORY:TAG`.
    pub image: String,
    /// The digest to pin: `sha256:…` of the manifest.
    pub digest: String,
}

/// Publishes a packed module under a name such as `oci://registry.example.com/sluice:1.0`.
///
/// # Errors
/// When the name is none with a tag, docker's login cannot be used, or the registry refuses.
pub async fn push(image: &Image, name: &str, transport: Transport) -> anyhow::Result<Pushed> {
    let reference = reference(name)?;
    send(image, &reference, transport).await?;
    Ok(Pushed {
        image: format!("oci://{reference}"),
        digest: image.digest(),
    })
}

/// The labels of an image of `version`, whose source is at a URL.
pub fn labels(version: &str, source: Option<&str>) -> BTreeMap<String, String> {
    [
        ("title", Some("sluice")),
        ("licenses", Some("Apache-2.0")),
        ("version", Some(version)),
        ("source", source),
    ]
    .into_iter()
    .filter_map(|(name, value)| {
        Some((
            format!("org.opencontainers.image.{name}"),
            value?.to_owned(),
        ))
    })
    .collect()
}

fn reference(image: &str) -> anyhow::Result<Reference> {
    let accepted =
        "accepted: oci://HOST/REPOSITORY:TAG, such as oci://registry.example.com/sluice:1.0";
    let Some(name) = image.strip_prefix("oci://") else {
        let image = redacted::text(&format!("oci://{image}")).replacen("oci://", "", 1);
        bail!("{image}: not an OCI image; {accepted}");
    };
    let Ok(reference) = name.parse::<Reference>() else {
        bail!("{}: not an image name; {accepted}", redacted::text(image));
    };
    if reference.digest().is_some() {
        bail!(
            "{image}: an image is pushed by tag, and its digest follows from its bytes; {accepted}"
        );
    }
    if !name.rsplit('/').next().unwrap_or_default().contains(':') {
        bail!("{image}: no tag; {accepted}");
    }
    Ok(reference)
}

async fn send(image: &Image, reference: &Reference, transport: Transport) -> anyhow::Result<()> {
    let registry = reference.registry();
    let (protocol, scheme) = if transport == Transport::Insecure || is_loopback(registry) {
        (ClientProtocol::Http, "http")
    } else {
        (ClientProtocol::Https, "https")
    };
    let client = Client::new(ClientConfig {
        protocol,
        ..ClientConfig::default()
    });
    let context = || {
        format!(
            "{reference}: the registry did not take it; log in with `docker login {registry}`, or use --insecure for \
             a registry that speaks plain HTTP"
        )
    };
    match Login::of(registry)? {
        Some(login) => login
            .hand_to(&client, reference, scheme)
            .await
            .with_context(context)?,
        None => {
            let name = reference.resolve_registry();
            client
                .store_auth_if_needed(name, &RegistryAuth::Anonymous)
                .await;
        }
    }
    for blob in [&image.layer, &image.config] {
        client
            .push_blob(reference, blob.clone(), &digest(blob))
            .await
            .with_context(context)?;
    }
    let media_type = OCI_IMAGE_MEDIA_TYPE.parse().context("a media type")?;
    client
        .push_manifest_raw(reference, image.manifest.clone(), media_type)
        .await
        .with_context(context)?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_image_is_named_with_its_tag() {
        assert!(reference("oci://127.0.0.1:5000/sluice:1").is_ok());
        let accepted =
            "accepted: oci://HOST/REPOSITORY:TAG, such as oci://registry.example.com/sluice:1.0";
        let cases = [
            (
                "registry.example.com/sluice:1",
                "registry.example.com/sluice:1: not an OCI image",
            ),
            (
                "oci://127.0.0.1:5000/sluice",
                "oci://127.0.0.1:5000/sluice: no tag",
            ),
            (
                "oci://user:pw@127.0.0.1/sluice:1",
                "oci://***@127.0.0.1/sluice:1: not an image name",
            ),
            (
                "user:pw@127.0.0.1/sluice:1",
                "***@127.0.0.1/sluice:1: not an OCI image",
            ),
            (
                "oci://UPPER CASE:1",
                "oci://UPPER CASE:1: not an image name",
            ),
        ];
        for (image, expected) in cases {
            assert_eq!(
                reference(image).unwrap_err().to_string(),
                format!("{expected}; {accepted}")
            );
        }
        assert!(
            is_loopback("localhost:5000")
                && is_loopback("127.0.0.1")
                && !is_loopback("registry.example.com")
        );
    }
}
