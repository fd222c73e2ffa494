//! `sluice push`: publishes the module to a registry and prints the digest to pin.

use std::path::PathBuf;

use std::collections::BTreeMap;

use anyhow::{Context as _, bail};
use docker_credential::{CredentialRetrievalError, DockerCredential};
use oci_client::Reference;
use oci_client::client::{Client, ClientConfig, ClientProtocol};
use oci_client::manifest::OCI_IMAGE_MEDIA_TYPE;
use oci_client::secrets::RegistryAuth;
use serde::Serialize;

use super::arguments::OutputArgs;
use super::outcome::Outcome;
use crate::command::output;
use crate::operations::image::{Image, digest};

/// `sluice push`.
#[derive(clap::Args, Debug)]
pub(super) struct Push {
    /// The module: what `make wasm` writes
    #[arg(value_name = "MODULE")]
    module: PathBuf,
    /// The image, as oci://HOST/REPOSITORY:TAG
    #[arg(value_name = "IMAGE")]
    image: String,
    /// The version that the image's label says [default: this program's]
    #[arg(long, value_name = "VERSION")]
    image_version: Option<String>,
    /// Where the source is, for the image's label
    #[arg(long, value_name = "URL")]
    source: Option<String>,
    /// Speak plain HTTP; registries on this machine always get it
    #[arg(long)]
    insecure: bool,
    /// How the result is printed.
    #[command(flatten)]
    output: OutputArgs,
}

/// Docker Hub's name in docker's config.
const DOCKER_HUB: &str = "https://index.docker.io/v1/";

#[derive(Serialize)]
struct Pushed {
    image: String,
    digest: String,
}

pub(super) async fn run(arguments: &Push) -> anyhow::Result<Outcome> {
    let path = arguments.module.display();
    let module =
        std::fs::read(&arguments.module).with_context(|| format!("{path}: cannot be read"))?;
    let image = Image::of(&module, &labels(arguments)).with_context(|| path.to_string())?;
    let reference = reference(&arguments.image)?;
    push(&image, &reference, arguments.insecure).await?;
    let pushed = Pushed {
        image: format!("oci://{reference}"),
        digest: image.digest(),
    };
    output::print(arguments.output.output, &pushed, |pushed| {
        format!("{}\n{}", pushed.image, pushed.digest)
    })?;
    Ok(Outcome::Good)
}

fn labels(arguments: &Push) -> BTreeMap<String, String> {
    let label = |name: &str, value: &Option<String>| {
        value
            .clone()
            .map(|value| (format!("org.opencontainers.image.{name}"), value))
    };
    let version = Some(
        arguments
            .image_version
            .clone()
            .unwrap_or_else(|| env!("CARGO_PKG_VERSION").to_owned()),
    );
    let title = Some("sluice".to_owned());
    let licence = Some("Apache-2.0".to_owned());
    [
        label("title", &title),
        label("licenses", &licence),
        label("version", &version),
        label("source", &arguments.source),
    ]
    .into_iter()
    .flatten()
    .collect()
}

fn reference(image: &str) -> anyhow::Result<Reference> {
    let accepted =
        "accepted: oci://HOST/REPOSITORY:TAG, such as oci://registry.example.com/sluice:1.0";
    let Some(name) = image.strip_prefix("oci://") else {
        bail!("{image}: not an OCI image; {accepted}");
    };
    let Ok(reference) = name.parse::<Reference>() else {
        bail!("{image}: not an image name; {accepted}");
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

async fn push(image: &Image, reference: &Reference, is_insecure: bool) -> anyhow::Result<()> {
    let registry = reference.registry();
    let protocol = if is_insecure || is_loopback(registry) {
        ClientProtocol::Http
    } else {
        ClientProtocol::Https
    };
    let client = Client::new(ClientConfig {
        protocol,
        ..ClientConfig::default()
    });
    client
        .store_auth_if_needed(reference.resolve_registry(), &login(registry)?)
        .await;
    let context = || {
        format!(
            "{reference}: the registry did not take it; log in with `docker login {registry}`, or use --insecure for \
             a registry that speaks plain HTTP"
        )
    };
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

/// Registries on this machine speak plain HTTP, as docker has it.
fn is_loopback(registry: &str) -> bool {
    let host = registry.rsplit_once(':').map_or(registry, |(host, _)| host);
    host == "localhost"
        || host
            .parse::<std::net::IpAddr>()
            .is_ok_and(|address| address.is_loopback())
}

/// What `docker login` left, by itself or with a credential helper.
fn login(registry: &str) -> anyhow::Result<RegistryAuth> {
    let server = if registry == "docker.io" {
        DOCKER_HUB
    } else {
        registry
    };
    match docker_credential::get_credential(server) {
        Ok(DockerCredential::UsernamePassword(user, password)) => {
            Ok(RegistryAuth::Basic(user, password))
        }
        Ok(DockerCredential::IdentityToken(_)) => bail!(
            "docker's login to {registry} is an identity token, which sluice cannot use; log in with a user and a \
             password or access token"
        ),
        Err(
            CredentialRetrievalError::NoCredentialConfigured
            | CredentialRetrievalError::ConfigNotFound
            | CredentialRetrievalError::ConfigReadError,
        ) => Ok(RegistryAuth::Anonymous),
        Err(error) => {
            Err(error).with_context(|| format!("docker's login to {registry} cannot be read"))
        }
    }
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
