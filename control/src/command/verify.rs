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
    if !verdict.refused.is_empty() {
        let mut lines = vec![format!("{image}: REFUSED"), digest.clone()];
        let reasons = verdict.refused.iter();
        lines.extend(reasons.map(|reason| output::quoted(format!("  {reason}"))));
        return lines.join("\n");
    }
    let mut lines = vec![
        format!("{image}: signed with this key, and every byte is as signed"),
        digest.clone(),
        output::quoted(described(verdict)),
        format!(
            "{} manifests, configs and layers, {} bytes",
            verdict.blobs, verdict.bytes
        ),
    ];
    if let Some(pin) = &verdict.pin {
        lines.push(format!(
            "only this digest is vouched for, and the registry says what the tag names: pin {pin}"
        ));
    }
    lines.join("\n")
}

/// What the image is by what its owner signed.
fn described(verdict: &Verdict) -> String {
    let all = |names: &std::collections::BTreeSet<String>| {
        let names: Vec<&str> = names.iter().map(String::as_str).collect();
        names.join(", ")
    };
    let label = |label: &Option<String>| label.clone().unwrap_or_else(|| "none".to_owned());
    let mut facts = vec![
        format!("title {}", label(&verdict.title)),
        format!("version {}", label(&verdict.version)),
    ];
    if !verdict.platforms.is_empty() {
        facts.push(format!("for {}", all(&verdict.platforms)));
    }
    facts.push(format!("signed as {}", all(&verdict.signed_as)));
    facts.join("; ")
}
