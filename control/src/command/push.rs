//! `sluice push`: publishes the module to a registry and prints the digest to pin.

use std::path::PathBuf;

use anyhow::Context as _;

use super::arguments::OutputArgs;
use super::outcome::Outcome;
use super::output;
use crate::files;
use crate::files::bounded::MAX_MODULE_BYTES;
use crate::operations::image::Image;
use crate::operations::push::{Transport, labels, push};

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

pub(super) async fn run(arguments: &Push) -> anyhow::Result<Outcome> {
    let path = arguments.module.display();
    let module = files::bytes(&arguments.module, MAX_MODULE_BYTES)?;
    let version = arguments.image_version.as_deref();
    let labels = labels(
        version.unwrap_or(env!("CARGO_PKG_VERSION")),
        arguments.source.as_deref(),
    );
    let image = Image::of(&module, &labels).with_context(|| path.to_string())?;
    let transport = if arguments.insecure {
        Transport::Insecure
    } else {
        Transport::Secure
    };
    let pushed = push(&image, &arguments.image, transport).await?;
    output::print(arguments.output.output, &pushed, |pushed| {
        format!("{}\n{}", pushed.image, pushed.digest)
    })?;
    Ok(Outcome::Good)
}
