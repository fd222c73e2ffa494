//! `sluice verify`: says whether an image is what the owner of a key signed.

use std::path::PathBuf;

use anyhow::Context as _;

use super::arguments::OutputArgs;
use super::outcome::Outcome;
use super::output;
use super::push::transport;
use crate::files;
use crate::operations::oci::key::{MAX_PEM_BYTES, PublicKey};
use crate::operations::verify::{Verdict, verify};

/// `sluice verify`.
#[derive(clap::Args, Debug)]
pub(super) struct Verify {
    /// The image, as oci://HOST/REPOSITORY:TAG or oci://HOST/REPOSITORY@sha256:…
    #[arg(value_name = "IMAGE")]
    image: String,
    /// The public key of whoever should have signed it, as `cosign generate-key-pair` writes it
    #[arg(long, value_name = "KEY")]
    key: PathBuf,
    /// Speak plain HTTP; registries on this machine always get it
    #[arg(long)]
    insecure: bool,
    /// How the result is printed.
    #[command(flatten)]
    output: OutputArgs,
}

pub(super) async fn run(arguments: &Verify) -> anyhow::Result<Outcome> {
    let path = &arguments.key;
    let key = PublicKey::read(&files::bytes(path, MAX_PEM_BYTES)?)
        .with_context(|| path.display().to_string())?;
    let verdict = verify(&arguments.image, &key, transport(arguments.insecure)).await?;
    output::print(arguments.output.output, &verdict, text)?;
    Ok(if verdict.refused.is_empty() {
        Outcome::Good
    } else {
        Outcome::Problems
    })
}

fn text(verdict: &Verdict) -> String {
    let (image, digest) = (&verdict.image, &verdict.digest);
    if verdict.refused.is_empty() {
        let (blobs, bytes) = (verdict.blobs, verdict.bytes);
        return format!(
            "{image}: signed with this key, and every byte is as signed\n{digest}\n\
             {blobs} manifests, configs and layers, {bytes} bytes"
        );
    }
    let mut lines = vec![format!("{image}: REFUSED"), digest.clone()];
    let reasons = verdict.refused.iter();
    lines.extend(reasons.map(|reason| output::quoted(format!("  {reason}"))));
    lines.join("\n")
}
